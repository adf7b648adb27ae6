//! Block2 of our answers and notifications.

use lwm2m_coap::{Draft, Endpoint, Kind, Message, Token, method, option};
use lwm2m_model::{Code, ContentFormat};

use crate::support::*;

fn large(len: usize) -> Draft {
    Draft::new(Code::CONTENT).content(ContentFormat::TLV, body(len))
}

/// GET /3/0 for a block of 2^(szx + 4) bytes.
fn get_block(id: u16, number: u32, szx: u32) -> Vec<u8> {
    read().option_uint(option::BLOCK2, (number << 4) | szx).encode(
        Kind::Confirmable,
        id,
        token(&id.to_be_bytes()),
    )
}

/// (number, more, size) of Block2.
fn block(message: &Message<'_>) -> (u32, bool, u32) {
    let value = message.option_uint(option::BLOCK2).unwrap();
    (value >> 4, value & 8 != 0, 16 << (value & 7))
}

/// CORE-198; TRN-36.
#[test]
fn a_large_answer_is_fetched_by_blocks_and_the_engine_asked_once() {
    let mut endpoint = endpoint();
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(2500));
    let first = sent_one(&mut endpoint);
    assert!(first.len() <= endpoint.config().max_datagram);
    let message = decode(&first);
    assert_eq!(block(&message), (0, true, 1024));
    assert_eq!(message.option_uint(option::SIZE2), Some(2500));
    assert_eq!(message.content_format(), Some(ContentFormat::TLV));
    let etag = message.option(option::ETAG).unwrap();
    let mut all = message.payload.to_vec();
    assert!(!endpoint.is_idle(), "half fetched");

    for number in 1..3 {
        let id = 10 + number as u16;
        let request = get_block(id, number, 6);
        swallow(&mut endpoint, at(1000 * u64::from(number)), &request);
        let datagram = sent_one(&mut endpoint);
        swallow(&mut endpoint, at(1000 * u64::from(number) + 1), &request);
        assert_eq!(sent_one(&mut endpoint), datagram, "the duplicate of block {number}");
        let message = decode(&datagram);
        assert_eq!(
            (message.kind, message.code, message.id),
            (Kind::Acknowledgement, Code::CONTENT, id)
        );
        assert_eq!(message.token, token(&id.to_be_bytes()));
        assert_eq!(block(&message), (number, number < 2, 1024));
        assert_eq!(message.option(option::ETAG), Some(etag));
        assert_eq!(message.option_uint(option::SIZE2), None);
        assert_eq!(message.content_format(), Some(ContentFormat::TLV));
        all.extend_from_slice(&message.payload);
    }
    assert_eq!(all, body(2500));
    assert!(endpoint.is_idle());
    assert_eq!(endpoint.next_timeout(), None);
}

#[test]
fn whatever_size_the_peer_wants_the_body_arrives_whole() {
    for (max_datagram, len) in
        [(1152, 1500), (1152, 1024), (300, 1000), (64, 200), (1, 100), (1152, 1)]
    {
        for szx in 0..=6 {
            let mut endpoint = endpoint_with(|config| config.max_datagram = max_datagram);
            let exchange = accept(&mut endpoint, at(0), &get_block(1, 0, szx));
            endpoint.respond(at(0), exchange, large(len));
            let (mut all, mut id) = (Vec::new(), 1);
            loop {
                let datagram = sent_one(&mut endpoint);
                let message = decode(&datagram);
                let (number, more, size) = block(&message);
                assert!(size <= 16 << szx);
                assert!(datagram.len() <= max_datagram.max(64));
                assert_eq!(all.len(), (number * size) as usize);
                assert_eq!(
                    message.payload.len() == size as usize,
                    more || len % size as usize == 0
                );
                all.extend_from_slice(&message.payload);
                if !more {
                    break;
                }
                id += 1;
                swallow(&mut endpoint, at(0), &get_block(id, number + 1, size.ilog2() - 4));
            }
            assert_eq!(all, body(len), "{max_datagram} {len} {szx}");
            assert!(endpoint.is_idle());
        }
    }
}

