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
