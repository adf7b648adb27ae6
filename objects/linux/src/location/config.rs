//! Where the operator says that the position comes from.

/// The source of the position.
#[derive(Debug, Clone, PartialEq)]
pub enum LocationConfig {
    /// A machine that is mounted.
    Fixed(Place),
    /// gpsd at `host:port`, such as [`GPSD_ADDRESS`].
    Gpsd(String),
    /// GeoClue on the bus of the system.
    GeoClue,
    /// The receiver in a modem, through ModemManager.
    ModemManager,
}

/// A position of the configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    latitude: f64,
    longitude: f64,
    altitude: Option<f64>,
}

impl Place {
    /// A position in degrees of WGS 84, north and east positive, and metres above sea
    /// level; `None` if it is not on Earth or not near it.
    pub fn new(latitude: f64, longitude: f64, altitude: Option<f64>) -> Option<Self> {
        let is_right = is_within(latitude, MAX_LATITUDE)
            && is_within(longitude, MAX_LONGITUDE)
            && altitude.is_none_or(|altitude| is_within(altitude, MAX_ALTITUDE));
        is_right.then_some(Self { latitude, longitude, altitude })
    }

    /// Degrees, -90 to 90.
    pub fn latitude(&self) -> f64 {
        self.latitude
    }

    /// Degrees, -180 to 180.
    pub fn longitude(&self) -> f64 {
        self.longitude
    }

    /// Metres above sea level.
    pub fn altitude(&self) -> Option<f64> {
        self.altitude
    }
}

/// True for what is finite and not beyond `limit` on either side.
fn is_within(value: f64, limit: f64) -> bool {
    value.abs() <= limit
}

/// Where gpsd listens unless told otherwise.
pub const GPSD_ADDRESS: &str = "127.0.0.1:2947";

/// The poles.
pub const MAX_LATITUDE: f64 = 90.0;
/// The line of the date.
pub const MAX_LONGITUDE: f64 = 180.0;
/// Metres above or below the sea; above it no receiver works.
pub const MAX_ALTITUDE: f64 = 100_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_on_earth() {
        let rows = [
            (90.0, -180.0, None, true),
            (-90.0, 180.0, Some(-430.0), true),
            (90.001, 0.0, None, false),
            (0.0, -180.001, None, false),
            (f64::NAN, 0.0, None, false),
            (0.0, f64::INFINITY, None, false),
            (0.0, 0.0, Some(f64::NAN), false),
            (0.0, 0.0, Some(1e9), false),
        ];
        for (latitude, longitude, altitude, right) in rows {
            let place = Place::new(latitude, longitude, altitude);
            assert_eq!(place.is_some(), right, "{latitude} {longitude} {altitude:?}");
        }
    }
}
