//! Block1 of the peer into resources that stream: each block is handed up by itself.

use lwm2m_coap::{
    Draft, Endpoint, ExchangeId, Incoming, Kind, StreamTarget, UploadId, method, option,
};
use lwm2m_model::{Code, Instant};

use crate::support::*;

const INCOMPLETE: Code = Code::REQUEST_ENTITY_INCOMPLETE;

/// An endpoint at which /5/x/0 streams.
fn streaming() -> Endpoint {
    let mut endpoint = endpoint();
    endpoint.set_streams(vec![StreamTarget { object: 5, resource: 0 }]);
    endpoint
}

fn write(code: Code, path: &[&str], format: Option<u32>) -> Draft {
    let draft = Draft::new(code);
    let draft = path.iter().fold(draft, |draft, id| draft.option(option::URI_PATH, id.as_bytes()));
    format.into_iter().fold(draft, |draft, it| draft.option_uint(option::CONTENT_FORMAT, it))
}

/// PUT /5/0/0, opaque.
fn put() -> Draft {
    write(method::PUT, &["5", "0", "0"], Some(42))
}

/// What is handed up of a block.
#[derive(Debug, PartialEq)]
struct Block {
    exchange: ExchangeId,
    upload: UploadId,
    offset: usize,
    more: bool,
    payload: Vec<u8>,
}

#[track_caller]
fn take(endpoint: &mut Endpoint, now: Instant, datagram: &[u8]) -> Block {
    match endpoint.handle_datagram(now, datagram) {
        Some(Incoming::Block { exchange, upload, offset, more, message, .. }) => {
            Block { exchange, upload, offset, more, payload: message.payload.into_owned() }
        }
        other => panic!("expected a block, got {other:?} and {:?}", shown(endpoint)),
    }
}

/// Takes a block, stores it, and says so; gives where it began.
#[track_caller]
fn store(endpoint: &mut Endpoint, now: Instant, datagram: &[u8]) -> usize {
    let block = take(endpoint, now, datagram);
    endpoint.respond(now, block.exchange, answer(block.more));
    assert_eq!(decode(&sent_one(endpoint)).code, answer(block.more).code);
    block.offset
}

fn answer(more: bool) -> Draft {
    Draft::new(if more { Code::CONTINUE } else { Code::CHANGED })
}

/// Hands in a block that brings nothing; gives the code it is answered, if it is.
#[track_caller]
fn code(endpoint: &mut Endpoint, now: Instant, datagram: &[u8]) -> Option<Code> {
    swallow(endpoint, now, datagram);
    sent(endpoint).first().map(|answer| decode(answer).code)
}

/// TRN-36.
#[test]
fn blocks_are_handed_up_one_by_one_and_answered_when_they_are_stored() {
    for method in [method::PUT, method::POST] {
        let (mut endpoint, body) = (streaming(), body(2500));
        let draft = || write(method, &["5", "0", "0"], Some(42));
        let mut upload = None;
        let mut received = Vec::new();
        for number in 0..3 {
            let datagram = part(draft(), 10 + number as u16, &body, number, 6);
            let block = take(&mut endpoint, at(0), &datagram);
            assert_eq!((block.offset, block.more), (number * 1024, number < 2));
            assert_eq!(*upload.get_or_insert(block.upload), block.upload);
            received.extend(block.payload);
            assert!(sent(&mut endpoint).is_empty(), "it is not stored yet");
            assert!(!endpoint.is_idle());
            swallow(&mut endpoint, at(100), &datagram);
            assert!(sent(&mut endpoint).is_empty(), "nor is its duplicate");
            endpoint.respond(at(200), block.exchange, answer(block.more));
            let answer = sent_one(&mut endpoint);
            let message = decode(&answer);
            assert_eq!((message.kind, message.id), (Kind::Acknowledgement, 10 + number as u16));
            assert_eq!(block_of(&message), (number as u32, block.more, 1024));
            swallow(&mut endpoint, at(300), &datagram);
            assert_eq!(sent_one(&mut endpoint), answer, "the duplicate of block {number}");
        }
        assert_eq!(received, body);
        assert!(endpoint.is_idle());
        assert_eq!(endpoint.next_timeout(), None);
    }
}

