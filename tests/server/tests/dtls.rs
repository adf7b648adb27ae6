//! DTLS with pre-shared keys, with the agent's link as the other end.

mod device;

use std::net::SocketAddr;
use std::time::Instant as Clock;

use coap_lite::{CoapOption, Packet};
use device::{CON, Device, PATIENCE, code, path, server, texts};
use lwm2m_model::{Code, Instant};
use lwm2m_security::{Backend, Import, LinkConfig, OpenSsl, Psk, Secret, SecureLink, State};
use lwm2m_test_server::{Error, Server, ServerConfig, ServerEvent};
use tokio::net::UdpSocket;

const KEY: [u8; 16] = [7; 16];

fn secured(config: &mut ServerConfig) {
    config.coap = None;
    config.coaps = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.psk = vec![(b"gw-1".to_vec(), KEY.to_vec()), (b"gw-2".to_vec(), KEY.to_vec())];
}

/// A client link on a socket.
struct Secured {
    link: Box<dyn SecureLink>,
    socket: UdpSocket,
    started: Clock,
}

impl Secured {
    async fn new(server: &Server, identity: &str, key: &[u8]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server.coaps_addr().unwrap()).await.unwrap();
        Self { link: link(identity, key), socket, started: Clock::now() }
    }

    fn now(&self) -> Instant {
        Instant::from_boot(self.started.elapsed())
    }

    async fn flush(&mut self) {
        while let Some(datagram) = self.link.poll_datagram() {
            self.socket.send(&datagram).await.unwrap();
        }
    }

    /// Waits for a datagram or a time-out and hands it to the link.
    async fn step(&mut self) -> State {
        self.flush().await;
        let mut buffer = vec![0; 2048];
        let due = self.link.timeout().map_or(PATIENCE, |due| due - self.now());
        let received = tokio::time::timeout(due, self.socket.recv(&mut buffer)).await;
        let now = self.now();
        let state = match received {
            Ok(length) => self.link.handle_datagram(now, &buffer[..length.unwrap()]),
            Err(_) => self.link.handle_timeout(now),
        };
        self.flush().await;
        state.unwrap_or(State::Closed)
    }

    async fn handshake(&mut self) -> State {
        let now = self.now();
        let mut state = self.link.handle_timeout(now).unwrap();
        while state == State::Handshaking {
            state = self.step().await;
        }
        state
    }

    async fn ask(&mut self, packet: &Packet) -> Packet {
        self.link.write(&packet.to_bytes().unwrap()).unwrap();
        self.receive().await
    }

    async fn receive(&mut self) -> Packet {
        loop {
            if let Some(message) = self.link.read() {
                return Packet::from_bytes(&message).unwrap();
            }
            self.step().await;
        }
    }
}

fn link(identity: &str, key: &[u8]) -> Box<dyn SecureLink> {
    let psk = Psk::new(identity, Secret::new(key.to_vec())).unwrap();
    OpenSsl::new().unwrap().client(&LinkConfig::psk(psk), Import::Fresh).unwrap()
}

/// Registration requests, made by a device that sends none of them.
async fn register(server: &Server, endpoint: &str) -> Packet {
    Device::at(server.coaps_addr().unwrap()).await.register_request(endpoint, &[])
}

