//! One end of a DTLS 1.2 link over libssl, client or server.
//!
//! 1. `handle_timeout` (client) or a first datagram (server) starts the
//!    handshake; each datagram and each time-out drives it on.
//! 2. When it is over, each datagram is read until the library wants more:
//!    one datagram may carry several records.
//! 3. An alert, a close_notify, `close` or the handshake limit ends the link.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use lwm2m_model::Instant;
use lwm2m_tls_ffi as ffi;
use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, ShutdownState, Ssl, SslContextBuilder, SslStream};
use openssl::ssl::{SslOptions, SslSessionCacheMode, SslVersion};

use crate::alert::ERR_LIB_SSL;
use crate::queue::Datagrams;
use crate::session::Tag;
use crate::sieve::sieve;
use crate::suite::cipher_list;
use crate::{
    Alert, LinkError, LinkInfo, MAX_UNREAD, MIN_MAX_DATAGRAM, Secret, SecureLink, Silence, State,
    Suite, Version,
};

/// A link in either role; `ssl` knows which.
pub(crate) struct Dtls {
    stream: SslStream<Datagrams>,
    state: State,
    /// When the handshake began; `None` before.
    started: Option<Instant>,
    /// When libssl wants to send its last flight again.
    retransmission: Option<Instant>,
    unread: VecDeque<Vec<u8>>,
    /// Whether a handshake finished at any time.
    was_established: bool,
    /// Largest overhead with the suites offered.
    max_overhead: usize,
    limits: Limits,
    /// Marks the sessions handed out; `None` at a server, which keeps its own.
    tag: Option<Tag>,
}

/// The numbers of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Largest UDP payload in bytes.
    pub(crate) max_datagram: usize,
    /// Time to the first retransmission.
    pub(crate) initial_retransmission: Duration,
    /// Time that a handshake may take.
    pub(crate) handshake: Duration,
}

impl Limits {
    /// Refuses what libssl cannot make handshakes with.
    pub(crate) const fn check(&self) -> Result<(), LinkError> {
        let given = self.max_datagram;
        if given < MIN_MAX_DATAGRAM {
            return Err(LinkError::SmallDatagram { given, least: MIN_MAX_DATAGRAM });
        }
        Ok(())
    }
}

impl Dtls {
    /// A link of which the handshake has not begun; `ssl` knows its role.
    pub(crate) fn new(
        mut ssl: Ssl,
        suites: &[Suite],
        limits: Limits,
        tag: Option<Tag>,
    ) -> Result<Self, LinkError> {
        limits.check()?;
        let mtu = u32::try_from(limits.max_datagram).unwrap_or(u32::MAX).min(MAX_MTU);
        ssl.set_mtu(mtu).map_err(internal)?;
        ffi::set_initial_retransmission(&mut ssl, limits.initial_retransmission)
            .map_err(internal)?;
        Ok(Self {
            stream: SslStream::new(ssl, Datagrams::default()).map_err(internal)?,
            state: State::Handshaking,
            started: None,
            retransmission: None,
            unread: VecDeque::new(),
            was_established: false,
            max_overhead: suites.iter().map(|suite| suite.overhead()).max().unwrap_or_default(),
            limits,
            tag,
        })
    }
}

impl SecureLink for Dtls {
    fn handle_timeout(&mut self, now: Instant) -> Result<State, LinkError> {
        if self.state == State::Closed {
            return Ok(State::Closed);
        }
        if self.started.is_none() && self.stream.ssl().is_server() {
            return Ok(self.state);
        }
        let started = *self.started.get_or_insert(now);
        if self.state == State::Handshaking && now >= started + self.limits.handshake {
            let silence = self.silence();
            return Err(
                self.end(LinkError::HandshakeTimeout { limit: self.limits.handshake, silence })
            );
        }
        forget_old_errors();
        if let Err(errors) = ffi::handle_timeout(&mut self.stream) {
            let error = self.explain(&errors);
            return Err(self.end(error));
        }
        self.drive(now)
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<State, LinkError> {
        let before_start = self.started.is_none() && !self.stream.ssl().is_server();
        if self.state == State::Closed || datagram.is_empty() || before_start {
            return Ok(self.state);
        }
        let records = sieve(datagram, self.overhead());
        if records.is_empty() {
            return Ok(self.state);
        }
        self.started.get_or_insert(now);
        self.stream.get_mut().push(records);
        self.drive(now)
    }

    fn timeout(&mut self) -> Option<Instant> {
        match (self.state, self.started) {
            (State::Closed, _) => None,
            (State::Established, _) => self.retransmission,
            (State::Handshaking, Some(started)) => {
                let limit = started + self.limits.handshake;
                Some(self.retransmission.map_or(limit, |at| at.min(limit)))
            }
            (State::Handshaking, None) => (!self.stream.ssl().is_server()).then_some(Instant::ZERO),
        }
    }

    fn write(&mut self, message: &[u8]) -> Result<(), LinkError> {
        match self.state {
            State::Handshaking => return Err(LinkError::NotEstablished),
            State::Closed => return Err(LinkError::Closed),
            State::Established => {}
        }
        let (len, max) = (message.len(), self.max_payload());
        if len > max {
            return Err(LinkError::TooBig { len, max });
        }
        if message.is_empty() {
            return Ok(());
        }
        forget_old_errors();
        match self.stream.ssl_write(message) {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = self.explain_io(&error);
                Err(self.end(error))
            }
        }
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        self.unread.pop_front()
    }

    fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.stream.get_mut().pop()
    }

    fn max_payload(&self) -> usize {
        let around = RECORD_HEADER + self.overhead();
        self.limits.max_datagram.saturating_sub(around).min(MAX_PLAINTEXT)
    }

    fn info(&self) -> LinkInfo {
        let ssl = self.stream.ssl();
        let proven = self.was_established && ssl.is_server();
        LinkInfo {
            version: Version::Dtls12,
            suite: self.suite(),
            resumed: self.was_established && ssl.session_reused(),
            peer_identity: proven.then(|| ssl.psk_identity().map(<[u8]>::to_vec)).flatten(),
        }
    }

    fn close(&mut self) {
        if self.state == State::Established {
            self.say_goodbye();
        }
        self.state = State::Closed;
    }

    /// A server keeps its sessions in its context: always [`LinkError::NoSession`].
    fn export_session(&mut self) -> Result<Secret, LinkError> {
        let session = self.stream.ssl().session().filter(|_| self.was_established);
        let session = session.filter(|session| !session.id().is_empty());
        let (Some(tag), Some(session)) = (&self.tag, session) else {
            return Err(LinkError::NoSession);
        };
        Ok(tag.seal(Secret::new(session.to_der().map_err(internal)?).expose()))
    }
}

impl Dtls {
    /// Lets the library work on what came in until it wants more.
    fn drive(&mut self, now: Instant) -> Result<State, LinkError> {
        let outcome = self.work();
        // The library counts from its own clock, the wall clock; what is left
        // by it is put on ours. A wall clock that jumps delays or hastens one
        // retransmission, the handshake limit stands.
        self.retransmission = ffi::retransmission_due_in(&self.stream).map(|left| now + left);
        match outcome {
            Ok(()) => Ok(self.state),
            Err(error) => Err(self.end(error)),
        }
    }

    fn work(&mut self) -> Result<(), LinkError> {
        loop {
            forget_old_errors();
            if self.state == State::Handshaking {
                match self.stream.do_handshake() {
                    Ok(()) => self.finish_handshake(),
                    Err(error) if error.code() == ErrorCode::WANT_READ => {}
                    Err(error) => return Err(self.explain_io(&error)),
                }
            }
            if self.state == State::Established {
                self.receive()?;
            }
            // Wanting more with a datagram unread happens when the library
            // stopped to discard something.
            if !self.stream.get_ref().is_unread() {
                return Ok(());
            }
        }
    }

    fn finish_handshake(&mut self) {
        self.state = State::Established;
        self.was_established = true;
    }

    /// Reads messages until the library wants another datagram.
    fn receive(&mut self) -> Result<(), LinkError> {
        let mut buffer = [0; MAX_PLAINTEXT];
        loop {
            forget_old_errors();
            match self.stream.ssl_read(&mut buffer) {
                // A read never crosses the end of a record, and the buffer holds
                // the largest: this is one message, whole.
                Ok(len) => {
                    if self.unread.len() < MAX_UNREAD {
                        self.unread.extend(buffer.get(..len).map(<[u8]>::to_vec));
                    }
                }
                Err(error) if error.code() == ErrorCode::WANT_READ => return Ok(()),
                Err(error) => return Err(self.explain_io(&error)),
            }
        }
    }

    /// The suite of the link, once it is up.
    fn suite(&self) -> Option<Suite> {
        let cipher = self.stream.ssl().current_cipher().filter(|_| self.was_established)?;
        Suite::from_code(u16::from_be_bytes(cipher.protocol_id()))
    }

