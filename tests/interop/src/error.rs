//! What can go wrong with a foreign peer.

use std::time::Duration;

/// A peer could not be started, did not answer, or refused a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A file or program of this machine failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program that prepares the peer ended with an error.
    #[error("{program} failed:\n{output}")]
    Setup {
        /// The program.
        program: String,
        /// What it printed.
        output: String,
    },
    /// The peer did not print a line in time, or ended.
    #[error("no line from {peer} within {waited:?}")]
    Silent {
        /// The name of the peer.
        peer: &'static str,
        /// How long it had.
        waited: Duration,
    },
    /// No event that the test waits for came in time.
    #[error("no such event within {waited:?}; came: {seen:?}")]
    NoEvent {
        /// How long the test waited.
        waited: Duration,
        /// The events that came instead; they stay in the queue.
        seen: Vec<String>,
    },
    /// The peer answered a command with an error.
    #[error("{refusal:?}: {message}")]
    Refused {
        /// The kind of the refusal.
        refusal: Refusal,
        /// The peer's own words.
        message: String,
    },
    /// The peer printed what this crate does not understand.
    #[error("unexpected line from a peer, {what}: {line}")]
    Malformed {
        /// What is wrong with it.
        what: String,
        /// The line.
        line: String,
    },
}

impl PeerError {
    /// The refusal, if the peer answered with one.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    pub(crate) fn system(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::System { what: what.into(), source }
    }
}

/// Why a server has no result for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The command is wrong or unknown to this peer.
    BadCommand,
    /// No device of that name is registered.
    NotRegistered,
    /// The device did not answer in time.
    Timeout,
    /// The device answered with a Reset.
    Rejected,
    /// The device is in queue mode and asleep; nothing was sent.
    Sleeping,
    /// The DTLS session of the device is gone.
    Unconnected,
    /// The server refuses to send such a request.
    InvalidRequest,
    /// The server could not decode the answer of the device.
    InvalidResponse,
    /// Anything else; the message tells.
    Other,
}

impl Refusal {
    pub(crate) fn from_kind(kind: &str) -> Self {
        match kind {
            "badCommand" => Self::BadCommand,
            "notRegistered" => Self::NotRegistered,
            "timeout" => Self::Timeout,
            "rejected" => Self::Rejected,
            "sleeping" => Self::Sleeping,
            "unconnected" => Self::Unconnected,
            "invalidRequest" => Self::InvalidRequest,
            "invalidResponse" => Self::InvalidResponse,
            _ => Self::Other,
        }
    }
}
