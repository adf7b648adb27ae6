//! Requests of the server: one at a time to a device in queue mode, held while it
//! sleeps, repeated until answered, put together from blocks (RFC 7252 4.2, RFC
//! 7959, Core 5.8).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use coap_lite::{CoapOption, MessageType, Packet};
use lwm2m_model::{Code, ContentFormat, Instant};

use super::SmallServer;
use crate::message::Block;
use crate::{Address, Ask, message};

/// Names a request of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// An answer came.
    Response(Response),
    /// No answer came.
    TimedOut,
    /// The device answered with a Reset.
    Reset,
}

/// An answer of the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// When it was complete.
    pub at: Instant,
    /// Result.
    pub code: Code,
    /// Format of the payload.
    pub format: Option<ContentFormat>,
    /// The payload, all blocks of it.
    pub payload: Vec<u8>,
    /// Location-Path, such as `/3303/2`; empty if there is none.
    pub location: String,
    /// Observe number: the device holds the observation.
    pub observe: Option<u32>,
    /// How it came.
    pub delivery: Delivery,
    /// How many blocks it came in.
    pub blocks: u32,
    /// Size2 of the first block.
    pub size: Option<u32>,
    /// Token of the request.
    pub token: Vec<u8>,
}

/// How an answer travelled (RFC 7252 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In the ACK.
    Piggybacked,
    /// As a confirmable message of its own.
    Separate,
    /// Non-confirmable.
    NonConfirmable,
}

impl Response {
    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap_or("<bytes>")
    }
}

/// Requests that wait or are under way, and what became of the others.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    waiting: VecDeque<(Purpose, Ask)>,
    under_way: Vec<Sent>,
    outcomes: BTreeMap<Ticket, Outcome>,
    next_ticket: u64,
    next_token: u32,
}

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A request of the story.
    Story(Ticket),
    /// The rest of a notification.
    Rest(usize),
}

#[derive(Debug)]
struct Sent {
    purpose: Purpose,
    ask: Ask,
    to: Address,
    token: Vec<u8>,
    /// Token of the first block.
    first_token: Vec<u8>,
    id: u16,
    packet: Packet,
    due: Instant,
    timeout: Duration,
    repeated: u32,
    acknowledged: bool,
    /// Blocks so far, and what the first one said.
    body: Vec<u8>,
    blocks: u32,
    first: Option<(Option<u32>, Option<u32>)>,
}

impl Asking {
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.under_way.clear();
    }

    /// A Register ends all observations: an answer that is still on its way begins none.
    pub(super) fn observe_nothing(&mut self) {
        self.under_way.iter_mut().for_each(|sent| sent.ask.observed = None);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.under_way.iter().map(|sent| sent.due).min()
    }

    fn token(&mut self) -> Vec<u8> {
        self.next_token += 1;
        self.next_token.to_be_bytes().to_vec()
    }
}

impl SmallServer {
    /// Sends a request, or holds it until the device is there and awake.
    pub(crate) fn ask(&mut self, now: Instant, ask: Ask) -> Ticket {
        self.asking.next_ticket += 1;
        let ticket = Ticket(self.asking.next_ticket);
        self.asking.waiting.push_back((Purpose::Story(ticket), ask));
        self.pump(now);
        ticket
    }

    /// What became of a request; `None` while it is held or under way.
    pub fn outcome(&self, ticket: Ticket) -> Option<&Outcome> {
        self.asking.outcomes.get(&ticket)
    }

    /// Requests that are held or under way.
    pub fn unanswered(&self) -> usize {
        self.asking.waiting.len() + self.asking.under_way.len()
    }

    /// A new session begins at this address: what went out over the old one is not
    /// repeated over the new, and no message id of the old one counts.
    pub(crate) fn new_session(&mut self, at: Address) {
        while let Some(place) = self.asking.under_way.iter().position(|sent| sent.to == at) {
            let sent = self.asking.under_way.swap_remove(place);
            self.concluded(&sent, Outcome::TimedOut);
        }
        self.answered.retain(|(from, _), _| *from != at);
    }

