//! Firmware Update (5) in the host of the objects (Objects 7).
//!
//! What is read comes from the last record, at once. What is written or executed goes
//! to the task that owns the machine, which answers.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Arguments, Code, Entry, Now, ObjectDef, Path, RequestError, Value, objects};
use lwm2m_objects::{Answer, Object};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::resource::{
    AUTOMATIC_UPGRADE, CANCEL, DELIVERY_METHOD, LAST_STATE_CHANGE, MAX_DEFER_PERIOD, PACKAGE,
    PACKAGE_NAME, PACKAGE_URI, PACKAGE_VERSION, PROTOCOLS, SEVERITY, STATE, UPDATE, UPDATE_RESULT,
    path,
};
use crate::worker::{Parts, Worker, load};
use crate::{
    Backend, Delivery, Event, Fetcher, FirmwareHandle, Protocol, Record, Restarter, Settings,
    UpdateStatus,
};

/// The Firmware Update object.
pub struct FirmwareUpdate {
    definition: Arc<ObjectDef>,
    protocols: Vec<Protocol>,
    events: mpsc::Sender<Event>,
    status: watch::Receiver<UpdateStatus>,
    registered: Arc<Notify>,
    /// The task of the machine, and what waits for room in its channel; they end with
    /// the object.
    tasks: JoinSet<()>,
}

/// Tells the object what a new system has to show.
#[derive(Debug, Clone)]
pub struct Confirmation(Arc<Notify>);

impl Confirmation {
    /// A server has answered a Register or an Update in this boot. It is not lost while
    /// the object is busy; what is not on trial is not concerned.
    pub fn registered(&self) {
        self.0.notify_one();
    }
}

/// What a resource holds.
enum Content {
    Value(Value),
    /// Those of a multiple-instance resource, in the order of its instances.
    Multiple(Vec<Value>),
    /// Nothing to be read.
    Action,
}

impl FirmwareUpdate {
    /// The object, going on with what is recorded.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its task needs.
    pub fn new<B: Backend, R: Restarter, F: Fetcher>(parts: Parts<B, R, F>) -> Self {
        let (events, received) = mpsc::channel(EVENT_LIMIT);
        // Small, and needed before the first answer.
        let recorded = load(&*parts.records);
        let protocols = parts.fetcher.protocols().to_vec();
        let shown = UpdateStatus::of(recorded.clone().unwrap_or_default());
        let (shown, status) = watch::channel(shown);
        let mut tasks = JoinSet::new();
        let registered = Arc::new(Notify::new());
        tasks.spawn(Worker::run(parts, recorded, received, registered.clone(), shown));
        let definition = Arc::new(objects::FIRMWARE_UPDATE.clone());
        Self { definition, protocols, events, status, registered, tasks }
    }

    /// A handle through which the daemon tells of registrations.
    pub fn confirmation(&self) -> Confirmation {
        Confirmation(self.registered.clone())
    }

    /// A handle for people on the device.
    pub fn handle(&self) -> FirmwareHandle {
        FirmwareHandle::new(self.events.downgrade(), self.status.clone())
    }

    /// What stands in the resources at or below `path`, or above it.
    fn contents(&self, path: &Path) -> Vec<(Path, Content)> {
        if path.instance_id().is_some_and(|id| id != 0) {
            return Vec::new();
        }
        let record = &self.status.borrow().record;
        let ids = self.definition.resources.iter().map(|resource| resource.id);
        let contents =
            ids.filter_map(|id| Some((crate::resource::path(id), self.content(id, record)?)));
        contents.filter(|(at, _)| path.contains(at) || at.contains(path)).collect()
    }

    /// What a resource holds; `None` if it is not there.
    fn content(&self, id: u16, record: &Record) -> Option<Content> {
        let value = match id {
            PACKAGE | UPDATE | CANCEL => return Some(Content::Action),
            PROTOCOLS => {
                let numbers = self.protocols.iter().map(|it| Value::Integer(it.number()));
                return Some(Content::Multiple(numbers.collect()));
            }
            PACKAGE_URI => Value::String(record.uri.clone()),
            STATE => Value::Integer(record.state.number()),
            UPDATE_RESULT => Value::Integer(record.result.number()),
            PACKAGE_NAME => Value::String(record.package.clone().unwrap_or_default().name),
            PACKAGE_VERSION => Value::String(record.package.clone().unwrap_or_default().version),
            DELIVERY_METHOD => Value::Integer(Delivery::with(&self.protocols).number()),
            SEVERITY => Value::Integer(record.severity.into()),
            LAST_STATE_CHANGE => Value::Time(record.changed_at?),
            MAX_DEFER_PERIOD => Value::Unsigned(record.max_defer?),
            AUTOMATIC_UPGRADE => Value::Boolean(record.automatic),
            _ => return None,
        };
        Some(Content::Value(value))
    }

    fn read(&self, path: &Path) -> CallResult {
        let mut entries = Vec::new();
        for (at, content) in self.contents(path) {
            match content {
                Content::Value(value) => entries.push(Entry::new(at, value)),
                Content::Multiple(values) if values.is_empty() => entries.push(Entry::empty(at)),
                Content::Multiple(values) => {
                    let instances = instances(&at, values.len()).into_iter().zip(values);
                    entries.extend(instances.map(|(at, value)| Entry::new(at, value)));
                }
                Content::Action => {}
            }
        }
        entries.retain(|entry| path.contains(&entry.path));
        if entries.is_empty() { Err(not_found(path)) } else { Ok(CallReply::Entries(entries)) }
    }

