//! Datagrams as messages (RFC 7252 3): the decoder, which borrows and never panics.
//!
//! [`Message::decode`] checks the whole structure once, so that walking the
//! options afterwards cannot fail. What a message means is the endpoint's affair.

use std::borrow::Cow;
use std::str::{self, Utf8Error};

use lwm2m_model::{Code, ContentFormat};

use crate::{Token, option};

/// A decoded message. It borrows the datagram; what came in several is put together
/// and owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Type.
    pub kind: Kind,
    /// Method of a request, result of a response, 0.00 of an empty message.
    pub code: Code,
    /// Message id; an ACK or RST repeats that of the message it answers.
    pub id: u16,
    /// Token; a response repeats that of its request.
    pub token: Token,
    /// The options as on the wire, without the payload marker.
    pub(crate) options: Cow<'a, [u8]>,
    /// Payload; empty if there is none.
    pub payload: Cow<'a, [u8]>,
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// If the datagram is no message of RFC 7252 3, or its code is of a reserved
    /// class (4.2).
    pub fn decode(datagram: &'a [u8]) -> Result<Self, MessageError> {
        let (&[first, code, id_high, id_low], rest) =
            datagram.split_first_chunk::<4>().ok_or(MessageError::Short(datagram.len()))?;
        let version = first >> 6;
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        let code = Code::from_byte(code);
        if code == method::EMPTY && (first & 0x0f != 0 || !rest.is_empty()) {
            return Err(MessageError::NotEmpty);
        }
        if matches!(code.class(), 1 | 6 | 7) {
            return Err(MessageError::Class(code));
        }
        let token_length = first & 0x0f;
        if usize::from(token_length) > Token::MAX_LEN {
            return Err(MessageError::TokenLength(token_length));
        }
        let (token, rest) =
            rest.split_at_checked(usize::from(token_length)).ok_or(MessageError::Truncated)?;
        let token = Token::new(token).ok_or(MessageError::TokenLength(token_length))?;

        let mut left = Options { rest, number: 0 };
        while left.read()?.is_some() {}
        let (options, payload) =
            rest.split_at_checked(rest.len() - left.rest.len()).ok_or(MessageError::Truncated)?;
        let payload = match payload.split_first() {
            None => payload,
            Some((_, [])) => return Err(MessageError::EmptyPayload),
            Some((_, payload)) => payload,
        };
        let kind = Kind::from_bits(first >> 4);
        let id = u16::from_be_bytes([id_high, id_low]);
        let (options, payload) = (Cow::Borrowed(options), Cow::Borrowed(payload));
        Ok(Self { kind, code, id, token, options, payload })
    }

    /// All options, ascending by number.
    pub fn options(&self) -> impl Iterator<Item = (u16, &[u8])> {
        Options { rest: &self.options, number: 0 }
    }

    /// The value of the first option with this number.
    pub fn option(&self, number: u16) -> Option<&[u8]> {
        self.options().find(|(found, _)| *found == number).map(|(_, value)| value)
    }

    /// The first option with this number as an unsigned integer; `None` also if
    /// it is longer than four bytes (RFC 7252 3.2).
    pub fn option_uint(&self, number: u16) -> Option<u32> {
        uint(self.option(number)?)
    }

    /// Values of a repeatable text option; `Err` for invalid UTF-8.
    pub fn texts(&self, number: u16) -> impl Iterator<Item = Result<&str, Utf8Error>> {
        self.options()
            .filter(move |(found, _)| *found == number)
            .map(|(_, value)| str::from_utf8(value))
    }

    /// Content-Format of the payload; `None` also for a value that is too long,
    /// since an option of wrong length counts as unknown (RFC 7252 5.4.3).
    pub fn content_format(&self) -> Option<ContentFormat> {
        self.format(option::CONTENT_FORMAT)
    }

    /// Content-Format that the peer wants.
    pub fn accept(&self) -> Option<ContentFormat> {
        self.format(option::ACCEPT)
    }

    /// Observe: 0 registers, 1 deregisters, a sequence number in notifications
    /// (RFC 7641 2); `None` also for a value of more than 24 bits.
    pub fn observe(&self) -> Option<u32> {
        self.option(option::OBSERVE).filter(|value| value.len() <= 3).and_then(uint)
    }

    /// True for a request of which this is a block that others follow (RFC 7959 2.2).
    pub fn is_incomplete(&self) -> bool {
        self.code.class() == 0 && self.option_uint(option::BLOCK1).is_some_and(|it| it & 8 != 0)
    }

    /// Bytes before the payload, its marker included.
    pub(crate) fn head_len(&self) -> usize {
        HEADER + self.token.as_bytes().len() + self.options.len() + 1
    }

    fn format(&self, number: u16) -> Option<ContentFormat> {
        self.option_uint(number).and_then(|id| u16::try_from(id).ok()).map(ContentFormat)
    }
}

