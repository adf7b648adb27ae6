//! Transmission parameters (RFC 7252 4.8) and the limits on memory.

use std::time::Duration;

/// Transmission parameters (RFC 7252 4.8) and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// ACK_TIMEOUT: least time before the first retransmission. Default 2 s;
    /// less than a millisecond counts as one.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR: the first time-out is drawn from `ack_timeout` times
    /// 1.0..this. Default 1.5; less than 1 counts as 1.
    pub ack_random_factor: f64,
    /// MAX_RETRANSMIT. Default 4.
    pub max_retransmit: u32,
    /// NSTART: confirmable messages of ours in flight at once. Default 1, which is also
    /// the least; for more the caller takes care of congestion (RFC 7252 4.7).
    pub nstart: usize,
    /// After this an empty ACK goes out and the answer follows by itself. Default 1 s.
    pub separate_after: Duration,
    /// Largest datagram we send, in bytes: path MTU less overhead. Decides the
    /// block size of our answers: the largest of 16..=1024 that fits, and 16
    /// where none does. Default 1152, which carries blocks of 1024.
    pub max_datagram: usize,
    /// Answers kept for duplicates; the oldest goes first. Default 64, at least 1.
    pub answer_cache_entries: usize,
    /// Bytes of the answers kept for duplicates. Default 65,536. An answer that
    /// does not fit by itself is not kept; its duplicates are dropped.
    pub answer_cache_bytes: usize,
    /// Requests being worked on at once, separate answers that the peer has not
    /// acknowledged included; more are answered 5.03. Default 32.
    pub max_exchanges: usize,
    /// Requests that wait, for NSTART or for an answer after the empty ACK, and
    /// notifications that wait for NSTART. Default 32, at least 1.
    pub max_queue: usize,
    /// Largest body that is put together from blocks, in bytes: of a request of the
    /// peer, which is answered 4.13 if it is larger, and of an answer to a request of
    /// ours. Default 65,536. Two of each are held at once.
    pub max_body: usize,
}

impl Config {
    /// MAX_TRANSMIT_SPAN: from the first transmission to the last (RFC 7252
    /// 4.8.2). 45 s by default.
    pub fn max_transmit_span(&self) -> Duration {
        self.doubled(self.max_retransmit)
    }

    /// MAX_TRANSMIT_WAIT: from the first transmission to giving up. 93 s by
    /// default; a device in queue mode stays awake this long (Core 5.8).
    pub fn max_transmit_wait(&self) -> Duration {
        self.doubled(self.max_retransmit.saturating_add(1))
    }

    /// EXCHANGE_LIFETIME: how long a message id of a CON is taken. 247 s by default.
    pub fn exchange_lifetime(&self) -> Duration {
        // PROCESSING_DELAY is set to ACK_TIMEOUT by RFC 7252 4.8.2.
        self.max_transmit_span().saturating_add(2 * MAX_LATENCY).saturating_add(self.ack_timeout)
    }

    /// NON_LIFETIME: how long a message id of a NON is taken. 145 s by default.
    pub fn non_lifetime(&self) -> Duration {
        self.max_transmit_span().saturating_add(MAX_LATENCY)
    }

    /// The first time-out of a message: `least`, and more for a larger `fraction` of
    /// 0.0..1.0.
    pub(crate) fn first_timeout(&self, least: Duration, fraction: f64) -> Duration {
        scaled(least, 1.0 + (self.random_factor() - 1.0) * fraction).max(Duration::from_millis(1))
    }

    /// Longest sum of `times` time-outs that double each time.
    fn doubled(&self, times: u32) -> Duration {
        let times = i32::try_from(times).unwrap_or(i32::MAX);
        scaled(self.ack_timeout, (2_f64.powi(times) - 1.0) * self.random_factor())
    }

    fn random_factor(&self) -> f64 {
        // `max` also turns a NaN into 1.
        self.ack_random_factor.max(1.0)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            max_retransmit: 4,
            nstart: 1,
            separate_after: Duration::from_secs(1),
            max_datagram: 1152,
            answer_cache_entries: 64,
            answer_cache_bytes: 64 * 1024,
            max_exchanges: 32,
            max_queue: 32,
            max_body: 64 * 1024,
        }
    }
}

/// A product that stays in the range of a `Duration`, whatever was configured.
fn scaled(span: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// MAX_LATENCY (RFC 7252 4.8.2).
const MAX_LATENCY: Duration = Duration::from_secs(100);
