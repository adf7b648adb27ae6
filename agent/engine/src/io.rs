//! What goes into the engine and what comes out.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::record::{Change, Record};
use lwm2m_model::{Entry, ObjectDef, Path, Request, RequestError};

use crate::{Account, Call, CallId, CallResult, Event};

/// One attempt to reach a server; a new one for each time the link is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// Names a commit of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What happens to the engine.
#[derive(Debug)]
pub enum Input<'a> {
    /// Nothing but time has passed.
    Time,
    /// A datagram came in, decrypted.
    Datagram {
        /// The link it came over.
        link: LinkId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A link is ready to carry datagrams.
    LinkUp {
        /// The link.
        link: LinkId,
        /// How it relates to the one before.
        continuity: Continuity,
        /// Largest datagram that it carries, in bytes.
        max_datagram: usize,
    },
    /// A link could not be opened or has ended; it is gone.
    LinkDown {
        /// The link.
        link: LinkId,
        /// One line for the operator, without the time of the next attempt.
        reason: String,
    },
    /// An object answers a call.
    Reply {
        /// The call.
        call: CallId,
        /// Its result.
        result: CallResult,
    },
    /// Values at or below a path may differ: look if anybody wants to know.
    Changed(Path),
    /// An object is there, or has other instances than before.
    Object {
        /// Its definition.
        definition: Arc<ObjectDef>,
        /// Its instances, ascending.
        instances: Vec<u16>,
        /// Resources whose opaque values it takes chunk by chunk, as
        /// [`CallOperation::Stream`](crate::CallOperation::Stream). Any but a single
        /// opaque resource is passed over.
        streams: Vec<u16>,
    },
    /// An [`Output::Persist`] was carried out.
    Persisted {
        /// Its name.
        ticket: Ticket,
        /// It is on the medium, or why it is not, in one line.
        result: Result<(), String>,
    },
    /// The network of the device has changed (an address, a route): links that
    /// wait for their next attempt are tried now.
    NetworkChanged,
    /// The operator, or the program around the engine, wants something.
    Command(Command),
}

/// What a new link has in common with the last one to the same server
/// (Transport 12.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// A full handshake, or another local address: the server does not know us.
    New,
    /// A resumed session, or NoSec from the same address: an Update is enough.
    Kept,
}

/// What the operator or the rim wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A request on the device itself; answered by [`Output::LocalReply`]. It has
    /// every right, but keys are never shown.
    Request {
        /// Chosen by the caller; named in the reply and in notifications.
        id: u64,
        /// What to do; values to write come as `entries`.
        request: LocalRequest,
    },
    /// Ends an observation that a [`Command::Request`] started.
    CancelLocal {
        /// The identifier of the request.
        id: u64,
    },
    /// Send an Update now, or Register if there is no registration.
    Update {
        /// One server, or all.
        server: Option<u16>,
    },
    /// An attempt to reach the server that waits, or whose link is being opened, begins
    /// anew: what was wrong with its account may be mended.
    Retry {
        /// The server.
        server: u16,
    },
    /// Sleep as soon as nothing is under way, instead of when the awake time is
    /// over (queue mode only).
    Sleep {
        /// One server, or all.
        server: Option<u16>,
    },
    /// Wake up: an Update goes out.
    Wake {
        /// One server, or all.
        server: Option<u16>,
    },
    /// Orderly stop: de-register if asked to, then [`Output::Stopped`].
    Stop {
        /// Say farewell to the servers.
        deregister: Deregister,
    },
    /// The accounts of a configuration that was read again.
    Accounts(Vec<Account>),
    /// Forget what servers have written, and begin anew with the accounts as they are
    /// configured; answered by [`Output::LocalReply`] when that is on the medium.
    FactoryReset {
        /// Chosen by the caller; named in the reply.
        id: u64,
    },
    /// A store that could not be read at the start can be used; this is what it holds.
    /// What servers wrote to accounts and attached counts again.
    Recall(Vec<Record>),
    /// Whether [`Event::Message`] is wanted.
    Monitor(Monitor),
}

/// Whether an orderly stop de-registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deregister {
    /// Send a De-register and wait for the answer, 2 s at most.
    Yes,
    /// Keep the registration: a reboot is no farewell.
    No,
}

/// Whether the conversation is reported message by message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitor {
    /// Report each message.
    On,
    /// Report none.
    Off,
}

/// A request of the operator on the device: typed, without a wire format.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalRequest {
    /// Read, Execute, Discover, Observe, Delete: as a server would ask.
    Plain(Request),
    /// Write these values.
    Write {
        /// The target.
        path: Path,
        /// Its values.
        entries: Vec<Entry>,
    },
    /// Make an instance.
    Create {
        /// Object ID.
        object: u16,
        /// Its identifier; `None` takes the lowest that is free.
        instance: Option<u16>,
        /// Its values, below any instance: they are moved to the new one.
        entries: Vec<Entry>,
    },
}

/// What the engine wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// Over this link.
        link: LinkId,
        /// The bytes, to be encrypted if the link is secure.
        bytes: Vec<u8>,
    },
    /// Open a link; answered by `LinkUp` or `LinkDown`.
    OpenLink {
        /// Its name from now on.
        link: LinkId,
        /// The server whose URI and credentials count.
        server: u16,
        /// The Server URI.
        uri: String,
    },
    /// Close a link; nothing more is said about it.
    CloseLink {
        /// The link.
        link: LinkId,
    },
    /// What links to this server have left behind is of no use any more.
    ForgetLinks {
        /// The server.
        server: u16,
    },
    /// Ask an object.
    Call(Call),
    /// Make these changes outlive a power cut, all of them or none; answered by
    /// `Persisted`. There is one at a time.
    Persist {
        /// Its name.
        ticket: Ticket,
        /// The changes, no two of the same key; `RemoveAll` comes alone.
        changes: Vec<Change>,
    },
    /// What is observed, or is no more: an object whose values have no event
    /// source samples them so often, and says `Changed`.
    Watch {
        /// The observed path.
        path: Path,
        /// Time between two samples; `None` ends the watch.
        interval: Option<Duration>,
    },
    /// The answer to a local request.
    LocalReply {
        /// The identifier of the request.
        id: u64,
        /// Values of a Read or Observe, paths of a Discover or of what a Create
        /// made as entries without value, nothing for the rest.
        result: Result<Vec<Entry>, RequestError>,
    },
    /// A notification of a local observation.
    LocalNotify {
        /// The identifier of the request that started it.
        id: u64,
        /// All values of the observed path.
        entries: Vec<Entry>,
    },
    /// Something the operator may want to know.
    Event(Event),
    /// The orderly stop is complete.
    Stopped,
}

/// A reason in words, most often fixed ones.
pub type Reason = Cow<'static, str>;
