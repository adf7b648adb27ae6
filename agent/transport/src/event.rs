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
        /// One line for the operator.
        reason: String,
    },
}

/// Where events go.
pub(crate) type Sink<'a> = dyn FnMut(LinkEvent<'_>) + 'a;
