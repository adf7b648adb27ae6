//! Requests of ours that take more than one message: in blocks, answered in blocks,
//! challenged.

use lwm2m_coap::{Draft, Endpoint, Event, Incoming, Kind, Message, RequestId, method, option};
use lwm2m_model::{Code, ContentFormat, Instant};

use crate::support::*;

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// POST /rd with a payload.
fn register(len: usize) -> Draft {
    Draft::new(method::POST)
        .option(option::URI_PATH, b"rd")
        .option(option::URI_QUERY, b"ep=thing")
        .content(ContentFormat::LINK, body(len))
}

/// (number, more, size) of a block option.
fn block(message: &Message<'_>, number: u16) -> Option<(u32, bool, u32)> {
    let value = message.option_uint(number)?;
    Some((value >> 4, value & 8 != 0, 16 << (value & 7)))
}

/// Answers the datagram in the ACK.
fn answer<'a>(
    endpoint: &mut Endpoint,
    now: Instant,
    datagram: &[u8],
    draft: &Draft,
    space: &'a mut Vec<u8>,
) -> Option<Incoming<'a>> {
    let sent = decode(datagram);
    *space = draft.encode(Kind::Acknowledgement, sent.id, sent.token);
    endpoint.handle_datagram(now, space)
}

/// Answers the datagram; what follows is the next message of the request.
#[track_caller]
fn next(endpoint: &mut Endpoint, datagram: &[u8], draft: &Draft) -> Vec<u8> {
    let mut space = Vec::new();
    let incoming = answer(endpoint, at(0), datagram, draft, &mut space);
    assert!(incoming.is_none(), "{incoming:?}");
    sent_one(endpoint)
}

/// Answers the datagram, which ends the request; gives the code and the payload.
#[track_caller]
fn last(endpoint: &mut Endpoint, datagram: &[u8], draft: &Draft) -> (RequestId, Code, Vec<u8>) {
    let mut space = Vec::new();
    match answer(endpoint, at(0), datagram, draft, &mut space) {
        Some(Incoming::Response { request, message }) => {
            assert!(endpoint.is_idle() && sent(endpoint).is_empty());
            (request, message.code, message.payload.into_owned())
        }
        other => panic!("{other:?}"),
    }
}

/// Answers the datagram with what makes the request fail; gives the reason.
#[track_caller]
fn failure(endpoint: &mut Endpoint, datagram: &[u8], draft: &Draft) -> &'static str {
    let mut space = Vec::new();
    match answer(endpoint, at(0), datagram, draft, &mut space) {
        Some(Incoming::ResponseUnusable { reason, .. }) => {
            assert!(endpoint.is_idle() && sent(endpoint).is_empty());
            reason
        }
        other => panic!("{other:?}"),
    }
}

fn go_on(number: u32, szx: u32) -> Draft {
    Draft::new(Code::CONTINUE).option_uint(option::BLOCK1, number << 4 | 8 | szx)
}

/// 2.05 with this block of `body`.
fn piece(body: &[u8], number: usize, szx: u32) -> Draft {
    let size = 16 << szx;
    let end = ((number + 1) * size).min(body.len());
    let more = u32::from(end < body.len());
    let draft = Draft::new(Code::CONTENT).option(option::ETAG, b"e");
    let draft = draft.option_uint(option::BLOCK2, (number as u32) << 4 | more << 3 | szx);
    with_payload(draft, &body[number * size..end])
}

#[test]
fn a_request_that_fits_goes_out_whole_and_one_byte_more_in_blocks() {
    let head = register(1).encode(Kind::Confirmable, 0, token(&[0; 8])).len() - 1;
    for (len, blocks) in [(1152 - head, false), (1153 - head, true), (0, false)] {
        let mut endpoint = endpoint();
        endpoint.request(at(0), register(len));
        let datagram = sent_one(&mut endpoint);
        assert_eq!(decode(&datagram).option(option::BLOCK1).is_some(), blocks);
        assert_eq!(decode(&datagram).option(option::REQUEST_TAG).is_some(), blocks);
    }
}

