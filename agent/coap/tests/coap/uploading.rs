//! Block1 of the peer: requests that come in blocks.

use lwm2m_coap::{Draft, Endpoint, Incoming, Kind, method, option};
use lwm2m_model::{Code, ContentFormat, Instant};

use crate::support::*;

/// PUT /3/0 of this format.
fn put() -> Draft {
    Draft::new(method::PUT)
        .option(option::URI_PATH, b"3")
        .option(option::URI_PATH, b"0")
        .option_uint(option::CONTENT_FORMAT, u32::from(ContentFormat::TLV.0))
}

/// Hands in a block that others follow; gives the code of the answer.
fn begin(endpoint: &mut Endpoint, now: Instant, datagram: &[u8]) -> Code {
    swallow(endpoint, now, datagram);
    decode(&sent_one(endpoint)).code
}

/// Hands in the last block; gives the payload of the request, or the code that refuses it.
fn end(endpoint: &mut Endpoint, now: Instant, datagram: &[u8]) -> Result<Vec<u8>, Code> {
    match endpoint.handle_datagram(now, datagram) {
        Some(Incoming::Request { exchange, message, .. }) => {
            endpoint.respond(now, exchange, Draft::new(Code::CHANGED));
            sent(endpoint);
            Ok(message.payload.into_owned())
        }
        None => Err(decode(&sent_one(endpoint)).code),
        other => panic!("{other:?}"),
    }
}

/// CORE-198; TRN-36.
#[test]
fn a_request_in_blocks_is_handed_up_once_and_whole() {
    let (mut endpoint, body) = (endpoint(), body(2500));
    for number in 0..2_u16 {
        let datagram = part(put(), 10 + number, &body, usize::from(number), 6);
        swallow(&mut endpoint, at(0), &datagram);
        let answer = sent_one(&mut endpoint);
        let message = decode(&answer);
        assert_eq!((message.kind, message.code), (Kind::Acknowledgement, Code::CONTINUE));
        assert_eq!((message.id, message.token), (10 + number, decode(&datagram).token));
        assert_eq!(block_of(&message), (u32::from(number), true, 1024));
        assert!(!endpoint.is_idle(), "half here");
        swallow(&mut endpoint, at(1), &datagram);
        assert_eq!(sent_one(&mut endpoint), answer, "the duplicate of block {number}");
    }
    let last = part(put(), 12, &body, 2, 6);
    let incoming = endpoint.handle_datagram(at(2), &last);
    let Some(Incoming::Request { exchange, message, .. }) = incoming else { panic!() };
    assert_eq!((message.code, message.id), (method::PUT, 12));
    assert_eq!(message.content_format(), Some(ContentFormat::TLV));
    assert_eq!(message.texts(option::URI_PATH).count(), 2);
    assert_eq!(*message.payload, body);
    swallow(&mut endpoint, at(3), &last);
    assert!(sent(&mut endpoint).is_empty(), "it is being worked on");
    endpoint.respond(at(4), exchange, Draft::new(Code::CHANGED));
    let answer = sent_one(&mut endpoint);
    assert_eq!((decode(&answer).code, decode(&answer).id), (Code::CHANGED, 12));
    assert_eq!(block_of(&decode(&answer)), (2, false, 1024));
    swallow(&mut endpoint, at(5), &last);
    assert_eq!(sent_one(&mut endpoint), answer);
    assert!(endpoint.is_idle());
    assert_eq!(endpoint.next_timeout(), None);
}

#[test]
fn a_slow_answer_to_the_last_block_comes_separately() {
    let (mut endpoint, body) = (endpoint(), body(40));
    assert_eq!(begin(&mut endpoint, at(0), &part(put(), 1, &body, 0, 1)), Code::CONTINUE);
    let exchange = accept(&mut endpoint, at(0), &part(put(), 2, &body, 1, 1));
    endpoint.handle_timeout(at(1000));
    assert_eq!(shown(&mut endpoint), ["ACK 0.00 #2"]);
    endpoint.respond(at(3000), exchange, Draft::new(Code::CHANGED));
    let answer = sent_one(&mut endpoint);
    assert_eq!((decode(&answer).kind, decode(&answer).token), (Kind::Confirmable, token(&[0, 2])));
    assert_eq!(block_of(&decode(&answer)), (1, false, 32));
}

#[test]
fn blocks_may_be_non_confirmable() {
    let (mut endpoint, body) = (endpoint(), body(40));
    let mut first = part(put(), 1, &body, 0, 1);
    first[0] |= 0x10;
    swallow(&mut endpoint, at(0), &first);
    let answer = sent_one(&mut endpoint);
    assert_eq!(
        (decode(&answer).kind, decode(&answer).code),
        (Kind::NonConfirmable, Code::CONTINUE)
    );
}

