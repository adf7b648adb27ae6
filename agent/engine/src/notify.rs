//! When a notification goes out (Core 3.6, 8.2).
//!
//! 1. An object says that values may differ, or epmax is over: the observation
//!    wants a sample, no sooner than epmin after the last evaluation.
//! 2. Samples are read, one call an instance for all observations that want one.
//! 3. The evaluator judges; a condition that is met is latched.
//! 4. Latched and pmin over, or pmax over: the notification goes out with the
//!    values at that moment.
//!
//! An object that does not answer delays its observations, with back-off; it never
//! ends them. Only a target that is gone does.

use std::collections::BTreeSet;
use std::time::Duration;

use lwm2m_coap::{CacheKey, Kind};
use lwm2m_model::record::Key;
use lwm2m_model::{Attributes, Code, Entry, Instant, Path, Reply};

use crate::dispatch::Pending;
use crate::engine::Engine;
use crate::observations::{MAX_SEQUENCE, Observation, ObservationId, Observer};
use crate::storing::Outlet;
use crate::{CallOperation, CallResult, MessageRecord, Output, binding, reply};

impl Engine {
    /// Values at or below `path` may differ.
    pub(crate) fn changed(&mut self, path: &Path) {
        self.persistence.note_changed(path);
        for id in self.observations.touching(path) {
            let Some(observation) = self.observations.get_mut(id) else { continue };
            observation.mark(path);
            self.arm(id);
        }
    }

    /// An object has other instances than before: observations of what is gone end,
    /// observations of the object see a change.
    pub(crate) fn instances_changed(&mut self, object: u16, before: Vec<u16>) {
        let Some(entry) = self.objects.get(&object) else { return };
        let gone: Vec<u16> = before.iter().copied().filter(|id| !entry.has(*id)).collect();
        let changed = before != entry.instances;
        for instance in gone {
            let Ok(path) = Path::object(object).child(instance) else { continue };
            self.removed(&path);
        }
        if changed {
            self.changed(&Path::object(object));
        }
    }

    /// An instance or resource instance is there no more: observations of it and of
    /// what it held end, and so do attributes (Core 6.6).
    pub(crate) fn removed(&mut self, path: &Path) {
        let observed: Vec<ObservationId> = self.observations.below(path).collect();
        for id in observed {
            self.target_gone(id);
        }
        self.persistence.note_changed(path);
        for (id, server) in &mut self.servers {
            for attached in server.attached.below(path) {
                self.persistence.mark(Key::Attached(*id, attached.clone()));
            }
            server.attached.forget(path);
        }
    }

    /// Attributes have been attached: the new values count from the next
    /// evaluation on (Core 8.2).
    pub(crate) fn attributes_changed(&mut self, server: Option<u16>, path: &Path) {
        let is_of = |id: &ObservationId| {
            self.observations.get(*id).is_some_and(|held| held.observer.server() == server)
        };
        let concerned: Vec<ObservationId> = self.observations.below(path).filter(is_of).collect();
        self.attributes_differ(&concerned);
    }

    /// Sets timers and sampling of observations whose attributes have changed; each
    /// path is looked at once, however many observe it.
    fn attributes_differ(&mut self, concerned: &[ObservationId]) {
        let mut paths = BTreeSet::new();
        for id in concerned {
            self.arm(*id);
            paths.extend(self.observations.get(*id).map(|held| held.path.clone()));
        }
        for path in &paths {
            self.watch(path);
        }
    }

    /// The defaults of an account are others than before.
    pub(crate) fn rearm_observations_of(&mut self, server: u16) {
        let concerned = self.observations_of(server);
        self.attributes_differ(&concerned);
    }

    /// Sets the timer of an observation to when it wants its next sample.
    pub(crate) fn arm(&mut self, id: ObservationId) {
        let at = self.next_sample(id);
        self.observations.set_timer(id, at);
    }

    fn next_sample(&self, id: ObservationId) -> Option<Instant> {
        let observation = self.observations.get(id).filter(|held| !held.sampling)?;
        // The objects of one from before a restart may be yet to come.
        let waits = observation.is_restored
            && !observation.path.object_id().is_some_and(|id| self.objects.contains_key(&id));
        if waits {
            return None;
        }
        let attributes = self.attributes_of(observation);
        let at = match self.outlet(id, &attributes) {
            Outlet::Send if observation.is_gone => self.now.boot,
            Outlet::Store if observation.is_gone => return None,
            Outlet::Send | Outlet::Store => Due::of(observation, &attributes).earliest()?,
            Outlet::Closed => return None,
        };
        Some(observation.retry_at().map_or(at, |retry| at.max(retry)))
    }

    /// Starts the reads that observations want: one an instance, which serves all of
    /// them, and never two at once of the same instance.
    pub(crate) fn start_samples(&mut self) {
        self.observations.want_due(self.now.boot);
        while let Some((path, observations)) = self.observations.begin_sample() {
            let pending = Pending::Sample { path: path.clone(), observations };
            self.call(&path, CallOperation::Read, pending);
        }
    }