#[test]
fn a_large_request_is_sent_block_by_block_and_answered_once() {
    let mut endpoint = endpoint_with(|config| config.max_datagram = 576);
    let request = endpoint.request(at(0), register(1200));
    let (mut all, mut tags, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let mut datagram = sent_one(&mut endpoint);
    for number in 0..3 {
        let message = decode(&datagram);
        assert!(datagram.len() <= 576);
        assert_eq!((message.kind, message.code), (Kind::Confirmable, method::POST));
        assert_eq!(block(&message, option::BLOCK1), Some((number, number < 2, 512)));
        assert_eq!(message.option_uint(option::SIZE1), (number == 0).then_some(1200));
        assert_eq!(message.content_format(), Some(ContentFormat::LINK));
        assert_eq!(message.texts(option::URI_QUERY).count(), 1);
        all.extend_from_slice(&message.payload);
        tags.push(message.option(option::REQUEST_TAG).unwrap().to_vec());
        tokens.push(message.token);
        if number < 2 {
            datagram = next(&mut endpoint, &datagram, &go_on(number, 5));
        }
    }
    assert_eq!(all, body(1200));
    assert!(tags.iter().all(|tag| *tag == tags[0] && !tag.is_empty()));
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
    let created = Draft::new(Code::CREATED).option_uint(option::BLOCK1, 2 << 4 | 5);
    assert_eq!(last(&mut endpoint, &datagram, &created), (request, Code::CREATED, Vec::new()));
    assert_eq!(endpoint.next_timeout(), None);
}

#[test]
fn a_lost_block_is_repeated_like_any_message_and_given_up_like_any() {
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), register(3000));
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &go_on(0, 6));
    let repeated = run(&mut endpoint, at(1_000_000));
    assert_eq!(repeated.len(), 4);
    assert!(repeated.iter().all(|(_, datagram)| *datagram == second));
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request }));
    assert!(endpoint.is_idle());

    // A late answer to the first block is nothing to the second.
    endpoint.request(at(0), register(3000));
    let first = sent_one(&mut endpoint);
    let mut space = Vec::new();
    next(&mut endpoint, &first, &go_on(0, 6));
    assert!(answer(&mut endpoint, at(1), &first, &go_on(0, 6), &mut space).is_none());
    assert!(sent(&mut endpoint).is_empty());
    assert_eq!(endpoint.counters().unmatched, 1);
}

#[test]
fn a_block_may_be_acknowledged_first_and_answered_later() {
    let mut endpoint = endpoint();
    endpoint.request(at(0), register(2000));
    let first = sent_one(&mut endpoint);
    swallow(&mut endpoint, at(1), &empty(Kind::Acknowledgement, decode(&first).id));
    let separate = go_on(0, 6).encode(Kind::Confirmable, 77, decode(&first).token);
    swallow(&mut endpoint, at(2), &separate);
    let sent = sent(&mut endpoint);
    assert_eq!(show(&sent[0]), "ACK 0.00 #77");
    assert_eq!(block(&decode(&sent[1]), option::BLOCK1), Some((1, false, 1024)));
}

#[test]
fn the_size_that_the_peer_prefers_is_used_from_the_next_block_on() {
    let mut endpoint = endpoint();
    endpoint.request(at(0), register(1152));
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &go_on(0, 2));
    assert_eq!(block(&decode(&second), option::BLOCK1), Some((16, true, 64)));
    assert_eq!(*decode(&second).payload, body(1152)[1024..1088]);
    // A larger one is no reason to grow.
    let third = next(&mut endpoint, &second, &go_on(16, 6));
    assert_eq!(block(&decode(&third), option::BLOCK1), Some((17, false, 64)));
}

