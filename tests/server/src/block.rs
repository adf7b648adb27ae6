//! The Block options (RFC 7959 2.2), by which a body goes in several messages.

use std::fmt;
use std::str::FromStr;

use coap_lite::{CoapOption, Packet};

use crate::message;

/// Bytes of a block: 16, 32, 64, 128, 256, 512 or 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockSize {
    exponent: u8,
}

impl BlockSize {
    /// 1024 bytes.
    pub const LARGEST: Self = Self { exponent: 6 };

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        16 << self.exponent
    }
}

impl fmt::Display for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes())
    }
}

impl FromStr for BlockSize {
    type Err = BlockSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = (0..=Self::LARGEST.exponent).map(|exponent| Self { exponent });
        let bytes = text.parse().ok();
        all.into_iter()
            .find(|size| Some(size.bytes()) == bytes)
            .ok_or_else(|| BlockSizeError(text.to_owned()))
    }
}

/// Not the size of a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a block has 16, 32, 64, 128, 256, 512 or 1024 bytes, not \"{0}\"")]
pub struct BlockSizeError(String);

/// The value of a Block1 or Block2 option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// In units of the size, below 2^20.
    pub(crate) number: u32,
    pub(crate) more: bool,
    pub(crate) size: BlockSize,
}

impl Block {
    /// The block that starts at `offset`, a multiple of its size.
    pub(crate) fn at(offset: usize, size: BlockSize) -> Self {
        let number = u32::try_from(offset / size.bytes()).unwrap_or(u32::MAX);
        Self { number, more: false, size }
    }

    /// What this option of a message says; `Err` if it is malformed.
    pub(crate) fn of(packet: &Packet, option: CoapOption) -> Result<Option<Self>, &'static str> {
        if packet.get_first_option(option).is_none() {
            return Ok(None);
        }
        let value = message::number(packet, option).filter(|value| *value < 1 << 24);
        let value = value.ok_or("a malformed Block option")?;
        let size = BlockSize { exponent: u8::try_from(value & 7).unwrap_or(7) };
        if size > BlockSize::LARGEST {
            return Err("a Block option with the reserved size 7");
        }
        Ok(Some(Self { number: value >> 4, more: value & 8 != 0, size }))
    }

    /// Where the block starts in its body.
    pub(crate) fn offset(self) -> usize {
        self.number as usize * self.size.bytes()
    }

    /// True if a payload of so many bytes can be this block: full unless it is the last.
    pub(crate) fn fits(self, len: usize) -> bool {
        len == self.size.bytes() || !self.more && len < self.size.bytes()
    }

    /// Replaces the option of a message.
    pub(crate) fn put(self, option: CoapOption, packet: &mut Packet) {
        let size = u32::from(self.size.exponent);
        message::set_number(packet, option, self.number << 4 | u32::from(self.more) << 3 | size);
    }

    /// Makes a request ask for the block after this one.
    pub(crate) fn ask_next(self, request: &mut Packet) {
        Self { number: self.number + 1, more: false, ..self }.put(CoapOption::Block2, request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_beyond_4095_keeps_its_number() {
        let mut packet = Packet::new();
        let size: BlockSize = "64".parse().unwrap();
        Block { number: 4999, more: true, size }.ask_next(&mut packet);
        let read = Block::of(&packet, CoapOption::Block2).unwrap().unwrap();
        assert_eq!(read, Block { number: 5000, more: false, size });
        assert_eq!((read.offset(), Block::at(320_000, size)), (320_000, read));
    }

    #[test]
    fn only_the_sizes_of_blocks_are_sizes() {
        for text in ["16", "1024"] {
            assert_eq!(text.parse::<BlockSize>().unwrap().to_string(), text);
        }
        for text in ["", "0", "8", "100", "2048", "-16", "large"] {
            assert_eq!(text.parse::<BlockSize>(), Err(BlockSizeError(text.to_owned())));
        }
    }

    #[test]
    fn options_that_are_too_long_or_of_size_7_are_malformed() {
        for (bytes, reason) in [
            (vec![1, 0, 0, 0], "a malformed Block option"),
            (vec![0, 0, 0, 0, 0], "a malformed Block option"),
            (vec![7], "a Block option with the reserved size 7"),
        ] {
            let mut packet = Packet::new();
            packet.add_option(CoapOption::Block1, bytes);
            assert_eq!(Block::of(&packet, CoapOption::Block1), Err(reason));
        }
    }
}
