//! Requests of the peer that come in blocks: what each block is answered (RFC 7959
//! 2.3, 2.5, 2.9).

use std::borrow::Cow;

use lwm2m_model::{Code, Instant};

use super::Endpoint;
use crate::block::{Block, largest_szx};
use crate::event::Refusal;
use crate::upload::Arrival;
use crate::{Draft, Message, option};

impl Endpoint {
    /// Takes a block that others follow and asks for the next one.
    pub(super) fn take_block(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        block: Block,
    ) -> Result<(), Refusal> {
        self.add_block(now, message, block)?;
        let wanted = self.wanted_size(message, block);
        let go_on = Draft::new(Code::CONTINUE).option_uint(option::BLOCK1, wanted.to_uint());
        self.answer_now(now, message, &go_on);
        Ok(())
    }

    /// A block as its answer names it: in the size that suits us.
    pub(super) fn wanted_size(&self, message: &Message<'_>, mut block: Block) -> Block {
        // A smaller size is wished for at the start only: later it would be unclear
        // in which size the number of the block counts.
        if block.number == 0 && block.more {
            let head = message.head_len() + NUMBER_GROWS;
            block.szx = block.szx.min(largest_szx(self.config.max_datagram, head));
        }
        block
    }

    /// Takes the last block, or the only one, and makes `message` the whole request.
    pub(super) fn take_last_block(
        &mut self,
        now: Instant,
        message: &mut Message<'_>,
        block: Block,
    ) -> Result<(), Refusal> {
        if block.number == 0 {
            self.uploads.remove(self.keyed.body(message));
        } else if let Some(body) = self.add_block(now, message, block)? {
            message.payload = Cow::Owned(body);
        }
        Ok(())
    }

    fn add_block(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        block: Block,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let arrival = Arrival {
            key: self.keyed.body(message),
            block,
            payload: &message.payload,
            announced: message.option_uint(option::SIZE1),
        };
        let until = now + self.config.exchange_lifetime();
        self.uploads.expire(now);
        self.uploads.add(&arrival, until, self.config.max_body)
    }
}

/// Bytes by which Block1 grows from block 0 to the last.
const NUMBER_GROWS: usize = 2;
