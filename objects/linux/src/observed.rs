//! What of an object is observed, and how often it is to be looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_model::Path;
use tokio::time::{Instant, sleep_until};

/// The observed paths of an object, each with the interval that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed(BTreeMap<Path, Duration>);

impl Observed {
    /// Takes what the host tells by [`Object::watch`](crate::Object::watch).
    pub(crate) fn set(&mut self, path: &Path, interval: Option<Duration>) {
        match interval {
            Some(interval) => self.0.insert(path.clone(), interval),
            None => self.0.remove(path),
        };
    }

    /// The shortest interval that was asked for `at`, something above or below it, and at
    /// least [`SHORTEST_INTERVAL`]; `None` while nobody observes any of these.
    pub(crate) fn interval(&self, at: &Path) -> Option<Duration> {
        let touches = |observed: &Path| observed.contains(at) || at.contains(observed);
        let intervals = self.0.iter().filter(|(observed, _)| touches(observed));
        intervals.map(|(_, interval)| (*interval).max(SHORTEST_INTERVAL)).min()
    }
}

/// Waits until `time`; for ever without one. Cancel safe.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Faster than this no value is sampled, whatever a server asks for.
pub(crate) const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[test]
    fn the_shortest_interval_above_and_below_counts() {
        let mut observed = Observed::default();
        for (at, seconds) in [("/4/0", 60), ("/4/0/2", 30), ("/4/0/1/3", 10)] {
            observed.set(&path(at), Some(Duration::from_secs(seconds)));
        }
        let seconds = |at: &str| observed.interval(&path(at)).map(|interval| interval.as_secs());
        assert_eq!(seconds("/4/0/0"), Some(60));
        assert_eq!(seconds("/4/0/2"), Some(30));
        assert_eq!(seconds("/4/0/1"), Some(10));
        assert_eq!(seconds("/4"), Some(10));
        assert_eq!(seconds("/4/1"), None);
    }

    #[test]
    fn nothing_is_sampled_faster_than_the_limit_or_after_its_observation() {
        let mut observed = Observed::default();
        observed.set(&path("/4/0/2"), Some(Duration::ZERO));
        assert_eq!(observed.interval(&path("/4/0/2")), Some(SHORTEST_INTERVAL));
        observed.set(&path("/4/0/2"), None);
        assert_eq!(observed.interval(&path("/4/0/2")), None);
    }
}
