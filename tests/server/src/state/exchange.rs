//! Our requests (RFC 7252 5, RFC 7959): sent confirmable, repeated until they are
//! acknowledged, answered in the acknowledgement or separately, cut to blocks and put
//! together from blocks.
//!
//! 1. `start` gives the request a message ID and a token and sends it, or the first
//!    block of it; then `upload` sees to the others.
//! 2. An empty acknowledgement ends the repetition; the response follows.
//! 3. A response with more blocks to come: the next one is asked for with a new
//!    token, without Observe, so that notifications keep the old token.
//! 4. The last block: whoever waits gets the answer; the device's queue moves on.

use std::time::Duration;

use coap_lite::{CoapOption, MessageType, Packet};
use lwm2m_model::{Instant, Path};
use tokio::sync::{mpsc, oneshot};

use super::conversation::Transmission;
use super::upload::Upload;
use super::{Peer, State};
use crate::block::Block;
use crate::message;
use crate::{BlockSize, Delivery, Error, Notification, Traffic};

/// A request that waits for its turn.
pub(crate) struct Job {
    /// Code, options and payload; the path lacks the device's alternate path.
    pub(crate) packet: Packet,
    /// The token to use; `None` takes a new one.
    pub(crate) token: Option<Vec<u8>>,
    /// What becomes of the answer.
    pub(crate) then: Then,
}

/// What becomes of an answer.
pub(crate) enum Then {
    /// Somebody waits for it.
    Answer(oneshot::Sender<Result<Answer, Error>>),
    /// It may begin an observation.
    Observe(Observe),
    /// It is the rest of a notification.
    Notification {
        /// What the first block said.
        notification: Box<Notification>,
        /// The first block.
        first: Packet,
    },
}

/// An Observe on its way.
pub(crate) struct Observe {
    pub(crate) path: Path,
    pub(crate) reply: oneshot::Sender<Result<ObserveReply, Error>>,
    /// The stream, once the device has taken the observation.
    pub(crate) stream: Option<(Vec<u8>, mpsc::Receiver<Notification>)>,
}

/// The answer to an Observe.
pub(crate) struct ObserveReply {
    pub(crate) answer: Answer,
    /// Token and stream, if the device has taken the observation.
    pub(crate) stream: Option<(Vec<u8>, mpsc::Receiver<Notification>)>,
}

/// A response, with all blocks of its payload.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) packet: Packet,
    pub(crate) delivery: Delivery,
    pub(crate) traffic: Traffic,
    pub(crate) round_trip: Duration,
}

/// A request on its way.
pub(super) struct Exchange {
    pub(super) endpoint: String,
    pub(super) then: Then,
    /// The request without the alternate path.
    template: Packet,
    /// The request as it was sent last.
    request: Packet,
    transmission: Transmission,
    /// When waiting for the separate response ends.
    gives_up: Option<Instant>,
    started: Instant,
    traffic: Traffic,
    /// The blocks of the request, if it has any.
    upload: Option<Upload>,
    /// The first block and the payload so far.
    partial: Option<(Packet, Vec<u8>)>,
}

impl Exchange {
    pub(super) fn peer(&self) -> Peer {
        self.transmission.peer
    }

    pub(super) fn due(&self) -> Instant {
        self.gives_up.unwrap_or(self.transmission.due)
    }

    /// The request as a job anew, if to repeat it changes nothing on the device.
    pub(super) fn into_job(self) -> Result<Job, Then> {
        let repeatable = u8::from(self.request.header.code) == message::GET
            && matches!(self.then, Then::Answer(_))
            && self.partial.is_none()
            && self.request.get_option(CoapOption::Observe).is_none();
        if !repeatable {
            return Err(self.then);
        }
        Ok(Job { packet: self.template, token: None, then: self.then })
    }

    fn is_answered_by(&self, peer: Peer, packet: &Packet) -> bool {
        self.peer() == peer && self.request.get_token() == packet.get_token()
    }
}

