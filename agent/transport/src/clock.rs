//! The two clocks of the system that the engine is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lwm2m_model::{Instant, Now};
use nix::time::{ClockId, clock_gettime};

/// Both clocks: CLOCK_BOOTTIME, which counts suspend, and the wall clock, `None`
/// while it is before 2020: then nobody has set it since power came on.
pub fn now() -> Now {
    Now { boot: boot(), wall: wall(SystemTime::now()) }
}

/// CLOCK_BOOTTIME alone.
pub(crate) fn boot() -> Instant {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .expect("every kernel since 2.6.39 has CLOCK_BOOTTIME, and reading it cannot fail");
    Instant::from_boot(Duration::from(time))
}

/// Unix time in milliseconds, if it can be true.
fn wall(time: SystemTime) -> Option<i64> {
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    if since_epoch < START_OF_2020 {
        return None;
    }
    i64::try_from(since_epoch.as_millis()).ok()
}

const START_OF_2020: Duration = Duration::from_secs(1_577_836_800);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_before_2020_is_not_set() {
        let ms = Duration::from_millis(1);
        for (time, wall_time) in [
            (UNIX_EPOCH - ms, None),
            (UNIX_EPOCH, None),
            (UNIX_EPOCH + START_OF_2020 - ms, None),
            (UNIX_EPOCH + START_OF_2020, Some(1_577_836_800_000)),
        ] {
            assert_eq!(wall(time), wall_time, "{time:?}");
        }
    }

    #[test]
    fn time_since_boot_does_not_go_back() {
        let first = now().boot;
        assert!(first > Instant::ZERO);
        assert!(now().boot >= first);
    }
}
