//! What the device tree of a board says, `/proc/device-tree`.

use std::path::Path;

use super::text;

/// Manufacturer: the part of the first `compatible` entry before the comma.
pub fn manufacturer(proc: &Path) -> Option<String> {
    let first = compatible(proc)?;
    let (vendor, _) = first.split_once(',')?;
    text::clean(vendor.as_bytes())
}

/// The first, most special `compatible` entry, such as `raspberrypi,4-model-b`.
pub fn compatible(proc: &Path) -> Option<String> {
    let list = text::bytes(&proc.join("device-tree/compatible"))?;
    text::clean(list.split(|byte| *byte == 0).next()?)
}

/// The model in words.
pub fn model(proc: &Path) -> Option<String> {
    text::line(&proc.join("device-tree/model"))
}

/// The serial number, if the boot loader has filled it in.
pub fn serial(proc: &Path) -> Option<String> {
    text::line(&proc.join("device-tree/serial-number")).filter(|text| !is_zero(text))
}

/// Boot loaders that know no serial number write zeros.
fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}
