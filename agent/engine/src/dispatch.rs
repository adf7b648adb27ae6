//! From a request to a call of an object: the checks of Core 6, in their order.
//!
//! 1. A server that is registered (the caller has seen to it).
//! 2. Objects 0, 21 and 23: 4.01.
//! 3. The rules of paths: 4.05.
//! 4. What does not exist: 4.04.
//! 5. What the resource does not allow: 4.05, if it exists.
//! 6. Formats: 4.15 and 4.06.
//! 7. The payload: 4.00.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::{CacheKey, ExchangeId, Token};
use lwm2m_model::{
    Arguments, AttributeUpdate, Attributes, Code, Content, ContentFormat, Entry, Instant,
    ObjectDef, Operation, Path, Request, RequestError, ResourceDef, Version, WriteMode,
    objects::id,
};

use crate::engine::Engine;
use crate::observations::ObservationId;
use crate::persistence::Deed;
use crate::stream::{Chunk, Owner};
use crate::{Call, CallId, CallOperation, Output, attributes, create, values};

/// Who asked, and how to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A server, in a CoAP session that must still be the same when we answer.
    Server { id: u16, session: u32, exchange: ExchangeId, key: CacheKey, token: Token },
    /// The operator on the device.
    Local { id: u64 },
}

impl Origin {
    /// The token of a server's request.
    pub(crate) fn token(&self) -> Option<Token> {
        match self {
            Self::Server { token, .. } => Some(*token),
            Self::Local { .. } => None,
        }
    }

    /// The server that asked.
    pub(crate) fn server(&self) -> Option<u16> {
        match self {
            Self::Server { id, .. } => Some(*id),
            Self::Local { .. } => None,
        }
    }
}

/// A request on its way through the engine.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) origin: Origin,
    pub(crate) operation: Operation,
    pub(crate) path: Path,
    pub(crate) accept: Option<ContentFormat>,
    pub(crate) payload: Payload,
}

/// The values that came with a request.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    None,
    Wire(Content),
    Typed(Vec<Entry>),
    /// Values of a new instance, whose identifier may be ours to choose.
    New {
        instance: Option<u16>,
        entries: Vec<Entry>,
    },
    /// A part of an opaque value.
    Chunk(Chunk),
}

/// What is done with the answer to a call.
#[derive(Debug, Clone)]
pub(crate) enum Pending {
    /// Answer a Read, or the Read that a Cancel is, in this format.
    Read { job: Job, format: ContentFormat },
    /// Begin an observation and answer.
    Observe { job: Job, format: ContentFormat, own: Option<Attributes> },
    /// Answer a Discover.
    Discover { job: Job, depth: usize },
    /// Answer a Write, Execute or Delete.
    Act { job: Job },
    /// Answer a Create of these instances.
    Create { job: Job, instances: Vec<u16> },
    /// Answer a part of a value.
    Stream { job: Job, owner: Owner, last: bool },
    /// Attach attributes, if the target exists.
    Attach { job: Job, update: AttributeUpdate },
    /// Refuse, with 4.04 if the target does not even exist.
    Refuse { job: Job, error: RequestError },
    /// Judge and notify: the values at `path` for these observations.
    Sample { path: Path, observations: Vec<ObservationId> },
}

/// A call that an object has not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct OpenCall {
    /// When it is given up.
    pub(crate) until: Instant,
    pub(crate) pending: Pending,
}

impl Pending {
    /// The request behind the call; `None` for a sample.
    fn job(&self) -> Option<&Job> {
        match self {
            Self::Read { job, .. }
            | Self::Observe { job, .. }
            | Self::Discover { job, .. }
            | Self::Act { job }
            | Self::Create { job, .. }
            | Self::Stream { job, .. }
            | Self::Attach { job, .. }
            | Self::Refuse { job, .. } => Some(job),
            Self::Sample { .. } => None,
        }
    }
}

impl Job {
    /// A request of a server, or of the operator in the same form.
    pub(crate) fn from_request(origin: Origin, request: Request) -> Self {
        let Request { operation, path, accept, content } = request;
        let payload = content.map_or(Payload::None, Payload::Wire);
        Self { origin, operation, path, accept, payload }
    }

    /// The size exponent of blocks that a server's request asks for.
    pub(crate) fn block_szx(&self) -> Option<u8> {
        match self.origin {
            Origin::Server { key, .. } => key.block_szx(),
            Origin::Local { .. } => None,
        }
    }

    /// A Write of the operator, whose values have their types already.
    pub(crate) fn write(origin: Origin, path: Path, entries: Vec<Entry>) -> Self {
        let operation = Operation::Write(WriteMode::Replace);
        Self { origin, operation, path, accept: None, payload: Payload::Typed(entries) }
    }

