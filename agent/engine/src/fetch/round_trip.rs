//! How long to wait for a block before it is asked for again.
//!
//! RFC 7252 4.8.1 lets ACK_TIMEOUT be adjusted to the network, as RFC 8961 says: from
//! measured round trips, smoothed as in RFC 6298, of requests alone that were sent once,
//! since the answer to another may belong to either copy (Karn). Where requests are repeated
//! and so nothing can be measured, the time-out stays at what the last one needed.

use std::time::Duration;

/// What is known of the round trips to one server.
#[derive(Debug)]
pub(crate) struct RoundTrip {
    /// Mean and mean deviation, once something was measured.
    smoothed: Option<(Duration, Duration)>,
    timeout: Duration,
    most: Duration,
}

impl RoundTrip {
    /// Nothing is known: the time-out is `ack_timeout`, which it never exceeds.
    pub(crate) fn new(ack_timeout: Duration) -> Self {
        Self { smoothed: None, timeout: ack_timeout, most: ack_timeout }
    }

    /// Least time before the next request is repeated.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A request that was sent once was answered after `sample`.
    pub(crate) fn measured(&mut self, sample: Duration) {
        let (mean, deviation) = match self.smoothed {
            None => (sample, sample / 2),
            Some((mean, deviation)) => {
                ((mean * 7 + sample) / 8, (deviation * 3 + mean.abs_diff(sample)) / 4)
            }
        };
        self.smoothed = Some((mean, deviation));
        self.timeout = (mean + MARGIN.max(deviation * 4)).min(self.most);
    }

    /// A request was sent again for which `waited` was too short or which was lost. Those
    /// that are lost together wait equally long, and count as one.
    pub(crate) fn repeated(&mut self, waited: Duration) {
        self.timeout = self.timeout.max(waited.saturating_mul(2)).min(self.most);
    }
}

/// Least time beyond the mean: a server that has to look for a block, or a device that is
/// busy, is no loss.
const MARGIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const ACK_TIMEOUT: Duration = Duration::from_secs(2);

    fn after(samples: impl IntoIterator<Item = u64>) -> RoundTrip {
        let mut round_trip = RoundTrip::new(ACK_TIMEOUT);
        for sample in samples {
            round_trip.measured(Duration::from_millis(sample));
        }
        round_trip
    }

    #[test]
    fn the_time_out_is_the_mean_and_four_deviations_or_the_margin() {
        let table: [(&[u64], u64); 6] = [
            (&[], 2000),
            (&[20], 120),
            (&[200], 600),
            // Mean 80 ms, deviation 125 ms.
            (&[20, 500], 590),
            (&[0, 0, 0], 100),
            (&[1000], 2000),
        ];
        for (samples, expected) in table {
            let timeout = after(samples.iter().copied()).timeout();
            assert_eq!(timeout, Duration::from_millis(expected), "{samples:?}");
        }
        let steady = after([200; 40]).timeout();
        assert!((300..302).contains(&steady.as_millis()), "{steady:?}");
    }

    #[test]
    fn it_doubles_once_for_what_is_lost_together_and_ends_with_the_next_sample() {
        let mut round_trip = after([20; 40]);
        let first = round_trip.timeout();
        for expected in [2, 4, 8, 16] {
            let waited = round_trip.timeout();
            for _ in 0..8 {
                round_trip.repeated(waited);
            }
            assert_eq!(round_trip.timeout(), first * expected);
        }
        round_trip.repeated(round_trip.timeout());
        assert_eq!(round_trip.timeout(), ACK_TIMEOUT);
        round_trip.measured(Duration::from_millis(20));
        assert_eq!(round_trip.timeout(), first);
    }

    #[test]
    fn no_sample_makes_it_overflow() {
        let mut round_trip = after([u64::MAX / 2_000_000, 0, u64::MAX / 2_000_000]);
        round_trip.repeated(Duration::MAX);
        assert_eq!(round_trip.timeout(), ACK_TIMEOUT);
    }
}
