//! Connectivity Statistics (7): what the device has sent and received between Start and
//! Stop (Objects 9).
//!
//! 1. Start sets the sums to zero; a link's counters of that moment are its base.
//! 2. While it runs, each look and each news of the network adds what came since.
//! 3. Stop, or the end of the collection period, adds for the last time.
//!
//! What counts is the traffic of the links with hardware, not of the agent alone. There
//! are no counters of SMS, and the kernel knows no largest message: these are absent.

mod collection;
mod collector;
mod counters;
mod gauge;
mod record;
#[cfg(test)]
mod tests;

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply};
use lwm2m_model::{Arguments, Code, Entry, Now, ObjectDef, Path, RequestError, Value, objects};
use tokio::sync::{mpsc, watch};

use crate::content::{self, Content};
use crate::observed::Observed;
use crate::tasks::Tasks;
use crate::{Answer, Object, ObjectMessage, Roots};
use collection::{Collection, Kept};
use collector::{Collector, Shared};
use gauge::{Gauge, Kernel};
use record::Keeper;

/// The Connectivity Statistics object.
pub struct ConnectivityStatistics {
    definition: Arc<ObjectDef>,
    shared: Arc<Shared>,
    observed: Observed,
    interval: watch::Sender<Option<Duration>>,
    /// They end with the object.
    tasks: Tasks,
}

impl ConnectivityStatistics {
    /// The object of this machine's network, as the last run of the agent in this boot has
    /// left it, else stopped and at zero. `state` is the state directory, `out` the channel
    /// of the host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its task needs.
    pub fn new(roots: Roots, state: &FilePath, out: mpsc::Sender<ObjectMessage>) -> Self {
        let keeper = Keeper::new(state, &roots);
        Self::measured_by(Arc::new(Kernel(roots)), keeper, out)
    }

    fn measured_by(
        gauge: Arc<dyn Gauge>,
        keeper: Keeper,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let (interval, interval_seen) = watch::channel(None);
        let shared = Arc::new(Shared::new(gauge, keeper));
        let mut tasks = Tasks::new(out.clone());
        tasks.spawn(Collector::new(shared.clone(), interval_seen, out).run());
        Self {
            definition: Arc::new(objects::CONNECTIVITY_STATISTICS.clone()),
            shared,
            observed: Observed::default(),
            interval,
            tasks,
        }
    }

    fn contents(&mut self, path: &Path) -> Vec<(Path, Content)> {
        if path.instance_id().is_some_and(|id| id != 0) {
            return Vec::new();
        }
        if self.shared.look() == Kept::Old {
            let shared = self.shared.clone();
            self.tasks.spawn(async move { shared.keep().await });
        }
        let collection = self.shared.collection.borrow();
        let number = |value| Content::Single(Value::Integer(value));
        let contents = [
            (TX_DATA, number(collection.counters.sent())),
            (RX_DATA, number(collection.counters.received())),
            (AVERAGE_MESSAGE_SIZE, number(collection.counters.average())),
            (START, Content::Unreadable),
            (STOP, Content::Unreadable),
            (COLLECTION_PERIOD, number(collection.period.into())),
        ];
        let contents = contents.map(|(id, content)| (resource(id), content));
        let wanted = |at: &Path| at.contains(path) || path.contains(at);
        contents.into_iter().filter(|(at, _)| wanted(at)).collect()
    }

    fn execute(&mut self, call: CallId, path: &Path, arguments: &Arguments) -> Answer {
        let id = match path.ids() {
            [_, 0, id @ (START | STOP)] => *id,
            _ => return Answer::Now(Err(content::not_found(path))),
        };
        if !arguments.is_empty() {
            let reason = format!("{path} takes no argument");
            return Answer::Now(Err(RequestError::new(Code::BAD_REQUEST, reason)));
        }
        let gauge = &self.shared.gauge;
        let mut seen = Ok(());
        self.shared.collection.send_if_modified(|collection| {
            let now = gauge.since_boot();
            match gauge.readings() {
                Ok(readings) if id == START => collection.start(&readings, now),
                Ok(readings) => collection.stop(&readings, now),
                Err(error) => seen = Err(error),
            }
            seen.is_ok()
        });
        if let Err(error) = seen {
            let reason = format!("cannot look at the network: {error}");
            return Answer::Now(Err(RequestError::new(Code::INTERNAL_SERVER_ERROR, reason)));
        }
        self.answer_when_kept(call)
    }

