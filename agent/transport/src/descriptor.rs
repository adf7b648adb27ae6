//! Registers descriptors with the reactor, for reading alone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::sys::timerfd::TimerFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `inner`, to be waited for until it can be read.
///
/// Nobody waits for a socket to become writable: with that interest the kernel
/// would report every datagram that has left as an event of its own, one more
/// return from `epoll_wait` for each.
#[expect(
    deprecated,
    reason = "its successor is unsafe, as some AsRawFd could change its descriptor or close it; \
              `Owner` is sealed to types that own one and keep it"
)]
pub(crate) fn register<T: Owner>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, Interest::READABLE)
}

/// A type that owns one descriptor and keeps it open until it is dropped.
pub(crate) trait Owner: AsRawFd {}

impl Owner for std::net::UdpSocket {}
impl Owner for OwnedFd {}
impl Owner for Timer {}

/// A timer as the reactor wants it.
#[derive(Debug)]
pub(crate) struct Timer(pub(crate) TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
