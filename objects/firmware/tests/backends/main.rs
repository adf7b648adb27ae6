//! Back ends against doubles of what they talk to, on a private bus. Not run where
//! dbus-daemon is missing.

mod rauc;
mod script;
#[path = "../../../linux/tests/units/systemd1.rs"]
mod systemd1;
