//! Many datagrams with one system call, in buffers made once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};

thread_local! {
    /// Room for the headers of a call, made once. It holds raw pointers, so it stays with
    /// its thread, and links can go from one thread to another; between calls it says
    /// nothing.
    static TO_RECEIVE: RefCell<MultiHeaders<()>> =
        RefCell::new(MultiHeaders::preallocate(BATCH, None));
    static TO_SEND: RefCell<MultiHeaders<()>> =
        RefCell::new(MultiHeaders::preallocate(BATCH, None));
}

/// Where received datagrams are until the next batch.
pub(crate) struct ReceiveBatch {
    buffers: Box<[[u8; BUFFER]]>,
    received: Vec<Received>,
}

#[derive(Clone, Copy)]
struct Received {
    len: usize,
    truncated: bool,
}

/// One datagram of a batch.
pub(crate) enum Datagram<'a> {
    Whole(&'a [u8]),
    /// It was longer than a buffer; the rest is lost.
    Truncated,
}

impl ReceiveBatch {
    pub(crate) fn new() -> Self {
        Self {
            buffers: vec![[0; BUFFER]; BATCH].into_boxed_slice(),
            received: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there, up to [`BATCH`] datagrams; fewer mean that the socket
    /// was empty at that moment.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<Drained> {
        let Self { buffers, received } = self;
        received.clear();
        TO_RECEIVE.with_borrow_mut(|headers| -> io::Result<()> {
            let mut buffers = buffers.iter_mut();
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
                [IoSliceMut::new(buffers.next().map_or(&mut [], |buffer| &mut buffer[..]))]
            });
            let flags = MsgFlags::MSG_DONTWAIT;
            let messages = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None)?;
            received.extend(messages.map(|message| Received {
                len: message.bytes,
                truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
            }));
            Ok(())
        })?;
        Ok(if self.received.len() < BATCH { Drained::Yes } else { Drained::Perhaps })
    }

    /// What the last [`receive`](Self::receive) took, in order.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.received.iter().zip(&self.buffers).map(|(received, buffer)| {
            match buffer.get(..received.len) {
                Some(datagram) if !received.truncated => Datagram::Whole(datagram),
                _ => Datagram::Truncated,
            }
        })
    }
}

/// Whether a socket was emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    Yes,
    Perhaps,
}

/// Sends the first datagrams of `queue`, up to [`BATCH`], and says how many. An error
/// concerns the first of them: later ones wait for the next call.
pub(crate) fn send(socket: &UdpSocket, queue: &VecDeque<Vec<u8>>) -> io::Result<usize> {
    if let (Some(only), 1) = (queue.front(), queue.len()) {
        return socket.send(only).map(|_| 1);
    }
    let count = queue.len().min(BATCH);
    let mut datagrams = queue.iter();
    let slices: [[IoSlice<'_>; 1]; BATCH] =
        std::array::from_fn(|_| [IoSlice::new(datagrams.next().map_or(&[], Vec::as_slice))]);
    TO_SEND.with_borrow_mut(|headers| {
        let sent = sendmmsg(
            socket.as_raw_fd(),
            headers,
            slices.iter().take(count),
            [const { None }; BATCH],
            [],
            MsgFlags::MSG_DONTWAIT,
        )?;
        Ok(sent.count())
    })
}

/// Datagrams per call. The budget counts reads with up to 32 outstanding: two
/// calls for those are as good as one, and half the buffers.
pub(crate) const BATCH: usize = 16;

/// Bytes per datagram. Ours have at most 1232, and one that is not fragmented on
/// an Ethernet at most 1472. All buffers together are 32 KiB, once for all links.
const BUFFER: usize = 2048;
