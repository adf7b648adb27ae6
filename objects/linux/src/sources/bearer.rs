//! What kind of network a link leads to, from its folder in `/sys/class/net`.

use std::path::Path;

use netlink_packet_route::link::LinkLayerType;

use super::network::Link;
use super::text;

/// The kind of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A modem; which network it is in the modem's service knows.
    Cellular,
    /// IEEE 802.11.
    Wlan,
    /// Bluetooth.
    Bluetooth,
    /// IEEE 802.15.4, with or without 6LoWPAN.
    Ieee802154,
    /// Ethernet, or what looks the same: a bridge, a bond, the end of a pair.
    Ethernet,
}

/// The kind of a link; `None` for tunnels and what has no number in the object.
pub fn kind(sys: &Path, link: &Link) -> Option<Kind> {
    let folder = sys.join("class/net").join(&link.name);
    let uevent = text::bytes(&folder.join("uevent")).unwrap_or_default();
    let lines = String::from_utf8_lossy(&uevent);
    match lines.lines().find_map(|line| line.strip_prefix("DEVTYPE=")) {
        Some("wwan") => return Some(Kind::Cellular),
        Some("wlan") => return Some(Kind::Wlan),
        Some("bluetooth") => return Some(Kind::Bluetooth),
        _ => {}
    }
    if folder.join("wireless").exists() || folder.join("phy80211").exists() {
        return Some(Kind::Wlan);
    }
    match link.layer {
        LinkLayerType::Ether => Some(Kind::Ethernet),
        LinkLayerType::Ieee802154 | LinkLayerType::Sixlowpan => Some(Kind::Ieee802154),
        _ => None,
    }
}

/// Whether there is hardware behind the link.
pub fn is_hardware(sys: &Path, link: &Link) -> bool {
    sys.join("class/net").join(&link.name).join("device").exists()
}
