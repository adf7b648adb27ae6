//! The links of all servers, driven by the task that owns them.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use lwm2m_engine::LinkId;
use lwm2m_model::Instant;
use lwm2m_security::{
    Backend, HANDSHAKE_LIMIT, INITIAL_RETRANSMISSION, LinkError, OpenSsl, Secret,
};

use crate::batch::ReceiveBatch;
use crate::link::{Link, Progress};
use crate::memory::Memory;
use crate::{LinkEvent, LinkSecurity, clock};

/// A set of links.
///
/// It spawns no task and has no timer: the owner waits for
/// [`next`](Self::next), calls [`handle_timeout`](Self::handle_timeout) when
/// [`next_timeout`](Self::next_timeout) has come, and [`flush`](Self::flush)
/// after a run of [`send`](Self::send). It may go to another thread between two calls.
///
/// ```
/// use lwm2m_engine::LinkId;
/// use lwm2m_transport::{LinkEvent, LinkSecurity, Links, LinksConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let server = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let uri = format!("coap://{}", server.local_addr()?);
///
/// let mut links = Links::new(LinksConfig::default());
/// links.open(LinkId(1), 101, &uri, LinkSecurity::NoSec);
/// let mut up = false;
/// links.next(&mut |event| up = matches!(event, LinkEvent::Up { .. })).await;
/// assert!(up);
/// links.send(LinkId(1), b"hello".to_vec());
/// links.flush();
///
/// let mut buffer = [0; 16];
/// assert_eq!(server.recv(&mut buffer)?, 5);
/// # Ok(())
/// # }
/// ```
pub struct Links {
    links: Vec<Link>,
    shared: Shared,
}

/// What all links use.
pub(crate) struct Shared {
    pub(crate) config: LinksConfig,
    pub(crate) receive: ReceiveBatch,
    pub(crate) memory: Memory,
    pub(crate) counters: Counters,
    /// Made with the first secure link: a library that nobody needs costs memory.
    backend: Option<Box<dyn Backend>>,
}

impl Shared {
    pub(crate) fn backend(&mut self) -> Result<&dyn Backend, LinkError> {
        let backend = match self.backend.take() {
            Some(backend) => backend,
            None => Box::new(OpenSsl::new()?),
        };
        Ok(&**self.backend.insert(backend))
    }
}

impl Links {
    /// No links yet.
    pub fn new(config: LinksConfig) -> Self {
        Self {
            links: Vec::new(),
            shared: Shared {
                config,
                receive: ReceiveBatch::new(),
                memory: Memory::default(),
                counters: Counters::default(),
                backend: None,
            },
        }
    }

    /// Begins to open a link to a server; [`next`](Self::next) tells what becomes
    /// of it: [`LinkEvent::Up`] or [`LinkEvent::Down`]. A link that has the same
    /// name already is closed.
    ///
    /// An account without a short server ID (the bootstrap server) is server 0.
    pub fn open(&mut self, link: LinkId, server: u16, uri: &str, security: LinkSecurity) {
        self.close(link);
        if self.links.len() >= MAX_LINKS {
            let reason = format!("{MAX_LINKS} links are open already");
            self.links.push(Link::refused(link, reason));
            return;
        }
        let memory = self.shared.memory.of(server, uri);
        let link = Link::new(link, server, uri, security, memory);
        self.links.push(link);
    }

    /// Queues a datagram; it leaves with the next [`flush`](Self::flush), or when
    /// the queue is full. Over a link that is not up it is counted and dropped.
    pub fn send(&mut self, link: LinkId, bytes: Vec<u8>) {
        let Some(link) = self.links.iter_mut().find(|other| other.id == link) else {
            self.shared.counters.unsent += 1;
            return;
        };
        if !link.has_room() {
            link.flush(clock::boot(), &mut self.shared);
        }
        link.send(bytes, &mut self.shared);
    }

