//! Where the device is and how it is connected: 4, 6, 7, 10, 11 and 12.

use std::borrow::Cow;

use super::Instances::{Multiple, Single};
use super::Presence::{Mandatory, Optional};
use super::{id, length, number, resource};
use crate::DataType as T;
use crate::Operations::{E, R, RW, W};
use crate::{ObjectDef, Range, Version};

/// Connectivity Monitoring (4), version 1.3.
#[rustfmt::skip] // a table: one row a resource
pub static CONNECTIVITY_MONITORING: ObjectDef = ObjectDef {
    id: id::CONNECTIVITY_MONITORING,
    name: Cow::Borrowed("Connectivity Monitoring"),
    version: Version::new(1, 3),
    multiple: false,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "Network Bearer", R, Single, Mandatory, T::Integer, number(0.0, 50.0), ""),
        resource(1, "Available Network Bearer", R, Multiple, Mandatory, T::Integer, number(0.0, 50.0), ""),
        resource(2, "Radio Signal Strength", R, Single, Mandatory, T::Integer, Range::Any, "dBm"),
        resource(3, "Link Quality", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(4, "IP Addresses", R, Multiple, Mandatory, T::String, Range::Any, ""),
        resource(5, "Router IP Addresses", R, Multiple, Optional, T::String, Range::Any, ""),
        resource(6, "Link Utilization", R, Single, Optional, T::Integer, number(0.0, 100.0), "/100"),
        resource(7, "APN", R, Multiple, Optional, T::String, Range::Any, ""),
        resource(8, "Cell ID", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(9, "SMNC", R, Single, Optional, T::Integer, number(0.0, 999.0), ""),
        resource(10, "SMCC", R, Single, Optional, T::Integer, number(0.0, 999.0), ""),
        resource(11, "SignalSNR", R, Single, Optional, T::Integer, Range::Any, "dB"),
        resource(12, "LAC", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(13, "Coverage Enhancement Level", R, Single, Optional, T::Integer, number(0.0, 4.0), ""),
    ]),
};

/// Location (6), version 1.0.
#[rustfmt::skip] // a table: one row a resource
pub static LOCATION: ObjectDef = ObjectDef {
    id: id::LOCATION,
    name: Cow::Borrowed("Location"),
    version: Version::new(1, 0),
    multiple: false,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "Latitude", R, Single, Mandatory, T::Float, Range::Any, "lat"),
        resource(1, "Longitude", R, Single, Mandatory, T::Float, Range::Any, "lon"),
        resource(2, "Altitude", R, Single, Optional, T::Float, Range::Any, "m"),
        resource(3, "Radius", R, Single, Optional, T::Float, Range::Any, "m"),
        resource(4, "Velocity", R, Single, Optional, T::Opaque, Range::Any, ""),
        resource(5, "Timestamp", R, Single, Mandatory, T::Time, Range::Any, ""),
        resource(6, "Speed", R, Single, Optional, T::Float, Range::Any, "m/s"),
    ]),
};

