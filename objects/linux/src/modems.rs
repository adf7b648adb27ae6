//! What ModemManager says without being asked each time.
//!
//! 1. When the bus is there, listen; then ask for all modems.
//! 2. On a signal ask again, once for all signals of [`SETTLE_TIME`].
//! 3. What it said is forgotten when it goes, or the bus does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use zbus::Connection;

use crate::bus::{ASK_TIME_LIMIT, BusHandle, next_message};
use crate::slots::Slots;
use crate::sources::modem_manager::{self, Modem};
use crate::sources::properties;

/// The modems of the device, for all objects that want to know of them.
#[derive(Debug, Clone)]
pub struct Modems {
    known: watch::Receiver<Vec<Modem>>,
    /// It ends with the last of the objects.
    _task: Arc<JoinSet<()>>,
}

impl Modems {
    /// Listens to ModemManager on the bus, whenever it is there.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(bus: BusHandle) -> Self {
        let (modems, known) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(keep(bus, modems));
        Self { known, _task: Arc::new(task) }
    }

    /// What is known of them now, and the news of it.
    pub(crate) fn known(&self) -> watch::Receiver<Vec<Modem>> {
        self.known.clone()
    }
}

async fn keep(bus: BusHandle, modems: watch::Sender<Vec<Modem>>) {
    let modems = &modems;
    let listen = |bus| async move { listen(&bus, modems).await };
    bus.listen_on_each(listen, || async { publish(modems, Vec::new()) }).await;
}

async fn listen(bus: &Connection, modems: &watch::Sender<Vec<Modem>>) -> zbus::Result<()> {
    let mut owner = properties::owner_changes(bus, modem_manager::NAME).await?;
    let mut changes = modem_manager::changes(bus).await?;
    let mut slots = Slots::default();
    loop {
        let mut known = ask(bus).await;
        number(&mut known, &mut slots);
        publish(modems, known);
        tokio::select! {
            Some(_) = next_message(&mut owner) => {}
            Some(_) = next_message(&mut changes) => {}
            else => return Ok(()),
        }
        // The signals that come meanwhile ask for the same.
        let settled = sleep(SETTLE_TIME);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                () = &mut settled => break,
                Some(_) = next_message(&mut changes) => {}
                else => break,
            }
        }
    }
}

async fn ask(bus: &Connection) -> Vec<Modem> {
    let ask = async {
        match properties::has_owner(bus, modem_manager::NAME).await {
            Ok(true) => modem_manager::modems(bus).await.inspect_err(|error| {
                tracing::debug!(%error, "ModemManager does not tell its modems");
            }),
            Ok(false) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    };
    timeout(ASK_TIME_LIMIT, ask).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// Gives each bearer the number that it had, or a new one.
fn number(modems: &mut [Modem], slots: &mut Slots) {
    let bearers = modems.iter().flat_map(|modem| &modem.bearers);
    let paths: Vec<String> = bearers.map(|bearer| bearer.path.clone()).collect();
    let numbers: HashMap<&String, u16> = slots
        .assign(&paths, |path| path)
        .into_iter()
        .map(|(number, path)| (path, number))
        .collect();
    for bearer in modems.iter_mut().flat_map(|modem| &mut modem.bearers) {
        bearer.number = numbers.get(&bearer.path).copied().unwrap_or_default();
    }
}

fn publish(modems: &watch::Sender<Vec<Modem>>, new: Vec<Modem>) {
    modems.send_if_modified(|known| {
        let differs = *known != new;
        *known = new;
        differs
    });
}

/// Signals of this time lead to one question: a modem that connects sends many.
const SETTLE_TIME: Duration = Duration::from_millis(500);