/// CORE-199; TRN-37.
#[test]
fn too_large_with_a_smaller_size_starts_over_in_that_size_under_another_tag() {
    let refused =
        |szx: u32| Draft::new(Code::REQUEST_ENTITY_TOO_LARGE).option_uint(option::BLOCK1, 8 | szx);
    let mut endpoint = endpoint();
    endpoint.request(at(0), register(1500));
    let first = sent_one(&mut endpoint);
    let again = next(&mut endpoint, &first, &refused(4));
    assert_eq!(block(&decode(&again), option::BLOCK1), Some((0, true, 256)));
    assert_eq!(decode(&again).option_uint(option::SIZE1), Some(1500));
    assert_ne!(
        decode(&again).option(option::REQUEST_TAG),
        decode(&first).option(option::REQUEST_TAG)
    );
    let second = next(&mut endpoint, &again, &go_on(0, 4));
    let again = next(&mut endpoint, &second, &refused(0));
    assert_eq!(block(&decode(&again), option::BLOCK1), Some((0, true, 16)));
    // The same size again, or none, is a refusal.
    assert_eq!(last(&mut endpoint, &again, &refused(0)).1, Code::REQUEST_ENTITY_TOO_LARGE);

    // A request that went out whole may be wanted in blocks, if it is that long.
    endpoint.request(at(0), register(100));
    let whole = sent_one(&mut endpoint);
    let first = next(&mut endpoint, &whole, &refused(2));
    assert_eq!(block(&decode(&first), option::BLOCK1), Some((0, true, 64)));
    assert_eq!(decode(&first).option_uint(option::SIZE1), Some(100));
}

#[test]
fn what_refuses_a_block_is_the_answer() {
    for code in [Code::BAD_REQUEST, Code::REQUEST_ENTITY_INCOMPLETE, Code::REQUEST_ENTITY_TOO_LARGE]
    {
        let mut endpoint = endpoint();
        let request = endpoint.request(at(0), register(3000));
        let first = sent_one(&mut endpoint);
        let second = next(&mut endpoint, &first, &go_on(0, 6));
        assert_eq!(last(&mut endpoint, &second, &Draft::new(code)), (request, code, Vec::new()));
    }
}

#[test]
fn a_peer_that_works_block_by_block_gets_them_all() {
    let mut endpoint = endpoint();
    endpoint.request(at(0), register(2000));
    let first = sent_one(&mut endpoint);
    let done = |number: u32| Draft::new(Code::CHANGED).option_uint(option::BLOCK1, number << 4 | 6);
    let second = next(&mut endpoint, &first, &done(0));
    assert_eq!(last(&mut endpoint, &second, &done(1)).1, Code::CHANGED);
    // Success without Block1: it wants no more.
    endpoint.request(at(0), register(2000));
    let first = sent_one(&mut endpoint);
    assert_eq!(last(&mut endpoint, &first, &Draft::new(Code::CHANGED)).1, Code::CHANGED);
    // 2.31 at the end is an answer like any other, if a strange one.
    endpoint.request(at(0), register(10));
    let whole = sent_one(&mut endpoint);
    assert_eq!(last(&mut endpoint, &whole, &Draft::new(Code::CONTINUE)).1, Code::CONTINUE);
}

#[test]
fn blocks_go_before_what_was_asked_later_and_a_full_queue_does_not_stop_them() {
    let mut endpoint = endpoint_with(|config| config.max_queue = 2);
    endpoint.request(at(0), register(2000));
    let first = sent_one(&mut endpoint);
    endpoint.request(at(0), read());
    endpoint.request(at(0), read());
    let second = next(&mut endpoint, &first, &go_on(0, 6));
    assert_eq!(block(&decode(&second), option::BLOCK1), Some((1, false, 1024)));
    assert_eq!(endpoint.poll_event(), None);
}

