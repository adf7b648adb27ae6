//! Sensors in the manner of IPSO: all have the same resources, some may be calibrated.

use std::borrow::Cow;

use super::Instances::Single;
use super::Presence::{Mandatory, Optional};
use super::{id, number, resource};
use crate::DataType as T;
use crate::Operations::{E, R, RW};
use crate::{ObjectDef, Range, ResourceDef, Version};

/// Illuminance (3301), version 1.1.
pub static ILLUMINANCE: ObjectDef = sensor(id::ILLUMINANCE, "Illuminance", &PLAIN);
/// Temperature (3303), version 1.1.
pub static TEMPERATURE: ObjectDef = sensor(id::TEMPERATURE, "Temperature", &PLAIN);
/// Humidity (3304), version 1.1.
pub static HUMIDITY: ObjectDef = sensor(id::HUMIDITY, "Humidity", &PLAIN);
/// Barometer (3315), version 1.1.
pub static BAROMETER: ObjectDef = sensor(id::BAROMETER, "Barometer", &PLAIN);
/// Voltage (3316), version 1.1.
pub static VOLTAGE: ObjectDef = sensor(id::VOLTAGE, "Voltage", &CALIBRATED);
/// Current (3317), version 1.1.
pub static CURRENT: ObjectDef = sensor(id::CURRENT, "Current", &CALIBRATED);
/// Power (3328), version 1.1.
pub static POWER: ObjectDef = sensor(id::POWER, "Power", &CALIBRATED);

const fn sensor(id: u16, name: &'static str, resources: &'static [ResourceDef]) -> ObjectDef {
    ObjectDef {
        id,
        name: Cow::Borrowed(name),
        version: Version::new(1, 1),
        multiple: true,
        mandatory: false,
        resources: Cow::Borrowed(resources),
    }
}

#[rustfmt::skip] // a table: one row a resource
static PLAIN: [ResourceDef; 12] = [
    resource(5518, "Timestamp", R, Single, Optional, T::Time, Range::Any, ""),
    resource(5601, "Min Measured Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5602, "Max Measured Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5603, "Min Range Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5604, "Max Range Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5605, "Reset Min and Max Measured Values", E, Single, Optional, T::None, Range::Any, ""),
    resource(5700, "Sensor Value", R, Single, Mandatory, T::Float, Range::Any, ""),
    resource(5701, "Sensor Units", R, Single, Optional, T::String, Range::Any, ""),
    resource(5750, "Application Type", RW, Single, Optional, T::String, Range::Any, ""),
    resource(6042, "Measurement Quality Indicator", R, Single, Optional, T::Integer, number(0.0, 23.0), ""),
    resource(6049, "Measurement Quality Level", R, Single, Optional, T::Integer, number(0.0, 100.0), ""),
    resource(6050, "Fractional Timestamp", R, Single, Optional, T::Float, number(0.0, 1.0), "s"),
];

/// The same and Current Calibration.
#[rustfmt::skip] // a table: one row a resource
static CALIBRATED: [ResourceDef; 13] = [
    resource(5518, "Timestamp", R, Single, Optional, T::Time, Range::Any, ""),
    resource(5601, "Min Measured Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5602, "Max Measured Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5603, "Min Range Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5604, "Max Range Value", R, Single, Optional, T::Float, Range::Any, ""),
    resource(5605, "Reset Min and Max Measured Values", E, Single, Optional, T::None, Range::Any, ""),
    resource(5700, "Sensor Value", R, Single, Mandatory, T::Float, Range::Any, ""),
    resource(5701, "Sensor Units", R, Single, Optional, T::String, Range::Any, ""),
    resource(5750, "Application Type", RW, Single, Optional, T::String, Range::Any, ""),
    resource(5821, "Current Calibration", RW, Single, Optional, T::Float, Range::Any, ""),
    resource(6042, "Measurement Quality Indicator", R, Single, Optional, T::Integer, number(0.0, 23.0), ""),
    resource(6049, "Measurement Quality Level", R, Single, Optional, T::Integer, number(0.0, 100.0), ""),
    resource(6050, "Fractional Timestamp", R, Single, Optional, T::Float, number(0.0, 1.0), "s"),
];