/// Connectivity Statistics (7), version 1.0.
#[rustfmt::skip] // a table: one row a resource
pub static CONNECTIVITY_STATISTICS: ObjectDef = ObjectDef {
    id: id::CONNECTIVITY_STATISTICS,
    name: Cow::Borrowed("Connectivity Statistics"),
    version: Version::new(1, 0),
    multiple: false,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "SMS Tx Counter", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(1, "SMS Rx Counter", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(2, "Tx Data", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(3, "Rx Data", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(4, "Max Message Size", R, Single, Optional, T::Integer, Range::Any, "B"),
        resource(5, "Average Message Size", R, Single, Optional, T::Integer, Range::Any, "B"),
        resource(6, "Start", E, Single, Mandatory, T::None, Range::Any, ""),
        resource(7, "Stop", E, Single, Mandatory, T::None, Range::Any, ""),
        resource(8, "Collection Period", RW, Single, Optional, T::Integer, Range::Any, "s"),
    ]),
};

/// LWM2M Cellular Connectivity (10), version 1.1.
#[rustfmt::skip] // a table: one row a resource
pub static CELLULAR_CONNECTIVITY: ObjectDef = ObjectDef {
    id: id::CELLULAR_CONNECTIVITY,
    name: Cow::Borrowed("LWM2M Cellular Connectivity"),
    version: Version::new(1, 1),
    multiple: false,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "SMSC address", RW, Single, Optional, T::String, Range::Any, ""),
        resource(1, "Disable radio period", RW, Single, Optional, T::Integer, number(0.0, 65535.0), ""),
        resource(2, "Module activation code", RW, Single, Optional, T::String, Range::Any, ""),
        resource(3, "Vendor specific extensions", R, Single, Optional, T::Objlnk, Range::Any, ""),
        resource(4, "PSM Timer", RW, Single, Optional, T::Integer, Range::Any, "s"),
        resource(5, "Active Timer", RW, Single, Optional, T::Integer, Range::Any, "s"),
        resource(7, "eDRX parameters for Iu mode", RW, Single, Optional, T::Opaque, length(0, 255), ""),
        resource(8, "eDRX parameters for WB-S1 mode", RW, Single, Optional, T::Opaque, length(0, 255), ""),
        resource(9, "eDRX parameters for NB-S1 mode", RW, Single, Optional, T::Opaque, length(0, 255), ""),
        resource(10, "eDRX parameters for A/Gb mode", RW, Single, Optional, T::Opaque, length(0, 255), ""),
        resource(11, "Activated Profile Names", R, Multiple, Mandatory, T::Objlnk, Range::Any, ""),
        resource(12, "Supported Power Saving Modes", R, Single, Optional, T::Unsigned, number(0.0, 255.0), ""),
        resource(13, "Active Power Saving Modes", RW, Single, Optional, T::Unsigned, number(0.0, 255.0), ""),
        resource(14, "Release Assistance Indication Usage", RW, Single, Optional, T::Unsigned, number(0.0, 255.0), ""),
    ]),
};

