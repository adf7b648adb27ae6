//! Confirmable messages of ours: NSTART in flight, the others wait (RFC 7252 4.2, 4.7).
//!
//! 1. `push` queues a message; `start` sends it when fewer than NSTART are in flight,
//!    answers first, under a message id taken at that moment.
//! 2. Without an ACK it is repeated after time-outs, then given up (`Backoff`).
//! 3. A request whose ACK was empty waits on for its answer, outside of NSTART.
//! 4. A newer notification takes the place of one that waits, or of one in flight
//!    when that would be repeated (RFC 7641 4.5.2).

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_model::Instant;

use crate::backoff::{Backoff, Next};
use crate::{Config, Random, RequestId, Token};

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Our request.
    Request(RequestId),
    /// Notification of an observation.
    Notification,
    /// Separate answer to a request.
    Response,
    /// Separate answer to Observe: the first notification, which a RST may cancel.
    FirstNotification,
}

impl Purpose {
    /// True if RST to the message ends an observation.
    fn is_notification(self) -> bool {
        match self {
            Self::Notification | Self::FirstNotification => true,
            Self::Request(_) | Self::Response => false,
        }
    }

    fn is_response(self) -> bool {
        match self {
            Self::Response | Self::FirstNotification => true,
            Self::Request(_) | Self::Notification => false,
        }
    }
}

/// A confirmable message; its id is written in when it is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) purpose: Purpose,
    pub(crate) token: Token,
    pub(crate) datagram: Vec<u8>,
}

/// A datagram to send now.
#[derive(Debug)]
pub(crate) struct Transmission {
    pub(crate) datagram: Vec<u8>,
    /// Id and observation, for a message that a RST may cancel.
    pub(crate) notified: Option<(u16, Token)>,
}

/// Where message ids and jitter come from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) random: Random,
    next_id: u16,
}

impl Source {
    pub(crate) fn new(mut random: Random) -> Self {
        let next_id = random.u64() as u16;
        Self { random, next_id }
    }

    /// Counts from a random start, so that no id comes again within its life (RFC 7252 4.4).
    pub(crate) fn message_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }

    pub(crate) fn token(&mut self) -> Token {
        Token::full(self.random.u64().to_be_bytes())
    }
}

/// Confirmable messages and requests that are under way.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// [`Config::nstart`] at most, in the order in which they were sent first.
    in_flight: Vec<InFlight>,
    waiting: VecDeque<Outgoing>,
    /// Requests whose ACK was empty.
    acknowledged: Vec<Acknowledged>,
    /// Least time before the first repetition of a request, if it is known to be less
    /// than ACK_TIMEOUT.
    request_timeout: Option<Duration>,
}

#[derive(Debug)]
struct InFlight {
    message: Outgoing,
    id: u16,
    backoff: Backoff,
    due: Instant,
    retransmitted: u32,
    /// A newer notification of the same observation.
    newer: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Acknowledged {
    request: RequestId,
    token: Token,
    until: Instant,
}

impl Queue {
    /// Queues a message. A request or notification goes behind the others, or is
    /// given back if [`Config::max_queue`] is reached. An answer goes before them,
    /// as the peer waits for it and counts; answers are bounded by the exchanges
    /// they belong to.
    pub(crate) fn push(&mut self, message: Outgoing, config: &Config) -> Result<(), Outgoing> {
        let answers = self.waiting_answers();
        if message.purpose.is_response() {
            self.waiting.insert(answers, message);
        } else if self.pending() < config.max_queue.max(1) {
            self.waiting.push_back(message);
        } else {
            return Err(message);
        }
        Ok(())
    }

    /// Queues the next message of a request that has been admitted: behind the
    /// answers, before all that came after the request.
    pub(crate) fn push_next(&mut self, message: Outgoing) {
        let answers = self.waiting_answers();
        self.waiting.insert(answers, message);
    }

    /// Puts a notification in the place of an older one of the same observation;
    /// gives it back if there is none.
    pub(crate) fn replace(&mut self, token: Token, datagram: Vec<u8>) -> Result<(), Vec<u8>> {
        let same =
            |message: &Outgoing| message.purpose == Purpose::Notification && message.token == token;
        if let Some(waiting) = self.waiting.iter_mut().find(|message| same(message)) {
            waiting.datagram = datagram;
        } else if let Some(in_flight) = self.in_flight.iter_mut().find(|it| same(&it.message)) {
            in_flight.newer = Some(datagram);
        } else {
            return Err(datagram);
        }
        Ok(())
    }

    /// Sends the next message if fewer than NSTART are in flight.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        source: &mut Source,
        config: &Config,
    ) -> Option<Transmission> {
        if !self.is_ready(config) {
            return None;
        }
        let mut message = self.waiting.pop_front()?;
        let id = source.message_id();
        write_id(&mut message.datagram, id);
        let early = match message.purpose {
            Purpose::Request(_) => self.request_timeout,
            Purpose::Notification | Purpose::Response | Purpose::FirstNotification => None,
        };
        let backoff = Backoff::new(early, config, source.random.fraction());
        let due = now + backoff.timeout();
        let in_flight = InFlight { message, id, backoff, due, retransmitted: 0, newer: None };
        let transmission = in_flight.transmission();
        self.in_flight.push(in_flight);
        Some(transmission)
    }