impl State {
    /// Sends a request.
    pub(super) fn start(
        &mut self,
        now: Instant,
        endpoint: &str,
        peer: Peer,
        root: &[String],
        job: Job,
    ) {
        let mut request = message::below(root, &job.packet);
        request.set_token(job.token.unwrap_or_else(|| self.random.token()));
        let size = self.config.block_size;
        prefer(size, &mut request);
        let upload = Upload::begin(&mut request, size, self.random.tag());
        let mut traffic = Traffic::default();
        let transmission = self.transmit(now, peer, &mut request, &mut traffic);
        let partial = match &job.then {
            Then::Notification { first, .. } => Some((first.clone(), first.payload.clone())),
            Then::Answer(_) | Then::Observe(_) => None,
        };
        self.exchanges.push(Exchange {
            endpoint: endpoint.to_owned(),
            then: job.then,
            template: job.packet,
            request,
            transmission,
            gives_up: None,
            started: now,
            traffic,
            upload,
            partial,
        });
    }

    fn transmit(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &mut Packet,
        traffic: &mut Traffic,
    ) -> Transmission {
        let id = self.conversation(now, peer).new_id();
        request.header.set_type(MessageType::Confirmable);
        request.header.message_id = id;
        let times = 1 + usize::from(self.faults.duplicate_requests);
        for _ in 0..times {
            traffic.sent.push(self.send(now, peer, request));
        }
        let bytes = request.to_bytes_unlimited().unwrap_or_default();
        let timings = self.config.timings;
        Transmission::new(now, peer, id, bytes, &timings, &mut self.random)
    }

    /// Repeats what is not acknowledged, and gives up what had its time.
    pub(super) fn retransmit_requests(&mut self, now: Instant) {
        let timings = self.config.timings;
        let due: Vec<_> = self.exchanges.extract_if(.., |known| now >= known.due()).collect();
        for mut exchange in due {
            if exchange.gives_up.is_some() {
                self.give_up(now, exchange, Error::NoResponse(timings.response_timeout));
            } else if exchange.transmission.again(now, &timings) {
                self.statistics.retransmissions += 1;
                let (peer, bytes) = (exchange.peer(), exchange.transmission.bytes.clone());
                exchange.traffic.sent.push(self.send_bytes(now, peer, &bytes));
                self.exchanges.push(exchange);
            } else {
                let transmissions = exchange.transmission.count;
                self.give_up(now, exchange, Error::NoAnswer { transmissions });
            }
        }
    }

    /// A device in queue mode that does not answer sleeps, whatever its time says.
    fn give_up(&mut self, now: Instant, exchange: Exchange, error: Error) {
        self.take_to_sleep(&exchange.endpoint);
        self.fail(now, exchange, error);
    }

    fn fail(&mut self, now: Instant, exchange: Exchange, error: Error) {
        let endpoint = exchange.endpoint;
        exchange.then.fail(error);
        self.send_waiting(now, &endpoint);
    }

    /// Takes an acknowledgement: empty, or with the response in it.
    pub(super) fn acknowledged(&mut self, now: Instant, peer: Peer, packet: &Packet, bytes: usize) {
        let id = packet.header.message_id;
        match message::kind(packet) {
            message::Kind::Response => {
                let found = self.exchanges.iter().position(|known| {
                    known.transmission.is_for(peer, id) && known.is_answered_by(peer, packet)
                });
                if let Some(place) = found {
                    self.answered(now, place, packet, Delivery::Piggybacked, bytes);
                }
            }
            message::Kind::Empty => {
                let gives_up = now + self.config.timings.response_timeout;
                if let Some(known) =
                    self.exchanges.iter_mut().find(|known| known.transmission.is_for(peer, id))
                {
                    known.traffic.received.push(bytes);
                    known.gives_up.get_or_insert(gives_up);
                }
                self.separate_acknowledged(peer, id);
            }
            message::Kind::Request | message::Kind::Reserved => self.statistics.malformed += 1,
        }
    }

