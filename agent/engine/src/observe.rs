//! The life of an observation: begun, cancelled, ended (Core 8.1, 8.3).

use std::time::Duration;

use lwm2m_coap::Token;
use lwm2m_model::{Attributes, ContentFormat, Entry, Path};

use crate::dispatch::{Job, Origin};
use crate::engine::Engine;
use crate::evaluator::Reference;
use crate::observations::{MAX_SEQUENCE, Observation, ObservationId, Observer};
use crate::{Event, Output, Reason};

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
        let (observer, key) = match job.origin {
            Origin::Server { id, key, token, .. } => (Observer::Server { id, token }, Some(key)),
            Origin::Local { id } => (Observer::Local { id }, None),
        };
        let mut reference = Reference::default();
        reference.sent(entries.to_vec());
        let (now, path) = (self.now.boot, job.path.clone());
        let mut observation = Observation::begun(now, observer, path, format, reference);
        (observation.key, observation.own) = (key, own.map(Box::new));
        // Under one token numbers go on (RFC 7641 4.4).
        let before = self.observations.of_observer(observer);
        if let Some(before) = before.and_then(|id| self.observations.get(id)) {
            observation.sequence = (before.sequence + 1) & MAX_SEQUENCE;
            observation.unused = before.unused;
        }
        let number = observation.sequence;
        // A token names one observation: the same again renews it, on another path
        // it takes the place of the old one (RFC 7641 4.1).
        let known = self.observations.of_observer(observer);
        let is_of_path = |id: &ObservationId| {
            self.observations.get(*id).is_some_and(|held| held.path == job.path)
        };
        if let Some(id) = known.filter(is_of_path) {
            self.observations.renew(id, observation);
            self.claim_stored(id, &job.path, entries);
            self.arm(id);
            self.watch(&job.path);
        } else {
            if let Some(id) = known {
                self.end_observation(id, "the server observes something else by its token");
            }
            if self.observations.len() >= MAX_OBSERVATIONS {
                return None;
            }
            let id = self.observations.insert(observation);
            self.claim_stored(id, &job.path, entries);
            self.arm(id);
            self.watch_too(id);
        }
        if let Some(server) = job.origin.server() {
            let path = job.path.clone();
            self.outputs.push_back(Output::Event(Event::ObservationStarted { server, path }));
        }
        Some(number)
    }

    /// Observe = 1: the observation of this path and token ends; if a server has
    /// forgotten the token, all it has on the path.
    pub(crate) fn cancel_observation(&mut self, job: &Job) {
        let Origin::Server { id: server, token, .. } = job.origin else { return };
        let is_meant = |begun: &Job| begun.path == job.path && begun.origin.token() == Some(token);
        self.void_observations(server, is_meant);
        let of_server: Vec<(ObservationId, Observer)> = self
            .observations
            .at(&job.path)
            .map(|(id, held)| (id, held.observer))
            .filter(|(_, observer)| observer.server() == Some(server))
            .collect();
        let named = Observer::Server { id: server, token };
        let exact = of_server.iter().any(|(_, observer)| *observer == named);
        for (id, _) in of_server.into_iter().filter(|(_, by)| !exact || *by == named) {
            self.end_observation(id, "the server cancelled it");
        }
    }

    /// A Reset names an observation by its token.
    pub(crate) fn end_observation_of_token(
        &mut self,
        server: u16,
        token: Token,
        reason: &'static str,
    ) {
        if let Some(id) = self.observations.of_observer(Observer::Server { id: server, token }) {
            self.end_observation(id, reason);
        }
    }

    /// All observations of a server end (CORE-163).
    pub(crate) fn end_observations_of(&mut self, server: u16, reason: &'static str) {
        self.void_observations(server, |_| true);
        for id in self.observations_of(server) {
            self.end_observation(id, reason);
        }
    }

    /// The observations of a server, to be changed one after the other.
    pub(crate) fn observations_of(&self, server: u16) -> Vec<ObservationId> {
        self.observations.of_server(server).collect()
    }

    /// The operator has seen enough.
    pub(crate) fn end_local_observation(&mut self, local: u64) {
        if let Some(id) = self.observations.of_observer(Observer::Local { id: local }) {
            self.end_observation(id, "the operator cancelled it");
        }
    }

    /// Ends one observation; the server is told elsewhere, if at all.
    pub(crate) fn end_observation(&mut self, id: ObservationId, reason: impl Into<Reason>) {
        let Some(observation) = self.observations.remove(id) else { return };
        if let Some(key) = observation.record_key() {
            self.mark(key);
        }
        if let Observer::Server { id: server, token } = observation.observer {
            if let Some(server) = self.servers.get_mut(&server) {
                server.backlog.forget(id);
                if let Some(endpoint) = &mut server.endpoint {
                    endpoint.cancel_notifications(token);
                }
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
        let chosen = match (&observation.own, server) {
            (Some(own), _) => **own,
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
        let all = self.observations.at(path);
        let wanted = all.map(|(_, held)| sampling_interval(&self.attributes_of(held))).min();
        match wanted {
            Some(seconds) if self.observations.sampled_every(path) == Some(seconds) => {}
            wanted => self.tell_watch(path.clone(), wanted),
        }
    }

    /// As [`Engine::watch`] for one observation more, without a look at the others.
    fn watch_too(&mut self, id: ObservationId) {
        let Some(observation) = self.observations.get(id) else { return };
        let wanted = sampling_interval(&self.attributes_of(observation));
        if self.observations.sampled_every(&observation.path).is_none_or(|known| wanted < known) {
            self.tell_watch(observation.path.clone(), Some(wanted));
        }
    }

    fn tell_watch(&mut self, path: Path, seconds: Option<u32>) {
        if let Some(seconds) = seconds {
            self.observations.set_sampled_every(&path, seconds);
        }
        let interval = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        self.outputs.push_back(Output::Watch { path, interval });
    }
}

/// Seconds between two samples of a value that has no event source: no notification
/// can follow another sooner than pmin, and no evaluation sooner than epmin.
fn sampling_interval(attributes: &Attributes) -> u32 {
    let least = attributes.pmin.unwrap_or(0).max(attributes.epmin.unwrap_or(0));
    let seconds = if least == 0 { DEFAULT_SAMPLING } else { least };
    let most = attributes.epmax.filter(|epmax| *epmax > 0).unwrap_or(u32::MAX);
    seconds.min(most)
}

/// Observations held for all servers together.
pub const MAX_OBSERVATIONS: usize = 4096;
/// Seconds between two samples where no attribute says.
const DEFAULT_SAMPLING: u32 = 10;
