//! The observations that are held, and how to find them (Core 8.1, 8.3).

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_coap::{CacheKey, Token};
use lwm2m_model::{Attributes, ContentFormat, Entry, Instant, Path};

use crate::dispatch::{Job, Origin};
use crate::engine::Engine;
use crate::evaluator::Reference;
use crate::timers::Timers;
use crate::{Event, Output, Reason};

/// Names an observation while it is held.
pub(crate) type ObservationId = u64;

/// One observation.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) observer: Observer,
    pub(crate) path: Path,
    pub(crate) format: ContentFormat,
    /// Attributes of the Observe request; if there are any, only they count.
    pub(crate) own: Option<Attributes>,
    pub(crate) reference: Reference,
    /// Observe sequence number, 24 bits (TRN-35).
    pub(crate) sequence: u32,
    pub(crate) last_sent: Instant,
    pub(crate) last_evaluated: Instant,
    /// When a notification was last confirmable (TRN-32).
    pub(crate) last_confirmable: Instant,
    /// What is said to have changed since the last evaluation.
    pub(crate) changed: Vec<Path>,
    /// What the sample under way is to judge.
    pub(crate) sample_of: Vec<Path>,
    /// A condition was met: a notification is due as soon as pmin allows.
    pub(crate) latched: bool,
    /// A read for this observation is wanted or under way.
    pub(crate) sampling: bool,
    /// An object that does not answer is asked again at this time.
    pub(crate) retry_at: Option<Instant>,
    pub(crate) failures: u32,
}

/// Who observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observer {
    Server { id: u16, token: Token, key: CacheKey },
    Local { id: u64 },
}

impl Observer {
    fn server(&self) -> Option<u16> {
        match self {
            Self::Server { id, .. } => Some(*id),
            Self::Local { .. } => None,
        }
    }
}

impl Observation {
    /// True if this server observes.
    pub(crate) fn is_of(&self, server: u16) -> bool {
        self.observer.server() == Some(server)
    }

    /// Notes that values at `path` may differ.
    pub(crate) fn mark(&mut self, path: &Path) {
        if self.changed.iter().any(|known| known.contains(path)) {
            return;
        }
        self.changed.retain(|known| !path.contains(known));
        if self.changed.len() < MAX_MARKS {
            self.changed.push(path.clone());
        } else {
            self.changed = vec![self.path.clone()];
        }
    }
}

/// All observations, found by identifier, by path and by time.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    by_id: BTreeMap<ObservationId, Observation>,
    by_path: BTreeMap<Path, Vec<ObservationId>>,
    timers: Timers<ObservationId>,
    next_id: ObservationId,
    /// The sampling that objects have been asked for.
    watched: BTreeMap<Path, Duration>,
}

impl Observations {
    pub(crate) fn get_mut(&mut self, id: ObservationId) -> Option<&mut Observation> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn get(&self, id: ObservationId) -> Option<&Observation> {
        self.by_id.get(&id)
    }

    pub(crate) fn set_timer(&mut self, id: ObservationId, at: Option<Instant>) {
        self.timers.set(id, at);
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<ObservationId> {
        self.timers.pop_due(now)
    }

    /// How many observations a server holds.
    pub(crate) fn count_of(&self, server: u16) -> usize {
        self.by_id.values().filter(|held| held.is_of(server)).count()
    }

    /// Observations that a change at `path` concerns: of the path, of what holds
    /// it, and of what it holds.
    pub(crate) fn touching(&self, path: &Path) -> Vec<ObservationId> {
        let above = (0..path.depth()).filter_map(|depth| self.by_path.get(&path.truncated(depth)));
        let below = self
            .by_path
            .range(path.clone()..)
            .take_while(|(observed, _)| path.contains(observed))
            .map(|(_, ids)| ids);
        above.chain(below).flatten().copied().collect()
    }

    /// Identifiers of the observations that `wanted` picks.
    pub(crate) fn select(&self, wanted: impl Fn(&Observation) -> bool) -> Vec<ObservationId> {
        self.by_id.iter().filter(|(_, held)| wanted(held)).map(|(id, _)| *id).collect()
    }

    fn insert(&mut self, observation: Observation) -> ObservationId {
        let id = self.next_id;
        self.next_id += 1;
        self.by_path.entry(observation.path.clone()).or_default().push(id);
        self.by_id.insert(id, observation);
        id
    }

    fn remove(&mut self, id: ObservationId) -> Option<Observation> {
        let observation = self.by_id.remove(&id)?;
        self.timers.set(id, None);
        if let Some(ids) = self.by_path.get_mut(&observation.path) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_path.remove(&observation.path);
            }
        }
        Some(observation)
    }

    fn at(&self, path: &Path) -> impl Iterator<Item = (ObservationId, &Observation)> {
        self.by_path
            .get(path)
            .into_iter()
            .flatten()
            .filter_map(|id| Some((*id, self.by_id.get(id)?)))
    }
}

