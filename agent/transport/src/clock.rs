//! The two clocks of the system that the engine is told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lwm2m_model::record::BootId;
use lwm2m_model::{Instant, Now};
use nix::time::{ClockId, clock_gettime};

/// Both clocks: CLOCK_BOOTTIME, which counts suspend, and the wall clock, `None`
/// while nobody has set it since power came on ([`Now::from_clocks`]).
pub fn now() -> Now {
    Now::from_clocks(boot(), wall(SystemTime::now()))
}

/// What tells this boot of the system from others; zeros where the kernel does not say.
pub fn boot_id() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    BootId(read_boot_id(&text).unwrap_or_default())
}

/// Hexadecimal digits with hyphens between them.
fn read_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    Some(number.to_be_bytes())
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
    fn the_boot_id_is_the_same_while_the_system_runs() {
        assert_eq!(boot_id(), boot_id());
        let text = "01234567-89ab-cdef-0011-223344556677\n";
        let expected = 0x0123_4567_89ab_cdef_0011_2233_4455_6677_u128.to_be_bytes();
        assert_eq!(read_boot_id(text), Some(expected));
        assert_eq!(read_boot_id("no such thing"), None);
    }

    #[test]
    fn time_since_boot_does_not_go_back() {
        let first = now().boot;
        assert!(first > Instant::ZERO);
        assert!(now().boot >= first);
    }
}
