//! The server's end of one link, plain or DTLS, with blocking calls.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lwm2m_model::Instant;
use lwm2m_security::{DtlsServerContext, DtlsServerLink};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg, setsockopt};

/// A link to the agent, or to the floor.
pub(crate) struct Channel {
    socket: UdpSocket,
    secure: Option<DtlsServerLink>,
    started: std::time::Instant,
    receive_headers: MultiHeaders<()>,
    send_headers: MultiHeaders<()>,
    buffers: Vec<Vec<u8>>,
    /// Messages that came with one that was waited for.
    pending: VecDeque<Vec<u8>>,
}

impl Channel {
    /// A link over a socket that is connected.
    pub(crate) fn over(socket: UdpSocket) -> Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        // A thousand notifications come before anybody receives, since all share a
        // core. Without the right to take so much the system gives what it allows.
        if setsockopt(&socket, RcvBufForce, &ROOM).is_err() {
            setsockopt(&socket, RcvBuf, &ROOM)?;
        }
        Ok(Self {
            socket,
            secure: None,
            started: std::time::Instant::now(),
            receive_headers: MultiHeaders::preallocate(BATCH, None),
            send_headers: MultiHeaders::preallocate(BATCH, None),
            buffers: vec![vec![0; BUFFER]; BATCH],
            pending: VecDeque::new(),
        })
    }

    /// Waits for a client and takes it; its datagram is still to be received.
    pub(crate) fn accept(socket: &UdpSocket, dtls: Option<&DtlsServerContext>) -> Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        let (_, peer) = socket.peek_from(&mut [0]).context("no datagram of the agent came")?;
        let socket = socket.try_clone()?;
        socket.connect(peer)?;
        let mut channel = Self::over(socket)?;
        channel.secure = dtls.map(DtlsServerContext::accept).transpose()?;
        Ok(channel)
    }

    /// Sends messages, up to [`BATCH`] with one system call.
    pub(crate) fn send(&mut self, messages: &[Vec<u8>]) -> Result<()> {
        let Some(secure) = &mut self.secure else {
            return send_all(&self.socket, &mut self.send_headers, messages);
        };
        for message in messages {
            secure.write(message)?;
        }
        self.send_records()
    }

    /// The next message; waits for it.
    pub(crate) fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(message) = self.pending.pop_front() {
                return Ok(message);
            }
            let mut messages = Vec::new();
            self.receive(|bytes| messages.push(bytes.to_vec()))?;
            self.pending.extend(messages);
        }
    }

    /// Waits for datagrams, gives `on` the messages in them and says how many
    /// there were.
    pub(crate) fn receive(&mut self, mut on: impl FnMut(&[u8])) -> Result<usize> {
        if !self.pending.is_empty() {
            self.pending.iter().for_each(|message| on(message));
            return Ok(self.pending.drain(..).count());
        }
        let mut slices: Vec<[io::IoSliceMut<'_>; 1]> =
            self.buffers.iter_mut().map(|buffer| [io::IoSliceMut::new(buffer)]).collect();
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_WAITFORONE);
        let received = recvmmsg(socket, &mut self.receive_headers, slices.iter_mut(), flags, None)
            .context("no answer came")?;
        let lengths: Vec<usize> = received.map(|message| message.bytes).collect();
        let Some(secure) = &mut self.secure else {
            for (length, buffer) in lengths.iter().zip(&self.buffers) {
                on(&buffer[..*length]);
            }
            return Ok(lengths.len());
        };
        let mut messages = 0;
        for (length, buffer) in lengths.iter().zip(&self.buffers) {
            let now = Instant::from_boot(self.started.elapsed());
            secure.handle_datagram(now, &buffer[..*length])?;
            while let Some(message) = secure.read() {
                on(&message);
                messages += 1;
            }
        }
        self.send_records()?;
        Ok(messages)
    }

    fn send_records(&mut self) -> Result<()> {
        let Some(secure) = &mut self.secure else { return Ok(()) };
        let records: Vec<Vec<u8>> = std::iter::from_fn(|| secure.poll_datagram()).collect();
        send_all(&self.socket, &mut self.send_headers, &records)
    }
}

fn send_all(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<()>,
    messages: &[Vec<u8>],
) -> Result<()> {
    for batch in messages.chunks(BATCH) {
        if let [only] = batch {
            socket.send(only)?;
            continue;
        }
        let slices: Vec<[io::IoSlice<'_>; 1]> =
            batch.iter().map(|message| [io::IoSlice::new(message)]).collect();
        let flags = MsgFlags::empty();
        let sent =
            sendmmsg(socket.as_raw_fd(), headers, &slices, vec![None; batch.len()], [], flags)?;
        let sent = sent.count();
        if sent < batch.len() {
            bail!("the system took {sent} of {} datagrams", batch.len());
        }
    }
    Ok(())
}

/// Datagrams per system call.
const BATCH: usize = 32;
/// More than a datagram of the agent has.
const BUFFER: usize = 2048;
/// Bytes of datagrams that wait, with what the kernel adds to each.
const ROOM: usize = 4 * 1024 * 1024;
/// What takes longer on a loopback interface is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
