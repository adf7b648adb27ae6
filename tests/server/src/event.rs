//! What happens at the server, for whoever subscribes.

use std::net::SocketAddr;

use lwm2m_model::{Code, Path};
use tokio::sync::broadcast;

use crate::{Error, Notification, Registration};

/// Something that happened at the server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A device registered.
    Registered {
        /// The new registration.
        registration: Box<Registration>,
        /// Bytes of the datagrams, several if it came in blocks.
        bytes: usize,
    },
    /// A device updated its registration.
    Updated {
        /// Endpoint name.
        endpoint: String,
        /// What the Update changed.
        changed: Changed,
        /// Bytes of the datagrams, several if it came in blocks.
        bytes: usize,
    },
    /// A device left.
    Deregistered {
        /// Endpoint name.
        endpoint: String,
    },
    /// The lifetime passed without an Update.
    Expired {
        /// Endpoint name.
        endpoint: String,
    },
    /// A device in queue mode was heard again.
    Awake {
        /// Endpoint name.
        endpoint: String,
    },
    /// A device in queue mode was not heard for the awake time.
    Asleep {
        /// Endpoint name.
        endpoint: String,
    },
    /// A notification came.
    Notification(Notification),
    /// An observation ended otherwise than by our cancelling it.
    ObservationEnded {
        /// Endpoint name.
        endpoint: String,
        /// What was observed.
        path: Path,
    },
    /// A Register, Update or De-register was refused.
    Refused {
        /// Who sent it.
        peer: SocketAddr,
        /// What was answered.
        code: Code,
        /// Why.
        reason: String,
    },
    /// A DTLS handshake was completed.
    Secured {
        /// The other end.
        peer: SocketAddr,
        /// Its PSK identity.
        identity: Vec<u8>,
        /// An earlier session was resumed.
        resumed: bool,
    },
    /// A DTLS link failed or was closed.
    LinkLost {
        /// The other end.
        peer: SocketAddr,
        /// Why.
        reason: String,
    },
}

/// What an Update changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// The `lt` parameter came.
    pub lifetime: bool,
    /// The `b` parameter came.
    pub binding: bool,
    /// The `Q` flag came.
    pub queue: bool,
    /// An object list came.
    pub links: bool,
    /// The device sent from another address.
    pub address: bool,
}

/// A subscription to what happens at the server.
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<ServerEvent>);

impl Events {
    /// The next event. A subscriber that lags behind loses the oldest ones.
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the server has stopped.
    pub async fn next(&mut self) -> Result<ServerEvent, Error> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Ok(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(Error::Stopped),
            }
        }
    }

    /// An event that has happened already.
    pub fn try_next(&mut self) -> Option<ServerEvent> {
        loop {
            match self.0.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Counters of the message layer since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Datagrams received and not lost on purpose.
    pub received: u64,
    /// Datagrams sent and not lost on purpose.
    pub sent: u64,
    /// Datagrams lost on purpose, both directions.
    pub lost: u64,
    /// Messages that were no CoAP; they were dropped.
    pub malformed: u64,
    /// Messages that came a second time.
    pub duplicates: u64,
    /// Our retransmissions.
    pub retransmissions: u64,
    /// Resets sent, for messages that belong to nothing.
    pub resets: u64,
}
