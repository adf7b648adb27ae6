//! Thermal zones, `/sys/class/thermal` (Documentation/driver-api/thermal/sysfs-api.rst
//! of the kernel).

use std::collections::BTreeSet;
use std::path::Path;

use super::sensor::{self, Input, Prefix, Quantity, Sensor};
use super::{hwmon, text};

/// The zones that hwmon does not show as well, by number.
pub(super) fn list(sys: &Path) -> Vec<Sensor> {
    let shown = shown_by_hwmon(sys);
    let folders = sensor::folders(&sys.join("class/thermal"), ZONE);
    let zones = folders.into_iter().filter_map(|(folder, path)| {
        let kind = text::line(&path.join("type"))?;
        let value = path.join("temp");
        (!shown.contains(&kind.replace('-', "_")) && value.exists()).then(|| Sensor {
            key: format!("{folder} {kind}"),
            quantity: Quantity::Temperature,
            name: kind,
            device: folder,
            input: Input::Value { value, fault: None, prefix: Prefix::Milli },
        })
    });
    zones.collect()
}

/// The types of zones that are there as chips too. The kernel makes one chip for all
/// zones of a type, as a child of the first, and writes `_` for `-` in its name.
fn shown_by_hwmon(sys: &Path) -> BTreeSet<String> {
    let chips = sensor::folders(&sys.join("class/hwmon"), "hwmon").into_iter();
    let of_zones = chips
        .filter(|(_, path)| hwmon::device(path).is_some_and(|device| device.starts_with(ZONE)));
    of_zones.filter_map(|(_, path)| text::line(&path.join("name"))).collect()
}

const ZONE: &str = "thermal_zone";
