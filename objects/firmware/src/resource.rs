//! The resources of Firmware Update (5) by number (Objects 7): the one place that
//! knows them.

use lwm2m_model::{Path, objects};

/// A resource of the only instance.
pub(crate) fn path(resource: u16) -> Path {
    Path::resource(objects::id::FIRMWARE_UPDATE, 0, resource)
}

pub(crate) const PACKAGE: u16 = 0;
pub(crate) const PACKAGE_URI: u16 = 1;
pub(crate) const UPDATE: u16 = 2;
pub(crate) const STATE: u16 = 3;
pub(crate) const UPDATE_RESULT: u16 = 5;
pub(crate) const PACKAGE_NAME: u16 = 6;
pub(crate) const PACKAGE_VERSION: u16 = 7;
pub(crate) const PROTOCOLS: u16 = 8;
pub(crate) const DELIVERY_METHOD: u16 = 9;
pub(crate) const CANCEL: u16 = 10;
pub(crate) const SEVERITY: u16 = 11;
pub(crate) const LAST_STATE_CHANGE: u16 = 12;
pub(crate) const MAX_DEFER_PERIOD: u16 = 13;
pub(crate) const AUTOMATIC_UPGRADE: u16 = 14;
