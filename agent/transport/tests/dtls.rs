//! Links over DTLS, against a DTLS server on a real socket.

mod driver;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use driver::{Driver, SERVER, Seen};
use lwm2m_engine::{Continuity, LinkId};
use lwm2m_security::{DtlsServerContext, DtlsServerLink, Psk, Secret, State};
use lwm2m_transport::{LinkSecurity, LinksConfig, clock};
use tokio::net::UdpSocket;

const LINK: LinkId = LinkId(1);
const OTHER: LinkId = LinkId(2);
const KEY: [u8; 16] = [7; 16];

/// A server that sends every message back.
struct Echo {
    socket: UdpSocket,
    context: DtlsServerContext,
    link: Option<DtlsServerLink>,
    /// The client's address.
    client: Option<SocketAddr>,
    /// Why links ended.
    ends: Vec<String>,
}

impl Echo {
    async fn new() -> Self {
        let lookup = |identity: &[u8]| (identity == b"device").then(|| Secret::new(KEY.to_vec()));
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            context: DtlsServerContext::new(Arc::new(lookup)).unwrap(),
            link: None,
            client: None,
            ends: Vec::new(),
        }
    }

    fn uri(&self) -> String {
        format!("coaps://{}", self.socket.local_addr().unwrap())
    }

    /// Answers datagrams for ever.
    async fn serve(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            let (len, from) = self.socket.recv_from(&mut buffer).await.unwrap();
            self.client = Some(from);
            let link = self.link.get_or_insert_with(|| self.context.accept().unwrap());
            let state = link.handle_datagram(clock::now().boot, &buffer[..len]);
            while let Some(message) = link.read() {
                link.write(&message).unwrap();
            }
            while let Some(datagram) = link.poll_datagram() {
                self.socket.send_to(&datagram, from).await.unwrap();
            }
            match state {
                Ok(State::Handshaking | State::Established) => {}
                Ok(State::Closed) => self.link = None,
                Err(error) => {
                    self.ends.push(error.to_string());
                    self.link = None;
                }
            }
        }
    }

    /// The next event of the client, with the server at work.
    async fn event(&mut self, driver: &mut Driver) -> Seen {
        tokio::select! {
            seen = driver.event() => seen,
            () = self.serve() => unreachable!("it serves for ever"),
        }
    }

    async fn up(&mut self, driver: &mut Driver, link: LinkId, uri: &str) -> Continuity {
        driver.links.open(link, SERVER, uri, psk(KEY));
        match self.event(driver).await {
            Seen::Up(up, continuity, _) if up == link => continuity,
            other => panic!("{link:?} is not up: {other:?}"),
        }
    }

    async fn echoes(&mut self, driver: &mut Driver, link: LinkId, message: &[u8]) {
        driver.send(link, message);
        assert_eq!(self.event(driver).await, Seen::Datagram(link, message.to_vec()));
    }
}

fn psk(key: [u8; 16]) -> LinkSecurity {
    LinkSecurity::Psk(Psk::new("device", Secret::new(key.to_vec())).unwrap())
}

fn driver() -> Driver {
    Driver::new(LinksConfig::default())
}

/// Handshakes that nobody answers are over soon.
fn impatient() -> Driver {
    let handshake_limit = Duration::from_millis(100);
    Driver::new(LinksConfig { handshake_limit, ..Default::default() })
}

#[tokio::test]
async fn data_passes_both_ways_and_the_overhead_is_left_out() {
    let (mut server, mut driver) = (Echo::new().await, driver());
    driver.links.open(LINK, SERVER, &server.uri(), psk(KEY));
    // 13 bytes of record header, 8 of nonce, 8 of tag.
    assert_eq!(server.event(&mut driver).await, Seen::Up(LINK, Continuity::New, 1232 - 29));
    for len in [1, 100, 1203] {
        server.echoes(&mut driver, LINK, &vec![3; len]).await;
    }
    driver.send(LINK, &[3; 1204]);
    assert_eq!(driver.links.counters().unsent, 1);
    server.echoes(&mut driver, LINK, b"still there").await;
}

#[tokio::test]
async fn a_batch_is_encrypted_and_sent_in_order() {
    let (mut server, mut driver) = (Echo::new().await, driver());
    let uri = server.uri();
    server.up(&mut driver, LINK, &uri).await;
    for number in 0..40 {
        driver.links.send(LINK, vec![number; 50]);
    }
    driver.links.flush();
    for number in 0..40 {
        assert_eq!(server.event(&mut driver).await, Seen::Datagram(LINK, vec![number; 50]));
    }
}

