//! Failed units and the fallback for reboot, from systemd
//! (org.freedesktop.systemd1(5)).

use zbus::Connection;

use super::properties;

/// Number of units that have failed.
pub(crate) async fn failed_units(bus: &Connection) -> zbus::Result<u32> {
    properties::get(bus, NAME, PATH, INTERFACE, "NFailedUnits").await
}

/// Asks for signals; without it systemd sends none to the bus.
pub(crate) async fn subscribe(bus: &Connection) -> zbus::Result<()> {
    bus.call_method(Some(NAME), PATH, Some(INTERFACE), "Subscribe", &()).await.map(drop)
}

/// Reboots at once; for root on images without logind.
pub(crate) async fn reboot(bus: &Connection) -> zbus::Result<()> {
    bus.call_method(Some(NAME), PATH, Some(INTERFACE), "Reboot", &()).await.map(drop)
}

/// The well-known name.
pub(crate) const NAME: &str = "org.freedesktop.systemd1";
/// The manager.
pub(crate) const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
