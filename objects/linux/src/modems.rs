//! What ModemManager and NetworkManager say of modems without being asked each time.
//!
//! 1. When the bus is there, listen; then ask for all modems, and for the profiles by which
//!    NetworkManager connects them.
//! 2. On a signal ask again, once for all signals of [`SETTLE_TIME`].
//! 3. While somebody observes the signal, have it measured in the modems that are
//!    connected, unless somebody else does; ModemManager tells it only then.
//! 4. What it said is forgotten when it goes, or the bus does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zbus::{Connection, MessageStream};

use crate::bus::{ASK_TIME_LIMIT, BusHandle, error_name, is_denied, needed, next_message, settle};
use crate::slots::Slots;
use crate::sources::modem_manager::{self, Bearer, CONTROL_ACTION, Modem};
use crate::sources::network_manager::mobile::{self, Carrier, Mobile, Profiles};
use crate::sources::network_manager::{self, DEVICE};
use crate::sources::properties;

/// What is known of modems.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Known {
    /// Those of ModemManager.
    pub(crate) modems: Vec<Modem>,
    /// The profiles of mobile connections.
    pub(crate) profiles: Vec<Mobile>,
    /// The modems that NetworkManager manages.
    pub(crate) carriers: Vec<Carrier>,
}

/// The modems of the device, for all objects that want to know of them.
#[derive(Debug, Clone)]
pub struct Modems {
    known: watch::Receiver<Known>,
    /// Every how many seconds the signal is to be measured.
    rate: watch::Sender<Option<u32>>,
    /// It ends with the last of the objects.
    _task: Arc<JoinSet<()>>,
}

impl Modems {
    /// Listens to both services on the bus, whenever they are there.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(bus: BusHandle) -> Self {
        let (told, known) = watch::channel(Known::default());
        let mut task = JoinSet::new();
        let (rate, rate_seen) = watch::channel(None);
        task.spawn(keep(bus, told, rate_seen));
        Self { known, rate, _task: Arc::new(task) }
    }

    /// Has the signal measured at this interval, or no longer.
    pub(crate) fn measure(&self, interval: Option<Duration>) {
        let seconds = |interval: Duration| u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
        let rate = interval.map(|interval| seconds(interval).max(1));
        self.rate.send_if_modified(|known| std::mem::replace(known, rate) != rate);
    }

    /// What is known of them now, and the news of it.
    pub(crate) fn known(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }
}

async fn keep(bus: BusHandle, told: watch::Sender<Known>, rate: watch::Receiver<Option<u32>>) {
    let (told, rate) = (&told, &rate);
    let listen = |bus| async move { listen(&bus, told, rate.clone()).await };
    bus.listen_on_each(listen, || async { publish(told, Known::default()) }).await;
}

async fn listen(
    bus: &Connection,
    told: &watch::Sender<Known>,
    mut rate: watch::Receiver<Option<u32>>,
) -> zbus::Result<()> {
    let mut ears = Ears::new(bus).await?;
    let mut slots = Slots::default();
    let mut meters = Meters::default();
    loop {
        let mut known = ask(bus, &mut ears.profiles).await;
        number(&mut known, &mut slots);
        publish(told, known.clone());
        let wanted = *rate.borrow_and_update();
        meters.set(bus, &known.modems, wanted).await;
        tokio::select! {
            heard = ears.news() => match heard {
                Some(()) => {}
                None => return Ok(()),
            },
            Ok(()) = rate.changed() => {
                meters.refused.clear();
                continue;
            }
        }
        settle(SETTLE_TIME, async { while ears.news().await.is_some() {} }).await;
    }
}

/// What is listened to.
struct Ears {
    profiles: Profiles,
    owners: [MessageStream; 2],
    modems: MessageStream,
    manager: MessageStream,
    devices: MessageStream,
    settings: MessageStream,
}

impl Ears {
    async fn new(bus: &Connection) -> zbus::Result<Self> {
        let owners = [
            properties::owner_changes(bus, modem_manager::NAME).await?,
            properties::owner_changes(bus, network_manager::NAME).await?,
        ];
        Ok(Self {
            profiles: Profiles::default(),
            owners,
            modems: modem_manager::changes(bus).await?,
            manager: network_manager::changes(bus, network_manager::NAME).await?,
            devices: network_manager::changes(bus, DEVICE).await?,
            settings: mobile::profile_changes(bus).await?,
        })
    }

