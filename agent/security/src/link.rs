//! What a secured datagram link is, whatever library makes it.

use std::fmt;
use std::time::Duration;

use lwm2m_model::Instant;

use crate::{LinkError, Psk, Secret, Suite};

/// A secured link to one peer: no I/O, no threads, no clock of its own but the
/// one noted at [`crate::OpenSsl`].
///
/// After each call that takes a datagram, a time or a message, send what
/// [`poll_datagram`](Self::poll_datagram) gives, take what
/// [`read`](Self::read) gives, and ask [`timeout`](Self::timeout) anew. Do so
/// after an error too: an alert may be waiting to be sent, and messages that
/// came before the end are still there.
pub trait SecureLink: fmt::Debug + Send {
    /// Takes a datagram from the peer. An empty one is ignored, and so is what
    /// does not belong to the link.
    ///
    /// # Errors
    ///
    /// What ended the link. Later calls give [`State::Closed`].
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<State, LinkError>;

    /// The next datagram to send, exactly as it is.
    fn poll_datagram(&mut self) -> Option<Vec<u8>>;

    /// When to call [`handle_timeout`](Self::handle_timeout) next, if nothing
    /// happens before. [`Instant::ZERO`] means at once.
    fn timeout(&mut self) -> Option<Instant>;

    /// Does what time asks for; the first call starts the handshake of a
    /// client. Calling it early does no harm.
    ///
    /// # Errors
    ///
    /// What ended the link. Later calls give [`State::Closed`].
    fn handle_timeout(&mut self, now: Instant) -> Result<State, LinkError>;

    /// Protects a message for the peer: one message, one datagram. An empty
    /// message is not sent.
    ///
    /// # Errors
    ///
    /// [`LinkError::TooBig`] above [`max_payload`](Self::max_payload),
    /// [`LinkError::NotEstablished`] before the handshake is over,
    /// [`LinkError::Closed`] after the end, or what ended the link just now.
    fn write(&mut self, message: &[u8]) -> Result<(), LinkError>;

    /// The next message from the peer. No more than [`MAX_UNREAD`] wait; what
    /// comes on top is lost, as datagrams are.
    fn read(&mut self) -> Option<Vec<u8>>;

    /// Largest message in bytes that [`write`](Self::write) takes. Before the
    /// handshake is over it reckons with the largest overhead.
    fn max_payload(&self) -> usize;

    /// What was agreed upon.
    fn info(&self) -> LinkInfo;

    /// Says goodbye (close_notify) if the link is up, and ends it.
    fn close(&mut self);

    /// What a later link to the same server needs to resume this one
    /// ([`Import::Session`]). Works after the end as well.
    ///
    /// # Errors
    ///
    /// [`LinkError::NoSession`] if no handshake finished or the server keeps no
    /// sessions.
    fn export_session(&mut self) -> Result<Secret, LinkError>;
}

/// A library that makes links.
pub trait Backend: fmt::Debug + Send + Sync {
    /// What it can do.
    fn caps(&self) -> &Caps;

    /// A link in the role of the client, the only one LwM2M gives a device
    /// (TRN-91). The handshake starts with the first
    /// [`SecureLink::handle_timeout`].
    ///
    /// # Errors
    ///
    /// The configuration asks for what is not there, or the library failed.
    fn client(&self, config: &LinkConfig, import: Import)
    -> Result<Box<dyn SecureLink>, LinkError>;
}

/// What a back end can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Name and version of the library.
    pub library: &'static str,
    /// Suites that it has, in the order in which they are offered.
    pub suites: Vec<Suite>,
}

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started or not finished.
    Handshaking,
    /// Messages pass.
    Established,
    /// Over; make a new one.
    Closed,
}

/// How to make a link.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// Who we are and how the peer proves itself.
    pub credentials: Credentials,
    /// Suites to offer, in this order (TRN-94: those of `/0/x/16` if present);
    /// none given means all of [`Caps::suites`].
    pub suites: Vec<Suite>,
    /// Largest UDP payload in bytes, at least [`MIN_MAX_DATAGRAM`].
    pub max_datagram: usize,
    /// Time to the first retransmission in the handshake: 1 s, or 9 s on slow
    /// networks (RFC 7925 11). It doubles up to 60 s.
    pub initial_retransmission: Duration,
    /// Time that a handshake may take.
    pub handshake_limit: Duration,
}

impl LinkConfig {
    /// The defaults, with a pre-shared key.
    pub fn psk(psk: Psk) -> Self {
        Self {
            credentials: Credentials::Psk(psk),
            suites: Vec::new(),
            max_datagram: DEFAULT_MAX_DATAGRAM,
            initial_retransmission: INITIAL_RETRANSMISSION,
            handshake_limit: HANDSHAKE_LIMIT,
        }
    }
}

/// How both ends prove who they are (`/0/x/2`).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// Mode 0, a pre-shared key.
    Psk(Psk),
}

/// What a new link starts from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Import {
    /// Nothing: a full handshake.
    Fresh,
    /// The export of an earlier link to the same server. If it does not fit any
    /// more, here or there, the same handshake becomes a full one.
    Session(Secret),
}

/// What was agreed upon in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    /// Protocol version.
    pub version: Version,
    /// The suite; `None` before the handshake is over.
    pub suite: Option<Suite>,
    /// Whether an earlier session was resumed. A full handshake asks for a
    /// Register, a resumed one for an Update (TRN-104).
    pub resumed: bool,
    /// PSK identity that the peer proved; `None` at the client, where the key
    /// is all the proof.
    pub peer_identity: Option<Vec<u8>>,
}

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// RFC 6347.
    Dtls12,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dtls12 => "DTLS 1.2",
        })
    }
}

/// What an IPv6 path carries for certain: 1280 bytes less the IPv6 and UDP
/// headers.
pub const DEFAULT_MAX_DATAGRAM: usize = 1280 - 40 - 8;

/// Least UDP payload in bytes that the library makes handshakes with.
pub const MIN_MAX_DATAGRAM: usize = 256;

/// Time that a handshake may take, unless configured.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);

/// Messages that may wait to be read from a link. A datagram can hold many, so
/// that a peer could fill the memory otherwise.
pub const MAX_UNREAD: usize = 64;

/// Time to the first retransmission in a handshake, unless configured
/// (RFC 6347 4.2.4.1).
pub const INITIAL_RETRANSMISSION: Duration = Duration::from_secs(1);
