//! The uninterruptible power supplies that UPower knows.
//!
//! 1. When the bus is there, listen to devices that come and go; then ask.
//! 2. While there is a UPS, listen to the news of devices too. Without one nothing wakes us:
//!    a battery has news each minute, which the kernel tells to whoever observes it.
//! 3. What it said is forgotten when UPower goes, or the bus does.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use zbus::{Connection, Message, MessageStream};

use super::facts::Facts;
use super::resource::{self, AVAILABLE_POWER_SOURCES, ERROR_CODE, POWER_SOURCE_VOLTAGE};
use crate::ObjectMessage;
use crate::bus::{BusHandle, next_message, settle};
use crate::sources::power_supply::Supply;
use crate::sources::{properties, upower};

/// Keeps what is known of them until the object is gone.
pub(super) async fn keep(
    bus: BusHandle,
    facts: watch::Sender<Facts>,
    out: mpsc::Sender<ObjectMessage>,
) {
    let (facts, out) = (&facts, &out);
    let listen = |bus| async move { listen(&bus, facts, out).await };
    let forget = || async {
        // Without a host nobody needs to know.
        let _ = publish(facts, out, Vec::new()).await;
    };
    bus.listen_on_each(listen, forget).await;
}

/// Listens as long as the connection lives.
async fn listen(
    bus: &Connection,
    facts: &watch::Sender<Facts>,
    out: &mpsc::Sender<ObjectMessage>,
) -> zbus::Result<()> {
    let mut owner = properties::owner_changes(bus, upower::NAME).await?;
    let mut arrivals = upower::arrivals(bus).await?;
    let mut changes: Option<MessageStream> = None;
    loop {
        let supplies = properties::ask(bus, upower::NAME, upower::supplies(bus)).await;
        let supplies = supplies.unwrap_or_default();
        if supplies.is_empty() {
            changes = None;
        } else if changes.is_none() {
            changes = Some(upower::changes(bus).await?);
            // Asked again: what has changed meanwhile nobody has told.
            continue;
        }
        if publish(facts, out, supplies).await.is_err() {
            return Ok(());
        }
        // A malformed signal counts too: what follows is a question.
        tokio::select! {
            Some(_) = next_message(&mut owner) => {}
            Some(_) = next_message(&mut arrivals) => {}
            Some(_) = next_change(&mut changes) => {}
            else => return Ok(()),
        }
        let news = async {
            loop {
                tokio::select! {
                    Some(_) = next_message(&mut arrivals) => {}
                    Some(_) = next_change(&mut changes) => {}
                    else => break,
                }
            }
        };
        settle(SETTLE_TIME, news).await;
    }
}

/// The next news of a device, if they are listened to. Cancel safe.
async fn next_change(changes: &mut Option<MessageStream>) -> Option<zbus::Result<Message>> {
    match changes {
        Some(changes) => next_message(changes).await,
        None => std::future::pending().await,
    }
}

/// Stores them and tells what differs. Fails when nobody listens any more.
async fn publish(
    facts: &watch::Sender<Facts>,
    out: &mpsc::Sender<ObjectMessage>,
    supplies: Vec<Supply>,
) -> Result<(), mpsc::error::SendError<ObjectMessage>> {
    let mut differs = false;
    facts.send_if_modified(|known| {
        differs = known.ups != supplies;
        known.ups = supplies;
        differs
    });
    for id in RESOURCES.into_iter().filter(|_| differs) {
        out.send(ObjectMessage::Changed(resource::path(id))).await?;
    }
    Ok(())
}

/// Signals of this time lead to one question: there may be many.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// What they are seen in.
const RESOURCES: [u16; 3] = [AVAILABLE_POWER_SOURCES, POWER_SOURCE_VOLTAGE, ERROR_CODE];
