//! What ModemManager says without being asked each time.
//!
//! 1. When the bus is there, listen; then ask for all modems.
//! 2. On a signal ask again, once for all signals of [`SETTLE_TIME`].
//! 3. While somebody observes the signal, have it measured in the modems that are
//!    connected, unless somebody else does; ModemManager tells it only then.
//! 4. What it said is forgotten when it goes, or the bus does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use zbus::Connection;

use crate::bus::{ASK_TIME_LIMIT, BusHandle, error_name, is_denied, next_message};
use crate::slots::Slots;
use crate::sources::modem_manager::{self, CONTROL_ACTION, Modem};
use crate::sources::properties;

/// The modems of the device, for all objects that want to know of them.
#[derive(Debug, Clone)]
pub struct Modems {
    known: watch::Receiver<Vec<Modem>>,
    /// Every how many seconds the signal is to be measured.
    rate: watch::Sender<Option<u32>>,
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
        let (rate, rate_seen) = watch::channel(None);
        task.spawn(keep(bus, modems, rate_seen));
        Self { known, rate, _task: Arc::new(task) }
    }

    /// Has the signal measured at this interval, or no longer.
    pub(crate) fn measure(&self, interval: Option<Duration>) {
        let seconds = |interval: Duration| u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
        let rate = interval.map(|interval| seconds(interval).max(1));
        self.rate.send_if_modified(|known| std::mem::replace(known, rate) != rate);
    }

    /// What is known of them now, and the news of it.
    pub(crate) fn known(&self) -> watch::Receiver<Vec<Modem>> {
        self.known.clone()
    }
}

async fn keep(
    bus: BusHandle,
    modems: watch::Sender<Vec<Modem>>,
    rate: watch::Receiver<Option<u32>>,
) {
    let (modems, rate) = (&modems, &rate);
    let listen = |bus| async move { listen(&bus, modems, rate.clone()).await };
    bus.listen_on_each(listen, || async { publish(modems, Vec::new()) }).await;
}

async fn listen(
    bus: &Connection,
    modems: &watch::Sender<Vec<Modem>>,
    mut rate: watch::Receiver<Option<u32>>,
) -> zbus::Result<()> {
    let mut owner = properties::owner_changes(bus, modem_manager::NAME).await?;
    let mut changes = modem_manager::changes(bus).await?;
    let mut slots = Slots::default();
    let mut meters = Meters::default();
    loop {
        let mut known = ask(bus).await;
        number(&mut known, &mut slots);
        publish(modems, known.clone());
        let wanted = *rate.borrow_and_update();
        meters.set(bus, &known, wanted).await;
        tokio::select! {
            Some(_) = next_message(&mut owner) => {}
            Some(_) = next_message(&mut changes) => {}
            Ok(()) = rate.changed() => {
                meters.refused.clear();
                continue;
            }
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

/// The modems whose signal is measured for us.
#[derive(Default)]
struct Meters {
    ours: HashSet<String>,
    /// Those that would not, on or off; they are not asked again until something changes.
    refused: HashSet<(String, bool)>,
}

impl Meters {
    async fn set(&mut self, bus: &Connection, modems: &[Modem], wanted: Option<u32>) {
        self.ours.retain(|path| modems.iter().any(|modem| modem.path == *path));
        for modem in modems {
            let Some(now) = modem.rate else { continue };
            let is_ours = self.ours.contains(&modem.path);
            let wanted = wanted.filter(|_| modem.connected().next().is_some());
            let seconds = match wanted {
                // Somebody else's is as good.
                Some(_) if now != 0 && !is_ours => continue,
                None if !is_ours => continue,
                wanted => wanted.unwrap_or_default(),
            };
            let key = (modem.path.clone(), modem.is_on);
            if seconds == now || self.refused.contains(&key) {
                continue;
            }
            let set = modem_manager::measure(bus, modem, seconds);
            match timeout(ASK_TIME_LIMIT, set).await {
                Ok(Ok(())) if seconds == 0 => drop(self.ours.remove(&modem.path)),
                Ok(Ok(())) => drop(self.ours.insert(modem.path.clone())),
                Ok(Err(error)) => {
                    if error_name(&error).is_some_and(|name| is_denied(&name)) {
                        tracing::warn!(
                            "the signal of the modem takes the polkit action {CONTROL_ACTION}"
                        );
                    } else {
                        tracing::debug!(%error, "the signal of the modem is not measured");
                    }
                    self.refused.insert(key);
                }
                Err(_) => drop(self.refused.insert(key)),
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
