//! Requests of the peer that are being worked on (RFC 7252 5.2).
//!
//! 1. A request opens an exchange; a duplicate finds it here and starts nothing.
//! 2. A confirmable one that is not answered in time gets the empty ACK.
//! 3. The answer, `ignore` or the end of the message id's life closes it. Nothing
//!    else does: an exchange is never dropped to make room.

use std::time::Duration;

use lwm2m_model::{Code, Instant};

use crate::block::Block;
use crate::cache_key::Inspected;
use crate::{CacheKey, Config, ExchangeId, Kind, Message, Token, method};

/// A request of the peer and what its answer needs to know of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) exchange: ExchangeId,
    /// Message id of the request.
    pub(crate) id: u16,
    pub(crate) token: Token,
    pub(crate) key: CacheKey,
    pub(crate) block1: Option<Block>,
    pub(crate) block2: Option<Block>,
    pub(crate) delivery: Delivery,
    /// The end of the message id's life.
    pub(crate) until: Instant,
}

/// How the answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In the ACK, unless the empty ACK goes out first, at this time.
    Piggybacked {
        /// When to send the empty ACK.
        acknowledge_at: Instant,
    },
    /// The empty ACK has gone out; the answer is a CON of its own.
    Separate,
    /// The request was a NON, and so is the answer.
    NonConfirmable,
}

impl Exchange {
    /// An exchange for a request that arrives now.
    pub(crate) fn new(
        exchange: ExchangeId,
        now: Instant,
        message: &Message<'_>,
        inspected: &Inspected,
        config: &Config,
    ) -> Self {
        let delivery = match message.kind {
            Kind::Confirmable => {
                Delivery::Piggybacked { acknowledge_at: now + config.separate_after }
            }
            Kind::NonConfirmable | Kind::Acknowledgement | Kind::Reset => Delivery::NonConfirmable,
        };
        Self {
            exchange,
            id: message.id,
            token: message.token,
            key: inspected.key,
            block1: inspected.block1,
            block2: inspected.block2,
            delivery,
            until: now + lifetime(message.kind, config),
        }
    }

    /// When this exchange wants to be looked at.
    fn due(&self) -> Instant {
        match self.delivery {
            Delivery::Piggybacked { acknowledge_at } => acknowledge_at.min(self.until),
            Delivery::Separate | Delivery::NonConfirmable => self.until,
        }
    }
}

/// The exchanges that are open; their number is bounded by whoever opens them.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    open: Vec<Exchange>,
}

impl Exchanges {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn open(&mut self, exchange: Exchange) {
        self.open.push(exchange);
    }

    /// The exchange of a message id that is still alive.
    pub(crate) fn of_message(&self, id: u16, now: Instant) -> Option<&Exchange> {
        self.open.iter().find(|open| open.id == id && open.until > now)
    }

    /// Takes out an exchange.
    pub(crate) fn close(&mut self, exchange: ExchangeId) -> Option<Exchange> {
        let at = self.open.iter().position(|open| open.exchange == exchange)?;
        Some(self.open.swap_remove(at))
    }

    /// Marks the next request whose empty ACK is due as acknowledged; gives its message id.
    pub(crate) fn acknowledge_next(&mut self, now: Instant) -> Option<u16> {
        let late = self.open.iter_mut().find(|open| match open.delivery {
            Delivery::Piggybacked { acknowledge_at } => acknowledge_at <= now,
            Delivery::Separate | Delivery::NonConfirmable => false,
        })?;
        late.delivery = Delivery::Separate;
        Some(late.id)
    }

    /// Drops the exchanges whose message id may be used anew.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.open.retain(|open| open.until > now);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.open.iter().map(Exchange::due).min()
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

/// True if the request may be worked on twice (RFC 7252 5.1, RFC 8132 2).
pub(crate) fn is_safe(method: Code) -> bool {
    matches!(method, method::GET | method::FETCH)
}

/// How long a message id is taken (RFC 7252 4.8.2).
pub(crate) fn lifetime(kind: Kind, config: &Config) -> Duration {
    match kind {
        Kind::Confirmable => config.exchange_lifetime(),
        Kind::NonConfirmable | Kind::Acknowledgement | Kind::Reset => config.non_lifetime(),
    }
}