    /// A new period counts from the next Start.
    fn write(&mut self, call: CallId, path: &Path, entries: &[Entry]) -> Answer {
        match period(path, entries) {
            Ok(None) => Answer::Now(Ok(CallReply::Done)),
            Ok(Some(period)) => {
                self.shared.collection.send_modify(|collection| collection.period = period);
                self.answer_when_kept(call)
            }
            Err(error) => Answer::Now(Err(error)),
        }
    }

    fn answer_when_kept(&mut self, call: CallId) -> Answer {
        let shared = self.shared.clone();
        self.tasks.answer_later(call, async move {
            shared.keep().await;
            Ok(CallReply::Done)
        })
    }
}

/// The period that is written, if one is.
fn period(path: &Path, entries: &[Entry]) -> Result<Option<u32>, RequestError> {
    if path.instance_id().is_some_and(|id| id != 0) {
        return Err(content::not_found(path));
    }
    let mut period = None;
    for entry in entries {
        let seconds = match (entry.path.resource_id(), entry.value()) {
            (Some(COLLECTION_PERIOD), Some(Value::Integer(seconds))) => *seconds,
            _ => return Err(RequestError::new(Code::BAD_REQUEST, NOT_WRITABLE)),
        };
        period = Some(u32::try_from(seconds).map_err(|_| {
            let reason = format!("{}: no period of {seconds} s", entry.path);
            RequestError::new(Code::BAD_REQUEST, reason)
        })?);
    }
    Ok(period)
}

impl Object for ConnectivityStatistics {
    fn definition(&self) -> Arc<ObjectDef> {
        Arc::clone(&self.definition)
    }

    fn instances(&self) -> Vec<u16> {
        vec![0]
    }

    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        Answer::Now(match &call.operation {
            CallOperation::Read => content::read(&call.path, self.contents(&call.path)),
            CallOperation::Discover => {
                let instance = Path::instance(self.definition.id, 0);
                content::discover(&call.path, [instance], self.contents(&call.path))
            }
            // A Write that replaces does the same: what it leaves out cannot go.
            CallOperation::Write { mode: _, entries } => {
                return self.write(call.id, &call.path, entries);
            }
            CallOperation::Execute(arguments) => {
                return self.execute(call.id, &call.path, arguments);
            }
            CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Create { .. }
            | CallOperation::Delete => Err(RequestError::new(
                Code::METHOD_NOT_ALLOWED,
                "Connectivity Statistics has exactly one instance",
            )),
        })
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.observed.set(path, interval);
        let interval = COUNTED.iter().filter_map(|id| self.observed.interval(&resource(*id))).min();
        self.interval.send_if_modified(|known| std::mem::replace(known, interval) != interval);
    }

    /// # Panics
    /// Outside a tokio runtime.
    fn forget(&mut self) {
        self.shared.collection.send_replace(Collection::default());
        let shared = self.shared.clone();
        self.tasks.spawn(async move { shared.keep().await });
    }
}

/// A resource of the only instance.
fn resource(id: u16) -> Path {
    Path::resource(objects::CONNECTIVITY_STATISTICS.id, 0, id)
}

const TX_DATA: u16 = 2;
const RX_DATA: u16 = 3;
const AVERAGE_MESSAGE_SIZE: u16 = 5;
const START: u16 = 6;
const STOP: u16 = 7;
const COLLECTION_PERIOD: u16 = 8;
/// What changes while a collection runs.
const COUNTED: [u16; 3] = [TX_DATA, RX_DATA, AVERAGE_MESSAGE_SIZE];
const NOT_WRITABLE: &str = "only the collection period can be written";
