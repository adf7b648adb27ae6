//! Event Log (20) from the system journal (Objects 20).
//!
//! The journal is the log: LogStart and LogStop say of when it is shown, LogClass what of
//! it, and LogData is the newest [`MAX_LOG_DATA`] bytes of that as lines. Nothing is copied
//! and nothing runs while nobody reads. What goes by Send (4016, 4017) is absent.

mod class;
mod line;
mod record;
mod resource;
mod watcher;

use std::ops::ControlFlow;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::objects::EVENT_LOG;
use lwm2m_model::{Arguments, Code, Entry, Now, ObjectDef, Path, RequestError, Value, WriteMode};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use crate::content::{self, Content};
use crate::observed::Observed;
use crate::sources::journal;
use crate::tasks::Tasks;
use crate::{Answer, Object, ObjectMessage, Roots};
use class::Class;
use record::{Kept, Record};

/// The Event Log object.
pub struct EventLog {
    shared: Arc<Shared>,
    observed: Observed,
    interval: watch::Sender<Option<Duration>>,
    tasks: Tasks,
}

struct Shared {
    roots: Roots,
    path: PathBuf,
    record: Mutex<Record>,
    /// Held while a record is written: a call that the host has given up may still go on.
    keeping: tokio::sync::Mutex<()>,
    out: mpsc::Sender<ObjectMessage>,
}

impl EventLog {
    /// The object; the journal is read below `roots`, `state` is the state directory, where
    /// what servers ask for is kept, and `out` the channel of the host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(roots: Roots, state: &FilePath, out: mpsc::Sender<ObjectMessage>) -> Self {
        let path = state.join("event-log");
        let record = Mutex::new(Record::load(&path));
        let (interval, seen) = watch::channel(None);
        let mut tasks = Tasks::new(out.clone());
        tasks.spawn(watcher::run(roots.clone(), seen, out.clone()));
        let keeping = tokio::sync::Mutex::new(());
        let shared = Arc::new(Shared { roots, path, record, keeping, out });
        Self { shared, observed: Observed::default(), interval, tasks }
    }

    /// Reads; the journal only if something of it is wanted.
    fn read(&mut self, call: CallId, at: &Path, now: u64) -> Answer {
        let record = self.shared.record().clone();
        let wants = |id| at.contains(&path(id));
        let limit = match (wants(resource::DATA), wants(resource::STATUS)) {
            (true, _) => MAX_LOG_DATA,
            // One line tells that there is something.
            (false, true) => 1,
            (false, false) => {
                return Answer::Now(content::read(at, contents(&record, String::new(), 0)));
            }
        };
        let (shared, at) = (self.shared.clone(), at.clone());
        self.tasks.spawn(async move {
            let reading = shared.clone();
            let read = spawn_blocking(move || {
                let (log, status) = reading.log(&record, now, limit);
                content::read(&at, contents(&record, log, status))
            });
            let result = read.await.unwrap_or_else(|_| {
                Err(RequestError::new(Code::INTERNAL_SERVER_ERROR, "the journal could not be read"))
            });
            // Without a host nobody waits for the answer.
            let _ = shared.out.send(ObjectMessage::Reply { call, result }).await;
        });
        Answer::Later
    }

    /// Keeps another record, says what it changes, and answers.
    fn keep(&mut self, call: CallId, record: Record) -> Answer {
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            let result = shared.keep(record).await;
            if result.is_ok() {
                shared.tell().await;
            }
            let _ = shared.out.send(ObjectMessage::Reply { call, result }).await;
        });
        Answer::Later
    }

    fn write(&mut self, call: CallId, at: &Path, mode: WriteMode, entries: &[Entry]) -> Answer {
        let mut record = self.shared.record().clone();
        if mode == WriteMode::Replace && at.depth() < 3 {
            record.class = Record::default().class;
        }
        for entry in entries {
            let refused = |what: &str| {
                let reason = format!("write {}: {what}", entry.path);
                Answer::Now(Err(RequestError::new(Code::BAD_REQUEST, reason)))
            };
            match (entry.path.resource_id(), entry.value()) {
                (Some(resource::CLASS), Some(Value::Integer(class))) => {
                    if Class::of(*class).is_none() {
                        return refused("the journal has classes 0 to 5");
                    }
                    record.class = *class;
                }
                (Some(resource::FORMAT), Some(Value::Integer(format))) => {
                    if *format != resource::UNSPECIFIED {
                        return refused("0, which is lines of text, is the one format");
                    }
                }
                // What is not there is ignored in the Write of an instance.
                _ if at.depth() < 3 => {}
                _ => return Answer::Now(Err(content::not_found(at))),
            }
        }
        self.keep(call, record)
    }

    fn execute(&mut self, call: CallId, at: &Path, arguments: &Arguments, now: &Now) -> Answer {
        let mut record = self.shared.record().clone();
        let done = match (at.resource_id(), now.wall.map(microseconds)) {
            (Some(resource::START | resource::STOP), None) => Err(RequestError::new(
                Code::SERVICE_UNAVAILABLE,
                "the clock is not set, by which entries of the journal are told apart",
            )),
            (Some(resource::START), Some(now)) => start(&mut record, arguments, now),
            (Some(resource::STOP), Some(now)) => stop(&mut record, arguments, now),
            _ => Err(content::not_found(at)),
        };
        match done {
            Ok(()) => self.keep(call, record),
            Err(error) => Answer::Now(Err(error)),
        }
    }
}

