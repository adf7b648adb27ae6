//! Requests of the server, and what we need of CoAP beyond the `coap-lite` crate.

use std::fmt::Write as _;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lwm2m_model::{Code, ContentFormat};

/// Method codes (RFC 7252 12.1.1, RFC 8132).
pub mod method {
    /// GET
    pub const GET: u8 = 1;
    /// POST
    pub const POST: u8 = 2;
    /// PUT
    pub const PUT: u8 = 3;
    /// DELETE
    pub const DELETE: u8 = 4;
    /// FETCH
    pub const FETCH: u8 = 5;
    /// iPATCH
    pub const IPATCH: u8 = 7;
}

/// Option numbers that stories name.
pub mod option {
    /// If-None-Match, critical and of no use here.
    pub const IF_NONE_MATCH: u16 = 5;
    /// Observe
    pub const OBSERVE: u16 = 6;
    /// Block2
    pub const BLOCK2: u16 = 23;
    /// Block1
    pub const BLOCK1: u16 = 27;
    /// Size1
    pub const SIZE1: u16 = 60;
    /// Echo
    pub const ECHO: u16 = 252;
    /// Request-Tag
    pub const REQUEST_TAG: u16 = 292;
}

/// A request that a story wants the server to send.
#[derive(Debug, Clone)]
pub struct Ask {
    pub(crate) method: u8,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
    pub(crate) confirmable: bool,
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) observed: Option<String>,
    pub(crate) cancels: bool,
    pub(crate) uninvited: bool,
    /// Where the block begins that goes out, and its size exponent.
    pub(crate) block: Option<(usize, u32)>,
}

impl Ask {
    /// A request with this method on this path.
    pub fn new(method: u8, path: &str) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        Self {
            method,
            options: segments
                .map(|segment| (u16::from(CoapOption::UriPath), segment.into()))
                .collect(),
            payload: Vec::new(),
            confirmable: true,
            token: None,
            observed: None,
            cancels: false,
            uninvited: false,
            block: None,
        }
    }

    /// Read (Core 6.1).
    pub fn read(path: &str) -> Self {
        Self::new(method::GET, path)
    }

    /// Discover (Core 6.2).
    pub fn discover(path: &str) -> Self {
        Self::read(path).accept(ContentFormat::LINK)
    }

    /// Write, replacing (Core 6.3).
    pub fn write(path: &str, format: ContentFormat, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(method::PUT, path).content(format, payload)
    }

    /// Write, partial update (Core 6.3).
    pub fn update(path: &str, format: ContentFormat, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(method::POST, path).content(format, payload)
    }

    /// Create (Core 6.5).
    pub fn create(path: &str, format: ContentFormat, payload: impl Into<Vec<u8>>) -> Self {
        Self::update(path, format, payload)
    }

    /// Delete (Core 6.6).
    pub fn delete(path: &str) -> Self {
        Self::new(method::DELETE, path)
    }

    /// Write-Attributes (Core 3.4) with a query such as `pmin=1&pmax=5`.
    pub fn attributes(path: &str, query: &str) -> Self {
        Self::new(method::PUT, path).query(query)
    }

    /// Execute (Core 6.4) with arguments such as `0='U',3`.
    pub fn execute(path: &str, arguments: &str) -> Self {
        Self { payload: arguments.into(), ..Self::new(method::POST, path) }
    }

    /// Observe (Core 8.1) with attributes in the query, perhaps none.
    pub fn observe(path: &str, query: &str) -> Self {
        let ask = Self::read(path).option(option::OBSERVE, []).query(query);
        Self { observed: Some(path.to_owned()), ..ask }
    }

    /// Cancel Observation (Core 8.3) of this token.
    pub fn cancel(path: &str, token: &[u8]) -> Self {
        let ask = Self::read(path).option(option::OBSERVE, [1]).token(token);
        Self { cancels: true, ..ask }
    }

    /// With these query parameters, each an option of its own.
    #[must_use]
    pub fn query(self, query: &str) -> Self {
        query
            .split('&')
            .filter(|parameter| !parameter.is_empty())
            .fold(self, |ask, parameter| ask.option(CoapOption::UriQuery.into(), parameter))
    }

    /// With an Accept option.
    #[must_use]
    pub fn accept(self, format: ContentFormat) -> Self {
        self.option(CoapOption::Accept.into(), uint(u32::from(format.0)))
    }

    /// With a payload of this format.
    #[must_use]
    pub fn content(self, format: ContentFormat, payload: impl Into<Vec<u8>>) -> Self {
        let ask = self.option(CoapOption::ContentFormat.into(), uint(u32::from(format.0)));
        Self { payload: payload.into(), ..ask }
    }

    /// With a payload whose format is not said.
    #[must_use]
    pub fn unlabelled(self, payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..self }
    }

    /// With any option.
    #[must_use]
    pub fn option(mut self, number: u16, value: impl AsRef<[u8]>) -> Self {
        self.options.push((number, value.as_ref().to_vec()));
        self
    }

    /// With this token instead of a fresh one.
    #[must_use]
    pub fn token(self, token: &[u8]) -> Self {
        Self { token: Some(token.to_vec()), ..self }
    }

    /// Sent non-confirmable.
    #[must_use]
    pub fn unconfirmed(self) -> Self {
        Self { confirmable: false, ..self }
    }

    /// Sent at once to wherever the device was last heard, registered or not.
    #[must_use]
    pub fn uninvited(self) -> Self {
        Self { uninvited: true, ..self }
    }

    /// Sent in blocks of 2^(exponent + 4) bytes (RFC 7959 2.5).
    #[must_use]
    pub fn in_blocks(self, exponent: u32) -> Self {
        Self { block: Some((0, exponent)), ..self }
    }

    /// One block of a value alone, with its number, in 2^(exponent + 4) bytes.
    #[must_use]
    pub fn block(self, number: usize, exponent: u32) -> Self {
        let size = 16 << exponent;
        let (offset, end) = (number * size, ((number + 1) * size).min(self.payload.len()));
        let more = end < self.payload.len();
        let block = Block { number: number as u32, more, exponent };
        let payload = self.payload[offset.min(end)..end].to_vec();
        Self { payload, ..self.option(option::BLOCK1, block.value()) }
    }

    /// Goes to the block that follows when the device has said go on; false if none does.
    pub(crate) fn advance(&mut self, answer: &Packet) -> bool {
        let wanted = Block::of(answer, CoapOption::Block1);
        let (Some((offset, exponent)), Some(wanted)) = (self.block, wanted) else { return false };
        self.block = Some((offset + (16 << exponent), wanted.exponent.min(exponent)));
        true
    }

    pub(crate) fn packet(&self, token: &[u8], id: u16) -> Packet {
        let mut packet = Packet::new();
        packet.header.code = MessageClass::from(self.method);
        packet.header.message_id = id;
        packet.header.set_type(if self.confirmable {
            MessageType::Confirmable
        } else {
            MessageType::NonConfirmable
        });
        packet.set_token(token.to_vec());
        for (number, value) in &self.options {
            packet.add_option(CoapOption::from(*number), value.clone());
        }
        if let Some((offset, exponent)) = self.block {
            let end = (offset + (16 << exponent)).min(self.payload.len());
            let block = Block {
                number: (offset >> (exponent + 4)) as u32,
                more: end < self.payload.len(),
                exponent,
            };
            packet.add_option(CoapOption::Block1, block.value());
            packet.payload = self.payload[offset.min(end)..end].to_vec();
        } else {
            packet.payload.clone_from(&self.payload);
        }
        packet
    }
}

