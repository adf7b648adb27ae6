//! A device that does what the test says: a UDP socket and the `coap-lite` crate.

#![allow(dead_code)] // each test file uses its own part of it

use std::net::SocketAddr;
use std::time::Duration;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lwm2m_model::{Code, ContentFormat, Path};
use lwm2m_test_server::{Server, ServerConfig, Timings};
use tokio::net::UdpSocket;

/// Longer than anything in a test takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const OBJECTS: &str = "</>;ct=\"60 112 11544\",</1/0>,</3/0>";

pub(crate) const CON: MessageType = MessageType::Confirmable;
pub(crate) const NON: MessageType = MessageType::NonConfirmable;
pub(crate) const ACK: MessageType = MessageType::Acknowledgement;
pub(crate) const RST: MessageType = MessageType::Reset;

/// A server that is patient with a busy machine.
pub(crate) async fn server(change: impl FnOnce(&mut ServerConfig)) -> Server {
    let timings = Timings { ack_timeout: PATIENCE, ..Timings::default() };
    let mut config = ServerConfig { timings, ..ServerConfig::default() };
    change(&mut config);
    Server::start(config).await.unwrap()
}

/// Time-outs of milliseconds, for tests that wait for one.
pub(crate) fn impatient(config: &mut ServerConfig) {
    config.timings.ack_timeout = Duration::from_millis(20);
    config.timings.ack_random_factor = 1.0;
    config.timings.max_interval = Duration::from_millis(20);
    config.timings.response_timeout = Duration::from_millis(20);
}

/// Repetitions after milliseconds, without an end.
pub(crate) fn insistent(config: &mut ServerConfig) {
    impatient(config);
    config.timings.max_retransmit = u32::MAX;
}

pub(crate) fn path(text: &str) -> Path {
    text.parse().unwrap()
}

pub(crate) fn code(packet: &Packet) -> Code {
    Code::from_byte(packet.header.code.into())
}