#[test]
fn a_block_that_takes_long_gets_the_empty_ack_and_a_separate_answer() {
    let (mut endpoint, body) = (streaming(), body(40));
    let first = part(put(), 1, &body, 0, 1);
    let block = take(&mut endpoint, at(0), &first);
    endpoint.handle_timeout(at(1000));
    assert_eq!(shown(&mut endpoint), ["ACK 0.00 #1"]);
    swallow(&mut endpoint, at(2000), &first);
    assert_eq!(shown(&mut endpoint), ["ACK 0.00 #1"]);
    endpoint.respond(at(3000), block.exchange, answer(true));
    let answer = sent_one(&mut endpoint);
    assert_eq!((decode(&answer).kind, decode(&answer).code), (Kind::Confirmable, Code::CONTINUE));
    assert_eq!(block_of(&decode(&answer)), (0, true, 32));
}

#[test]
fn what_streams_is_told_by_path_method_and_format() {
    let is_block = |draft: Draft| {
        let mut endpoint = streaming();
        let datagram = part(draft, 1, &body(100), 0, 2);
        matches!(endpoint.handle_datagram(at(0), &datagram), Some(Incoming::Block { .. }))
    };
    let path = |path: &[&str]| write(method::PUT, path, Some(42));
    assert!(is_block(path(&["5", "0", "0"])));
    assert!(is_block(path(&["5", "7", "0"])), "any instance");
    assert!(is_block(path(&["5", "0", "0", ""])), "a trailing slash");
    assert!(is_block(write(method::POST, &["5", "0", "0"], None)), "a format that is not said");
    for other in [&["5", "0", "1"][..], &["9", "0", "0"], &["5", "0"], &["5", "0", "0", "0"], &[]] {
        assert!(!is_block(path(other)), "{other:?}");
    }
    for format in [0, 110, 112, 11542, 11544] {
        assert!(!is_block(write(method::PUT, &["5", "0", "0"], Some(format))), "{format}");
    }
    assert!(!is_block(write(method::FETCH, &["5", "0", "0"], Some(42))));
    let mut endpoint = streaming();
    let whole = with_payload(put(), b"whole").encode(Kind::Confirmable, 1, token(b"t"));
    accept(&mut endpoint, at(0), &whole);
    endpoint.set_streams(Vec::new());
    swallow(&mut endpoint, at(0), &part(put(), 2, &body(100), 0, 2));
}

