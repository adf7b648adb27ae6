//! One attempt to reach a server, from its name to the end.
//!
//! 1. The host is resolved; the address that worked last comes first.
//! 2. A socket is connected to the first address, from the port used last.
//! 3. `coaps`: a DTLS handshake. If it fails, the next address is tried.
//! 4. The link is up; datagrams pass.
//! 5. It is closed from here, or ends with a reason.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lwm2m_engine::{Continuity, LinkId};
use lwm2m_model::Instant;
use lwm2m_security::{Import, LinkConfig, LinkError, Psk, Secret, Silence, State};
use tracing::debug;

use crate::batch::Datagram;
use crate::channel::Channel;
use crate::event::Sink;
use crate::links::Shared;
use crate::memory::ServerMemory;
use crate::resolve::is_no_such_name;
use crate::socket::Socket;
use crate::{DownKind, LinkEvent, LinkSecurity, Scheme, ServerUri, clock, reason, resolve};

/// A link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    server: u16,
    /// As the account has it: the name of the server in the memory.
    uri: String,
    security: LinkSecurity,
    stage: Stage,
    /// Addresses not tried yet.
    addresses: VecDeque<SocketAddr>,
    /// How many there were.
    found: u32,
    failures: Vec<(SocketAddr, String)>,
}

enum Stage {
    Resolving(ServerUri, Lookup),
    Connecting,
    Open(Box<Channel>),
    Ended(DownKind, String),
}

type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// What a poll of a link came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing: its task will be woken.
    None,
    /// Something; there may be more.
    Some,
    /// Its end was told.
    Over,
}

impl Link {
    /// A link that resolves the host of `uri`. Nothing happens before it is
    /// polled.
    pub(crate) fn new(
        id: LinkId,
        server: u16,
        uri: &str,
        security: LinkSecurity,
        memory: &ServerMemory,
    ) -> Self {
        let stage = match checked(uri, &security) {
            Ok(parsed) => {
                let (host, port) = (parsed.host().bare(), parsed.port());
                let preferred = memory.preferred;
                let lookup = async move { resolve(&host, port, preferred).await };
                Stage::Resolving(parsed, Box::pin(lookup))
            }
            Err(reason) => Stage::Ended(DownKind::Failed, reason),
        };
        let addresses = VecDeque::new();
        let uri = uri.to_owned();
        Self { id, server, uri, security, stage, addresses, found: 0, failures: Vec::new() }
    }

    /// A link that only tells why it is none.
    pub(crate) fn refused(id: LinkId, reason: String) -> Self {
        Self {
            id,
            server: 0,
            uri: String::new(),
            security: LinkSecurity::NoSec,
            stage: Stage::Ended(DownKind::Failed, reason),
            addresses: VecDeque::new(),
            found: 0,
            failures: Vec::new(),
        }
    }

