//! What a wire can carry, from its folder in `/sys/class/net`.

use std::path::Path;

use super::network::Link;
use super::{bearer, text};

/// What a link can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    /// In Mbit/s, at least 1.
    pub megabits: u64,
    /// Whether that goes for each direction, or for both together.
    pub duplex: Duplex,
}

/// Whether both ends can send at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplex {
    /// They can.
    Full,
    /// One of them can.
    Half,
}

/// The speed that was agreed on; `None` where the driver does not know, as of most that
/// is no wire. A link without hardware, such as a pair of a container, says one that
/// nothing keeps it to.
pub fn speed(sys: &Path, link: &Link) -> Option<Speed> {
    let folder = sys.join("class/net").join(&link.name);
    let duplex = match text::line(&folder.join("duplex"))?.as_str() {
        "full" => Duplex::Full,
        "half" => Duplex::Half,
        _ => return None,
    };
    let megabits = u64::try_from(text::number(&folder.join("speed"))?).ok()?;
    // The largest number stands for an unknown speed too (SPEED_UNKNOWN, ethtool.h).
    let is_known = (1..=MAX_MEGABITS).contains(&megabits);
    (is_known && bearer::is_hardware(sys, link)).then_some(Speed { megabits, duplex })
}

/// Faster Ethernet is not in sight.
const MAX_MEGABITS: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use netlink_packet_route::link::LinkLayerType;

    use super::*;

    #[test]
    fn a_speed_is_what_the_driver_of_hardware_knows() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("class/net/eth0");
        fs::create_dir_all(&folder).unwrap();
        let link = Link {
            index: 2,
            name: "eth0".into(),
            layer: LinkLayerType::Ether,
            carries: true,
            traffic: None,
            addresses: Vec::new(),
        };
        let look = |megabits: &str, duplex: &str| {
            fs::write(folder.join("speed"), megabits).unwrap();
            fs::write(folder.join("duplex"), duplex).unwrap();
            speed(root.path(), &link)
        };
        assert_eq!(look("1000\n", "full\n"), None, "no hardware");
        fs::create_dir(folder.join("device")).unwrap();
        for (megabits, duplex, expected) in [
            ("1000\n", "full\n", Some((1000, Duplex::Full))),
            ("10\n", "half\n", Some((10, Duplex::Half))),
            ("-1\n", "unknown\n", None),
            ("-1\n", "full\n", None),
            ("0\n", "full\n", None),
            ("4294967295\n", "full\n", None),
            ("", "full\n", None),
            ("1000\n", "", None),
            ("fast\n", "full\n", None),
        ] {
            let expected = expected.map(|(megabits, duplex)| Speed { megabits, duplex });
            assert_eq!(look(megabits, duplex), expected, "{megabits} {duplex}");
        }
    }
}
