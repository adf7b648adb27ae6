//! The message layer towards one address (RFC 7252 4): our message IDs, theirs
//! that came already, and the repetition of what is not acknowledged.

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_model::Instant;

use super::{Peer, Random};
use crate::Timings;

/// What we know of one address.
#[derive(Debug)]
pub(super) struct Conversation {
    next_id: u16,
    seen: VecDeque<Seen>,
    /// When the last message came.
    pub(super) heard: Instant,
}

#[derive(Debug)]
struct Seen {
    id: u16,
    at: Instant,
    /// What answers each repetition.
    reply: Option<Vec<u8>>,
}

impl Conversation {
    pub(super) fn new(now: Instant, next_id: u16) -> Self {
        Self { next_id, seen: VecDeque::new(), heard: now }
    }

    pub(super) fn new_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// If the message ID came before: the reply it got.
    pub(super) fn reply_to(&self, id: u16) -> Option<Option<Vec<u8>>> {
        self.seen.iter().find(|seen| seen.id == id).map(|seen| seen.reply.clone())
    }

    pub(super) fn remember(&mut self, now: Instant, id: u16, reply: Option<Vec<u8>>) {
        if self.seen.len() >= MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { id, at: now, reply });
    }

    pub(super) fn forget_before(&mut self, now: Instant, lifetime: Duration) {
        while self.seen.front().is_some_and(|seen| now - seen.at >= lifetime) {
            self.seen.pop_front();
        }
    }
}

/// A confirmable message on its way.
#[derive(Debug)]
pub(super) struct Transmission {
    pub(super) peer: Peer,
    pub(super) id: u16,
    pub(super) bytes: Vec<u8>,
    /// Transmissions so far.
    pub(super) count: u32,
    pub(super) due: Instant,
    interval: Duration,
}

impl Transmission {
    /// Made for the first time now.
    pub(super) fn new(
        now: Instant,
        peer: Peer,
        id: u16,
        bytes: Vec<u8>,
        timings: &Timings,
        random: &mut Random,
    ) -> Self {
        let spread = (timings.ack_random_factor - 1.0).max(0.0);
        let interval = timings.ack_timeout.mul_f64(1.0 + random.fraction() * spread);
        Self { peer, id, bytes, count: 1, due: now + interval, interval }
    }

    /// To be made for the first time by [`Transmission::again`].
    pub(super) fn unsent(self, now: Instant) -> Self {
        Self { count: 0, due: now, ..self }
    }

    pub(super) fn is_for(&self, peer: Peer, id: u16) -> bool {
        self.peer == peer && self.id == id
    }

    /// Counts a transmission made now; false if there were enough of them.
    pub(super) fn again(&mut self, now: Instant, timings: &Timings) -> bool {
        if self.count > timings.max_retransmit {
            return false;
        }
        if self.count > 0 {
            self.interval = (self.interval * 2).min(timings.max_interval);
        }
        self.count += 1;
        self.due = now + self.interval;
        true
    }
}

/// Message IDs remembered for one address; beyond, the oldest is forgotten.
const MAX_SEEN: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    #[test]
    fn time_outs_double_up_to_the_cap_and_end() {
        let timings = Timings {
            ack_random_factor: 1.0,
            max_interval: Duration::from_secs(9),
            ..Timings::default()
        };
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, 1).into();
        let peer = Peer { address, secure: false };
        let random = &mut Random::seeded(1);
        let mut now = Instant::ZERO;
        let mut transmission = Transmission::new(now, peer, 1, Vec::new(), &timings, random);
        let mut waits = Vec::new();
        loop {
            waits.push((transmission.due - now).as_secs());
            now = transmission.due;
            if !transmission.again(now, &timings) {
                break;
            }
        }
        assert_eq!(waits, [2, 4, 8, 9, 9]);
        assert_eq!(transmission.count, 5);
    }

    #[test]
    fn message_ids_are_forgotten_in_time_and_beyond_the_limit() {
        let mut conversation = Conversation::new(Instant::ZERO, 0);
        conversation.remember(Instant::ZERO, 7, Some(vec![1]));
        assert_eq!(conversation.reply_to(7), Some(Some(vec![1])));
        conversation
            .forget_before(Instant::ZERO + Duration::from_secs(247), Duration::from_secs(247));
        assert_eq!(conversation.reply_to(7), None);
        for id in 0..=256 {
            conversation.remember(Instant::ZERO, id, None);
        }
        assert_eq!(conversation.reply_to(0), None);
        assert_eq!(conversation.reply_to(1), Some(None));
    }
}
