//! Clock and time zone through timedated (org.freedesktop.timedate1(5)).

use zbus::Connection;

use super::properties;

/// The zone in force.
pub(crate) async fn time_zone(bus: &Connection) -> zbus::Result<String> {
    properties::get(bus, NAME, PATH, NAME, "Timezone").await
}

/// True if a time service sets the clock.
pub(crate) async fn ntp(bus: &Connection) -> zbus::Result<bool> {
    properties::get(bus, NAME, PATH, NAME, "NTP").await
}

/// The zones that may be set; versions before systemd 246 do not know the method.
pub(crate) async fn list_time_zones(bus: &Connection) -> zbus::Result<Vec<String>> {
    let reply = bus.call_method(Some(NAME), PATH, Some(NAME), "ListTimezones", &()).await?;
    reply.body().deserialize()
}

/// Sets the zone, without asking anybody for a password.
pub(crate) async fn set_time_zone(bus: &Connection, zone: &str) -> zbus::Result<()> {
    let interactive = false;
    bus.call_method(Some(NAME), PATH, Some(NAME), "SetTimezone", &(zone, interactive))
        .await
        .map(drop)
}

/// Sets the clock to `microseconds` of Unix time, without asking anybody for a
/// password.
pub(crate) async fn set_time(bus: &Connection, microseconds: i64) -> zbus::Result<()> {
    let (relative, interactive) = (false, false);
    bus.call_method(Some(NAME), PATH, Some(NAME), "SetTime", &(microseconds, relative, interactive))
        .await
        .map(drop)
}

/// The well-known name, which is the name of the interface too.
pub(crate) const NAME: &str = "org.freedesktop.timedate1";
/// The only object.
pub(crate) const PATH: &str = "/org/freedesktop/timedate1";
/// The polkit action of [`set_time`].
pub(crate) const SET_TIME_ACTION: &str = "org.freedesktop.timedate1.set-time";
/// The polkit action of [`set_time_zone`].
pub(crate) const SET_ZONE_ACTION: &str = "org.freedesktop.timedate1.set-timezone";
