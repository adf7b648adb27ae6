//! The resources of Firmware Update (5) by number (Objects 7): the one place that
//! knows them.

pub(crate) const STATE: u16 = 3;
pub(crate) const UPDATE_RESULT: u16 = 5;
pub(crate) const PACKAGE_NAME: u16 = 6;
pub(crate) const PACKAGE_VERSION: u16 = 7;
pub(crate) const PACKAGE_URI: u16 = 1;
pub(crate) const SEVERITY: u16 = 11;
pub(crate) const LAST_STATE_CHANGE: u16 = 12;
pub(crate) const MAX_DEFER_PERIOD: u16 = 13;
pub(crate) const AUTOMATIC_UPGRADE: u16 = 14;
