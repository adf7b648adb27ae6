//! What an endpoint tells the layer above, and the names of what is under way.

use lwm2m_model::Code;

use crate::{CacheKey, Draft, Message, Token};

/// A request of the peer that we owe an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExchangeId(pub(crate) u64);

/// A request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub(crate) u64);

/// A request of the peer that is handed up block by block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId(pub(crate) u64);

/// What a datagram brought; at most one thing each.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// Answer with [`Endpoint::respond`](crate::Endpoint::respond), now or
    /// later, or drop it with [`Endpoint::ignore`](crate::Endpoint::ignore). What
    /// came in blocks is one request with the whole payload.
    Request {
        /// Names the request to `respond`.
        exchange: ExchangeId,
        /// Names the representation it asks for to `notify`.
        key: CacheKey,
        /// The request.
        message: Message<'a>,
    },
    /// A block of a request to a resource that streams (see
    /// [`Endpoint::set_streams`](crate::Endpoint::set_streams)), in its order and once.
    ///
    /// Answer or drop it like a `Request`: with 2.31 once a block that others follow is
    /// stored. The next block comes only then; every other answer ends the upload.
    /// Offset 0 begins one anew. If no block comes for EXCHANGE_LIFETIME the upload is
    /// forgotten, and so it is when the endpoint is `reset`.
    Block {
        /// Names the block to `respond`.
        exchange: ExchangeId,
        /// Names the representation it asks for.
        key: CacheKey,
        /// Names the request that the block is a part of.
        upload: UploadId,
        /// The block, with the options of the request.
        message: Message<'a>,
        /// Where the block begins, in bytes.
        offset: usize,
        /// True if other blocks follow.
        more: bool,
        /// Size1: bytes of the whole, if the peer has said so. An estimate (RFC 7959 4).
        announced: Option<u32>,
    },
    /// The answer to a request of ours. What came in blocks is one answer, with the
    /// options of its first block and the whole payload. A 4.01 with an Echo option
    /// is handed up only if the peer gives it again for the request that repeats the
    /// option.
    Response {
        /// The request.
        request: RequestId,
        /// The answer.
        message: Message<'a>,
    },
    /// The peer could not use our request (RFC 7252 4.2).
    RequestReset {
        /// The request, which is over.
        request: RequestId,
    },
    /// The answer to a request of ours came in blocks that make no whole.
    ResponseUnusable {
        /// The request, which is over.
        request: RequestId,
        /// What is wrong with the blocks, for people.
        reason: &'static str,
    },
    /// The peer acknowledged a confirmable notification.
    NotificationAcknowledged {
        /// The observation.
        token: Token,
    },
    /// RST: the observation is cancelled (RFC 7641 3.6).
    NotificationReset {
        /// The observation.
        token: Token,
    },
}

/// What time brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// No answer to a request of ours, or the queue was full and it was not sent.
    RequestTimedOut {
        /// The request, which is over.
        request: RequestId,
    },
    /// A confirmable notification was not acknowledged, or the queue was full
    /// and it was not sent.
    NotificationTimedOut {
        /// The observation.
        token: Token,
    },
}

/// Counters for status, since the endpoint was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received, whatever they held.
    pub received: u64,
    /// Datagrams sent, retransmissions and repeated answers included.
    pub sent: u64,
    /// Datagrams that were no message or a message that makes no sense.
    pub malformed: u64,
    /// Messages that had been received before.
    pub duplicates: u64,
    /// Messages of ours that were sent again for want of an ACK.
    pub retransmissions: u64,
    /// ACK, RST and responses that belong to nothing we know.
    pub unmatched: u64,
}

/// An answer that the endpoint gives by itself.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The diagnostic payload (RFC 7252 5.5.2).
    pub(crate) reason: &'static str,
}

impl Refusal {
    pub(crate) fn draft(&self) -> Draft {
        let mut draft = Draft::new(self.code);
        draft.payload = self.reason.as_bytes().to_vec();
        draft
    }
}