#[tokio::test]
async fn a_device_registers_and_is_read_over_dtls() {
    let server = server(secured).await;
    let mut events = server.events().unwrap();
    let mut device = Secured::new(&server, "gw-1", &KEY).await;
    assert_eq!(device.handshake().await, State::Established);
    let answer = device.ask(&register(&server, "thing").await).await;
    assert_eq!(code(&answer), Code::CREATED);
    let known = server.registration("thing").await.unwrap();
    assert_eq!(known.identity.as_deref(), Some(&b"gw-1"[..]));
    let event = events.next().await.unwrap();
    assert!(
        matches!(event, ServerEvent::Secured { identity, resumed: false, .. } if identity == b"gw-1")
    );
    let reading = {
        let server = server.clone();
        tokio::spawn(async move { server.read("thing", &path("/3/0/9"), None).await })
    };
    let request = device.receive().await;
    let reply = Device::piggybacked(&request, Code::CONTENT, 0, b"50");
    device.link.write(&reply.to_bytes().unwrap()).unwrap();
    device.flush().await;
    let response = reading.await.unwrap().unwrap();
    assert_eq!(response.payload, b"50");
    let plain = request.to_bytes().unwrap().len();
    assert!(response.traffic.sent[0] > plain, "datagrams are counted as they are on the wire");
    device.link.close();
    device.flush().await;
    loop {
        if let ServerEvent::LinkLost { reason, .. } = events.next().await.unwrap() {
            assert_eq!(reason, "the device closed the DTLS link");
            break;
        }
    }
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_identity_get_no_link() {
    let server = server(secured).await;
    for (identity, key) in [("gw-1", [8; 16]), ("nobody", KEY)] {
        let mut device = Secured::new(&server, identity, &key).await;
        let now = device.now();
        device.link.handle_timeout(now).unwrap();
        let mut rounds = 0;
        let mut state = State::Handshaking;
        while state == State::Handshaking && rounds < 3 {
            state = device.step().await;
            rounds += 1;
        }
        assert_ne!(state, State::Established);
    }
    assert!(server.registrations().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_endpoint_name_is_held_against_the_identity_if_that_is_asked_for() {
    for (strict, endpoint, wanted) in [
        (false, "other", Code::CREATED),
        (true, "other", Code::BAD_REQUEST),
        (true, "gw-1", Code::CREATED),
    ] {
        let server = server(|config| {
            secured(config);
            config.strict_identity = strict;
        })
        .await;
        let mut device = Secured::new(&server, "gw-1", &KEY).await;
        device.handshake().await;
        let answer = device.ask(&register(&server, endpoint).await).await;
        assert_eq!(code(&answer), wanted, "{strict} {endpoint}");
    }
}

#[tokio::test]
async fn another_identity_cannot_speak_for_a_registration() {
    let server = server(secured).await;
    let mut device = Secured::new(&server, "gw-1", &KEY).await;
    device.handshake().await;
    let answer = device.ask(&register(&server, "thing").await).await;
    let location = texts(&answer, CoapOption::LocationPath).join("/");
    let mut requests = Device::at(server.coaps_addr().unwrap()).await;
    let mut stranger = Secured::new(&server, "gw-2", &KEY).await;
    stranger.handshake().await;
    let update = requests.request(2, &location, &[]);
    assert_eq!(code(&stranger.ask(&update).await), Code::NOT_FOUND);
    let mut moved = Secured::new(&server, "gw-1", &KEY).await;
    moved.handshake().await;
    assert_eq!(code(&moved.ask(&update).await), Code::CHANGED);
}

#[tokio::test]
async fn a_device_that_starts_anew_on_its_port_takes_the_place_of_its_old_link() {
    let server = server(secured).await;
    let mut device = Secured::new(&server, "gw-1", &KEY).await;
    device.handshake().await;
    device.ask(&register(&server, "thing").await).await;
    device.link = link("gw-1", &KEY);
    assert_eq!(device.handshake().await, State::Established);
    let answer = device.ask(&register(&server, "thing").await).await;
    assert_eq!(code(&answer), Code::CREATED);
}

#[tokio::test]
async fn rubbish_and_stray_greetings_end_no_link() {
    let server = server(secured).await;
    let mut device = Secured::new(&server, "gw-1", &KEY).await;
    device.handshake().await;
    let mut greeting = link("gw-1", &KEY);
    greeting.handle_timeout(Instant::ZERO).unwrap();
    let greeting = greeting.poll_datagram().unwrap();
    for stray in
        [&[0; 5][..], &[22; 60], &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40], &greeting]
    {
        device.socket.send(stray).await.unwrap();
    }
    let mut packet = register(&server, "thing").await;
    packet.header.set_type(CON);
    let answer = device.ask(&packet).await;
    assert_eq!(code(&answer), Code::CREATED);
}

#[tokio::test]
async fn a_server_without_address_or_on_a_taken_port_does_not_start() {
    let none = ServerConfig { coap: None, ..ServerConfig::default() };
    assert!(matches!(Server::start(none).await, Err(Error::NoAddress)));
    let first = server(|_| {}).await;
    let taken = ServerConfig { coap: first.coap_addr(), ..ServerConfig::default() };
    let error = Server::start(taken).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:"), "{error}");
}
