//! Block2: cutting large answers (RFC 7959 2.4), and the bodies that peers fetch
//! piece by piece.
//!
//! 1. An answer that does not fit, or that the peer wants in pieces, goes out as
//!    its first block, with ETag and Size2, and is kept under its cache key.
//! 2. Each later block is served from here; the last one drops the body.
//! 3. A body nobody has asked for during MAX_TRANSMIT_WAIT is dropped: what a
//!    peer sent by then has arrived or never will.

use lwm2m_model::{Code, Instant};

use crate::cache_key::{CacheKey, Representation};
use crate::event::Refusal;
use crate::{Draft, Kind, Token, option};

/// A Block1 or Block2 value (RFC 7959 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Number of the block, in units of its size: 0 to [`Self::MAX_NUMBER`].
    pub number: u32,
    /// True if more blocks follow.
    pub more: bool,
    /// Size exponent, 0..=[`Self::MAX_SZX`].
    pub szx: u8,
}

impl Block {
    /// The largest number: it has 20 bits.
    pub const MAX_NUMBER: u32 = (1 << 20) - 1;

    /// Size exponent of the largest block, 1024 bytes; 7 is for TCP (RFC 8323 6).
    pub const MAX_SZX: u8 = MAX_SZX;

    /// The value of an option; `None` for the reserved size exponent 7. A value of four
    /// bytes, which no such option has, gives a number above [`Self::MAX_NUMBER`].
    pub fn from_uint(value: u32) -> Option<Self> {
        let szx = (value & 7) as u8;
        (szx <= MAX_SZX).then_some(Self { number: value >> 4, more: value & 8 != 0, szx })
    }

    /// The first block of this size; `szx` is 6 at most.
    pub(crate) fn first(szx: u8) -> Self {
        Self { number: 0, more: false, szx }
    }

    /// The block of this size that starts at `offset`, a multiple of it.
    pub(crate) fn at(offset: usize, szx: u8) -> Self {
        let number = u32::try_from(offset >> (szx + 4)).unwrap_or(u32::MAX);
        Self { number, ..Self::first(szx) }
    }

    /// The value of an option.
    pub fn to_uint(self) -> u32 {
        (self.number << 4) | (u32::from(self.more) << 3) | u32::from(self.szx)
    }

    /// Bytes of a block, 16..=1024.
    pub fn size(self) -> usize {
        16 << self.szx
    }

    /// Where the block starts in the body.
    pub(crate) fn offset(self) -> usize {
        // A number has 28 bits at most, which with the size fits any usize of 64
        // bits; where usize is shorter the end of all bodies is far below.
        (self.number as usize).saturating_mul(self.size())
    }

    /// Checks that a payload of so many bytes can be the block of a request.
    ///
    /// # Errors
    /// 4.00 unless all blocks but the last have their full length.
    pub(crate) fn check_length(self, len: usize) -> Result<(), Refusal> {
        if len == self.size() || !self.more && len < self.size() {
            return Ok(());
        }
        let reason = "the block is not as long as it says";
        Err(Refusal { code: Code::BAD_REQUEST, reason })
    }

    /// The block that starts where this one does, but is no larger than `szx`.
    fn at_most(self, szx: u8) -> Self {
        let szx = szx.min(self.szx);
        Self { number: self.number << (self.szx - szx), szx, ..self }
    }
}

/// Which part of an answer goes into which message.
pub(crate) struct Cut {
    pub(crate) kind: Kind,
    pub(crate) id: u16,
    pub(crate) token: Token,
    /// The block that the peer asked for.
    pub(crate) asked: Option<Block>,
    /// Largest datagram, in bytes.
    pub(crate) max_datagram: usize,
}

/// A block as a datagram.
pub(crate) struct Piece {
    pub(crate) datagram: Vec<u8>,
    pub(crate) is_last: bool,
}

