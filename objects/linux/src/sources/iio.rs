//! Sensors and converters of Industrial I/O, `/sys/bus/iio/devices`
//! (Documentation/ABI/testing/sysfs-bus-iio of the kernel).

use std::path::Path;

use super::sensor::{self, Input, Prefix, Quantity, Sensor};
use super::text;

/// The channels of all devices, by the number of the device and the name.
pub(super) fn list(sys: &Path) -> Vec<Sensor> {
    let folders = sensor::folders(&sys.join("bus/iio/devices"), "iio:device");
    folders.into_iter().flat_map(|(folder, path)| device(&folder, &path)).collect()
}

fn device(folder: &str, path: &Path) -> Vec<Sensor> {
    let chip = text::line(&path.join("name")).unwrap_or_else(|| folder.to_owned());
    // The device on its bus, such as 1-0076, has the IIO device below it.
    let real = path.canonicalize().ok();
    let parent = real.as_deref().and_then(Path::parent).and_then(Path::file_name);
    let parent = parent.and_then(|name| text::clean(name.as_encoded_bytes()));
    let device = parent.filter(|name| name != "devices").unwrap_or_else(|| folder.to_owned());
    let mut names = sensor::names(path);
    names.sort();
    let sensors = names.iter().filter_map(|file| {
        let (channel, input) = channel(file, path, &names)?;
        let (quantity, _) = quantity(channel)?;
        let label = text::line(&path.join(format!("in_{channel}_label")));
        Some(Sensor {
            key: format!("{folder}/{channel} {chip} {device}"),
            quantity,
            name: sensor::name(&chip, label, channel),
            device: device.clone(),
            input,
        })
    });
    sensors.collect()
}

/// The channel whose value is in `file`, without `in_`, and how it is read. One whose
/// scale is not known is none: nobody could say what its numbers mean.
fn channel<'a>(file: &'a str, path: &Path, names: &[String]) -> Option<(&'a str, Input)> {
    let (channel, attribute) = file.strip_prefix("in_")?.rsplit_once('_')?;
    let (_, prefix) = quantity(channel)?;
    let has = |name: &String| names.contains(name);
    match attribute {
        "input" => Some((channel, Input::Value { value: path.join(file), fault: None, prefix })),
        // What was computed is no channel of its own.
        "raw" if ["_mean", "_peak", "_trough"].iter().any(|end| channel.ends_with(end)) => None,
        "raw" if !has(&format!("in_{channel}_input")) => {
            let shared = |what: &str| places(channel, what).into_iter().find(has);
            let scale = path.join(shared("scale")?);
            let offset = shared("offset").map(|name| path.join(name));
            Some((channel, Input::Raw { raw: path.join(file), offset, scale, prefix }))
        }
        _ => None,
    }
}

/// Where an attribute of a channel may be: its own, that of its type, of all inputs,
/// of the device.
fn places(channel: &str, what: &str) -> [String; 4] {
    // Of voltage0-voltage1 the type is voltage-voltage, of temp_object it is temp.
    let kind: String = channel.split('-').map(word).collect::<Vec<_>>().join("-");
    [format!("in_{channel}_{what}"), format!("in_{kind}_{what}"), format!("in_{what}"), what.into()]
}

/// What a channel measures, and the prefix of the unit that the kernel has for it.
fn quantity(channel: &str) -> Option<(Quantity, Prefix)> {
    Some(match word(channel) {
        "temp" => (Quantity::Temperature, Prefix::Milli),
        "voltage" => (Quantity::Voltage, Prefix::Milli),
        "current" => (Quantity::Current, Prefix::Milli),
        "power" => (Quantity::Power, Prefix::Milli),
        "humidityrelative" => (Quantity::Humidity, Prefix::Milli),
        "pressure" => (Quantity::Pressure, Prefix::Kilo),
        "illuminance" => (Quantity::Illuminance, Prefix::None),
        _ => return None,
    })
}

/// The letters that a channel begins with.
fn word(channel: &str) -> &str {
    let end = channel.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(channel.len());
    channel.get(..end).unwrap_or_default()
}