#[test]
fn a_cancelled_or_reset_request_sends_no_more_blocks() {
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), register(3000));
    let first = sent_one(&mut endpoint);
    endpoint.cancel(request);
    let mut space = Vec::new();
    assert!(answer(&mut endpoint, at(0), &first, &go_on(0, 6), &mut space).is_none());
    assert!(sent(&mut endpoint).is_empty() && endpoint.is_idle());
    let request = endpoint.request(at(0), register(3000));
    let first = sent_one(&mut endpoint);
    let reset = empty(Kind::Reset, decode(&first).id);
    let incoming = endpoint.handle_datagram(at(0), &reset);
    assert!(matches!(incoming, Some(Incoming::RequestReset { request: of }) if of == request));
    assert!(endpoint.is_idle());
}

#[test]
fn a_request_with_more_blocks_than_can_be_counted_is_not_sent() {
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), with_payload(register(0), &vec![0; (16 << 20) + 1]));
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request }));
    assert!(sent(&mut endpoint).is_empty() && endpoint.is_idle());
}

#[test]
fn an_answer_in_blocks_is_fetched_and_handed_up_whole() {
    let (mut endpoint, whole) = (endpoint(), body(2500));
    let request = endpoint.request(at(0), read());
    let mut datagram = sent_one(&mut endpoint);
    for number in 0..2 {
        let mut draft = piece(&whole, number, 6).option_uint(option::CONTENT_FORMAT, 112);
        if number == 0 {
            draft = draft.option(option::LOCATION_PATH, b"here").option_uint(option::SIZE2, 2500);
        }
        datagram = next(&mut endpoint, &datagram, &draft);
        let message = decode(&datagram);
        assert_eq!(message.code, method::GET);
        assert_eq!(message.texts(option::URI_PATH).count(), 2);
        assert_eq!(block(&message, option::BLOCK2), Some((number as u32 + 1, false, 1024)));
    }
    let sent = decode(&datagram);
    let answer = piece(&whole, 2, 6).encode(Kind::Acknowledgement, sent.id, sent.token);
    match endpoint.handle_datagram(at(0), &answer) {
        Some(Incoming::Response { request: of, message }) => {
            assert_eq!((of, message.code), (request, Code::CONTENT));
            assert_eq!(message.option(option::LOCATION_PATH), Some(&b"here"[..]));
            assert_eq!(message.content_format(), Some(ContentFormat::SENML_CBOR));
            assert_eq!(*message.payload, whole);
        }
        other => panic!("{other:?}"),
    }
    assert!(endpoint.is_idle());
}

#[test]
fn a_peer_may_answer_with_smaller_blocks_than_were_asked_for() {
    let (mut endpoint, whole) = (endpoint(), body(300));
    endpoint.request(at(0), read());
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &piece(&whole, 0, 4));
    let third = next(&mut endpoint, &second, &piece(&whole, 16, 0));
    assert_eq!(block(&decode(&third), option::BLOCK2), Some((17, false, 16)));
    let fourth = next(&mut endpoint, &third, &piece(&whole, 17, 0));
    assert_eq!(last(&mut endpoint, &fourth, &piece(&whole, 18, 0)).2, whole);
}

#[test]
fn the_answer_to_a_large_request_is_fetched_without_the_request() {
    let (mut endpoint, whole) = (endpoint(), body(100));
    endpoint.request(at(0), register(1500));
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &go_on(0, 6));
    let draft = piece(&whole, 0, 2).option_uint(option::BLOCK1, 0x16);
    let fetch = next(&mut endpoint, &second, &draft);
    let message = decode(&fetch);
    assert_eq!((message.code, message.payload.len()), (method::POST, 0));
    assert_eq!(block(&message, option::BLOCK1), None);
    assert_eq!(block(&message, option::BLOCK2), Some((1, false, 64)));
    assert_eq!(message.option(option::REQUEST_TAG), decode(&first).option(option::REQUEST_TAG));
    assert_eq!(last(&mut endpoint, &fetch, &piece(&whole, 1, 2)).2, whole);
}

