//! Writes of Current Time (13), UTC Offset (14) and Timezone (15) through
//! timedated (OBJ-66, OBJ-67).
//!
//! 1. What is malformed is refused with 4.00, before anybody is asked.
//! 2. Everything is checked: the zone is known, the offset fits, no time service
//!    sets the clock.
//! 3. The zone is set, then the clock; if the clock fails, the zone is put back.

use lwm2m_engine::{CallReply, CallResult};
use lwm2m_model::{Code, Entry, Now, RequestError, Value};
use tokio::sync::watch;
use zbus::Connection;

use super::facts::Facts;
use super::measure::current_zone;
use super::resource::{CURRENT_TIME, TIMEZONE, UTC_OFFSET};
use crate::Roots;
use crate::bus::{self, error_name};
use crate::sources::timezone::{self, UtcOffset};
use crate::sources::{clock, timedate1};

/// What a Write asks for, in form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SetTime {
    /// Microseconds of Unix time.
    time: Option<i64>,
    offset: Option<UtcOffset>,
    zone: Option<String>,
}

impl SetTime {
    /// Step 1: reads the values of a Write.
    pub(super) fn parse(entries: &[Entry]) -> Result<Self, RequestError> {
        let mut wanted = Self::default();
        for entry in entries {
            let wrong = |what: &str| {
                RequestError::new(Code::BAD_REQUEST, format!("write {}: {what}", entry.path))
            };
            match (entry.path.resource_id(), entry.value()) {
                (Some(CURRENT_TIME), Some(Value::Time(seconds))) if *seconds >= 0 => {
                    let microseconds = seconds.checked_mul(1_000_000);
                    wanted.time = Some(microseconds.ok_or_else(|| wrong("no time of this age"))?);
                }
                (Some(CURRENT_TIME), _) => return Err(wrong("expected seconds since 1970")),
                (Some(UTC_OFFSET), Some(Value::String(text))) => {
                    let offset = text.parse().map_err(|_| wrong("expected the form +02:00"))?;
                    wanted.offset = Some(offset);
                }
                (Some(TIMEZONE), Some(Value::String(text))) if timezone::is_name(text) => {
                    wanted.zone = Some(text.clone());
                }
                (Some(TIMEZONE), _) => return Err(wrong("expected a zone such as Europe/Berlin")),
                _ => return Err(wrong("cannot be written")),
            }
        }
        Ok(wanted)
    }

    /// Steps 2 and 3.
    pub(super) async fn apply(
        mut self,
        bus: Option<Connection>,
        roots: &Roots,
        facts: &watch::Sender<Facts>,
    ) -> CallResult {
        let before = current_zone(&facts.borrow(), roots);
        self.settle_offset(before.as_deref(), roots)?;
        if self.zone.is_none() && self.time.is_none() {
            return Ok(CallReply::Done);
        }
        let bus = bus.ok_or_else(|| bus::no_bus(timedate1::NAME))?;
        if let Some(zone) = &self.zone {
            check_zone(&bus, zone, roots).await?;
        }
        if self.time.is_some() && timedate1::ntp(&bus).await.map_err(time_refusal)? {
            return Err(RequestError::new(
                Code::METHOD_NOT_ALLOWED,
                "a time service sets the clock (timedate1 NTP is on)",
            ));
        }
        if let Some(zone) = &self.zone {
            set_zone(&bus, zone, facts).await.map_err(zone_refusal)?;
        }
        let Some(time) = self.time else {
            return Ok(CallReply::Done);
        };
        if let Err(error) = timedate1::set_time(&bus, time).await {
            if let (Some(_), Some(before)) = (&self.zone, &before)
                && let Err(error) = set_zone(&bus, before, facts).await
            {
                tracing::error!(%error, zone = before, "cannot put the time zone back");
            }
            return Err(time_refusal(error));
        }
        Ok(CallReply::Done)
    }

    /// Makes the offset fit: it must be that of the zone that will be in force.
    /// Where no place is configured it becomes a zone of its own.
    fn settle_offset(&mut self, before: Option<&str>, roots: &Roots) -> Result<(), RequestError> {
        let Some(offset) = self.offset else {
            return Ok(());
        };
        let at = self.time.map_or_else(unix_now, |microseconds| microseconds / 1_000_000);
        let in_force = match self.zone.as_deref().or(before) {
            Some(zone) => timezone::offset_of(roots, zone, at),
            None => timezone::local_offset(roots, at),
        };
        if in_force == Some(offset) {
            return Ok(());
        }
        let refused = |reason: String| Err(RequestError::new(Code::BAD_REQUEST, reason));
        if let Some(zone) = self.zone.as_deref().or(before)
            && (self.zone.is_some() || !timezone::is_fixed(zone))
        {
            return refused(format!("UTC offset {offset} is not that of the time zone {zone}"));
        }
        match timezone::fixed_name(offset) {
            Some(zone) => self.zone = Some(zone),
            None => return refused(format!("no time zone has the fixed UTC offset {offset}")),
        }
        Ok(())
    }
}

/// The zone must be one that timedated knows. Its list lacks the fixed zones in
/// some versions and is missing in old ones: the files of the system count too.
async fn check_zone(bus: &Connection, zone: &str, roots: &Roots) -> Result<(), RequestError> {
    let is_known = match timedate1::list_time_zones(bus).await {
        Ok(zones) => zones.iter().any(|known| known == zone) || timezone::exists(roots, zone),
        Err(error) if is_unknown_method(&error) => timezone::exists(roots, zone),
        Err(error) => return Err(zone_refusal(error)),
    };
    if is_known {
        return Ok(());
    }
    Err(RequestError::new(Code::BAD_REQUEST, format!("this system knows no time zone {zone}")))
}

/// Sets the zone, and lets a Read that follows at once see it. Where timedated's
/// word is not known, the link that it has just replaced is what a Read sees.
async fn set_zone(bus: &Connection, zone: &str, facts: &watch::Sender<Facts>) -> zbus::Result<()> {
    timedate1::set_time_zone(bus, zone).await?;
    facts.send_modify(|facts| {
        facts.zone_writes = facts.zone_writes.wrapping_add(1);
        if let Some(known) = &mut facts.time_zone {
            zone.clone_into(known);
        }
    });
    Ok(())
}

fn is_unknown_method(error: &zbus::Error) -> bool {
    error_name(error).is_some_and(|name| name.ends_with(".UnknownMethod"))
}

fn time_refusal(error: zbus::Error) -> RequestError {
    bus::refusal(&error, timedate1::NAME, timedate1::SET_TIME_ACTION)
}

fn zone_refusal(error: zbus::Error) -> RequestError {
    bus::refusal(&error, timedate1::NAME, timedate1::SET_ZONE_ACTION)
}

/// The moment at which an offset is looked up; before the clock is set any
/// moment is as good, so the earliest that can be.
fn unix_now() -> i64 {
    clock::now().wall.unwrap_or(Now::EARLIEST_WALL).div_euclid(1000)
}
