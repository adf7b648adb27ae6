//! One connected UDP socket: the kernel lets nothing in but what comes from the
//! address and port of the server (Transport 3, 2.7).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::task::{Context, Poll, ready};

use lwm2m_model::Instant;
use lwm2m_security::DEFAULT_MAX_DATAGRAM;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::IpMtu;
use tokio::io::unix::AsyncFd;

use crate::Counters;
use crate::batch::{self, Drained, ReceiveBatch};
use crate::descriptor;
use crate::outgoing::{Errors, Outgoing};

/// A socket with its queue.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: AsyncFd<UdpSocket>,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) outgoing: Outgoing,
    /// Whether anything came from the peer.
    pub(crate) heard: bool,
    /// Whether an error is worth a wake-up of its own.
    watches_errors: bool,
}

impl Socket {
    /// Connects to `peer` from the first of `ports` that is free, else from any.
    pub(crate) fn connect(
        peer: SocketAddr,
        ports: [Option<u16>; 2],
        batch: &mut ReceiveBatch,
    ) -> io::Result<Self> {
        let any = any_address(peer);
        let known = ports.into_iter().flatten().find_map(|port| UdpSocket::bind((any, port)).ok());
        let socket = match known {
            Some(socket) => socket,
            None => UdpSocket::bind((any, 0))?,
        };
        Self::over(socket, peer, batch)
    }

    /// Connects a socket that is bound.
    fn over(socket: UdpSocket, peer: SocketAddr, batch: &mut ReceiveBatch) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.connect(peer)?;
        discard_strangers(&socket, batch);
        Ok(Self {
            local: socket.local_addr()?,
            peer,
            outgoing: Outgoing::default(),
            heard: false,
            watches_errors: true,
            socket: descriptor::register(socket)?,
        })
    }

    /// True if a new socket to the peer would be given the same local address: a
    /// connected socket keeps an address that the device no longer has, and what
    /// it sends goes nowhere.
    pub(crate) fn has_its_address(&self) -> bool {
        let local = UdpSocket::bind((any_address(self.peer), 0)).and_then(|socket| {
            socket.connect(self.peer)?;
            socket.local_addr()
        });
        local.is_ok_and(|local| local.ip() == self.local.ip())
    }

    /// Largest datagram in bytes that the path takes for certain.
    pub(crate) fn max_datagram(&self) -> usize {
        let headers = match self.peer {
            SocketAddr::V4(_) => IPV4_HEADER + UDP_HEADER,
            SocketAddr::V6(_) => IPV6_HEADER + UDP_HEADER,
        };
        let mtu = getsockopt(self.socket.get_ref(), IpMtu).ok();
        max_datagram(mtu.and_then(|mtu| usize::try_from(mtu).ok()), headers)
    }

    /// Sends what is queued.
    ///
    /// # Errors
    ///
    /// The peer is not there. Once something came from it there are none.
    pub(crate) fn flush(&mut self, now: Instant, counters: &mut Counters) -> io::Result<()> {
        let errors = self.errors();
        let socket = self.socket.get_ref();
        self.outgoing.flush(now, errors, counters, |queue| batch::send(socket, queue))
    }

    /// Waits for datagrams and puts them into `batch`.
    ///
    /// # Errors
    ///
    /// The peer is not there. Once something came from it there are none.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut ReceiveBatch,
        counters: &mut Counters,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.poll_receive_once(cx, batch) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Poll::Ready(Err(error)) => {
                    // The reactor's mark of an error stays for ever: looking at
                    // it again would find it again.
                    self.watches_errors = false;
                    match self.errors() {
                        Errors::Fatal => return Poll::Ready(Err(error)),
                        Errors::Counted => counters.refused += 1,
                    }
                }
                Poll::Ready(Ok(())) => {
                    self.heard = true;
                    self.watches_errors = false;
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_receive_once(
        &self,
        cx: &mut Context<'_>,
        batch: &mut ReceiveBatch,
    ) -> Poll<io::Result<()>> {
        // An ICMP error alone makes a socket neither readable nor writable; the
        // reactor takes it for the end of writing.
        if self.watches_errors
            && self.socket.poll_write_ready(cx)?.is_ready()
            && let Some(error) = self.socket.get_ref().take_error()?
        {
            return Poll::Ready(Err(error));
        }
        let mut guard = ready!(self.socket.poll_read_ready(cx))?;
        match batch.receive(guard.get_inner()) {
            Ok(Drained::Perhaps) => Poll::Ready(Ok(())),
            // A socket that was emptied wakes the reactor with the next datagram:
            // another call would only say that there is none.
            Ok(Drained::Yes) => {
                guard.clear_ready();
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                // What an ICMP message told comes before what is in the queue.
                if error.kind() != io::ErrorKind::ConnectionRefused {
                    guard.clear_ready();
                }
                Poll::Ready(Err(error))
            }
        }
    }

    const fn errors(&self) -> Errors {
        if self.heard { Errors::Counted } else { Errors::Fatal }
    }
}

