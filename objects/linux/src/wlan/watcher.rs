//! What NetworkManager says without being asked each time, and who is told.
//!
//! 1. When the bus is there, listen; then ask for all WLANs.
//! 2. On news ask again, once for all news of [`SETTLE_TIME`].
//! 3. What it said is forgotten when it goes, or the bus does.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::{ObjectDef, Path};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zbus::{Connection, MessageStream};

use super::contents::{contents, path};
use super::resource::COUNTERS;
use crate::bus::{BusHandle, next_message, settle};
use crate::content::Content;
use crate::observed::{Observed, at};
use crate::slots::Slots;
use crate::sources::network_manager::{self, DEVICE, NAME, WIRELESS, Wlan};
use crate::sources::properties;
use crate::{ObjectMessage, Roots};

/// The WLANs by instance, ascending.
pub(super) type Wlans = Vec<(u16, Wlan)>;

/// Keeps the WLANs until the object is gone.
pub(super) async fn keep(bus: BusHandle, wlans: watch::Sender<Wlans>) {
    let slots = tokio::sync::Mutex::new(Slots::default());
    let (wlans, slots) = (&wlans, &slots);
    let publish = move |new: Vec<Wlan>| async move {
        let named = slots.lock().await.assign(&new, |wlan| &wlan.name);
        let named: Wlans = named.into_iter().map(|(id, wlan)| (id, wlan.clone())).collect();
        wlans.send_if_modified(|known| {
            let differs = *known != named;
            *known = named;
            differs
        });
    };
    let listen = |bus| async move { listen(&bus, publish).await };
    bus.listen_on_each(listen, || publish(Vec::new())).await;
}

async fn listen<F>(bus: &Connection, publish: impl Fn(Vec<Wlan>) -> F) -> zbus::Result<()>
where
    F: Future<Output = ()>,
{
    let mut owner = properties::owner_changes(bus, NAME).await?;
    let mut manager = network_manager::changes(bus, NAME).await?;
    let mut devices = network_manager::changes(bus, DEVICE).await?;
    let mut wireless = network_manager::changes(bus, WIRELESS).await?;
    loop {
        let wlans = properties::ask(bus, NAME, network_manager::wlans(bus)).await;
        publish(wlans.unwrap_or_default()).await;
        tokio::select! {
            Some(_) = next_message(&mut owner) => {}
            Some(()) = news(&mut manager) => {}
            Some(()) = news(&mut devices) => {}
            Some(()) = news(&mut wireless) => {}
            else => return Ok(()),
        }
        let news = async {
            loop {
                tokio::select! {
                    Some(_) = next_message(&mut manager) => {}
                    Some(_) = next_message(&mut devices) => {}
                    Some(_) = next_message(&mut wireless) => {}
                    else => break,
                }
            }
        };
        settle(SETTLE_TIME, news).await;
    }
}

/// Waits for a signal that concerns a value; `None` when the connection is gone. Cancel
/// safe.
async fn news(stream: &mut MessageStream) -> Option<()> {
    loop {
        match next_message(stream).await? {
            Ok(signal) if !network_manager::is_news(&signal) => {}
            Ok(_) | Err(_) => return Some(()),
        }
    }
}

/// Tells what differs: instances and values at the news of NetworkManager, counters from
/// samples while somebody observes them.
pub(super) struct Teller {
    pub(super) definition: Arc<ObjectDef>,
    pub(super) roots: Roots,
    pub(super) wlans: watch::Receiver<Wlans>,
    pub(super) observed: watch::Receiver<Observed>,
    pub(super) out: mpsc::Sender<ObjectMessage>,
}

impl Teller {
    /// Tells until the object is gone.
    pub(super) async fn run(mut self) {
        let mut before: Vec<(Path, Content)> = Vec::new();
        let mut instances: Vec<u16> = Vec::new();
        let mut next: Option<Instant> = None;
        loop {
            let sample = self.interval().map(|interval| Instant::now() + interval);
            next = sample.map(|sample| next.map_or(sample, |next| next.min(sample)));
            tokio::select! {
                more = self.observed.changed() => match more {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                Ok(()) = self.wlans.changed() => {}
                () = at(next) => {}
            }
            next = None;
            let wlans = self.wlans.borrow_and_update().clone();
            let now = all_contents(&wlans, &self.roots);
            let ids: Vec<u16> = wlans.iter().map(|(id, _)| *id).collect();
            let mut messages = Vec::new();
            if ids != instances {
                messages.push(ObjectMessage::Object {
                    definition: self.definition.clone(),
                    instances: ids.clone(),
                    streams: Vec::new(),
                });
            }
            // Of those that come and go the instances themselves are the news.
            let is_left = |path: &&Path| {
                let id = path.instance_id();
                id.is_some_and(|id| ids.contains(&id) && instances.contains(&id))
            };
            let new = now.iter().filter(|content| !before.contains(content));
            let gone = before.iter().filter(|(at, _)| !now.iter().any(|(path, _)| path == at));
            let paths = new.chain(gone).map(|(path, _)| path).filter(is_left);
            messages.extend(paths.cloned().map(ObjectMessage::Changed));
            for message in messages {
                if self.out.send(message).await.is_err() {
                    return;
                }
            }
            (before, instances) = (now, ids);
        }
    }

    /// How often somebody wants the counters, of which there is no news.
    fn interval(&mut self) -> Option<Duration> {
        let observed = self.observed.borrow_and_update();
        let wlans = self.wlans.borrow();
        let counters = wlans
            .iter()
            .flat_map(|(id, _)| COUNTERS.iter().map(|(resource, _)| path(*id, *resource)));
        counters.filter_map(|counter| observed.interval(&counter)).min()
    }
}

/// What stands in the resources of all instances.
pub(super) fn all_contents(wlans: &Wlans, roots: &Roots) -> Vec<(Path, Content)> {
    wlans.iter().flat_map(|(id, wlan)| contents(*id, wlan, &roots.sys)).collect()
}

/// News of this time lead to one question: a link that connects sends many.
const SETTLE_TIME: Duration = Duration::from_millis(500);
