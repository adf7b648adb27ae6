//! Batteries and external supplies, `/sys/class/power_supply`.

use std::path::Path;

use super::text;

/// One supply, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supply {
    /// Name of its folder.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// An external supply: power comes in. A battery: it is there. `None` if the
    /// driver does not say.
    pub active: Option<bool>,
    /// Microvolt.
    pub voltage: Option<i64>,
    /// Microampere; most drivers give a negative one while discharging.
    pub current: Option<i64>,
    /// Charge in percent.
    pub capacity: Option<i64>,
    /// Energy or charge when full, in the driver's unit: a weight, no measure.
    pub full: Option<i64>,
    /// `Charging`, `Discharging`, `Not charging`, `Full`.
    pub status: Option<String>,
    /// `Critical`, `Low`, `Normal`, `High`, `Full`.
    pub capacity_level: Option<String>,
    /// `Good`, `Overheat`, `Dead` and so on.
    pub health: Option<String>,
}

/// The kind of a supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Alternating current.
    Mains,
    /// Any kind of USB.
    Usb,
    /// A battery of this machine.
    Battery,
    /// A battery of something attached.
    ExternalBattery,
    /// An uninterruptible power supply.
    Ups,
}

impl Supply {
    /// True for what feeds the machine from outside.
    pub fn is_external(&self) -> bool {
        matches!(self.kind, Kind::Mains | Kind::Usb)
    }

    /// True if the supply can be drawn on: a battery that is not missing, an
    /// external supply that has power.
    pub fn is_available(&self) -> bool {
        match self.kind {
            Kind::Battery | Kind::ExternalBattery | Kind::Ups => self.active != Some(false),
            Kind::Mains | Kind::Usb => self.active == Some(true),
        }
    }
}

/// The supplies below `sys`, sorted by name, [`MAX_SUPPLIES`] at most.
pub fn list(sys: &Path) -> Vec<Supply> {
    let folder = sys.join("class/power_supply");
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let supplies = names.into_iter().filter_map(|name| read(&folder.join(&name), name));
    supplies.take(MAX_SUPPLIES).collect()
}

/// `None` for a folder without a type that we know, such as `Wireless`.
fn read(folder: &Path, name: String) -> Option<Supply> {
    let word = |file: &str| text::line(&folder.join(file));
    let number = |file: &str| text::number(&folder.join(file));
    let is_peripheral = word("scope").as_deref() == Some("Device");
    let kind = match word("type")?.as_str() {
        "Mains" => Kind::Mains,
        "Battery" if is_peripheral => Kind::ExternalBattery,
        "Battery" => Kind::Battery,
        "UPS" => Kind::Ups,
        usb if usb.starts_with("USB") => Kind::Usb,
        _ => return None,
    };
    let active = match kind {
        Kind::Mains | Kind::Usb => number("online"),
        Kind::Battery | Kind::ExternalBattery | Kind::Ups => number("present"),
    };
    Some(Supply {
        name,
        kind,
        active: active.map(|value| value != 0),
        voltage: number("voltage_now"),
        current: number("current_now"),
        capacity: number("capacity").filter(|percent| (0..=100).contains(percent)),
        full: number("energy_full").or_else(|| number("charge_full")).filter(|full| *full > 0),
        status: word("status"),
        capacity_level: word("capacity_level"),
        health: word("health"),
    })
}

/// Supplies that are looked at; a machine has one to five.
pub const MAX_SUPPLIES: usize = 32;
