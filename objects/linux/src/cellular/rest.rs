//! A time without radio (`/10/0/1`). It outlives a restart of the agent, since a device
//! whose radio stays off is lost.
//!
//! 1. Recorded, then answered; after [`ANSWER_TIME`] the modems are switched off.
//! 2. When the time is over, the modems that are there are switched on, and what was
//!    connected is connected again; then the record goes.
//! 3. What fails is tried again every [`RETRY_TIME`]. Without a modem or a bus it waits.

use std::fs;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lwm2m_model::Path;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::bus::{ASK_TIME_LIMIT, WORK_TIME_LIMIT};
use crate::durable::{read_record, write_record};
use crate::modems::Known;
use crate::sources::modem_manager::{self, Modem};
use crate::{BusHandle, ObjectMessage};

/// A time without radio, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rest {
    /// The minutes that were asked for; none end a rest.
    pub(super) minutes: u32,
    /// Unix time in seconds at which it ends.
    until: u64,
    /// The bearers that were connected.
    bearers: Vec<String>,
    /// The modems that were off before, and stay so.
    off: Vec<String>,
}

impl Rest {
    /// A rest from now on, in the place of another one that is not over.
    pub(super) fn new(minutes: u32, modems: &[Modem], before: Option<Self>) -> Self {
        let until = unix_now().saturating_add(u64::from(minutes) * 60);
        if let Some(before) = before {
            return Self { minutes, until, ..before };
        }
        let bearers = modems.iter().flat_map(Modem::connected);
        let off = modems.iter().filter(|modem| !modem.is_on);
        Self {
            minutes,
            until,
            bearers: bearers.map(|bearer| bearer.path.clone()).collect(),
            off: off.map(|modem| modem.path.clone()).collect(),
        }
    }

    /// What is left of it; never more than the whole, should the clock have been set.
    fn remaining(&self) -> Duration {
        let whole = u64::from(self.minutes) * 60;
        Duration::from_secs(self.until.saturating_sub(unix_now()).min(whole))
    }
}

/// Where the record of a rest is.
#[derive(Debug, Clone)]
pub(super) struct Record(PathBuf);

impl Record {
    /// In the state directory.
    pub(super) fn new(state: &FilePath) -> Self {
        Self(state.join("radio-rest"))
    }

    /// The rest that the end of the agent has cut short. One that cannot be read is over.
    pub(super) fn load(&self) -> Option<Rest> {
        read_record(&self.0).unwrap_or_else(|error| {
            let path = self.0.display();
            tracing::warn!(%error, "{path}: the record of a rest of the radio is damaged");
            Some(Rest { minutes: 0, until: 0, bearers: Vec::new(), off: Vec::new() })
        })
    }

    /// Records a rest; blocks.
    ///
    /// # Errors
    /// Of the system.
    pub(super) fn write(&self, rest: &Rest) -> io::Result<()> {
        write_record(&self.0, rest)
    }

    fn clear(&self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, "{}: cannot be removed", self.0.display());
        }
    }
}

/// The task that lets the modems rest.
pub(super) struct Keeper {
    pub(super) bus: BusHandle,
    pub(super) modems: watch::Receiver<Known>,
    pub(super) record: Record,
    /// The rest that is under way.
    pub(super) rest: watch::Sender<Option<Rest>>,
    /// What changes with it.
    pub(super) path: Path,
    pub(super) out: mpsc::Sender<ObjectMessage>,
}

impl Keeper {
    /// Works until the object is gone.
    pub(super) async fn run(mut self) {
        let mut wanted = self.rest.subscribe();
        loop {
            let now = wanted.borrow_and_update().clone();
            let Some(now) = now else {
                if wanted.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                () = self.pass(&now) => {}
                _ = wanted.changed() => continue,
            }
            let is_over =
                self.rest.send_if_modified(|rest| rest.take_if(|it| *it == now).is_some());
            if is_over {
                self.record.clear();
                tracing::info!("the radio is on again");
                let _ = self.out.send(ObjectMessage::Changed(self.path.clone())).await;
            }
        }
    }

    async fn pass(&mut self, rest: &Rest) {
        if !rest.remaining().is_zero() {
            sleep(ANSWER_TIME).await;
            self.switch_off(rest).await;
            sleep(rest.remaining()).await;
        }
        while !self.switch_on(rest).await {
            sleep(RETRY_TIME).await;
        }
    }

    async fn switch_off(&self, rest: &Rest) {
        let Some(bus) = self.bus.connection() else { return };
        let modems = self.modems.borrow().modems.clone();
        for modem in modems.iter().filter(|modem| modem.is_on) {
            match timeout(WORK_TIME_LIMIT, modem_manager::enable(&bus, modem, false)).await {
                Ok(Ok(())) => {
                    tracing::info!(minutes = rest.minutes, "the radio rests for a server");
                }
                Ok(Err(error)) => tracing::error!(%error, "cannot switch the radio off"),
                Err(_) => tracing::error!("ModemManager does not switch the radio off in time"),
            }
        }
    }

    /// True if it is done.
    async fn switch_on(&mut self, rest: &Rest) -> bool {
        let known = self.modems.wait_for(|known| !known.modems.is_empty()).await;
        let Ok(modems) = known.map(|known| known.modems.clone()) else {
            return std::future::pending().await;
        };
        let bus = self.bus.connected().await;
        // What is known of them may be older than that they were switched off.
        for modem in modems.iter().filter(|modem| !rest.off.contains(&modem.path)) {
            if let Err(error) = modem_manager::enable(&bus, modem, true).await {
                tracing::error!(%error, "cannot switch the radio on; it is tried again");
                return false;
            }
        }
        for bearer in &rest.bearers {
            // Somebody else may have connected it since, or have removed it; and in the
            // end it is the network that decides.
            let connect = modem_manager::connect(&bus, bearer, true);
            if let Ok(Err(error)) = timeout(ASK_TIME_LIMIT, connect).await {
                tracing::debug!(%error, bearer, "not connected again after a rest");
            }
        }
        true
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// So long the answer has to reach the server before the radio is off.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// Between attempts to switch a modem on.
const RETRY_TIME: Duration = Duration::from_secs(60);
