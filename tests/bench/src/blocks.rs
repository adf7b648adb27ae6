//! What does not fit a message, from the server's side: pushed by Block1, fetched by
//! Block2 (RFC 7959).

use anyhow::{Context, Result, bail};
use coap_lite::{CoapOption, RequestType};

use crate::server::{Server, parse, uint};

/// A payload on its way to the agent in blocks of `16 << szx` bytes.
pub(crate) struct Push<'a> {
    pub(crate) method: RequestType,
    pub(crate) path: &'a str,
    pub(crate) format: u16,
    pub(crate) payload: &'a [u8],
    pub(crate) szx: u8,
}

impl Push<'_> {
    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        self.payload.len().div_ceil(16 << self.szx)
    }

    /// The request with a block; the last one has the operation done.
    pub(crate) fn request(&self, server: &mut Server, number: usize) -> Result<Vec<u8>> {
        let block = self.payload.chunks(16 << self.szx).nth(number).unwrap_or_default();
        let value = block_value(number, number + 1 < self.blocks(), self.szx)?;
        server.request(self.method, self.path, |packet| {
            packet.add_option(CoapOption::ContentFormat, uint(self.format.into()));
            packet.add_option(CoapOption::Block1, value);
            packet.payload = block.to_vec();
        })
    }

    /// Sends a block and takes its answer.
    pub(crate) fn send(&self, server: &mut Server, number: usize) -> Result<()> {
        let request = self.request(server, number)?;
        let exchange = server.complete(request)?;
        let block = |bytes| anyhow::Ok(parse(bytes)?.get_first_option(CoapOption::Block1).cloned());
        // A device that wants smaller blocks would be another figure.
        if block(&exchange.request)? != block(&exchange.answer)? {
            bail!("{}: block {number} is not taken as it is", self.path);
        }
        Ok(())
    }
}

impl Server {
    /// Reads a path in a format, however many blocks that takes; gives the bytes of the
    /// payload.
    pub(crate) fn fetch(&mut self, path: &str, format: u16) -> Result<usize> {
        let mut bytes = 0;
        loop {
            let value = block_value(bytes >> (LARGEST + 4), false, LARGEST)?;
            let exchange = self.exchange(RequestType::Get, path, |packet| {
                packet.add_option(CoapOption::Accept, uint(format.into()));
                packet.add_option(CoapOption::Block2, value);
            })?;
            let answer = parse(&exchange.answer)?;
            bytes += answer.payload.len();
            let block = answer.get_first_option(CoapOption::Block2);
            let last = block.context("the answer to a request for a block has none")?.last();
            if last.is_none_or(|last| last & 8 == 0) {
                return Ok(bytes);
            }
        }
    }
}

fn block_value(number: usize, more: bool, szx: u8) -> Result<Vec<u8>> {
    let number = u32::try_from(number)?;
    Ok(uint((number << 4) | (u32::from(more) << 3) | u32::from(szx)))
}

/// Size exponent of blocks of 1024 bytes.
pub(crate) const LARGEST: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_number_without_leading_zeros() {
        for (number, more, szx, expected) in [
            (0, false, 0, &[][..]),
            (0, true, 6, &[0x0e]),
            (1, false, 6, &[0x16]),
            (4095, true, 0, &[0xff, 0xf8]),
            (4096, true, 0, &[1, 0, 8]),
        ] {
            assert_eq!(block_value(number, more, szx).unwrap(), expected);
        }
    }
}
