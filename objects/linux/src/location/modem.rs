//! The receiver in a modem, through ModemManager: switched on while it is wanted.
//!
//! 1. Wanted: switch it on with its signals, which others on the bus see as well; take the
//!    place that is known, then that of each signal.
//! 2. Not wanted: put back what was switched on before.
//! 3. No modem, no right, no bus: wait for news; nothing is asked again and again.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use zbus::{Connection, MessageStream};

use super::fix::{Fix, Motion};
use super::nmea::{self, Report};
use super::track::{Gone, Track};
use crate::bus::{ASK_TIME_LIMIT, BusHandle, error_name, is_denied, needed, next_message};
use crate::source::Wanted;
use crate::sources::modem_manager::receiver::{GPS_NMEA, GPS_RAW, News, Receiver};
use crate::sources::modem_manager::{self, CONTROL_ACTION, Location};
use crate::sources::properties::{self, Properties, value};

/// Measures until the object is gone.
pub(super) async fn run(mut bus: BusHandle, track: Track) {
    let mut modem = Modem { track, last: None, warned: [false; 2] };
    loop {
        let wanted = modem.track.wanted();
        let connection = bus.take_notice();
        let step = match (wanted, connection) {
            (Wanted::Yes, Some(connection)) => modem.visit(&connection, &mut bus).await,
            _ => tokio::select! {
                changed = modem.track.changed() => changed,
                () = bus.changed() => Ok(()),
            },
        };
        if step.is_err() {
            return;
        }
    }
}

struct Modem {
    track: Track,
    last: Option<Fix>,
    /// Whether it was said that the right is missing, and that it tells nonsense.
    warned: [bool; 2],
}

impl Modem {
    /// Listens on one connection until it ends or nobody wants to know.
    async fn visit(&mut self, bus: &Connection, handle: &mut BusHandle) -> Result<(), Gone> {
        let streams = async {
            let owner = properties::owner_changes(bus, modem_manager::NAME).await?;
            Ok::<_, zbus::Error>((owner, modem_manager::changes(bus).await?))
        };
        let Ok((mut owner, mut changes)) = streams.await else {
            // It was lost; the daemon brings another.
            return self.rest(handle).await;
        };
        let mut known: Option<Receiver> = None;
        loop {
            let found = find(bus).await;
            if let Some(receiver) = &found {
                self.switch_on(bus, receiver).await;
            }
            // What is on by our own doing is not how it was found.
            let receiver = match (known, found) {
                (Some(before), Some(found)) if found == before.switched_on() => Some(before),
                (_, found) => found,
            };
            known = receiver.clone();
            let ended = self.listen(bus, receiver.as_ref(), handle, &mut owner, &mut changes).await;
            let ended = match ended {
                Ok(Ended::Modems) => continue,
                other => other,
            };
            if let Some(receiver) = &receiver {
                // To the state in which it was found; without the right it is so already.
                let _ = timeout(ASK_TIME_LIMIT, receiver.set_up(bus)).await;
            }
            return match ended? {
                Ended::Lost => self.rest(handle).await,
                Ended::Unwanted | Ended::Modems => Ok(()),
            };
        }
    }

    /// Waits for another connection, or until somebody else wants to know.
    async fn rest(&mut self, handle: &mut BusHandle) -> Result<(), Gone> {
        tokio::select! {
            changed = self.track.changed() => changed,
            () = handle.changed() => Ok(()),
        }
    }

    async fn switch_on(&mut self, bus: &Connection, receiver: &Receiver) {
        let on = receiver.switched_on();
        if on != *receiver {
            let switched = timeout(ASK_TIME_LIMIT, on.set_up(bus)).await;
            if let Ok(Err(error)) = switched {
                if error_name(&error).is_some_and(|name| is_denied(&name)) {
                    self.warn(RIGHT, &needed(CONTROL_ACTION));
                } else {
                    // Such as a modem that is switched off; its State tells when it is on.
                    tracing::debug!(%error, "the receiver of the modem cannot be switched on");
                }
            }
        }
        let known = modem_manager::get_location(bus, &receiver.path);
        if let Ok(Ok(known)) = timeout(ASK_TIME_LIMIT, known).await {
            self.take(&known);
        }
    }

