//! Connectivity Monitoring (4): the bearer in use and how good it is (Objects 6).
//!
//! The bearer is that of the best default route. Links, addresses and routes are asked
//! of the kernel when they are read; what a modem knows comes from ModemManager. What
//! neither knows is absent.

mod measure;
mod resource;
mod utilization;
mod watcher;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation};
use lwm2m_model::{Code, Now, ObjectDef, Path, RequestError, objects};
use tokio::sync::{mpsc, watch};

use crate::content::{self, Content};
use crate::observed::Observed;
use crate::sources::modem_manager::Modem;
use crate::sources::network::Network;
use crate::sources::{clock, nl80211};
use crate::tasks::Tasks;
use crate::{Answer, Modems, Object, ObjectMessage, Roots};
use measure::{Contents, Look};
use resource::{LINK_QUALITY, LINK_UTILIZATION, SIGNAL_SNR, SIGNAL_STRENGTH};
use utilization::Utilization;
use watcher::{Watched, Watcher};

/// The Connectivity Monitoring object.
pub struct ConnectivityMonitoring {
    definition: Arc<ObjectDef>,
    looks: Arc<Looks>,
    modems: Modems,
    observed: Observed,
    watched: watch::Sender<Watched>,
    /// They end with the object.
    _tasks: Tasks,
}

impl ConnectivityMonitoring {
    /// The object of this machine's network; the kinds of its links are read below
    /// `roots`, what cellular ones carry is known of `modems`. `out` is the channel of
    /// the host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(roots: Roots, modems: &Modems, out: mpsc::Sender<ObjectMessage>) -> Self {
        let (watched, watched_seen) = watch::channel(Watched::default());
        let mut tasks = Tasks::new(out.clone());
        let looks = Arc::new(Looks { roots, utilization: Mutex::default() });
        let modems_seen = modems.known();
        let watcher =
            Watcher { looks: looks.clone(), modems: modems_seen, watched: watched_seen, out };
        tasks.spawn(watcher.run());
        Self {
            definition: Arc::new(objects::CONNECTIVITY_MONITORING.clone()),
            looks,
            modems: modems.clone(),
            observed: Observed::default(),
            watched,
            _tasks: tasks,
        }
    }

    fn contents(&self, path: &Path) -> Vec<(Path, Content)> {
        if path.instance_id().is_some_and(|id| id != 0) {
            return Vec::new();
        }
        let contents = self.looks.contents(&self.modems.known().borrow().modems);
        let contents = contents.into_iter().map(|(id, content)| (resource::path(id), content));
        contents.filter(|(at, _)| at.contains(path) || path.contains(at)).collect()
    }
}

impl Object for ConnectivityMonitoring {
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
            CallOperation::Write { .. }
            | CallOperation::Execute(_)
            | CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Create { .. }
            | CallOperation::Delete => Err(RequestError::new(
                Code::METHOD_NOT_ALLOWED,
                "Connectivity Monitoring can only be read",
            )),
        })
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.observed.set(path, interval);
        let any = self.observed.interval(&Path::object(self.definition.id)).is_some();
        let sampled = [SIGNAL_STRENGTH, LINK_QUALITY, LINK_UTILIZATION].map(resource::path);
        let sampled = sampled.iter().filter_map(|path| self.observed.interval(path)).min();
        let measured = [SIGNAL_STRENGTH, LINK_QUALITY, SIGNAL_SNR].map(resource::path);
        let measured = measured.iter().filter_map(|path| self.observed.interval(path)).min();
        self.modems.measure(measured);
        let watched = Watched { any, sampled };
        self.watched.send_if_modified(|known| std::mem::replace(known, watched) != watched);
    }
}

/// The looks at the network, whoever takes them.
struct Looks {
    roots: Roots,
    utilization: Mutex<Utilization>,
}

impl Looks {
    /// What the resources hold now.
    fn contents(&self, modems: &[Modem]) -> Contents {
        // Whoever panicked with it in hand has left it whole.
        let mut utilization = self.utilization.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now().boot.since_boot();
        let (network, roots, station) = (&network(), &self.roots, nl80211::signal);
        Look { network, modems, roots, station, now }.contents(&mut utilization)
    }
}

/// The network now; empty where the kernel or a sandbox does not let us look.
fn network() -> Network {
    Network::read().unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot look at the network");
        Network::default()
    })
}
