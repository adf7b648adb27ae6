//! Blocks that are handed up one by one (RFC 7959 2.3, 2.5).

use lwm2m_model::{Code, Instant};

use super::Endpoint;
use super::receive::Admission;
use crate::block::Block;
use crate::cache_key::Inspected;
use crate::event::{Refusal, UploadId};
use crate::stream::{Place, StreamTarget};
use crate::{Draft, Message, option};

impl Endpoint {
    /// Says which resources stream from now on: opaque values that come in blocks are
    /// handed up as [`Incoming::Block`](crate::Incoming::Block). Uploads that are under
    /// way go on.
    pub fn set_streams(&mut self, targets: Vec<StreamTarget>) {
        self.streams.set_targets(targets);
    }

    /// Decides what a block of a request that streams meets with.
    pub(super) fn admit_block(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        block: Block,
        mut inspected: Inspected,
    ) -> Result<Admission, Refusal> {
        let len = message.payload.len();
        block.check_length(len)?;
        self.streams.expire(now);
        let key = self.keyed.body(message);
        let place = self.streams.place(key, block, len)?;
        let wanted = self.wanted_size(message, block);
        inspected.block1 = Some(wanted);
        let until = now + self.config.exchange_lifetime();
        match place {
            Place::TooSoon => return Ok(Admission::Ignored),
            Place::Stored => {
                let go_on = Draft::new(Code::CONTINUE);
                let go_on = go_on.option_uint(option::BLOCK1, wanted.to_uint());
                self.answer_now(now, message, &go_on);
                return Ok(Admission::Answered);
            }
            Place::First | Place::Next(_) => {}
        }
        if let Some(busy) = self.without_room(message) {
            return busy;
        }
        let upload = match place {
            Place::Next(upload) => upload,
            Place::First | Place::Stored | Place::TooSoon => {
                let upload = UploadId(self.number());
                self.streams.begin(upload, key, until);
                upload
            }
        };
        Ok(Admission::Block { upload, block, inspected })
    }
}