    /// What protection adds to a message: by the suite of the link, else by the
    /// one being agreed upon, else by the longest offered.
    fn overhead(&self) -> usize {
        let agreed = || {
            let code = ffi::pending_cipher(self.stream.ssl())?;
            Suite::from_code(code)
        };
        self.suite().or_else(agreed).map_or(self.max_overhead, Suite::overhead)
    }

    /// How far the handshake came, by the names libssl gives its states.
    fn silence(&self) -> Silence {
        match self.stream.ssl().state_string() {
            CLIENT_SENT_HELLO | NOT_STARTED => Silence::FromStart,
            CLIENT_SENT_FINISHED => Silence::AfterKeys,
            _ => Silence::Midway,
        }
    }

    /// Closes the link because of `error`.
    fn end(&mut self, error: LinkError) -> LinkError {
        if error == LinkError::ClosedByPeer {
            // RFC 5246 7.2.1: answer with a close_notify of our own.
            self.say_goodbye();
        }
        self.state = State::Closed;
        self.retransmission = None;
        error
    }

    fn say_goodbye(&mut self) {
        forget_old_errors();
        // The one failure possible is that the library cannot write; the link
        // ends either way.
        let _ = self.stream.shutdown();
    }

    fn explain_io(&self, error: &ssl::Error) -> LinkError {
        if error.code() == ErrorCode::ZERO_RETURN {
            return match self.state {
                State::Handshaking => LinkError::Refused(Alert::CLOSE_NOTIFY),
                State::Established | State::Closed => LinkError::ClosedByPeer,
            };
        }
        match error.ssl_error() {
            Some(errors) => self.explain(errors),
            None => LinkError::Internal(error.to_string()),
        }
    }

    /// Which error the library's stack of errors stands for.
    fn explain(&self, errors: &ErrorStack) -> LinkError {
        if let Some(alert) = Alert::reported(errors) {
            return match self.state {
                State::Handshaking => LinkError::Refused(alert),
                State::Established | State::Closed => LinkError::Aborted(alert),
            };
        }
        let own = errors.errors().iter().filter(|error| error.library_code() == ERR_LIB_SSL);
        let reason = own.filter_map(|error| error.reason()).next();
        match (self.state, reason) {
            (State::Handshaking, Some(reason)) => LinkError::HandshakeFailed(reason.to_owned()),
            _ => internal(errors.clone()),
        }
    }
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dtls")
            .field("state", &self.state)
            .field("started", &self.started)
            .field("retransmission", &self.retransmission)
            .field("unread", &self.unread.len())
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

impl Drop for Dtls {
    fn drop(&mut self) {
        // A link dropped without close_notify would take its session out of the
        // server's cache; to lose an address is no reason to forget a client.
        if self.state == State::Established {
            self.stream.set_shutdown(ShutdownState::SENT);
        }
    }
}

/// What both roles have in common (RFC 7925, Transport 12.3).
pub(crate) fn configure(
    context: &mut SslContextBuilder,
    suites: &[Suite],
    cache: SslSessionCacheMode,
) -> Result<(), LinkError> {
    context.set_min_proto_version(Some(SslVersion::DTLS1_2)).map_err(internal)?;
    context.set_max_proto_version(Some(SslVersion::DTLS1_2)).map_err(internal)?;
    context.set_cipher_list(&cipher_list(suites)).map_err(internal)?;
    // A ticket costs more bytes than it saves with pre-shared keys. The size of
    // a datagram is ours to know: the queue has no path to ask.
    context.set_options(
        SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION | SslOptions::NO_QUERY_MTU,
    );
    context.set_session_cache_mode(cache);
    Ok(())
}

/// A failure that nobody outside the library can explain.
pub(crate) fn internal(errors: ErrorStack) -> LinkError {
    LinkError::Internal(errors.to_string())
}

/// libssl judges its own calls by a queue of errors that all users of the
/// library in this thread share: what others left there must not count.
fn forget_old_errors() {
    drop(ErrorStack::get());
}

/// RFC 6347 4.1.
const RECORD_HEADER: usize = 13;

/// RFC 5246 6.2.1.
const MAX_PLAINTEXT: usize = 1 << 14;

/// libssl splits a flight by its buffer of 4 KiB when it is given more.
const MAX_MTU: u32 = 4096;

// Short names of handshake states, `SSL_state_string`.
const NOT_STARTED: &str = "PINIT ";
const CLIENT_SENT_HELLO: &str = "TWCH";
const CLIENT_SENT_FINISHED: &str = "TWFIN";