#[test]
fn blocks_that_make_no_whole_end_the_request_with_a_reason() {
    let whole = body(300);
    let other_tag = {
        let draft = Draft::new(Code::CONTENT).option(option::ETAG, b"f");
        with_payload(draft.option_uint(option::BLOCK2, 0x14), &whole[256..])
    };
    let short = with_payload(Draft::new(Code::CONTENT).option_uint(option::BLOCK2, 0x1c), b"short");
    let reserved = Draft::new(Code::CONTENT).option_uint(option::BLOCK2, 7);
    let second = [
        (piece(&whole, 0, 4), "a block of the answer is missing"),
        (content("all of it"), "a block of the answer is missing"),
        (short.clone(), "a block of the answer is not as long as it says"),
        (reserved.clone(), "a block of the answer has the reserved size 7"),
        (other_tag, "the answer changed while it was fetched"),
    ];
    for (draft, reason) in second {
        let mut endpoint = endpoint();
        endpoint.request(at(0), read());
        let first = sent_one(&mut endpoint);
        let datagram = next(&mut endpoint, &first, &piece(&whole, 0, 4));
        assert_eq!(failure(&mut endpoint, &datagram, &draft), reason);
    }
    for (draft, reason) in [
        (piece(&whole, 1, 4), "a block of the answer is missing"),
        (short, "a block of the answer is not as long as it says"),
        (reserved, "a block of the answer has the reserved size 7"),
    ] {
        let mut endpoint = endpoint();
        endpoint.request(at(0), read());
        let first = sent_one(&mut endpoint);
        assert_eq!(failure(&mut endpoint, &first, &draft), reason);
    }
}

#[test]
fn an_error_instead_of_a_block_is_the_answer() {
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), read());
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &piece(&body(100), 0, 2));
    let gone = with_payload(Draft::new(Code::NOT_FOUND), b"gone");
    let answer = last(&mut endpoint, &second, &gone);
    assert_eq!(answer, (request, Code::NOT_FOUND, b"gone".to_vec()));
}

#[test]
fn an_answer_for_which_there_is_no_room_is_not_fetched() {
    const NO_ROOM: &str = "there is no room for the whole answer";
    let announced = |size| piece(&body(300), 0, 2).option_uint(option::SIZE2, size);
    let mut endpoint = endpoint_with(|config| config.max_body = 128);
    endpoint.request(at(0), read());
    let first = sent_one(&mut endpoint);
    assert_eq!(failure(&mut endpoint, &first, &announced(129)), NO_ROOM);
    endpoint.request(at(0), read());
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &announced(128));
    let third = next(&mut endpoint, &second, &piece(&body(300), 1, 2));
    assert_eq!(failure(&mut endpoint, &third, &piece(&body(300), 2, 2)), NO_ROOM);
}

#[test]
fn two_answers_are_fetched_at_once_and_no_more() {
    let mut endpoint = endpoint();
    let half_fetched = |endpoint: &mut Endpoint| {
        endpoint.request(at(0), read());
        let first = sent_one(endpoint);
        let second = next(endpoint, &first, &piece(&body(100), 0, 2));
        // With the empty ACK another request may go out.
        swallow(endpoint, at(0), &empty(Kind::Acknowledgement, decode(&second).id));
    };
    half_fetched(&mut endpoint);
    half_fetched(&mut endpoint);
    endpoint.request(at(0), read());
    let first = sent_one(&mut endpoint);
    let mut space = Vec::new();
    let incoming = answer(&mut endpoint, at(0), &first, &piece(&body(100), 0, 2), &mut space);
    assert!(matches!(incoming, Some(Incoming::ResponseUnusable { .. })), "{incoming:?}");
}

