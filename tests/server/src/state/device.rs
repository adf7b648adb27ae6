//! Registered devices: who listens, what waits for whom (Core 5.8).
//!
//! 1. A request is queued at its device.
//! 2. While the device listens, and no more requests are out than it may get, the
//!    next one goes.
//! 3. A device in queue mode that was not heard for the awake time, and has no
//!    request to answer, is taken to sleep; its requests stay queued.
//! 4. Any message from it ends the sleep, and the queue moves on.

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_model::Instant;

use super::{Job, Peer, State, Then};
use crate::{Error, Registration, ServerEvent};

/// A registered device.
pub(super) struct Device {
    pub(super) registration: Registration,
    pub(super) peer: Peer,
    pub(super) heard: Instant,
    pub(super) expires: Option<Instant>,
    /// False while the separate response to its Register is not acknowledged: it
    /// ignores requests until it knows that it is registered (Core 7).
    pub(super) ready: bool,
    pub(super) waiting: VecDeque<Job>,
}

impl Device {
    /// When it expires or falls asleep, whatever is first.
    pub(super) fn next_timeout(&self, awake_time: Duration, asked: bool) -> Option<Instant> {
        let sleeps = self.may_fall_asleep(asked).then(|| self.heard + awake_time);
        sleeps.into_iter().chain(self.expires).min()
    }

    fn may_fall_asleep(&self, asked: bool) -> bool {
        self.registration.queue && self.registration.awake && !asked
    }
}

impl State {
    /// Queues a request.
    pub(super) fn request(&mut self, now: Instant, endpoint: &str, job: Job) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            job.then.fail(Error::NotRegistered(endpoint.to_owned()));
            return;
        };
        if device.waiting.len() >= MAX_WAITING {
            job.then.fail(Error::QueueFull(MAX_WAITING));
            return;
        }
        device.waiting.push_back(job);
        self.send_waiting(now, endpoint);
    }

    /// Sends what the device may get.
    pub(super) fn send_waiting(&mut self, now: Instant, endpoint: &str) {
        loop {
            let asked = self.exchanges.iter().filter(|known| known.endpoint == endpoint).count();
            let Some(device) = self.devices.get_mut(endpoint) else { return };
            let limit = if device.registration.queue { 1 } else { self.config.outstanding.max(1) };
            if !device.registration.awake || !device.ready || asked >= limit {
                return;
            }
            let Some(job) = device.waiting.pop_front() else { return };
            let (peer, root) = (device.peer, device.registration.root.clone());
            self.start(now, endpoint, peer, &root, job);
        }
    }

    /// Notes that a message came from `peer`, and lets its queue move on.
    pub(super) fn heard(&mut self, now: Instant, peer: Peer) {
        let endpoints: Vec<String> = self
            .devices
            .values_mut()
            .filter(|device| device.peer == peer)
            .map(|device| {
                device.heard = now;
                device.registration.endpoint.clone()
            })
            .collect();
        for endpoint in endpoints {
            self.wake(&endpoint);
            self.send_waiting(now, &endpoint);
        }
    }

    pub(super) fn wake(&mut self, endpoint: &str) {
        if let Some(device) = self.devices.get_mut(endpoint)
            && !device.registration.awake
        {
            device.registration.awake = true;
            self.tell(ServerEvent::Awake { endpoint: endpoint.to_owned() });
        }
    }

    pub(super) fn put_to_sleep(&mut self, now: Instant) {
        let quiet = |device: &&Device| {
            device.may_fall_asleep(self.is_asked(&device.registration.endpoint))
                && now - device.heard >= self.config.awake_time
        };
        let asleep: Vec<String> = self
            .devices
            .values()
            .filter(quiet)
            .map(|device| device.registration.endpoint.clone())
            .collect();
        asleep.iter().for_each(|endpoint| self.take_to_sleep(endpoint));
    }

    /// Takes a device in queue mode to sleep.
    pub(super) fn take_to_sleep(&mut self, endpoint: &str) {
        if let Some(device) = self.devices.get_mut(endpoint)
            && device.registration.queue
            && device.registration.awake
        {
            device.registration.awake = false;
            self.tell(ServerEvent::Asleep { endpoint: endpoint.to_owned() });
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let expired: Vec<String> = self
            .devices
            .values()
            .filter(|device| device.expires.is_some_and(|at| now >= at))
            .map(|device| device.registration.endpoint.clone())
            .collect();
        for endpoint in expired {
            self.drop_device(&endpoint);
            self.tell(ServerEvent::Expired { endpoint });
        }
    }

    /// Forgets a device; its requests fail, its observations end.
    pub(super) fn drop_device(&mut self, endpoint: &str) {
        let Some(device) = self.devices.remove(endpoint) else { return };
        for job in device.waiting {
            job.then.fail(Error::NotRegistered(endpoint.to_owned()));
        }
        for exchange in self.exchanges.extract_if(.., |known| known.endpoint == endpoint) {
            exchange.then.fail(Error::NotRegistered(endpoint.to_owned()));
        }
        self.separate.retain(|(known, _)| known != endpoint);
        self.end_observations(endpoint);
    }

    /// Deals with requests that went to an address the device has left: those that
    /// change nothing are sent again, the others fail, because nobody knows
    /// whether they were carried out.
    pub(super) fn leave_address(&mut self, endpoint: &str, old: Peer) {
        let stranded: Vec<_> = self
            .exchanges
            .extract_if(.., |known| known.endpoint == endpoint && known.peer() == old)
            .collect();
        for exchange in stranded.into_iter().rev() {
            match (exchange.into_job(), self.devices.get_mut(endpoint)) {
                (Ok(job), Some(device)) => device.waiting.push_front(job),
                (Ok(job), None) => job.then.fail(Error::NotRegistered(endpoint.to_owned())),
                (Err(then), _) => then.fail(Error::Moved),
            }
        }
    }

    /// True while the device has a request to answer.
    pub(super) fn is_asked(&self, endpoint: &str) -> bool {
        self.exchanges.iter().any(|exchange| exchange.endpoint == endpoint)
    }

    /// Puts a request before all that wait: the rest of a notification.
    pub(super) fn request_next(&mut self, endpoint: &str, job: Job) {
        match self.devices.get_mut(endpoint) {
            Some(device) => device.waiting.push_front(job),
            None => job.then.fail(Error::NotRegistered(endpoint.to_owned())),
        }
    }
}

