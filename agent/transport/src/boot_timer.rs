//! The one timer of the daemon, on the clock that counts suspend.
//!
//! Retransmission and queue mode move the next time-out with every message,
//! nearly always to later. So the kernel's timer is set anew only for an earlier
//! time; one that goes off too early looks what is wanted by then. The clock is
//! read only when it has gone off, or is to be set.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lwm2m_model::Instant;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use crate::clock;
use crate::descriptor::{self, Timer};

/// A timer on CLOCK_BOOTTIME; tokio's own stand still in suspend. It does not
/// wake a suspended system: what came due meanwhile fires on resume.
#[derive(Debug)]
pub struct BootTimer {
    timer: AsyncFd<Timer>,
    /// When the caller wants to be woken.
    wanted: Option<Instant>,
    /// When the kernel wakes us, at `wanted` or before.
    armed: Option<Instant>,
    #[cfg(test)]
    settings: u32,
}

impl BootTimer {
    /// A timer that is not armed. Needs a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(
            ClockId::CLOCK_BOOTTIME,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        Ok(Self {
            timer: descriptor::register(Timer(timer))?,
            wanted: None,
            armed: None,
            #[cfg(test)]
            settings: 0,
        })
    }

    /// Sets when [`fired`](Self::fired) shall return; `None`: never. Takes the
    /// place of an earlier time. Makes no system call; `fired` does, and only if
    /// the kernel would wake us too late.
    pub const fn arm(&mut self, at: Option<Instant>) {
        self.wanted = at;
    }

    /// Waits until the armed time has come; it is disarmed then. Safe to cancel:
    /// a time that has come is not lost.
    pub async fn fired(&mut self) {
        poll_fn(|cx| self.poll_fired(cx)).await;
    }

    /// [`fired`](Self::fired) for a task that polls.
    pub fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(wanted) = self.wanted else { return Poll::Pending };
            if self.armed.is_none_or(|armed| wanted < armed) {
                if wanted <= clock::boot() {
                    self.wanted = None;
                    return Poll::Ready(());
                }
                self.set(wanted);
            }
            // Until the kernel says so it is too early, and no clock is needed.
            ready!(self.poll_expired(cx));
        }
    }

    /// Waits for the kernel's timer.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.timer.poll_read_ready(cx)) {
            Ok(mut guard) => {
                // Not read: the reactor is told of the next expiration whether
                // the last was read or not, and setting the timer clears it.
                guard.clear_ready();
                self.armed = None;
                Poll::Ready(())
            }
            // The runtime is shutting down; nobody waits any more.
            Err(_) => Poll::Pending,
        }
    }

    fn set(&mut self, at: Instant) {
        // Zero would disarm. It is in the past like the nanosecond after it.
        let at_least = at.since_boot().max(Duration::from_nanos(1));
        self.timer
            .get_ref()
            .0
            .set(
                Expiration::OneShot(TimeSpec::from_duration(at_least)),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            )
            .expect("the descriptor is a timer and the time is neither negative nor out of range");
        self.armed = Some(at);
        #[cfg(test)]
        {
            self.settings += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn the_kernel_is_called_only_for_an_earlier_time() {
        let mut timer = BootTimer::new().unwrap();
        let start = clock::boot();
        for (hours, settings) in [
            (Some(5), 1),
            (Some(5), 1),
            (Some(6), 1),
            (None, 1),
            (Some(7), 1),
            (Some(4), 2),
            (Some(5), 2),
            (Some(1), 3),
        ] {
            timer.arm(hours.map(|hours| start + HOUR * hours));
            assert!(timer.poll_fired(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(timer.settings, settings, "{hours:?}");
        }
    }

    #[tokio::test]
    async fn a_time_that_has_come_needs_no_kernel() {
        let mut timer = BootTimer::new().unwrap();
        for at in [Instant::ZERO, clock::boot()] {
            timer.arm(Some(at));
            timer.fired().await;
        }
        assert_eq!(timer.settings, 0);
        assert!(timer.poll_fired(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    #[tokio::test]
    async fn it_fires_at_the_time_wanted_and_not_at_the_one_armed() {
        let mut timer = BootTimer::new().unwrap();
        let start = clock::boot();
        let (early, late) = (start + Duration::from_millis(2), start + Duration::from_millis(6));
        timer.arm(Some(early));
        assert!(timer.poll_fired(&mut Context::from_waker(Waker::noop())).is_pending());
        timer.arm(Some(late));
        timer.fired().await;
        assert!(clock::boot() >= late);
        assert_eq!(timer.settings, 2);
    }
}
