//! When a confirmable message is repeated and when it is given up (RFC 7252 4.2, 4.8.2).
//!
//! The first time-out is ACK_TIMEOUT times a random factor, or less where the caller knows
//! the round trip; each is at least twice the one before. A short first one makes more
//! repetitions and ends nothing earlier: the last repetition and the end come when they
//! come after ACK_TIMEOUT.

use std::time::Duration;

use crate::Config;

/// The time-outs of one message.
///
/// They are added up instead of being points in time: after a suspend all those points
/// would have passed.
#[derive(Debug)]
pub(crate) struct Backoff {
    /// The time-out that runs now.
    timeout: Duration,
    /// The sum of those before.
    waited: Duration,
    /// From the first transmission to the last.
    span: Duration,
    /// The time-out after the last transmission.
    last: Duration,
}

impl Backoff {
    /// Starts the first time-out, of `early` if that is less than the one of `config`; for
    /// `fraction` of 0.0..1.0, which is random.
    pub(crate) fn new(early: Option<Duration>, config: &Config, fraction: f64) -> Self {
        let most = config.first_timeout(config.ack_timeout, fraction);
        let first = early.map_or(most, |early| config.first_timeout(early, fraction).min(most));
        let doubled = 2_u32.checked_pow(config.max_retransmit).unwrap_or(u32::MAX);
        let span = most.saturating_mul(doubled - 1);
        let last = most.saturating_mul(doubled);
        let mut backoff = Self { timeout: first, waited: Duration::ZERO, span, last };
        backoff.fit();
        backoff
    }

    /// The time-out that runs now.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The time-out is over: starts the next one, or gives the message up.
    pub(crate) fn lapsed(&mut self) -> Next {
        self.waited = self.waited.saturating_add(self.timeout);
        if self.waited > self.span {
            return Next::GiveUp;
        }
        self.timeout = self.timeout.saturating_mul(2);
        self.fit();
        Next::Repeat
    }

    /// Stretches the time-out where another, twice as long, would end after the span.
    fn fit(&mut self) {
        let left = self.span.saturating_sub(self.waited);
        if left.is_zero() {
            self.timeout = self.last;
        } else if self.timeout.saturating_mul(3) > left {
            self.timeout = left;
        }
    }
}

/// What becomes of a message whose time-out is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Repeat,
    GiveUp,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Milliseconds from the first transmission to each repetition and to the end.
    fn times(early: Option<u64>, config: &Config, fraction: f64) -> (Vec<u128>, u128) {
        let mut backoff = Backoff::new(early.map(Duration::from_millis), config, fraction);
        let (mut at, mut repeated) = (backoff.timeout(), Vec::new());
        while backoff.lapsed() == Next::Repeat {
            repeated.push(at.as_millis());
            at += backoff.timeout();
        }
        (repeated, at.as_millis())
    }

    #[test]
    fn a_short_first_time_out_makes_more_repetitions_and_ends_as_late() {
        let of = |max_retransmit| Config { max_retransmit, ..Config::default() };
        let table: [(Option<u64>, u32, &[u128], u128); 8] = [
            (None, 4, &[2000, 6000, 14_000, 30_000], 62_000),
            (Some(100), 4, &[100, 300, 700, 1500, 3100, 6300, 12_700, 30_000], 62_000),
            (Some(1900), 4, &[1900, 5700, 13_300, 30_000], 62_000),
            (Some(2000), 4, &[2000, 6000, 14_000, 30_000], 62_000),
            (Some(9000), 4, &[2000, 6000, 14_000, 30_000], 62_000),
            (Some(100), 1, &[100, 300, 700, 2000], 6000),
            (Some(1900), 1, &[2000], 6000),
            (Some(100), 0, &[], 2000),
        ];
        for (early, max_retransmit, repeated, end) in table {
            let found = times(early, &of(max_retransmit), 0.0);
            assert_eq!(found, (repeated.to_vec(), end), "{early:?} {max_retransmit}");
        }
    }

    proptest! {
        /// RFC 7252 4.8.2: no repetition after MAX_TRANSMIT_SPAN, no end before what
        /// ACK_TIMEOUT gives, no fewer repetitions, and no time-out less than doubled.
        #[test]
        fn whatever_the_first_time_out_is_the_last_ones_come_when_they_came(
            early in 0_u64..10_000,
            ack_timeout in 1_u64..10_000,
            max_retransmit in 0_u32..8,
            fraction in 0.0..1.0,
        ) {
            let ack_timeout = Duration::from_millis(ack_timeout);
            let config = Config { ack_timeout, max_retransmit, ..Config::default() };
            let (plain, plain_end) = times(None, &config, fraction);
            let (repeated, end) = times(Some(early), &config, fraction);
            prop_assert_eq!(plain.len(), max_retransmit as usize);
            prop_assert_eq!(end, plain_end);
            prop_assert!(end <= config.max_transmit_wait().as_millis());
            prop_assert_eq!(repeated.last(), plain.last());
            prop_assert!(repeated.len() >= plain.len());
            let sent: Vec<u128> = [0].into_iter().chain(repeated).collect();
            for times in sent.windows(3) {
                let (before, after) = (times[1] - times[0], times[2] - times[1]);
                prop_assert!(after + 2 >= 2 * before, "{:?}", sent);
            }
        }
    }
}
