//! What a link is made from, and what is told of it.

use lwm2m_engine::{Continuity, LinkId};
use lwm2m_security::Psk;

/// How a link is secured (`/0/x/2`).
#[derive(Debug, Clone)]
pub enum LinkSecurity {
    /// Mode 3: not at all; for `coap://`.
    NoSec,
    /// Mode 0: a pre-shared key; for `coaps://`.
    Psk(Psk),
}

/// What happened to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent<'a> {
    /// It carries datagrams from now on.
    Up {
        /// The link.
        link: LinkId,
        /// [`Continuity::Kept`] if a DTLS session was resumed, or without
        /// security if the server sees the address and port that it knows.
        continuity: Continuity,
        /// Largest datagram in bytes that it carries.
        max_datagram: usize,
    },
    /// A datagram came in, decrypted.
    Datagram {
        /// The link.
        link: LinkId,
        /// The bytes; never none.
        bytes: &'a [u8],
    },
    /// It could not be opened, or has ended; it is gone.
    Down {
        /// The link.
        link: LinkId,
        /// Whether there is anything to wait for.
        kind: DownKind,
        /// One line for the operator.
        reason: String,
    },
}

/// Why a link is down, as far as what follows may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownKind {
    /// The name of the host is not known, or has no address.
    NoSuchName,
    /// All else: another attempt may succeed.
    Failed,
}

/// Where events go.
pub(crate) type Sink<'a> = dyn FnMut(LinkEvent<'_>) + 'a;