    /// A Create of the operator.
    pub(crate) fn create(
        origin: Origin,
        object: u16,
        instance: Option<u16>,
        entries: Vec<Entry>,
    ) -> Self {
        // 65535 is no object; the root is no target of a Create.
        let path = Path::root().child(object).unwrap_or_default();
        let payload = Payload::New { instance, entries };
        Self { origin, operation: Operation::Create, path, accept: None, payload }
    }

    /// A Write of a part of an opaque value.
    pub(crate) fn write_chunk(origin: Origin, path: Path, chunk: Chunk) -> Self {
        let operation = Operation::Write(WriteMode::Replace);
        Self { origin, operation, path, accept: None, payload: Payload::Chunk(chunk) }
    }

    /// A message that is no request, or a part of one; it will be refused.
    pub(crate) fn refused(origin: Origin, like: Operation, path: Path) -> Self {
        Self { origin, operation: like, path, accept: None, payload: Payload::None }
    }
}

/// The definitions that a path leads to.
pub(crate) struct Target {
    pub(crate) object: Arc<ObjectDef>,
    pub(crate) resource: Option<ResourceDef>,
}

impl Engine {
    /// Takes a request all the way to an object, or answers why not.
    pub(crate) fn dispatch(&mut self, job: Job) {
        if let Err(error) = self.try_dispatch(&job) {
            self.answer(&job, Err(error));
        }
    }

    fn try_dispatch(&mut self, job: &Job) -> Result<(), RequestError> {
        self.check_visible(job)?;
        check_depth(job)?;
        let target = self.target(&job.path)?;
        if let Some(error) = not_supported(job, &target) {
            self.call(
                &job.path,
                CallOperation::Discover,
                Pending::Refuse { job: job.clone(), error },
            );
            return Ok(());
        }
        match &job.operation {
            Operation::Read | Operation::CancelObservation => {
                let format = self.answer_format(job, &target)?;
                let pending = Pending::Read { job: job.clone(), format };
                self.call(&job.path, CallOperation::Read, pending);
            }
            Operation::Observe(update) => {
                let format = self.answer_format(job, &target)?;
                let own = observe_attributes(&job.path, &target, update)?;
                let pending = Pending::Observe { job: job.clone(), format, own };
                self.call(&job.path, CallOperation::Read, pending);
            }
            Operation::Discover { depth } => {
                let depth = depth.map_or(if job.path.depth() == 1 { 2 } else { 1 }, usize::from);
                let pending = Pending::Discover { job: job.clone(), depth };
                self.call(&job.path, CallOperation::Discover, pending);
            }
            Operation::Write(mode) => {
                if let Payload::Chunk(chunk) = &job.payload {
                    return self.stream(job, target.resource.as_ref(), chunk);
                }
                let entries = self.written(job, &target, *mode)?;
                let pending = Pending::Act { job: job.clone() };
                self.call(&job.path, CallOperation::Write { mode: *mode, entries }, pending);
            }
            Operation::WriteAttributes(update) => {
                attributes::check_target(&job.path, target.resource.as_ref(), update.names())?;
                let pending = Pending::Attach { job: job.clone(), update: update.clone() };
                self.call(&job.path, CallOperation::Discover, pending);
            }
            Operation::Execute => {
                let arguments = arguments(&job.payload)?;
                self.check_promises()?;
                let pending = Pending::Act { job: job.clone() };
                self.call(&job.path, CallOperation::Execute(arguments), pending);
            }
            Operation::Create => {
                let (instances, entries) = self.to_create(job, &target.object)?;
                let operation = CallOperation::Create { instances: instances.clone(), entries };
                let pending = Pending::Create { job: job.clone(), instances };
                self.call(&job.path, operation, pending);
            }
            Operation::Delete => {
                create::check_delete(&job.path, &target.object, self.version(job))?;
                self.call(&job.path, CallOperation::Delete, Pending::Act { job: job.clone() });
            }
        }
        Ok(())
    }

    /// Asks an object; Objects 0 and 1 are answered here.
    pub(crate) fn call(&mut self, path: &Path, operation: CallOperation, pending: Pending) {
        let call = self.new_call(path, operation, &pending);
        match path.object_id() {
            Some(id::SECURITY) => {
                let result = self.security_object(&call);
                self.complete(call.id, pending, result);
            }
            Some(id::SERVER) => match (&call.operation, pending) {
                (CallOperation::Write { .. }, Pending::Act { job }) => {
                    self.promise(Deed::Write { call, job });
                }
                (_, pending) => {
                    let result = self.server_object(&call);
                    self.complete(call.id, pending, result);
                }
            },
            object if pending.job().is_some() && self.is_busy(object) => {
                self.complete(call.id, pending, Err(busy()));
            }
            _ => self.open(call, pending),
        }
    }