#[test]
fn a_size_that_fits_our_datagrams_is_wished_for_and_the_peer_may_grant_it() {
    let (mut endpoint, body) = (endpoint_with(|config| config.max_datagram = 300), body(1500));
    swallow(&mut endpoint, at(0), &part(put(), 1, &body, 0, 6));
    assert_eq!(block_of(&decode(&sent_one(&mut endpoint))), (0, true, 256));
    // The 1024 bytes of block 0 are four blocks of the new size.
    swallow(&mut endpoint, at(1), &part(put(), 2, &body, 4, 4));
    assert_eq!(block_of(&decode(&sent_one(&mut endpoint))), (4, true, 256));
    assert_eq!(end(&mut endpoint, at(2), &part(put(), 3, &body, 5, 4)), Ok(body.clone()));
    // Or it goes on as it began.
    begin(&mut endpoint, at(3), &part(put(), 4, &body, 0, 6));
    assert_eq!(end(&mut endpoint, at(4), &part(put(), 5, &body, 1, 6)), Ok(body));
}

#[test]
fn a_smaller_datagram_than_16_bytes_of_payload_still_carries_something() {
    let mut endpoint = endpoint_with(|config| config.max_datagram = 0);
    swallow(&mut endpoint, at(0), &part(put(), 1, &body(100), 0, 2));
    assert_eq!(block_of(&decode(&sent_one(&mut endpoint))), (0, true, 16));
}

#[test]
fn a_peer_may_change_the_size_between_any_two_blocks() {
    let (mut endpoint, body) = (endpoint(), body(1000));
    for (id, (number, szx)) in
        [(0, 3), (1, 3), (8, 1), (9, 1), (5, 2), (3, 3), (2, 4)].into_iter().enumerate()
    {
        let code = begin(&mut endpoint, at(0), &part(put(), id as u16, &body, number, szx));
        assert_eq!(code, Code::CONTINUE, "{number} {szx}");
    }
    assert_eq!(end(&mut endpoint, at(0), &part(put(), 99, &body, 3, 4)), Ok(body));
}

/// TRN-36.
#[test]
fn a_block_out_of_order_is_refused_and_the_right_one_still_welcome() {
    const INCOMPLETE: Code = Code::REQUEST_ENTITY_INCOMPLETE;
    let (mut endpoint, body) = (endpoint(), body(100));
    assert_eq!(begin(&mut endpoint, at(0), &part(put(), 1, &body, 1, 0)), INCOMPLETE, "no start");
    assert_eq!(end(&mut endpoint, at(0), &part(put(), 2, &body, 6, 0)), Err(INCOMPLETE));
    begin(&mut endpoint, at(0), &part(put(), 3, &body, 0, 0));
    assert_eq!(
        begin(&mut endpoint, at(0), &part(put(), 4, &body, 2, 0)),
        INCOMPLETE,
        "1 is missing"
    );
    assert_eq!(end(&mut endpoint, at(0), &part(put(), 5, &body, 6, 0)), Err(INCOMPLETE));
    assert_eq!(begin(&mut endpoint, at(0), &part(put(), 6, &body, 1, 0)), Code::CONTINUE);
    assert_eq!(begin(&mut endpoint, at(0), &part(put(), 7, &body, 1, 0)), INCOMPLETE, "twice");
    assert_eq!(begin(&mut endpoint, at(0), &part(put(), 8, &body, 1, 1)), Code::CONTINUE);
    assert_eq!(end(&mut endpoint, at(0), &part(put(), 9, &body, 1, 2)), Ok(body));
}

#[test]
fn a_block_that_is_not_as_long_as_it_says_is_a_bad_request() {
    let mut endpoint = endpoint();
    let mut id = 0;
    for (number, more, len) in
        [(0, true, 15), (0, true, 17), (0, true, 0), (3, true, 15), (3, false, 17)]
    {
        id += 1;
        let draft = put().option_uint(option::BLOCK1, number << 4 | u32::from(more) << 3);
        let draft = with_payload(draft, &body(len));
        let datagram = draft.encode(Kind::Confirmable, id, token(b"t"));
        assert_eq!(
            begin(&mut endpoint, at(0), &datagram),
            Code::BAD_REQUEST,
            "{number} {more} {len}"
        );
    }
    assert!(endpoint.is_idle());
}

