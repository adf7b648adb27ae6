//! The two clocks of the system that the engine is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lwm2m_model::{Instant, Now};
use nix::time::{ClockId, clock_gettime};

/// Both clocks: CLOCK_BOOTTIME, which counts suspend, and the wall clock, `None`
/// while nobody has set it since power came on ([`Now::from_clocks`]).
pub fn now() -> Now {
    Now::from_clocks(boot(), wall(SystemTime::now()))
}

/// CLOCK_BOOTTIME alone.
pub(crate) fn boot() -> Instant {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .expect("every kernel since 2.6.39 has CLOCK_BOOTTIME, and reading it cannot fail");
    Instant::from_boot(Duration::from(time))
}

/// Unix time in milliseconds; 0 for what is before it or too late to be counted.
fn wall(time: SystemTime) -> i64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_counts_milliseconds_from_1970() {
        let ms = Duration::from_millis(1);
        for (time, shown) in [(UNIX_EPOCH - ms, 0), (UNIX_EPOCH, 0), (UNIX_EPOCH + ms, 1)] {
            assert_eq!(wall(time), shown, "{time:?}");
        }
    }

    #[test]
    fn time_since_boot_does_not_go_back() {
        let first = now().boot;
        assert!(first > Instant::ZERO);
        assert!(now().boot >= first);
    }
}
