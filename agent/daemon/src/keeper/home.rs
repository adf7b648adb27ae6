//! Which store is opened, how often that is tried, and what is said about it.

use std::path::PathBuf;
use std::time::Duration;

use lwm2m_store::{Found, Opened, Store, StoreError};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

/// Which store is meant.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// The state directory.
    pub(crate) directory: PathBuf,
    /// `/proc`, which tells the system that runs from others on this device.
    pub(crate) proc: PathBuf,
}

/// Whether the system that runs has proven itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    OnTrial,
    Confirmed,
}

/// What a look at the standing of a system on trial came to.
pub(super) enum Looked {
    OnTrial(Store),
    /// The copy was taken over, or could not be.
    Confirmed(Result<Store, StoreError>),
}

impl Home {
    fn standing(&self) -> Standing {
        match lwm2m_firmware::is_on_trial(&self.directory, &self.proc) {
            true => Standing::OnTrial,
            false => Standing::Confirmed,
        }
    }

    pub(super) fn open(&self) -> Result<(Opened, Standing), StoreError> {
        let system = lwm2m_firmware::system_identity(&self.proc);
        let standing = self.standing();
        let opened = match standing {
            Standing::OnTrial => Store::open_copy(&self.directory, &system),
            Standing::Confirmed => Store::open(&self.directory, &system),
        };
        Ok((opened?, standing))
    }

    /// Takes the copy over if the trial is over.
    pub(super) fn look(&self, copy: Store) -> Looked {
        match self.standing() {
            Standing::OnTrial => Looked::OnTrial(copy),
            Standing::Confirmed => {
                drop(copy); // it is opened below once more
                Looked::Confirmed(self.open().map(|(opened, _)| opened.store))
            }
        }
    }
}

/// A store that could not be opened so far.
pub(super) struct Closed {
    pub(super) home: Home,
    pub(super) reason: String,
    /// Between the last two attempts.
    pause: Duration,
    attempt: Attempt,
}

enum Attempt {
    At(Instant),
    UnderWay(JoinHandle<Result<(Opened, Standing), StoreError>>),
}

impl Closed {
    /// Says why, and tries again later.
    pub(super) fn new(home: Home, error: &StoreError) -> Self {
        let (message_id, reason) = (UNUSABLE, error.to_string());
        error!(message_id, "{reason}; what servers write will be refused until it opens");
        let attempt = Attempt::At(Instant::now() + FIRST_PAUSE);
        Self { home, reason, pause: FIRST_PAUSE, attempt }
    }

    /// Tries again and again; cancel safe.
    pub(super) async fn opened(&mut self) -> (Opened, Standing) {
        loop {
            let reason = match &mut self.attempt {
                Attempt::At(at) => {
                    sleep_until(*at).await;
                    let home = self.home.clone();
                    self.attempt = Attempt::UnderWay(spawn_blocking(move || home.open()));
                    continue;
                }
                Attempt::UnderWay(task) => match task.await {
                    Ok(Ok((opened, standing))) => {
                        let message_id = USABLE;
                        info!(
                            message_id,
                            "store {}: can be used again",
                            opened.store.path().display()
                        );
                        return (opened, standing);
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => gone(&error),
                },
            };
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            debug!("{reason}; the next attempt is in {} s", self.pause.as_secs());
            self.reason = reason;
            self.attempt = Attempt::At(Instant::now() + self.pause);
        }
    }
}

/// Names what was not taken over.
pub(super) fn report(found: &Found) {
    match found {
        Found::Nothing | Found::Store => {}
        Found::Damaged { kept, reason } => {
            let (message_id, kept) = (DAMAGED, kept.display());
            warn!(
                message_id,
                "the store is damaged ({reason}) and kept as {kept}: the device starts from its \
                 configuration"
            );
        }
        Found::Newer { kept } => {
            let (message_id, kept) = (NEWER, kept.display());
            warn!(
                message_id,
                "the store is of a newer version and kept as {kept}: the device starts from its \
                 configuration"
            );
        }
    }
}

pub(super) fn gone(error: &JoinError) -> String {
    format!("the store is gone: {error}")
}

/// A store that cannot be opened is tried again after this, then after twice as long each
/// time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Message ids of the journal, as those of events.
const DAMAGED: &str = "9f2ecea616204bbe9976d6dc3c057f7e";
const NEWER: &str = "889aa4b223ec4dbf93ad215df1d84932";
const UNUSABLE: &str = "f5694b2728f24d5492c9c95bfa8d4ec6";
const USABLE: &str = "098d8e05a26441068c9a150bd3e6fd5b";
