//! Datagrams and messages: vectors, errors, properties.

use std::{fs, path::Path};

use lwm2m_coap::{Draft, Kind, Message, MessageError, Token, method, option};
use lwm2m_model::{Code, ContentFormat};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{token, with_payload};

#[test]
fn published_datagrams_are_read_and_written_byte_for_byte() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/coap.txt");
    let text = fs::read_to_string(&file).unwrap();
    let mut seen = [0; 3];
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut columns = line.split(" | ");
        let (id, kind, hex) =
            (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let decoded = Message::decode(&bytes);
        match kind {
            "both" => {
                let message = decoded.unwrap_or_else(|error| panic!("{id}: {error}"));
                let written = redraft(&message).encode(message.kind, message.id, message.token);
                assert_eq!(written, bytes, "{id}");
                seen[0] += 1;
            }
            "dec" => {
                decoded.unwrap_or_else(|error| panic!("{id}: {error}"));
                seen[1] += 1;
            }
            "reject" => {
                assert!(decoded.is_err(), "{id}: {decoded:?}");
                seen[2] += 1;
            }
            other => panic!("{id}: use {other}"),
        }
    }
    assert_eq!(seen, [35, 2, 5], "rows both, dec, reject");
}

/// A draft that says what the message says.
fn redraft(message: &Message<'_>) -> Draft {
    let draft = message
        .options()
        .fold(Draft::new(message.code), |draft, (number, value)| draft.option(number, value));
    with_payload(draft, &message.payload)
}

#[test]
fn a_datagram_that_is_no_message_says_why() {
    let table: &[(&[u8], MessageError)] = &[
        (&[], MessageError::Short(0)),
        (&[0x40, 1, 0], MessageError::Short(3)),
        (&[0x00, 1, 0, 0], MessageError::Version(0)),
        (&[0xc0, 1, 0, 0], MessageError::Version(3)),
        (&[0x49, 1, 0, 0], MessageError::TokenLength(9)),
        (&[0x4f, 1, 0, 0], MessageError::TokenLength(15)),
        (&[0x42, 1, 0, 0, 1], MessageError::Truncated),
        (&[0x41, 0, 0, 0, 1], MessageError::NotEmpty),
        (&[0x40, 0, 0, 0, 0x10], MessageError::NotEmpty),
        (&[0x60, 0, 0, 0, 0xff, 1], MessageError::NotEmpty),
        (&[0x40, 0x21, 0, 0], MessageError::Class(Code::new(1, 1))),
        (&[0x40, 0xc1, 0, 0], MessageError::Class(Code::new(6, 1))),
        (&[0x40, 0xe1, 0, 0], MessageError::Class(Code::new(7, 1))),
        (&[0x40, 1, 0, 0, 0xb1], MessageError::Truncated),
        (&[0x40, 1, 0, 0, 0xd0], MessageError::Truncated),
        (&[0x40, 1, 0, 0, 0xe0, 0], MessageError::Truncated),
        (&[0x40, 1, 0, 0, 0xbd], MessageError::Truncated),
        (&[0x40, 1, 0, 0, 0xbd, 0], MessageError::Truncated),
        (&[0x40, 1, 0, 0, 0xf0], MessageError::OptionHeader(0xf0)),
        (&[0x40, 1, 0, 0, 0xbf], MessageError::OptionHeader(0xbf)),
        (&[0x40, 1, 0, 0, 0xe0, 0xff, 0xff], MessageError::OptionNumber(65_804)),
        (&[0x40, 1, 0, 0, 0xe0, 0xfe, 0xf2, 0x10], MessageError::OptionNumber(65_536)),
        (&[0x40, 1, 0, 0, 0xff], MessageError::EmptyPayload),
    ];
    for (datagram, error) in table {
        assert_eq!(Message::decode(datagram), Err(*error), "{datagram:02x?}");
    }
}

#[test]
fn options_are_read_as_what_they_are() {
    let draft = Draft::new(method::GET)
        .option_uint(option::ACCEPT, 11_544)
        .option_uint(option::OBSERVE, 0)
        .option(option::URI_PATH, b"3")
        .option(option::URI_PATH, "\u{e9}".as_bytes())
        .option(option::URI_PATH, &[0xff])
        .content(ContentFormat::TLV, vec![1]);
    let datagram = draft.encode(Kind::Confirmable, 1, Token::default());
    let message = Message::decode(&datagram).unwrap();
    assert_eq!(message.accept(), Some(ContentFormat::LWM2M_CBOR));
    assert_eq!(message.content_format(), Some(ContentFormat::TLV));
    assert_eq!(message.observe(), Some(0));
    assert_eq!(message.option(option::OBSERVE), Some([].as_slice()));
    assert_eq!(message.option(option::ETAG), None);
    let mut path = message.texts(option::URI_PATH);
    assert_eq!(path.next(), Some(Ok("3")));
    assert_eq!(path.next(), Some(Ok("\u{e9}")));
    assert!(path.next().unwrap().is_err());
    assert!(path.next().is_none());
}