    async fn listen(
        &mut self,
        bus: &Connection,
        receiver: Option<&Receiver>,
        handle: &mut BusHandle,
        owner: &mut MessageStream,
        changes: &mut MessageStream,
    ) -> Result<Ended, Gone> {
        loop {
            let message = tokio::select! {
                changed = self.track.changed() => {
                    changed?;
                    if self.track.wanted() == Wanted::No {
                        return Ok(Ended::Unwanted);
                    }
                    continue;
                }
                () = handle.changed() => return Ok(Ended::Lost),
                () = bus.closed() => return Ok(Ended::Lost),
                message = next_message(owner) => match message {
                    Some(_) => return Ok(Ended::Modems),
                    None => return Ok(Ended::Lost),
                },
                message = next_message(changes) => message,
            };
            let Some(message) = message else { return Ok(Ended::Lost) };
            let Ok(message) = message else { continue };
            let Some(receiver) = receiver else {
                if modem_manager::is_of_objects(&message) {
                    return Ok(Ended::Modems);
                }
                continue;
            };
            match receiver.news(&message) {
                Some(News::Place(known)) => self.take(&known),
                Some(News::Modems) => return Ok(Ended::Modems),
                None => {}
            }
            if self.track.wanted() == Wanted::No {
                return Ok(Ended::Unwanted);
            }
        }
    }

    /// Takes what a modem knows, if it is a new fix: it tells the last one again and again.
    fn take(&mut self, known: &Location) {
        match report(known, unix_now()) {
            Report::Fix(fix) if self.last.as_ref() != Some(&fix) => {
                self.last = Some(fix.clone());
                self.track.put(fix);
            }
            Report::Nonsense => self.warn(NONSENSE, "what it tells is impossible and ignored"),
            Report::Fix(_) | Report::NoFix | Report::Nothing => {}
        }
    }

    fn warn(&mut self, what: usize, why: &str) {
        if !std::mem::replace(&mut self.warned[what], true) {
            tracing::warn!("the position cannot be had from ModemManager: {why}");
        }
    }
}

enum Ended {
    Unwanted,
    /// Modems have come, gone or changed.
    Modems,
    /// The connection is of no use any more.
    Lost,
}

/// The receiver, if ModemManager is there and has one.
async fn find(bus: &Connection) -> Option<Receiver> {
    properties::ask(bus, modem_manager::NAME, Receiver::find(bus)).await.flatten()
}

/// The fix in what a modem knows: its sentences tell more than its numbers. Cells alone
/// are no fix.
fn report(known: &Location, now: i64) -> Report {
    let sentences = known.get(&GPS_NMEA).and_then(|text| String::try_from(text.clone()).ok());
    let from_sentences = sentences.map_or(Report::Nothing, |text| nmea::report(&text, now));
    if from_sentences != Report::Nothing {
        return from_sentences;
    }
    let Some(raw) = known.get(&GPS_RAW) else { return Report::Nothing };
    let Ok(raw) = Properties::try_from(raw.clone()) else {
        return Report::Nonsense;
    };
    let number = |name| value::<f64>(&raw, name);
    let (Some(latitude), Some(longitude)) = (number("latitude"), number("longitude")) else {
        return Report::NoFix;
    };
    // Without its time a fix is not told (OBJ-73).
    let time = properties::text(&raw, "utc-time");
    let Some(time) = time.as_deref().and_then(nmea::time_of_day) else { return Report::NoFix };
    let time = nmea::nearest(time, now);
    nmea::made(latitude, longitude, number("altitude"), Motion::default(), time)
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

const RIGHT: usize = 0;
const NONSENSE: usize = 1;
