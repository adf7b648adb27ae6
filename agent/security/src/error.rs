//! Why a link ended, one line each for the operator.

use std::time::Duration;

use thiserror::Error;

use crate::{Alert, PskError, Suite};

/// Why a link could not be made, or what ended or refused a call on it.
///
/// All but [`Self::TooBig`] and [`Self::NotEstablished`] mean that the link is
/// over. None proves that the credentials are wrong: what comes in during a
/// handshake is not authenticated, so try again with back-off.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The handshake took too long.
    #[error("{}", timed_out(*limit, *silence))]
    HandshakeTimeout {
        /// The time it had.
        limit: Duration,
        /// How far it came.
        silence: Silence,
    },
    /// The peer sent a fatal alert in the handshake.
    #[error("the server refused the handshake ({0}){cause}", cause = because(*.0))]
    Refused(Alert),
    /// The peer sent a fatal alert later.
    #[error("the server ended the DTLS link ({0}){cause}", cause = because(*.0))]
    Aborted(Alert),
    /// The peer said goodbye (close_notify). The registration may live on.
    #[error("the server closed the DTLS link")]
    ClosedByPeer,
    /// This side ended the handshake.
    #[error("the DTLS handshake failed here: {0}")]
    HandshakeFailed(String),
    /// The identity or the key cannot be used.
    #[error(transparent)]
    Psk(#[from] PskError),
    /// The library does not have the suite.
    #[error("{library} does not have the cipher suite {suite}")]
    NoSuite {
        /// What was asked for.
        suite: Suite,
        /// Name and version of the library.
        library: &'static str,
    },
    /// The library has no suite for pre-shared keys at all.
    #[error("{library} is built without cipher suites for pre-shared keys")]
    NoPsk {
        /// Name and version of the library.
        library: &'static str,
    },
    /// The largest datagram is too small for a handshake.
    #[error("a largest datagram of {given} bytes is too small for DTLS, the least is {least}")]
    SmallDatagram {
        /// Bytes configured.
        given: usize,
        /// Bytes needed.
        least: usize,
    },
    /// The message does not fit a datagram. The link lives on.
    #[error("a message of {len} bytes does not fit a DTLS datagram, the largest is {max}")]
    TooBig {
        /// Bytes of the message.
        len: usize,
        /// [`SecureLink::max_payload`](crate::SecureLink::max_payload).
        max: usize,
    },
    /// The handshake is not over yet. The link lives on.
    #[error("the DTLS handshake is not finished")]
    NotEstablished,
    /// The link is over already.
    #[error("the DTLS link is closed")]
    Closed,
    /// The server gave no session that can be resumed.
    #[error("the DTLS link has no session to resume")]
    NoSession,
    /// The library failed.
    #[error("DTLS library error: {0}")]
    Internal(String),
}

impl LinkError {
    /// The alert received, for `/1/x/11`.
    pub const fn alert(&self) -> Option<Alert> {
        match self {
            Self::Refused(alert) | Self::Aborted(alert) => Some(*alert),
            Self::ClosedByPeer => Some(Alert::CLOSE_NOTIFY),
            Self::HandshakeTimeout { .. }
            | Self::HandshakeFailed(_)
            | Self::Psk(_)
            | Self::NoSuite { .. }
            | Self::NoPsk { .. }
            | Self::SmallDatagram { .. }
            | Self::TooBig { .. }
            | Self::NotEstablished
            | Self::Closed
            | Self::NoSession
            | Self::Internal(_) => None,
        }
    }
}

/// Where in the handshake the peer fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silence {
    /// Nothing came that belongs to a handshake.
    FromStart,
    /// It answered and then stopped.
    Midway,
    /// It did not confirm the keys. With a wrong key the peer cannot read what
    /// proves the key to it, and DTLS drops what it cannot read (RFC 6347
    /// 4.1.2.7).
    AfterKeys,
}

fn timed_out(limit: Duration, silence: Silence) -> String {
    let seconds = limit.as_secs_f64();
    match silence {
        Silence::FromStart => format!("no answer to the DTLS handshake in {seconds} s"),
        Silence::Midway => {
            format!("the server answered, but did not finish the DTLS handshake in {seconds} s")
        }
        Silence::AfterKeys => format!(
            "the server did not confirm the keys of the DTLS handshake in {seconds} s: \
             most likely the key is wrong"
        ),
    }
}

/// `: most likely the key is wrong`, or nothing.
fn because(alert: Alert) -> String {
    alert.likely_cause().map_or_else(String::new, |cause| format!(": {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_one_clear_line() {
        let timeout =
            |silence| LinkError::HandshakeTimeout { limit: Duration::from_secs(60), silence };
        for (error, line) in [
            (timeout(Silence::FromStart), "no answer to the DTLS handshake in 60 s"),
            (
                timeout(Silence::Midway),
                "the server answered, but did not finish the DTLS handshake in 60 s",
            ),
            (
                timeout(Silence::AfterKeys),
                "the server did not confirm the keys of the DTLS handshake in 60 s: \
                 most likely the key is wrong",
            ),
            (
                LinkError::Refused(Alert::new(51)),
                "the server refused the handshake (alert 51 decrypt_error): \
                 most likely the key is wrong",
            ),
            (
                LinkError::Refused(Alert::new(47)),
                "the server refused the handshake (alert 47 illegal_parameter)",
            ),
            (
                LinkError::Aborted(Alert::new(80)),
                "the server ended the DTLS link (alert 80 internal_error): \
                 the server has a problem of its own",
            ),
            (
                LinkError::TooBig { len: 1300, max: 1203 },
                "a message of 1300 bytes does not fit a DTLS datagram, the largest is 1203",
            ),
        ] {
            assert_eq!(error.to_string(), line);
        }
    }
}