    /// Repeats a message in flight that is due, or gives it up.
    pub(crate) fn handle_timeout(&mut self, now: Instant, source: &mut Source) -> Option<Lapse> {
        let at = self.in_flight.iter().position(|in_flight| in_flight.due <= now)?;
        let in_flight = self.in_flight.get_mut(at)?;
        if in_flight.backoff.lapsed() == Next::GiveUp {
            return Some(Lapse::GivenUp(self.in_flight.remove(at).message));
        }
        if let Some(newer) = in_flight.newer.take() {
            in_flight.message.datagram = newer;
            in_flight.id = source.message_id();
            write_id(&mut in_flight.message.datagram, in_flight.id);
        }
        in_flight.retransmitted += 1;
        // From now, not from when it was due: after a suspend the missed ones
        // would all go out at once.
        in_flight.due = now + in_flight.backoff.timeout();
        Some(Lapse::Repeated(in_flight.transmission()))
    }

    /// The first time-out of requests that are sent from now on.
    pub(crate) fn set_request_timeout(&mut self, timeout: Duration) {
        self.request_timeout = Some(timeout);
    }

    /// How often a request in flight was repeated.
    pub(crate) fn repetitions(&self, request: RequestId) -> u32 {
        let purpose = Purpose::Request(request);
        let sent = self.in_flight.iter().find(|sent| sent.message.purpose == purpose);
        sent.map_or(0, |sent| sent.retransmitted)
    }

    /// Takes out a request whose answer is overdue.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<RequestId> {
        let at = self.acknowledged.iter().position(|request| request.until <= now)?;
        Some(self.acknowledged.remove(at).request)
    }

    /// An empty ACK: what it ends. A request waits on, until `until`.
    pub(crate) fn acknowledge(&mut self, id: u16, until: Instant) -> Option<(Purpose, Token)> {
        let in_flight = self.take_in_flight(id)?;
        let Outgoing { purpose, token, .. } = in_flight.message;
        match purpose {
            Purpose::Request(request) => {
                self.acknowledged.push(Acknowledged { request, token, until });
            }
            Purpose::Notification | Purpose::Response | Purpose::FirstNotification => {}
        }
        if let Some(datagram) = in_flight.newer {
            let answers = self.waiting_answers();
            self.waiting.insert(answers, Outgoing { purpose, token, datagram });
        }
        Some((purpose, token))
    }

    /// A RST: what it ends.
    pub(crate) fn reset(&mut self, id: u16) -> Option<(Purpose, Token)> {
        let message = self.take_in_flight(id)?.message;
        Some((message.purpose, message.token))
    }

    /// The request that a response with this token answers.
    pub(crate) fn request_of(&self, token: Token) -> Option<RequestId> {
        let in_flight = self.in_flight.iter().filter_map(|sent| match sent.message.purpose {
            Purpose::Request(request) => Some((request, sent.message.token)),
            Purpose::Notification | Purpose::Response | Purpose::FirstNotification => None,
        });
        let acknowledged = self.acknowledged.iter().map(|waiting| (waiting.request, waiting.token));
        in_flight.chain(acknowledged).find(|(_, of)| *of == token).map(|(request, _)| request)
    }

    /// Ends a request, wherever it is.
    pub(crate) fn remove_request(&mut self, request: RequestId) {
        let purpose = Purpose::Request(request);
        self.in_flight.retain(|sent| sent.message.purpose != purpose);
        self.waiting.retain(|message| message.purpose != purpose);
        self.acknowledged.retain(|waiting| waiting.request != request);
    }

    /// Drops the notifications of an observation.
    pub(crate) fn remove_notifications(&mut self, token: Token) {
        let same =
            |message: &Outgoing| message.purpose == Purpose::Notification && message.token == token;
        self.in_flight.retain(|sent| !same(&sent.message));
        self.waiting.retain(|message| !same(message));
    }

    /// Separate answers that the peer has not acknowledged.
    pub(crate) fn responses(&self) -> usize {
        let in_flight = self.in_flight.iter().filter(|sent| sent.message.purpose.is_response());
        in_flight.count() + self.waiting_answers()
    }

    /// True if the next message could be sent but was not yet.
    pub(crate) fn is_ready(&self, config: &Config) -> bool {
        self.in_flight.len() < config.nstart.max(1) && !self.waiting.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty() && self.acknowledged.is_empty()
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let in_flight = self.in_flight.iter().map(|sent| sent.due);
        in_flight.chain(self.acknowledged.iter().map(|waiting| waiting.until)).min()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Requests and notifications that wait, which [`Config::max_queue`] bounds.
    pub(crate) fn pending(&self) -> usize {
        self.waiting.len() - self.waiting_answers() + self.acknowledged.len()
    }

    /// How many answers wait; they stand before all others.
    fn waiting_answers(&self) -> usize {
        self.waiting.iter().take_while(|message| message.purpose.is_response()).count()
    }

    fn take_in_flight(&mut self, id: u16) -> Option<InFlight> {
        let at = self.in_flight.iter().position(|sent| sent.id == id)?;
        Some(self.in_flight.remove(at))
    }
}

/// What became of a message that was not acknowledged in time.
#[derive(Debug)]
pub(crate) enum Lapse {
    Repeated(Transmission),
    GivenUp(Outgoing),
}

impl InFlight {
    fn transmission(&self) -> Transmission {
        Transmission {
            datagram: self.message.datagram.clone(),
            notified: self
                .message
                .purpose
                .is_notification()
                .then_some((self.id, self.message.token)),
        }
    }
}

fn write_id(datagram: &mut [u8], id: u16) {
    if let Some(place) = datagram.get_mut(2..4) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}