#[test]
fn a_peer_may_go_on_with_smaller_blocks() {
    let mut endpoint = endpoint();
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(2500));
    sent(&mut endpoint);
    swallow(&mut endpoint, at(1), &get_block(2, 1024 / 64, 2));
    let datagram = sent_one(&mut endpoint);
    assert_eq!(block(&decode(&datagram)), (16, true, 64));
    assert_eq!(decode(&datagram).payload, &body(2500)[1024..1088]);
}

#[test]
fn larger_blocks_than_fit_are_answered_with_smaller_ones_from_the_same_place() {
    let mut endpoint = endpoint_with(|config| config.max_datagram = 200);
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(2500));
    assert_eq!(block(&decode(&sent_one(&mut endpoint))), (0, true, 128));
    swallow(&mut endpoint, at(1), &get_block(2, 1, 6));
    let datagram = sent_one(&mut endpoint);
    assert_eq!(block(&decode(&datagram)), (8, true, 128));
    assert_eq!(decode(&datagram).payload, &body(2500)[1024..1152]);
}

#[test]
fn an_answer_that_fits_is_whole_unless_blocks_were_asked_for() {
    for (request, expected) in [(get(Kind::Confirmable, 1), None), (get_block(1, 0, 6), Some(6))] {
        let mut endpoint = endpoint();
        let exchange = accept(&mut endpoint, at(0), &request);
        endpoint.respond(at(0), exchange, content("small"));
        let datagram = sent_one(&mut endpoint);
        let message = decode(&datagram);
        assert_eq!(message.option_uint(option::BLOCK2), expected);
        assert_eq!(message.option(option::ETAG), None);
        assert_eq!(message.option(option::SIZE2), None);
        assert!(endpoint.is_idle());
    }
}

#[test]
fn a_block_beyond_the_end_is_a_bad_request() {
    // From the body that is kept.
    let mut endpoint = endpoint();
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(2500));
    sent(&mut endpoint);
    for (id, number) in [(2, 3), (3, 0xf_ffff)] {
        swallow(&mut endpoint, at(1), &get_block(id, number, 6));
        assert_eq!(decode(&sent_one(&mut endpoint)).code, Code::BAD_REQUEST);
    }
    swallow(&mut endpoint, at(1), &get_block(4, 1, 6));
    assert_eq!(decode(&sent_one(&mut endpoint)).code, Code::CONTENT, "the rest is still there");

    // From an answer made anew.
    let exchange = accept(
        &mut endpoint,
        at(2),
        &Draft::new(method::GET).option_uint(option::BLOCK2, 0x16).encode(
            Kind::Confirmable,
            5,
            Token::default(),
        ),
    );
    endpoint.respond(at(2), exchange, large(1024));
    assert_eq!(decode(&sent_one(&mut endpoint)).code, Code::BAD_REQUEST);
}

#[test]
fn a_body_that_is_gone_is_asked_for_anew_and_the_block_cut_from_it() {
    let mut endpoint = endpoint();
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(2500));
    let first = sent_one(&mut endpoint);
    assert_eq!(endpoint.next_timeout(), Some(at(93_000)));
    run(&mut endpoint, at(93_000));
    assert!(endpoint.is_idle());

    let exchange = accept(&mut endpoint, at(94_000), &get_block(2, 1, 6));
    endpoint.respond(at(94_000), exchange, large(2500));
    let datagram = sent_one(&mut endpoint);
    let message = decode(&datagram);
    assert_eq!(block(&message), (1, true, 1024));
    assert_eq!(message.payload, &body(2500)[1024..2048]);
    assert_eq!(message.option(option::ETAG), decode(&first).option(option::ETAG), "same content");
    swallow(&mut endpoint, at(95_000), &get_block(3, 2, 6));
    assert_eq!(decode(&sent_one(&mut endpoint)).payload.len(), 452);
}