/// LWM2M APN Connection Profile (11), version 1.1.
#[rustfmt::skip] // a table: one row a resource
pub static APN_CONNECTION_PROFILE: ObjectDef = ObjectDef {
    id: id::APN_CONNECTION_PROFILE,
    name: Cow::Borrowed("LWM2M APN Connection Profile"),
    version: Version::new(1, 1),
    multiple: true,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "Profile name", RW, Single, Mandatory, T::String, Range::Any, ""),
        resource(1, "APN", RW, Single, Optional, T::String, Range::Any, ""),
        resource(2, "Auto select APN by device", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(3, "Enable status", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(4, "Authentication Type", RW, Single, Mandatory, T::Integer, Range::Any, ""),
        resource(5, "User Name", RW, Single, Optional, T::String, Range::Any, ""),
        resource(6, "Secret", RW, Single, Optional, T::String, Range::Any, ""),
        resource(7, "Reconnect Schedule", RW, Single, Optional, T::String, Range::Any, ""),
        resource(8, "Validity (MCC, MNC)", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(9, "Connection establishment time (1)", R, Multiple, Optional, T::Time, Range::Any, ""),
        resource(10, "Connection establishment result (1)", R, Multiple, Optional, T::Integer, Range::Any, ""),
        resource(11, "Connection establishment reject cause (1)", R, Multiple, Optional, T::Integer, number(0.0, 111.0), ""),
        resource(12, "Connection end time (1)", R, Multiple, Optional, T::Time, Range::Any, ""),
        resource(13, "TotalBytesSent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(14, "TotalBytesReceived", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(15, "IP address (2)", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(16, "Prefix length(2)", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(17, "Subnet mask (2)", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(18, "Gateway (2)", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(19, "Primary DNS address (2)", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(20, "Secondary DNS address (2)", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(21, "QCI (3)", R, Single, Optional, T::Integer, number(1.0, 9.0), ""),
        resource(22, "Vendor specific extensions", R, Single, Optional, T::Objlnk, Range::Any, ""),
        resource(23, "TotalPacketsSent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(24, "PDN Type", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(25, "APN Rate Control", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(26, "Serving PLMN Rate control", RW, Single, Optional, T::Unsigned, Range::Any, ""),
        resource(27, "Uplink Time Unit", RW, Single, Optional, T::Unsigned, number(0.0, 4.0), ""),
        resource(28, "APN Rate Control for Exception Data", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(29, "APN Exception Data Uplink Time Unit", RW, Single, Optional, T::Unsigned, number(0.0, 4.0), ""),
        resource(30, "Supported RAT Types", RW, Multiple, Optional, T::Unsigned, Range::Any, ""),
        resource(31, "RDS Application ID", RW, Multiple, Optional, T::String, Range::Any, ""),
        resource(32, "RDS Destination Port", RW, Multiple, Optional, T::Integer, number(0.0, 15.0), ""),
        resource(33, "RDS Source Port", RW, Multiple, Optional, T::Integer, number(0.0, 15.0), ""),
    ]),
};

/// WLAN connectivity (12), version 1.1.
#[rustfmt::skip] // a table: one row a resource
pub static WLAN_CONNECTIVITY: ObjectDef = ObjectDef {
    id: id::WLAN_CONNECTIVITY,
    name: Cow::Borrowed("WLAN connectivity"),
    version: Version::new(1, 1),
    multiple: true,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "Interface name", RW, Single, Mandatory, T::String, Range::Any, ""),
        resource(1, "Enable", RW, Single, Mandatory, T::Boolean, Range::Any, ""),
        resource(2, "Radio Enabled", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(3, "Status", R, Single, Mandatory, T::Integer, Range::Any, ""),
        resource(4, "BSSID", R, Single, Mandatory, T::String, length(0, 12), ""),
        resource(5, "SSID", RW, Single, Mandatory, T::String, length(1, 32), ""),
        resource(6, "Broadcast SSID", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(7, "Beacon Enabled", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(8, "Mode", RW, Single, Mandatory, T::Integer, Range::Any, ""),
        resource(9, "Channel", RW, Single, Mandatory, T::Integer, number(0.0, 255.0), ""),
        resource(10, "Auto Channel", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(11, "Supported Channels", RW, Multiple, Optional, T::Integer, Range::Any, ""),
        resource(12, "Channels In Use", RW, Multiple, Optional, T::Integer, Range::Any, ""),
        resource(13, "Regulatory Domain", RW, Single, Optional, T::String, length(0, 3), ""),
        resource(14, "Standard", RW, Single, Mandatory, T::Integer, Range::Any, ""),
        resource(15, "Authentication Mode", RW, Single, Mandatory, T::Integer, Range::Any, ""),
        resource(16, "Encryption Mode", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(17, "WPA Pre Shared Key", W, Single, Optional, T::String, length(0, 64), ""),
        resource(18, "WPA Key Phrase", W, Single, Optional, T::String, length(1, 64), ""),
        resource(19, "WEP Encryption Type", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(20, "WEP Key Index", RW, Single, Optional, T::Integer, number(1.0, 4.0), ""),
        resource(21, "WEP Key Phrase", W, Single, Optional, T::String, length(1, 64), ""),
        resource(22, "WEP Key 1", W, Single, Optional, T::String, Range::Lengths(Cow::Borrowed(&[10, 26])), ""),
        resource(23, "WEP Key 2", W, Single, Optional, T::String, Range::Lengths(Cow::Borrowed(&[10, 26])), ""),
        resource(24, "WEP Key 3", W, Single, Optional, T::String, Range::Lengths(Cow::Borrowed(&[10, 26])), ""),
        resource(25, "WEP Key 4", W, Single, Optional, T::String, Range::Lengths(Cow::Borrowed(&[10, 26])), ""),
        resource(26, "RADIUS Server", RW, Single, Optional, T::String, length(1, 256), ""),
        resource(27, "RADIUS Server Port", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(28, "RADIUS Secret", W, Single, Optional, T::String, length(1, 256), ""),
        resource(29, "WMM Supported", R, Single, Optional, T::Boolean, Range::Any, ""),
        resource(30, "WMM Enabled", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(31, "MAC Control Enabled", RW, Single, Optional, T::Boolean, Range::Any, ""),
        resource(32, "MAC Address List", RW, Multiple, Optional, T::String, length(0, 12), ""),
        resource(33, "Total Bytes Sent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(34, "Total Bytes Received", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(35, "Total Packets Sent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(36, "Total Packets Received", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(37, "Transmit Errors", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(38, "Receive Errors", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(39, "Unicast Packets Sent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(40, "Unicast Packets Received", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(41, "Multicast Packets Sent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(42, "Multicast Packets Received", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(43, "Broadcast Packets Sent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(44, "Broadcast Packets Received", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(45, "Discard Packets Sent", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(46, "Discard Packets Received", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(47, "Unknown Packets Received", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(48, "Vendor specific extensions", R, Single, Optional, T::Objlnk, Range::Any, ""),
    ]),
};
