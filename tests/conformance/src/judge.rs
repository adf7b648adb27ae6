//! The socket of a case and the state of its conversation.

use std::collections::{HashSet, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use coap_lite::{CoapOption, MessageType, Packet};

use crate::secure::Secure;
use crate::{Ask, Message};

/// The server of a case. It answers nothing by itself but the acknowledgement of a
/// separate response; what comes meanwhile waits until the test asks for it.
pub struct Judge {
    socket: UdpSocket,
    secure: Option<Secure>,
    device: Option<SocketAddr>,
    inbox: VecDeque<Message>,
    /// Message IDs of the agent, so that a retransmission is no second message.
    heard: HashSet<u16>,
    next: u16,
}

impl Judge {
    /// A server without security on a free port.
    pub fn plain() -> Self {
        Self::new(None)
    }

    /// A server with DTLS that knows one identity.
    pub fn psk(identity: &[u8], key: &[u8]) -> Self {
        Self::new(Some(Secure::new(identity, key)))
    }

    fn new(secure: Option<Secure>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let (inbox, heard) = (VecDeque::new(), HashSet::new());
        Self { socket, secure, device: None, inbox, heard, next: 1 }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket")
    }

    /// The DTLS link, if there is one.
    pub fn secure(&self) -> Option<&Secure> {
        self.secure.as_ref()
    }

    /// The next request of the agent, unanswered.
    #[track_caller]
    pub fn request(&mut self, within: Duration) -> Message {
        let found = self.take(Message::is_request, within);
        found.unwrap_or_else(|| panic!("no request within {within:?}"))
    }

    /// Takes a Register and answers 2.01 with the Location-Path `/rd/LOCATION`.
    #[track_caller]
    pub fn register(&mut self) -> Message {
        let request = self.request(LIMIT);
        assert_eq!(request.target(), "POST /rd", "{request:?}");
        let location = [b"rd".as_slice(), LOCATION.as_bytes()];
        self.answer(&request, "2.01", &location.map(|part| (CoapOption::LocationPath, part)));
        request
    }

    /// Takes an Update and answers 2.04.
    #[track_caller]
    pub fn update(&mut self, within: Duration) -> Message {
        let request = self.request(within);
        assert_eq!(request.target(), format!("POST /rd/{LOCATION}"), "{request:?}");
        self.answer(&request, "2.04", &[]);
        request
    }

    /// Takes a De-register and answers 2.02.
    #[track_caller]
    pub fn deregister(&mut self) -> Message {
        let request = self.request(LIMIT);
        assert_eq!(request.target(), format!("DELETE /rd/{LOCATION}"), "{request:?}");
        self.answer(&request, "2.02", &[]);
        request
    }

    /// Answers a request in its acknowledgement.
    pub fn answer(&mut self, request: &Message, code: &str, options: &[(CoapOption, &[u8])]) {
        let mut packet = Packet::new();
        packet.header.set_type(MessageType::Acknowledgement);
        packet.header.message_id = request.packet.header.message_id;
        packet.header.set_code(code);
        packet.set_token(request.packet.get_token().to_vec());
        for (option, value) in options {
            packet.add_option(*option, value.to_vec());
        }
        self.send_packet(&packet);
    }

    /// Sends a request and takes its answer, piggy-backed or not.
    #[track_caller]
    pub fn ask(&mut self, ask: &Ask) -> Message {
        let (id, token) = self.begin(ask);
        let found = self.take(|message| is_answer(message, id, &token, ask), LIMIT);
        let answer = found.unwrap_or_else(|| panic!("no answer within {LIMIT:?} to {ask:?}"));
        self.acknowledge(&answer);
        answer
    }

    /// Sends a request, and asserts that nothing answers it.
    #[track_caller]
    pub fn ask_in_vain(&mut self, ask: &Ask, wait: Duration) {
        let (id, token) = self.begin(ask);
        let answer = self.take(|message| is_answer(message, id, &token, ask), wait);
        assert!(answer.is_none(), "{answer:?}");
    }

    fn begin(&mut self, ask: &Ask) -> (u16, Vec<u8>) {
        let id = self.next;
        self.next += 1;
        let token = ask.token.clone().unwrap_or_else(|| id.to_be_bytes().to_vec());
        self.send(&ask.encode(id, &token));
        (id, token)
    }

    /// The next notification of the observation that `first` began; acknowledged, if
    /// it wants to be.
    #[track_caller]
    pub fn notification(&mut self, first: &Message, within: Duration) -> Message {
        let found = self.unacknowledged(first, within);
        self.acknowledge(&found);
        found
    }

    /// As [`Judge::notification`], but neither acknowledged nor reset.
    #[track_caller]
    pub fn unacknowledged(&mut self, first: &Message, within: Duration) -> Message {
        let token = first.packet.get_token();
        let found = self.take(|message| message.packet.get_token() == token, within);
        found.unwrap_or_else(|| panic!("no notification within {within:?}"))
    }

    /// Asserts that the observation that `first` began is over.
    #[track_caller]
    pub fn is_silent(&mut self, first: &Message, wait: Duration) {
        let token = first.packet.get_token();
        let found = self.take(|message| message.packet.get_token() == token, wait);
        assert!(found.is_none(), "{found:?}");
    }

    /// Acknowledges a confirmable message.
    pub fn acknowledge(&mut self, message: &Message) {
        if message.is_confirmable() {
            self.empty(MessageType::Acknowledgement, message);
        }
    }

    /// Answers a notification with a Reset.
    pub fn reset(&mut self, message: &Message) {
        self.empty(MessageType::Reset, message);
    }

    fn empty(&mut self, kind: MessageType, about: &Message) {
        let mut packet = Packet::new();
        packet.header.set_type(kind);
        packet.header.message_id = about.packet.header.message_id;
        packet.header.set_code("0.00");
        self.send_packet(&packet);
    }

    fn send_packet(&mut self, packet: &Packet) {
        self.send(&packet.to_bytes().expect("an answer of a test fits into a message"));
    }

    fn send(&mut self, message: &[u8]) {
        let device = self.device.expect("the agent has spoken first");
        let sealed = match &mut self.secure {
            Some(secure) => secure.seal(message),
            None => vec![message.to_vec()],
        };
        for datagram in sealed {
            self.socket.send_to(&datagram, device).expect("loopback takes a datagram");
        }
    }

    /// The first message that is wanted, of those that wait or come within the time.
    fn take(&mut self, wanted: impl Fn(&Message) -> bool, within: Duration) -> Option<Message> {
        let end = Instant::now() + within;
        loop {
            if let Some(place) = self.inbox.iter().position(&wanted) {
                return self.inbox.remove(place);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.listen(left);
        }
    }

    /// Waits for one datagram.
    fn listen(&mut self, within: Duration) {
        let mut buffer = [0; MAX_DATAGRAM];
        self.socket.set_read_timeout(Some(within)).expect("a time above zero");
        // Nothing in time, or the agent's port is closed: whoever waits will tell.
        let Ok((length, from)) = self.socket.recv_from(&mut buffer) else { return };
        self.device = Some(from);
        let datagram = &buffer[..length];
        let Some(secure) = &mut self.secure else {
            self.note(datagram);
            return;
        };
        let (messages, datagrams) = secure.open(datagram);
        for datagram in datagrams {
            self.socket.send_to(&datagram, from).expect("loopback takes a datagram");
        }
        for message in messages {
            self.note(&message);
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let message = Message::parse(bytes)
            .unwrap_or_else(|| panic!("the agent sent what is no CoAP: {bytes:02x?}"));
        let is_own_number = matches!(
            message.packet.header.get_type(),
            MessageType::Confirmable | MessageType::NonConfirmable
        );
        if is_own_number && !self.heard.insert(message.packet.header.message_id) {
            return;
        }
        // Empty, it only says that the answer comes later.
        let is_ack = message.packet.header.get_type() == MessageType::Acknowledgement;
        if !is_ack || !message.is_empty() {
            self.inbox.push_back(message);
        }
    }
}

/// Piggy-backed or separate; a notification of the observation that is asked about is
/// none.
fn is_answer(message: &Message, id: u16, token: &[u8], ask: &Ask) -> bool {
    let is_own = message.packet.get_token() == token;
    match message.packet.header.get_type() {
        MessageType::Acknowledgement => is_own && message.packet.header.message_id == id,
        MessageType::Reset => message.packet.header.message_id == id,
        _ => is_own && (ask.token.is_none() || message.observe().is_none()),
    }
}

/// For what the agent does at once, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);
/// The name of every registration: each judge has one device.
const LOCATION: &str = "5a3f";
const MAX_DATAGRAM: usize = 4096;