    /// A call under a name of its own.
    pub(crate) fn new_call(
        &mut self,
        path: &Path,
        operation: CallOperation,
        pending: &Pending,
    ) -> Call {
        let id = CallId(self.next_call);
        self.next_call += 1;
        let server = pending.job().and_then(|job| job.origin.server());
        Call { id, path: path.clone(), operation, server }
    }

    /// Asks an object that is outside of the engine.
    pub(crate) fn open(&mut self, call: Call, pending: Pending) {
        let open = OpenCall { until: self.now.boot + CALL_LIMIT, pending };
        self.calls.insert(call.id, Box::new(open));
        self.outputs.push_back(Output::Call(call));
    }

    /// True if an object has as many requests to work on as it may have: others
    /// must not wait for it until no exchange is left for them.
    pub(crate) fn is_busy(&self, object: Option<u16>) -> bool {
        let jobs = self.calls.values().filter_map(|open| open.pending.job());
        jobs.filter(|job| job.path.object_id() == object).count() >= MAX_CALLS_OF_OBJECT
    }

    /// Gives up calls that nobody has answered: the server hears of it while it
    /// still waits, and nothing is kept for ever.
    pub(crate) fn calls_overdue(&mut self) {
        let now = self.now.boot;
        // The limit is the same for all, so the oldest call is the first to end.
        while let Some(oldest) = self.calls.first_entry().filter(|open| open.get().until <= now) {
            let (call, open) = oldest.remove_entry();
            let reason = "the object does not answer";
            let silent = RequestError::new(Code::SERVICE_UNAVAILABLE, reason);
            self.complete(call, open.pending, Err(silent));
        }
    }

    /// True if an object works on a request of this server.
    pub(crate) fn has_calls_of(&self, id: u16) -> bool {
        let mut jobs = self.calls.values().filter_map(|open| open.pending.job());
        jobs.any(|job| job.origin.server() == Some(id))
    }

    /// An Execute may become an action that waits for its answer to arrive.
    fn check_promises(&self) -> Result<(), RequestError> {
        if self.promised.len() < MAX_PROMISES {
            return Ok(());
        }
        let reason = "too many actions wait for their answers to arrive";
        Err(RequestError::new(Code::SERVICE_UNAVAILABLE, reason))
    }

    /// CORE-02: what holds credentials is out of reach for servers. The operator
    /// may look at accounts.
    fn check_visible(&self, job: &Job) -> Result<(), RequestError> {
        if let Some(prefix) = job.path.prefix() {
            let reason = format!("there is no device \"{prefix}\" behind this one");
            return Err(RequestError::new(Code::NOT_FOUND, reason));
        }
        let secret = matches!(job.path.object_id(), Some(id::SECURITY | id::OSCORE | id::COSE));
        match (secret, job.origin, &job.operation) {
            (true, Origin::Server { .. }, _) => {
                Err(RequestError::new(Code::UNAUTHORIZED, "servers have no access to credentials"))
            }
            (true, Origin::Local { .. }, Operation::Read | Operation::Discover { .. })
            | (false, _, _) => Ok(()),
            (true, Origin::Local { .. }, _) => {
                let reason = "accounts are changed in the configuration";
                Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason))
            }
        }
    }

    /// Finds what the path names, as far as definitions and instances go; whether a
    /// resource is there only its object knows.
    pub(crate) fn target(&self, path: &Path) -> Result<Target, RequestError> {
        let missing = |what: String| RequestError::new(Code::NOT_FOUND, what);
        let root = || RequestError::new(Code::METHOD_NOT_ALLOWED, "the root is no target of this");
        let object = path.object_id().ok_or_else(root)?;
        let entry = self
            .objects
            .get(&object)
            .ok_or_else(|| missing(format!("there is no object /{object}")))?;
        if let Some(instance) = path.instance_id()
            && !entry.has(instance)
        {
            return Err(missing(format!("there is no instance /{object}/{instance}")));
        }
        let resource = path
            .resource_id()
            .map(|id| {
                let unknown = || missing(format!("object {object} has no resource {id}"));
                entry.definition.resource(id).cloned().ok_or_else(unknown)
            })
            .transpose()?;
        if path.depth() == 4 && resource.as_ref().is_some_and(|resource| !resource.multiple) {
            let reason = format!("{} has one instance only", path.truncated(3));
            return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
        }
        Ok(Target { object: Arc::clone(&entry.definition), resource })
    }

    /// The format of an answer: what the server accepts, else ours (Core 10.2).
    fn answer_format(&self, job: &Job, target: &Target) -> Result<ContentFormat, RequestError> {
        let single = target
            .resource
            .as_ref()
            .filter(|resource| job.path.depth() == 4 || !resource.multiple)
            .map(|resource| resource.data_type);
        values::answer_format(job.accept, single, self.version(job))
    }

    /// The version that who asks speaks; the operator speaks the latest.
    pub(crate) fn version(&self, job: &Job) -> Version {
        let version = job.origin.server().and_then(|id| Some(self.servers.get(&id)?.version));
        version.unwrap_or(Version::V1_2)
    }

    /// The values of a Write, typed and checked.
    fn written(
        &self,
        job: &Job,
        target: &Target,
        mode: WriteMode,
    ) -> Result<Vec<Entry>, RequestError> {
        let entries = match &job.payload {
            Payload::Typed(entries) => values::check(&target.object, entries.clone())?,
            Payload::Wire(content) => {
                let (object, resource) = (&target.object, target.resource.as_ref());
                values::read(object, resource, &job.path, mode, content, self.version(job))?
            }
            Payload::None | Payload::Chunk(_) | Payload::New { .. } => {
                return Err(RequestError::new(Code::BAD_REQUEST, "a Write needs a payload"));
            }
        };
        self.check_links(&entries, None, &[])?;
        Ok(entries)
    }
}

