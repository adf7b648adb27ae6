//! What we need of CoAP messages beyond what the `coap-lite` crate gives: numbers
//! in options, replies. Nothing here keeps state.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lwm2m_model::{Code, ContentFormat, Path};

pub(crate) const GET: u8 = 1;
pub(crate) const POST: u8 = 2;
pub(crate) const PUT: u8 = 3;
pub(crate) const DELETE: u8 = 4;

/// Value of the Observe option that starts an observation, and that ends one.
pub(crate) const OBSERVE: u32 = 0;
pub(crate) const CANCEL: u32 = 1;

/// Names the request that blocks belong to (RFC 9175 3.2).
pub(crate) const REQUEST_TAG: CoapOption = CoapOption::Unknown(292);

/// What kind of message this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Request,
    Response,
    Reserved,
}

/// Reads a datagram; `None` if it is no CoAP message of version 1.
pub(crate) fn parse(bytes: &[u8]) -> Option<Packet> {
    let packet = Packet::from_bytes(bytes).ok()?;
    let empty_with_content = code(&packet).byte() == 0 && bytes.len() != EMPTY_LENGTH;
    // RFC 7252 3: a payload marker without payload is a format error.
    let bare_marker = bytes.last() == Some(&0xff)
        && packet.payload.is_empty()
        && packet.to_bytes_unlimited().is_ok_and(|again| again.len() < bytes.len());
    (packet.header.get_version() == 1 && !empty_with_content && !bare_marker).then_some(packet)
}

pub(crate) fn code(packet: &Packet) -> Code {
    Code::from_byte(packet.header.code.into())
}

pub(crate) fn kind(packet: &Packet) -> Kind {
    match code(packet) {
        code if code.byte() == 0 => Kind::Empty,
        code if code.class() == 0 => Kind::Request,
        code if matches!(code.class(), 2 | 4 | 5) => Kind::Response,
        _ => Kind::Reserved,
    }
}

pub(crate) fn is_confirmable(packet: &Packet) -> bool {
    packet.header.get_type() == MessageType::Confirmable
}

/// A request for `path` below the root that the device registered.
pub(crate) fn request(method: u8, path: &Path) -> Packet {
    let mut packet = Packet::new();
    packet.header.code = MessageClass::from(method);
    let text = path.to_string();
    for segment in text.split('/').filter(|segment| !segment.is_empty()) {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    packet
}

/// An empty message: acknowledgement or reset.
pub(crate) fn empty(message_type: MessageType, message_id: u16) -> Packet {
    let mut packet = Packet::new();
    // The crate's new packet is a GET.
    packet.header.code = MessageClass::Empty;
    packet.header.set_type(message_type);
    packet.header.message_id = message_id;
    packet
}

/// The answer to `request`, piggy-backed if that was confirmable.
pub(crate) fn reply(request: &Packet, code: Code, message_id: u16) -> Packet {
    let mut packet = Packet::new();
    packet.header.code = MessageClass::from(code.byte());
    packet.set_token(request.get_token().to_vec());
    if is_confirmable(request) {
        packet.header.set_type(MessageType::Acknowledgement);
        packet.header.message_id = request.header.message_id;
    } else {
        packet.header.set_type(MessageType::NonConfirmable);
        packet.header.message_id = message_id;
    }
    packet
}

/// Number in the first option of this kind; `None` if absent or longer than 4 bytes.
pub(crate) fn number(packet: &Packet, option: CoapOption) -> Option<u32> {
    let bytes = packet.get_first_option(option)?;
    (bytes.len() <= 4).then(|| bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
}

/// Replaces the option by this number in its shortest form.
pub(crate) fn set_number(packet: &mut Packet, option: CoapOption, value: u32) {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    packet.set_option(option, [bytes].into());
}

/// The same request below the alternate path of a device (Transport 2.2).
pub(crate) fn below(root: &[String], request: &Packet) -> Packet {
    let mut request = request.clone();
    if root.is_empty() {
        return request;
    }
    let above = root.iter().map(|segment| segment.as_bytes().to_vec());
    let path = request.get_option(CoapOption::UriPath).cloned().unwrap_or_default();
    request.set_option(CoapOption::UriPath, above.chain(path).collect());
    request
}

pub(crate) fn content_format(packet: &Packet) -> Option<ContentFormat> {
    number(packet, CoapOption::ContentFormat)
        .and_then(|number| u16::try_from(number).ok())
        .map(ContentFormat)
}

/// The texts of a repeatable option; `None` if one is not UTF-8.
pub(crate) fn texts(packet: &Packet, option: CoapOption) -> Option<Vec<String>> {
    packet
        .get_option(option)
        .into_iter()
        .flatten()
        .map(|bytes| String::from_utf8(bytes.clone()).ok())
        .collect()
}

/// The first critical option of a request that this server does not know
/// (RFC 7252 5.4.1).
pub(crate) fn unknown_critical(request: &Packet) -> Option<u16> {
    const KNOWN: [CoapOption; 6] = [
        CoapOption::UriHost,
        CoapOption::UriPort,
        CoapOption::UriPath,
        CoapOption::UriQuery,
        CoapOption::Accept,
        CoapOption::Block1,
    ];
    let known = |number| KNOWN.iter().any(|option| u16::from(*option) == number);
    request.options().map(|(number, _)| *number).find(|number| number % 2 == 1 && !known(*number))
}

const EMPTY_LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_no_message() {
        for bytes in [
            &[][..],
            &[0x40],
            &[0x40, 0x01, 0x00],
            &[0x00, 0x01, 0x00, 0x01],             // version 0
            &[0x49, 0x01, 0, 1, 0, 0, 0, 0, 0, 0], // token of 9 bytes
            &[0x40, 0x01, 0x00, 0x01, 0xff],       // marker without payload
            &[0x40, 0x01, 0x00, 0x01, 0xf0],       // option delta 15
            &[0x40, 0x00, 0x00, 0x01, 0xff, 0x01], // empty message with payload
            &[0x41, 0x00, 0x00, 0x01, 0x77],       // empty message with token
        ] {
            assert!(parse(bytes).is_none(), "{bytes:02x?}");
        }
        assert!(parse(&[0x40, 0x00, 0x00, 0x01]).is_some());
        assert!(parse(&[0x40, 0x02, 0x00, 0x01, 0xff, 0xff]).is_some(), "payload ff");
        assert!(parse(&[0x40, 0x02, 0x00, 0x01, 0xb1, 0xff]).is_some(), "option value ff");
    }

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        let mut packet = Packet::new();
        for (value, bytes) in [(0, &[][..]), (5, &[5]), (256, &[1, 0]), (0x0001_0000, &[1, 0, 0])] {
            set_number(&mut packet, CoapOption::Observe, value);
            assert_eq!(packet.get_first_option(CoapOption::Observe).unwrap(), bytes);
            assert_eq!(number(&packet, CoapOption::Observe), Some(value));
        }
    }
}
