//! Block1 of the peer: requests that come in blocks (RFC 7959 2.5, RFC 9175 3.3).
//!
//! 1. Block 0 begins a body, in place of one under the same key.
//! 2. The block that goes on where the body ends is added to it; any other changes
//!    nothing, since the right one may still come. Blocks may change their size.
//! 3. The last block gives the body out.
//! 4. A body that has not grown for EXCHANGE_LIFETIME is dropped.

use lwm2m_model::{Code, Instant};

use crate::block::Block;
use crate::cache_key::BodyKey;
use crate::event::Refusal;

/// Bodies of requests of which blocks are still to come.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    list: Vec<Upload>,
}

#[derive(Debug)]
struct Upload {
    key: BodyKey,
    body: Vec<u8>,
    /// When it is dropped unless it grows.
    until: Instant,
}

/// A block of a request, as it came.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) key: BodyKey,
    pub(crate) block: Block,
    pub(crate) payload: &'a [u8],
    /// Size1: bytes of the whole, if the peer has said so.
    pub(crate) announced: Option<u32>,
}

impl Uploads {
    /// Adds a block to its body; gives the body with its last block.
    ///
    /// # Errors
    /// 4.00 for a block of a wrong length, 4.08 for one that does not go on where the
    /// body ends, 4.13 for a body of more than `max_body` bytes.
    pub(crate) fn add(
        &mut self,
        arrival: &Arrival<'_>,
        until: Instant,
        max_body: usize,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let Arrival { key, block, payload, announced } = *arrival;
        block.check_length(payload.len())?;
        if block.number == 0 {
            let announced = announced.and_then(|len| usize::try_from(len).ok());
            self.remove(key);
            check(announced.unwrap_or(0), max_body)?;
            self.begin(key, until);
        }
        let at = self.list.iter().position(|upload| upload.key == key);
        let known = at.and_then(|at| Some((at, self.list.get_mut(at)?)));
        let Some((at, upload)) = known.filter(|(_, it)| it.body.len() == block.offset()) else {
            let reason = "a block before this one is missing";
            return Err(Refusal { code: Code::REQUEST_ENTITY_INCOMPLETE, reason });
        };
        if let Err(refusal) = check(upload.body.len() + payload.len(), max_body) {
            self.list.swap_remove(at);
            return Err(refusal);
        }
        upload.body.extend_from_slice(payload);
        upload.until = until;
        Ok((!block.more).then(|| self.list.swap_remove(at).body))
    }

    /// Makes room for a body: with [`MAX_UPLOADS`] the one goes that has waited longest,
    /// for its peer has most likely given it up.
    fn begin(&mut self, key: BodyKey, until: Instant) {
        if self.list.len() >= MAX_UPLOADS
            && let Some((oldest, _)) = self.list.iter().enumerate().min_by_key(|(_, it)| it.until)
        {
            self.list.swap_remove(oldest);
        }
        self.list.push(Upload { key, body: Vec::new(), until });
    }

    /// Drops a body: its request has come anew.
    pub(crate) fn remove(&mut self, key: BodyKey) {
        self.list.retain(|upload| upload.key != key);
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.list.retain(|upload| upload.until > now);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.list.iter().map(|upload| upload.until).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}

fn check(len: usize, max_body: usize) -> Result<(), Refusal> {
    let reason = "the request is too large";
    let too_large = Refusal { code: Code::REQUEST_ENTITY_TOO_LARGE, reason };
    if len > max_body { Err(too_large) } else { Ok(()) }
}

/// Requests that come in blocks at once.
const MAX_UPLOADS: usize = 2;