    /// Sends what may be sent.
    pub(super) fn pump(&mut self, now: Instant) {
        while let Some(to) = self.free_for_next(now) {
            let Some((purpose, ask)) = self.asking.waiting.pop_front() else { return };
            let token = ask.token.clone().unwrap_or_else(|| self.asking.token());
            if ask.cancels {
                // Whatever comes of it, the server has done with the observation.
                self.observes_no_more(&token);
            }
            self.start(now, purpose, ask, to, token);
        }
    }

    fn free_for_next(&self, now: Instant) -> Option<Address> {
        let (_, next) = self.asking.waiting.front()?;
        if next.uninvited {
            return self.heard_from;
        }
        let believed = self.believed.as_ref()?;
        let one_at_a_time = !believed.queue_mode || self.asking.under_way.is_empty();
        (believed.is_awake(now) && one_at_a_time).then_some(believed.peer)
    }

    fn start(&mut self, now: Instant, purpose: Purpose, ask: Ask, to: Address, token: Vec<u8>) {
        let id = self.id();
        let packet = ask.packet(&token, id);
        let timeout = self.dice.span(Duration::from_secs(2), Duration::from_secs(3));
        self.transmit(to, &packet);
        let due = if ask.confirmable { now + timeout } else { now + GIVE_UP };
        let first_token = token.clone();
        self.asking.under_way.push(Sent {
            purpose,
            ask,
            to,
            token,
            first_token,
            id,
            packet,
            due,
            timeout,
            repeated: 0,
            acknowledged: false,
            body: Vec::new(),
            blocks: 0,
            first: None,
        });
    }

    /// Repeats requests without an ACK; gives up after four times (RFC 7252 4.2).
    pub(super) fn repeat_or_give_up(&mut self, now: Instant) {
        let mut repeated = Vec::new();
        let mut over = Vec::new();
        for (place, sent) in self.asking.under_way.iter_mut().enumerate() {
            if sent.due > now {
                continue;
            }
            if sent.acknowledged || !sent.ask.confirmable || sent.repeated >= MAX_RETRANSMIT {
                over.push(place);
            } else {
                sent.repeated += 1;
                sent.timeout *= 2;
                sent.due = now + sent.timeout;
                repeated.push((sent.to, sent.packet.clone()));
            }
        }
        for (to, packet) in repeated {
            self.transmit(to, &packet);
        }
        for place in over.into_iter().rev() {
            let sent = self.asking.under_way.swap_remove(place);
            self.concluded(&sent, Outcome::TimedOut);
        }
    }

    fn concluded(&mut self, sent: &Sent, outcome: Outcome) {
        if let Purpose::Story(ticket) = sent.purpose {
            self.asking.outcomes.insert(ticket, outcome);
        }
    }

    pub(super) fn acknowledged(&mut self, now: Instant, id: u16) {
        let sent = self.asking.under_way.iter_mut().find(|sent| sent.id == id);
        if let Some(sent) = sent {
            sent.acknowledged = true;
            sent.due = now + GIVE_UP;
        }
    }

    pub(super) fn reset(&mut self, id: u16) {
        if let Some(place) = self.asking.under_way.iter().position(|sent| sent.id == id) {
            let sent = self.asking.under_way.swap_remove(place);
            self.concluded(&sent, Outcome::Reset);
        }
    }