#[test]
fn block_0_begins_anew_and_so_does_a_request_in_one_block() {
    let (mut endpoint, old, new) = (endpoint(), vec![1; 100], body(100));
    begin(&mut endpoint, at(0), &part(put(), 1, &old, 0, 1));
    begin(&mut endpoint, at(0), &part(put(), 2, &old, 1, 1));
    begin(&mut endpoint, at(0), &part(put(), 3, &new, 0, 2));
    assert_eq!(end(&mut endpoint, at(0), &part(put(), 4, &new, 1, 2)), Ok(new));
    begin(&mut endpoint, at(0), &part(put(), 5, &old, 0, 1));
    assert_eq!(end(&mut endpoint, at(0), &part(put(), 6, b"short", 0, 1)), Ok(b"short".to_vec()));
    assert!(endpoint.is_idle());
}

/// TRN-37.
#[test]
fn bodies_differ_by_method_path_query_format_and_request_tag() {
    let other = [
        Draft::new(method::POST).option(option::URI_PATH, b"3").option(option::URI_PATH, b"0"),
        Draft::new(method::PUT).option(option::URI_PATH, b"3"),
        put().option(option::URI_QUERY, b"a=b"),
        put().option_uint(option::ACCEPT, 60),
        put().option(option::REQUEST_TAG, b""),
        put().option(option::REQUEST_TAG, b"1"),
        put().option(option::REQUEST_TAG, b"1").option(option::REQUEST_TAG, b"2"),
        Draft::new(method::PUT)
            .option(option::URI_PATH, b"3")
            .option(option::URI_PATH, b"0")
            .option_uint(option::CONTENT_FORMAT, 112),
    ];
    for draft in other {
        let (mut endpoint, one, two) = (endpoint(), vec![1; 100], vec![2; 100]);
        begin(&mut endpoint, at(0), &part(put(), 1, &one, 0, 2));
        begin(&mut endpoint, at(0), &part(draft.clone(), 2, &two, 0, 2));
        assert_eq!(end(&mut endpoint, at(0), &part(put(), 3, &one, 1, 2)), Ok(one), "{draft:?}");
        assert_eq!(end(&mut endpoint, at(0), &part(draft, 4, &two, 1, 2)), Ok(two));
    }
}

/// TRN-36.
#[test]
fn a_body_that_is_too_large_is_refused_early_if_the_peer_says_so_and_late_if_not() {
    let mut endpoint = endpoint_with(|config| config.max_body = 100);
    let check = |endpoint: &mut Endpoint, datagram: &[u8]| {
        swallow(endpoint, at(0), datagram);
        let answer = sent_one(endpoint);
        assert_eq!(decode(&answer).code, Code::REQUEST_ENTITY_TOO_LARGE);
        assert_eq!(decode(&answer).option_uint(option::SIZE1), Some(100));
        assert_eq!(decode(&answer).option(option::BLOCK1), None, "no size would help");
        assert!(endpoint.is_idle());
    };
    let early = put().option_uint(option::SIZE1, 101);
    check(&mut endpoint, &part(early, 1, &body(101), 0, 0));
    begin(&mut endpoint, at(0), &part(put(), 2, &body(101), 0, 2));
    check(&mut endpoint, &part(put(), 3, &body(101), 1, 2));
    check(&mut endpoint, &part(put(), 4, &body(300), 0, 3));
    let (fits, announced) = (body(100), put().option_uint(option::SIZE1, 100));
    begin(&mut endpoint, at(0), &part(announced, 5, &fits, 0, 2));
    assert_eq!(end(&mut endpoint, at(0), &part(put(), 6, &fits, 1, 2)), Ok(fits));
}

#[test]
fn sixty_four_kib_are_the_limit_unless_configured() {
    for (len, is_taken) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let (mut endpoint, body) = (endpoint(), body(len));
        let blocks = len.div_ceil(1024);
        for number in 0..blocks - 1 {
            let datagram = part(put(), number as u16, &body, number, 6);
            assert_eq!(begin(&mut endpoint, at(0), &datagram), Code::CONTINUE);
        }
        let last = end(&mut endpoint, at(0), &part(put(), 500, &body, blocks - 1, 6));
        assert_eq!(last == Ok(body), is_taken);
        assert_eq!(last == Err(Code::REQUEST_ENTITY_TOO_LARGE), !is_taken);
    }
}

#[test]
fn two_bodies_are_held_and_the_one_that_waited_longest_goes() {
    let (mut endpoint, body) = (endpoint(), body(100));
    let tagged = |tag: u8| put().option(option::REQUEST_TAG, &[tag]);
    for tag in 1..=3 {
        let datagram = part(tagged(tag), u16::from(tag), &body, 0, 2);
        begin(&mut endpoint, at(u64::from(tag)), &datagram);
    }
    let last = |tag: u8| part(tagged(tag), 10 + u16::from(tag), &body, 1, 2);
    assert_eq!(end(&mut endpoint, at(9), &last(1)), Err(Code::REQUEST_ENTITY_INCOMPLETE));
    assert_eq!(end(&mut endpoint, at(9), &last(2)), Ok(body.clone()));
    assert_eq!(end(&mut endpoint, at(9), &last(3)), Ok(body));
}

