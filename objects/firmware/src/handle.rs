//! What people on the device see of an update, and what they may say to it.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::{Event, UpdateStatus};

/// The operator's end of the object.
#[derive(Debug, Clone)]
pub struct FirmwareHandle {
    events: mpsc::WeakSender<Event>,
    status: watch::Receiver<UpdateStatus>,
}

/// Why consent was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAccepted {
    /// Nothing was put off.
    #[error("no update waits for consent")]
    NothingWaits,
    /// The disk hangs, most likely.
    #[error("the update is busy with storage")]
    Busy,
    /// The object has gone.
    #[error("the update has stopped")]
    Stopped,
}

impl FirmwareHandle {
    pub(crate) fn new(
        events: mpsc::WeakSender<Event>,
        status: watch::Receiver<UpdateStatus>,
    ) -> Self {
        Self { events, status }
    }

    /// How the update stands.
    pub fn status(&self) -> UpdateStatus {
        self.status.borrow().clone()
    }

    /// Waits until it stands otherwise than when this handle was made or was last told;
    /// `false` once the object has gone.
    ///
    /// Cancel safe: what was not told yet is told by the next call.
    pub async fn changed(&mut self) -> bool {
        self.status.changed().await.is_ok()
    }

    /// Agrees to the update that was put off (Objects 7.2), and waits until it waits no
    /// longer: it has begun, unless a server called it off at the same moment.
    ///
    /// Cancel safe: once it has been said, the update begins all the same.
    ///
    /// # Errors
    /// [`NotAccepted`]; then nothing has happened.
    pub async fn accept(&self) -> Result<(), NotAccepted> {
        let mut status = self.status.clone();
        if status.borrow_and_update().deadline.is_none() {
            return Err(NotAccepted::NothingWaits);
        }
        let events = self.events.upgrade().ok_or(NotAccepted::Stopped)?;
        events.try_send(Event::Consent).map_err(|error| match error {
            TrySendError::Full(_) => NotAccepted::Busy,
            TrySendError::Closed(_) => NotAccepted::Stopped,
        })?;
        match status.wait_for(|status| status.deadline.is_none()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(NotAccepted::Stopped),
        }
    }
}
