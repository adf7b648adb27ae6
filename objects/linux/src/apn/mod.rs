//! APN Connection Profiles (11): the profiles of NetworkManager for mobile connections, and
//! the bearers of the modems that it does not manage (Objects 14).
//!
//! A bearer that NetworkManager has connected is that of its profile. Profiles are written,
//! made and removed by servers. ModemManager keeps a bearer for each connection that was
//! asked for; its settings are those it was made with and are never changed; it can be
//! connected and disconnected, unless it carries the session: nobody could then connect it
//! again. Secrets go in and never out.

mod change;
mod profile;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Entry, Now, ObjectDef, Path, RequestError, Value, objects};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::content::{self, Content};
use crate::follow::{Followed, View};
use crate::modems::{Known, Modems};
use crate::sources::modem_manager::{self, Bearer, CONTROL_ACTION};
use crate::sources::network::Network;
use crate::sources::network_manager::mobile::Mobile;
use crate::trial::{Reached, Trials};
use crate::{Answer, BusHandle, Object, ObjectMessage, bus};
use change::Changes;
use wanted::Wanted;

/// The APN Connection Profile object.
pub struct ApnProfiles {
    followed: Followed<Profiles>,
    changes: Changes,
}

impl ApnProfiles {
    /// The object of the profiles and bearers of `modems`, which are on this bus. What
    /// changes the way to the servers is kept once `reached` says that one has answered.
    /// `out` is the channel of the host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(
        bus: BusHandle,
        modems: &Modems,
        reached: Reached,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let definition = &objects::APN_CONNECTION_PROFILE;
        let followed = Followed::new(definition, Profiles, modems, out.clone());
        let trials = Trials { bus, reached, out };
        Self { followed, changes: Changes { trials, known: modems.known() } }
    }

    /// What an instance is.
    fn target(&self, path: &Path) -> Result<Target, RequestError> {
        let known = self.followed.known.borrow();
        let profiles = profile::profiles(&known);
        let is_it = |profile: &&profile::Profile<'_>| Some(profile.number) == path.instance_id();
        let profile = profiles.iter().find(is_it).ok_or_else(|| content::not_found(path))?;
        match (profile.mobile, profile.bearer) {
            (Some(mobile), _) => Ok(Target::Profile(mobile.clone())),
            (None, Some(bearer)) => Ok(Target::Bearer(bearer.clone())),
            (None, None) => Err(content::not_found(path)),
        }
    }

    fn write(&mut self, call: &Call, entries: &[Entry]) -> Result<Answer, RequestError> {
        let contents = self.followed.contents();
        match self.target(&call.path)? {
            Target::Bearer(bearer) => match switched(&bearer, entries, &contents)? {
                Some(to) => self.switch(call.id, bearer, to),
                None => Ok(Answer::Now(Ok(CallReply::Done))),
            },
            Target::Profile(mobile) => {
                let wanted = Wanted::parse(entries, &contents)?;
                if wanted == Wanted::default() {
                    return Ok(Answer::Now(Ok(CallReply::Done)));
                }
                let begun = self.changes.trials.begin()?;
                let work = self.changes.clone().prepare(begun, call.id, mobile, wanted);
                Ok(self.followed.tasks.answer_later(call.id, work))
            }
        }
    }

    fn create(
        &mut self,
        call: CallId,
        instances: &[u16],
        entries: &[Entry],
    ) -> Result<Answer, RequestError> {
        let [instance] = instances else {
            let reason = "NetworkManager makes one profile at a time";
            return Err(RequestError::new(Code::BAD_REQUEST, reason));
        };
        let profile = Wanted::parse(entries, &[])?.profile(*instance)?;
        Ok(self.followed.tasks.answer_later(call, self.changes.clone().create(profile)))
    }

    fn delete(&mut self, call: &Call) -> Result<Answer, RequestError> {
        match self.target(&call.path)? {
            Target::Profile(mobile) if call.path.resource_id().is_none() => {
                let work = self.changes.clone().delete(mobile);
                Ok(self.followed.tasks.answer_later(call.id, work))
            }
            Target::Profile(_) => Err(refused(format!("{}: it stays", call.path))),
            Target::Bearer(_) => Err(refused("it is a bearer that ModemManager keeps".to_owned())),
        }
    }

    /// Connects or disconnects a bearer.
    fn switch(&mut self, call: CallId, bearer: Bearer, to: bool) -> Result<Answer, RequestError> {
        if !to && carries(&bearer) {
            return Err(refused(format!(
                "/11/{} carries the session, and nobody could connect it again",
                bearer.number.unwrap_or_default()
            )));
        }
        let connection = self.changes.trials.bus.connection();
        let bus = connection.ok_or_else(|| bus::no_bus(modem_manager::NAME))?;
        // It takes what the network takes, and ends with the object at the latest.
        let (ended, end) = tokio::sync::oneshot::channel();
        self.followed.tasks.spawn(async move {
            let result = connect(&bus, &bearer, to).await;
            if let Err(error) = &result {
                tracing::info!(reason = %error.reason, "an APN profile is not switched");
            }
            // Whoever asked may have had the answer.
            let _ = ended.send(result);
        });
        Ok(self.followed.tasks.answer_later(call, async move {
            match timeout(CONNECT_TIME_LIMIT, end).await {
                Ok(Ok(result)) => result,
                // The network is slow; what came of it stands in the resources.
                Ok(Err(_)) | Err(_) => Ok(CallReply::Done),
            }
        }))
    }
}

