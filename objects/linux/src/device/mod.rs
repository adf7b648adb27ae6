//! Device (3): what this machine is and how it is (Objects 5).
//!
//! A resource without a source on this machine is absent, never invented. Values
//! are read when they are asked for; only what cannot change is kept. What needs
//! D-Bus is done by a task and answered later.

mod config;
mod error_codes;
mod facts;
mod identity;
mod measure;
mod power;
mod reboot;
mod resource;
mod set_time;
mod watcher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Arguments, Code, Entry, Now, ObjectDef, Path, RequestError, Value, objects};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use config::DeviceConfig;
pub use reboot::{can_reboot, reboot};

use crate::bus::WORK_TIME_LIMIT;
use crate::{Answer, BusHandle, Object, ObjectMessage, Roots};
use error_codes::ErrorCodes;
use facts::Facts;
use identity::Identity;
use measure::{Content, Measure};
use power::Slots;
use resource::{CURRENT_TIME, ERROR_CODE, REBOOT, RESET_ERROR_CODE, TIMEZONE, UTC_OFFSET};
use set_time::SetTime;
use watcher::{Watched, Watcher};

/// The Device object.
pub struct Device {
    definition: Arc<ObjectDef>,
    identity: Identity,
    roots: Roots,
    bus: BusHandle,
    facts: watch::Sender<Facts>,
    errors: ErrorCodes,
    slots: Slots,
    observed: BTreeMap<Path, Duration>,
    watched: watch::Sender<Watched>,
    out: mpsc::Sender<ObjectMessage>,
    /// All tasks of the object; they end with it.
    tasks: JoinSet<()>,
}

impl Device {
    /// The object of this machine, or of the made-up one below `roots`.
    ///
    /// `out` is the channel of the host. Files that cannot change are read here.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(
        config: DeviceConfig,
        roots: Roots,
        bus: BusHandle,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let (facts, facts_seen) = watch::channel(Facts::default());
        let (watched, watched_seen) = watch::channel(Watched::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(facts::keep(bus.clone(), facts.clone(), out.clone()));
        let watcher = Watcher {
            roots: roots.clone(),
            facts: facts_seen,
            watched: watched_seen,
            out: out.clone(),
        };
        tasks.spawn(watcher.run());
        Self {
            definition: Arc::new(objects::DEVICE.clone()),
            identity: Identity::read(config, &roots),
            roots,
            bus,
            facts,
            errors: ErrorCodes::default(),
            slots: Slots::default(),
            observed: BTreeMap::new(),
            watched,
            out,
            tasks,
        }
    }

    /// What stands in the resources at or below `path`, in their order; empty if
    /// nothing is there.
    fn contents(&mut self, path: &Path, now: &Now) -> Vec<(u16, Content)> {
        if path.instance_id().is_some_and(|id| id != 0) {
            return Vec::new();
        }
        let facts = self.facts.borrow().clone();
        let mut measure = Measure::new(&self.roots, &facts, &mut self.slots, now.wall);
        let wanted = path.resource_id();
        let mut contents = Vec::new();
        for resource in self.definition.resources.iter().map(|resource| resource.id) {
            if wanted.is_some_and(|id| id != resource) {
                continue;
            }
            let content = match resource {
                REBOOT | RESET_ERROR_CODE => Some(Content::Executable),
                ERROR_CODE => {
                    self.errors.update(&measure.conditions());
                    Some(Content::Multiple(error_values(&self.errors)))
                }
                _ => match self.identity.value(resource) {
                    Some(value) => Some(Content::Single(value)),
                    None => measure.content(resource),
                },
            };
            contents.extend(content.map(|content| (resource, content)));
        }
        contents
    }

    fn read(&mut self, path: &Path, now: &Now) -> CallResult {
        let mut entries = Vec::new();
        for (id, content) in self.contents(path, now) {
            let at = resource::path(id);
            match content {
                Content::Single(value) => entries.push(Entry::new(at, value)),
                Content::Multiple(values) if values.is_empty() => entries.push(Entry::empty(at)),
                Content::Multiple(values) => {
                    entries.extend(values.into_iter().filter_map(|(id, value)| {
                        at.child(id).ok().map(|at| Entry::new(at, value))
                    }));
                }
                Content::Executable => {}
            }
        }
        entries.retain(|entry| path.contains(&entry.path));
        if entries.is_empty() {
            return Err(not_found(path));
        }
        Ok(CallReply::Entries(entries))
    }

    fn discover(&mut self, path: &Path, now: &Now) -> CallResult {
        let contents = self.contents(path, now);
        let mut paths = vec![Path::instance(objects::DEVICE.id, 0)];
        for (id, content) in contents {
            let at = resource::path(id);
            paths.push(at.clone());
            if let Content::Multiple(values) = content {
                paths.extend(values.into_iter().filter_map(|(id, _)| at.child(id).ok()));
            }
        }
        paths.retain(|known| path.contains(known));
        if paths.is_empty() {
            return Err(not_found(path));
        }
        Ok(CallReply::Paths(paths))
    }