#[test]
fn a_transfer_that_never_ends_is_forgotten_after_exchange_lifetime() {
    let (mut endpoint, body) = (endpoint(), body(100));
    begin(&mut endpoint, at(0), &part(put(), 1, &body, 0, 0));
    begin(&mut endpoint, at(200_000), &part(put(), 2, &body, 1, 0));
    assert_eq!(endpoint.next_timeout(), Some(at(447_000)));
    run(&mut endpoint, at(446_999));
    assert!(!endpoint.is_idle());
    run(&mut endpoint, at(447_000));
    assert!(endpoint.is_idle());
    let code = begin(&mut endpoint, at(447_001), &part(put(), 3, &body, 2, 0));
    assert_eq!(code, Code::REQUEST_ENTITY_INCOMPLETE);
    // Nor is it there for a block that comes before the timer, as after a suspend.
    begin(&mut endpoint, at(500_000), &part(put(), 4, &body, 0, 0));
    let code = begin(&mut endpoint, at(747_000), &part(put(), 5, &body, 1, 0));
    assert_eq!(code, Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn half_a_body_outlives_a_link_of_the_same_session_and_no_other() {
    for is_same in [true, false] {
        let (mut endpoint, body) = (endpoint(), body(100));
        begin(&mut endpoint, at(0), &part(put(), 1, &body, 0, 2));
        if is_same {
            endpoint.resume(1152)
        } else {
            endpoint.reset()
        }
        let last = end(&mut endpoint, at(1), &part(put(), 2, &body, 1, 2));
        assert_eq!(last.is_ok(), is_same);
    }
}

#[test]
fn a_busy_endpoint_refuses_the_last_block_and_keeps_the_body() {
    let (mut endpoint, body) = (endpoint_with(|config| config.max_exchanges = 1), body(100));
    let open = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    begin(&mut endpoint, at(0), &part(put(), 2, &body, 0, 2));
    let last = |id| part(put(), id, &body, 1, 2);
    assert_eq!(end(&mut endpoint, at(0), &last(3)), Err(Code::SERVICE_UNAVAILABLE));
    endpoint.ignore(open);
    assert_eq!(end(&mut endpoint, at(0), &last(4)), Ok(body));
}

#[test]
fn a_request_and_its_answer_may_both_come_in_blocks() {
    let (mut endpoint, body) = (endpoint(), body(100));
    begin(&mut endpoint, at(0), &part(put(), 1, &body, 0, 2));
    let last = part(put().option_uint(option::BLOCK2, 0), 2, &body, 1, 2);
    let exchange = accept(&mut endpoint, at(0), &last);
    endpoint.respond(at(0), exchange, content(&"x".repeat(40)));
    let answer = sent_one(&mut endpoint);
    let message = decode(&answer);
    assert_eq!(block_of(&message), (1, false, 64));
    assert_eq!((message.option_uint(option::BLOCK2), message.payload.len()), (Some(8), 16));
    let rest = put().option_uint(option::BLOCK2, 0x10).encode(Kind::Confirmable, 3, token(b"t"));
    swallow(&mut endpoint, at(1), &rest);
    assert_eq!(decode(&sent_one(&mut endpoint)).option_uint(option::BLOCK2), Some(0x18));
}

#[test]
fn a_fetch_asks_for_what_its_whole_payload_names() {
    let mut endpoint = endpoint();
    let mut key = |id: u16, body: &[u8]| {
        let fetch = || Draft::new(method::FETCH).option_uint(option::CONTENT_FORMAT, 112);
        if body.len() > 64 {
            begin(&mut endpoint, at(0), &part(fetch(), id, body, 0, 2));
            return accept_with_key(&mut endpoint, at(0), &part(fetch(), id + 1, body, 1, 2)).1;
        }
        let whole = with_payload(fetch(), body).encode(Kind::Confirmable, id, token(b"t"));
        accept_with_key(&mut endpoint, at(0), &whole).1
    };
    let long = body(100);
    let mut other = long.clone();
    other[5] ^= 1;
    assert_eq!(key(1, &long), key(3, &long));
    assert_ne!(key(5, &long), key(7, &other), "they differ in block 0");
    assert_ne!(key(9, &long), key(11, &long[64..]), "the last block alone");
}