impl Engine {
    /// Holds a new observation whose first values are `entries`; gives the sequence
    /// number of the answer, or `None` if no more can be held: then the answer is
    /// that of a Read, and the server knows (Core 8.1).
    pub(crate) fn begin_observation(
        &mut self,
        job: &Job,
        format: ContentFormat,
        own: Option<Attributes>,
        entries: &[Entry],
    ) -> Option<u32> {
        let now = self.now.boot;
        let observer = match job.origin {
            Origin::Server { id, key, token, .. } => Observer::Server { id, token, key },
            Origin::Local { id } => Observer::Local { id },
        };
        // A token names one observation: the same again renews it, on another path
        // it takes the place of the old one (RFC 7641 4.1).
        for id in self.observations.select(|held| same(held.observer, observer)) {
            if self.observations.get(id).is_some_and(|held| held.path == job.path) {
                self.observations.remove(id);
            } else {
                self.end_observation(id, "the server observes something else by its token");
            }
        }
        if self.observations.by_id.len() >= MAX_OBSERVATIONS {
            return None;
        }
        let mut reference = Reference::default();
        reference.sent(entries.to_vec());
        let id = self.observations.insert(Observation {
            observer,
            path: job.path.clone(),
            format,
            own,
            reference,
            sequence: FIRST_SEQUENCE,
            last_sent: now,
            last_evaluated: now,
            last_confirmable: now,
            changed: Vec::new(),
            sample_of: Vec::new(),
            latched: false,
            sampling: false,
            retry_at: None,
            failures: 0,
        });
        self.arm(id);
        self.watch(&job.path);
        if let Some(server) = job.origin.server() {
            let path = job.path.clone();
            self.outputs.push_back(Output::Event(Event::ObservationStarted { server, path }));
        }
        Some(FIRST_SEQUENCE)
    }

    /// Observe = 1: the observation of this path and token ends; if a server has
    /// forgotten the token, all it has on the path.
    pub(crate) fn cancel_observation(&mut self, job: &Job) {
        let Origin::Server { id: server, token, .. } = job.origin else { return };
        let of_server: Vec<(ObservationId, bool)> = self
            .observations
            .at(&job.path)
            .filter_map(|(id, held)| match held.observer {
                Observer::Server { id: of, token: held, .. } => {
                    (of == server).then_some((id, held == token))
                }
                Observer::Local { .. } => None,
            })
            .collect();
        let exact = of_server.iter().any(|(_, same_token)| *same_token);
        for (id, _) in of_server.into_iter().filter(|(_, same_token)| !exact || *same_token) {
            self.end_observation(id, "the server cancelled it");
        }
    }

    /// A Reset, or a time-out, names an observation by its token.
    pub(crate) fn end_observation_of_token(
        &mut self,
        server: u16,
        token: Token,
        reason: &'static str,
    ) {
        for id in self.with_token(server, token) {
            self.end_observation(id, reason);
        }
    }

