//! Why a call of the server failed. An answer with an error code is no failure of
//! the call: it is a [`crate::Response`].

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_codec::EncodeError;
use lwm2m_model::Path;

use crate::Response;

/// Why a call of the server failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket could not be opened.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// A file to be sent could not be read.
    #[error("cannot read {}: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// The DTLS side could not be set up.
    #[error("cannot set up DTLS: {0}")]
    Dtls(String),
    /// Neither a `coap` nor a `coaps` address was configured.
    #[error("no address to listen on")]
    NoAddress,
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
    /// No device of this endpoint name is registered.
    #[error("{0} is not registered")]
    NotRegistered(String),
    /// No device is registered, so there is none to send to.
    #[error("no device is registered")]
    NoDevice,
    /// Several devices are registered, and none was chosen.
    #[error("several devices are registered ({}): choose one with use ENDPOINT", .0.join(", "))]
    SeveralDevices(Vec<String>),
    /// The device did not register, or do what was waited for, in time.
    #[error("{what} did not happen within {} s", .within.as_secs_f64())]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
    },
    /// The request was transmitted this often and never acknowledged.
    #[error("no answer after {transmissions} transmissions")]
    NoAnswer {
        /// Number of transmissions.
        transmissions: u32,
    },
    /// The request was acknowledged, but no response followed.
    #[error("acknowledged, but no response within {} s", .0.as_secs_f64())]
    NoResponse(Duration),
    /// The device answered the request with a reset message.
    #[error("the device answered with RST")]
    Reset,
    /// The device came back under another address or registered anew before it
    /// answered; whether it has acted on the request is not known.
    #[error("the device moved or registered anew before it answered")]
    Moved,
    /// Too many requests wait for this device.
    #[error("{0} requests wait for this device already")]
    QueueFull(usize),
    /// The payload cannot be written in the format asked for.
    #[error("cannot encode the payload: {0}")]
    Encode(#[from] EncodeError),
    /// The payload is larger than any that goes in blocks.
    #[error("the payload has {0} bytes, at most {max} go out", max = crate::state::MAX_SENT)]
    TooLarge(usize),
    /// The answers to the blocks of a request, or the blocks of an answer, do not
    /// belong together.
    #[error("block-wise answer: {0}")]
    Blocks(&'static str),
    /// The device takes no observation: it answered with an error code, or without
    /// the Observe option.
    #[error("the device takes no observation: {} {}", .0.code, .0.code.name())]
    NoObservation(Box<Response>),
    /// No observation of this path.
    #[error("{0} is not observed")]
    NotObserved(Path),
    /// The observation ended: the device or a new registration ended it.
    #[error("the observation of {0} has ended")]
    ObservationEnded(Path),
}