/// An option that `coap-lite` has no name for.
pub(crate) const ECHO: CoapOption = CoapOption::Unknown(option::ECHO);

/// A Block1 or Block2 value: number, whether more follow, size exponent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) number: u32,
    pub(crate) more: bool,
    pub(crate) exponent: u32,
}

impl Block {
    pub(crate) fn of(packet: &Packet, option: CoapOption) -> Option<Self> {
        let value = number(packet, option)?;
        Some(Self { number: value >> 4, more: value & 8 != 0, exponent: value & 7 })
    }

    pub(crate) fn asking_for(self, number: u32) -> Vec<u8> {
        Self { number, more: false, ..self }.value()
    }

    pub(crate) fn value(self) -> Vec<u8> {
        uint((self.number << 4) | (u32::from(self.more) << 3) | self.exponent)
    }

    pub(crate) fn offset(self) -> usize {
        (self.number as usize) << (self.exponent + 4)
    }
}

pub(crate) fn empty(message_type: MessageType, id: u16) -> Packet {
    let mut packet = Packet::new();
    packet.header.code = MessageClass::Empty;
    packet.header.set_type(message_type);
    packet.header.message_id = id;
    packet
}

pub(crate) fn code(packet: &Packet) -> Code {
    Code::from_byte(packet.header.code.into())
}

pub(crate) fn number(packet: &Packet, option: CoapOption) -> Option<u32> {
    let bytes = packet.get_first_option(option)?;
    (bytes.len() <= 4).then(|| bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
}

pub(crate) fn format(packet: &Packet) -> Option<ContentFormat> {
    let number = number(packet, CoapOption::ContentFormat)?;
    u16::try_from(number).ok().map(ContentFormat)
}

pub(crate) fn texts(packet: &Packet, option: CoapOption) -> Vec<String> {
    let values = packet.get_option(option).into_iter().flatten();
    values.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

/// An unsigned integer in its shortest form (RFC 7252 3.2).
pub(crate) fn uint(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

pub(crate) fn bytes(packet: &Packet) -> Vec<u8> {
    packet.to_bytes_unlimited().unwrap_or_default()
}

/// One line for the log.
pub(crate) fn summary(datagram: &[u8]) -> String {
    let Ok(packet) = Packet::from_bytes(datagram) else {
        return format!("{} bytes that are no message", datagram.len());
    };
    let mut line =
        format!("{:?} {} id={}", packet.header.get_type(), code(&packet), packet.header.message_id);
    if !packet.get_token().is_empty() {
        let _ = write!(line, " token={:02x?}", packet.get_token());
    }
    for (separator, option) in [('/', CoapOption::UriPath), ('?', CoapOption::UriQuery)] {
        for text in texts(&packet, option) {
            let _ = write!(line, "{separator}{text}");
        }
    }
    if let Some(observe) = number(&packet, CoapOption::Observe) {
        let _ = write!(line, " observe={observe}");
    }
    let _ = write!(line, " payload={}", packet.payload.len());
    line
}