    fn discover(&self, path: &Path) -> CallResult {
        let mut paths = vec![Path::instance(objects::id::FIRMWARE_UPDATE, 0)];
        for (at, content) in self.contents(path) {
            let below = match content {
                Content::Multiple(values) => instances(&at, values.len()),
                Content::Value(_) | Content::Action => Vec::new(),
            };
            paths.push(at);
            paths.extend(below);
        }
        paths.retain(|known| path.contains(known));
        if paths.is_empty() { Err(not_found(path)) } else { Ok(CallReply::Paths(paths)) }
    }

    /// Hands an event to the machine, which answers.
    fn ask(&self, event: Event) -> Answer {
        match self.events.try_send(event) {
            Ok(()) => Answer::Later,
            Err(TrySendError::Full(_)) => Answer::Now(Err(RequestError::new(
                Code::SERVICE_UNAVAILABLE,
                "the update is busy with storage",
            ))),
            Err(TrySendError::Closed(_)) => Answer::Now(Err(RequestError::new(
                Code::INTERNAL_SERVER_ERROR,
                "the update has stopped",
            ))),
        }
    }

    /// Hands on what needs no answer, but must not be lost.
    fn tell(&mut self, event: Event) -> Answer {
        if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
            let events = self.events.clone();
            self.tasks.spawn(async move {
                let _ = events.send(event).await;
            });
        }
        Answer::Now(Ok(CallReply::Done))
    }

    fn execute(&self, call: CallId, path: &Path, arguments: &Arguments) -> Answer {
        let event = match path.ids() {
            [_, 0, UPDATE] => Event::Update { call },
            [_, 0, CANCEL] => Event::Cancel { call },
            _ => return Answer::Now(Err(not_found(path))),
        };
        if !arguments.is_empty() {
            let reason = format!("{path} takes no argument");
            return Answer::Now(Err(RequestError::new(Code::BAD_REQUEST, reason)));
        }
        self.ask(event)
    }

    fn write(&self, call: &Call, entries: &[Entry]) -> Answer {
        match write_event(call, entries) {
            Ok(event) => self.ask(event),
            Err(error) => Answer::Now(Err(error)),
        }
    }
}

impl Object for FirmwareUpdate {
    fn definition(&self) -> Arc<ObjectDef> {
        self.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        vec![0]
    }

    fn streams(&self) -> Vec<u16> {
        vec![PACKAGE]
    }

    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        match &call.operation {
            CallOperation::Read => Answer::Now(self.read(&call.path)),
            CallOperation::Discover => Answer::Now(self.discover(&call.path)),
            CallOperation::Write { mode: _, entries } => self.write(call, entries),
            CallOperation::Execute(arguments) => self.execute(call.id, &call.path, arguments),
            CallOperation::Stream { offset, chunk, last, size } => {
                if call.path != path(PACKAGE) {
                    return Answer::Now(Err(not_found(&call.path)));
                }
                let (offset, bytes, last, size) = (*offset, chunk.clone(), *last, *size);
                let (call, server) = (call.id, call.server);
                self.ask(Event::Chunk { call, server, offset, bytes, last, size })
            }
            CallOperation::StreamEnd => self.tell(Event::Silent),
            CallOperation::Proceed => self.tell(Event::Proceed),
            CallOperation::Create { .. } | CallOperation::Delete => Answer::Now(Err(
                RequestError::new(Code::METHOD_NOT_ALLOWED, "the object has exactly one instance"),
            )),
        }
    }

    /// What changes is told by the machine.
    fn watch(&mut self, _path: &Path, _interval: Option<Duration>) {}
}

/// What a Write means, if it means anything.
fn write_event(call: &Call, entries: &[Entry]) -> Result<Event, RequestError> {
    if call.path.instance_id().is_some_and(|id| id != 0) {
        return Err(not_found(&call.path));
    }
    let (mut uri, mut settings) = (None, Settings::default());
    for entry in entries {
        match (entry.path.resource_id(), entry.value()) {
            (Some(PACKAGE), Some(Value::Opaque(bytes))) if call.path == path(PACKAGE) => {
                let (size, bytes) = (Some(bytes.len() as u64), bytes.clone());
                let (call, server) = (call.id, call.server);
                return Ok(Event::Chunk { call, server, offset: 0, bytes, last: true, size });
            }
            (Some(PACKAGE), _) => {
                let reason = "the package is written by itself, at /5/0/0";
                return Err(RequestError::new(Code::BAD_REQUEST, reason));
            }
            (Some(PACKAGE_URI), Some(Value::String(text))) => uri = Some(text.clone()),
            (Some(SEVERITY), Some(Value::Integer(severity))) => {
                settings.severity = Some(u8::try_from(*severity).unwrap_or(u8::MAX));
            }
            (Some(MAX_DEFER_PERIOD), Some(Value::Unsigned(seconds))) => {
                settings.max_defer = Some(*seconds);
            }
            (Some(AUTOMATIC_UPGRADE), Some(Value::Boolean(automatic))) => {
                settings.automatic = Some(*automatic);
            }
            _ => {
                let reason = format!("{} cannot be written", entry.path);
                return Err(RequestError::new(Code::BAD_REQUEST, reason));
            }
        }
    }
    Ok(Event::Write { call: call.id, uri, settings })
}

/// The paths of the instances of a multiple-instance resource.
fn instances(resource: &Path, count: usize) -> Vec<Path> {
    (0..u16::MAX).take(count).filter_map(|id| resource.child(id).ok()).collect()
}

fn not_found(path: &Path) -> RequestError {
    RequestError::new(Code::NOT_FOUND, format!("{path} does not exist on this device"))
}

/// Events that may wait for the machine. The host gives one call at a time, so that it
/// takes a disk that hangs to fill it.
const EVENT_LIMIT: usize = 16;
