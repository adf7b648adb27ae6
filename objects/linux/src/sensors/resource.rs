//! The objects of sensors and their resources by number (IPSO registry): the one place
//! that knows them.

use lwm2m_model::{ObjectDef, objects};

use crate::sources::sensor::Quantity;

/// The object of a quantity.
pub(super) fn definition(quantity: Quantity) -> &'static ObjectDef {
    match quantity {
        Quantity::Illuminance => &objects::ILLUMINANCE,
        Quantity::Temperature => &objects::TEMPERATURE,
        Quantity::Humidity => &objects::HUMIDITY,
        Quantity::Pressure => &objects::BAROMETER,
        Quantity::Voltage => &objects::VOLTAGE,
        Quantity::Current => &objects::CURRENT,
        Quantity::Power => &objects::POWER,
    }
}

/// Sensor Units (5701): the names of SenML (RFC 8428, section 12.1).
pub(super) fn unit(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Illuminance => "lx",
        Quantity::Temperature => "Cel",
        Quantity::Humidity => "%RH",
        Quantity::Pressure => "Pa",
        Quantity::Voltage => "V",
        Quantity::Current => "A",
        Quantity::Power => "W",
    }
}

pub(super) const QUANTITIES: [Quantity; 7] = [
    Quantity::Illuminance,
    Quantity::Temperature,
    Quantity::Humidity,
    Quantity::Pressure,
    Quantity::Voltage,
    Quantity::Current,
    Quantity::Power,
];

pub(super) const TIMESTAMP: u16 = 5518;
pub(super) const LOWEST_MEASURED: u16 = 5601;
pub(super) const HIGHEST_MEASURED: u16 = 5602;
pub(super) const RESET: u16 = 5605;
pub(super) const VALUE: u16 = 5700;
pub(super) const UNITS: u16 = 5701;
pub(super) const APPLICATION_TYPE: u16 = 5750;

/// Those that another look at the sensor may change.
pub(super) const MEASURED: [u16; 4] = [TIMESTAMP, LOWEST_MEASURED, HIGHEST_MEASURED, VALUE];
