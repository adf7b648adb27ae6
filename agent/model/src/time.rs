//! Time as an argument: since boot for every timer, wall time for values only.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Time since boot, suspend counted (CLOCK_BOOTTIME), in nanoseconds.
///
/// Every protocol timer runs on it, so a step of the wall clock moves none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment of boot.
    pub const ZERO: Self = Self(0);

    /// The moment `since_boot` after boot; beyond 584 years it stays there.
    pub fn from_boot(since_boot: Duration) -> Self {
        Self(u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Time passed since boot.
    pub const fn since_boot(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.since_boot().as_secs_f64())
    }
}

/// What the rim tells the engine about time with each input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Time since boot.
    pub boot: Instant,
    /// Unix time in milliseconds, if the wall clock is set; only timestamps in
    /// values use it.
    pub wall: Option<i64>,
}

impl Now {
    /// What the two clocks show; `wall` is Unix time in milliseconds. A wall clock
    /// before [`Self::EARLIEST_WALL`] has not been set since power came on.
    pub const fn from_clocks(boot: Instant, wall: i64) -> Self {
        Self { boot, wall: if wall < Self::EARLIEST_WALL { None } else { Some(wall) } }
    }

    /// 2024-01-01 in milliseconds of Unix time: this program is younger.
    pub const EARLIEST_WALL: i64 = 1_704_067_200_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_older_than_the_program_is_not_set() {
        let earliest = Now::EARLIEST_WALL;
        for (shown, wall) in
            [(-1, None), (0, None), (earliest - 1, None), (earliest, Some(earliest))]
        {
            assert_eq!(Now::from_clocks(Instant::ZERO, shown).wall, wall, "{shown}");
        }
    }
}