    pub(super) fn response(&mut self, now: Instant, from: Address, packet: &Packet) {
        let id = packet.header.message_id;
        let place = self.asking.under_way.iter().position(|sent| {
            let piggybacked = packet.header.get_type() == MessageType::Acknowledgement;
            sent.token == packet.get_token() && (!piggybacked || sent.id == id)
        });
        let Some(place) = place else {
            if packet.header.get_type() != MessageType::Acknowledgement {
                self.notified(now, from, packet);
            }
            return;
        };
        let delivery = match packet.header.get_type() {
            MessageType::Acknowledgement => Delivery::Piggybacked,
            MessageType::Confirmable => {
                let acknowledgement = message::empty(MessageType::Acknowledgement, id);
                self.conclude(now, from, id, Some(&acknowledgement));
                Delivery::Separate
            }
            MessageType::NonConfirmable | MessageType::Reset => Delivery::NonConfirmable,
        };
        let mut sent = self.asking.under_way.swap_remove(place);
        if message::code(packet) == Code::CONTINUE && sent.ask.advance(packet) {
            let token = self.asking.token();
            return self.start(now, sent.purpose, sent.ask, sent.to, token);
        }
        sent.body.extend(&packet.payload);
        sent.blocks += 1;
        let observe = message::number(packet, CoapOption::Observe);
        let size = message::number(packet, CoapOption::Size2);
        let (observe, size) = *sent.first.get_or_insert((observe, size));
        if let Some(block) = Block::of(packet, CoapOption::Block2).filter(|block| block.more) {
            return self.next_block(now, sent, block);
        }
        let code = message::code(packet);
        if let (true, Some(number), Some(path)) = (code.is_success(), observe, &sent.ask.observed) {
            self.observes(now, &sent.first_token, path, number);
        } else if sent.ask.observed.is_some() {
            self.observes_no_more(&sent.first_token);
        }
        match sent.purpose {
            Purpose::Story(ticket) => {
                let response = Response {
                    at: now,
                    code,
                    format: message::format(packet),
                    payload: sent.body,
                    location: message::texts(packet, CoapOption::LocationPath)
                        .iter()
                        .map(|segment| format!("/{segment}"))
                        .collect(),
                    observe,
                    delivery,
                    blocks: sent.blocks,
                    size,
                    token: sent.first_token,
                };
                self.asking.outcomes.insert(ticket, Outcome::Response(response));
            }
            Purpose::Rest(notice) => {
                if let Some(notice) = self.notices.get_mut(notice) {
                    notice.payload = sent.body;
                }
            }
        }
    }

    fn next_block(&mut self, now: Instant, sent: Sent, block: Block) {
        let token = self.asking.token();
        let mut ask = sent.ask.clone();
        let of_the_first =
            |number: u16| number == message::option::OBSERVE || number == message::option::BLOCK2;
        ask.options.retain(|(number, _)| !of_the_first(*number));
        let ask = ask.option(message::option::BLOCK2, block.asking_for(block.number + 1));
        self.start(now, sent.purpose, ask, sent.to, token);
        if let Some(begun) = self.asking.under_way.last_mut() {
            (begun.body, begun.blocks, begun.first) = (sent.body, sent.blocks, sent.first);
            begun.first_token = sent.first_token;
        }
    }

    /// A notification came in its first block: asks for the rest of it.
    pub(super) fn fetch_rest(&mut self, now: Instant, notice: usize, path: &str, packet: &Packet) {
        let (Some(block), Some(to)) = (Block::of(packet, CoapOption::Block2), self.heard_from)
        else {
            return;
        };
        let mut ask = Ask::read(path);
        if let Some(format) = message::format(packet) {
            ask = ask.accept(format);
        }
        let ask = ask.option(message::option::BLOCK2, block.asking_for(block.number + 1));
        let token = self.asking.token();
        self.start(now, Purpose::Rest(notice), ask, to, token);
        if let Some(begun) = self.asking.under_way.last_mut() {
            begun.body.clone_from(&packet.payload);
            begun.blocks = 1;
        }
    }
}

/// MAX_RETRANSMIT (RFC 7252 4.8).
const MAX_RETRANSMIT: u32 = 4;
/// An answer that has not come by then does not come.
const GIVE_UP: Duration = Duration::from_secs(93);
