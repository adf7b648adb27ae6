//! CoAP with one peer: the public face, notifications, and the timers.
//!
//! Contract: after each call that takes `now`, drain [`Endpoint::poll_transmit`]
//! and [`Endpoint::poll_event`] and ask for [`Endpoint::next_timeout`]; the state
//! is bounded by [`Config`] only if that is done. `receive` has what arrives, `upload`
//! what arrives in blocks, `stream` what is handed up block by block, `respond` what is answered, `request` what we ask.

mod receive;
mod request;
mod respond;
mod stream;
mod upload;

use std::collections::VecDeque;

use lwm2m_model::Instant;

use crate::answer::Answers;
use crate::block::{Bodies, Cut};
use crate::cache_key::Keyed;
use crate::course::Courses;
use crate::exchange::Exchanges;
use crate::notified::Notified;
use crate::outgoing::{Lapse, Outgoing, Purpose, Queue, Source, Transmission};
use crate::stream::Streams;
use crate::upload::Uploads;
use crate::{CacheKey, Config, Counters, Draft, Event, Kind, Random, Token};

/// CoAP with one peer over one transport session.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    source: Source,
    keyed: Keyed,
    exchanges: Exchanges,
    answers: Answers,
    queue: Queue,
    courses: Courses,
    notified: Notified,
    bodies: Bodies,
    uploads: Uploads,
    streams: Streams,
    outbox: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    counters: Counters,
    last_activity: Option<Instant>,
    /// The latest time we were told.
    clock: Instant,
    /// Numbers of exchanges and requests; none comes twice, not even after `reset`.
    next_number: u64,
}

impl Endpoint {
    /// An endpoint at the start of a transport session.
    pub fn new(config: Config, mut random: Random) -> Self {
        Self {
            config,
            keyed: Keyed::new(&mut random),
            source: Source::new(random),
            exchanges: Exchanges::default(),
            answers: Answers::default(),
            queue: Queue::default(),
            courses: Courses::default(),
            notified: Notified::default(),
            bodies: Bodies::default(),
            uploads: Uploads::default(),
            streams: Streams::default(),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            last_activity: None,
            clock: Instant::ZERO,
            next_number: 0,
        }
    }

