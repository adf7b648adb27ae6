//! The definitions of the objects that the agent itself serves, checked against
//! the registry files by `tests/registry.rs`.

use std::borrow::Cow;

use crate::DataType as T;
use crate::Operations::{Bootstrap, E, R, RW, W};
use crate::{ObjectDef, Operations, Range, ResourceDef, Version};
use Instances::{Multiple, Single};
use Presence::{Mandatory, Optional};

pub use connectivity::{
    APN_CONNECTION_PROFILE, CELLULAR_CONNECTIVITY, CONNECTIVITY_MONITORING,
    CONNECTIVITY_STATISTICS, LOCATION, WLAN_CONNECTIVITY,
};
pub use sensors::{BAROMETER, CURRENT, HUMIDITY, ILLUMINANCE, POWER, TEMPERATURE, VOLTAGE};
pub use services::{BINARY_APP_DATA_CONTAINER, EVENT_LOG, LOCK_AND_WIPE, PORTFOLIO};

mod connectivity;
mod sensors;
mod services;

/// Object IDs that the agent or the rules of the protocol name.
pub mod id {
    /// LWM2M Security.
    pub const SECURITY: u16 = 0;
    /// LwM2M Server.
    pub const SERVER: u16 = 1;
    /// LwM2M Access Control.
    pub const ACCESS_CONTROL: u16 = 2;
    /// Device.
    pub const DEVICE: u16 = 3;
    /// Connectivity Monitoring.
    pub const CONNECTIVITY_MONITORING: u16 = 4;
    /// Firmware Update.
    pub const FIRMWARE_UPDATE: u16 = 5;
    /// Location.
    pub const LOCATION: u16 = 6;
    /// Connectivity Statistics.
    pub const CONNECTIVITY_STATISTICS: u16 = 7;
    /// Lock and Wipe.
    pub const LOCK_AND_WIPE: u16 = 8;
    /// LWM2M Cellular Connectivity.
    pub const CELLULAR_CONNECTIVITY: u16 = 10;
    /// LWM2M APN Connection Profile.
    pub const APN_CONNECTION_PROFILE: u16 = 11;
    /// WLAN connectivity.
    pub const WLAN_CONNECTIVITY: u16 = 12;
    /// Portfolio.
    pub const PORTFOLIO: u16 = 16;
    /// BinaryAppDataContainer.
    pub const BINARY_APP_DATA_CONTAINER: u16 = 19;
    /// Event Log.
    pub const EVENT_LOG: u16 = 20;
    /// LwM2M OSCORE.
    pub const OSCORE: u16 = 21;
    /// LwM2M COSE.
    pub const COSE: u16 = 23;
    /// MQTT Server.
    pub const MQTT_SERVER: u16 = 24;
    /// Illuminance.
    pub const ILLUMINANCE: u16 = 3301;
    /// Temperature.
    pub const TEMPERATURE: u16 = 3303;
    /// Humidity.
    pub const HUMIDITY: u16 = 3304;
    /// Barometer.
    pub const BAROMETER: u16 = 3315;
    /// Voltage.
    pub const VOLTAGE: u16 = 3316;
    /// Current.
    pub const CURRENT: u16 = 3317;
    /// Power.
    pub const POWER: u16 = 3328;
}

/// The definitions of the objects that the agent itself can serve, in ascending order.
pub static ALL: [&ObjectDef; 21] = [
    &SECURITY,
    &SERVER,
    &DEVICE,
    &CONNECTIVITY_MONITORING,
    &FIRMWARE_UPDATE,
    &LOCATION,
    &CONNECTIVITY_STATISTICS,
    &LOCK_AND_WIPE,
    &CELLULAR_CONNECTIVITY,
    &APN_CONNECTION_PROFILE,
    &WLAN_CONNECTIVITY,
    &PORTFOLIO,
    &BINARY_APP_DATA_CONTAINER,
    &EVENT_LOG,
    &ILLUMINANCE,
    &TEMPERATURE,
    &HUMIDITY,
    &BAROMETER,
    &VOLTAGE,
    &CURRENT,
    &POWER,
];

/// The definition of an object that the agent itself can serve.
pub fn by_id(id: u16) -> Option<&'static ObjectDef> {
    ALL.into_iter().find(|definition| definition.id == id)
}