    /// Waits for a signal that concerns what is told; `None` when the connection is gone.
    /// Cancel safe.
    async fn news(&mut self) -> Option<()> {
        let [of_modems, of_network] = &mut self.owners;
        loop {
            tokio::select! {
                Some(_) = next_message(of_modems) => {}
                Some(_) = next_message(of_network) => self.profiles = Profiles::default(),
                Some(_) = next_message(&mut self.modems) => {}
                Some(Ok(signal)) = next_message(&mut self.settings) => self.profiles.forget(&signal),
                Some(Ok(signal)) = next_message(&mut self.manager) => {
                    if !network_manager::is_news(&signal) {
                        continue;
                    }
                }
                Some(Ok(signal)) = next_message(&mut self.devices) => {
                    if !network_manager::is_news(&signal) {
                        continue;
                    }
                }
                else => return None,
            }
            return Some(());
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
                        let needed = needed(CONTROL_ACTION);
                        tracing::warn!("the signal of the modem is not measured: {needed}");
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

async fn ask(bus: &Connection, profiles: &mut Profiles) -> Known {
    // In this order a bearer is seen without its profile neither when it comes nor when it
    // goes: it is connected after NetworkManager has begun to, and no longer when
    // NetworkManager has ended it.
    let asked = properties::ask(bus, network_manager::NAME, mobile::mobile(bus, profiles)).await;
    let (profiles, carriers) = asked.unwrap_or_default();
    let modems = properties::ask(bus, modem_manager::NAME, modem_manager::modems(bus)).await;
    Known { modems: modems.unwrap_or_default(), profiles, carriers }
}

/// Gives each profile, and each bearer that has none, the number that it had, or a new one;
/// the bearer of a profile has the number of that.
fn number(known: &mut Known, slots: &mut Slots) {
    for profile in &known.profiles {
        if let Some(wanted) = profile.wanted {
            slots.reserve(wanted, &profile.path);
        }
    }
    let owners = owners(known);
    let bearers = known.modems.iter().flat_map(|modem| &modem.bearers);
    let of_bearers = bearers.filter_map(|bearer| owners.get(&bearer.path)).filter(|owner| {
        // Profiles are listed anyway.
        !known.profiles.iter().any(|profile| profile.path == **owner)
    });
    let profiles = known.profiles.iter().map(|profile| &profile.path);
    let keys: Vec<String> = profiles.chain(of_bearers).cloned().collect();
    let numbers: HashMap<&String, u16> =
        slots.assign(&keys, |key| key).into_iter().map(|(number, key)| (key, number)).collect();
    for profile in &mut known.profiles {
        profile.number = numbers.get(&profile.path).copied().unwrap_or_default();
    }
    for bearer in known.modems.iter_mut().flat_map(|modem| &mut modem.bearers) {
        bearer.number = owners.get(&bearer.path).and_then(|owner| numbers.get(owner)).copied();
    }
}

/// Whose number each bearer has: that of its profile or its own. What NetworkManager has
/// left in its modems, and no profile is like, has none.
fn owners(known: &Known) -> HashMap<String, String> {
    let mut owners: HashMap<String, String> = HashMap::new();
    let mut others = Vec::new();
    for modem in &known.modems {
        let is_its = |carrier: &&Carrier| carrier.modem.as_ref() == Some(&modem.path);
        let carrier = known.carriers.iter().find(is_its);
        for bearer in &modem.bearers {
            let owner = match carrier {
                None => &bearer.path,
                Some(_) if !bearer.is_connected => {
                    others.push(bearer);
                    continue;
                }
                Some(carrier) => known
                    .profiles
                    .iter()
                    .map(|profile| &profile.path)
                    .filter(|profile| carrier.is_by(profile) && is_at(carrier, bearer))
                    .find(|profile| !owners.values().any(|taken| taken == *profile))
                    .unwrap_or(&bearer.path),
            };
            owners.insert(bearer.path.clone(), owner.clone());
        }
    }
    // They say how the last attempt went.
    for bearer in others {
        let is_like = |profile: &&Mobile| profile.apn == bearer.apn && profile.user == bearer.user;
        let mut like = known.profiles.iter().filter(is_like).map(|profile| &profile.path);
        if let Some(profile) = like.find(|it| !owners.values().any(|taken| taken == *it)) {
            owners.insert(bearer.path.clone(), profile.clone());
        }
    }
    owners
}

/// Whether a bearer is the link of a modem, as far as is known.
fn is_at(carrier: &Carrier, bearer: &Bearer) -> bool {
    match (&carrier.link, &bearer.link) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

fn publish(told: &watch::Sender<Known>, new: Known) {
    told.send_if_modified(|known| {
        let differs = *known != new;
        *known = new;
        differs
    });
}

/// Signals of this time lead to one question: a modem that connects sends many.
const SETTLE_TIME: Duration = Duration::from_millis(500);