#[test]
fn a_number_that_is_too_long_is_no_number() {
    let draft = Draft::new(Code::CONTENT)
        .option(option::OBSERVE, &[1, 0, 0, 0])
        .option(option::CONTENT_FORMAT, &[1, 0, 0])
        .option(option::MAX_AGE, &[1, 0, 0, 0, 0])
        .option(option::SIZE2, &[0, 0, 1, 2]);
    let datagram = draft.encode(Kind::NonConfirmable, 1, Token::default());
    let message = Message::decode(&datagram).unwrap();
    assert_eq!(message.observe(), None);
    assert_eq!(message.content_format(), None);
    assert_eq!(message.option_uint(option::MAX_AGE), None);
    assert_eq!(message.option_uint(option::SIZE2), Some(258));
}

#[test]
fn a_draft_does_not_mind_the_order_of_its_options() {
    let ordered = Draft::new(method::POST)
        .option(option::URI_PATH, b"rd")
        .option(option::URI_QUERY, b"ep=a")
        .option(option::URI_QUERY, b"lt=1");
    let mixed = Draft::new(method::POST)
        .option(option::URI_QUERY, b"ep=a")
        .option(option::URI_PATH, b"rd")
        .option(option::URI_QUERY, b"lt=1");
    assert_eq!(ordered, mixed);
}

#[test]
fn a_value_that_no_datagram_holds_is_cut() {
    let draft = Draft::new(method::POST).option(option::URI_PATH, &vec![b'a'; 70_000]);
    let datagram = draft.encode(Kind::Confirmable, 1, Token::default());
    let message = Message::decode(&datagram).unwrap();
    assert_eq!(message.option(option::URI_PATH).unwrap().len(), 65_535);
}

#[test]
fn tokens_have_eight_bytes_at_most() {
    assert_eq!(token(&[]), Token::default());
    assert_eq!(token(&[1, 2, 3, 4, 5, 6, 7, 8]).as_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(Token::new(&[0; 9]), None);
    assert_eq!(Token::new(&[0; 300]), None);
    assert_ne!(token(&[0]), token(&[0, 0]));
    assert_eq!(format!("{:?}", token(&[0xa1, 2])), "Token(a102)");
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Confirmable),
        Just(Kind::NonConfirmable),
        Just(Kind::Acknowledgement),
        Just(Kind::Reset),
    ]
}

proptest! {
    #[test]
    fn the_decoder_is_total(datagram in vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::decode(&datagram) {
            prop_assert!(message.options().count() <= datagram.len());
        }
    }

    #[test]
    fn the_decoder_is_total_behind_a_good_header(tail in vec(any::<u8>(), 0..100)) {
        let datagram = [&[0x44, 1, 0, 0], tail.as_slice()].concat();
        if let Ok(message) = Message::decode(&datagram) {
            // Numbers and lengths have one form each, so the bytes come back.
            let again = redraft(&message).encode(message.kind, message.id, message.token);
            prop_assert_eq!(again, datagram);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        kind in kind(),
        code in prop_oneof![1_u8..32, 64_u8..192],
        id in any::<u16>(),
        token in vec(any::<u8>(), 0..=8),
        options in vec((any::<u16>(), vec(any::<u8>(), 0..400)), 0..8),
        payload in vec(any::<u8>(), 0..50),
    ) {
        let token = Token::new(&token).unwrap();
        let code = Code::from_byte(code);
        let draft = options.iter().fold(Draft::new(code), |draft, (number, value)| {
            draft.option(*number, value)
        });
        let draft = with_payload(draft, &payload);
        let datagram = draft.encode(kind, id, token);
        let message = Message::decode(&datagram).unwrap();
        prop_assert_eq!((message.kind, message.code, message.id), (kind, code, id));
        prop_assert_eq!(message.token, token);
        prop_assert_eq!(&*message.payload, draft.payload.as_slice());
        let mut expected = options.clone();
        expected.sort_by_key(|(number, _)| *number);
        let found: Vec<_> =
            message.options().map(|(number, value)| (number, value.to_vec())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn integers_take_the_fewest_bytes(value in any::<u32>()) {
        let draft = Draft::new(Code::CONTENT).option_uint(option::SIZE2, value);
        let datagram = draft.encode(Kind::Confirmable, 0, Token::default());
        let message = Message::decode(&datagram).unwrap();
        let bytes = message.option(option::SIZE2).unwrap();
        prop_assert_eq!(message.option_uint(option::SIZE2), Some(value));
        prop_assert_ne!(bytes.first(), Some(&0));
    }
}