/// LWM2M Security (0), version 1.2.
#[rustfmt::skip] // a table: one row a resource
pub static SECURITY: ObjectDef = ObjectDef {
    id: id::SECURITY,
    name: Cow::Borrowed("LWM2M Security"),
    version: Version::new(1, 2),
    multiple: true,
    mandatory: true,
    resources: Cow::Borrowed(&[
        resource(0, "LWM2M Server URI", Bootstrap, Single, Mandatory, T::String, length(0, 255), ""),
        resource(1, "Bootstrap-Server", Bootstrap, Single, Mandatory, T::Boolean, Range::Any, ""),
        resource(2, "Security Mode", Bootstrap, Single, Mandatory, T::Integer, number(0.0, 4.0), ""),
        resource(3, "Public Key or Identity", Bootstrap, Single, Mandatory, T::Opaque, Range::Any, ""),
        resource(4, "Server Public Key", Bootstrap, Single, Mandatory, T::Opaque, Range::Any, ""),
        resource(5, "Secret Key", Bootstrap, Single, Mandatory, T::Opaque, Range::Any, ""),
        resource(6, "SMS Security Mode", Bootstrap, Single, Optional, T::Integer, number(0.0, 255.0), ""),
        resource(7, "SMS Binding Key Parameters", Bootstrap, Single, Optional, T::Opaque, length(6, 6), ""),
        resource(8, "SMS Binding Secret Key(s)", Bootstrap, Single, Optional, T::Opaque, Range::Lengths(Cow::Borrowed(&[16, 32, 48])), ""),
        resource(9, "LwM2M Server SMS Number", Bootstrap, Single, Optional, T::String, Range::Any, ""),
        resource(10, "Short Server ID", Bootstrap, Single, Optional, T::Integer, number(1.0, 65534.0), ""),
        resource(11, "Client Hold Off Time", Bootstrap, Single, Optional, T::Integer, Range::Any, "s"),
        resource(12, "Bootstrap-Server Account Timeout", Bootstrap, Single, Optional, T::Integer, Range::Any, "s"),
        resource(13, "Matching Type", Bootstrap, Single, Optional, T::Unsigned, number(0.0, 3.0), ""),
        resource(14, "SNI", Bootstrap, Single, Optional, T::String, Range::Any, ""),
        resource(15, "Certificate Usage", Bootstrap, Single, Optional, T::Unsigned, number(0.0, 3.0), ""),
        resource(16, "DTLS/TLS Ciphersuite", Bootstrap, Multiple, Optional, T::Unsigned, Range::Any, ""),
        resource(17, "OSCORE Security Mode", Bootstrap, Single, Optional, T::Objlnk, Range::Any, ""),
        resource(18, "Groups To Use by Client", Bootstrap, Multiple, Optional, T::Unsigned, number(0.0, 65535.0), ""),
        resource(19, "Signature Algorithms Supported by Server", Bootstrap, Multiple, Optional, T::Unsigned, number(0.0, 65535.0), ""),
        resource(20, "Signature Algorithms To Use by Client", Bootstrap, Multiple, Optional, T::Unsigned, number(0.0, 65535.0), ""),
        resource(21, "Signature Algorithm Certs Supported by Server", Bootstrap, Multiple, Optional, T::Unsigned, number(0.0, 65535.0), ""),
        resource(22, "TLS 1.3 Features To Use by Client", Bootstrap, Single, Optional, T::Unsigned, number(0.0, 65535.0), ""),
        resource(23, "TLS Extensions Supported by Server", Bootstrap, Single, Optional, T::Unsigned, number(0.0, 65535.0), ""),
        resource(24, "TLS Extensions To Use by Client", Bootstrap, Single, Optional, T::Unsigned, number(0.0, 65535.0), ""),
        resource(25, "Secondary LwM2M Server URI", Bootstrap, Multiple, Optional, T::String, length(0, 255), ""),
        resource(26, "MQTT Server", Bootstrap, Single, Optional, T::Objlnk, Range::Any, ""),
        resource(27, "LwM2M COSE Security", Bootstrap, Multiple, Optional, T::Objlnk, Range::Any, ""),
        resource(28, "RDS Destination Port", Bootstrap, Single, Optional, T::Integer, number(0.0, 15.0), ""),
        resource(29, "RDS Source Port", Bootstrap, Single, Optional, T::Integer, number(0.0, 15.0), ""),
        resource(30, "RDS Application ID", Bootstrap, Single, Optional, T::String, Range::Any, ""),
    ]),
};