impl Then {
    /// Tells whoever waits that nothing comes. Nobody may be waiting any more.
    pub(super) fn fail(self, error: Error) {
        match self {
            Self::Answer(reply) => drop(reply.send(Err(error))),
            Self::Observe(observe) => drop(observe.reply.send(Err(error))),
            Self::Notification { .. } => {}
        }
    }
}

/// Requests that may wait for one device.
const MAX_WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use coap_lite::{CoapOption, MessageType, Packet};
    use tokio::sync::broadcast;

    use super::*;
    use crate::ServerConfig;
    use crate::message;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn send(state: &mut State, seconds: u64, packet: &Packet) {
        let peer = Peer { address: (Ipv4Addr::LOCALHOST, 1).into(), secure: false };
        state.receive(at(seconds), peer, &packet.to_bytes().unwrap());
        while state.poll_datagram().is_some() {}
    }

    #[test]
    fn any_message_restarts_the_awake_time_and_ends_sleep() {
        let (events, _receiver) = broadcast::channel(16);
        let mut state = State::new(ServerConfig::default(), None, events);
        let mut register = Packet::new();
        register.header.code = message::POST.into();
        register.add_option(CoapOption::UriPath, b"rd".to_vec());
        for query in ["ep=thing", "lt=3600", "lwm2m=1.2", "Q"] {
            register.add_option(CoapOption::UriQuery, query.as_bytes().to_vec());
        }
        message::set_number(&mut register, CoapOption::ContentFormat, 40);
        register.payload = b"</3/0>".to_vec();
        send(&mut state, 0, &register);
        let awake = |state: &State| state.devices["thing"].registration.awake;

        // A repetition of the Register, a ping and an answer to nothing.
        send(&mut state, 50, &register);
        let mut ping = message::empty(MessageType::Confirmable, 7);
        send(&mut state, 100, &ping);
        ping.header.set_type(MessageType::Reset);
        send(&mut state, 150, &ping);
        assert_eq!(state.next_timeout(), Some(at(243)), "93 s after the last of them");
        state.handle_timeout(at(242));
        assert!(awake(&state));
        state.handle_timeout(at(243));
        assert!(!awake(&state));
        assert_eq!(state.next_timeout(), Some(at(3600)), "asleep, the lifetime goes on");
        send(&mut state, 300, &ping);
        assert!(awake(&state));
    }
}
