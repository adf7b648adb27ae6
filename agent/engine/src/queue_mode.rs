//! Queue mode: sleep and wake (Core 5.8, Transport 11).
//!
//! 1. Every datagram, sent or received, starts the awake time anew (93 s).
//! 2. When it is over and nothing is under way the server is left alone: what it
//!    sends is dropped, as a radio that is off would.
//! 3. Waking is announced by an Update; a notification wakes too, by itself.

use std::time::Duration;

use lwm2m_coap::Endpoint;
use lwm2m_model::Instant;

use crate::engine::Engine;
use crate::server::{Phase, Server};
use crate::{Event, Output};

impl Engine {
    /// Goes to sleep if it is time.
    pub(crate) fn sleep_if_due(&mut self, id: u16) {
        let now = self.now.boot;
        let due = self
            .servers
            .get(&id)
            .and_then(|server| self.sleep_deadline(server))
            .is_some_and(|at| at <= now);
        if due {
            self.sleep(id);
        }
    }

    /// When the awake time is over; `None` without queue mode, or while something
    /// is under way: then whatever ends it brings us back here.
    pub(crate) fn sleep_deadline(&self, server: &Server) -> Option<Instant> {
        let endpoint = server.endpoint.as_ref()?;
        let may_sleep = server.account.queue_mode
            && matches!(server.phase, Phase::Registered { update: None, asleep: false })
            && endpoint.is_idle()
            && !self.has_calls_of(server.account.short_server_id);
        let awake = if server.sleepy { Duration::ZERO } else { awake_time(server, endpoint) };
        may_sleep.then(|| endpoint.last_activity().map(|at| at + awake))?
    }

    /// The operator wants it to sleep: as soon as nothing is under way. A registration
    /// that is yet to be made is not meant.
    pub(crate) fn sleep_soon(&mut self, id: u16) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.sleepy = server.is_registered();
        }
    }

    fn sleep(&mut self, id: u16) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.sleepy = false;
        server.phase = Phase::Registered { update: None, asleep: true };
        let until = server.next_update();
        self.outputs.push_back(Output::Event(Event::Asleep { server: id, until }));
    }

    /// The operator wants it awake, and the server to know.
    pub(crate) fn wake_up(&mut self, id: u16) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.sleepy = false;
        }
        self.update_now(id);
    }

    /// Wakes, saying nothing to the server.
    pub(crate) fn wake(&mut self, id: u16) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        if let Phase::Registered { asleep: asleep @ true, .. } = &mut server.phase {
            *asleep = false;
            self.outputs.push_back(Output::Event(Event::Awake { server: id }));
        }
    }
}

fn awake_time(server: &Server, endpoint: &Endpoint) -> Duration {
    server.account.awake_time.unwrap_or_else(|| endpoint.config().max_transmit_wait())
}
