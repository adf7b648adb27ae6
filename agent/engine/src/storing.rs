//! Notification storing: what is due while a server is away is told when it is back
//! (Core 3.8, 5.7; `/1/x/6`).
//!
//! 1. Away is a server without a link, disabled, or not heard of since a confirmable
//!    notification was lost. Asleep is not away.
//! 2. With storing, attributes go on to decide what is due; that is kept, with the
//!    values of its moment. Without, or with hqmax=0, nothing is sampled meanwhile.
//! 3. An answered Update: what is kept goes out confirmably, oldest first, each when
//!    the one before is acknowledged; what is due meanwhile stands behind it. Without
//!    storing the current values are judged against those last told.
//! 4. A Register ends the observations: what they left waits for the server to observe
//!    the same paths again.

use std::time::Duration;

use lwm2m_coap::{Kind, Token};
use lwm2m_model::{Attributes, ContentFormat, Entry, Instant, Path};

use crate::backlog::{Batch, MAX_STORED, MAX_STORED_OF_OBSERVATION, Together};
use crate::engine::Engine;
use crate::observations::{Observation, ObservationId, Observer};
use crate::server::{Phase, Server};

/// Where a notification that is due can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlet {
    /// Out.
    Send,
    /// To the others that are kept.
    Store,
    /// Nowhere, until the server is back.
    Closed,
}

impl Engine {
    /// Where a notification of this observation can go now.
    pub(crate) fn outlet(&self, id: ObservationId, attributes: &Attributes) -> Outlet {
        let Some(observation) = self.observations.get(id) else { return Outlet::Closed };
        let Observer::Server { id: server, .. } = observation.observer else {
            return Outlet::Send;
        };
        let Some(server) = self.servers.get(&server) else { return Outlet::Closed };
        let is_there = server.is_asleep() || (server.is_registered() && !server.has_missed);
        if is_there && !server.is_unheard {
            return if server.backlog.has(id) { Outlet::Store } else { Outlet::Send };
        }
        let keeps = is_stored(server, attributes) && server.phase != Phase::Stopped;
        if keeps { Outlet::Store } else { Outlet::Closed }
    }

    /// Keeps a notification that is due.
    pub(crate) fn store_notification(&mut self, id: ObservationId, entries: &[Entry]) {
        let now = self.now.boot;
        // What is on its way, and may be lost, was due before.
        self.take_back(id);
        let Some(observation) = self.observations.get_mut(id) else { return };
        observation.told(now, entries);
        self.keep(id, now, entries);
    }

    fn keep(&mut self, id: ObservationId, at: Instant, entries: &[Entry]) {
        let Some(observation) = self.observations.get(id) else { return };
        let most = match self.attributes_of(observation).hqmax {
            Some(hqmax) => usize::try_from(hqmax).unwrap_or(MAX_STORED).min(MAX_STORED),
            None => MAX_STORED_OF_OBSERVATION,
        };
        let server = observation.observer.server();
        if let Some(server) = server.and_then(|server| self.servers.get_mut(&server)) {
            server.backlog.store(id, most, at, entries);
        }
    }

    /// A confirmable notification has found nobody. An Update tells whether the server
    /// is there; if it was the end of an observation, only a Register tells a server
    /// that it is over.
    pub(crate) fn notification_lost(&mut self, server_id: u16, token: Token) {
        let now = self.now.boot;
        let lost = self.observations.of_observer(Observer::Server { id: server_id, token });
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        let Some(lost) = lost else {
            if server.is_registered() {
                self.send_register(server_id);
            }
            return;
        };
        server.is_unheard = true;
        server.has_missed = true;
        if !server.backlog.not_told(lost) {
            self.take_back(lost);
        }
        self.update_due(server_id, now);
        self.rearm_observations_of(server_id);
    }

    /// The link of a server is gone, and with it what was not acknowledged.
    pub(crate) fn notifications_cut_off(&mut self, server_id: u16) {
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        server.has_missed = true;
        server.backlog.interrupted();
        for id in self.observations_of(server_id) {
            self.take_back(id);
            self.arm(id);
        }
    }

    /// Keeps what was sent last if nobody has acknowledged it.
    fn take_back(&mut self, id: ObservationId) {
        let Some(observation) = self.observations.get(id) else { return };
        let server = observation.observer.server().and_then(|server| self.servers.get(&server));
        let stored =
            server.is_some_and(|server| is_stored(server, &self.attributes_of(observation)));
        if !observation.is_unacknowledged || !stored {
            return; // without storing the current values are told instead
        }
        let (at, entries) = (observation.last_sent, observation.reference.sent.clone());
        self.keep(id, at, &entries);
        if let Some(observation) = self.observations.get_mut(id) {
            observation.is_unacknowledged = false;
        }
    }

