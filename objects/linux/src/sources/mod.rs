//! Where values come from: procfs, sysfs, files, netlink and D-Bus.
//!
//! Each source takes the directory it reads below, so that a test can give a
//! made-up tree. What is missing or makes no sense is `None`, never an error.

pub mod bearer;
pub mod clock;
pub mod device_tree;
pub mod dmi;
pub mod ethernet;
mod hwmon;
mod iio;
pub(crate) mod journal;
pub(crate) mod lines;
pub(crate) mod login1;
pub mod meminfo;
pub(crate) mod modem_manager;
mod netlink;
pub mod network;
pub(crate) mod network_manager;
pub(crate) mod nl80211;
pub mod os_release;
pub mod power_supply;
pub(crate) mod properties;
mod readable;
pub mod sensor;
pub(crate) mod systemd1;
pub mod text;
mod thermal;
pub(crate) mod timedate1;
pub mod timezone;
pub mod uevent;
pub(crate) mod upower;
pub mod wireless;