    /// Observations of a server that have this token.
    pub(crate) fn with_token(&self, server: u16, token: Token) -> Vec<ObservationId> {
        self.observations.select(|held| {
            matches!(held.observer, Observer::Server { id, token: held, .. } if id == server && held == token)
        })
    }

    /// All observations of a server end (CORE-163).
    pub(crate) fn end_observations_of(&mut self, server: u16, reason: &'static str) {
        for id in self.observations.select(|held| held.is_of(server)) {
            self.end_observation(id, reason);
        }
    }

    /// The operator has seen enough.
    pub(crate) fn end_local_observation(&mut self, local: u64) {
        let local = Observer::Local { id: local };
        for id in self.observations.select(|held| held.observer == local) {
            self.end_observation(id, "the operator cancelled it");
        }
    }

    /// Ends one observation; the server is told elsewhere, if at all.
    pub(crate) fn end_observation(&mut self, id: ObservationId, reason: impl Into<Reason>) {
        let Some(observation) = self.observations.remove(id) else { return };
        if let Observer::Server { id: server, token, .. } = observation.observer {
            if let Some(endpoint) =
                self.servers.get_mut(&server).and_then(|server| server.endpoint.as_mut())
            {
                endpoint.cancel_notifications(token);
            }
            self.outputs.push_back(Output::Event(Event::ObservationEnded {
                server,
                path: observation.path.clone(),
                reason: reason.into(),
            }));
        }
        self.watch(&observation.path);
    }

    /// The attributes that count for an observation (Core 3.5): its own, or those
    /// attached and inherited; account defaults fill the gaps.
    pub(crate) fn attributes_of(&self, observation: &Observation) -> Attributes {
        let server = observation.observer.server().and_then(|id| self.servers.get(&id));
        let chosen = match (observation.own, server) {
            (Some(own), _) => own,
            (None, Some(server)) => server.attached.effective(&observation.path),
            (None, None) => Attributes::default(),
        };
        let defaults = server.map(|server| Attributes {
            pmin: server.account.default_pmin,
            pmax: server.account.default_pmax,
            con: Some(server.account.confirmable_notifications),
            ..Attributes::default()
        });
        chosen.or(&defaults.unwrap_or_default())
    }

    /// Tells objects how often a path is to be sampled, if that has changed.
    pub(crate) fn watch(&mut self, path: &Path) {
        let wanted = self
            .observations
            .at(path)
            .map(|(_, held)| sampling_interval(&self.attributes_of(held)))
            .min();
        if self.observations.watched.get(path).copied() == wanted {
            return;
        }
        match wanted {
            Some(interval) => self.observations.watched.insert(path.clone(), interval),
            None => self.observations.watched.remove(path),
        };
        self.outputs.push_back(Output::Watch { path: path.clone(), interval: wanted });
    }
}

/// Time between two samples of a value that has no event source: no notification
/// can follow another sooner than pmin, and no evaluation sooner than epmin.
fn sampling_interval(attributes: &Attributes) -> Duration {
    let least = attributes.pmin.unwrap_or(0).max(attributes.epmin.unwrap_or(0));
    let seconds = if least == 0 { DEFAULT_SAMPLING } else { least };
    let most = attributes.epmax.filter(|epmax| *epmax > 0).unwrap_or(u32::MAX);
    Duration::from_secs(u64::from(seconds.min(most)))
}

fn same(one: Observer, other: Observer) -> bool {
    match (one, other) {
        (Observer::Server { id: a, token: s, .. }, Observer::Server { id: b, token: t, .. }) => {
            a == b && s == t
        }
        (one, other) => one == other,
    }
}

/// Observations held for all servers together.
pub const MAX_OBSERVATIONS: usize = 4096;
/// Paths remembered as changed, per observation; beyond, all of it counts as changed.
const MAX_MARKS: usize = 8;
/// Seconds between two samples where no attribute says.
const DEFAULT_SAMPLING: u32 = 10;
/// Sequence number of the answer to Observe.
const FIRST_SEQUENCE: u32 = 1;
