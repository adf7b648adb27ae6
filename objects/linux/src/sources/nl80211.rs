//! Signal of a WLAN link from nl80211, a protocol of generic netlink.

use std::io;
use std::os::fd::OwnedFd;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_ACK, NLM_F_DUMP, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable, NlasIterator,
};
use nix::sys::socket::SockProtocol;

use super::netlink;

/// The strength with which the link hears its access point, in dBm; `None` where it has
/// none, or is one, with many stations or few.
pub(crate) fn signal(link: u32) -> Option<i64> {
    stations(link).ok().and_then(|stations| strength(&stations))
}

fn stations(link: u32) -> io::Result<Vec<Message>> {
    let socket = netlink::open(SockProtocol::NetlinkGeneric, 0)?;
    let Some(family) = family(&socket, "nl80211")? else { return Ok(Vec::new()) };
    let question = Message {
        family,
        command: GET_STATION,
        attributes: attribute(ATTR_IFINDEX, link.to_ne_bytes().into()),
    };
    let mut stations = Vec::new();
    netlink::ask(&socket, question, NLM_F_DUMP, |message| {
        // A second one is enough to know that the link is no station.
        if stations.len() < 2 {
            stations.push(message);
        }
    })?;
    Ok(stations)
}

/// The number by which the kernel knows a protocol of generic netlink.
fn family(socket: &OwnedFd, name: &str) -> io::Result<Option<u16>> {
    let name = [name.as_bytes(), b"\0"].concat();
    let attributes = attribute(ATTR_FAMILY_NAME, name);
    let question = Message { family: CONTROL, command: GET_FAMILY, attributes };
    let mut family = None;
    netlink::ask(socket, question, NLM_F_ACK, |message| {
        family = value(&message.attributes, ATTR_FAMILY_ID)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u16::from_ne_bytes);
    })?;
    Ok(family)
}

/// The signal of the only station; the average, which the resource is, if it is known.
fn strength(stations: &[Message]) -> Option<i64> {
    let [station] = stations else { return None };
    let information = value(&station.attributes, ATTR_STATION)?;
    let signal = |kind| match value(information, kind)? {
        [byte] => Some(i64::from(byte.cast_signed())).filter(|level| (-130..0).contains(level)),
        _ => None,
    };
    signal(STATION_SIGNAL_AVERAGE).or_else(|| signal(STATION_SIGNAL))
}

fn attribute(kind: u16, value: Vec<u8>) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value);
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

/// The value of the first attribute of a kind.
fn value(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut attributes = NlasIterator::new(attributes).map_while(Result::ok);
    let found = attributes.find(|attribute| attribute.kind() == kind)?.into_inner();
    // The length of an attribute counts its header.
    let length = found.first_chunk().map(|length| u16::from_ne_bytes(*length))?;
    found.get(ATTRIBUTE_HEADER..length.into())
}

/// A message of generic netlink.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    family: u16,
    command: u8,
    attributes: Vec<u8>,
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let header = [self.command, VERSION, 0, 0];
        for (to, from) in buffer.iter_mut().zip(header.iter().chain(&self.attributes)) {
            *to = *from;
        }
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        match payload {
            [command, _, _, _, attributes @ ..] => Ok(Self {
                family: header.message_type,
                command: *command,
                attributes: attributes.into(),
            }),
            _ => Err(DecodeError::from("a generic netlink message without its header")),
        }
    }
}

/// GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID and CTRL_ATTR_FAMILY_NAME of
/// linux/genetlink.h.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const ATTR_FAMILY_ID: u16 = 1;
const ATTR_FAMILY_NAME: u16 = 2;
/// NL80211_CMD_GET_STATION, NL80211_ATTR_IFINDEX, NL80211_ATTR_STA_INFO,
/// NL80211_STA_INFO_SIGNAL and NL80211_STA_INFO_SIGNAL_AVG of linux/nl80211.h.
const GET_STATION: u8 = 17;
const ATTR_IFINDEX: u16 = 3;
const ATTR_STATION: u16 = 21;
const STATION_SIGNAL: u16 = 7;
const STATION_SIGNAL_AVERAGE: u16 = 13;
/// Bytes of the header of a message: command, version, two of nothing.
const HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn station(information: &[(u16, &[u8])]) -> Message {
        let nested: Vec<Vec<u8>> =
            information.iter().map(|(kind, value)| attribute(*kind, value.to_vec())).collect();
        let mac = attribute(6, vec![2, 0, 0, 0, 0, 1]);
        let attributes = [mac, attribute(ATTR_STATION | 0x8000, nested.concat())].concat();
        Message { family: 28, command: 19, attributes }
    }

    #[test]
    fn the_signal_is_that_of_the_only_station() {
        let busy = station(&[(1, &[0; 4]), (STATION_SIGNAL, &[0xC8]), (13, &[0xCA])]);
        let plain = station(&[(STATION_SIGNAL, &[0xC8])]);
        assert_eq!(strength(std::slice::from_ref(&busy)), Some(-54), "the average");
        assert_eq!(strength(std::slice::from_ref(&plain)), Some(-56));
        assert_eq!(strength(&[]), None);
        assert_eq!(strength(&[busy, plain]), None, "an access point");
        for (what, information) in [
            ("no signal", &[][..]),
            ("no dBm", &[(STATION_SIGNAL, &[60][..])]),
            ("no byte", &[(STATION_SIGNAL, &[])]),
            ("a wide one", &[(STATION_SIGNAL, &[0xC8, 0xFF])]),
        ] {
            assert_eq!(strength(&[station(information)]), None, "{what}");
        }
    }

    #[test]
    fn a_message_that_is_cut_off_anywhere_has_no_signal_or_the_same() {
        let whole = station(&[(1, &[0; 4]), (STATION_SIGNAL, &[0xC8])]);
        let mut bytes = vec![0; whole.buffer_len()];
        whole.serialize(&mut bytes);
        let mut header = NetlinkHeader::default();
        header.message_type = whole.family;
        assert_eq!(Message::deserialize(&header, &bytes).unwrap(), whole);
        for length in 0..bytes.len() {
            let Ok(cut) = Message::deserialize(&header, &bytes[..length]) else {
                assert!(length < HEADER);
                continue;
            };
            assert!(matches!(strength(&[cut]), None | Some(-56)), "{length}");
        }
    }

    /// The one protocol that every kernel with generic netlink has is the one that tells
    /// of the others.
    #[test]
    fn the_kernel_knows_its_protocols_by_name() {
        let Ok(socket) = netlink::open(SockProtocol::NetlinkGeneric, 0) else {
            eprintln!("not run: it takes generic netlink");
            return;
        };
        assert_eq!(family(&socket, "nlctrl").unwrap(), Some(CONTROL));
        let missing = family(&socket, "no such one").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        // The refusal leaves nothing behind in the socket.
        assert_eq!(family(&socket, "nlctrl").unwrap(), Some(CONTROL));
        assert_eq!(signal(u32::MAX), None);
    }
}
