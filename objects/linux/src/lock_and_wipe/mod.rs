//! Lock and Wipe (8): scripts of the operator's that lock parts of the device and erase
//! what is on it (Objects 10).
//!
//! 1. A Write of State or an Execute of Wipe is recorded, then answered, then done: one
//!    operation at a time, `lwm2md-lock@NAME:VERB.service` for each of its targets.
//! 2. Result is 0 from then until all of them have ended.
//! 3. State is what is locked: a target whose unit has failed keeps the agent's word for
//!    it. A target that fails keeps no other from its turn.

mod record;
mod resource;
mod wanted;

use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::objects::LOCK_AND_WIPE;
use lwm2m_model::{Arguments, Code, Entry, Now, ObjectDef, Path, RequestError, Value, WriteMode};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::content::{self, Content};
use crate::sources::systemd1::run_unit;
use crate::tasks::Tasks;
use crate::{Answer, BusHandle, Object, ObjectMessage};
use record::{Operation, Record};
use wanted::Wanted;

/// What can be locked and wiped on this device: names of files in
/// `/usr/lib/lwm2md/locks.d`, each an [instance name](crate::is_instance_name).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockAndWipeConfig {
    /// Targets of State.
    pub lock: Vec<String>,
    /// Targets of Wipe.
    pub wipe: Vec<String>,
}

use LockAndWipeConfig as Config;

/// The Lock and Wipe object.
pub struct LockAndWipe {
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    config: Config,
    bus: BusHandle,
    path: PathBuf,
    record: Mutex<Record>,
    out: mpsc::Sender<ObjectMessage>,
}

impl LockAndWipe {
    /// The object; `state` is the state directory, where its record is kept, and `out` the
    /// channel of the host.
    pub fn new(
        config: Config,
        state: &FilePath,
        bus: BusHandle,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let path = state.join("lock-and-wipe");
        let record = Mutex::new(Record::load(&path, &config));
        let shared = Shared { config, bus, path, record, out: out.clone() };
        Self { shared: Arc::new(shared), tasks: Tasks::new(out) }
    }

    fn contents(&self) -> Vec<(Path, Content)> {
        let integer = |value| Content::Single(Value::Integer(value));
        let record = self.shared.record();
        let items = &self.shared.config.wipe;
        let items = (0..).zip(items.iter().cloned().map(Value::String)).collect();
        [
            (resource::STATE, integer(record.state(&self.shared.config))),
            (resource::LOCK_TARGET, Content::Unreadable),
            (resource::WIPE_ITEM, Content::Multiple(items)),
            (resource::WIPE, Content::Unreadable),
            (resource::WIPE_TARGET, Content::Unreadable),
            (resource::RESULT, integer(record.result)),
        ]
        .map(|(id, content)| (path(id), content))
        .into()
    }

    fn write(&mut self, call: CallId, target: &Path, mode: WriteMode, entries: &[Entry]) -> Answer {
        let before = self.shared.record().clone();
        match Wanted::parse(before, &self.shared.config, target, mode, entries) {
            Ok(wanted) => self.begin(call, wanted),
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn execute(&mut self, call: CallId, at: &Path, arguments: &Arguments) -> Answer {
        if *at != path(resource::WIPE) {
            return Answer::Now(Err(content::not_found(at)));
        }
        if !arguments.is_empty() {
            let reason = format!("{at} takes no argument");
            return Answer::Now(Err(RequestError::new(Code::BAD_REQUEST, reason)));
        }
        let record = self.shared.record().clone();
        if record.wipe_targets.is_empty() {
            let reason = "Wipe Target (8/0/4) names nothing to wipe";
            return Answer::Now(Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason)));
        }
        self.begin(call, Wanted { record, operation: Some(Operation::Wipe) })
    }

