//! Descriptors of the kernel that become readable when there is news.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A non-blocking descriptor that tokio watches.
pub(super) struct Readable<T: AsFd>(AsyncFd<Owned<T>>);

impl<T: AsFd> Readable<T> {
    /// Watches a descriptor, which must be non-blocking.
    pub(super) fn new(descriptor: T) -> io::Result<Self> {
        // The successor of this function is unsafe, and unsafe code has one place
        // in this workspace. What it demands, that the descriptor is open and the
        // same until the end, holds: an owner of one descriptor is moved in, and
        // nobody else gets at it.
        #[allow(deprecated)]
        AsyncFd::with_interest(Owned(descriptor), Interest::READABLE).map(Self)
    }

    /// Reads when there is something to read. Cancel safe.
    pub(super) async fn read<R>(
        &self,
        mut read: impl FnMut(&T) -> nix::Result<R>,
    ) -> io::Result<R> {
        loop {
            let mut ready = self.0.readable().await?;
            match read(&self.0.get_ref().0) {
                Ok(result) => return Ok(result),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Gives the descriptor in the way that tokio asks for it.
struct Owned<T>(T);

impl<T: AsFd> AsRawFd for Owned<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