/// LogStart: `0='1'` goes on with what there is, `1='N'` stops after N seconds.
fn start(record: &mut Record, arguments: &Arguments, now: u64) -> Result<(), RequestError> {
    let (mut kept, mut seconds) = (Kept::No, None);
    for argument in arguments.iter() {
        match (argument.digit, argument.value.as_deref()) {
            (0, Some("0")) => kept = Kept::No,
            (0, Some("1")) => kept = Kept::Yes,
            (1, Some(number)) => match number.parse::<u32>() {
                Ok(number) if number > 0 => seconds = Some(number.into()),
                _ => return Err(unknown_argument("LogStart", arguments)),
            },
            _ => return Err(unknown_argument("LogStart", arguments)),
        }
    }
    record.start(now, kept, seconds);
    Ok(())
}

/// LogStop: `0='1'` forgets what was collected.
fn stop(record: &mut Record, arguments: &Arguments, now: u64) -> Result<(), RequestError> {
    let mut kept = Kept::Yes;
    for argument in arguments.iter() {
        match (argument.digit, argument.value.as_deref()) {
            (0, Some("0")) => kept = Kept::Yes,
            (0, Some("1")) => kept = Kept::No,
            _ => return Err(unknown_argument("LogStop", arguments)),
        }
    }
    record.stop(now, kept);
    Ok(())
}

fn unknown_argument(of: &str, arguments: &Arguments) -> RequestError {
    RequestError::new(Code::BAD_REQUEST, format!("{of} has no use for the arguments {arguments}"))
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        // Whoever panicked with it in hand has left a whole record.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something of the object may differ.
    async fn tell(&self) {
        let changed = ObjectMessage::Changed(Path::instance(EVENT_LOG.id, 0));
        let _ = self.out.send(changed).await;
    }

    /// Makes a record durable, and then what counts.
    async fn keep(&self, record: Record) -> CallResult {
        let _alone = self.keeping.lock().await;
        let (path, kept) = (self.path.clone(), record.clone());
        let saved = spawn_blocking(move || kept.save(&path)).await;
        match saved.unwrap_or_else(|error| Err(error.into())) {
            Ok(()) => {
                *self.record() = record;
                Ok(CallReply::Done)
            }
            Err(error) => {
                tracing::error!("{}: {error}", self.path.display());
                let reason = "the state directory cannot be written";
                Err(RequestError::new(Code::INTERNAL_SERVER_ERROR, reason))
            }
        }
    }

    /// LogData of at most `limit` bytes, but one line at least, and LogStatus. Blocks.
    fn log(&self, record: &Record, now: u64, limit: usize) -> (String, i64) {
        let mut status = if record.is_running(now) { 0 } else { resource::STOPPED };
        let class = Class::of(record.class).unwrap_or(Class::Generic);
        let mut lines: Vec<String> = Vec::new();
        let mut room = limit;
        let read = record.since().map_or(Ok(()), |since| {
            journal::newest_first(&self.roots, since, |entry| {
                if !record.has(entry.realtime) || !class.has(entry) {
                    return ControlFlow::Continue(());
                }
                let line = line::line(entry);
                if line.len() > room && !lines.is_empty() {
                    return ControlFlow::Break(());
                }
                room = room.saturating_sub(line.len());
                lines.push(line);
                ControlFlow::Continue(())
            })
        });
        if let Err(error) = read {
            let missing = if error.is_denied() { NO_GROUP } else { "" };
            tracing::warn!("event log: {error}{missing}");
            status |= resource::ERROR;
        }
        if !lines.is_empty() {
            status |= resource::VALID;
        }
        lines.reverse();
        (lines.concat(), status)
    }
}