/// Type of a message (RFC 7252 4.2, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CON: repeated until acknowledged.
    Confirmable,
    /// NON: sent once.
    NonConfirmable,
    /// ACK.
    Acknowledgement,
    /// RST: the message could not be used.
    Reset,
}

impl Kind {
    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Confirmable,
            1 => Self::NonConfirmable,
            2 => Self::Acknowledgement,
            _ => Self::Reset,
        }
    }

    /// The first byte of a message with a token of this length.
    pub(crate) fn first_byte(self, token: &Token) -> u8 {
        (VERSION << 6) | ((self as u8) << 4) | (token.as_bytes().len() as u8 & 0x0f)
    }
}

/// Methods: codes of class 0.
pub mod method {
    use lwm2m_model::Code;

    /// No method: the code of an empty message.
    pub const EMPTY: Code = Code::new(0, 0);
    /// GET
    pub const GET: Code = Code::new(0, 1);
    /// POST
    pub const POST: Code = Code::new(0, 2);
    /// PUT
    pub const PUT: Code = Code::new(0, 3);
    /// DELETE
    pub const DELETE: Code = Code::new(0, 4);
    /// FETCH (RFC 8132)
    pub const FETCH: Code = Code::new(0, 5);
    /// PATCH (RFC 8132)
    pub const PATCH: Code = Code::new(0, 6);
    /// iPATCH (RFC 8132)
    pub const IPATCH: Code = Code::new(0, 7);
}

/// Why a datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Less than a header.
    #[error("a message has at least 4 bytes, got {0}")]
    Short(usize),
    /// A version other than 1; such datagrams are to be ignored (RFC 7252 3).
    #[error("version {0}, expected 1")]
    Version(u8),
    /// Code 0.00 with a token, options or payload (RFC 7252 4.1).
    #[error("an empty message ends after its id")]
    NotEmpty,
    /// A code of class 1, 6 or 7 (RFC 7252 4.2).
    #[error("code {0} is of a reserved class")]
    Class(Code),
    /// A token of more than 8 bytes.
    #[error("token length {0}, at most 8")]
    TokenLength(u8),
    /// The datagram ends inside the token or an option.
    #[error("the datagram ends inside its token or an option")]
    Truncated,
    /// Delta or length 15 of an option.
    #[error("option header 0x{0:02x} is reserved")]
    OptionHeader(u8),
    /// Deltas that add up to more than 16 bits.
    #[error("option number {0}, at most 65535")]
    OptionNumber(u32),
    /// A payload marker with nothing behind it.
    #[error("payload marker without payload")]
    EmptyPayload,
}

/// The options that are left to read.
struct Options<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Options<'a> {
    /// The next option, or `None` at the payload marker or the end; `rest` is then there.
    fn read(&mut self) -> Result<Option<(u16, &'a [u8])>, MessageError> {
        let (&header, rest) = match self.rest.split_first() {
            None | Some((&PAYLOAD_MARKER, _)) => return Ok(None),
            Some(split) => split,
        };
        let (delta, rest) = extended(header, header >> 4, rest)?;
        let (length, rest) = extended(header, header & 0x0f, rest)?;
        let number = u32::from(self.number) + delta;
        let value = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let (value, rest) = value.ok_or(MessageError::Truncated)?;
        self.number = u16::try_from(number).map_err(|_| MessageError::OptionNumber(number))?;
        self.rest = rest;
        Ok(Some((self.number, value)))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.read().ok().flatten()
    }
}

/// Delta or length of an option from its nibble and the bytes that follow (RFC 7252 3.1).
fn extended(header: u8, nibble: u8, rest: &[u8]) -> Result<(u32, &[u8]), MessageError> {
    match nibble {
        13 => {
            let (&byte, rest) = rest.split_first().ok_or(MessageError::Truncated)?;
            Ok((u32::from(byte) + 13, rest))
        }
        14 => {
            let (&bytes, rest) = rest.split_first_chunk().ok_or(MessageError::Truncated)?;
            Ok((u32::from(u16::from_be_bytes(bytes)) + 269, rest))
        }
        15 => Err(MessageError::OptionHeader(header)),
        direct => Ok((u32::from(direct), rest)),
    }
}

/// An option value as an unsigned integer, big endian, leading zeros allowed.
pub(crate) fn uint(value: &[u8]) -> Option<u32> {
    let fits = value.len() <= 4;
    fits.then(|| value.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
}

pub(crate) const PAYLOAD_MARKER: u8 = 0xff;
/// Version, type, token length, code and message id.
pub(crate) const HEADER: usize = 4;
const VERSION: u8 = 1;