    /// A sample has come, or not.
    pub(crate) fn sampled(
        &mut self,
        path: &Path,
        observations: &[ObservationId],
        result: CallResult,
    ) {
        self.observations.end_sample(path);
        let mut result = reply::entries(result);
        if let Ok(entries) = &mut result
            && !entries.is_sorted_by(|one, other| one.path <= other.path)
        {
            entries.sort_by(|one, other| one.path.cmp(&other.path));
        }
        for id in observations {
            let Some(observation) = self.observations.get_mut(*id) else { continue };
            observation.sampling = false;
            match &result {
                Ok(entries) => {
                    let own = below(entries, &observation.path);
                    if own.is_empty() && observation.path.depth() > path.depth() {
                        self.target_gone(*id);
                    } else {
                        self.judge(*id, own);
                    }
                }
                Err(error) if error.code == Code::NOT_FOUND => self.target_gone(*id),
                Err(_) => self.sample_failed(*id),
            }
        }
    }

    fn sample_failed(&mut self, id: ObservationId) {
        let now = self.now.boot;
        let Some(observation) = self.observations.get_mut(id) else { return };
        let progress = observation.progress();
        progress.failures = progress.failures.saturating_add(1);
        let pause = RETRY_SAMPLE * 2u32.pow(progress.failures.min(MAX_DOUBLINGS) - 1);
        progress.retry_at = Some(now + pause);
        for path in std::mem::take(&mut progress.sample_of) {
            observation.mark(&path);
        }
        self.arm(id);
    }

    fn judge(&mut self, id: ObservationId, entries: &[Entry]) {
        let now = self.now.boot;
        let Some(attributes) = self.observations.get(id).map(|held| self.attributes_of(held))
        else {
            return;
        };
        let Some(observation) = self.observations.get_mut(id) else { return };
        observation.is_gone = false;
        let sampled = observation.take_sampled();
        let due = Due::of_sample(observation, &attributes, &sampled);
        if due.evaluation.is_some_and(|at| at <= now) {
            let all = [observation.path.clone()];
            let changed = if sampled.is_empty() { &all[..] } else { &sampled[..] };
            observation.last_evaluated = now;
            observation.latched |= observation.reference.judge(&attributes, entries, changed);
        } else {
            // epmin is not over: it still counts as changed.
            for path in &sampled {
                observation.mark(path);
            }
        }
        let kind = kind(observation, &attributes, now);
        if Due::of(observation, &attributes).sending.is_some_and(|at| at <= now) {
            observation.latched = true;
            match self.outlet(id, &attributes) {
                Outlet::Send if self.may_send(id, kind) => {
                    self.send_notification(id, kind, entries);
                }
                Outlet::Store => self.store_notification(id, entries),
                Outlet::Send | Outlet::Closed => {}
            }
        }
        self.arm(id);
    }

    fn send_notification(&mut self, id: ObservationId, kind: Kind, entries: &[Entry]) {
        let now = self.now.boot;
        let Some(observation) = self.observations.get_mut(id) else { return };
        observation.told(now, entries);
        observation.is_unacknowledged = kind == Kind::Confirmable;
        match observation.observer {
            Observer::Local { id } => {
                self.outputs.push_back(Output::LocalNotify { id, entries: entries.to_vec() });
            }
            Observer::Server { .. } => self.transmit_values(id, kind, entries),
        }
    }

    /// Sends a server values under the next number.
    pub(crate) fn transmit_values(&mut self, id: ObservationId, kind: Kind, entries: &[Entry]) {
        let now = self.now.boot;
        let Some(observation) = self.observations.get_mut(id) else { return };
        observation.sequence = (observation.sequence + 1) & MAX_SEQUENCE;
        if kind == Kind::Confirmable {
            observation.last_confirmable = now;
        }
        let (format, number) = (observation.format, observation.sequence);
        let (observer, key, path) =
            (observation.observer, observation.key, observation.path.clone());
        self.number_used(id);
        match reply::encode(format, &path, entries) {
            Ok(payload) => {
                let reply = Reply::content(format, payload);
                self.transmit_notification((observer, key, &path), reply, Some(number), kind);
            }
            // The values no longer fit the format that was agreed on.
            Err(error) => self.end_with(id, error.code, error.reason.into_owned()),
        }
    }

    /// The target of an observation is gone: 4.04 ends it (Core 8.2), as soon as the
    /// server can be told.
    fn target_gone(&mut self, id: ObservationId) {
        let Some(observation) = self.observations.get_mut(id) else { return };
        observation.is_gone = true;
        let attributes = self.observations.get(id).map(|held| self.attributes_of(held));
        let outlet = attributes.map_or(Outlet::Closed, |attributes| self.outlet(id, &attributes));
        if outlet == Outlet::Send && self.may_send(id, Kind::Confirmable) {
            self.end_with(id, Code::NOT_FOUND, "its target is gone".into());
        } else {
            self.arm(id);
        }
    }

