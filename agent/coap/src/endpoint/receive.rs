//! What arrives (RFC 7252 4.2-4.5, 5.2, 5.3).
//!
//! 1. A datagram that is no message is counted. A confirmable one is answered RST
//!    if its first four bytes can be read and say version 1 (RFC 7252 4.2).
//! 2. Empty messages, then messages seen before, then requests and responses.

use lwm2m_model::{Code, Instant};

use super::{Endpoint, empty};
use crate::answer::Finished;
use crate::block::Block;
use crate::cache_key::Inspected;
use crate::event::{Refusal, UploadId};
use crate::exchange::{Delivery, Exchange, is_safe, lifetime};
use crate::outgoing::Purpose;
use crate::{Draft, ExchangeId, Incoming, Kind, Message, Token, method, option};

impl Endpoint {
    /// Takes a datagram of the peer.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Instant,
        datagram: &'a [u8],
    ) -> Option<Incoming<'a>> {
        self.clock = now;
        self.counters.received += 1;
        let Ok(message) = Message::decode(datagram) else {
            self.reject_malformed(now, datagram);
            return None;
        };
        self.last_activity = Some(now);
        match (message.kind, message.code) {
            (Kind::Acknowledgement, method::EMPTY) => self.receive_acknowledgement(now, message.id),
            (Kind::Reset, method::EMPTY) => self.receive_reset(now, message.id),
            // A ping (RFC 7252 4.3).
            (Kind::Confirmable, method::EMPTY) => {
                self.transmit(now, empty(Kind::Reset, message.id));
                None
            }
            (Kind::Acknowledgement, code) if code.class() != 0 => {
                self.receive_response(now, message)
            }
            (Kind::NonConfirmable, method::EMPTY) | (Kind::Acknowledgement | Kind::Reset, _) => {
                self.counters.malformed += 1;
                None
            }
            (Kind::Confirmable | Kind::NonConfirmable, code) => {
                if self.is_duplicate(now, message.id) {
                    None
                } else if code.class() == 0 {
                    self.receive_request(now, message)
                } else {
                    self.receive_response(now, message)
                }
            }
        }
    }

    fn reject_malformed(&mut self, now: Instant, datagram: &[u8]) {
        self.counters.malformed += 1;
        if let Some(&[first, _, high, low]) = datagram.first_chunk::<4>()
            && first & VERSION_AND_TYPE == Kind::Confirmable.first_byte(&Token::default())
        {
            self.transmit(now, empty(Kind::Reset, u16::from_be_bytes([high, low])));
        }
    }

    fn receive_acknowledgement(&mut self, now: Instant, id: u16) -> Option<Incoming<'static>> {
        let until = now + self.config.max_transmit_wait();
        let Some((purpose, token)) = self.queue.acknowledge(id, until) else {
            self.counters.unmatched += 1;
            return None;
        };
        self.start_next(now);
        match purpose {
            Purpose::Notification => Some(Incoming::NotificationAcknowledged { token }),
            Purpose::Request(_) | Purpose::Response | Purpose::FirstNotification => None,
        }
    }

    fn receive_reset(&mut self, now: Instant, id: u16) -> Option<Incoming<'static>> {
        let in_flight = self.queue.reset(id);
        let observation = match in_flight {
            Some((Purpose::Notification | Purpose::FirstNotification, token)) => Some(token),
            Some((Purpose::Request(_) | Purpose::Response, _)) => None,
            None => self.notified.find(id),
        };
        let incoming = match (in_flight, observation) {
            (_, Some(token)) => {
                self.cancel_notifications(token);
                Some(Incoming::NotificationReset { token })
            }
            (Some((Purpose::Request(request), _)), None) => {
                self.courses.remove(request);
                Some(Incoming::RequestReset { request })
            }
            (Some(_), None) => None,
            (None, None) => {
                self.counters.unmatched += 1;
                None
            }
        };
        self.start_next(now);
        incoming
    }

    /// Answers a message that was received before as it was answered then.
    fn is_duplicate(&mut self, now: Instant, id: u16) -> bool {
        let answer = if let Some(open) = self.exchanges.of_message(id, now) {
            // Its answer is being worked on; all we may have said is the empty ACK.
            match open.delivery {
                Delivery::Separate => empty(Kind::Acknowledgement, id),
                Delivery::Piggybacked { .. } | Delivery::NonConfirmable => Vec::new(),
            }
        } else if let Some(answer) = self.answers.find(id, now) {
            answer
        } else {
            return false;
        };
        self.counters.duplicates += 1;
        if !answer.is_empty() {
            self.transmit(now, answer);
        }
        true
    }

    fn receive_request<'a>(
        &mut self,
        now: Instant,
        mut message: Message<'a>,
    ) -> Option<Incoming<'a>> {
        match self.admit(now, &mut message) {
            Ok(Admission::Open(inspected)) => {
                let exchange = self.exchange(now, &message, &inspected);
                let (key, id) = (exchange.key, exchange.exchange);
                self.exchanges.open(exchange);
                Some(Incoming::Request { exchange: id, key, message })
            }
            Ok(Admission::Block { upload, block, inspected }) => {
                let exchange = self.exchange(now, &message, &inspected);
                let (key, id, until) = (exchange.key, exchange.exchange, exchange.until);
                self.exchanges.open(exchange);
                self.streams.handed_up(upload, id, message.payload.len(), until);
                let (offset, more) = (block.offset(), block.more);
                let announced = message.option_uint(option::SIZE1);
                Some(Incoming::Block {
                    exchange: id,
                    key,
                    upload,
                    message,
                    offset,
                    more,
                    announced,
                })
            }
            Ok(Admission::Answered | Admission::Ignored) => None,
            Err(refusal) => {
                self.refuse(now, &message, &refusal);
                None
            }
        }
    }

    /// Decides what a new request meets with.
    fn admit(&mut self, now: Instant, message: &mut Message<'_>) -> Result<Admission, Refusal> {
        let is_confirmable = message.kind == Kind::Confirmable;
        let mut inspected = match self.keyed.inspect(message) {
            Ok(inspected) => inspected,
            // A NON with an option we must understand and do not is rejected,
            // which for a NON is silence (RFC 7252 5.4.1).
            Err(refusal) if refusal.code != Code::BAD_REQUEST && !is_confirmable => {
                return Ok(Admission::Ignored);
            }
            Err(refusal) => return Err(refusal),
        };
        if let Some(block) = inspected.block1.filter(|_| self.streams.take(message)) {
            return self.admit_block(now, message, block, inspected);
        }
        if let Some(block) = inspected.block1.filter(|block| block.more) {
            self.take_block(now, message, block)?;
            return Ok(Admission::Answered);
        }
        if inspected.block2.is_some_and(|block| block.number > 0) {
            let has_payload = !message.payload.is_empty();
            if let Some(found) = self.bodies.find(inspected.key, has_payload) {
                inspected.key.representation = found;
                return self.serve_block(now, message, &inspected);
            }
            if !is_safe(message.code) || message.code == method::FETCH && !has_payload {
                // The answer is gone, and to get it again would be to do it again.
                let reason = "the rest of the answer is no longer here";
                return Err(Refusal { code: Code::BAD_REQUEST, reason });
            }
        }
        if let Some(busy) = self.without_room(message) {
            return busy;
        }
        if let Some(block) = inspected.block1 {
            self.take_last_block(now, message, block)?;
            if message.code == method::FETCH {
                // What it asks for is in the whole payload.
                inspected.key = self.keyed.inspect(message)?.key;
            }
        }
        Ok(Admission::Open(inspected))
    }

    /// What a request meets with when there are as many as there may be.
    pub(super) fn without_room(&self, message: &Message<'_>) -> Option<Result<Admission, Refusal>> {
        let open = self.exchanges.len() + self.queue.responses();
        let reason = "too many requests at once";
        (open >= self.config.max_exchanges).then_some(match message.kind {
            Kind::Confirmable => Err(Refusal { code: Code::SERVICE_UNAVAILABLE, reason }),
            Kind::NonConfirmable | Kind::Acknowledgement | Kind::Reset => Ok(Admission::Ignored),
        })
    }

    /// Answers with a later block of a body that is here.
    fn serve_block(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        inspected: &Inspected,
    ) -> Result<Admission, Refusal> {
        let exchange = self.exchange(now, message, inspected);
        let cut = self.cut(&exchange);
        let until = now + self.config.max_transmit_wait();
        let datagram = self
            .bodies
            .serve(exchange.key.representation, &cut, until)
            .ok_or(Refusal { code: Code::BAD_REQUEST, reason: BEYOND_THE_END })?;
        self.finish(now, message, &datagram);
        self.transmit(now, datagram);
        Ok(Admission::Answered)
    }

    fn exchange(&mut self, now: Instant, message: &Message<'_>, inspected: &Inspected) -> Exchange {
        let number = ExchangeId(self.number());
        Exchange::new(number, now, message, inspected, &self.config)
    }

    fn refuse(&mut self, now: Instant, message: &Message<'_>, refusal: &Refusal) {
        let mut draft = refusal.draft();
        if refusal.code == Code::REQUEST_ENTITY_TOO_LARGE {
            let most = u32::try_from(self.config.max_body).unwrap_or(u32::MAX);
            draft.add_option_uint(option::SIZE1, most);
        }
        self.answer_now(now, message, &draft);
    }

    /// Answers a request that opens no exchange.
    pub(super) fn answer_now(&mut self, now: Instant, message: &Message<'_>, draft: &Draft) {
        let (kind, id) = match message.kind {
            Kind::Confirmable => (Kind::Acknowledgement, message.id),
            Kind::NonConfirmable | Kind::Acknowledgement | Kind::Reset => {
                (Kind::NonConfirmable, self.source.message_id())
            }
        };
        let datagram = draft.encode(kind, id, message.token);
        self.finish(now, message, &datagram);
        self.transmit(now, datagram);
    }

    /// Remembers what answered a message that arrives now.
    pub(super) fn finish(&mut self, now: Instant, message: &Message<'_>, datagram: &[u8]) {
        let until = now + lifetime(message.kind, &self.config);
        self.answers.insert(now, Finished { id: message.id, until, datagram }, &self.config);
    }
}

/// What becomes of a request.
pub(super) enum Admission {
    /// It is handed up.
    Open(Inspected),
    /// It is handed up as a block of an upload.
    Block { upload: UploadId, block: Block, inspected: Inspected },
    /// It was answered here.
    Answered,
    /// It gets no answer.
    Ignored,
}

pub(super) const BEYOND_THE_END: &str = "the block is beyond the end";

/// What the first byte says besides the length of the token.
const VERSION_AND_TYPE: u8 = 0xf0;