/// TRN-43, 103.
#[tokio::test]
async fn a_reopened_link_resumes_its_session_from_the_same_port() {
    let (mut server, mut driver) = (Echo::new().await, driver());
    let uri = server.uri();
    assert_eq!(server.up(&mut driver, LINK, &uri).await, Continuity::New);
    server.echoes(&mut driver, LINK, b"register").await;
    let client = server.client;
    driver.links.close(LINK);
    assert_eq!(server.up(&mut driver, OTHER, &uri).await, Continuity::Kept);
    server.echoes(&mut driver, OTHER, b"update").await;
    assert_eq!(server.client, client);
    assert_eq!(server.ends, ["the server closed the DTLS link"], "close_notify");
}

#[tokio::test]
async fn a_server_that_forgot_the_session_gets_a_full_handshake() {
    let (mut server, mut driver) = (Echo::new().await, driver());
    let uri = server.uri();
    server.up(&mut driver, LINK, &uri).await;
    driver.links.close(LINK);
    let socket = server.socket;
    server = Echo { socket, ..Echo::new().await };
    assert_eq!(server.up(&mut driver, OTHER, &uri).await, Continuity::New);
    server.echoes(&mut driver, OTHER, b"register").await;
}

#[tokio::test]
async fn the_goodbye_of_the_server_is_the_reason_and_the_session_lives_on() {
    let (mut server, mut driver) = (Echo::new().await, driver());
    let uri = server.uri();
    server.up(&mut driver, LINK, &uri).await;
    server.echoes(&mut driver, LINK, b"register").await;
    let mut link = server.link.take().unwrap();
    link.close();
    while let Some(datagram) = link.poll_datagram() {
        server.socket.send_to(&datagram, server.client.unwrap()).await.unwrap();
    }
    let reason = "the server closed the DTLS link".to_owned();
    assert_eq!(driver.event().await, Seen::Down(LINK, reason));
    // The client's own close_notify is still on its way to a link that is gone.
    let mut goodbye = [0; 100];
    server.socket.recv_from(&mut goodbye).await.unwrap();
    assert_eq!(server.up(&mut driver, OTHER, &uri).await, Continuity::Kept);
}

#[tokio::test]
async fn a_wrong_key_is_suspected() {
    let (mut server, mut driver) = (Echo::new().await, impatient());
    driver.links.open(LINK, SERVER, &server.uri(), psk([8; 16]));
    let Seen::Down(LINK, reason) = server.event(&mut driver).await else { panic!("wrong key") };
    assert!(reason.ends_with("most likely the key is wrong"), "{reason}");
    // The right key comes through afterwards.
    let (uri, mut patient) = (server.uri(), self::driver());
    server.link = None;
    server.up(&mut patient, LINK, &uri).await;
}

#[tokio::test]
async fn a_silent_server_is_told_from_one_that_answers() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut driver = impatient();
    let uri = format!("coaps://{}", silent.local_addr().unwrap());
    driver.links.open(LINK, SERVER, &uri, psk(KEY));
    let reason = "no answer to the DTLS handshake in 0.1 s".to_owned();
    assert_eq!(driver.event().await, Seen::Down(LINK, reason));
}

#[tokio::test]
async fn a_closed_port_ends_a_handshake_at_once() {
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut driver = driver();
    driver.links.open(LINK, SERVER, &format!("coaps://{peer}"), psk(KEY));
    let reason = format!("the port is closed: nothing listens at {peer}");
    assert_eq!(driver.event().await, Seen::Down(LINK, reason));
}

#[tokio::test]
async fn rubbish_from_the_port_of_the_server_does_no_harm() {
    let (mut server, mut driver) = (Echo::new().await, driver());
    let uri = server.uri();
    server.up(&mut driver, LINK, &uri).await;
    server.echoes(&mut driver, LINK, b"before").await;
    let client = server.client.unwrap();
    for rubbish in [
        &b""[..],
        b"\x00",
        b"\x17\xfe\xfd\x00\x01",
        b"\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02\x02\x28",
        b"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x63\x00\x12forged application",
        &[0xff; 4000],
    ] {
        server.socket.send_to(rubbish, client).await.unwrap();
    }
    server.echoes(&mut driver, LINK, b"after").await;
    let counters = driver.links.counters();
    assert_eq!((counters.empty, counters.truncated), (1, 1));
}

/// TRN-90.
#[tokio::test]
async fn nothing_is_sent_before_the_handshake_is_over() {
    let (mut server, mut driver) = (Echo::new().await, driver());
    driver.links.open(LINK, SERVER, &server.uri(), psk(KEY));
    // The first turn opens the socket and sends the first flight.
    tokio::select! {
        biased;
        () = driver.turn() => {}
        () = std::future::ready(()) => {}
    }
    driver.send(LINK, b"too early");
    assert_eq!(driver.links.counters().unsent, 1);
    assert!(matches!(server.event(&mut driver).await, Seen::Up(LINK, Continuity::New, _)));
    server.echoes(&mut driver, LINK, b"in time").await;
}
