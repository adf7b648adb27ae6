//! Chips that watch the health of the board, `/sys/class/hwmon`
//! (Documentation/hwmon/sysfs-interface.rst of the kernel).

use std::path::Path;

use super::sensor::{self, Input, Prefix, Quantity, Sensor};
use super::text;

/// The sensors of all chips, by the numbers of chip and channel.
pub(super) fn list(sys: &Path) -> Vec<Sensor> {
    let folders = sensor::folders(&sys.join("class/hwmon"), "hwmon");
    folders.into_iter().flat_map(|(folder, path)| chip(&folder, &path)).collect()
}

fn chip(folder: &str, path: &Path) -> Vec<Sensor> {
    let chip = text::line(&path.join("name")).unwrap_or_else(|| folder.to_owned());
    let device = device(path).unwrap_or_else(|| folder.to_owned());
    let names = sensor::names(path);
    let mut channels: Vec<(Quantity, u32, &str)> =
        names.iter().filter_map(|name| channel(name, &names)).collect();
    channels.sort();
    let sensors = channels.into_iter().filter_map(|(quantity, _, file)| {
        let (channel, _) = file.split_once('_')?;
        let fault = format!("{channel}_fault");
        let input = Input::Value {
            value: path.join(file),
            fault: names.contains(&fault).then(|| path.join(fault)),
            prefix: if quantity == Quantity::Power { Prefix::Micro } else { Prefix::Milli },
        };
        let label = text::line(&path.join(format!("{channel}_label")));
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

/// Quantity and number of the channel whose value is in the file `name`.
fn channel<'a>(name: &'a str, names: &[String]) -> Option<(Quantity, u32, &'a str)> {
    let (channel, attribute) = name.split_once('_')?;
    let (word, number) = channel.split_at(channel.find(|c: char| c.is_ascii_digit())?);
    let quantity = match word {
        "temp" => Quantity::Temperature,
        "in" => Quantity::Voltage,
        "curr" => Quantity::Current,
        "power" => Quantity::Power,
        "humidity" => Quantity::Humidity,
        _ => return None,
    };
    let is_value = match attribute {
        "input" => true,
        // Some chips know the mean of the power alone.
        "average" => quantity == Quantity::Power && !names.contains(&format!("{channel}_input")),
        _ => false,
    };
    Some((quantity, number.parse().ok()?, name)).filter(|_| is_value)
}

/// Name of the device that a chip is on.
pub(super) fn device(path: &Path) -> Option<String> {
    text::clean(path.join("device").canonicalize().ok()?.file_name()?.as_encoded_bytes())
}