#[test]
fn a_peer_that_takes_its_time_keeps_the_body_alive() {
    let mut endpoint = endpoint();
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(10_000));
    sent(&mut endpoint);
    for number in 1..10_u16 {
        let now = u64::from(number) * 60_000;
        assert_eq!(run(&mut endpoint, at(now)), []);
        swallow(&mut endpoint, at(now), &get_block(100 + number, u32::from(number), 6));
        sent_one(&mut endpoint);
    }
    assert!(endpoint.is_idle());
}

#[test]
fn other_content_has_another_etag() {
    let etag = |draft: Draft| {
        let mut endpoint = endpoint();
        let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
        endpoint.respond(at(0), exchange, draft);
        let datagram = sent_one(&mut endpoint);
        decode(&datagram).option(option::ETAG).unwrap().to_vec()
    };
    let other_format = Draft::new(Code::CONTENT).content(ContentFormat::OPAQUE, body(2500));
    assert_eq!(etag(large(2500)), etag(large(2500)));
    assert_ne!(etag(large(2500)), etag(large(2501)));
    assert_ne!(etag(large(2500)), etag(other_format));
}

#[test]
fn an_operation_is_not_done_again_for_a_later_block_of_its_answer() {
    for code in [method::POST, method::PUT, method::DELETE, method::IPATCH] {
        let mut endpoint = endpoint();
        let request = |id, number: u32| {
            let draft = Draft::new(code).option(option::URI_PATH, b"9");
            draft.option_uint(option::BLOCK2, number << 4 | 6).encode(
                Kind::Confirmable,
                id,
                token(b"t"),
            )
        };
        swallow(&mut endpoint, at(0), &request(1, 1));
        assert_eq!(decode(&sent_one(&mut endpoint)).code, Code::BAD_REQUEST);
        let exchange = accept(&mut endpoint, at(1), &request(2, 0));
        endpoint.respond(at(1), exchange, large(1500));
        sent(&mut endpoint);
        swallow(&mut endpoint, at(2), &request(3, 1));
        assert_eq!(decode(&sent_one(&mut endpoint)).payload, &body(1500)[1024..]);
    }
}

#[test]
fn what_is_asked_for_differs_by_method_path_query_accept_and_fetch_payload() {
    let fetch = |payload: &[u8]| {
        Draft::new(method::FETCH).content(ContentFormat::SENML_CBOR, payload.to_vec())
    };
    let post =
        |payload: &[u8]| Draft::new(method::POST).content(ContentFormat::TEXT, payload.to_vec());
    let different = [
        read(),
        Draft::new(method::PUT).option(option::URI_PATH, b"3").option(option::URI_PATH, b"0"),
        Draft::new(method::GET).option(option::URI_PATH, b"30"),
        Draft::new(method::GET).option(option::URI_PATH, b"3").option(option::URI_QUERY, b"0"),
        read().option_uint(option::ACCEPT, 60),
        read().option_uint(option::ACCEPT, 0),
        fetch(b"a"),
        fetch(b"b"),
        with_payload(Draft::new(method::FETCH), b"a"),
    ];
    let mut endpoint = endpoint();
    let mut id = 0;
    let mut key = |draft: &Draft| {
        id += 1;
        accept_with_key(
            &mut endpoint,
            at(0),
            &draft.encode(Kind::Confirmable, id, token(&[id as u8])),
        )
        .1
    };
    let keys: Vec<_> = different.iter().map(&mut key).collect();
    for (at, one) in keys.iter().enumerate() {
        assert_eq!(keys.iter().position(|other| other == one), Some(at), "{:?}", different[at]);
    }
    let same = read()
        .option_uint(option::OBSERVE, 0)
        .option_uint(option::SIZE2, 0)
        .option(option::ETAG, &[1]);
    assert_eq!(key(&same), keys[0]);
    assert_eq!(key(&post(b"a")), key(&post(b"b")));
}

