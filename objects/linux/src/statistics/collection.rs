//! A collection: it begins, adds at each look, and ends (Objects 9).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counters::{Bases, Counters};
use super::gauge::Reading;

/// The collection; times are since boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Collection {
    pub(super) counters: Counters,
    pub(super) running: Option<Running>,
    /// Collection Period in seconds; 0 is without end. Counts from the next start.
    pub(super) period: u32,
}

/// What is known of a collection that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// When the period is over.
    pub(super) until: Option<Duration>,
}

/// Whether what is kept of the collection is old after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// A later look comes to the same from what is kept.
    Good,
    /// It is to be written again.
    Old,
}

impl Collection {
    /// Begins at zero, also if it runs.
    pub(super) fn start(&mut self, readings: &[Reading], now: Duration) {
        let period = Duration::from_secs(self.period.into());
        let until = (!period.is_zero()).then(|| now.saturating_add(period));
        self.counters = Counters::start(readings);
        self.running = Some(Running { until });
    }

    /// Adds for the last time, if it runs.
    pub(super) fn stop(&mut self, readings: &[Reading], now: Duration) {
        self.look(Some(readings), now);
        self.running = None;
    }

    /// Adds what came since the last look, if it runs, and ends it when its period is
    /// over. Without `readings`, since the kernel did not tell, nothing is added: a
    /// later look makes up for it, but for an end, which waits for none.
    pub(super) fn look(&mut self, readings: Option<&[Reading]>, now: Duration) -> Kept {
        let Some(Running { until }) = self.running else { return Kept::Good };
        let bases = readings.map_or(Bases::Hold, |readings| self.counters.add(readings));
        if until.is_some_and(|until| until <= now) {
            self.running = None;
            return Kept::Old;
        }
        match bases {
            Bases::Hold => Kept::Good,
            Bases::Moved => Kept::Old,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::network::Traffic;

    fn readings(sent: u64) -> Vec<Reading> {
        let traffic = Traffic { sent, packets_sent: 1, ..Traffic::default() };
        vec![Reading { link: 2, is_hardware: true, traffic, header: 0 }]
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// OBJ-72.
    #[test]
    fn a_period_ends_a_collection_and_its_sums_stay() {
        let mut collection = Collection { period: 60, ..Collection::default() };
        collection.start(&readings(5_000), seconds(100));
        for (now, bytes, sent, is_running, kept) in [
            (130, 6_000, 1, true, Kept::Good),
            (159, 7_000, 2, true, Kept::Good),
            (160, 9_000, 4, false, Kept::Old),
            (161, 50_000, 4, false, Kept::Good),
        ] {
            assert_eq!(collection.look(Some(&readings(bytes)), seconds(now)), kept, "{now}");
            assert_eq!(collection.counters.sent(), sent, "{now}");
            assert_eq!(collection.running.is_some(), is_running, "{now}");
        }
        // A new period is that of the next start.
        collection.start(&readings(50_000), seconds(200));
        assert_eq!(collection.counters.sent(), 0);
        collection.period = 0;
        assert_eq!(collection.running, Some(Running { until: Some(seconds(260)) }));
        collection.start(&readings(50_000), seconds(210));
        assert_eq!(collection.running, Some(Running { until: None }));
        collection.look(Some(&readings(60_000)), seconds(1_000_000));
        assert_eq!(collection.counters.sent(), 10);
    }

    #[test]
    fn a_look_that_fails_adds_nothing_then_or_later() {
        let mut collection = Collection { period: 60, ..Collection::default() };
        collection.start(&readings(900_000), seconds(0));
        assert_eq!(collection.look(None, seconds(1)), Kept::Good);
        assert_eq!(collection.look(Some(&readings(901_000)), seconds(2)), Kept::Good);
        assert_eq!(collection.counters.sent(), 1);
        assert_eq!(collection.look(None, seconds(60)), Kept::Old);
        assert_eq!((collection.counters.sent(), collection.running), (1, None));
    }

    #[test]
    fn stop_adds_once() {
        let mut collection = Collection::default();
        collection.stop(&readings(1_000), seconds(0));
        assert_eq!(collection.counters.sent(), 0, "never started");
        collection.start(&readings(1_000), seconds(0));
        collection.stop(&readings(3_000), seconds(1));
        collection.stop(&readings(9_000), seconds(2));
        assert_eq!(collection.counters.sent(), 2);
    }
}