    /// A server has acknowledged a notification.
    pub(crate) fn notification_acknowledged(&mut self, server: u16, token: Token) {
        let Some(id) = self.observations.of_observer(Observer::Server { id: server, token }) else {
            return;
        };
        if let Some(observation) = self.observations.get_mut(id) {
            observation.is_unacknowledged = false;
        }
        let server = self.servers.get_mut(&server);
        if server.is_some_and(|server| server.backlog.told(id)) {
            self.arm(id);
        }
    }

    /// A server has answered Update or Register: what it has missed is made good.
    pub(crate) fn resume_observations_of(&mut self, server_id: u16) {
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        server.is_unheard = false;
        if !std::mem::take(&mut server.has_missed) {
            return;
        }
        for id in self.observations_of(server_id) {
            let Some(observation) = self.observations.get(id) else { continue };
            let attributes = self.attributes_of(observation);
            let server = self.servers.get(&server_id);
            let stored = server.is_some_and(|server| is_stored(server, &attributes));
            if let Some(observation) = self.observations.get_mut(id).filter(|_| !stored) {
                let whole = observation.path.clone();
                observation.latched = observation.is_unacknowledged || observation.is_restored;
                observation.mark(&whole);
            }
            self.arm(id);
        }
    }

    /// Tells a server that is there what was kept for it, as far as there is room.
    pub(crate) fn tell_stored(&mut self, server_id: u16) {
        while let Some(id) = self.next_to_tell(server_id) {
            let Some(format) = self.observations.get(id).map(|held| held.format) else { return };
            let has_times = matches!(format, ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR);
            let together =
                if has_times && self.now.wall.is_some() { Together::Many } else { Together::One };
            if !self.has_number(id) {
                return; // it is being reserved
            }
            let Some(server) = self.servers.get_mut(&server_id) else { return };
            let batch = server.backlog.tell(id, together);
            let entries = match together {
                Together::Many => self.with_times(batch),
                Together::One => batch.moments.into_iter().flat_map(|(_, values)| values).collect(),
            };
            self.transmit_values(id, Kind::Confirmable, &entries);
        }
    }

    fn next_to_tell(&self, server: u16) -> Option<ObservationId> {
        let server = self.servers.get(&server)?;
        let is_there = server.is_registered() && !server.is_unheard && !server.has_missed;
        let has_room = server.endpoint.as_ref().is_some_and(lwm2m_coap::Endpoint::has_room);
        server.backlog.next().filter(|_| is_there && has_room)
    }

    /// All values of a batch, each with the time of its moment: how long that is ago
    /// is known even if the clock was set since.
    fn with_times(&self, batch: Batch) -> Vec<Entry> {
        let wall = self.now.wall.unwrap_or_default();
        let mut all = Vec::new();
        for (at, mut entries) in batch.moments {
            let ago = i64::try_from((self.now.boot - at).as_millis()).unwrap_or(i64::MAX);
            let time = wall.saturating_sub(ago) as f64 / 1000.0;
            for entry in &mut entries {
                entry.time.get_or_insert(time);
            }
            all.append(&mut entries);
        }
        all
    }

    // Registrations that end.

    /// The observations of a registration end; what they left is kept for those that
    /// follow.
    pub(crate) fn leave_observations_of(&mut self, server_id: u16, reason: &'static str) {
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        server.backlog.forget_former();
        self.void_observations(server_id, |_| true);
        for id in self.observations_of(server_id) {
            self.take_back(id);
            let path = self.observations.get(id).map(|held| held.path.clone());
            if let (Some(server), Some(path)) = (self.servers.get_mut(&server_id), path) {
                server.backlog.make_former(id, &path);
            }
            self.end_observation(id, reason);
        }
    }

    /// An observation has begun, or begun anew, with these values: what is kept for it
    /// is told before them, so that the last it is told is what holds.
    pub(crate) fn claim_stored(&mut self, id: ObservationId, path: &Path, entries: &[Entry]) {
        let now = self.now.boot;
        let observer = self.observations.get(id).map(|held| held.observer);
        let Some(server) = observer.and_then(Observer::server) else { return };
        let Some(server) = self.servers.get_mut(&server) else { return };
        let made = server.registration.as_ref().map(|registration| registration.made);
        if made.is_some_and(|made| now - made < CLAIMED_WITHIN) {
            server.backlog.claim(id, path);
        } else {
            server.backlog.forget_former();
        }
        if server.backlog.has(id) {
            self.keep(id, now, entries);
        }
    }
}

impl Observation {
    /// The values have been told, or kept to be told later.
    pub(crate) fn told(&mut self, now: Instant, entries: &[Entry]) {
        (self.latched, self.is_restored) = (false, false);
        self.last_sent = now;
        self.reference.sent(entries.to_vec());
    }
}

/// True if notifications are stored while the server is away (CORE-52, CORE-53).
fn is_stored(server: &Server, attributes: &Attributes) -> bool {
    server.account.notification_storing && attributes.hqmax != Some(0)
}

/// A server that does not observe a path so long after its Register no longer wants to
/// know what happened to it.
const CLAIMED_WITHIN: Duration = Duration::from_secs(60 * 60);
