//! Requests of ours whose payload goes out in blocks (RFC 7959 2.5, RFC 9175 3).
//!
//! 1. The first block goes out with Size1 and a Request-Tag.
//! 2. 2.31, or success for a block alone: the next one, in the size the device wants.
//! 3. 4.13 that names a smaller size: from the start, in that size, with a new tag.
//! 4. Any other answer is the answer to the whole.

use coap_lite::{CoapOption, Packet};
use lwm2m_model::Code;

use crate::BlockSize;
use crate::block::Block;
use crate::message;

/// The payload of a request, and how much of it the device has.
#[derive(Debug)]
pub(super) struct Upload {
    body: Vec<u8>,
    offset: usize,
    size: BlockSize,
    tag: u32,
}

impl Upload {
    /// Puts the first block in the place of a payload that is larger than one. A request
    /// that says itself which block it is stays as it is.
    pub(super) fn begin(request: &mut Packet, size: BlockSize, tag: u32) -> Option<Self> {
        let is_whole = request.payload.len() <= size.bytes()
            || request.get_option(CoapOption::Block1).is_some();
        if is_whole {
            return None;
        }
        let body = std::mem::take(&mut request.payload);
        let upload = Self { body, offset: 0, size, tag };
        upload.fill(request);
        Some(upload)
    }

