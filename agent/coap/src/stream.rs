//! Requests of the peer that are handed up block by block instead of being gathered:
//! how far each has come (RFC 7959 2.5).
//!
//! 1. Block 0 begins an upload, in place of one under the same key.
//! 2. One block at a time is handed up. Until it is answered the others of its upload
//!    get no answer: the peer repeats them.
//! 3. The block that goes on where the upload ends is handed up, the one stored last is
//!    acknowledged again, and any other is refused and changes nothing.
//! 4. Every answer but 2.31 ends the upload.
//! 5. An upload that has not grown for EXCHANGE_LIFETIME is forgotten.

use lwm2m_model::{Code, Instant};

use crate::block::Block;
use crate::cache_key::BodyKey;
use crate::event::{Refusal, UploadId};
use crate::{ExchangeId, Message, method, option};

/// A resource, in every instance of its object, whose opaque values are handed up
/// block by block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTarget {
    /// Object ID.
    pub object: u16,
    /// Resource ID.
    pub resource: u16,
}

impl StreamTarget {
    /// True if the message writes bytes to this resource. A body in blocks whose format
    /// is not said is bytes (Objects 7.2).
    fn is_written_by(self, message: &Message<'_>) -> bool {
        let is_write = matches!(message.code, method::PUT | method::POST);
        let format = message.option_uint(option::CONTENT_FORMAT);
        let is_opaque = format.is_none_or(|format| format == OPAQUE);
        // A segment that is no number, or is empty, is for the layer above to judge.
        let segments = message.texts(option::URI_PATH).map(|text| text.unwrap_or_default());
        let mut ids = segments.filter(|text| !text.is_empty()).map(|text| text.parse().ok());
        is_write
            && is_opaque
            && ids.next() == Some(Some(self.object))
            && ids.next().is_some()
            && ids.next() == Some(Some(self.resource))
            && ids.next().is_none()
    }
}

/// What streams, and the uploads of which blocks are still to come.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    targets: Vec<StreamTarget>,
    list: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    upload: UploadId,
    key: BodyKey,
    /// Where the block begins that was stored last.
    last: usize,
    /// Bytes that are stored: the end of that block.
    end: usize,
    storing: Option<Storing>,
    /// When it is forgotten unless it grows.
    until: Instant,
}

/// The block that is handed up.
#[derive(Debug)]
struct Storing {
    exchange: ExchangeId,
    len: usize,
}

/// What becomes of a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It begins an upload.
    First,
    /// It goes on with this one.
    Next(UploadId),
    /// It is stored already.
    Stored,
    /// The block before it is not stored yet.
    TooSoon,
}

impl Streams {
    pub(crate) fn set_targets(&mut self, targets: Vec<StreamTarget>) {
        self.targets = targets;
    }

    /// True if what the message carries in blocks is handed up block by block.
    pub(crate) fn take(&self, message: &Message<'_>) -> bool {
        self.targets.iter().any(|target| target.is_written_by(message))
    }

    /// Where a block of this length belongs.
    ///
    /// # Errors
    /// 4.08 for one that does not go on where the upload ends.
    pub(crate) fn place(&self, key: BodyKey, block: Block, len: usize) -> Result<Place, Refusal> {
        let stream = self.list.iter().find(|stream| stream.key == key);
        match stream {
            Some(Stream { storing: Some(_), .. }) => Ok(Place::TooSoon),
            _ if block.number == 0 => Ok(Place::First),
            Some(stream) if block.offset() == stream.end => Ok(Place::Next(stream.upload)),
            Some(stream)
                if block.more
                    && block.offset() == stream.last
                    && block.offset().saturating_add(len) == stream.end =>
            {
                Ok(Place::Stored)
            }
            Some(_) | None => {
                let reason = "a block before this one is missing";
                Err(Refusal { code: Code::REQUEST_ENTITY_INCOMPLETE, reason })
            }
        }
    }

    /// Begins an upload. With [`MAX_STREAMS`] the one goes that has waited longest.
    pub(crate) fn begin(&mut self, upload: UploadId, key: BodyKey, until: Instant) {
        self.list.retain(|stream| stream.key != key);
        if self.list.len() >= MAX_STREAMS
            && let Some((oldest, _)) = self.list.iter().enumerate().min_by_key(|(_, it)| it.until)
        {
            self.list.swap_remove(oldest);
        }
        self.list.push(Stream { upload, key, last: 0, end: 0, storing: None, until });
    }

    /// A block of so many bytes has been handed up.
    pub(crate) fn handed_up(
        &mut self,
        upload: UploadId,
        exchange: ExchangeId,
        len: usize,
        until: Instant,
    ) {
        if let Some(stream) = self.list.iter_mut().find(|stream| stream.upload == upload) {
            stream.storing = Some(Storing { exchange, len });
            stream.until = until;
        }
    }

    /// A block has been answered: the upload goes on after a 2.31.
    pub(crate) fn answered(&mut self, exchange: ExchangeId, code: Code, until: Instant) {
        let Some(at) = self.storing(exchange) else { return };
        if code != Code::CONTINUE {
            self.list.swap_remove(at);
        } else if let Some(stream) = self.list.get_mut(at)
            && let Some(stored) = stream.storing.take()
        {
            stream.last = stream.end;
            stream.end = stream.end.saturating_add(stored.len);
            stream.until = until;
        }
    }

    /// A block has been ignored: it is as if it had not come.
    pub(crate) fn ignored(&mut self, exchange: ExchangeId) {
        let Some(at) = self.storing(exchange) else { return };
        if let Some(stream) = self.list.get_mut(at).filter(|stream| stream.end > 0) {
            stream.storing = None;
        } else {
            self.list.swap_remove(at);
        }
    }

    fn storing(&self, exchange: ExchangeId) -> Option<usize> {
        let is_stored = |it: &Storing| it.exchange == exchange;
        self.list.iter().position(|stream| stream.storing.as_ref().is_some_and(is_stored))
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.list.retain(|stream| stream.until > now);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.list.iter().map(|stream| stream.until).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets the uploads; what streams stays.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}

/// Uploads that are handed up block by block at once.
const MAX_STREAMS: usize = 4;

/// application/octet-stream, as the option has it.
const OPAQUE: u32 = lwm2m_model::ContentFormat::OPAQUE.0 as u32;
