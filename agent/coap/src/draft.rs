//! Messages to send, before the endpoint gives them kind, id, token and blocks.

use std::ops::Range;

use lwm2m_model::{Code, ContentFormat};

use crate::message::HEADER;
use crate::option_list::OptionList;
use crate::{Kind, Token, option};

/// A message to send, without what the endpoint adds (kind, id, token, blocks).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Method or result.
    pub code: Code,
    options: OptionList,
    /// Payload; empty for none.
    pub payload: Vec<u8>,
}

impl Draft {
    /// A message without options and payload.
    pub fn new(code: Code) -> Self {
        Self { code, options: OptionList::default(), payload: Vec::new() }
    }

    /// Adds an option; any order, equal numbers stay in the order of the calls.
    /// A value of more than 65,535 bytes is cut there.
    #[must_use]
    pub fn option(mut self, number: u16, value: &[u8]) -> Self {
        self.options.add(number, value);
        self
    }

    /// Adds an option that is an unsigned integer.
    #[must_use]
    pub fn option_uint(mut self, number: u16, value: u32) -> Self {
        self.options.add_uint(number, value);
        self
    }

    /// Content-Format and payload.
    #[must_use]
    pub fn content(mut self, format: ContentFormat, payload: Vec<u8>) -> Self {
        self.payload = payload;
        self.option_uint(option::CONTENT_FORMAT, u32::from(format.0))
    }

    /// The whole datagram, for tests and other bindings.
    pub fn encode(&self, kind: Kind, id: u16, token: Token) -> Vec<u8> {
        self.encode_part(kind, id, token, 0..self.payload.len())
    }

    /// The datagram with a part of the payload.
    pub(crate) fn encode_part(
        &self,
        kind: Kind,
        id: u16,
        token: Token,
        part: Range<usize>,
    ) -> Vec<u8> {
        let payload = self.payload.get(part).unwrap_or_default();
        let mut out = Vec::with_capacity(self.head_len(token) + payload.len());
        let [id_high, id_low] = id.to_be_bytes();
        out.extend_from_slice(&[kind.first_byte(&token), self.code.byte(), id_high, id_low]);
        out.extend_from_slice(token.as_bytes());
        self.options.write(&mut out);
        OptionList::write_payload(payload, &mut out);
        out
    }

    /// Bytes before the payload, its marker included.
    pub(crate) fn head_len(&self, token: Token) -> usize {
        HEADER + token.as_bytes().len() + self.options.wire_len() + 1
    }

    pub(crate) fn has_option(&self, number: u16) -> bool {
        self.options.get(number).is_some()
    }

    /// The value of the first option with this number.
    pub(crate) fn option_value(&self, number: u16) -> Option<&[u8]> {
        self.options.get(number)
    }

    pub(crate) fn add_option(&mut self, number: u16, value: &[u8]) {
        self.options.add(number, value);
    }

    pub(crate) fn add_option_uint(&mut self, number: u16, value: u32) {
        self.options.add_uint(number, value);
    }

    pub(crate) fn remove_option(&mut self, number: u16) {
        self.options.remove(number);
    }
}
