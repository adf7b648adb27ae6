//! The options of a message to send: one flat buffer, sorted by number.
//!
//! A record is number and length, two bytes each, then the value. Messages of
//! ours have few options, mostly added in order, so adding is an append.

use crate::message::PAYLOAD_MARKER;

/// Options, ascending by number; equal numbers in the order they were added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OptionList {
    records: Vec<u8>,
}

impl OptionList {
    /// Adds an option behind those with the same number. A value of more than
    /// 65,535 bytes is cut there; no datagram could hold it.
    pub(crate) fn add(&mut self, number: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let value = value.get(..usize::from(length)).unwrap_or(value);
        let [n0, n1] = number.to_be_bytes();
        let [l0, l1] = length.to_be_bytes();
        let at = self.end_of(|found| found <= number);
        if at == self.records.len() {
            self.records.reserve(RECORD_HEADER + value.len());
            self.records.extend_from_slice(&[n0, n1, l0, l1]);
            self.records.extend_from_slice(value);
        } else {
            let record = [n0, n1, l0, l1].into_iter().chain(value.iter().copied());
            self.records.splice(at..at, record);
        }
    }

    /// As [`Self::add`], for an unsigned integer: as few bytes as hold it (RFC 7252 3.2).
    pub(crate) fn add_uint(&mut self, number: u16, value: u32) {
        let bytes = value.to_be_bytes();
        let zeros = value.leading_zeros() as usize / 8;
        self.add(number, bytes.get(zeros..).unwrap_or_default());
    }

    /// Takes out every option with this number.
    pub(crate) fn remove(&mut self, number: u16) {
        let from = self.end_of(|found| found < number);
        let to = self.end_of(|found| found <= number);
        self.records.drain(from..to);
    }

    /// The first option with this number.
    pub(crate) fn get(&self, number: u16) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == number).map(|(_, value)| value)
    }

    /// Bytes that the options take on the wire.
    pub(crate) fn wire_len(&self) -> usize {
        let mut previous = 0;
        self.iter()
            .map(|(number, value)| {
                let delta = number - std::mem::replace(&mut previous, number);
                let extra = |n: usize| usize::from(n >= 13) + usize::from(n >= 269);
                1 + extra(usize::from(delta)) + extra(value.len()) + value.len()
            })
            .sum()
    }

    /// Writes the options (RFC 7252 3.1).
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut previous = 0;
        for (number, value) in self.iter() {
            let delta = split(usize::from(number - std::mem::replace(&mut previous, number)));
            let length = split(value.len());
            out.push((delta.nibble << 4) | length.nibble);
            delta.write_extension(out);
            length.write_extension(out);
            out.extend_from_slice(value);
        }
    }

    /// Writes the payload with its marker; nothing for an empty one.
    pub(crate) fn write_payload(payload: &[u8], out: &mut Vec<u8>) {
        if !payload.is_empty() {
            out.push(PAYLOAD_MARKER);
            out.extend_from_slice(payload);
        }
    }

    fn iter(&self) -> Records<'_> {
        Records { rest: &self.records }
    }

    /// Where the leading records whose number is `within` end.
    fn end_of(&self, within: impl Fn(u16) -> bool) -> usize {
        self.iter()
            .take_while(|(number, _)| within(*number))
            .map(|(_, value)| RECORD_HEADER + value.len())
            .sum()
    }
}

struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[n0, n1, l0, l1], rest) = self.rest.split_first_chunk::<RECORD_HEADER>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        self.rest = rest;
        Some((u16::from_be_bytes([n0, n1]), value))
    }
}

/// A delta or length as its nibble and the bytes that extend it.
struct Split {
    nibble: u8,
    extension: u16,
}

/// `n` is at most 65,535, so an extension of 16 bits holds it.
fn split(n: usize) -> Split {
    let extend =
        |nibble, base| Split { nibble, extension: u16::try_from(n - base).unwrap_or(u16::MAX) };
    match n {
        0..13 => Split { nibble: n as u8, extension: 0 },
        13..269 => extend(13, 13),
        _ => extend(14, 269),
    }
}

impl Split {
    fn write_extension(&self, out: &mut Vec<u8>) {
        let [high, low] = self.extension.to_be_bytes();
        match self.nibble {
            13 => out.push(low),
            14 => out.extend_from_slice(&[high, low]),
            _ => {}
        }
    }
}

const RECORD_HEADER: usize = 4;
