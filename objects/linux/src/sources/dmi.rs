//! What the firmware of a PC says, `/sys/class/dmi/id`, without the texts that
//! its maker forgot to fill in.

use std::path::Path;

use super::text;

/// A field of the folder, such as `sys_vendor`; `None` for a filler.
pub fn field(sys: &Path, name: &str) -> Option<String> {
    text::line(&sys.join("class/dmi/id").join(name)).filter(|text| !is_filler(text))
}

/// The kind of enclosure in a word, from the SMBIOS number in `chassis_type`;
/// the words are those of machine-info(5).
pub fn chassis(sys: &Path) -> Option<&'static str> {
    let number = text::number(&sys.join("class/dmi/id/chassis_type"))?;
    Some(match number {
        3..=7 | 13 | 15 | 16 | 24 | 35 | 36 => "desktop",
        8..=10 | 14 => "laptop",
        11 => "handset",
        17 | 23 | 28 | 29 => "server",
        30 => "tablet",
        31 | 32 => "convertible",
        33 | 34 => "embedded",
        // Other, Unknown, docks, expansion boxes, and what came later.
        _ => return None,
    })
}

fn is_filler(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let says_nothing = text.chars().all(|c| matches!(c, '0' | 'x' | 'f' | '.' | '-' | '*' | ' '));
    says_nothing || FILLERS.iter().any(|filler| text == *filler)
}

/// In lower case; seen in the firmware of machines on sale.
const FILLERS: &[&str] = &[
    "0123456789",
    "123456789",
    "base board version",
    "board version",
    "chassis manufacture",
    "default",
    "default string",
    "empty",
    "invalid",
    "n/a",
    "none",
    "not applicable",
    "not available",
    "not specified",
    "null",
    "o.e.m.",
    "oem",
    "product name",
    "product version",
    "serial number",
    "sku",
    "system manufacturer",
    "system product name",
    "system serial number",
    "system version",
    "to be filled by o.e.m",
    "to be filled by o.e.m.",
    "type1productconfigid",
    "undefined",
    "unknown",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_are_told_from_names() {
        for filler in
            ["To Be Filled By O.E.M.", "Default string", "00000000", "x.x", "None", "FFFF"]
        {
            assert!(is_filler(filler), "{filler}");
        }
        for name in ["LENOVO", "20XW", "1.0", "PF2ABCDE", "0xA1", "Standard PC (Q35 + ICH9, 2009)"]
        {
            assert!(!is_filler(name), "{name}");
        }
    }
}