    fn write(&mut self, call: CallId, path: &Path, entries: &[Entry]) -> Answer {
        if path.instance_id().is_some_and(|id| id != 0) {
            return Answer::Now(Err(not_found(path)));
        }
        let wanted = match SetTime::parse(entries) {
            Ok(wanted) => wanted,
            Err(error) => return Answer::Now(Err(error)),
        };
        let (bus, roots) = (self.bus.connection(), self.roots.clone());
        let (facts, out) = (self.facts.clone(), self.out.clone());
        self.answer_later(call, async move {
            let result = wanted.apply(bus, &roots, &facts).await;
            // One of the three may move another; whoever observes it looks.
            for id in CLOCK_RESOURCES.iter().filter(|_| result.is_ok()) {
                let path = resource::path(*id);
                let _ = out.send(ObjectMessage::Changed(path)).await;
            }
            result
        })
    }

    fn execute(&mut self, call: CallId, path: &Path, arguments: &Arguments, now: &Now) -> Answer {
        match path.ids() {
            [_, 0, REBOOT | RESET_ERROR_CODE] if !arguments.is_empty() => {
                let reason = format!("{path} takes no argument");
                Answer::Now(Err(RequestError::new(Code::BAD_REQUEST, reason)))
            }
            [_, 0, REBOOT] => {
                let bus = self.bus.connection();
                self.answer_later(call, reboot::check(bus))
            }
            [_, 0, RESET_ERROR_CODE] => {
                let facts = self.facts.borrow().clone();
                let measure = Measure::new(&self.roots, &facts, &mut self.slots, now.wall);
                self.errors.reset(&measure.conditions());
                Answer::Now(Ok(CallReply::Done))
            }
            _ => Answer::Now(Err(not_found(path))),
        }
    }

    /// Does what was promised; only Reboot promises.
    fn proceed(&mut self) -> Answer {
        self.spawn(reboot::perform(self.bus.clone()));
        Answer::Now(Ok(CallReply::Done))
    }

    /// Leaves the work to a task, which is given up after a time.
    fn answer_later(
        &mut self,
        call: CallId,
        work: impl Future<Output = CallResult> + Send + 'static,
    ) -> Answer {
        let out = self.out.clone();
        self.spawn(async move {
            let result = timeout(WORK_TIME_LIMIT, work).await.unwrap_or_else(|_| {
                Err(RequestError::new(
                    Code::SERVICE_UNAVAILABLE,
                    "a service on the bus does not answer",
                ))
            });
            // Without a host nobody waits for the answer.
            let _ = out.send(ObjectMessage::Reply { call, result }).await;
        });
        Answer::Later
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        // Forget the tasks that are done, so that the set does not grow.
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task);
    }
}

impl Object for Device {
    fn definition(&self) -> Arc<ObjectDef> {
        self.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        vec![0]
    }

    fn call(&mut self, call: &Call, now: &Now) -> Answer {
        match &call.operation {
            CallOperation::Read => Answer::Now(self.read(&call.path, now)),
            CallOperation::Discover => Answer::Now(self.discover(&call.path, now)),
            // A Write that replaces does the same: what it leaves out cannot go.
            CallOperation::Write { mode: _, entries } => self.write(call.id, &call.path, entries),
            CallOperation::Execute(arguments) => self.execute(call.id, &call.path, arguments, now),
            CallOperation::Proceed => self.proceed(),
            CallOperation::Stream { .. } | CallOperation::StreamEnd => Answer::Now(Err(
                RequestError::new(Code::METHOD_NOT_ALLOWED, "nothing streams here"),
            )),
            CallOperation::Create { .. } | CallOperation::Delete => {
                Answer::Now(Err(RequestError::new(
                    Code::METHOD_NOT_ALLOWED,
                    "the Device object has exactly one instance",
                )))
            }
        }
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        match interval {
            Some(interval) => self.observed.insert(path.clone(), interval),
            None => self.observed.remove(path),
        };
        let mut watched = Watched::new();
        for id in self.definition.resources.iter().map(|defined| defined.id) {
            let at = resource::path(id);
            let intervals = self
                .observed
                .iter()
                .filter(|(observed, _)| observed.contains(&at) || at.contains(observed));
            if let Some(shortest) = intervals.map(|(_, interval)| *interval).min() {
                watched.insert(id, shortest);
            }
        }
        self.watched.send_if_modified(|known| {
            let differs = *known != watched;
            *known = watched;
            differs
        });
    }
}

fn error_values(errors: &ErrorCodes) -> Vec<(u16, Value)> {
    errors.instances().into_iter().map(|(id, code)| (id, Value::Integer(code))).collect()
}

fn not_found(path: &Path) -> RequestError {
    RequestError::new(Code::NOT_FOUND, format!("{path} does not exist on this device"))
}

const CLOCK_RESOURCES: [u16; 3] = [CURRENT_TIME, UTC_OFFSET, TIMEZONE];
