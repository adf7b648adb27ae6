//! Observations as their owner holds them (Core 8, RFC 7641).

use std::time::Duration;

use lwm2m_model::{Code, ContentFormat, Entry, Path};
use tokio::sync::mpsc;

use crate::{Error, Response};

/// Names one observation of one server run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObservationKey(pub(crate) Vec<u8>);

impl ObservationKey {
    /// The token that every notification of the observation carries.
    pub fn token(&self) -> &[u8] {
        &self.0
    }
}

/// A running observation and the stream of its notifications.
///
/// Dropping it leaves the observation as it is on the device; see
/// [`crate::Server::cancel`].
#[derive(Debug)]
pub struct Observation {
    /// Endpoint name of the device.
    pub endpoint: String,
    /// What is observed.
    pub path: Path,
    /// Names this observation.
    pub key: ObservationKey,
    /// The answer to the Observe: the initial values.
    pub first: Response,
    pub(crate) stream: mpsc::Receiver<Notification>,
}

impl Observation {
    /// The next notification. Cancel safe.
    ///
    /// # Errors
    /// [`Error::ObservationEnded`] once the observation is over and what had come
    /// before has been taken.
    pub async fn next(&mut self) -> Result<Notification, Error> {
        self.stream.recv().await.ok_or_else(|| Error::ObservationEnded(self.path.clone()))
    }

    /// The next notification, if it comes within `span`. Cancel safe.
    ///
    /// # Errors
    /// As [`Observation::next`], and [`Error::NotInTime`].
    pub async fn next_within(&mut self, span: Duration) -> Result<Notification, Error> {
        match tokio::time::timeout(span, self.next()).await {
            Ok(result) => result,
            Err(_) => Err(Error::NotInTime {
                what: format!("a notification of {}", self.path),
                within: span,
            }),
        }
    }

    /// A notification that has come already.
    pub fn try_next(&mut self) -> Option<Notification> {
        self.stream.try_recv().ok()
    }
}

/// One notification.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Endpoint name of the device.
    pub endpoint: String,
    /// The observed path.
    pub path: Path,
    /// 2.05, or the code that ends the observation.
    pub code: Code,
    /// Format of the payload.
    pub format: Option<ContentFormat>,
    /// The payload, all blocks of it.
    pub payload: Vec<u8>,
    /// Its values.
    pub entries: Vec<Entry>,
    /// Why the payload could not be read as its format and definitions ask.
    pub problem: Option<String>,
    /// Value of the Observe option; `None` in the message that ends an observation.
    pub number: Option<u32>,
    /// Sent as confirmable message.
    pub confirmable: bool,
    /// The observation it belongs to.
    pub key: ObservationKey,
    /// Bytes of the datagram, all blocks together.
    pub bytes: usize,
}

/// How to end an observation (Core 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelBy {
    /// Cancel Observation: a GET with Observe 1.
    Option,
    /// RST to the next notification.
    Reset,
}
