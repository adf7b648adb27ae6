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
mod ups;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply};
use lwm2m_model::{Arguments, Code, Entry, Now, ObjectDef, Path, RequestError, Value, objects};
use tokio::sync::{mpsc, watch};

pub use config::DeviceConfig;
pub use reboot::{can_reboot, reboot};

use crate::content::{self, Content};
use crate::observed::Observed;
use crate::slots::Slots;
use crate::tasks::Tasks;
use crate::{Answer, BusHandle, Object, ObjectMessage, Roots};
use error_codes::ErrorCodes;
use facts::Facts;
use identity::Identity;
use measure::Measure;
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
    observed: Observed,
    watched: watch::Sender<Watched>,
    tasks: Tasks,
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
        let mut tasks = Tasks::new(out.clone());
        tasks.spawn(facts::keep(bus.clone(), facts.clone(), out.clone()));
        tasks.spawn(ups::keep(bus.clone(), facts.clone(), out.clone()));
        let watcher =
            Watcher { roots: roots.clone(), facts: facts_seen, watched: watched_seen, out };
        tasks.spawn(watcher.run());
        Self {
            definition: Arc::new(objects::DEVICE.clone()),
            identity: Identity::read(config, &roots),
            roots,
            bus,
            facts,
            errors: ErrorCodes::default(),
            slots: Slots::default(),
            observed: Observed::default(),
            watched,
            tasks,
        }
    }

    /// What stands in the resources at or below `path`, in their order; empty if
    /// nothing is there.
    fn contents(&mut self, path: &Path, now: &Now) -> Vec<(Path, Content)> {
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
                REBOOT | RESET_ERROR_CODE => Some(Content::Unreadable),
                ERROR_CODE => {
                    self.errors.update(&measure.conditions());
                    Some(Content::Multiple(error_values(&self.errors)))
                }
                _ => match self.identity.value(resource) {
                    Some(value) => Some(Content::Single(value)),
                    None => measure.content(resource),
                },
            };
            contents.extend(content.map(|content| (resource::path(resource), content)));
        }
        contents
    }

    fn write(&mut self, call: CallId, path: &Path, entries: &[Entry]) -> Answer {
        if path.instance_id().is_some_and(|id| id != 0) {
            return Answer::Now(Err(content::not_found(path)));
        }
        let wanted = match SetTime::parse(entries) {
            Ok(wanted) => wanted,
            Err(error) => return Answer::Now(Err(error)),
        };
        let (bus, roots) = (self.bus.connection(), self.roots.clone());
        let (facts, out) = (self.facts.clone(), self.tasks.out());
        self.tasks.answer_later(call, async move {
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
                self.tasks.answer_later(call, reboot::check(bus))
            }
            [_, 0, RESET_ERROR_CODE] => {
                let facts = self.facts.borrow().clone();
                let measure = Measure::new(&self.roots, &facts, &mut self.slots, now.wall);
                self.errors.reset(&measure.conditions());
                Answer::Now(Ok(CallReply::Done))
            }
            _ => Answer::Now(Err(content::not_found(path))),
        }
    }

    /// Does what was promised; only Reboot promises.
    fn proceed(&mut self) -> Answer {
        self.tasks.spawn(reboot::perform(self.bus.clone()));
        Answer::Now(Ok(CallReply::Done))
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
            CallOperation::Read => {
                Answer::Now(content::read(&call.path, self.contents(&call.path, now)))
            }
            CallOperation::Discover => {
                let instance = Path::instance(objects::DEVICE.id, 0);
                let contents = self.contents(&call.path, now);
                Answer::Now(content::discover(&call.path, [instance], contents))
            }
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
        self.observed.set(path, interval);
        let resources = self.definition.resources.iter().map(|defined| defined.id);
        let watched: Watched = resources
            .filter_map(|id| Some((id, self.observed.interval(&resource::path(id))?)))
            .collect();
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

const CLOCK_RESOURCES: [u16; 3] = [CURRENT_TIME, UTC_OFFSET, TIMEZONE];
