//! What the engine asks of an object, and what the object answers.
//!
//! A built-in object answers in place, between two outputs; a slow one answers
//! later by message. The engine sees no difference.

use lwm2m_model::{Arguments, Entry, Path, RequestError, WriteMode};

/// Names a call until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A call of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// To be named in the answer.
    pub id: CallId,
    /// The target: an object or something below it.
    pub path: Path,
    /// What to do there.
    pub operation: CallOperation,
    /// Short Server ID of the server that asks; `None` for the operator on the
    /// device and for sampling.
    pub server: Option<u16>,
}

/// What an object is to do.
///
/// The engine has checked the target against the definition of the object: the
/// resource is defined, allows the operation, and values have its type and range.
#[derive(Debug, Clone, PartialEq)]
pub enum CallOperation {
    /// Give all readable values at or below the path: [`CallReply::Entries`].
    Read,
    /// Give the paths of what exists at and below the path, readable or not:
    /// [`CallReply::Paths`].
    Discover,
    /// Take over the values, all or none: [`CallReply::Done`] or [`CallReply::AfterAnswer`].
    Write {
        /// What happens to what `entries` does not name.
        mode: WriteMode,
        /// Values, sorted by path, at or below the target.
        entries: Vec<Entry>,
    },
    /// Store a part of an opaque value: [`CallReply::Done`] when it is stored. The next
    /// part comes only then.
    ///
    /// Parts of one value come in their order and without gaps. At offset 0 a value
    /// begins anew, whatever was there of one. An error ends the stream; with the last
    /// part [`CallReply::AfterAnswer`] is possible too. While a stream is under way the
    /// whole value may come from another server: the object takes it instead, or
    /// refuses it and the stream goes on.
    ///
    /// Values in other formats, and those of the operator, come as a `Write`.
    Stream {
        /// Where the part begins, in bytes.
        offset: u64,
        /// The part; empty only if it is the last.
        chunk: Vec<u8>,
        /// True if the value ends with it.
        last: bool,
        /// Bytes of the whole as the server has said: an estimate, most often with
        /// the first part alone. What is too large is refused with 4.13.
        size: Option<u64>,
    },
    /// No further part of the value comes, since its server is silent or a part was
    /// answered with an error: drop what is there of it, if anything. No reply is
    /// expected.
    StreamEnd,
    /// Do it, or promise to: [`CallReply::Done`] or [`CallReply::AfterAnswer`].
    Execute(Arguments),
    /// Make instances, all or none: [`CallReply::Done`]. The object fills mandatory
    /// resources that `entries` leaves out, or refuses with 4.00 (CORE-144).
    Create {
        /// Their identifiers, ascending; none of them is in use.
        instances: Vec<u16>,
        /// Values of writable resources, sorted by path, each below one of the
        /// instances.
        entries: Vec<Entry>,
    },
    /// The answer to what was promised, an Execute, a Write or the last chunk of a stream,
    /// has gone out: do it now. No reply is expected.
    Proceed,
    /// Remove the instance or resource instance: [`CallReply::Done`].
    Delete,
}

impl CallOperation {
    /// False for what is only told to an object.
    pub const fn expects_reply(&self) -> bool {
        !matches!(self, Self::Proceed | Self::StreamEnd)
    }
}

/// What an object answers.
#[derive(Debug, Clone, PartialEq)]
pub enum CallReply {
    /// Values, sorted by path. A resource or instance that does not exist is an
    /// error (4.04) when it is the target, and missing here when it is not.
    Entries(Vec<Entry>),
    /// Paths, sorted, of instances, resources and resource instances.
    Paths(Vec<Path>),
    /// Done.
    Done,
    /// It will be done when [`CallOperation::Proceed`] says that the answer is
    /// out; for what ends the connection or the system (Objects 5, Reboot).
    AfterAnswer,
}

/// The result of a call.
pub type CallResult = Result<CallReply, RequestError>;
