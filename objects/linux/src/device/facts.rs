//! What services on the bus say without being asked each time: the time zone
//! (timedated) and the number of failed units (systemd).
//!
//! 1. When the bus is there, listen to the owners and the properties of both.
//! 2. Ask those that run; a service is never started for a Read.
//! 3. On a signal ask again, and say `Changed` if the answer differs.
//! 4. The zone is forgotten when timedated goes, or the bus: the link that it writes is
//!    there to read. The failed units stay: a systemd that starts anew, and a bus that
//!    does, make no unit well.
//! 5. An answer during which a Write has set the zone is not taken: we ask again.

use tokio::sync::{mpsc, watch};
use zbus::Connection;

use super::resource::{self, ERROR_CODE, TIMEZONE, UTC_OFFSET};
use crate::ObjectMessage;
use crate::bus::{BusHandle, next_message};
use crate::sources::power_supply::Supply;
use crate::sources::{properties, systemd1, timedate1, timezone};

/// The answers of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// The zone in force, as timedated says; `None` if it is not there to ask.
    pub(super) time_zone: Option<String>,
    /// Units that have failed, as systemd said last; 0 until it has said it.
    pub(super) failed_units: u32,
    /// The uninterruptible power supplies of UPower, as long as it is there.
    pub(super) ups: Vec<Supply>,
    /// How often this object has set the zone: what timedated said before is old.
    pub(super) zone_writes: u32,
}

/// Keeps the facts until the object is gone.
pub(super) async fn keep(
    bus: BusHandle,
    facts: watch::Sender<Facts>,
    out: mpsc::Sender<ObjectMessage>,
) {
    let (facts, out) = (&facts, &out);
    let listen = |bus| async move { listen(&bus, facts, out).await };
    let forget = || async {
        // Without a host nobody needs to know.
        let _ = publish(facts, out, Fact::TimeZone(None)).await;
    };
    bus.listen_on_each(listen, forget).await;
}

/// Listens as long as the connection lives.
async fn listen(
    bus: &Connection,
    facts: &watch::Sender<Facts>,
    out: &mpsc::Sender<ObjectMessage>,
) -> zbus::Result<()> {
    let mut zone_owner = properties::owner_changes(bus, timedate1::NAME).await?;
    let mut zone = properties::changes(bus, timedate1::NAME, timedate1::PATH).await?;
    let mut units_owner = properties::owner_changes(bus, systemd1::NAME).await?;
    let mut units = properties::changes(bus, systemd1::NAME, systemd1::PATH).await?;
    subscribe(bus).await;
    let zone_now = || current(facts, || ask_zone(bus));
    let failed = ask_units(bus).await;
    // The zone last, and taken first: a Write must not come in between.
    let mut news = vec![zone_now().await];
    news.extend(failed);
    loop {
        for fact in news.drain(..) {
            if publish(facts, out, fact).await.is_err() {
                return Ok(());
            }
        }
        // A malformed signal counts too: what follows is a question.
        let fact = tokio::select! {
            Some(_) = next_message(&mut zone_owner) => Some(zone_now().await),
            Some(_) = next_message(&mut zone) => Some(zone_now().await),
            Some(_) = next_message(&mut units_owner) => {
                // Another systemd than before knows of no subscription.
                subscribe(bus).await;
                ask_units(bus).await
            }
            Some(_) = next_message(&mut units) => ask_units(bus).await,
            else => return Ok(()),
        };
        news.extend(fact);
    }
}

/// One of the facts, new.
#[derive(Debug, PartialEq)]
enum Fact {
    TimeZone(Option<String>),
    FailedUnits(u32),
}

/// Stores a fact and tells if it differs. Fails when nobody listens any more.
async fn publish(
    facts: &watch::Sender<Facts>,
    out: &mpsc::Sender<ObjectMessage>,
    fact: Fact,
) -> Result<(), mpsc::error::SendError<ObjectMessage>> {
    let mut changed: &[u16] = &[];
    facts.send_modify(|known| match fact {
        Fact::TimeZone(zone) if known.time_zone != zone => {
            known.time_zone = zone;
            changed = &[UTC_OFFSET, TIMEZONE];
        }
        Fact::FailedUnits(units) if known.failed_units != units => {
            known.failed_units = units;
            changed = &[ERROR_CODE];
        }
        Fact::TimeZone(_) | Fact::FailedUnits(_) => {}
    });
    for id in changed {
        out.send(ObjectMessage::Changed(resource::path(*id))).await?;
    }
    Ok(())
}

/// Asks until no Write has come between question and answer.
async fn current<F>(facts: &watch::Sender<Facts>, ask: impl Fn() -> F) -> Fact
where
    F: Future<Output = Fact>,
{
    loop {
        let before = facts.borrow().zone_writes;
        let fact = ask().await;
        if facts.borrow().zone_writes == before {
            return fact;
        }
    }
}

async fn ask_zone(bus: &Connection) -> Fact {
    let zone = properties::ask(bus, timedate1::NAME, timedate1::time_zone(bus)).await;
    // An empty text is timedated's way of saying that it does not know.
    Fact::TimeZone(zone.filter(|zone| timezone::is_name(zone)))
}

/// `None` if nobody answers.
async fn ask_units(bus: &Connection) -> Option<Fact> {
    let units = properties::ask(bus, systemd1::NAME, systemd1::failed_units(bus)).await;
    units.map(Fact::FailedUnits)
}

/// systemd sends signals only if somebody has subscribed; logind has, where there
/// is one, so this costs nothing more.
async fn subscribe(bus: &Connection) {
    let _ = properties::ask(bus, systemd1::NAME, systemd1::subscribe(bus)).await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn an_answer_from_before_a_write_is_not_taken() {
        let (facts, _) = watch::channel(Facts::default());
        let zone = |name: &str| Fact::TimeZone(Some(name.to_owned()));
        let answers = RefCell::new(vec![zone("Europe/Berlin"), zone("Etc/UTC")]);
        let fact = current(&facts, || {
            let answer = answers.borrow_mut().pop().expect("asked twice at most");
            if answer == zone("Etc/UTC") {
                facts.send_modify(|known| known.zone_writes += 1);
            }
            std::future::ready(answer)
        });
        assert_eq!(fact.await, zone("Europe/Berlin"));
    }
}
