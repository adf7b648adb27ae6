//! Notices that the network of the device is another one.
//!
//! 1. The socket joins the kernel's groups, then asks for what is: links,
//!    addresses, routes, one after the other.
//! 2. A message that changes a fact starts the settle time; later ones within it
//!    are part of the same change.
//! 3. When it is over, facts that differ from those before are a change.
//!
//! If the kernel lost messages for us, it is asked anew.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lwm2m_model::Instant;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    socket,
};
use tokio::io::unix::AsyncFd;
use tracing::{debug, warn};

use crate::link_facts::Facts;
use crate::{clock, descriptor};

/// Watches addresses, default routes and carriers, the loopback's aside.
///
/// It has no timer: the owner waits for [`next`](Self::next) and calls
/// [`handle_timeout`](Self::handle_timeout) when
/// [`next_timeout`](Self::next_timeout) has come.
#[derive(Debug)]
pub struct LinkWatch {
    /// `None` where the kernel or a sandbox does not let us watch.
    socket: Option<AsyncFd<OwnedFd>>,
    facts: Facts,
    /// The facts of which the owner knows; `None` until all was asked once.
    told: Option<Facts>,
    /// What is asked now and next; the kernel answers one question at a time.
    question: Option<Question>,
    /// Whether messages were lost since the first of these questions.
    lost: bool,
    settles_at: Option<Instant>,
}

/// What the kernel is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Links,
    Addresses,
    Routes,
}

impl LinkWatch {
    /// Begins to watch. Where that is not allowed it says so once in the log,
    /// and never reports a change: links are then tried again by their own
    /// timers. Needs a tokio runtime with I/O enabled.
    pub fn new() -> Self {
        let socket = open()
            .inspect_err(|error| {
                warn!(%error, "cannot watch the network: changes of it go unnoticed");
            })
            .ok();
        let mut watch = Self {
            socket,
            facts: Facts::default(),
            told: None,
            question: None,
            lost: false,
            settles_at: None,
        };
        watch.ask_anew();
        watch
    }

    /// Waits until [`next_timeout`](Self::next_timeout) may be another one. Safe
    /// to cancel: nothing is lost.
    pub async fn next(&mut self) {
        poll_fn(|cx| self.poll_next(cx)).await;
    }

    /// [`next`](Self::next) for a task that polls.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.settles_at;
        while self.settles_at == before {
            ready!(self.poll_read(cx));
        }
        Poll::Ready(())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.settles_at
    }

    /// Gives whether the network has changed since it was last told so, and is
    /// now quiet for [`SETTLE_TIME`].
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.settles_at.is_none_or(|at| now < at) {
            return false;
        }
        self.settles_at = None;
        let changed = self.told.as_ref().is_some_and(|told| *told != self.facts);
        if changed {
            self.told = Some(self.facts.clone());
        }
        changed
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(socket) = &self.socket else { return Poll::Pending };
        let Ok(mut guard) = ready!(socket.poll_read_ready(cx)) else { return Poll::Pending };
        let mut buffer = [0; BUFFER];
        match recvfrom::<NetlinkAddr>(guard.get_inner().as_raw_fd(), &mut buffer) {
            Ok((len, from)) => {
                drop(guard);
                // Only the kernel has port 0.
                if from.is_none_or(|from| from.pid() == 0) {
                    self.take_in(buffer.get(..len).unwrap_or_default());
                }
            }
            Err(Errno::EAGAIN) => guard.clear_ready(),
            Err(Errno::EINTR) => {}
            // Messages were lost.
            Err(Errno::ENOBUFS) => {
                drop(guard);
                if self.question.is_some() {
                    self.lost = true;
                } else {
                    self.ask_anew();
                }
            }
            Err(error) => {
                warn!(%error, "cannot watch the network any more: changes of it go unnoticed");
                drop(guard);
                self.socket = None;
            }
        }
        Poll::Ready(())
    }

    /// Takes in the messages of one read.
    fn take_in(&mut self, mut bytes: &[u8]) {
        while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => self.learn(&inner),
                NetlinkPayload::Done(_) => self.answered(),
                // A question that is refused has no answer to wait for.
                NetlinkPayload::Error(error) => {
                    debug!(?error, question = ?self.question, "netlink refused");
                    self.answered();
                }
                // Noop, Overrun, and what a later version of the crate may add.
                _ => {}
            }
            let aligned = usize::try_from(message.header.length)
                .unwrap_or(usize::MAX)
                .checked_next_multiple_of(ALIGNMENT);
            match aligned.and_then(|len| bytes.get(len..)) {
                Some(rest) if !rest.is_empty() && rest.len() < bytes.len() => bytes = rest,
                _ => return,
            }
        }
    }

    fn learn(&mut self, message: &RouteNetlinkMessage) {
        self.facts.learn(message);
        // While questions are open the facts are incomplete.
        if self.question.is_none() {
            self.settle();
        }
    }

    /// Starts the settle time if there is something to settle.
    fn settle(&mut self) {
        if self.settles_at.is_none() && self.told.as_ref() != Some(&self.facts) {
            self.settles_at = Some(clock::boot() + SETTLE_TIME);
        }
    }

    fn ask_anew(&mut self) {
        self.lost = false;
        self.facts = Facts::default();
        self.ask(Question::Links);
    }

    fn ask(&mut self, question: Question) {
        let Some(socket) = &self.socket else { return };
        self.question = Some(question);
        let message = match question {
            Question::Links => RouteNetlinkMessage::GetLink(LinkMessage::default()),
            Question::Addresses => RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            Question::Routes => RouteNetlinkMessage::GetRoute(RouteMessage::default()),
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, message.into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        if let Err(error) = send(socket.get_ref().as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT) {
            debug!(%error, ?question, "netlink refused");
            self.answered();
        }
    }

    /// The answer to the current question is complete.
    fn answered(&mut self) {
        match self.question.take() {
            Some(Question::Links) => self.ask(Question::Addresses),
            Some(Question::Addresses) => self.ask(Question::Routes),
            Some(Question::Routes) if self.lost => self.ask_anew(),
            Some(Question::Routes) => match self.told {
                None => self.told = Some(self.facts.clone()),
                Some(_) => self.settle(),
            },
            None => {}
        }
    }
}

impl Default for LinkWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn open() -> io::Result<AsyncFd<OwnedFd>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    descriptor::register(socket)
}

/// Time in which changes become one: a cable that is plugged in brings a
/// carrier, an address and a route.
pub const SETTLE_TIME: Duration = Duration::from_secs(1);

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR and
/// RTMGRP_IPV6_ROUTE of linux/rtnetlink.h.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// The kernel fills no more than this in answers, and a notification is smaller.
const BUFFER: usize = 8192;

/// NLMSG_ALIGNTO of linux/netlink.h.
const ALIGNMENT: usize = 4;
