//! The receiver of satellites in a modem (org.freedesktop.ModemManager1.Modem.Location(5)).

use zbus::{Connection, Message};

use super::{Interfaces, LOCATION, Location, MODEM, NAME, is_of_objects, managed, property};
use crate::sources::properties::{Properties, value};

/// A modem that can tell where it is by satellites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// Its object on the bus.
    pub(crate) path: String,
    /// What it can find out, of [`GPS_RAW`] and [`GPS_NMEA`].
    pub(crate) sources: u32,
    /// What is switched on, of all sources.
    pub(crate) enabled: u32,
    /// Whether its property and signals tell the place.
    pub(crate) signals: bool,
}

/// What a signal of ModemManager means for who wants to know the place.
#[derive(Debug, PartialEq)]
pub(crate) enum News {
    /// The place.
    Place(Location),
    /// A modem has come or gone, or was switched on or off.
    Modems,
}

impl Receiver {
    /// Asks for the first of them.
    pub(crate) async fn find(bus: &Connection) -> zbus::Result<Option<Self>> {
        let describe = |(path, interfaces): (String, Interfaces)| {
            let number = |name| property::<u32>(&interfaces, LOCATION, name).unwrap_or_default();
            let sources = number("Capabilities") & (GPS_RAW | GPS_NMEA);
            (sources != 0).then(|| Self {
                path,
                sources,
                enabled: number("Enabled"),
                signals: property(&interfaces, LOCATION, "SignalsLocation").unwrap_or_default(),
            })
        };
        Ok(managed(bus).await?.into_iter().find_map(describe))
    }

    /// The same with what it can find out, and the news of it.
    pub(crate) fn switched_on(&self) -> Self {
        Self { enabled: self.enabled | self.sources, signals: true, ..self.clone() }
    }

    /// Brings the modem to this state; takes the polkit action
    /// [`CONTROL_ACTION`](super::CONTROL_ACTION), and not that of the place.
    pub(crate) async fn set_up(&self, bus: &Connection) -> zbus::Result<()> {
        let (path, arguments) = (self.path.as_str(), (self.enabled, self.signals));
        bus.call_method(Some(NAME), path, Some(LOCATION), "Setup", &arguments).await?;
        Ok(())
    }

    /// What a signal says of this one, or of others that may take its place.
    pub(crate) fn news(&self, message: &Message) -> Option<News> {
        if is_of_objects(message) {
            return Some(News::Modems);
        }
        if message.header().path()?.as_str() != self.path {
            return None;
        }
        let body = message.body();
        let (interface, changed, _): (String, Properties, Vec<String>) = body.deserialize().ok()?;
        match interface.as_str() {
            LOCATION => value(&changed, "Location").map(News::Place),
            MODEM => changed.contains_key("State").then_some(News::Modems),
            _ => None,
        }
    }
}

/// MM_MODEM_LOCATION_SOURCE_GPS_RAW.
pub(crate) const GPS_RAW: u32 = 1 << 1;
/// MM_MODEM_LOCATION_SOURCE_GPS_NMEA.
pub(crate) const GPS_NMEA: u32 = 1 << 2;
