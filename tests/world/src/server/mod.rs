//! A small LwM2M server, sans-IO, with a CoAP layer of its own.
//!
//! It believes what messages tell it: a registration, observations, whether the
//! device is awake. Stories and invariants compare that with the device.

mod asking;
mod believing;
mod gathering;
mod registering;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use coap_lite::{MessageType, Packet};
use lwm2m_model::{Code, ContentFormat, Instant, Version};

pub use asking::{Delivery, Outcome, Response, Ticket};
pub use believing::{Believed, Notice, OnNotice};
pub use registering::DeviceRequest;

use crate::{Address, Dice, message};
use asking::Asking;

/// How the server behaves; stories change it as they go.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Versions of LwM2M that it accepts; others get 4.12.
    pub versions: Vec<Version>,
    /// Answers every Register with this.
    pub refuses_register: Option<Code>,
    /// Answers every Update with this.
    pub refuses_update: Option<Code>,
    /// Neither hears nor speaks.
    pub is_silent: bool,
    /// Acknowledges requests of the device at once and answers so much later.
    pub answers_after: Option<Duration>,
    /// What it does with notifications that it knows.
    pub on_notice: OnNotice,
    /// Size exponent of the largest block of a request that it likes.
    pub largest_block: u32,
    /// Refuses a Register without this Echo and says so (RFC 9175 2).
    pub challenge: Option<Vec<u8>>,
    /// Segments of the Location-Path before the number of the registration.
    pub location: Vec<&'static str>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            versions: vec![Version::V1_2, Version::V1_1, Version::V1_0],
            refuses_register: None,
            refuses_update: None,
            is_silent: false,
            answers_after: None,
            on_notice: OnNotice::Take,
            largest_block: 6,
            challenge: None,
            location: vec!["rd"],
        }
    }
}

/// The server.
pub struct SmallServer {
    /// How it behaves.
    pub manner: Manner,
    /// Every Register, Update and De-register that it has answered, in order.
    pub requests: Vec<DeviceRequest>,
    /// Every notification of an observation that it believes in.
    pub notices: Vec<Notice>,
    /// What it believes of the device.
    pub(crate) believed: Option<Believed>,
    pub(crate) asking: Asking,
    /// Where the device was last heard.
    heard_from: Option<Address>,
    outbox: VecDeque<(Address, Vec<u8>)>,
    /// Answers by peer and message id.
    answered: BTreeMap<(Address, u16), (Instant, Vec<u8>)>,
    /// So many answers make it look for those that are out of date.
    prune_at: usize,
    /// Blocks of a request of the device so far, and how many.
    half: Option<(Vec<u8>, u32)>,
    /// Separate answers that wait for their time.
    delayed: Vec<(Instant, Address, Packet)>,
    next_id: u16,
    next_location: u32,
    dice: Dice,
}

impl SmallServer {
    pub(crate) fn new(manner: Manner, mut dice: Dice) -> Self {
        Self {
            manner,
            requests: Vec::new(),
            notices: Vec::new(),
            believed: None,
            asking: Asking::default(),
            heard_from: None,
            outbox: VecDeque::new(),
            answered: BTreeMap::new(),
            prune_at: 64,
            half: None,
            delayed: Vec::new(),
            next_id: dice.number() as u16,
            next_location: 1,
            dice,
        }
    }

    /// What it believes of the device; `None` if it knows none.
    pub fn believed(&self) -> Option<&Believed> {
        self.believed.as_ref()
    }

    /// Starts anew: registration, observations and requests are gone.
    pub(crate) fn restart(&mut self) {
        self.believed = None;
        self.asking.forget();
        self.answered.clear();
        self.half = None;
        self.delayed.clear();
        self.heard_from = None;
        self.next_id = self.dice.number() as u16;
    }

    pub(crate) fn poll_datagram(&mut self) -> Option<(Address, Vec<u8>)> {
        self.outbox.pop_front()
    }

    pub(crate) fn receive(&mut self, now: Instant, from: Address, datagram: &[u8]) {
        if self.manner.is_silent {
            return;
        }
        let Ok(packet) = Packet::from_bytes(datagram) else {
            return;
        };
        self.heard_from = Some(from);
        let is_known = self.believed.as_ref().is_some_and(|believed| believed.peer == from);
        if let Some(believed) = self.believed.as_mut().filter(|_| is_known) {
            believed.heard(now);
        }
        let id = packet.header.message_id;
        match (packet.header.get_type(), message::code(&packet)) {
            (MessageType::Acknowledgement, code) if code.byte() == 0 => self.acknowledged(now, id),
            (MessageType::Reset, _) => self.reset(id),
            (MessageType::Acknowledgement, _) => self.response(now, from, &packet),
            (MessageType::Confirmable | MessageType::NonConfirmable, code) => {
                let known = self.answered.get(&(from, id));
                if let Some((_, answer)) = known.filter(|(at, _)| now - *at < EXCHANGE_LIFETIME) {
                    if !answer.is_empty() {
                        self.outbox.push_back((from, answer.clone()));
                    }
                } else if code.class() == 0 {
                    self.request(now, from, &packet);
                } else {
                    self.response(now, from, &packet);
                }
            }
        }
        self.pump(now);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let expiry = self.believed.as_ref().and_then(Believed::expires);
        let delayed = self.delayed.iter().map(|(at, ..)| *at).min();
        [expiry, delayed, self.asking.next_timeout()].into_iter().flatten().min()
    }

    pub(crate) fn time(&mut self, now: Instant) {
        if self.believed.as_ref().and_then(Believed::expires).is_some_and(|at| at <= now) {
            self.believed = None;
        }
        while let Some(place) = self.delayed.iter().position(|(at, ..)| *at <= now) {
            let (_, to, packet) = self.delayed.swap_remove(place);
            self.transmit(to, &packet);
        }
        self.repeat_or_give_up(now);
        self.pump(now);
    }

    fn id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn transmit(&mut self, to: Address, packet: &Packet) {
        if !self.manner.is_silent {
            self.outbox.push_back((to, message::bytes(packet)));
        }
    }

    /// Sends what answers a message, and again if the message comes again.
    fn conclude(&mut self, now: Instant, from: Address, id: u16, answer: Option<&Packet>) {
        if self.answered.len() >= self.prune_at {
            self.answered.retain(|_, (at, _)| now - *at < EXCHANGE_LIFETIME);
            self.prune_at = 2 * self.answered.len() + 64;
        }
        let bytes = answer.map(message::bytes).unwrap_or_default();
        self.answered.insert((from, id), (now, bytes));
        if let Some(answer) = answer {
            self.transmit(from, answer);
        }
    }
}

/// How long a message id is taken (RFC 7252 4.8.2).
const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// A body with its format, as messages carry it.
type Body = (Option<ContentFormat>, Vec<u8>);
