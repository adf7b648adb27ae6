//! The resources of Device (3) by number (Objects 5): the one place that knows them.

use lwm2m_model::{Path, objects};

/// A resource of the only instance.
pub(super) fn path(resource: u16) -> Path {
    Path::resource(objects::DEVICE.id, 0, resource)
}

pub(super) const MANUFACTURER: u16 = 0;
pub(super) const MODEL_NUMBER: u16 = 1;
pub(super) const SERIAL_NUMBER: u16 = 2;
pub(super) const FIRMWARE_VERSION: u16 = 3;
pub(super) const REBOOT: u16 = 4;
pub(super) const AVAILABLE_POWER_SOURCES: u16 = 6;
pub(super) const POWER_SOURCE_VOLTAGE: u16 = 7;
pub(super) const POWER_SOURCE_CURRENT: u16 = 8;
pub(super) const BATTERY_LEVEL: u16 = 9;
pub(super) const MEMORY_FREE: u16 = 10;
pub(super) const ERROR_CODE: u16 = 11;
pub(super) const RESET_ERROR_CODE: u16 = 12;
pub(super) const CURRENT_TIME: u16 = 13;
pub(super) const UTC_OFFSET: u16 = 14;
pub(super) const TIMEZONE: u16 = 15;
pub(super) const BINDINGS: u16 = 16;
pub(super) const DEVICE_TYPE: u16 = 17;
pub(super) const HARDWARE_VERSION: u16 = 18;
pub(super) const SOFTWARE_VERSION: u16 = 19;
pub(super) const BATTERY_STATUS: u16 = 20;
pub(super) const MEMORY_TOTAL: u16 = 21;