pub(crate) fn number(packet: &Packet, option: CoapOption) -> Option<u32> {
    let bytes = packet.get_first_option(option)?;
    Some(bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
}

pub(crate) fn set_number(packet: &mut Packet, option: CoapOption, value: u32) {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    packet.add_option(option, bytes);
}

pub(crate) fn texts(packet: &Packet, option: CoapOption) -> Vec<String> {
    let values = packet.get_option(option).into_iter().flatten();
    values.map(|bytes| String::from_utf8(bytes.clone()).unwrap()).collect()
}

pub(crate) struct Device {
    socket: UdpSocket,
    next_id: u16,
}

impl Device {
    /// A device that talks to the server's NoSec address.
    pub(crate) async fn new(server: &Server) -> Self {
        Self::at(server.coap_addr().unwrap()).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(address).await.unwrap();
        Self { socket, next_id: 100 }
    }

    /// A device that has registered, with `queries` on top, at a server.
    pub(crate) async fn registered(
        server: &Server,
        endpoint: &str,
        queries: &[&str],
    ) -> (Self, String) {
        let mut device = Self::new(server).await;
        let answer = device.register(endpoint, queries).await;
        assert_eq!(code(&answer), Code::CREATED, "{:?}", String::from_utf8_lossy(&answer.payload));
        let location = texts(&answer, CoapOption::LocationPath).join("/");
        (device, location)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn next_id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) async fn send(&self, packet: &Packet) {
        self.socket.send(&packet.to_bytes().unwrap()).await.unwrap();
    }

    pub(crate) async fn send_bytes(&self, bytes: &[u8]) {
        self.socket.send(bytes).await.unwrap();
    }

    /// The next message of the server.
    pub(crate) async fn receive(&self) -> Packet {
        let message = tokio::time::timeout(PATIENCE, self.receive_bytes()).await;
        Packet::from_bytes(&message.expect("a message of the server")).unwrap()
    }

    async fn receive_bytes(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let length = self.socket.recv(&mut buffer).await.unwrap();
        buffer.truncate(length);
        buffer
    }

    /// What comes within `span`, if anything does.
    pub(crate) async fn receive_within(&self, span: Duration) -> Option<Packet> {
        let message = tokio::time::timeout(span, self.receive_bytes()).await.ok()?;
        Some(Packet::from_bytes(&message).unwrap())
    }

    /// A request: method, path segments and queries.
    pub(crate) fn request(&mut self, method: u8, path: &str, queries: &[&str]) -> Packet {
        let mut packet = Packet::new();
        packet.header.set_type(CON);
        packet.header.code = MessageClass::from(method);
        packet.header.message_id = self.next_id();
        packet.set_token(vec![9, 9]);
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
        }
        for query in queries {
            packet.add_option(CoapOption::UriQuery, query.as_bytes().to_vec());
        }
        packet
    }

    pub(crate) fn register_request(&mut self, endpoint: &str, queries: &[&str]) -> Packet {
        let endpoint = format!("ep={endpoint}");
        let mut all = vec![endpoint.as_str()];
        for default in ["lt=60", "lwm2m=1.2", "b=U"] {
            let name = default.split('=').next().unwrap();
            if !queries.iter().any(|query| query.split('=').next() == Some(name)) {
                all.push(default);
            }
        }
        all.extend(queries);
        let mut packet = self.request(2, "rd", &all);
        set_number(&mut packet, CoapOption::ContentFormat, 40);
        packet.payload = OBJECTS.as_bytes().to_vec();
        packet
    }

    /// Sends a request and gives the next message.
    pub(crate) async fn ask(&self, packet: &Packet) -> Packet {
        self.send(packet).await;
        self.receive().await
    }

    pub(crate) async fn register(&mut self, endpoint: &str, queries: &[&str]) -> Packet {
        let packet = self.register_request(endpoint, queries);
        self.ask(&packet).await
    }

    pub(crate) async fn update(&mut self, location: &str, queries: &[&str]) -> Packet {
        let packet = self.request(2, location, queries);
        self.ask(&packet).await
    }

    /// The answer to a request in its acknowledgement.
    pub(crate) fn piggybacked(request: &Packet, code: Code, format: u16, payload: &[u8]) -> Packet {
        let mut packet = Packet::new();
        packet.header.set_type(ACK);
        packet.header.message_id = request.header.message_id;
        packet.header.code = MessageClass::from(code.byte());
        packet.set_token(request.get_token().to_vec());
        if !payload.is_empty() {
            set_number(&mut packet, CoapOption::ContentFormat, u32::from(format));
        }
        packet.payload = payload.to_vec();
        packet
    }

    /// Answers with 2.05 and text.
    pub(crate) async fn answer_text(&self, request: &Packet, text: &str) {
        let text_format = ContentFormat::TEXT.0;
        let packet = Self::piggybacked(request, Code::CONTENT, text_format, text.as_bytes());
        self.send(&packet).await;
    }

    /// A notification with text.
    pub(crate) fn notification(
        &mut self,
        token: &[u8],
        kind: MessageType,
        number: u32,
        text: &str,
    ) -> Packet {
        let mut packet = Packet::new();
        packet.header.set_type(kind);
        packet.header.message_id = self.next_id();
        packet.header.code = MessageClass::from(Code::CONTENT.byte());
        packet.set_token(token.to_vec());
        set_number(&mut packet, CoapOption::Observe, number);
        set_number(&mut packet, CoapOption::ContentFormat, 0);
        packet.payload = text.as_bytes().to_vec();
        packet
    }
}

/// An empty message.
pub(crate) fn empty(kind: MessageType, id: u16) -> Packet {
    let mut packet = Packet::new();
    packet.header.code = MessageClass::Empty;
    packet.header.set_type(kind);
    packet.header.message_id = id;
    packet
}