impl Cut {
    /// An answer that is no success: never in blocks, its text cut to what fits.
    pub(crate) fn error(&self, draft: &Draft) -> Vec<u8> {
        let mut end = self.max_datagram.saturating_sub(draft.head_len(self.token));
        // Not inside a character of UTF-8: those go on with bytes of 0b10xxxxxx.
        while draft.payload.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) && end > 0 {
            end -= 1;
        }
        let end = end.min(draft.payload.len());
        draft.encode_part(self.kind, self.id, self.token, 0..end)
    }

    /// True if the answer goes out as it is: it fits and nobody asked for blocks, which
    /// is said of the answer and not of a 2.31 before it.
    pub(crate) fn is_whole(&self, draft: &Draft) -> bool {
        let len = draft.head_len(self.token) + draft.payload.len();
        let asked = self.asked.filter(|_| draft.code != Code::CONTINUE);
        asked.is_none() && len <= self.max_datagram
    }

    /// The block of `draft` that was asked for, or the first; `None` if it lies
    /// beyond the end. The options of the draft become those of the block.
    pub(crate) fn block(&self, draft: &mut Draft, etag: [u8; 4]) -> Option<Piece> {
        let asked = self.asked.unwrap_or_else(|| Block::first(MAX_SZX));
        let (offset, whole) = (asked.offset(), draft.payload.len());
        if offset > 0 && offset >= whole {
            return None;
        }
        for of_another_block in [option::ETAG, option::BLOCK2, option::SIZE2] {
            draft.remove_option(of_another_block);
        }
        if offset > 0 {
            // Only the first block is a notification (RFC 7959 2.6) and
            // acknowledges the body of the request.
            draft.remove_option(option::OBSERVE);
            draft.remove_option(option::BLOCK1);
        }
        let mut block = asked.at_most(self.largest_szx(draft));
        let end = offset.saturating_add(block.size()).min(whole);
        block.more = end < whole;
        draft.add_option_uint(option::BLOCK2, block.to_uint());
        if offset > 0 || block.more {
            draft.add_option(option::ETAG, &etag);
        }
        if offset == 0 && block.more {
            draft.add_option_uint(option::SIZE2, u32::try_from(whole).unwrap_or(u32::MAX));
        }
        let datagram = draft.encode_part(self.kind, self.id, self.token, offset..end);
        Some(Piece { datagram, is_last: !block.more })
    }

    /// The largest block that fits behind the options of `draft`; 0 if none does.
    fn largest_szx(&self, draft: &Draft) -> u8 {
        largest_szx(self.max_datagram, draft.head_len(self.token) + BLOCK_OPTIONS)
    }
}

/// The largest block that fits a datagram behind so many bytes; 0 if none does.
pub(crate) fn largest_szx(max_datagram: usize, head: usize) -> u8 {
    let room = max_datagram.saturating_sub(head);
    (0..=MAX_SZX).rev().find(|szx| 16_usize << szx <= room).unwrap_or(0)
}

/// Bodies that peers are fetching.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    list: Vec<Body>,
}

#[derive(Debug)]
struct Body {
    key: CacheKey,
    draft: Draft,
    etag: [u8; 4],
    /// When it is dropped unless another block is asked for.
    until: Instant,
}

impl Bodies {
    /// Keeps the rest of an answer; replaces that of the same key, or else the
    /// one that has waited longest if there are [`MAX_BODIES`]. A body above
    /// [`MAX_BODY`] is not kept.
    pub(crate) fn keep(&mut self, key: CacheKey, draft: Draft, etag: [u8; 4], until: Instant) {
        self.remove(key.representation);
        if draft.payload.len() > MAX_BODY {
            return;
        }
        if self.list.len() >= MAX_BODIES
            && let Some((oldest, _)) =
                self.list.iter().enumerate().min_by_key(|(_, body)| body.until)
        {
            // In order: the newest stands last.
            self.list.remove(oldest);
        }
        self.list.push(Body { key, draft, etag, until });
    }

    /// The body that a later block is asked of. A request that has left its payload out
    /// asks for the newest that it may mean: its ETag tells the peer.
    pub(crate) fn find(&self, key: CacheKey, has_payload: bool) -> Option<Representation> {
        let is_meant = |body: &&Body| {
            body.key.representation == key.representation
                || !has_payload && body.key.outline == key.outline
        };
        self.list.iter().rfind(is_meant).map(|body| body.key.representation)
    }

    /// Serves a block and drops the body with the last one; `None` if the body
    /// is not here or the block beyond its end.
    pub(crate) fn serve(
        &mut self,
        key: Representation,
        cut: &Cut,
        until: Instant,
    ) -> Option<Vec<u8>> {
        let body = self.list.iter_mut().find(|body| body.key.representation == key)?;
        body.until = until;
        let piece = cut.block(&mut body.draft, body.etag)?;
        if piece.is_last {
            self.remove(key);
        }
        Some(piece.datagram)
    }

    pub(crate) fn remove(&mut self, key: Representation) {
        self.list.retain(|body| body.key.representation != key);
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.list.retain(|body| body.until > now);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.list.iter().map(|body| body.until).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}

/// Answers being fetched by blocks at once.
pub(crate) const MAX_BODIES: usize = 4;

/// Largest answer, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

pub(crate) const MAX_SZX: u8 = 6;

/// Room for ETag, Block2 and Size2, each with a header of two bytes: 4, 3 and 4.
const BLOCK_OPTIONS: usize = 17;