#[test]
fn a_large_notification_is_its_first_block_and_the_rest_is_fetched_without_observe() {
    for kind in [Kind::NonConfirmable, Kind::Confirmable] {
        let mut endpoint = endpoint();
        let observe =
            read().option_uint(option::OBSERVE, 0).encode(Kind::Confirmable, 1, token(b"o"));
        let (exchange, key) = accept_with_key(&mut endpoint, at(0), &observe);
        endpoint.respond(at(0), exchange, content("small").option_uint(option::OBSERVE, 0));
        sent(&mut endpoint);

        endpoint.notify(at(1), token(b"o"), key, kind, large(1500).option_uint(option::OBSERVE, 5));
        let datagram = sent_one(&mut endpoint);
        let message = decode(&datagram);
        assert_eq!(message.kind, kind);
        assert_eq!(message.token, token(b"o"));
        assert_eq!(message.observe(), Some(5));
        assert_eq!(block(&message), (0, true, 1024));
        assert_eq!(message.option_uint(option::SIZE2), Some(1500));
        let etag = message.option(option::ETAG).unwrap();

        swallow(&mut endpoint, at(2), &get_block(2, 1, 6));
        let rest = sent_one(&mut endpoint);
        let rest = decode(&rest);
        assert_eq!(rest.observe(), None);
        assert_eq!(rest.option(option::ETAG), Some(etag));
        assert_eq!([message.payload, rest.payload].concat(), body(1500));
    }
}

#[test]
fn notifications_keep_the_block_size_that_the_observe_asked_for() {
    let observe = |size: Option<u32>| {
        let draft = read().option_uint(option::OBSERVE, 0);
        let draft = size.iter().fold(draft, |draft, szx| draft.option_uint(option::BLOCK2, *szx));
        draft.encode(Kind::Confirmable, 1, token(b"o"))
    };
    // (asked for, largest datagram, size of the blocks)
    for (asked, max_datagram, expected) in
        [(Some(2), 1152, 64), (Some(6), 300, 256), (None, 1152, 1024), (Some(0), 1152, 16)]
    {
        let mut endpoint = endpoint_with(|config| config.max_datagram = max_datagram);
        let (exchange, key) = accept_with_key(&mut endpoint, at(0), &observe(asked));
        endpoint.respond(at(0), exchange, content("small").option_uint(option::OBSERVE, 0));
        sent(&mut endpoint);
        for sequence in 1..3 {
            let draft = large(1500).option_uint(option::OBSERVE, sequence);
            endpoint.notify(at(1), token(b"o"), key, Kind::NonConfirmable, draft);
            let datagram = sent_one(&mut endpoint);
            assert_eq!(block(&decode(&datagram)), (0, true, expected));
            assert_eq!(decode(&datagram).payload.len(), expected as usize);
        }
        // The rest is fetched in any size.
        let rest = get_block(2, expected / 16, 0);
        swallow(&mut endpoint, at(2), &rest);
        assert_eq!(
            *decode(&sent_one(&mut endpoint)).payload,
            body(1500)[expected as usize..][..16]
        );
        let small = content("small").option_uint(option::OBSERVE, 3);
        endpoint.notify(at(3), token(b"o"), key, Kind::NonConfirmable, small);
        let datagram = sent_one(&mut endpoint);
        assert_eq!(decode(&datagram).option(option::BLOCK2).is_some(), asked.is_some());
    }
}

#[test]
fn a_newer_representation_supersedes_the_one_being_fetched() {
    let mut endpoint = endpoint();
    let (exchange, key) = accept_with_key(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(3000));
    endpoint.notify(at(1), token(b"o"), key, Kind::NonConfirmable, content("small"));
    sent(&mut endpoint);
    assert!(endpoint.is_idle());
    accept(&mut endpoint, at(2), &get_block(2, 1, 6));
}