    /// Ends an observation with an error notification, which is repeated until it
    /// is acknowledged: so what waits is dropped before, not after it.
    fn end_with(&mut self, id: ObservationId, code: Code, reason: String) {
        let Some(observation) = self.observations.get(id) else { return };
        let (observer, key) = (observation.observer, observation.key);
        let path = observation.path.clone();
        self.end_observation(id, reason);
        // An error notification has no Observe option (RFC 7641 3.2).
        let target = (observer, key, &path);
        self.transmit_notification(target, Reply::new(code), None, Kind::Confirmable);
    }

    fn transmit_notification(
        &mut self,
        (observer, key, path): (Observer, Option<CacheKey>, &Path),
        reply: Reply,
        number: Option<u32>,
        kind: Kind,
    ) {
        let now = self.now.boot;
        let (Observer::Server { id: server, token }, Some(key)) = (observer, key) else { return };
        self.wake(server);
        self.record(|| MessageRecord {
            detail: if kind == Kind::Confirmable { "confirmable".into() } else { String::new() },
            ..MessageRecord::of_reply(server, "Notify", path, &reply)
        });
        let draft = binding::coap::to_draft(reply, number);
        if let Some(endpoint) =
            self.servers.get_mut(&server).and_then(|server| server.endpoint.as_mut())
        {
            endpoint.notify(now, token, key, kind, draft);
        }
    }

    /// True if there is room for a notification, and a number. Asleep without a link, one is opened,
    /// and what is due follows the Update.
    fn may_send(&mut self, id: ObservationId, kind: Kind) -> bool {
        let now = self.now.boot;
        let has_number = self.has_number(id);
        let Some(observation) = self.observations.get_mut(id) else { return false };
        let Observer::Server { id: server, .. } = observation.observer else { return true };
        match self.servers.get(&server).and_then(|server| server.endpoint.as_ref()) {
            Some(endpoint)
                if !has_number || (kind == Kind::Confirmable && !endpoint.has_room()) =>
            {
                observation.progress().retry_at = Some(now + MAKES_ROOM);
                false
            }
            Some(_) => true,
            None => {
                self.send_update(server);
                false
            }
        }
    }
}

/// How the next notification of an observation travels.
fn kind(observation: &Observation, attributes: &Attributes, now: Instant) -> Kind {
    // After a restart nobody knows when the last one was.
    let overdue =
        observation.is_restored || now - observation.last_confirmable >= CONFIRMABLE_AT_LEAST;
    if attributes.con == Some(true) || overdue { Kind::Confirmable } else { Kind::NonConfirmable }
}

/// The entries at and below `path`; they are sorted, so they stand together.
fn below<'a>(entries: &'a [Entry], path: &Path) -> &'a [Entry] {
    let rest = entries.split_at(entries.partition_point(|entry| entry.path < *path)).1;
    rest.split_at(rest.partition_point(|entry| path.contains(&entry.path))).0
}

/// When an observation is due for what.
struct Due {
    evaluation: Option<Instant>,
    sending: Option<Instant>,
}

impl Due {
    fn of(observation: &Observation, attributes: &Attributes) -> Self {
        Self::of_sample(observation, attributes, observation.changed())
    }

    fn of_sample(observation: &Observation, attributes: &Attributes, changed: &[Path]) -> Self {
        let seconds = |count: u32| Duration::from_secs(u64::from(count));
        let pmin = seconds(attributes.pmin.unwrap_or(0));
        let pmax = attributes.pmax.filter(|pmax| *pmax > 0).map(seconds);
        let latched = observation.latched.then(|| observation.last_sent + pmin);
        // CORE-29: a pmax below pmin has no effect.
        let longest = pmax.filter(|pmax| *pmax >= pmin).map(|pmax| observation.last_sent + pmax);
        let epmin = seconds(attributes.epmin.unwrap_or(0));
        let changed = (!changed.is_empty()).then(|| observation.last_evaluated + epmin);
        let epmax = attributes
            .epmax
            .filter(|epmax| *epmax > 0)
            .map(|epmax| observation.last_evaluated + seconds(epmax));
        Self {
            evaluation: [changed, epmax].into_iter().flatten().min(),
            sending: [latched, longest].into_iter().flatten().min(),
        }
    }

    fn earliest(&self) -> Option<Instant> {
        [self.evaluation, self.sending].into_iter().flatten().min()
    }
}

/// A notification is confirmable at least so often (RFC 7641 4.5).
const CONFIRMABLE_AT_LEAST: Duration = Duration::from_secs(24 * 60 * 60);
/// Where more confirmable notifications are due than may wait, the others are tried
/// again after this.
const MAKES_ROOM: Duration = Duration::from_secs(1);
/// First pause after an object has not answered; doubled with each failure.
const RETRY_SAMPLE: Duration = Duration::from_secs(10);
/// It grows to 2^5 times the first.
const MAX_DOUBLINGS: u32 = 6;
