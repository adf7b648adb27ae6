//! A sensor of the kernel, whichever subsystem lists it: what it measures, what it is
//! called, and how it is read. A value that is no measurement is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{hwmon, iio, text, thermal};

/// What a sensor measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Lux.
    Illuminance,
    /// Degree Celsius.
    Temperature,
    /// Percent of relative humidity.
    Humidity,
    /// Pascal.
    Pressure,
    /// Volt.
    Voltage,
    /// Ampere.
    Current,
    /// Watt.
    Power,
}

/// One sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// What tells it from every other as long as the kernel lists it.
    pub key: String,
    /// What it measures.
    pub quantity: Quantity,
    /// Chip and label, such as `coretemp Package id 0`; with the device behind it
    /// where several sensors are called the same, such as `nvme Composite (nvme1)`.
    pub name: String,
    /// The device that the chip is on.
    pub(super) device: String,
    pub(super) input: Input,
}

/// The files of a sensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    /// The value itself, which counts while `fault`, if there is one, holds 0.
    Value { value: PathBuf, fault: Option<PathBuf>, prefix: Prefix },
    /// A number of the hardware: the value is (raw + offset) * scale.
    Raw { raw: PathBuf, offset: Option<PathBuf>, scale: PathBuf, prefix: Prefix },
}

/// Prefix of the unit in which the kernel gives the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Micro,
    Milli,
    None,
    Kilo,
}

/// What one look at a sensor gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// The value in the unit of its [`Quantity`].
    Value(f64),
    /// It measures nothing now: broken, busy, or out of its mind.
    Absent,
    /// The kernel no longer lists it.
    Gone,
}

impl Sensor {
    /// Looks at it. Some sensors are slow: on a bus of the board a look may take a
    /// tenth of a second.
    pub fn read(&self) -> Reading {
        if let Some(value) = self.input.read().filter(|value| self.quantity.range_has(*value)) {
            return Reading::Value(value);
        }
        let (Input::Value { value: file, .. } | Input::Raw { raw: file, .. }) = &self.input;
        if file.exists() { Reading::Absent } else { Reading::Gone }
    }
}

impl Input {
    fn read(&self) -> Option<f64> {
        match self {
            Self::Value { value, fault, prefix } => {
                if fault.as_ref().is_some_and(|file| text::number(file) != Some(0)) {
                    return None;
                }
                Some(prefix.apply(decimal(value)?))
            }
            Self::Raw { raw, offset, scale, prefix } => {
                let offset = match offset {
                    Some(file) => decimal(file)?,
                    None => 0.0,
                };
                Some(prefix.apply((decimal(raw)? + offset) * decimal(scale)?))
            }
        }
    }
}

impl Prefix {
    // Divided, not multiplied by a fraction that a float cannot hold: 45123 m is 45.123.
    fn apply(self, value: f64) -> f64 {
        match self {
            Self::Micro => value / 1_000_000.0,
            Self::Milli => value / 1_000.0,
            Self::None => value,
            Self::Kilo => value * 1_000.0,
        }
    }
}

impl Quantity {
    /// Whether the world has such a value; what else a chip says is a fault of it.
    fn range_has(self, value: f64) -> bool {
        let range = match self {
            Self::Illuminance => 0.0..=1e6,
            Self::Temperature => -273.15..=3e3,
            Self::Humidity => 0.0..=100.0,
            Self::Pressure => 0.0..=1e9,
            Self::Voltage | Self::Current => -1e6..=1e6,
            Self::Power => -1e9..=1e9,
        };
        range.contains(&value)
    }
}

/// The sensors below `sys`: hwmon, then thermal zones that hwmon does not show, then
/// IIO; [`MAX_SENSORS`] at most.
pub fn list(sys: &Path) -> Vec<Sensor> {
    let mut sensors = hwmon::list(sys);
    sensors.extend(thermal::list(sys));
    sensors.extend(iio::list(sys));
    sensors.truncate(MAX_SENSORS);
    let mut uses: BTreeMap<(Quantity, String), u32> = BTreeMap::new();
    for sensor in &sensors {
        *uses.entry((sensor.quantity, sensor.name.clone())).or_default() += 1;
    }
    for sensor in &mut sensors {
        if uses.get(&(sensor.quantity, sensor.name.clone())).is_some_and(|uses| *uses > 1) {
            sensor.name = format!("{} ({})", sensor.name, sensor.device);
        }
    }
    sensors
}

/// The folders of a class whose names are `prefix` and a number, in the order of these.
pub(super) fn folders(class: &Path, prefix: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(u32, String)> = names(class)
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix(prefix)?.parse().ok()?, name)))
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| (name.clone(), class.join(name))).collect()
}

/// The names in a folder; none if it cannot be listed.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).take(MAX_NAMES).collect()
}

/// Chip and label; the name of the channel where both are too long for a value.
pub(super) fn name(chip: &str, label: Option<String>, channel: &str) -> String {
    let label = label.unwrap_or_else(|| channel.to_owned());
    let name = format!("{chip} {label}");
    if name.len() <= MAX_NAME { name } else { channel.to_owned() }
}

/// A decimal number in a file of its own. Exponents, infinity and lists of numbers,
/// which the kernel does not write for a measurement, are none.
fn decimal(file: &Path) -> Option<f64> {
    let line = text::line(file)?;
    let is_plain = line.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+'));
    line.parse().ok().filter(|value: &f64| is_plain && value.is_finite())
}

/// Sensors that are looked at; large servers have about 200.
pub const MAX_SENSORS: usize = 256;
/// Names in one folder that are looked at; a rich chip has about 300 files.
const MAX_NAMES: usize = 4096;
/// Longest name of a sensor, without its device, in bytes.
const MAX_NAME: usize = 160;