    /// Parameters and limits.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Lets time act: acknowledges, repeats, gives up. A second call at the same
    /// time does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock = now;
        self.exchanges.expire(now);
        while let Some(id) = self.exchanges.acknowledge_next(now) {
            self.transmit(now, empty(Kind::Acknowledgement, id));
        }
        while let Some(lapse) = self.queue.handle_timeout(now, &mut self.source) {
            match lapse {
                Lapse::Repeated(transmission) => {
                    self.counters.retransmissions += 1;
                    self.transmit_confirmable(now, transmission);
                }
                Lapse::GivenUp(message) => self.give_up(&message),
            }
        }
        while let Some(request) = self.queue.overdue(now) {
            self.courses.remove(request);
            self.events.push_back(Event::RequestTimedOut { request });
        }
        self.bodies.expire(now);
        self.uploads.expire(now);
        self.streams.expire(now);
        self.start_next(now);
    }

    /// When `handle_timeout` has something to do next, exactly; a time that has
    /// passed if it has something to do at once.
    pub fn next_timeout(&self) -> Option<Instant> {
        let at_once = self.queue.is_ready(&self.config).then_some(self.clock);
        [
            at_once,
            self.exchanges.next_timeout(),
            self.queue.next_timeout(),
            self.bodies.next_timeout(),
            self.uploads.next_timeout(),
            self.streams.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// The next thing that time brought.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sends a notification; the draft has the Observe option. `key` is that of
    /// the request that began the observation. Every `kind` but
    /// [`Kind::Confirmable`] sends it non-confirmable, which is at once.
    ///
    /// A confirmable one takes the place of an older one of the same token that
    /// waits for NSTART, or that would be repeated for want of an ACK (RFC 7641
    /// 4.5.2). With [`Config::max_queue`] messages before it, it is dropped and
    /// [`Event::NotificationTimedOut`] follows at once.
    ///
    /// One that does not fit a datagram goes out as its first block; the peer
    /// fetches the rest by GET (RFC 7959 2.6). Its size is the one that the request
    /// asked for, if it did.
    pub fn notify(&mut self, now: Instant, token: Token, key: CacheKey, kind: Kind, draft: Draft) {
        self.clock = now;
        let id = if kind == Kind::Confirmable { 0 } else { self.source.message_id() };
        let kind = if kind == Kind::Confirmable { Kind::Confirmable } else { Kind::NonConfirmable };
        let (asked, max_datagram) = (key.first_block(), self.config.max_datagram);
        let cut = Cut { kind, id, token, asked, max_datagram };
        let datagram = self.shape(now, key, &cut, draft);
        if kind == Kind::Confirmable {
            if let Err(datagram) = self.queue.replace(token, datagram) {
                let purpose = Purpose::Notification;
                self.queue_or_give_up(now, Outgoing { purpose, token, datagram });
            }
        } else {
            self.notified.remember(id, token);
            self.transmit(now, datagram);
        }
    }

    /// Drops what waits for this token and forgets its message ids: the
    /// observation is over. As with `cancel`, look at `next_timeout`.
    pub fn cancel_notifications(&mut self, token: Token) {
        self.queue.remove_notifications(token);
        self.notified.forget(token);
    }

    /// True if no message of ours waits for an answer, no request of the peer is being
    /// worked on, and no request or answer in blocks is half here: the device may sleep
    /// (Core 5.8, with [`Config::max_transmit_wait`] after [`Self::last_activity`]).
    pub fn is_idle(&self) -> bool {
        self.exchanges.len() == 0
            && self.queue.is_empty()
            && self.bodies.is_empty()
            && self.uploads.is_empty()
            && self.streams.is_empty()
    }

    /// True if a confirmable notification finds a place to wait, with a few left for
    /// requests of ours: whoever has more to tell than that tells it later.
    pub fn has_room(&self) -> bool {
        let most = self.config.max_queue.saturating_sub(KEPT_FOR_REQUESTS).max(1);
        self.queue.pending() < most
    }

    /// When a message was last sent or received; malformed datagrams do not count.
    pub fn last_activity(&self) -> Option<Instant> {
        self.last_activity
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The same peer over another link from the same address, without security: for
    /// the peer nothing has changed, and it may repeat what it sent (RFC 7252 4.5).
    /// So requests being worked on or half here and answers are kept, and message ids
    /// go on. What waits to be sent or polled, requests of ours among it, is forgotten.
    pub fn resume(&mut self, max_datagram: usize) {
        self.config.max_datagram = max_datagram;
        self.queue.clear();
        self.courses.clear();
        self.bodies.clear();
        self.outbox.clear();
        self.events.clear();
        self.last_activity = None;
    }

    /// A new transport session: forgets exchanges, answers, requests, what waits to
    /// be sent or polled, and the time of the last activity. Counters stay.
    pub fn reset(&mut self) {
        self.exchanges.clear();
        self.answers.clear();
        self.queue.clear();
        self.courses.clear();
        self.notified.clear();
        self.bodies.clear();
        self.uploads.clear();
        self.streams.clear();
        self.outbox.clear();
        self.events.clear();
        self.last_activity = None;
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn queue_or_give_up(&mut self, now: Instant, message: Outgoing) {
        if let Err(message) = self.queue.push(message, &self.config) {
            self.give_up(&message);
        }
        self.start_next(now);
    }

    fn give_up(&mut self, message: &Outgoing) {
        let token = message.token;
        match message.purpose {
            Purpose::Request(request) => {
                self.courses.remove(request);
                self.events.push_back(Event::RequestTimedOut { request });
            }
            Purpose::Notification => self.events.push_back(Event::NotificationTimedOut { token }),
            // The peer asked and went away; its next request says it is back.
            Purpose::Response | Purpose::FirstNotification => {}
        }
    }

    /// Sends the next confirmable messages as far as NSTART allows.
    fn start_next(&mut self, now: Instant) {
        while let Some(transmission) = self.queue.start(now, &mut self.source, &self.config) {
            self.transmit_confirmable(now, transmission);
        }
    }

    fn transmit_confirmable(&mut self, now: Instant, transmission: Transmission) {
        if let Some((id, token)) = transmission.notified {
            self.notified.remember(id, token);
        }
        self.transmit(now, transmission.datagram);
    }

    fn transmit(&mut self, now: Instant, datagram: Vec<u8>) {
        self.counters.sent += 1;
        self.last_activity = Some(now);
        self.outbox.push_back(datagram);
    }
}

/// Places in the queue that notifications leave to requests.
const KEPT_FOR_REQUESTS: usize = 4;

/// An empty message: ACK or RST of the message with this id.
fn empty(kind: Kind, id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![kind.first_byte(&Token::default()), 0, high, low]
}
