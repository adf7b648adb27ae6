//! What the operator is told: a closed set, so that each kind has its own
//! message id in the journal.

use lwm2m_model::{Code, ContentFormat, Instant, Path, RequestError, Version};

use crate::Reason;

/// Something that happened, for logs, status and `lwm2mctl monitor`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A server has answered Register with 2.01.
    Registered {
        /// Short Server ID.
        server: u16,
        /// The version agreed on.
        version: Version,
        /// Lifetime in seconds.
        lifetime: u32,
        /// Location-Path, `/rd/5a3f`.
        location: String,
    },
    /// After a restart a server has answered the first Update with 2.04: the registration
    /// of before goes on.
    Resumed {
        /// Short Server ID.
        server: u16,
        /// The version agreed on.
        version: Version,
        /// Lifetime in seconds.
        lifetime: u32,
        /// Location-Path, `/rd/5a3f`.
        location: String,
    },
    /// A server has answered an Update with 2.04.
    Updated {
        /// Short Server ID.
        server: u16,
    },
    /// A registration is over.
    Deregistered {
        /// Short Server ID.
        server: u16,
        /// Why.
        reason: Reason,
    },
    /// An attempt to connect, Register or Update has failed.
    AttemptFailed {
        /// Short Server ID.
        server: u16,
        /// What failed and why, one line.
        reason: Reason,
        /// When the next attempt is due; `None` if it follows at once.
        next: Option<Instant>,
    },
    /// A lower LwM2M version is tried after a 4.12.
    SteppedDown {
        /// Short Server ID.
        server: u16,
        /// The version tried next.
        version: Version,
    },
    /// Queue mode: asleep.
    Asleep {
        /// Short Server ID.
        server: u16,
        /// When it wakes at the latest; `None` without a lifetime.
        until: Option<Instant>,
    },
    /// Queue mode: awake.
    Awake {
        /// Short Server ID.
        server: u16,
    },
    /// A server has disabled itself (`/1/x/4`).
    Disabled {
        /// Short Server ID.
        server: u16,
        /// When it registers again.
        until: Instant,
    },
    /// An observation has begun.
    ObservationStarted {
        /// Short Server ID.
        server: u16,
        /// What is observed.
        path: Path,
    },
    /// An observation has ended.
    ObservationEnded {
        /// Short Server ID.
        server: u16,
        /// What was observed.
        path: Path,
        /// Why.
        reason: Reason,
    },
    /// A request was refused: the code went to the server, the reason is for us.
    Refused {
        /// Short Server ID.
        server: u16,
        /// Operation, as the specification names it.
        operation: &'static str,
        /// Target.
        path: Path,
        /// Code and reason.
        error: RequestError,
    },
    /// An object has carried out a Write, Execute, Create or Delete of a server.
    Done {
        /// Short Server ID.
        server: u16,
        /// Operation, as the specification names it.
        operation: &'static str,
        /// Target.
        path: Path,
    },
    /// A server has sent a part of a value and then no more: what came is dropped.
    StreamEnded {
        /// Short Server ID.
        server: u16,
        /// The resource.
        path: Path,
        /// Why.
        reason: Reason,
    },
    /// What servers have written is gone from the medium, and from the accounts.
    FactoryReset,
    /// What has changed could not be stored; requests that depend on it are refused
    /// until it can.
    NotPersisted {
        /// Why, one line.
        reason: String,
    },
    /// One LwM2M message, while [`crate::Monitor::On`].
    Message(Box<MessageRecord>),
}

/// One message of the LwM2M conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRecord {
    /// Short Server ID.
    pub server: u16,
    /// Who sent it.
    pub direction: Direction,
    /// Operation as the specification names it: `Read`, `Notify`, `Register` ...
    pub operation: &'static str,
    /// Target, if the operation has one.
    pub path: Option<Path>,
    /// What else it says: the query of Register or Update, attributes, `depth` or
    /// `accept` of a request, the location in an answer, `confirmable` of a Notify.
    pub detail: String,
    /// The code of an answer.
    pub code: Option<Code>,
    /// Format of the payload.
    pub format: Option<ContentFormat>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The server, to us.
    Received,
    /// We, to the server.
    Sent,
}