/// The table "levels at which each operation is legal" of Core 6 (CORE-04).
fn check_depth(job: &Job) -> Result<(), RequestError> {
    let legal = match &job.operation {
        Operation::Read
        | Operation::Observe(_)
        | Operation::CancelObservation
        | Operation::WriteAttributes(_) => 1..=4,
        Operation::Discover { .. } => 1..=3,
        Operation::Write(WriteMode::Replace) => 2..=4,
        Operation::Write(WriteMode::Partial) => 2..=3,
        Operation::Execute => 3..=3,
        Operation::Create => 1..=1,
        Operation::Delete => 2..=4,
    };
    let depth = job.path.depth();
    if legal.contains(&depth) && (job.operation != Operation::Delete || depth != 3) {
        return Ok(());
    }
    let name = job.operation.name();
    let reason = format!("{name} is not possible at {}", job.path);
    Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason))
}

/// What the definition of the resource does not allow.
fn not_supported(job: &Job, target: &Target) -> Option<RequestError> {
    let resource = target.resource.as_ref()?;
    let may = resource.operations;
    let allowed = match &job.operation {
        Operation::Read if job.origin.server().is_none() => !may.executable(),
        Operation::Read
        | Operation::Observe(_)
        | Operation::CancelObservation
        | Operation::WriteAttributes(_) => may.readable(),
        Operation::Discover { .. } | Operation::Create => true,
        Operation::Write(WriteMode::Partial) if job.path.depth() == 3 => {
            may.writable() && resource.multiple
        }
        Operation::Write(_) | Operation::Delete => may.writable(),
        Operation::Execute => may.executable(),
    };
    (!allowed).then(|| {
        let name = job.operation.name();
        let reason = format!("{} ({}) does not allow {name}", job.path, resource.name);
        RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
    })
}

/// Attributes in an Observe: if there are any, only they count (CORE-45).
fn observe_attributes(
    path: &Path,
    target: &Target,
    update: &AttributeUpdate,
) -> Result<Option<Attributes>, RequestError> {
    attributes::check_target(path, target.resource.as_ref(), update.names())?;
    let nothing_to_unset = || RequestError::new(Code::BAD_REQUEST, "an Observe can unset nothing");
    let own = update.as_attributes().ok_or_else(nothing_to_unset)?;
    Ok(Some(own).filter(|own| !own.is_empty()))
}

/// The arguments of an Execute: text or nothing (CORE-141).
fn arguments(payload: &Payload) -> Result<Arguments, RequestError> {
    let Payload::Wire(content) = payload else {
        return Ok(Arguments::default());
    };
    match content.format {
        None | Some(ContentFormat::TEXT) => {}
        Some(format) => {
            let reason = format!("arguments are text, not {format}");
            return Err(RequestError::new(Code::UNSUPPORTED_CONTENT_FORMAT, reason));
        }
    }
    let wrong = |reason: String| RequestError::new(Code::BAD_REQUEST, reason);
    let text = std::str::from_utf8(&content.payload).map_err(|error| wrong(error.to_string()))?;
    Arguments::parse(text).map_err(|error| wrong(error.to_string()))
}

/// An object that works on as many requests as it may.
pub(crate) fn busy() -> RequestError {
    RequestError::new(Code::SERVICE_UNAVAILABLE, "the object is busy with other requests")
}

/// Requests that one object works on at once, chunks of a stream under way apart; more are answered 5.03.
const MAX_CALLS_OF_OBJECT: usize = 8;
/// Actions that wait for their answers to arrive; another Execute is answered 5.03.
const MAX_PROMISES: usize = 64;
/// A call that is not answered so long is given up. Less than MAX_TRANSMIT_WAIT,
/// for which a server waits after the empty ACK.
const CALL_LIMIT: Duration = Duration::from_secs(60);