    /// Takes a reset.
    pub(super) fn reset(&mut self, now: Instant, peer: Peer, packet: &Packet) {
        let id = packet.header.message_id;
        if let Some(place) =
            self.exchanges.iter().position(|known| known.transmission.is_for(peer, id))
        {
            let exchange = self.exchanges.swap_remove(place);
            self.fail(now, exchange, Error::Reset);
        }
        self.separate_acknowledged(peer, id);
    }

    /// Takes a response outside an acknowledgement; the reply to it.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        peer: Peer,
        packet: &Packet,
        bytes: usize,
    ) -> Option<Packet> {
        let confirmable = message::is_confirmable(packet);
        let id = packet.header.message_id;
        let notifies = packet.get_first_option(CoapOption::Observe).is_some()
            && self.observations.contains_key(packet.get_token());
        let place = self.exchanges.iter().position(|known| known.is_answered_by(peer, packet));
        let known = match place.filter(|_| !notifies) {
            Some(place) => {
                let delivery = Delivery::Separate { confirmable };
                self.answered(now, place, packet, delivery, bytes);
                true
            }
            None => self.notified(now, peer, packet, bytes),
        };
        if known {
            return confirmable.then(|| message::empty(MessageType::Acknowledgement, id));
        }
        self.statistics.resets += 1;
        Some(message::empty(MessageType::Reset, id))
    }

    /// Adds a response to its exchange, and asks for the next block or is done.
    fn answered(
        &mut self,
        now: Instant,
        place: usize,
        packet: &Packet,
        delivery: Delivery,
        bytes: usize,
    ) {
        let mut exchange = self.exchanges.swap_remove(place);
        exchange.traffic.received.push(bytes);
        if let Some(mut upload) = exchange.upload.take() {
            match upload.answered(packet, &mut exchange.request) {
                Ok(true) => {
                    exchange.upload = Some(upload);
                    return self.go_on(now, exchange);
                }
                Ok(false) => {}
                Err(reason) => return self.fail(now, exchange, Error::Blocks(reason)),
            }
        }
        if exchange.partial.is_none() {
            self.begin_observation(now, &mut exchange, packet);
        }
        let next = match assemble(&mut exchange.partial, packet) {
            Ok(next) => next,
            Err(reason) => return self.fail(now, exchange, Error::Blocks(reason)),
        };
        let Some(block) = next else {
            let endpoint = exchange.endpoint.clone();
            self.complete(now, exchange, delivery);
            return self.send_waiting(now, &endpoint);
        };
        exchange.request.clear_option(CoapOption::Observe);
        block.ask_next(&mut exchange.request);
        self.go_on(now, exchange);
    }

    /// Sends the next message of an exchange, with a token of its own.
    fn go_on(&mut self, now: Instant, mut exchange: Exchange) {
        let peer = exchange.peer();
        exchange.request.set_token(self.random.token());
        exchange.transmission =
            self.transmit(now, peer, &mut exchange.request, &mut exchange.traffic);
        exchange.gives_up = None;
        self.exchanges.push(exchange);
    }

    fn complete(&mut self, now: Instant, exchange: Exchange, delivery: Delivery) {
        let Some((mut packet, body)) = exchange.partial else { return };
        packet.payload = body;
        let (traffic, round_trip) = (exchange.traffic, now - exchange.started);
        // Whoever asked may have stopped waiting.
        match exchange.then {
            Then::Answer(reply) => {
                drop(reply.send(Ok(Answer { packet, delivery, traffic, round_trip })));
            }
            Then::Observe(observe) => {
                let answer = Answer { packet, delivery, traffic, round_trip };
                drop(observe.reply.send(Ok(ObserveReply { answer, stream: observe.stream })));
            }
            Then::Notification { notification, .. } => {
                self.notification_complete(*notification, &packet, &traffic);
            }
        }
    }

    fn begin_observation(&mut self, now: Instant, exchange: &mut Exchange, packet: &Packet) {
        let Then::Observe(observe) = &mut exchange.then else { return };
        let number = message::number(packet, CoapOption::Observe);
        let Some(number) = number.filter(|_| message::code(packet).is_success()) else { return };
        let token = exchange.request.get_token().to_vec();
        let path = observe.path.clone();
        let template = exchange.template.clone();
        let endpoint = &exchange.endpoint;
        let stream = self.observe(now, endpoint, path, token.clone(), template, number);
        observe.stream = Some((token, stream));
    }
}