/// The unspecified address of the family of `peer`.
const fn any_address(peer: SocketAddr) -> IpAddr {
    match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// Takes out what came in between bind and connect, from wherever.
fn discard_strangers(socket: &UdpSocket, batch: &mut ReceiveBatch) {
    for _ in 0..MAX_STRANGER_BATCHES {
        if !matches!(batch.receive(socket), Ok(Drained::Perhaps)) {
            return;
        }
    }
}

fn max_datagram(mtu: Option<usize>, headers: usize) -> usize {
    mtu.map_or(UNKNOWN_MAX_DATAGRAM, |mtu| mtu.saturating_sub(headers).min(DEFAULT_MAX_DATAGRAM))
}

/// RFC 7252 4.6.
const UNKNOWN_MAX_DATAGRAM: usize = 1152;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;

/// More than a receive buffer of the usual 208 KiB holds of the smallest
/// datagrams. The peer itself may go on sending.
const MAX_STRANGER_BATCHES: usize = 32;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::batch::Datagram;

    #[test]
    fn a_datagram_fits_the_interface_and_an_ipv6_path() {
        for (mtu, headers, bytes) in [
            (Some(65_536), 28, 1232),
            (Some(1500), 28, 1232),
            (Some(1280), 48, 1232),
            (Some(1260), 28, 1232),
            (Some(576), 28, 548),
            (Some(10), 28, 0),
            (None, 28, 1152),
        ] {
            assert_eq!(max_datagram(mtu, headers), bytes, "{mtu:?}");
        }
    }

    #[tokio::test]
    async fn what_a_stranger_sent_before_the_connection_is_discarded() {
        let [local, peer, stranger] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = local.local_addr().unwrap();
        for _ in 0..40 {
            stranger.send_to(b"reboot", address).unwrap();
        }
        let mut batch = ReceiveBatch::new();
        let mut socket = Socket::over(local, peer.local_addr().unwrap(), &mut batch).unwrap();
        peer.send_to(b"hello", address).unwrap();
        let mut counters = Counters::default();
        poll_fn(|cx| socket.poll_receive(cx, &mut batch, &mut counters)).await.unwrap();
        let received: Vec<_> = batch
            .datagrams()
            .map(|datagram| match datagram {
                Datagram::Whole(bytes) => bytes,
                Datagram::Truncated => panic!("truncated"),
            })
            .collect();
        assert_eq!(received, [b"hello"]);
    }

    #[tokio::test]
    async fn the_mtu_of_a_connected_socket_is_known() {
        for peer in ["127.0.0.1:9", "[::1]:9"] {
            let peer = peer.parse().unwrap();
            match Socket::connect(peer, [None; 2], &mut ReceiveBatch::new()) {
                Ok(socket) => assert_eq!(socket.max_datagram(), 1232, "{peer}"),
                Err(error) => eprintln!("not run for {peer}: {error}"),
            }
        }
    }
}