/// CORE-199.
#[test]
fn a_challenge_is_met_once() {
    let challenge = |echo: &[u8]| Draft::new(Code::UNAUTHORIZED).option(option::ECHO, echo);
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), register(20));
    let first = sent_one(&mut endpoint);
    let again = next(&mut endpoint, &first, &challenge(b"fresh"));
    assert_eq!(decode(&again).option(option::ECHO), Some(&b"fresh"[..]));
    assert_eq!(decode(&again).payload, decode(&first).payload);
    assert_ne!(decode(&again).token, decode(&first).token);
    let refused = last(&mut endpoint, &again, &challenge(b"fresher"));
    assert_eq!((refused.0, refused.1), (request, Code::UNAUTHORIZED));

    for no_challenge in [challenge(&[]), challenge(&[1; 41]), Draft::new(Code::UNAUTHORIZED)] {
        endpoint.request(at(0), register(20));
        let first = sent_one(&mut endpoint);
        assert_eq!(last(&mut endpoint, &first, &no_challenge).1, Code::UNAUTHORIZED);
    }
}

#[test]
fn a_challenge_to_a_block_starts_over_with_the_option_in_each() {
    let challenge = Draft::new(Code::UNAUTHORIZED).option(option::ECHO, &[9; 40]);
    let mut endpoint = endpoint();
    endpoint.request(at(0), register(2000));
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &go_on(0, 6));
    let again = next(&mut endpoint, &second, &challenge);
    assert_eq!(block(&decode(&again), option::BLOCK1), Some((0, true, 1024)));
    assert_eq!(decode(&again).option(option::ECHO), Some(&[9; 40][..]));
    assert_ne!(
        decode(&again).option(option::REQUEST_TAG),
        decode(&first).option(option::REQUEST_TAG)
    );
    let second = next(&mut endpoint, &again, &go_on(0, 6));
    assert_eq!(decode(&second).option(option::ECHO), Some(&[9; 40][..]));
    assert_eq!(last(&mut endpoint, &second, &Draft::new(Code::CREATED)).1, Code::CREATED);
}

#[test]
fn a_challenge_while_an_answer_is_fetched_does_not_ask_for_the_operation_again() {
    let (mut endpoint, whole) = (endpoint(), body(100));
    endpoint.request(at(0), register(20));
    let first = sent_one(&mut endpoint);
    let second = next(&mut endpoint, &first, &piece(&whole, 0, 2));
    let challenge = Draft::new(Code::UNAUTHORIZED).option(option::ECHO, b"x");
    let again = next(&mut endpoint, &second, &challenge);
    assert_eq!(block(&decode(&again), option::BLOCK2), Some((1, false, 64)));
    assert!(decode(&again).payload.is_empty());
    assert_eq!(last(&mut endpoint, &again, &piece(&whole, 1, 2)).2, whole);
}

/// TRN-121: a package is larger than what is put together here.
#[test]
fn blocks_that_are_asked_for_one_by_one_are_handed_up_as_they_come() {
    let mut endpoint = endpoint_with(|config| config.max_body = 0);
    for (block, more) in [(0x06, 0x08), (0xfffff6, 0x08), (0x12, 0)] {
        let draft = Draft::new(method::GET).option(option::URI_PATH, b"package");
        endpoint.request_block(at(0), draft.option_uint(option::BLOCK2, block));
        let asked = sent_one(&mut endpoint);
        assert_eq!(decode(&asked).option_uint(option::BLOCK2), Some(block));
        // A challenge is met here as for every request (RFC 9175 2.3).
        let challenge = Draft::new(Code::UNAUTHORIZED).option(option::ECHO, b"fresh");
        let again = next(&mut endpoint, &asked, &challenge);
        assert_eq!(decode(&again).option(option::ECHO), Some(&b"fresh"[..]));
        assert_eq!(decode(&again).option_uint(option::BLOCK2), Some(block));
        let draft = Draft::new(Code::CONTENT).option_uint(option::BLOCK2, block | more);
        let (_, code, payload) = last(&mut endpoint, &again, &with_payload(draft, b"part"));
        assert_eq!((code, payload), (Code::CONTENT, b"part".to_vec()));
    }
}
