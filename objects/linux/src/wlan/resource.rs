//! Numbers of the resources (registry of the OMA, object 12 version 1.1).

pub(super) const INTERFACE: u16 = 0;
pub(super) const ENABLE: u16 = 1;
pub(super) const RADIO: u16 = 2;
pub(super) const STATUS: u16 = 3;
pub(super) const BSSID: u16 = 4;
pub(super) const SSID: u16 = 5;
pub(super) const MODE: u16 = 8;
pub(super) const CHANNEL: u16 = 9;
pub(super) const AUTHENTICATION: u16 = 15;
pub(super) const ENCRYPTION: u16 = 16;
pub(super) const PRE_SHARED_KEY: u16 = 17;
pub(super) const KEY_PHRASE: u16 = 18;

/// Counters of the kernel: each with its file in `/sys/class/net/*/statistics`.
pub(super) const COUNTERS: [(u16, &str); 8] = [
    (33, "tx_bytes"),
    (34, "rx_bytes"),
    (35, "tx_packets"),
    (36, "rx_packets"),
    (37, "tx_errors"),
    (38, "rx_errors"),
    (45, "tx_dropped"),
    (46, "rx_dropped"),
];

/// Values of Radio Enabled.
pub(super) const RADIO_OFF: i64 = 0;
pub(super) const RADIO_2_4_GHZ: i64 = 1;
pub(super) const RADIO_5_GHZ: i64 = 2;

/// Values of Authentication Mode.
pub(super) const OPEN: i64 = 0;
pub(super) const PSK: i64 = 1;
pub(super) const EAP: i64 = 2;
pub(super) const EAP_OR_PSK: i64 = 3;