    /// Records what is wanted, answers, and does it.
    fn begin(&mut self, call: CallId, wanted: Wanted) -> Answer {
        let Wanted { mut record, operation } = wanted;
        if record.running.is_some() {
            let reason = "the operation before has not ended yet";
            return Answer::Now(Err(RequestError::new(Code::SERVICE_UNAVAILABLE, reason)));
        }
        if operation.is_some() {
            (record.running, record.result) = (operation, 0);
        }
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            let result: CallResult = match shared.keep(record).await {
                Ok(()) => Ok(CallReply::Done),
                Err(error) => Err(error),
            };
            let is_kept = result.is_ok();
            // Without a host nobody waits for the answer.
            let _ = shared.out.send(ObjectMessage::Reply { call, result }).await;
            if let Some(operation) = operation.filter(|_| is_kept) {
                shared.perform(operation).await;
            }
        });
        Answer::Later
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        // Whoever panicked with it in hand has left a whole record.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a record durable, and then what counts.
    async fn keep(&self, record: Record) -> Result<(), RequestError> {
        let (path, kept) = (self.path.clone(), record.clone());
        let saved = spawn_blocking(move || kept.save(&path)).await;
        match saved.unwrap_or_else(|error| Err(error.into())) {
            Ok(()) => {
                *self.record() = record;
                Ok(())
            }
            Err(error) => {
                tracing::error!("{}: {error}", self.path.display());
                let reason = "the state directory cannot be written";
                Err(RequestError::new(Code::INTERNAL_SERVER_ERROR, reason))
            }
        }
    }

    async fn perform(&self, operation: Operation) {
        tracing::info!("lock and wipe: {operation} begins");
        self.tell(resource::RESULT).await;
        let before = self.record().clone();
        let mut locked = before.locked.clone();
        let mut is_done = true;
        for (verb, name) in self.steps(operation, &before) {
            let unit = format!("lwm2md-lock@{name}:{verb}.service");
            if let Err(failure) = run_unit(&self.bus, &unit, RUN_LIMIT).await {
                tracing::error!("lock and wipe: {failure}");
                is_done = false;
                continue;
            }
            match verb {
                LOCK => drop(locked.insert(name)),
                UNLOCK => drop(locked.remove(&name)),
                _ => {}
            }
        }
        let result = operation.result(is_done);
        let ended = Record { locked, result, running: None, ..before };
        if self.keep(ended.clone()).await.is_err() {
            // What is done is done. After a restart it counts as failed.
            *self.record() = ended;
        }
        tracing::info!("lock and wipe: {operation} has ended with result {result}");
        self.tell(resource::STATE).await;
        self.tell(resource::RESULT).await;
    }

    /// What is run, in this order. All of it is run again, also what counts as done:
    /// somebody at the device may have undone it.
    fn steps(&self, operation: Operation, record: &Record) -> Vec<(&'static str, String)> {
        let all = |verb, names: &[String]| {
            names.iter().map(|name| (verb, name.clone())).collect::<Vec<_>>()
        };
        let named = |targets: &[(u16, String)]| {
            let mut names: Vec<String> = targets.iter().map(|(_, name)| name.clone()).collect();
            names.sort();
            names.dedup();
            names
        };
        match operation {
            Operation::Unlock => all(UNLOCK, &self.config.lock),
            Operation::LockAll => all(LOCK, &self.config.lock),
            Operation::LockSome => {
                let wanted = named(&record.lock_targets);
                let mut others: Vec<String> = record.locked.iter().cloned().collect();
                others.retain(|name| !wanted.contains(name));
                [all(LOCK, &wanted), all(UNLOCK, &others)].concat()
            }
            Operation::Wipe => all(WIPE, &named(&record.wipe_targets)),
        }
    }

    async fn tell(&self, resource: u16) {
        let _ = self.out.send(ObjectMessage::Changed(path(resource))).await;
    }
}

fn path(resource: u16) -> Path {
    Path::resource(LOCK_AND_WIPE.id, 0, resource)
}

impl Object for LockAndWipe {
    fn definition(&self) -> Arc<ObjectDef> {
        Arc::new(LOCK_AND_WIPE.clone())
    }

    fn instances(&self) -> Vec<u16> {
        vec![0]
    }

    fn call(&mut self, call: &Call, _: &Now) -> Answer {
        if call.path.instance_id().is_some_and(|id| id != 0) {
            return Answer::Now(Err(content::not_found(&call.path)));
        }
        match &call.operation {
            CallOperation::Read => Answer::Now(content::read(&call.path, self.contents())),
            CallOperation::Discover => {
                let instance = Path::instance(LOCK_AND_WIPE.id, 0);
                Answer::Now(content::discover(&call.path, [instance], self.contents()))
            }
            CallOperation::Write { mode, entries } => {
                self.write(call.id, &call.path, *mode, entries)
            }
            CallOperation::Execute(arguments) => self.execute(call.id, &call.path, arguments),
            CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Create { .. }
            | CallOperation::Delete => Answer::Now(Err(RequestError::new(
                Code::METHOD_NOT_ALLOWED,
                "the Lock and Wipe object has exactly one instance",
            ))),
        }
    }

    /// What changes is told in any case.
    fn watch(&mut self, _: &Path, _: Option<Duration>) {}
}

const LOCK: &str = "lock";
const UNLOCK: &str = "unlock";
const WIPE: &str = "wipe";
/// A unit that takes longer counts as failed; to wipe a disk takes its time.
const RUN_LIMIT: Duration = Duration::from_secs(6 * 3600);
