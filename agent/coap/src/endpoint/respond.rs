//! Answers to requests of the peer: piggybacked, separate or non-confirmable, and
//! in blocks where they do not fit (RFC 7252 5.2, RFC 7959 2.4).

use lwm2m_model::{Code, Instant};

use super::receive::BEYOND_THE_END;
use super::{Endpoint, empty};
use crate::answer::Finished;
use crate::block::{Cut, MAX_BODY};
use crate::event::Refusal;
use crate::exchange::{Delivery, Exchange};
use crate::outgoing::{Outgoing, Purpose};
use crate::{CacheKey, Draft, ExchangeId, Kind, option};

impl Endpoint {
    /// Answers a request: piggybacked, or as a separate response if the empty ACK went out.
    /// Does nothing for an exchange that is unknown or whose message id has expired.
    ///
    /// A body that does not fit a datagram is cut into blocks, and its ETag is the
    /// endpoint's; one of more than 64 KiB becomes 5.00. The text of an answer that
    /// is no success is cut to what fits.
    pub fn respond(&mut self, now: Instant, exchange: ExchangeId, draft: Draft) {
        self.clock = now;
        let Some(exchange) = self.exchanges.close(exchange).filter(|open| open.until > now) else {
            return;
        };
        let until = now + self.config.exchange_lifetime();
        self.streams.answered(exchange.exchange, draft.code, until);
        let is_observe = draft.has_option(option::OBSERVE);
        let cut = self.cut(&exchange);
        let datagram = self.shape_answer(now, &exchange, &cut, draft);
        let token = exchange.token;
        match exchange.delivery {
            Delivery::Piggybacked { .. } => {
                self.close(now, &exchange, &datagram);
                self.transmit(now, datagram);
            }
            Delivery::NonConfirmable => {
                if is_observe {
                    self.notified.remember(cut.id, token);
                }
                self.close(now, &exchange, &datagram);
                self.transmit(now, datagram);
            }
            Delivery::Separate => {
                self.close(now, &exchange, &empty(Kind::Acknowledgement, exchange.id));
                let purpose =
                    if is_observe { Purpose::FirstNotification } else { Purpose::Response };
                self.queue_or_give_up(now, Outgoing { purpose, token, datagram });
            }
        }
    }

    /// Forgets a request without answering it. If the peer sends it again it is
    /// handed up again: what had to be ignored then may be served now, as when a
    /// request overtakes the answer to Register (Core 1).
    pub fn ignore(&mut self, exchange: ExchangeId) {
        let Some(exchange) = self.exchanges.close(exchange) else { return };
        self.streams.ignored(exchange.exchange);
        // Once acknowledged it is not sent again: what comes is a late duplicate.
        if matches!(exchange.delivery, Delivery::Separate) {
            self.close(self.clock, &exchange, &empty(Kind::Acknowledgement, exchange.id));
        }
    }

    /// The message that carries an answer.
    pub(super) fn cut(&mut self, exchange: &Exchange) -> Cut {
        let (kind, id) = match exchange.delivery {
            Delivery::Piggybacked { .. } => (Kind::Acknowledgement, exchange.id),
            // The queue writes the id in when it is sent.
            Delivery::Separate => (Kind::Confirmable, 0),
            Delivery::NonConfirmable => (Kind::NonConfirmable, self.source.message_id()),
        };
        Cut {
            kind,
            id,
            token: exchange.token,
            asked: exchange.block2,
            max_datagram: self.config.max_datagram,
        }
    }

    /// The datagram of an answer or notification; keeps what does not go with it.
    pub(super) fn shape(
        &mut self,
        now: Instant,
        key: CacheKey,
        cut: &Cut,
        mut draft: Draft,
    ) -> Vec<u8> {
        // Whatever was there to fetch under this key is superseded.
        self.bodies.remove(key.representation);
        if !draft.code.is_success() {
            return cut.error(&draft);
        }
        if cut.is_whole(&draft) {
            return draft.encode(cut.kind, cut.id, cut.token);
        }
        let etag = self.keyed.etag(draft.option_value(option::CONTENT_FORMAT), &draft.payload);
        let Some(piece) = cut.block(&mut draft, etag) else {
            let refusal = Refusal { code: Code::BAD_REQUEST, reason: BEYOND_THE_END };
            return cut.error(&refusal.draft());
        };
        if !piece.is_last {
            self.bodies.keep(key, draft, etag, now + self.config.max_transmit_wait());
        }
        piece.datagram
    }

    fn shape_answer(
        &mut self,
        now: Instant,
        exchange: &Exchange,
        cut: &Cut,
        mut draft: Draft,
    ) -> Vec<u8> {
        if draft.payload.len() > MAX_BODY {
            let reason = "the answer is too large";
            draft = Refusal { code: Code::INTERNAL_SERVER_ERROR, reason }.draft();
        } else if let Some(block) = exchange.block1
            // There it would ask for smaller blocks (RFC 7959 2.9.3), and none would help.
            && draft.code != Code::REQUEST_ENTITY_TOO_LARGE
        {
            draft.add_option_uint(option::BLOCK1, block.to_uint());
        }
        self.shape(now, exchange.key, cut, draft)
    }

    /// Remembers what answered an exchange.
    fn close(&mut self, now: Instant, exchange: &Exchange, datagram: &[u8]) {
        let finished = Finished { id: exchange.id, until: exchange.until, datagram };
        self.answers.insert(now, finished, &self.config);
    }
}
