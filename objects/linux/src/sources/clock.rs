//! The clocks of the machine, and the news that the wall clock was set.

use std::io;
use std::time::Duration;

use lwm2m_model::{Instant, Now};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{
    ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags,
};
use nix::time::{ClockId, clock_gettime};

use super::readable::Readable;

/// The time now.
pub fn now() -> Now {
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    let wall = clock_gettime(ClockId::CLOCK_REALTIME).map(|time| time.num_milliseconds());
    Now::from_clocks(Instant::from_boot(since_boot), wall.unwrap_or_default())
}

/// Tells when the wall clock jumps: a timer on CLOCK_REALTIME that lies in the far
/// future and is cancelled by a jump (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
/// It wakes nobody otherwise.
pub struct ClockWatch(Readable<TimerFd>);

impl ClockWatch {
    /// Arms the timer.
    ///
    /// # Errors
    /// Of the system, such as no descriptor left.
    pub fn open() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(TimerClock::CLOCK_REALTIME, flags)?;
        timer.set(
            Expiration::OneShot(TimeSpec::seconds(FAR_FUTURE)),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET,
        )?;
        Readable::new(timer).map(Self)
    }

    /// Waits until the clock is set. Cancel safe.
    ///
    /// # Errors
    /// Of the system; the watch is of no more use then.
    pub async fn jumped(&self) -> io::Result<()> {
        // ECANCELED, which tells of the jump, is success here. The timer stays
        // armed; if it expires, the clock was set to the far future.
        self.0.read(TimerFd::wait).await
    }
}

/// Unix time: the year 2100, or the end of time on 32-bit systems.
const FAR_FUTURE: i64 =
    if cfg!(target_pointer_width = "64") { 4_102_444_800 } else { i32::MAX as i64 };
