//! WLAN connectivity (12): each WLAN that NetworkManager has is an instance (registry of
//! the OMA, version 1.1).
//!
//! What NetworkManager does not tell is absent, Standard among it. Enable is the radio of
//! all WLANs, since it knows no other. Keys go in and never out.

mod change;
mod contents;
mod resource;
mod wanted;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation, CallReply};
use lwm2m_model::{Code, Entry, Now, ObjectDef, Path, RequestError, objects};
use tokio::sync::{mpsc, watch};

use crate::content;
use crate::observed::Observed;
use crate::tasks::Tasks;
use crate::trial::{Reached, Trials};
use crate::{Answer, BusHandle, Object, ObjectMessage, Roots};
use change::Changes;
use wanted::Wanted;
use watcher::{Teller, Wlans, all_contents};

/// The WLAN connectivity object.
pub struct WlanConnectivity {
    definition: Arc<ObjectDef>,
    roots: Roots,
    wlans: watch::Receiver<Wlans>,
    observed: watch::Sender<Observed>,
    changes: Changes,
    /// They end with the object.
    tasks: Tasks,
}

impl WlanConnectivity {
    /// The object of this machine's WLANs; their counters are read below `roots`. What
    /// changes the way to the servers is kept once `reached` says that one has answered.
    /// `out` is the channel of the host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(
        roots: Roots,
        bus: BusHandle,
        reached: Reached,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let definition = Arc::new(objects::WLAN_CONNECTIVITY.clone());
        let (known, wlans) = watch::channel(Wlans::new());
        let (observed, observed_seen) = watch::channel(Observed::default());
        let mut tasks = Tasks::new(out.clone());
        tasks.spawn(watcher::keep(bus.clone(), known));
        let teller = Teller {
            definition: definition.clone(),
            roots: roots.clone(),
            wlans: wlans.clone(),
            observed: observed_seen,
            out: out.clone(),
        };
        tasks.spawn(teller.run());
        let trials = Trials { bus, reached, out };
        let changes = Changes { trials, wlans: wlans.clone() };
        Self { definition, roots, wlans, observed, changes, tasks }
    }

    fn write(&mut self, call: &Call, entries: &[Entry]) -> Answer {
        let wlans = self.wlans.borrow();
        let wlan = wlans.iter().find(|(id, _)| Some(*id) == call.path.instance_id());
        let Some((_, wlan)) = wlan else {
            return Answer::Now(Err(content::not_found(&call.path)));
        };
        let wlan = wlan.clone();
        let wanted = Wanted::parse(entries, &all_contents(&wlans, &self.roots));
        drop(wlans);
        let wanted = match wanted {
            Ok(wanted) if wanted == Wanted::default() => return Answer::Now(Ok(CallReply::Done)),
            Ok(wanted) => wanted,
            Err(error) => return Answer::Now(Err(error)),
        };
        let begun = match self.changes.trials.begin() {
            Ok(begun) => begun,
            Err(error) => return Answer::Now(Err(error)),
        };
        let (changes, id) = (self.changes.clone(), call.id);
        self.tasks.answer_later(id, async move { changes.prepare(begun, id, wlan, wanted).await })
    }
}

impl Object for WlanConnectivity {
    fn definition(&self) -> Arc<ObjectDef> {
        self.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        self.wlans.borrow().iter().map(|(id, _)| *id).collect()
    }

    fn is_supported(&self) -> bool {
        !self.wlans.borrow().is_empty()
    }

    fn call(&mut self, call: &Call, _: &Now) -> Answer {
        match &call.operation {
            CallOperation::Read => {
                let contents = all_contents(&self.wlans.borrow(), &self.roots);
                Answer::Now(content::read(&call.path, contents))
            }
            CallOperation::Discover => {
                let contents = all_contents(&self.wlans.borrow(), &self.roots);
                let instances = self.instances().into_iter();
                let instances = instances.map(|id| Path::instance(self.definition.id, id));
                Answer::Now(content::discover(&call.path, instances, contents))
            }
            CallOperation::Write { entries, .. } => self.write(call, entries),
            CallOperation::Proceed => {
                if let Some(change) = self.changes.trials.promised(call.id) {
                    self.tasks.spawn(change);
                }
                Answer::Now(Ok(CallReply::Done))
            }
            CallOperation::Execute(_)
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Create { .. }
            | CallOperation::Delete => Answer::Now(Err(RequestError::new(
                Code::METHOD_NOT_ALLOWED,
                "the instances are the WLANs of the device",
            ))),
        }
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.observed.send_if_modified(|observed| {
            let before = observed.clone();
            observed.set(path, interval);
            *observed != before
        });
    }
}