/// Asks for blocks of this size from the start (RFC 7959 2.4). To ask for the largest
/// would change nothing.
fn prefer(size: BlockSize, request: &mut Packet) {
    let gets = u8::from(request.header.code) == message::GET;
    if gets && size < BlockSize::LARGEST && request.get_option(CoapOption::Block2).is_none() {
        Block::at(0, size).put(CoapOption::Block2, request);
    }
}

/// Adds a block; gives it back if there are more to ask for.
fn assemble(
    partial: &mut Option<(Packet, Vec<u8>)>,
    packet: &Packet,
) -> Result<Option<Block>, &'static str> {
    let block = Block::of(packet, CoapOption::Block2)?;
    let (first, body) = partial.get_or_insert_with(|| (packet.clone(), Vec::new()));
    let Some(block) = block else {
        if !body.is_empty() {
            return Err("a response without Block2 among blocks");
        }
        body.extend_from_slice(&packet.payload);
        return Ok(None);
    };
    let etag = |packet: &Packet| packet.get_first_option(CoapOption::ETag).cloned();
    if etag(first) != etag(packet) || message::code(first) != message::code(packet) {
        return Err("the content changed between blocks");
    }
    if block.offset() != body.len() {
        return Err("a block out of order");
    }
    if !block.fits(packet.payload.len()) {
        return Err("a block of another size than it says");
    }
    if body.len() + packet.payload.len() > MAX_BODY {
        return Err("the body is too large");
    }
    body.extend_from_slice(&packet.payload);
    Ok(block.more.then_some(block))
}

/// Most bytes put together from blocks, or cut to them.
const MAX_BODY: usize = 1 << 20;
/// Bytes of what goes out, in blocks if it is large: a firmware package is the largest.
pub(crate) const MAX_SENT: usize = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(value: u32, payload: &[u8], etag: u8) -> Packet {
        let mut packet = Packet::new();
        packet.header.code = 0x45.into();
        message::set_number(&mut packet, CoapOption::Block2, value);
        packet.add_option(CoapOption::ETag, vec![etag]);
        packet.payload = payload.to_vec();
        packet
    }

    #[test]
    fn blocks_in_order_make_a_body() {
        let mut partial = None;
        let first = assemble(&mut partial, &block(0x08, &[1; 16], 1)).unwrap().unwrap();
        assert_eq!((first.size.bytes(), first.number), (16, 0));
        assert_eq!(assemble(&mut partial, &block(0x10, &[2; 3], 1)), Ok(None));
        assert_eq!(partial.unwrap().1.len(), 19);
    }

    #[test]
    fn blocks_that_do_not_fit_together_are_refused() {
        let cases = [
            (block(0x18, &[2; 16], 2), "the content changed between blocks"),
            (block(0x28, &[2; 16], 1), "a block out of order"),
            (block(0x18, &[2; 15], 1), "a block of another size than it says"),
            (block(0x10, &[2; 17], 1), "a block of another size than it says"),
            (block(0x1f, &[2; 16], 1), "a Block option with the reserved size 7"),
        ];
        for (second, reason) in cases {
            let mut partial = None;
            assemble(&mut partial, &block(0x08, &[1; 16], 1)).unwrap();
            assert_eq!(assemble(&mut partial, &second), Err(reason));
        }
    }
}