fn contents(record: &Record, log: String, status: i64) -> Vec<(Path, Content)> {
    let integer = |value| Content::Single(Value::Integer(value));
    [
        (resource::CLASS, integer(record.class)),
        (resource::START, Content::Unreadable),
        (resource::STOP, Content::Unreadable),
        (resource::STATUS, integer(status)),
        (resource::DATA, Content::Single(Value::Opaque(log.into_bytes()))),
        (resource::FORMAT, integer(resource::UNSPECIFIED)),
    ]
    .map(|(id, content)| (path(id), content))
    .into()
}

fn path(resource: u16) -> Path {
    Path::resource(EVENT_LOG.id, 0, resource)
}

/// From ms of Unix time.
fn microseconds(milliseconds: i64) -> u64 {
    u64::try_from(milliseconds).unwrap_or_default().saturating_mul(1000)
}

impl Object for EventLog {
    fn definition(&self) -> Arc<ObjectDef> {
        Arc::new(EVENT_LOG.clone())
    }

    fn instances(&self) -> Vec<u16> {
        vec![0]
    }

    fn call(&mut self, call: &Call, now: &Now) -> Answer {
        if call.path.instance_id().is_some_and(|id| id != 0) {
            return Answer::Now(Err(content::not_found(&call.path)));
        }
        match &call.operation {
            CallOperation::Read => {
                // A clock that is not set is before whatever a server has asked for.
                let now = now.wall.map(microseconds).unwrap_or_default();
                self.read(call.id, &call.path, now)
            }
            CallOperation::Discover => {
                let instance = Path::instance(EVENT_LOG.id, 0);
                let contents = contents(&Record::default(), String::new(), 0);
                Answer::Now(content::discover(&call.path, [instance], contents))
            }
            CallOperation::Write { mode, entries } => {
                self.write(call.id, &call.path, *mode, entries)
            }
            CallOperation::Execute(arguments) => self.execute(call.id, &call.path, arguments, now),
            CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Create { .. }
            | CallOperation::Delete => Answer::Now(Err(RequestError::new(
                Code::METHOD_NOT_ALLOWED,
                "the Event Log of this device has exactly one instance",
            ))),
        }
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.observed.set(path, interval);
        let news = [resource::DATA, resource::STATUS].map(self::path);
        let interval = news.iter().filter_map(|path| self.observed.interval(path)).min();
        self.interval.send_if_modified(|known| std::mem::replace(known, interval) != interval);
    }

    /// # Panics
    /// Outside a tokio runtime.
    fn forget(&mut self) {
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            // What failed is in the log.
            if shared.keep(Record::default()).await.is_ok() {
                shared.tell().await;
            }
        });
    }
}

/// What the operator has to do for a journal that may not be read.
const NO_GROUP: &str = "; the group systemd-journal is needed, by a drop-in of lwm2md.service \
                        with SupplementaryGroups=systemd-journal";
/// Bytes of LogData; older lines are left out.
const MAX_LOG_DATA: usize = 64 * 1024;

#[cfg(test)]
mod tests;