    /// Takes the answer to a block. True if `request` now carries another block, false
    /// if this is the answer to the whole; `request` then has no block any more.
    pub(super) fn answered(
        &mut self,
        answer: &Packet,
        request: &mut Packet,
    ) -> Result<bool, &'static str> {
        let goes_on = self.advance(answer)?;
        if goes_on {
            self.fill(request);
        } else {
            request.payload.clear();
            request.clear_option(CoapOption::Block1);
            request.clear_option(CoapOption::Size1);
        }
        Ok(goes_on)
    }

    fn advance(&mut self, answer: &Packet) -> Result<bool, &'static str> {
        let code = message::code(answer);
        let wanted = Block::of(answer, CoapOption::Block1)?;
        if code == Code::REQUEST_ENTITY_TOO_LARGE
            && let Some(smaller) = wanted.filter(|wanted| wanted.size < self.size)
        {
            self.offset = 0;
            self.size = smaller.size;
            // Blocks of the first try may still be under way (RFC 9175 3.4).
            self.tag = self.tag.wrapping_add(1);
            return Ok(true);
        }
        if !code.is_success() {
            return Ok(false);
        }
        let sent = self.block();
        match wanted {
            Some(wanted) if wanted.number != sent.number => Err("an answer to another block"),
            _ if code == Code::CONTINUE && !sent.more => Err("2.31 after the last block"),
            None if code == Code::CONTINUE => Err("2.31 without Block1"),
            Some(wanted) if sent.more => {
                self.offset += self.size.bytes();
                self.size = self.size.min(wanted.size);
                Ok(true)
            }
            // Success before the end without Block1: the device is content with what it has.
            Some(_) | None => Ok(false),
        }
    }

    fn block(&self) -> Block {
        let more = self.offset + self.size.bytes() < self.body.len();
        Block { more, ..Block::at(self.offset, self.size) }
    }

    fn fill(&self, request: &mut Packet) {
        self.block().put(CoapOption::Block1, request);
        let tag = self.tag.to_be_bytes().to_vec();
        request.set_option(message::REQUEST_TAG, [tag].into());
        request.clear_option(CoapOption::Size1);
        if self.offset == 0 {
            let whole = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
            message::set_number(request, CoapOption::Size1, whole);
        }
        let rest = self.body.get(self.offset..).unwrap_or_default();
        request.payload = rest.iter().take(self.size.bytes()).copied().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: Code, block: Option<u32>) -> Packet {
        let mut packet = Packet::new();
        packet.header.code = code.byte().into();
        if let Some(block) = block {
            message::set_number(&mut packet, CoapOption::Block1, block);
        }
        packet
    }

    /// A request with 70 bytes in blocks of 32.
    fn begin() -> (Packet, Upload) {
        let mut request = Packet::new();
        request.payload = (0..70).collect();
        let upload = Upload::begin(&mut request, "32".parse().unwrap(), 5).unwrap();
        (request, upload)
    }

    fn number(packet: &Packet, option: CoapOption) -> Option<u32> {
        message::number(packet, option)
    }

    #[test]
    fn a_request_that_fits_or_names_its_block_goes_out_as_it_is() {
        let mut request = Packet::new();
        request.payload = vec![1; 32];
        assert!(Upload::begin(&mut request, "32".parse().unwrap(), 5).is_none());
        assert!(request.get_option(CoapOption::Block1).is_none());
        request.add_option(CoapOption::Block1, vec![0x08]);
        assert!(Upload::begin(&mut request, "16".parse().unwrap(), 5).is_none());
        assert_eq!(request.payload.len(), 32);
    }

    /// TRN-36, TRN-37
    #[test]
    fn blocks_follow_each_other_in_the_size_that_the_device_wants() {
        let (mut request, mut upload) = begin();
        assert_eq!(number(&request, CoapOption::Block1), Some(0x09));
        assert_eq!(number(&request, CoapOption::Size1), Some(70));
        assert_eq!(request.payload, (0..32).collect::<Vec<u8>>());
        // 16 bytes are enough for a block: 32 of 70 are there, three follow.
        let continues = answer(Code::CONTINUE, Some(0x08));
        assert_eq!(upload.answered(&continues, &mut request), Ok(true));
        assert_eq!(number(&request, CoapOption::Block1), Some(0x28));
        assert_eq!(number(&request, CoapOption::Size1), None);
        assert_eq!(request.payload, (32..48).collect::<Vec<u8>>());
        let continues = answer(Code::CONTINUE, Some(0x28));
        assert_eq!(upload.answered(&continues, &mut request), Ok(true));
        let continues = answer(Code::CONTINUE, Some(0x38));
        assert_eq!(upload.answered(&continues, &mut request), Ok(true));
        assert_eq!(number(&request, CoapOption::Block1), Some(0x40));
        assert_eq!(number(&request, message::REQUEST_TAG), Some(5));
        assert_eq!(request.payload, (64..70).collect::<Vec<u8>>());
        let done = answer(Code::CHANGED, Some(0x40));
        assert_eq!(upload.answered(&done, &mut request), Ok(false));
        assert!(request.payload.is_empty() && number(&request, CoapOption::Block1).is_none());
    }

    #[test]
    fn a_device_that_wants_smaller_blocks_gets_all_again_under_a_new_tag() {
        let (mut request, mut upload) = begin();
        let smaller = answer(Code::REQUEST_ENTITY_TOO_LARGE, Some(0x00));
        assert_eq!(upload.answered(&smaller, &mut request), Ok(true));
        assert_eq!(number(&request, CoapOption::Block1), Some(0x08));
        assert_eq!(number(&request, CoapOption::Size1), Some(70));
        assert_eq!(number(&request, message::REQUEST_TAG), Some(6));
        assert_eq!(upload.answered(&smaller, &mut request), Ok(false), "no smaller one");
    }

    #[test]
    fn a_refusal_ends_it_and_nonsense_is_an_error() {
        let cases = [
            (answer(Code::REQUEST_ENTITY_TOO_LARGE, None), Ok(false)),
            (answer(Code::REQUEST_ENTITY_INCOMPLETE, Some(0x59)), Ok(false)),
            (answer(Code::CHANGED, None), Ok(false)),
            (answer(Code::CHANGED, Some(0x01)), Ok(true)),
            (answer(Code::CONTINUE, None), Err("2.31 without Block1")),
            (answer(Code::CONTINUE, Some(0x19)), Err("an answer to another block")),
            (answer(Code::CONTINUE, Some(0x0f)), Err("a Block option with the reserved size 7")),
        ];
        for (reply, result) in cases {
            let (mut request, mut upload) = begin();
            assert_eq!(upload.answered(&reply, &mut request), result, "{reply:?}");
        }
        let (mut request, mut upload) = begin();
        upload.offset = 64;
        let continues = answer(Code::CONTINUE, Some(0x29));
        let result = upload.answered(&continues, &mut request);
        assert_eq!(result, Err("2.31 after the last block"));
    }
}