    /// Sends what is queued on all links, with one system call for up to 16
    /// datagrams of a link. What the system has no room for leaves later.
    pub fn flush(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.wants_flush()) {
            link.flush(clock::boot(), &mut self.shared);
        }
    }

    /// Says goodbye to the peer and drops the link; nothing more is told of it. A
    /// DTLS session and the local port are kept in memory for the next link to
    /// this server.
    pub fn close(&mut self, link: LinkId) {
        if let Some(index) = self.links.iter().position(|other| other.id == link) {
            self.links.remove(index).close(&mut self.shared);
        }
    }

    /// What is known of servers and has changed since the last call: a session that can
    /// be resumed and the address from which they know us, by Short Server ID. As secret
    /// as a key.
    pub fn changed_memory(&mut self) -> Vec<(u16, Secret)> {
        self.shared.memory.take_changed()
    }

    /// Takes over what [`changed_memory`](Self::changed_memory) gave to an earlier process;
    /// what this one cannot read is left out.
    pub fn restore_memory(&mut self, server: u16, blob: &[u8]) {
        self.shared.memory.restore(server, blob);
    }

    /// Forgets what is known of a server: the next link to it has nothing in common
    /// with those before.
    pub fn forget_memory(&mut self, server: u16) {
        self.shared.memory.forget(server);
    }

    /// Waits until something has happened to a link and gives it to `on`: all
    /// that there is at the moment, up to 16 datagrams of a link. It may have
    /// nothing to give but a new [`next_timeout`](Self::next_timeout), and never
    /// returns if there are no links. Safe to cancel: it holds nothing between
    /// two polls.
    pub async fn next(&mut self, on: &mut impl FnMut(LinkEvent<'_>)) {
        poll_fn(|cx| self.poll_next(cx, on)).await;
    }

    /// [`next`](Self::next) for a task that polls.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        on: &mut impl FnMut(LinkEvent<'_>),
    ) -> Poll<()> {
        let Self { links, shared } = self;
        let mut outcome = Poll::Pending;
        links.retain_mut(|link| {
            let progress = link.poll(cx, shared, on);
            if progress != Progress::None {
                outcome = Poll::Ready(());
            }
            progress != Progress::Over
        });
        outcome
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: retransmissions of
    /// handshakes, and datagrams for which the system had no room.
    /// [`Instant::ZERO`] means at once.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        self.links.iter_mut().filter_map(Link::timeout).min()
    }

    /// Does what time asks for. Calling it early does no harm. Afterwards
    /// [`next`](Self::next) may have something to tell.
    pub fn handle_timeout(&mut self, now: Instant) {
        for link in &mut self.links {
            if link.timeout().is_some_and(|due| due <= now) {
                link.handle_timeout(now, &mut self.shared);
            }
        }
    }

    /// Ends the links whose local address the device no longer has, or would no
    /// longer use; [`next`](Self::next) tells. For when the network has changed.
    pub fn check_addresses(&mut self) {
        for link in &mut self.links {
            link.check_address(&mut self.shared);
        }
    }

    /// What went wrong since the start.
    pub const fn counters(&self) -> Counters {
        self.shared.counters
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("links", &self.links)
            .field("config", &self.shared.config)
            .field("memory", &self.shared.memory)
            .field("counters", &self.shared.counters)
            .finish_non_exhaustive()
    }
}

/// Times of handshakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinksConfig {
    /// Time that opening a secure link may take; several addresses share it.
    pub handshake_limit: Duration,
    /// Time to the first retransmission in a handshake: 1 s, or 9 s on slow
    /// networks (RFC 7925 11).
    pub initial_retransmission: Duration,
}

impl Default for LinksConfig {
    fn default() -> Self {
        Self { handshake_limit: HANDSHAKE_LIMIT, initial_retransmission: INITIAL_RETRANSMISSION }
    }
}

/// Datagrams that were lost, and what else to look for when a network is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Empty datagrams received, and ignored.
    pub empty: u64,
    /// Datagrams received that were too long, and ignored.
    pub truncated: u64,
    /// Errors that the network reported although the peer had been there.
    pub refused: u64,
    /// Datagrams that the system, or a link that was not up, did not take.
    pub unsent: u64,
    /// Datagrams pushed out of a full queue.
    pub dropped: u64,
}

/// Links that can be open. The engine has one for each server.
pub const MAX_LINKS: usize = 32;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use lwm2m_security::Psk;

    use super::*;
    use crate::BootTimer;

    #[tokio::test]
    async fn each_address_is_tried_and_has_its_share_of_the_time() {
        let handshake_limit = Duration::from_millis(100);
        let mut links = Links::new(LinksConfig { handshake_limit, ..Default::default() });
        let mut timer = BootTimer::new().unwrap();
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (uri, peer) = ("coaps://two.invalid", silent.local_addr().unwrap());
        let psk = Psk::new("id", Secret::new(vec![1; 16])).unwrap();
        links.open(LinkId(1), 101, uri, LinkSecurity::Psk(psk));
        links.links[0].found(vec![closed, peer], &mut links.shared);

        let mut reason = None;
        while reason.is_none() {
            timer.arm(links.next_timeout());
            let mut on = |event: LinkEvent<'_>| match event {
                LinkEvent::Down { reason: why, .. } => reason = Some(why),
                other => panic!("{other:?}"),
            };
            tokio::select! {
                () = links.next(&mut on) => {}
                () = timer.fired() => links.handle_timeout(clock::boot()),
            }
        }
        let expected = format!(
            "no address answers: {closed}: the port is closed: nothing listens at {closed}; \
             {peer}: no answer to the DTLS handshake in 0.05 s"
        );
        assert_eq!(reason.unwrap(), expected);
        // Next time the other one comes first.
        assert_eq!(links.shared.memory.of(101, uri).avoid, Some(peer));
    }
}
