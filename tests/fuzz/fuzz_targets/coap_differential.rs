#![no_main]

//! Our CoAP codec against coap-lite: the same datagrams are messages, with the same
//! fields, and what one writes the other reads.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lwm2m_coap::{Draft, Kind, Message, MessageError, Token};
use lwm2m_model::Code;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    decode(data);
    build(data);
});

fn decode(data: &[u8]) {
    match (Message::decode(data), Packet::from_bytes(data)) {
        (Ok(ours), Ok(theirs)) => {
            let fields = Fields::of_ours(&ours);
            assert_eq!(fields, Fields::of_theirs(&theirs));
            assert_eq!(Stricter::of(data), None, "the rule is broken");
            // Numbers and lengths have one form each, so there is one way to write it.
            assert_eq!(fields.write_ours(), data);
            assert_eq!(fields.write_theirs(), data);
        }
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => assert_eq!(Stricter::says(error), Stricter::of(data), "{error}"),
        (Ok(ours), Err(error)) => {
            let longest = ours.options().map(|(_, value)| value.len()).max();
            assert!(longest > Some(MAX_THEIRS), "{error}");
        }
    }
}

/// Makes of `data` a message whose options come in any order.
fn build(data: &[u8]) {
    let Some((&[first, code, id_high, id_low], rest)) = data.split_first_chunk() else { return };
    let Some((token, mut rest)) = rest.split_at_checked(usize::from(first & 0x0f)) else { return };
    let mut options = Vec::new();
    while let Some((&[n0, n1, length], after)) = rest.split_first_chunk() {
        // Long values need a length of two bytes.
        let length = usize::from(length) * if n0 & 1 == 1 { 2 } else { 1 };
        let Some((value, after)) = after.split_at_checked(length) else { break };
        options.push((u16::from_be_bytes([n0 >> 1, n1]), value.to_vec()));
        rest = after;
    }
    let fields = Fields {
        kind: first >> 4 & 3,
        code,
        id: u16::from_be_bytes([id_high, id_low]),
        token: token.to_vec(),
        options,
        payload: rest.to_vec(),
    };
    if Token::new(token).is_none() || code == 0 {
        return;
    }
    let written = fields.write_ours();
    assert_eq!(written, fields.write_theirs());
    if matches!(code >> 5, 1 | 6 | 7) {
        return;
    }
    let sorted = fields.sorted();
    assert_eq!(Fields::of_ours(&Message::decode(&written).unwrap()), sorted);
    assert_eq!(Fields::of_theirs(&Packet::from_bytes(&written).unwrap()), sorted);
}

/// Rules of RFC 7252 that coap-lite leaves to its caller.
#[derive(Debug, PartialEq, Eq)]
enum Stricter {
    /// Section 3: messages with unknown version numbers are ignored.
    Version,
    /// Section 4.1: an empty message has no bytes after its id.
    NotEmpty,
    /// Sections 4.2 and 4.3: code classes 1, 6 and 7 are reserved, and such messages
    /// rejected.
    Class,
    /// Section 3: a payload marker without payload is a format error.
    EmptyPayload,
}

impl Stricter {
    /// The rule that a datagram which coap-lite takes breaks, judged by its bytes alone,
    /// in the order in which ours looks.
    fn of(data: &[u8]) -> Option<Self> {
        let &[first, code, ..] = data else { return None };
        match code >> 5 {
            _ if first >> 6 != 1 => Some(Self::Version),
            0 if code == 0 && data.len() > 4 => Some(Self::NotEmpty),
            1 | 6 | 7 => Some(Self::Class),
            _ => Self::ends_in_marker(data).then_some(Self::EmptyPayload),
        }
    }

    /// True if the last byte is the marker: coap-lite drops it when it writes the message.
    fn ends_in_marker(data: &[u8]) -> bool {
        let packet = Packet::from_bytes(data).unwrap();
        packet.payload.is_empty() && packet.to_bytes_unlimited().unwrap().len() < data.len()
    }

    /// The rule that ours names.
    fn says(error: MessageError) -> Option<Self> {
        match error {
            MessageError::Version(_) => Some(Self::Version),
            MessageError::NotEmpty => Some(Self::NotEmpty),
            MessageError::Class(_) => Some(Self::Class),
            MessageError::EmptyPayload => Some(Self::EmptyPayload),
            other => panic!("coap-lite takes it: {other}"),
        }
    }
}

/// Longest option value that coap-lite takes. Section 3.1 has lengths up to 65,804,
/// which no UDP datagram holds.
const MAX_THEIRS: usize = 65_535;

/// A message of either codec.
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    kind: u8,
    code: u8,
    id: u16,
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Fields {
    fn of_ours(message: &Message<'_>) -> Self {
        Self {
            kind: match message.kind {
                Kind::Confirmable => 0,
                Kind::NonConfirmable => 1,
                Kind::Acknowledgement => 2,
                Kind::Reset => 3,
            },
            code: message.code.byte(),
            id: message.id,
            token: message.token.as_bytes().to_vec(),
            options: message.options().map(|(number, value)| (number, value.to_vec())).collect(),
            payload: message.payload.to_vec(),
        }
    }

    fn of_theirs(packet: &Packet) -> Self {
        let values = |(number, values): (&u16, &std::collections::LinkedList<Vec<u8>>)| {
            values.iter().map(|value| (*number, value.clone())).collect::<Vec<_>>()
        };
        Self {
            kind: match packet.header.get_type() {
                MessageType::Confirmable => 0,
                MessageType::NonConfirmable => 1,
                MessageType::Acknowledgement => 2,
                MessageType::Reset => 3,
            },
            code: packet.header.code.into(),
            id: packet.header.message_id,
            token: packet.get_token().to_vec(),
            options: packet.options().flat_map(values).collect(),
            payload: packet.payload.clone(),
        }
    }

    fn write_ours(&self) -> Vec<u8> {
        let kind = match self.kind {
            0 => Kind::Confirmable,
            1 => Kind::NonConfirmable,
            2 => Kind::Acknowledgement,
            _ => Kind::Reset,
        };
        let mut draft = self
            .options
            .iter()
            .fold(Draft::new(Code::from_byte(self.code)), |draft, (number, value)| {
                draft.option(*number, value)
            });
        draft.payload = self.payload.clone();
        draft.encode(kind, self.id, Token::new(&self.token).unwrap())
    }

    fn write_theirs(&self) -> Vec<u8> {
        let mut packet = Packet::new();
        packet.header.set_type(match self.kind {
            0 => MessageType::Confirmable,
            1 => MessageType::NonConfirmable,
            2 => MessageType::Acknowledgement,
            _ => MessageType::Reset,
        });
        packet.header.code = MessageClass::from(self.code);
        packet.header.message_id = self.id;
        packet.set_token(self.token.clone());
        for (number, value) in &self.options {
            packet.add_option(CoapOption::from(*number), value.clone());
        }
        packet.payload = self.payload.clone();
        packet.to_bytes_unlimited().unwrap()
    }

    /// With the options as they stand on the wire.
    fn sorted(mut self) -> Self {
        self.options.sort_by_key(|(number, _)| *number);
        self
    }
}