#[test]
fn the_block_stored_last_is_acknowledged_again_under_a_new_id_and_not_handed_up() {
    let (mut endpoint, body) = (streaming(), body(100));
    store(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
    store(&mut endpoint, at(0), &part(put(), 2, &body, 1, 0));
    let again = part(put(), 3, &body, 1, 0);
    swallow(&mut endpoint, at(1), &again);
    let answer = sent_one(&mut endpoint);
    assert_eq!(block_of(&decode(&answer)), (1, true, 16));
    assert_eq!((decode(&answer).code, decode(&answer).id), (Code::CONTINUE, 3));
}

#[test]
fn a_gap_is_refused_and_what_is_there_stays() {
    let (mut endpoint, body) = (streaming(), body(100));
    assert_eq!(code(&mut endpoint, at(0), &part(put(), 1, &body, 1, 0)), Some(INCOMPLETE));
    assert!(endpoint.is_idle());
    store(&mut endpoint, at(0), &part(put(), 2, &body, 0, 0));
    store(&mut endpoint, at(0), &part(put(), 3, &body, 1, 0));
    store(&mut endpoint, at(0), &part(put(), 4, &body, 2, 0));
    for (number, szx) in [(1, 0), (4, 0), (1, 1), (6, 0)] {
        let datagram = part(put(), 100 + 10 * number as u16 + szx as u16, &body, number, szx);
        let code = code(&mut endpoint, at(0), &datagram);
        assert_eq!(code, Some(INCOMPLETE), "{number} {szx}");
    }
    assert_eq!(store(&mut endpoint, at(0), &part(put(), 5, &body, 3, 0)), 48);
}

#[test]
fn blocks_may_change_their_size_between_any_two() {
    let (mut endpoint, body) = (streaming(), body(1000));
    let steps = [(0, 3), (1, 3), (8, 1), (9, 1), (5, 2), (3, 3), (2, 4), (3, 4)];
    let offsets: Vec<usize> = steps
        .into_iter()
        .enumerate()
        .map(|(id, (number, szx))| {
            store(&mut endpoint, at(0), &part(put(), id as u16, &body, number, szx))
        })
        .collect();
    assert_eq!(offsets, [0, 128, 256, 288, 320, 384, 512, 768]);
    assert!(endpoint.is_idle());
}

#[test]
fn the_size_that_fits_our_datagrams_is_wished_for_at_the_start() {
    let mut endpoint = endpoint_with(|config| config.max_datagram = 300);
    endpoint.set_streams(vec![StreamTarget { object: 5, resource: 0 }]);
    let body = body(3000);
    let block = take(&mut endpoint, at(0), &part(put(), 1, &body, 0, 6));
    endpoint.respond(at(0), block.exchange, answer(true));
    assert_eq!(block_of(&decode(&sent_one(&mut endpoint))), (0, true, 256));
    assert_eq!(store(&mut endpoint, at(0), &part(put(), 2, &body, 4, 4)), 1024);
}

#[test]
fn while_a_block_is_stored_the_others_of_its_upload_wait_to_be_repeated() {
    let (mut endpoint, body) = (streaming(), body(100));
    let block = take(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
    let (second, anew) = (part(put(), 2, &body, 1, 0), part(put(), 3, &body, 0, 0));
    for datagram in [&second, &anew] {
        assert_eq!(code(&mut endpoint, at(1), datagram), None);
    }
    endpoint.respond(at(2), block.exchange, answer(true));
    sent(&mut endpoint);
    assert_eq!(store(&mut endpoint, at(2000), &second), 16);
    assert_eq!(store(&mut endpoint, at(2001), &anew), 0);
}

#[test]
fn block_0_begins_an_upload_anew() {
    let (mut endpoint, body) = (streaming(), body(100));
    let before = take(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
    endpoint.respond(at(0), before.exchange, answer(true));
    sent(&mut endpoint);
    store(&mut endpoint, at(0), &part(put(), 2, &body, 1, 0));
    let anew = take(&mut endpoint, at(0), &part(put(), 3, &body, 0, 0));
    assert_ne!(anew.upload, before.upload);
    endpoint.respond(at(0), anew.exchange, answer(true));
    sent(&mut endpoint);
    assert_eq!(code(&mut endpoint, at(0), &part(put(), 4, &body, 2, 0)), Some(INCOMPLETE));
    assert_eq!(store(&mut endpoint, at(0), &part(put(), 5, &body, 1, 0)), 16);
}

#[test]
fn an_answer_that_refuses_ends_the_upload() {
    for refusal in [Code::BAD_REQUEST, Code::REQUEST_ENTITY_TOO_LARGE, Code::SERVICE_UNAVAILABLE] {
        let (mut endpoint, body) = (streaming(), body(100));
        store(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
        let block = take(&mut endpoint, at(0), &part(put(), 2, &body, 1, 0));
        endpoint.respond(at(0), block.exchange, Draft::new(refusal));
        let answer = sent_one(&mut endpoint);
        assert_eq!(decode(&answer).code, refusal);
        // In a 4.13 the option would ask for smaller blocks.
        let has_block = decode(&answer).option(option::BLOCK1).is_some();
        assert_eq!(has_block, refusal != Code::REQUEST_ENTITY_TOO_LARGE);
        assert!(endpoint.is_idle());
        assert_eq!(code(&mut endpoint, at(0), &part(put(), 3, &body, 2, 0)), Some(INCOMPLETE));
    }
}

#[test]
fn a_block_that_is_ignored_is_as_if_it_had_not_come() {
    let (mut endpoint, body) = (streaming(), body(100));
    let (first, second) = (part(put(), 1, &body, 0, 0), part(put(), 2, &body, 1, 0));
    let block = take(&mut endpoint, at(0), &first);
    endpoint.ignore(block.exchange);
    assert!(endpoint.is_idle());
    store(&mut endpoint, at(1), &first);
    let block = take(&mut endpoint, at(2), &second);
    endpoint.ignore(block.exchange);
    assert_eq!(store(&mut endpoint, at(3), &second), 16);
}

#[test]
fn a_block_that_is_not_as_long_as_it_says_is_a_bad_request() {
    for (number, more, len) in [(0, true, 15), (0, true, 17), (0, true, 0), (3, false, 17)] {
        let mut endpoint = streaming();
        let draft = put().option_uint(option::BLOCK1, number << 4 | u32::from(more) << 3);
        let datagram = with_payload(draft, &body(len)).encode(Kind::Confirmable, 1, token(b"t"));
        let code = code(&mut endpoint, at(0), &datagram);
        assert_eq!(code, Some(Code::BAD_REQUEST), "{number} {more} {len}");
        assert!(endpoint.is_idle());
    }
}

#[test]
fn an_upload_that_does_not_grow_is_forgotten_after_exchange_lifetime() {
    let (mut endpoint, body) = (streaming(), body(100));
    store(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
    store(&mut endpoint, at(200_000), &part(put(), 2, &body, 1, 0));
    // What is not stored does not count.
    code(&mut endpoint, at(300_000), &part(put(), 3, &body, 1, 0));
    code(&mut endpoint, at(300_000), &part(put(), 4, &body, 5, 0));
    run(&mut endpoint, at(446_999));
    assert!(!endpoint.is_idle());
    run(&mut endpoint, at(447_000));
    assert!(endpoint.is_idle());
    assert_eq!(code(&mut endpoint, at(447_001), &part(put(), 5, &body, 2, 0)), Some(INCOMPLETE));
    // Nor is it there for a block that comes before the timer, as after a suspend.
    store(&mut endpoint, at(500_000), &part(put(), 6, &body, 0, 0));
    assert_eq!(code(&mut endpoint, at(747_000), &part(put(), 7, &body, 1, 0)), Some(INCOMPLETE));
}

#[test]
fn the_time_that_it_takes_to_store_a_block_is_no_silence() {
    let (mut endpoint, body) = (streaming(), body(100));
    let block = take(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
    run(&mut endpoint, at(60_000));
    endpoint.respond(at(60_000), block.exchange, answer(true));
    let separate = sent_one(&mut endpoint);
    swallow(&mut endpoint, at(60_100), &empty(Kind::Acknowledgement, decode(&separate).id));
    run(&mut endpoint, at(306_999));
    assert_eq!(store(&mut endpoint, at(306_999), &part(put(), 2, &body, 1, 0)), 16);
}

#[test]
fn a_busy_endpoint_refuses_a_block_and_keeps_the_upload() {
    let mut endpoint = endpoint_with(|config| config.max_exchanges = 1);
    endpoint.set_streams(vec![StreamTarget { object: 5, resource: 0 }]);
    let body = body(100);
    store(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
    let open = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 2));
    let refused = Some(Code::SERVICE_UNAVAILABLE);
    assert_eq!(code(&mut endpoint, at(0), &part(put(), 3, &body, 1, 0)), refused);
    assert_eq!(code(&mut endpoint, at(0), &part(put(), 4, &body, 0, 0)), refused);
    endpoint.ignore(open);
    assert_eq!(store(&mut endpoint, at(0), &part(put(), 5, &body, 1, 0)), 16);
}

#[test]
fn four_uploads_are_known_and_the_one_that_waited_longest_goes() {
    let (mut endpoint, body) = (streaming(), body(100));
    let tagged = |tag: u8| put().option(option::REQUEST_TAG, &[tag]);
    for tag in 1..=5 {
        store(&mut endpoint, at(tag.into()), &part(tagged(tag), tag.into(), &body, 0, 0));
    }
    let second = |tag: u8| part(tagged(tag), 10 + u16::from(tag), &body, 1, 0);
    assert_eq!(code(&mut endpoint, at(9), &second(1)), Some(INCOMPLETE));
    for tag in 2..=5 {
        assert_eq!(store(&mut endpoint, at(9), &second(tag)), 16);
    }
}

#[test]
fn an_upload_outlives_a_link_of_the_same_session_and_no_other() {
    for is_same in [true, false] {
        let (mut endpoint, body) = (streaming(), body(100));
        store(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
        if is_same {
            endpoint.resume(1152)
        } else {
            endpoint.reset()
        }
        let second = part(put(), 2, &body, 1, 0);
        if is_same {
            assert_eq!(store(&mut endpoint, at(1), &second), 16);
        } else {
            assert_eq!(code(&mut endpoint, at(1), &second), Some(INCOMPLETE));
            store(&mut endpoint, at(2), &part(put(), 3, &body, 0, 0));
        }
    }
}

/// The state of an endpoint as text grows with all that it holds.
#[test]
fn nothing_is_held_of_a_block_that_was_handed_up() {
    let (mut endpoint, body) = (streaming(), body(64 * 1024));
    let mut sizes = Vec::new();
    for number in 0..63 {
        store(&mut endpoint, at(0), &part(put(), number as u16, &body, number, 6));
        sizes.push(format!("{endpoint:?}").len());
    }
    // All that grows are the answers kept for duplicates, 20 bytes each at most.
    assert!(sizes[62] - sizes[2] < 60 * 200, "{sizes:?}");
}