    /// Goes as far as it can and gives `on` what happened.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        on: &mut Sink<'_>,
    ) -> Progress {
        loop {
            match &mut self.stage {
                Stage::Resolving(uri, lookup) => match lookup.as_mut().poll(cx) {
                    Poll::Pending => return Progress::None,
                    Poll::Ready(Err(error)) => {
                        let kind = match is_no_such_name(&error) {
                            true => DownKind::NoSuchName,
                            false => DownKind::Failed,
                        };
                        self.stage = Stage::Ended(kind, reason::unresolved(uri.host(), &error));
                    }
                    Poll::Ready(Ok(addresses)) => self.found(addresses, shared),
                },
                Stage::Connecting => {
                    self.connect(shared, on);
                    // It is up, or it has a time-out now.
                    if matches!(self.stage, Stage::Open(_)) {
                        return Progress::Some;
                    }
                }
                Stage::Open(channel) => {
                    let received =
                        channel.socket.poll_receive(cx, &mut shared.receive, &mut shared.counters);
                    match received {
                        Poll::Pending => return Progress::None,
                        Poll::Ready(Ok(())) => match self.take_in(shared, on) {
                            Ok(()) => return Progress::Some,
                            Err(error) => self.secure_failed(&error, shared),
                        },
                        Poll::Ready(Err(error)) => {
                            let reason = reason::unreachable(channel.socket.peer, &error);
                            self.fail(reason, shared);
                        }
                    }
                }
                Stage::Ended(kind, reason) => {
                    let (kind, reason) = (*kind, std::mem::take(reason));
                    on(LinkEvent::Down { link: self.id, kind, reason });
                    return Progress::Over;
                }
            }
        }
    }

    /// Queues a datagram, encrypted if the link is secure.
    pub(crate) fn send(&mut self, bytes: Vec<u8>, shared: &mut Shared) {
        let Stage::Open(channel) = &mut self.stage else {
            shared.counters.unsent += 1;
            return;
        };
        let Some(secure) = &mut channel.secure else {
            channel.socket.outgoing.push(bytes, &mut shared.counters);
            return;
        };
        let written = secure.write(&bytes);
        channel.queue_records(&mut shared.counters);
        match written {
            Ok(()) => {}
            Err(error @ (LinkError::TooBig { .. } | LinkError::NotEstablished)) => {
                debug!(link = self.id.0, server = self.server, %error, "datagram not sent");
                shared.counters.unsent += 1;
            }
            Err(error) => self.secure_failed(&error, shared),
        }
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self, now: Instant, shared: &mut Shared) {
        let Stage::Open(channel) = &mut self.stage else { return };
        let flushed = channel.socket.flush(now, &mut shared.counters);
        if let Err(error) = flushed {
            let reason = reason::unreachable(channel.socket.peer, &error);
            self.fail(reason, shared);
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        match &self.stage {
            Stage::Open(channel) => !channel.socket.outgoing.is_full(),
            Stage::Resolving(..) | Stage::Connecting | Stage::Ended(..) => true,
        }
    }

    pub(crate) fn wants_flush(&self) -> bool {
        match &self.stage {
            Stage::Open(channel) => !channel.socket.outgoing.is_empty(),
            Stage::Resolving(..) | Stage::Connecting | Stage::Ended(..) => false,
        }
    }

    /// Ends the link if the device no longer sends from its address.
    pub(crate) fn check_address(&mut self, shared: &mut Shared) {
        let Stage::Open(channel) = &self.stage else { return };
        if !channel.socket.has_its_address() {
            let local = channel.socket.local.ip();
            self.fail(
                format!("the network has changed: {local} is not our address any more"),
                shared,
            );
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn timeout(&mut self) -> Option<Instant> {
        let Stage::Open(channel) = &mut self.stage else { return None };
        let secure = channel.secure.as_mut().and_then(|secure| secure.timeout());
        secure.into_iter().chain(channel.socket.outgoing.retry_at()).min()
    }

    /// Sends again what is due, or gives up.
    pub(crate) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) {
        let Stage::Open(channel) = &mut self.stage else { return };
        let mut result = Ok(State::Established);
        if let Some(secure) = &mut channel.secure
            && secure.timeout().is_some_and(|due| due <= now)
        {
            result = secure.handle_timeout(now);
            channel.queue_records(&mut shared.counters);
        }
        match result {
            Ok(_) => self.flush(now, shared),
            Err(error) => self.secure_failed(&error, shared),
        }
    }

    /// Says goodbye and leaves what the next link to this server can use.
    pub(crate) fn close(mut self, shared: &mut Shared) {
        let Stage::Open(channel) = &mut self.stage else { return };
        if let Some(secure) = &mut channel.secure {
            secure.close();
            channel.queue_records(&mut shared.counters);
        }
        // Nothing is left to be told if the last datagrams cannot leave.
        let now = clock::boot();
        let _ = channel.socket.flush(now, &mut shared.counters);
        self.leave_memory(shared);
    }

    /// The addresses to try.
    pub(crate) fn found(&mut self, addresses: Vec<SocketAddr>, shared: &mut Shared) {
        self.addresses = addresses.into();
        let avoid = shared.memory.of(self.server, &self.uri).avoid;
        self.addresses.make_contiguous().sort_by_key(|address| Some(*address) == avoid);
        self.found = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        self.stage = Stage::Connecting;
    }

    /// Opens a socket to the next address and begins the handshake if there is
    /// one.
    fn connect(&mut self, shared: &mut Shared, on: &mut Sink<'_>) {
        let Some(peer) = self.addresses.pop_front() else {
            let reason = reason::all_failed(std::mem::take(&mut self.failures));
            self.stage = Stage::Ended(DownKind::Failed, reason);
            return;
        };
        let memory = shared.memory.of(self.server, &self.uri);
        let socket = match Socket::connect(peer, memory.ports(), &mut shared.receive) {
            Ok(socket) => socket,
            Err(error) => {
                self.failures.push((peer, reason::unreachable(peer, &error)));
                return;
            }
        };
        memory.last_port = Some(socket.local.port());
        debug!(link = self.id.0, server = self.server, local = %socket.local, %peer, "connected");
        let (known_local, session) = (memory.known_local, memory.session().cloned());
        match self.security.clone() {
            LinkSecurity::NoSec => {
                let kept = known_local == Some(socket.local);
                let continuity = if kept { Continuity::Kept } else { Continuity::New };
                let max_datagram = socket.max_datagram();
                self.stage = Stage::Open(Box::new(Channel {
                    socket,
                    secure: None,
                    up: true,
                    remembered: false,
                }));
                on(LinkEvent::Up { link: self.id, continuity, max_datagram });
            }
            LinkSecurity::Psk(psk) => self.start_handshake(socket, psk, session, shared),
        }
    }

    fn start_handshake(
        &mut self,
        socket: Socket,
        psk: Psk,
        session: Option<Secret>,
        shared: &mut Shared,
    ) {
        let mut config = LinkConfig::psk(psk);
        config.max_datagram = socket.max_datagram();
        config.initial_retransmission = shared.config.initial_retransmission;
        config.handshake_limit = shared.config.handshake_limit / self.found.max(1);
        let import = session.map_or(Import::Fresh, Import::Session);
        let client = shared.backend().and_then(|backend| backend.client(&config, import));
        let mut secure = match client {
            Ok(secure) => secure,
            // No other address would mend that.
            Err(error) => {
                self.stage = Stage::Ended(DownKind::Failed, error.to_string());
                return;
            }
        };
        let now = clock::boot();
        let started = secure.handle_timeout(now);
        let mut channel =
            Box::new(Channel { socket, secure: Some(secure), up: false, remembered: false });
        channel.queue_records(&mut shared.counters);
        self.stage = Stage::Open(channel);
        match started {
            Ok(_) => self.flush(now, shared),
            Err(error) => self.secure_failed(&error, shared),
        }
    }

    /// Takes in a batch of datagrams.
    fn take_in(&mut self, shared: &mut Shared, on: &mut Sink<'_>) -> Result<(), LinkError> {
        let Stage::Open(channel) = &mut self.stage else { return Ok(()) };
        let Shared { receive, counters, .. } = shared;
        let (link, mut result) = (self.id, Ok(()));
        // Without security nothing here depends on the time, and nothing is sent.
        let now = channel.secure.as_ref().map(|_| clock::boot());
        for datagram in receive.datagrams() {
            match (datagram, now) {
                (Datagram::Whole([]), _) => counters.empty += 1,
                (Datagram::Truncated, _) => counters.truncated += 1,
                (Datagram::Whole(bytes), None) => on(LinkEvent::Datagram { link, bytes }),
                (Datagram::Whole(bytes), Some(now)) => {
                    result = channel.decrypt(link, now, bytes, counters, on);
                    if result.is_err() {
                        break;
                    }
                }
            }
        }
        // A handshake proves nothing before its end.
        if channel.up && !channel.remembered {
            channel.remembered = true;
            let Socket { local, peer, .. } = channel.socket;
            let memory = shared.memory.of(self.server, &self.uri);
            memory.heard(local, peer);
            // The process may be killed: then there is no other time for this.
            if let Some(Ok(session)) = channel.secure.as_mut().map(|it| it.export_session()) {
                memory.set_session(Some(session));
            }
        }
        if let Some(now) = now {
            self.flush(now, shared);
        }
        result
    }

    /// The link cannot go on over this address.
    fn secure_failed(&mut self, error: &LinkError, shared: &mut Shared) {
        // An alert may be waiting.
        self.flush(clock::boot(), shared);
        let Stage::Open(channel) = &self.stage else { return };
        let silent =
            matches!(error, LinkError::HandshakeTimeout { silence: Silence::FromStart, .. });
        if !channel.up && !silent {
            // The server answered and there was no link: perhaps the session is
            // to blame, so the next handshake is a full one.
            shared.memory.of(self.server, &self.uri).set_session(None);
        }
        self.fail(error.to_string(), shared);
    }

    /// Ends the link, or tries the next address if it was not up yet.
    fn fail(&mut self, reason: String, shared: &mut Shared) {
        self.leave_memory(shared);
        let Stage::Open(channel) = &self.stage else { return };
        let peer = channel.socket.peer;
        debug!(link = self.id.0, server = self.server, %peer, "not connected: {reason}");
        self.stage = if channel.up {
            Stage::Ended(DownKind::Failed, reason)
        } else {
            self.failures.push((channel.socket.peer, reason));
            Stage::Connecting
        };
    }

    /// Leaves what the next link to this server can use.
    fn leave_memory(&mut self, shared: &mut Shared) {
        let Stage::Open(channel) = &mut self.stage else { return };
        let memory = shared.memory.of(self.server, &self.uri);
        let silent = !channel.socket.heard || !channel.up;
        if silent {
            memory.failed(channel.socket.peer);
        }
        if channel.socket.heard && !channel.up {
            memory.half_open();
        }
        if let Some(secure) = &mut channel.secure
            && let Ok(session) = secure.export_session()
        {
            memory.set_session(Some(session));
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolving(uri, _) => f.debug_tuple("Resolving").field(uri).finish(),
            Self::Connecting => f.write_str("Connecting"),
            Self::Open(channel) => f.debug_tuple("Open").field(channel).finish(),
            Self::Ended(kind, reason) => f.debug_tuple("Ended").field(kind).field(reason).finish(),
        }
    }
}

/// The URI, if it can be read and the security mode fits it.
fn checked(uri: &str, security: &LinkSecurity) -> Result<ServerUri, String> {
    let parsed = ServerUri::parse(uri).map_err(|error| error.to_string())?;
    match (parsed.scheme(), security) {
        (Scheme::Coap, LinkSecurity::NoSec) | (Scheme::Coaps, LinkSecurity::Psk(_)) => Ok(parsed),
        (Scheme::Coap, LinkSecurity::Psk(_)) => {
            Err(format!("{uri} has no security, but the security mode is psk: write coaps://"))
        }
        (Scheme::Coaps, LinkSecurity::NoSec) => {
            Err(format!("{uri} needs a key, but the security mode is nosec: write coap://"))
        }
    }
}
