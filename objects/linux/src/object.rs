//! What an object is to the rest of the agent.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallResult};
use lwm2m_model::{Now, ObjectDef, Path};

/// An object and all its instances.
pub trait Object {
    /// Its definition.
    fn definition(&self) -> Arc<ObjectDef>;

    /// Its instances, ascending.
    fn instances(&self) -> Vec<u16>;

    /// False as long as there is nothing on this device that it could be about. It is not
    /// named to servers then, until its first [`ObjectMessage::Object`].
    fn is_supported(&self) -> bool {
        true
    }

    /// Opaque resources whose values it takes chunk by chunk, as
    /// [`CallOperation::Stream`](lwm2m_engine::CallOperation::Stream).
    fn streams(&self) -> Vec<u16> {
        Vec::new()
    }

    /// Takes a call; must not wait.
    ///
    /// The host gives the next call only after this one is answered. What
    /// [expects no reply](lwm2m_engine::CallOperation::expects_reply) may come in
    /// between; its answer is not looked at.
    fn call(&mut self, call: &Call, now: &Now) -> Answer;

    /// Says that `path` is observed, or with `None` no longer is.
    ///
    /// Values without an event source are sampled every `interval`.
    fn watch(&mut self, path: &Path, interval: Option<Duration>);

    /// Forgets what servers have written, for good: the device goes on as it is configured.
    fn forget(&mut self) {}
}

/// How an object takes a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is done, with this result.
    Now(CallResult),
    /// An [`ObjectMessage::Reply`] with the identifier of the call will follow.
    Later,
}

/// What an object says of its own accord.
///
/// Objects send through a bounded channel and wait for room in it, so nothing is
/// lost when the engine is busy.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectMessage {
    /// The answer to a call that was taken with [`Answer::Later`].
    Reply {
        /// The call.
        call: CallId,
        /// Its result.
        result: CallResult,
    },
    /// Values at or below this path may differ.
    Changed(Path),
    /// The object is there, or has other instances than before.
    Object {
        /// Its definition.
        definition: Arc<ObjectDef>,
        /// Its instances, ascending.
        instances: Vec<u16>,
        /// Its resources that take their values chunk by chunk.
        streams: Vec<u16>,
    },
    /// The way to the servers may be another: each is to be sent an Update.
    Update,
}
