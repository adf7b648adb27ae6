//! Requests of the judge, and messages of the agent as they were on the wire.

use std::fmt;
use std::time::Instant;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};

/// A request to the agent.
#[derive(Debug, Clone)]
pub struct Ask {
    method: RequestType,
    options: Vec<(CoapOption, Vec<u8>)>,
    payload: Vec<u8>,
    pub(crate) token: Option<Vec<u8>>,
}

/// A message from the agent.
#[derive(Clone)]
pub struct Message {
    /// As coap-lite reads it.
    pub packet: Packet,
    /// The bytes, out of DTLS if there is DTLS.
    pub bytes: Vec<u8>,
    /// When the judge took it from the socket.
    pub at: Instant,
}

impl Ask {
    /// Read; with an Accept of 40 it is Discover.
    pub fn get(path: &str) -> Self {
        Self::new(RequestType::Get, path)
    }

    /// Write, or Write-Attributes without a payload.
    pub fn put(path: &str) -> Self {
        Self::new(RequestType::Put, path)
    }

    /// Execute, Create or partial Write.
    pub fn post(path: &str) -> Self {
        Self::new(RequestType::Post, path)
    }

    /// Delete.
    pub fn delete(path: &str) -> Self {
        Self::new(RequestType::Delete, path)
    }

    /// Discover.
    pub fn discover(path: &str) -> Self {
        Self::get(path).accept(40)
    }

    fn new(method: RequestType, path: &str) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let options = segments.map(|part| (CoapOption::UriPath, part.into())).collect();
        Self { method, options, payload: Vec::new(), token: None }
    }

    /// The format that the answer must have.
    #[must_use]
    pub fn accept(self, format: u16) -> Self {
        self.option(CoapOption::Accept, number(format.into()))
    }

    /// An Observe option: 0 registers, 1 cancels.
    #[must_use]
    pub fn observe(self, value: u32) -> Self {
        self.option(CoapOption::Observe, number(value))
    }

    /// The token of an observation, for what concerns that one.
    #[must_use]
    pub fn about(mut self, first: &Message) -> Self {
        self.token = Some(first.packet.get_token().to_vec());
        self
    }

    /// A parameter such as `pmin=5`; several with `&` between them.
    #[must_use]
    pub fn query(mut self, parameters: &str) -> Self {
        for parameter in parameters.split('&') {
            self = self.option(CoapOption::UriQuery, parameter.into());
        }
        self
    }

    /// A payload and its format.
    #[must_use]
    pub fn content(mut self, format: u16, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self.option(CoapOption::ContentFormat, number(format.into()))
    }

    fn option(mut self, option: CoapOption, value: Vec<u8>) -> Self {
        self.options.push((option, value));
        self
    }

    /// The confirmable message with this ID and token.
    pub(crate) fn encode(&self, id: u16, token: &[u8]) -> Vec<u8> {
        let mut packet = Packet::new();
        packet.header.set_type(MessageType::Confirmable);
        packet.header.message_id = id;
        packet.header.code = MessageClass::Request(self.method);
        packet.set_token(token.to_vec());
        for (option, value) in &self.options {
            packet.add_option(*option, value.clone());
        }
        packet.payload.clone_from(&self.payload);
        packet.to_bytes().expect("a request of a test fits into a message")
    }
}

impl Message {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let packet = Packet::from_bytes(bytes).ok()?;
        Some(Self { packet, bytes: bytes.to_vec(), at: Instant::now() })
    }

    /// The code byte, written as RFC 7252 does: `2.05`.
    pub fn code(&self) -> String {
        let byte = self.bytes[1];
        format!("{}.{:02}", byte >> 5, byte & 0x1F)
    }

    pub(crate) fn is_request(&self) -> bool {
        (0x01..0x20).contains(&self.bytes[1])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes[1] == 0
    }

    /// True for a message that wants an acknowledgement.
    pub fn is_confirmable(&self) -> bool {
        self.packet.header.get_type() == MessageType::Confirmable
    }

    /// The values of an option, in order.
    pub fn option(&self, option: CoapOption) -> Vec<Vec<u8>> {
        self.packet.get_option(option).into_iter().flatten().cloned().collect()
    }

    /// The method and the Uri-Path: `POST /rd`.
    pub fn target(&self) -> String {
        let method = match self.bytes[1] {
            1 => "GET",
            2 => "POST",
            3 => "PUT",
            4 => "DELETE",
            other => panic!("a device sends no request with code {other}: {self:?}"),
        };
        let path: String = self.texts(CoapOption::UriPath).map(|part| format!("/{part}")).collect();
        format!("{method} {path}")
    }

    /// The Uri-Query options, sorted.
    pub fn query(&self) -> Vec<String> {
        let mut all: Vec<String> = self.texts(CoapOption::UriQuery).collect();
        all.sort();
        all
    }

    fn texts(&self, option: CoapOption) -> impl Iterator<Item = String> {
        self.option(option).into_iter().map(|text| String::from_utf8(text).expect("UTF-8"))
    }

    /// The Content-Format, if the option is there.
    pub fn format(&self) -> Option<u16> {
        let value = self.option(CoapOption::ContentFormat).into_iter().next()?;
        Some(value.into_iter().fold(0, |all, byte| (all << 8) | u16::from(byte)))
    }

    /// The Observe option, if it is there.
    pub fn observe(&self) -> Option<u32> {
        let value = self.option(CoapOption::Observe).into_iter().next()?;
        Some(value.into_iter().fold(0, |all, byte| (all << 8) | u32::from(byte)))
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.packet.payload
    }

    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.payload()).expect("a payload of text")
    }

    /// Asserts the code; gives the message back.
    #[track_caller]
    pub fn is(self, code: &str) -> Self {
        assert_eq!(self.code(), code, "{self:?}");
        self
    }

    /// Asserts 2.05 and the Content-Format.
    #[track_caller]
    pub fn holds(self, format: u16) -> Self {
        assert_eq!((self.code().as_str(), self.format()), ("2.05", Some(format)), "{self:?}");
        self
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code())?;
        for (number, values) in self.packet.options() {
            for value in values {
                write!(f, "[{number}: {}] ", value.escape_ascii())?;
            }
        }
        write!(f, "{} ({:02x?})", self.payload().escape_ascii(), self.payload())
    }
}

/// A number of CoAP: big-endian without leading zero bytes.
fn number(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}
