//! Power sources and battery (resources 6, 7, 8, 9, 20) and the errors they mean.

use super::error_codes::Condition;
use crate::sources::power_supply::{Kind, Supply};

/// Available Power Sources (6), one of them.
pub(super) fn source(supply: &Supply) -> i64 {
    match supply.kind {
        Kind::Battery => INTERNAL_BATTERY,
        Kind::ExternalBattery | Kind::Ups => EXTERNAL_BATTERY,
        Kind::Usb => USB,
        Kind::Mains => AC,
    }
}

/// Battery Level (9) in percent; of several batteries the mean, weighted by what
/// they hold when full where all say so.
pub(super) fn battery_level(supplies: &[Supply]) -> Option<i64> {
    let batteries: Vec<(i64, Option<i64>)> = installed(supplies)
        .filter_map(|battery| battery.capacity.map(|percent| (percent, battery.full)))
        .collect();
    let all_weighted = batteries.iter().all(|(_, full)| full.is_some());
    let (mut sum, mut weights) = (0_i128, 0_i128);
    for (percent, full) in batteries {
        let weight = i128::from(full.filter(|_| all_weighted).unwrap_or(1));
        sum += i128::from(percent) * weight;
        weights += weight;
    }
    sum.checked_div(weights).and_then(|level| i64::try_from(level).ok())
}

/// Battery Status (20); of several batteries the one that matters most.
pub(super) fn battery_status(supplies: &[Supply]) -> Option<i64> {
    let batteries = supplies.iter().filter(|supply| supply.kind == Kind::Battery);
    let states: Vec<i64> = batteries.map(status_of_one).collect();
    let order = [DAMAGED, CHARGING, LOW, NORMAL, COMPLETE, UNKNOWN, NOT_INSTALLED];
    order.into_iter().find(|status| states.contains(status))
}

/// The errors that the supplies mean. A UPS that is discharged has no mains any more.
pub(super) fn conditions(supplies: &[Supply]) -> impl Iterator<Item = Condition> {
    let ups = || supplies.iter().filter(|supply| supply.kind == Kind::Ups && supply.is_available());
    let low = installed(supplies).chain(ups()).any(is_low).then_some(Condition::LowBattery);
    let mut external = supplies.iter().filter(|supply| supply.is_external()).peekable();
    let off = external.peek().is_some() && external.all(|supply| supply.active == Some(false));
    let is_discharged = |supply: &Supply| supply.status.as_deref() == Some("Discharging");
    let off = off || ups().any(is_discharged);
    low.into_iter().chain(off.then_some(Condition::ExternalSupplyOff))
}

fn installed(supplies: &[Supply]) -> impl Iterator<Item = &Supply> {
    supplies.iter().filter(|supply| supply.kind == Kind::Battery && supply.is_available())
}

fn status_of_one(battery: &Supply) -> i64 {
    if battery.active == Some(false) || battery.health.as_deref() == Some("No battery") {
        return NOT_INSTALLED;
    }
    if matches!(battery.health.as_deref(), Some("Dead" | "Over voltage" | "Unspecified failure")) {
        return DAMAGED;
    }
    match battery.status.as_deref() {
        Some("Charging") => CHARGING,
        Some("Full") => COMPLETE,
        _ if is_low(battery) => LOW,
        Some("Discharging" | "Not charging") => NORMAL,
        _ => UNKNOWN,
    }
}

/// Low by the driver's word, else by [`LOW_PERCENT`]; never while it is charged.
fn is_low(battery: &Supply) -> bool {
    if matches!(battery.status.as_deref(), Some("Charging" | "Full")) {
        return false;
    }
    match battery.capacity_level.as_deref() {
        Some("Low" | "Critical") => true,
        Some("Normal" | "High" | "Full") => false,
        _ => battery.capacity.is_some_and(|percent| percent <= LOW_PERCENT),
    }
}

const INTERNAL_BATTERY: i64 = 1;
const EXTERNAL_BATTERY: i64 = 2;
const USB: i64 = 5;
const AC: i64 = 6;

const NORMAL: i64 = 0;
const CHARGING: i64 = 1;
const COMPLETE: i64 = 2;
const DAMAGED: i64 = 3;
const LOW: i64 = 4;
const NOT_INSTALLED: i64 = 5;
const UNKNOWN: i64 = 6;

/// A battery whose driver does not judge it is low at this charge.
const LOW_PERCENT: i64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(name: &str, kind: Kind) -> Supply {
        Supply {
            name: name.into(),
            kind,
            active: Some(true),
            voltage: None,
            current: None,
            capacity: None,
            full: None,
            status: None,
            capacity_level: None,
            health: None,
        }
    }

    fn battery(status: &str, capacity: i64) -> Supply {
        Supply {
            status: Some(status.into()),
            capacity: Some(capacity),
            ..supply("BAT0", Kind::Battery)
        }
    }

    #[test]
    fn status_follows_the_driver() {
        let mut dead = battery("Charging", 50);
        dead.health = Some("Dead".into());
        let mut missing = battery("Unknown", 50);
        missing.active = Some(false);
        let mut judged = battery("Discharging", 5);
        judged.capacity_level = Some("Normal".into());
        let cases = [
            (battery("Charging", 5), CHARGING),
            (battery("Full", 100), COMPLETE),
            (battery("Discharging", 50), NORMAL),
            (battery("Not charging", 80), NORMAL),
            (battery("Discharging", 10), LOW),
            (battery("Unknown", 50), UNKNOWN),
            (battery("\u{fffd}", 50), UNKNOWN),
            (dead, DAMAGED),
            (missing, NOT_INSTALLED),
            (judged, NORMAL),
        ];
        for (battery, status) in cases {
            assert_eq!(battery_status(std::slice::from_ref(&battery)), Some(status), "{battery:?}");
        }
        assert_eq!(battery_status(&[supply("AC", Kind::Mains)]), None);
    }

    #[test]
    fn level_is_weighted_where_all_batteries_tell_their_size() {
        let with = |capacity, full| Supply { full, ..battery("Discharging", capacity) };
        assert_eq!(battery_level(&[with(100, Some(30)), with(0, Some(10))]), Some(75));
        assert_eq!(battery_level(&[with(100, Some(30)), with(0, None)]), Some(50));
        assert_eq!(battery_level(&[supply("BAT0", Kind::Battery)]), None);
        assert_eq!(battery_level(&[with(60, Some(i64::MAX)), with(60, Some(i64::MAX))]), Some(60));
    }

    #[test]
    fn errors_are_low_battery_and_no_external_supply() {
        let mut off = supply("AC", Kind::Mains);
        off.active = Some(false);
        let all = |supplies: &[Supply]| conditions(supplies).collect::<Vec<_>>();
        assert_eq!(
            all(&[off.clone(), battery("Discharging", 4)]),
            [Condition::LowBattery, Condition::ExternalSupplyOff]
        );
        assert_eq!(all(&[off, supply("USB", Kind::Usb), battery("Charging", 4)]), []);
        assert_eq!(all(&[battery("Discharging", 50)]), []);
        // A UPS that is drawn on says that the mains are gone.
        let ups = |status, capacity| Supply { kind: Kind::Ups, ..battery(status, capacity) };
        assert_eq!(
            all(&[ups("Discharging", 4), supply("USB", Kind::Usb)]),
            [Condition::LowBattery, Condition::ExternalSupplyOff]
        );
        assert_eq!(all(&[ups("Full", 100)]), []);
        assert_eq!(all(&[Supply { active: Some(false), ..ups("Discharging", 4) }]), []);
    }
}