#[test]
fn non_confirmable_and_separate_answers_are_cut_too() {
    let mut endpoint = endpoint();
    let request = get(Kind::NonConfirmable, 1);
    let exchange = accept(&mut endpoint, at(0), &request);
    endpoint.respond(at(0), exchange, large(1500));
    let datagram = sent_one(&mut endpoint);
    assert_eq!(decode(&datagram).kind, Kind::NonConfirmable);
    assert_eq!(block(&decode(&datagram)), (0, true, 1024));

    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 2));
    endpoint.handle_timeout(at(1000));
    sent(&mut endpoint);
    endpoint.respond(at(2000), exchange, large(1500));
    let datagram = sent_one(&mut endpoint);
    assert_eq!(decode(&datagram).kind, Kind::Confirmable);
    assert_eq!(block(&decode(&datagram)), (0, true, 1024));
}

#[test]
fn errors_are_never_cut_into_blocks() {
    let mut endpoint = endpoint_with(|config| config.max_datagram = 64);
    let respond = |endpoint: &mut Endpoint, id, draft: Draft| {
        let exchange = accept(endpoint, at(0), &get_block(id, 1, 0));
        endpoint.respond(at(0), exchange, draft);
        sent_one(endpoint)
    };
    let datagram = respond(&mut endpoint, 1, Draft::new(Code::NOT_FOUND));
    assert_eq!(show(&datagram), "ACK 4.04 #1 t0001");

    // A diagnostic text that is too long ends with a whole character.
    let text = "\u{20ac}".repeat(50);
    let datagram =
        respond(&mut endpoint, 2, with_payload(Draft::new(Code::NOT_FOUND), text.as_bytes()));
    assert!(datagram.len() <= 64 && datagram.len() > 60);
    let cut =
        str::from_utf8(&datagram[datagram.len() - decode(&datagram).payload.len()..]).unwrap();
    assert!(text.starts_with(cut));
    assert_eq!(decode(&datagram).option(option::BLOCK2), None);
}

/// RFC 7959 3.3: later blocks are asked for without the payload; RFC 8132 makes the
/// payload a part of what a FETCH asks for.
#[test]
fn the_rest_of_a_fetch_is_asked_for_with_its_payload_or_without() {
    let fetch = |payload: &[u8]| {
        Draft::new(method::FETCH).content(ContentFormat::SENML_CBOR, payload.to_vec())
    };
    let ask = |draft: Draft, id: u16, number: u32| {
        let draft = draft.option_uint(option::BLOCK2, number << 4 | 2);
        draft.encode(Kind::Confirmable, id, token(&id.to_be_bytes()))
    };
    let part = |endpoint: &mut Endpoint, datagram: &[u8]| {
        swallow(endpoint, at(0), datagram);
        let answer = sent_one(endpoint);
        (decode(&answer).code, decode(&answer).payload.to_vec())
    };
    let mut endpoint = endpoint();
    for (id, payload, len) in [(1, &b"one"[..], 200), (2, b"two", 230)] {
        let exchange = accept(&mut endpoint, at(0), &ask(fetch(payload), id, 0));
        endpoint.respond(at(0), exchange, large(len));
        assert_eq!(decode(&sent_one(&mut endpoint)).payload.len(), 64);
    }
    let rest = |draft: Draft, id| ask(draft, id, 3);
    // The payload tells the two apart; without it the newest is meant.
    let bare = Draft::new(method::FETCH);
    assert_eq!(part(&mut endpoint, &rest(fetch(b"one"), 3)).1, body(200)[192..]);
    assert_eq!(part(&mut endpoint, &ask(bare.clone(), 4, 1)).1, body(230)[64..128]);
    assert_eq!(part(&mut endpoint, &rest(bare.clone(), 5)).1, body(230)[192..]);
    assert!(endpoint.is_idle());
    // It is gone now, and without its payload the request cannot be made again.
    assert_eq!(part(&mut endpoint, &rest(bare, 6)).0, Code::BAD_REQUEST);
    accept(&mut endpoint, at(0), &rest(fetch(b"one"), 7));
}