/// What is behind an instance.
enum Target {
    Profile(Mobile),
    Bearer(Bearer),
}

/// What a Write to a bearer makes of it. All is looked at before anything is done.
fn switched(
    bearer: &Bearer,
    entries: &[Entry],
    contents: &[(Path, Content)],
) -> Result<Option<bool>, RequestError> {
    let mut switched = None;
    for entry in entries {
        match (entry.path.resource_id(), entry.value()) {
            (Some(profile::ENABLED), Some(Value::Boolean(to))) => switched = Some(*to),
            _ if content::stands(contents, entry) => {}
            _ => {
                return Err(refused(format!(
                    "{}: the settings of a bearer of ModemManager cannot be changed",
                    entry.path
                )));
            }
        }
    }
    Ok(switched.filter(|to| *to != bearer.is_connected))
}

async fn connect(bus: &zbus::Connection, bearer: &Bearer, to: bool) -> CallResult {
    let connected = modem_manager::connect(bus, &bearer.path, to).await;
    connected.map_err(|error| bus::refusal(&error, modem_manager::NAME, CONTROL_ACTION))?;
    Ok(CallReply::Done)
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

/// What the object makes of the modems.
#[derive(Clone)]
struct Profiles;

impl View for Profiles {
    fn instances(&self, known: &Known) -> Vec<u16> {
        profile::profiles(known).iter().map(|profile| profile.number).collect()
    }

    fn contents(&self, known: &Known) -> Vec<(Path, Content)> {
        profile::profiles(known).iter().flat_map(profile::Profile::contents).collect()
    }
}

impl Object for ApnProfiles {
    fn definition(&self) -> Arc<ObjectDef> {
        self.followed.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        self.followed.instances()
    }

    fn is_supported(&self) -> bool {
        let known = self.followed.known.borrow();
        !known.modems.is_empty() || !known.profiles.is_empty() || !known.carriers.is_empty()
    }

    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        let answer = match &call.operation {
            CallOperation::Read => Ok(Answer::Now(self.followed.read(&call.path))),
            CallOperation::Discover => Ok(Answer::Now(self.followed.discover(&call.path))),
            // A Write that replaces does the same: what it leaves out cannot go.
            CallOperation::Write { mode: _, entries } => self.write(call, entries),
            CallOperation::Create { instances, entries } => {
                self.create(call.id, instances, entries)
            }
            CallOperation::Delete => self.delete(call),
            CallOperation::Proceed => {
                if let Some(change) = self.changes.trials.promised(call.id) {
                    self.followed.tasks.spawn(change);
                }
                Ok(Answer::Now(Ok(CallReply::Done)))
            }
            CallOperation::Execute(_) | CallOperation::Stream { .. } | CallOperation::StreamEnd => {
                Err(refused("there is nothing to execute here".to_owned()))
            }
        };
        answer.unwrap_or_else(|error| Answer::Now(Err(error)))
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.followed.watch(path, interval);
    }
}

/// So long an answer waits for the network, which may take minutes.
const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(6);
