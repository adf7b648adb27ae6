//! Uninterruptible power supplies as UPower describes them (org.freedesktop.UPower), never
//! so that it is started. They hang on USB and are read by UPower itself; of batteries and
//! mains it knows what the kernel shows in sysfs, which is read there.

use std::ops::RangeInclusive;

use zbus::match_rule::MatchRule;
use zbus::message::Type;
use zbus::{Connection, MessageStream, OwnedObjectPath};

use super::power_supply::{Kind, MAX_SUPPLIES, Supply};
use super::properties::{self, Properties, text, value};

/// Asks for all that there are.
pub(crate) async fn supplies(bus: &Connection) -> zbus::Result<Vec<Supply>> {
    let reply = bus.call_method(Some(NAME), PATH, Some(NAME), "EnumerateDevices", &()).await?;
    let mut paths: Vec<OwnedObjectPath> = reply.body().deserialize()?;
    paths.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let mut supplies = Vec::new();
    for path in paths.iter().take(MAX_SUPPLIES) {
        // One that goes meanwhile takes nothing else with it.
        match properties::all(bus, NAME, path.as_str(), DEVICE).await {
            Ok(properties) => supplies.extend(describe(path.as_str(), &properties)),
            Err(error) => tracing::debug!(%error, "a power supply does not tell what it is"),
        }
    }
    Ok(supplies)
}

/// The signals that say a device has come or gone.
pub(crate) async fn arrivals(bus: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder().msg_type(Type::Signal).sender(NAME);
    let rule = rule.path(PATH).interface(NAME).build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// The signals that say a property of a device has changed.
pub(crate) async fn changes(bus: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder().msg_type(Type::Signal).sender(NAME);
    let rule = rule.path_namespace(DEVICES).interface(properties::PROPERTIES).build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// `None` for what feeds another device, and for all that is no UPS.
fn describe(path: &str, properties: &Properties) -> Option<Supply> {
    if value(properties, "Type") != Some(UPS) || value(properties, "PowerSupply") != Some(true) {
        return None;
    }
    // The name that the kernel has for it, by which it is known where sysfs shows it too.
    let native = text(properties, "NativePath").unwrap_or_default();
    let name = native.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path);
    let voltage = value::<f64>(properties, "Voltage").filter(|volt| VOLTAGES.contains(volt));
    let state = value(properties, "State").and_then(|state: u32| STATES.get(state as usize));
    let warning: Option<u32> = value(properties, "WarningLevel");
    Some(Supply {
        name: name.to_owned(),
        kind: Kind::Ups,
        active: value(properties, "IsPresent"),
        voltage: voltage.map(|volt| (volt * 1e6) as i64),
        current: None,
        capacity: None,
        full: None,
        status: state.copied().flatten().map(ToOwned::to_owned),
        capacity_level: warning.and_then(level).map(ToOwned::to_owned),
        health: None,
    })
}

/// What a level of a warning says of the charge, in the words of sysfs.
fn level(warning: u32) -> Option<&'static str> {
    match warning {
        NONE | DISCHARGING => Some("Normal"),
        LOW..=ACTION => Some("Low"),
        _ => None,
    }
}

/// The name on the bus, and that of the interface.
pub(crate) const NAME: &str = "org.freedesktop.UPower";
const PATH: &str = "/org/freedesktop/UPower";
const DEVICES: &str = "/org/freedesktop/UPower/devices";
const DEVICE: &str = "org.freedesktop.UPower.Device";
/// The kind of a UPS.
const UPS: u32 = 3;
/// The levels of a warning; 0 is UPower's way of saying that it knows none.
const NONE: u32 = 1;
const DISCHARGING: u32 = 2;
const LOW: u32 = 3;
const ACTION: u32 = 5;
/// What is a voltage; 0 is UPower's way of saying that it knows none.
const VOLTAGES: RangeInclusive<f64> = 0.001..=10_000.0;
/// The states, by number, in the words of sysfs.
const STATES: [Option<&str>; 7] = [
    None,
    Some("Charging"),
    Some("Discharging"),
    Some("Discharging"),
    Some("Full"),
    Some("Not charging"),
    Some("Discharging"),
];

#[cfg(test)]
mod tests {
    use zbus::{OwnedVariant, Variant};

    use super::*;

    fn device(properties: Vec<(&str, Variant<'static>)>) -> Option<Supply> {
        let owned = |value| OwnedVariant::try_from(value).unwrap();
        let properties =
            properties.into_iter().map(|(name, value)| (name.to_owned(), owned(value)));
        describe("/devices/ups_1", &properties.collect())
    }

    #[test]
    fn only_a_ups_of_this_machine_is_one() {
        let of = |kind: u32, feeds: bool| {
            device(vec![("Type", kind.into()), ("PowerSupply", feeds.into())])
        };
        let ups = of(3, true).unwrap();
        assert_eq!((ups.kind, ups.name.as_str(), ups.active), (Kind::Ups, "/devices/ups_1", None));
        for (kind, feeds) in [(1, true), (2, true), (3, false)] {
            assert_eq!(of(kind, feeds), None, "{kind}");
        }
        assert_eq!(device(vec![("Type", "3".into()), ("PowerSupply", true.into())]), None);
        assert_eq!(device(Vec::new()), None);
    }

    #[test]
    fn nonsense_of_a_ups_is_nothing() {
        for (volt, warning, expected) in [
            (Variant::from(13.5), Variant::from("low"), Some(13_500_000)),
            // Unknown, and what UPower has no name for.
            (Variant::from(0.0), Variant::from(0u32), None),
            (Variant::from(-1.0), Variant::from(6u32), None),
            (Variant::from(f64::NAN), Variant::from(u32::MAX), None),
            (Variant::from(f64::INFINITY), Variant::from(3i32), None),
            (Variant::from("13.5"), Variant::from(true), None),
        ] {
            let ups = device(vec![
                ("Type", 3u32.into()),
                ("PowerSupply", true.into()),
                ("Voltage", volt),
                ("State", 99u32.into()),
                ("WarningLevel", warning),
                ("NativePath", "/sys/devices/usbmisc/hiddev0".into()),
            ]);
            let ups = ups.unwrap();
            assert_eq!((ups.voltage, ups.status, ups.capacity_level), (expected, None, None));
            assert_eq!(ups.name, "hiddev0");
        }
    }
}
