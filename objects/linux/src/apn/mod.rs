//! APN Connection Profiles (11): the bearers of the modems (Objects 14).
//!
//! ModemManager keeps a bearer for each connection that was asked for. Its settings are
//! those it was made with and are never changed; it can be connected and disconnected,
//! unless it carries the session: nobody could then connect it again.

mod profile;

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Entry, Now, ObjectDef, Path, RequestError, Value, objects};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::content::{self, Content};
use crate::follow::{Follower, View};
use crate::modems::Modems;
use crate::observed::Observed;
use crate::source::Wanted;
use crate::sources::modem_manager::{self, Bearer, CONTROL_ACTION, Modem};
use crate::sources::network::Network;
use crate::tasks::Tasks;
use crate::{Answer, BusHandle, Object, ObjectMessage, bus};

/// The APN Connection Profile object.
pub struct ApnProfiles {
    definition: Arc<ObjectDef>,
    bus: BusHandle,
    modems: Modems,
    observed: Observed,
    wanted: watch::Sender<Wanted>,
    tasks: Tasks,
}

impl ApnProfiles {
    /// The object of the bearers of `modems`, which are on this bus. `out` is the channel
    /// of the host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(bus: BusHandle, modems: &Modems, out: mpsc::Sender<ObjectMessage>) -> Self {
        let definition = Arc::new(objects::APN_CONNECTION_PROFILE.clone());
        let (wanted, observed) = watch::channel(Wanted::No);
        let mut tasks = Tasks::new(out.clone());
        let follower = Follower {
            definition: definition.clone(),
            view: Profiles,
            modems: modems.known(),
            observed,
            out,
        };
        tasks.spawn(follower.run());
        let observed = Observed::default();
        Self { definition, bus, modems: modems.clone(), observed, wanted, tasks }
    }

    fn contents(&self) -> Vec<(Path, Content)> {
        Profiles.contents(&self.modems.known().borrow())
    }

    /// Takes what a Write changes: the profiles that are switched, each with what it is to
    /// be. All is looked at before anything is done.
    fn parse(&self, entries: &[Entry]) -> Result<Vec<(Bearer, bool)>, RequestError> {
        let modems = self.modems.known();
        let modems = modems.borrow();
        let contents = Profiles.contents(&modems);
        let mut switched = Vec::new();
        for entry in entries {
            let number = entry.path.instance_id();
            let bearer = bearers(&modems).find(|bearer| Some(bearer.number) == number);
            let bearer = bearer.ok_or_else(|| content::not_found(&entry.path))?;
            match (entry.path.resource_id(), entry.value()) {
                _ if stands(&contents, entry) => {}
                (Some(profile::ENABLED), Some(Value::Boolean(to))) => {
                    switched.push((bearer.clone(), *to));
                }
                _ => {
                    return Err(refused(format!(
                        "{}: the settings of a bearer of ModemManager cannot be changed",
                        entry.path
                    )));
                }
            }
        }
        Ok(switched)
    }

    fn write(&mut self, call: CallId, entries: &[Entry]) -> Answer {
        let switched = match self.parse(entries) {
            Ok(switched) if switched.is_empty() => return Answer::Now(Ok(CallReply::Done)),
            Ok(switched) => switched,
            Err(error) => return Answer::Now(Err(error)),
        };
        if let Some((bearer, _)) = switched.iter().find(|(bearer, to)| !to && carries(bearer)) {
            return Answer::Now(Err(refused(format!(
                "/11/{} carries the session, and nobody could connect it again",
                bearer.number
            ))));
        }
        let Some(bus) = self.bus.connection() else {
            return Answer::Now(Err(bus::no_bus(modem_manager::NAME)));
        };
        // It takes what the network takes, and ends with the object at the latest.
        let (ended, end) = tokio::sync::oneshot::channel();
        self.tasks.spawn(async move {
            let result = switch(&bus, &switched).await;
            if let Err(error) = &result {
                tracing::info!(reason = %error.reason, "an APN profile is not switched");
            }
            // Whoever asked may have had the answer.
            let _ = ended.send(result);
        });
        self.tasks.answer_later(call, async move {
            match timeout(CONNECT_TIME_LIMIT, end).await {
                Ok(Ok(result)) => result,
                // The network is slow; what came of it stands in the resources.
                Ok(Err(_)) | Err(_) => Ok(CallReply::Done),
            }
        })
    }
}

async fn switch(bus: &zbus::Connection, switched: &[(Bearer, bool)]) -> CallResult {
    for (bearer, to) in switched {
        modem_manager::connect(bus, &bearer.path, *to)
            .await
            .map_err(|error| bus::refusal(&error, modem_manager::NAME, CONTROL_ACTION))?;
    }
    Ok(CallReply::Done)
}

/// True if the value stands there already.
fn stands(contents: &[(Path, Content)], entry: &Entry) -> bool {
    contents.iter().any(|(at, content)| match content {
        Content::Single(value) => *at == entry.path && entry.value() == Some(value),
        Content::Multiple(values) => {
            let is_it = |(id, value): &(u16, Value)| {
                at.child(*id).is_ok_and(|at| at == entry.path) && entry.value() == Some(value)
            };
            values.iter().any(is_it)
        }
        Content::Unreadable => false,
    })
}

/// True if the best default route leads through the bearer, or nobody knows.
fn carries(bearer: &Bearer) -> bool {
    let Some(link) = &bearer.link else { return false };
    let Ok(network) = Network::read() else { return true };
    let best = network.routes.iter().find_map(|route| network.link(route.link));
    best.is_some_and(|best| best.name == *link)
}

fn refused(reason: String) -> RequestError {
    RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
}

fn bearers(modems: &[Modem]) -> impl Iterator<Item = &Bearer> {
    modems.iter().flat_map(|modem| &modem.bearers)
}

/// What the object makes of the modems.
struct Profiles;

impl View for Profiles {
    fn instances(&self, modems: &[Modem]) -> Vec<u16> {
        let mut numbers: Vec<u16> = bearers(modems).map(|bearer| bearer.number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn contents(&self, modems: &[Modem]) -> Vec<(Path, Content)> {
        let mut contents: Vec<_> = bearers(modems).flat_map(profile::contents).collect();
        contents.sort_by(|(one, _), (other, _)| one.cmp(other));
        contents
    }
}

impl Object for ApnProfiles {
    fn definition(&self) -> Arc<ObjectDef> {
        self.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        Profiles.instances(&self.modems.known().borrow())
    }

    fn is_supported(&self) -> bool {
        !self.modems.known().borrow().is_empty()
    }

    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        match &call.operation {
            CallOperation::Read => Answer::Now(content::read(&call.path, self.contents())),
            CallOperation::Discover => {
                let instance = |id| Path::instance(self.definition.id, id);
                let instances = self.instances().into_iter().map(instance);
                Answer::Now(content::discover(&call.path, instances, self.contents()))
            }
            // A Write that replaces does the same: what it leaves out cannot go.
            CallOperation::Write { mode: _, entries } => self.write(call.id, entries),
            CallOperation::Create { .. } | CallOperation::Delete => Answer::Now(Err(refused(
                "the profiles are the bearers that ModemManager keeps".to_owned(),
            ))),
            CallOperation::Execute(_)
            | CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd => {
                Answer::Now(Err(refused("there is nothing to execute here".to_owned())))
            }
        }
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.observed.set(path, interval);
        let observed = self.observed.interval(&Path::object(self.definition.id)).is_some();
        self.wanted.send_replace(if observed { Wanted::Yes } else { Wanted::No });
    }
}

/// So long an answer waits for the network, which may take minutes.
const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(6);