/// LwM2M Server (1), version 1.2.
#[rustfmt::skip] // a table: one row a resource
pub static SERVER: ObjectDef = ObjectDef {
    id: id::SERVER,
    name: Cow::Borrowed("LwM2M Server"),
    version: Version::new(1, 2),
    multiple: true,
    mandatory: true,
    resources: Cow::Borrowed(&[
        resource(0, "Short Server ID", R, Single, Mandatory, T::Integer, number(1.0, 65534.0), ""),
        resource(1, "Lifetime", RW, Single, Mandatory, T::Integer, Range::Any, "s"),
        resource(2, "Default Minimum Period", RW, Single, Optional, T::Integer, Range::Any, "s"),
        resource(3, "Default Maximum Period", RW, Single, Optional, T::Integer, Range::Any, "s"),
        resource(4, "Disable", E, Single, Optional, T::None, Range::Any, ""),
        resource(5, "Disable Timeout", RW, Single, Optional, T::Integer, Range::Any, "s"),
        resource(6, "Notification Storing When Disabled or Offline", RW, Single, Mandatory, T::Boolean, Range::Any, ""),
        resource(7, "Binding", RW, Single, Mandatory, T::String, Range::Any, ""),
        resource(8, "Registration Update Trigger", E, Single, Mandatory, T::None, Range::Any, ""),
        resource(9, "Bootstrap-Request Trigger", E, Single, Optional, T::None, Range::Any, ""),
        resource(10, "APN Link", RW, Single, Optional, T::Objlnk, Range::Any, ""),
        resource(11, "TLS-DTLS Alert Code", R, Single, Optional, T::Unsigned, number(0.0, 255.0), ""),
        resource(12, "Last Bootstrapped", R, Single, Optional, T::Time, Range::Any, ""),
        resource(13, "Registration Priority Order", R, Single, Optional, T::Unsigned, Range::Any, ""),
        resource(14, "Initial Registration Delay Timer", RW, Single, Optional, T::Unsigned, Range::Any, "s"),
        resource(15, "Registration Failure Block", R, Single, Optional, T::Boolean, Range::Any, ""),
        resource(16, "Bootstrap on Registration Failure", R, Single, Optional, T::Boolean, Range::Any, ""),
        resource(17, "Communication Retry Count", RW, Single, Optional, T::Unsigned, Range::Any, ""),
        resource(18, "Communication Retry Timer", RW, Single, Optional, T::Unsigned, Range::Any, "s"),
        resource(19, "Communication Sequence Delay Timer", RW, Single, Optional, T::Unsigned, Range::Any, "s"),
        resource(20, "Communication Sequence Retry Count", RW, Single, Optional, T::Unsigned, Range::Any, ""),
        resource(21, "Trigger", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(22, "Preferred Transport", RW, Single, Optional, T::String, Range::Any, ""),
        resource(23, "Mute Send", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(24, "Alternate APN Links", RW, Multiple, Optional, T::Objlnk, Range::Any, ""),
        resource(25, "Supported Server Versions", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(26, "Default Notification Mode", RW, Single, Optional, T::Integer, number(0.0, 1.0), ""),
        resource(27, "Profile ID Hash Algorithm", RW, Single, Optional, T::Unsigned, number(0.0, 255.0), ""),
    ]),
};

/// Device (3), version 1.2.
#[rustfmt::skip] // a table: one row a resource
pub static DEVICE: ObjectDef = ObjectDef {
    id: id::DEVICE,
    name: Cow::Borrowed("Device"),
    version: Version::new(1, 2),
    multiple: false,
    mandatory: true,
    resources: Cow::Borrowed(&[
        resource(0, "Manufacturer", R, Single, Optional, T::String, Range::Any, ""),
        resource(1, "Model Number", R, Single, Optional, T::String, Range::Any, ""),
        resource(2, "Serial Number", R, Single, Optional, T::String, Range::Any, ""),
        resource(3, "Firmware Version", R, Single, Optional, T::String, Range::Any, ""),
        resource(4, "Reboot", E, Single, Mandatory, T::None, Range::Any, ""),
        resource(5, "Factory Reset", E, Single, Optional, T::None, Range::Any, ""),
        resource(6, "Available Power Sources", R, Multiple, Optional, T::Integer, number(0.0, 7.0), ""),
        resource(7, "Power Source Voltage", R, Multiple, Optional, T::Integer, Range::Any, ""),
        resource(8, "Power Source Current", R, Multiple, Optional, T::Integer, Range::Any, ""),
        resource(9, "Battery Level", R, Single, Optional, T::Integer, number(0.0, 100.0), "/100"),
        resource(10, "Memory Free", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(11, "Error Code", R, Multiple, Mandatory, T::Integer, number(0.0, 32.0), ""),
        resource(12, "Reset Error Code", E, Single, Optional, T::None, Range::Any, ""),
        resource(13, "Current Time", RW, Single, Optional, T::Time, Range::Any, ""),
        resource(14, "UTC Offset", RW, Single, Optional, T::String, Range::Any, ""),
        resource(15, "Timezone", RW, Single, Optional, T::String, Range::Any, ""),
        resource(16, "Supported Binding and Modes", R, Single, Mandatory, T::String, Range::Any, ""),
        resource(17, "Device Type", R, Single, Optional, T::String, Range::Any, ""),
        resource(18, "Hardware Version", R, Single, Optional, T::String, Range::Any, ""),
        resource(19, "Software Version", R, Single, Optional, T::String, Range::Any, ""),
        resource(20, "Battery Status", R, Single, Optional, T::Integer, number(0.0, 6.0), ""),
        resource(21, "Memory Total", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(22, "ExtDevInfo", R, Multiple, Optional, T::Objlnk, Range::Any, ""),
    ]),
};

/// Firmware Update (5), version 1.2.
#[rustfmt::skip] // a table: one row a resource
pub static FIRMWARE_UPDATE: ObjectDef = ObjectDef {
    id: id::FIRMWARE_UPDATE,
    name: Cow::Borrowed("Firmware Update"),
    version: Version::new(1, 2),
    multiple: false,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "Package", W, Single, Mandatory, T::Opaque, Range::Any, ""),
        resource(1, "Package URI", RW, Single, Mandatory, T::String, length(0, 255), ""),
        resource(2, "Update", E, Single, Mandatory, T::None, Range::Any, ""),
        resource(3, "State", R, Single, Mandatory, T::Integer, number(0.0, 3.0), ""),
        resource(5, "Update Result", R, Single, Mandatory, T::Integer, number(0.0, 11.0), ""),
        resource(6, "PkgName", R, Single, Optional, T::String, length(0, 255), ""),
        resource(7, "PkgVersion", R, Single, Optional, T::String, length(0, 255), ""),
        resource(8, "Firmware Update Protocol Support", R, Multiple, Optional, T::Integer, number(0.0, 5.0), ""),
        resource(9, "Firmware Update Delivery Method", R, Single, Mandatory, T::Integer, number(0.0, 2.0), ""),
        resource(10, "Cancel", E, Single, Optional, T::None, Range::Any, ""),
        resource(11, "Severity", RW, Single, Optional, T::Integer, number(0.0, 2.0), ""),
        resource(12, "Last State Change Time", R, Single, Optional, T::Time, Range::Any, ""),
        resource(13, "Maximum Defer Period", RW, Single, Optional, T::Unsigned, Range::Any, "s"),
        resource(14, "Automatic Upgrade at Download", RW, Single, Optional, T::Boolean, Range::Any, ""),
    ]),
};

enum Instances {
    Single,
    Multiple,
}
enum Presence {
    Mandatory,
    Optional,
}

#[allow(clippy::too_many_arguments)] // one row of a table
const fn resource(
    id: u16,
    name: &'static str,
    operations: Operations,
    instances: Instances,
    presence: Presence,
    data_type: T,
    range: Range,
    unit: &'static str,
) -> ResourceDef {
    ResourceDef {
        id,
        name: Cow::Borrowed(name),
        operations,
        multiple: matches!(instances, Multiple),
        mandatory: matches!(presence, Mandatory),
        data_type,
        range,
        unit: Cow::Borrowed(unit),
    }
}

const fn number(min: f64, max: f64) -> Range {
    Range::Number { min, max }
}
const fn length(min: usize, max: usize) -> Range {
    Range::Length { min, max }
}
