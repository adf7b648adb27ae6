//! A source that cannot be used: one warning, and again after a back-off.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::track::{Gone, Track};
use crate::source::Wanted;

/// How long the source has failed.
#[derive(Default)]
pub(super) struct Outage {
    failures: u32,
}

impl Outage {
    /// Counts a failure; true for the first one, which is worth a warning.
    pub(super) fn begins(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures == 1
    }

    /// The source does what it should.
    pub(super) fn end(&mut self) {
        self.failures = 0;
    }

    /// Waits as long as the failures ask for, or less once somebody new wants a fix.
    pub(super) async fn pause(&self, track: &mut Track) -> Result<(), Gone> {
        let doublings = self.failures.saturating_sub(1).min(16);
        let delay = (FIRST_DELAY * 2_u32.pow(doublings)).min(LONGEST_DELAY);
        let mut until = Instant::now() + delay;
        loop {
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                changed = track.changed() => {
                    changed?;
                    if track.wanted() == Wanted::No {
                        return Ok(());
                    }
                    until = until.min(Instant::now() + FIRST_DELAY);
                }
            }
        }
    }
}

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
