//! What a package that comes undisturbed looks like.

use std::cell::RefCell;
use std::rc::Rc;

use lwm2m_coap::{Draft, Message, method, option};
use lwm2m_engine::{CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget, MAX_PART};
use lwm2m_model::{Code, Instant};

use crate::support::*;

/// TRN-121; the pull of Objects 7.4: 81920 bytes in blocks of 128.
#[test]
fn a_package_comes_in_as_many_blocks_as_it_has() {
    let mut server = Server::new(package(81_920, 0));
    server.szx = 3;
    let outcome = Run::new(server).run();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.begin(), (0, Some(81_920), Some(&b"v1"[..])));
    assert!(outcome.bytes == package(81_920, 0));
    assert_eq!(outcome.numbers(), (0..640).collect::<Vec<_>>());
    assert_eq!(outcome.asked[0], Some(Asked { number: 0, szx: 6 }), "the server may choose");
    assert!(outcome.asked[1..].iter().flatten().all(|asked| asked.szx == 3));
    assert_eq!(outcome.parts, [MAX_PART; 5]);
}

#[test]
fn a_mebibyte_is_the_same_in_blocks_of_every_size() {
    for szx in 0..=6 {
        let mut server = Server::new(package(1 << 20, 3));
        server.szx = szx;
        server.says_size = szx % 2 == 0;
        let outcome = Run::new(server).run();
        assert_eq!(outcome.result, Ok(()), "{szx}");
        assert!(outcome.bytes == package(1 << 20, 3), "{szx}");
        // Where the size is not known, some are asked for that are beyond the end.
        let blocks = (1 << 20) >> (szx + 4);
        let more = if szx % 2 == 0 { 0 } else { 7 };
        assert!((blocks..=blocks + more).contains(&outcome.asked.len()), "{szx}");
        assert_eq!(outcome.begin().1, (szx % 2 == 0).then_some(1 << 20));
    }
}

#[test]
fn packages_of_every_length_end_where_they_end() {
    for len in [0, 1, 15, 16, 17, 1023, 1024, 1025, 2048, MAX_PART, MAX_PART + 1] {
        for szx in [0, 6] {
            for says_size in [true, false] {
                let mut server = Server::new(package(len, 0));
                (server.szx, server.says_size) = (szx, says_size);
                let outcome = Run::new(server).run();
                assert_eq!(outcome.result, Ok(()), "{len} {szx}");
                assert!(outcome.bytes == package(len, 0), "{len} {szx}");
                // A single block says the size by itself.
                let known = says_size || len <= 16 << szx;
                assert_eq!(outcome.begin().1, known.then_some(len as u64), "{len} {szx}");
            }
        }
    }
}

#[test]
fn an_answer_without_blocks_is_the_whole_package() {
    for len in [0, 5, 1000] {
        let whole = package(len, 0);
        let server = Server::with(Vec::new(), move |_, _| {
            let mut draft = Draft::new(Code::CONTENT).option(option::ETAG, b"e");
            draft.payload = whole.clone();
            // What has no place here changes nothing.
            Some(Reaction::Answer(
                draft.option_uint(option::OBSERVE, 3).option_uint(option::MAX_AGE, 0),
            ))
        });
        let outcome = Run::new(server).run();
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(outcome.begin(), (0, Some(len as u64), Some(&b"e"[..])));
        assert_eq!(outcome.bytes, package(len, 0));
    }
}

#[test]
fn answers_may_come_separately() {
    let server = Server::with(Vec::new(), |_, message| {
        let server = Server::new(package(5000, 0));
        Some(Reaction::Separate(server.answer(message)))
    });
    let outcome = Run::new(server).run();
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.bytes == package(5000, 0));
    assert_eq!(outcome.numbers(), [0, 1, 2, 3, 4]);
}

#[test]
fn the_size_of_blocks_may_shrink_on_the_way() {
    let mut server = Server::new(package(10_000, 0));
    server.before = Box::new(|server, nth| server.szx = [6, 6, 6, 4, 4, 4, 4, 2][nth.min(7)]);
    let outcome = Run::new(server).run();
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.bytes == package(10_000, 0));
    assert_eq!(outcome.asked.last().unwrap().unwrap().szx, 2);
}

#[test]
fn the_first_request_asks_for_blocks_that_the_link_carries() {
    for (max_datagram, szx) in [(65_000, 6), (1152, 6), (1072, 6), (1071, 5), (127, 2), (40, 0)] {
        let mut run = Run::new(Server::new(package(100, 0)));
        run.max_datagram = max_datagram;
        let outcome = run.run();
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(outcome.asked[0], Some(Asked { number: 0, szx }), "{max_datagram}");
    }
}

#[test]
fn a_server_without_block2_is_asked_without_it() {
    for code in [Code::BAD_OPTION, Code::BAD_REQUEST] {
        let server = Server::with(Vec::new(), move |nth, message| {
            assert_eq!(message.option(option::BLOCK2).is_some(), nth == 0);
            assert_eq!(message.option(option::SIZE2).is_some(), nth == 0);
            let mut draft = Draft::new(if nth == 0 { code } else { Code::CONTENT });
            draft.payload = package(1100, 0);
            Some(Reaction::Answer(draft))
        });
        let outcome = Run::new(server).run();
        assert_eq!((outcome.result, outcome.asked.len()), (Ok(()), 2));
        assert!(outcome.bytes == package(1100, 0));
    }
}

/// COAP-33 of the vectors: the request for block 5 of 64 bytes.
#[test]
fn a_request_names_path_and_block_and_nothing_else() {
    let vector: &[u8] = &[
        0x41, 0x01, 0x10, 0x10, 0xd1, 0xb2, 0x66, 0x77, 0x0b, 0x69, 0x6d, 0x61, 0x67, 0x65, 0x2e,
        0x72, 0x61, 0x75, 0x63, 0x62, 0xc1, 0x52,
    ];
    let vector = Message::decode(vector).unwrap();
    let requests = requests(
        CoapTarget { path: vec!["fw".into(), "image.raucb".into()], ..CoapTarget::default() },
        2,
    );
    let options = |message: &Message<'_>| {
        message.options().map(|(number, value)| (number, value.to_vec())).collect::<Vec<_>>()
    };
    let sixth = Message::decode(&requests[5]).unwrap();
    assert_eq!(sixth.code, method::GET);
    let of_sixth = options(&sixth);
    assert_eq!(of_sixth, options(&vector));
    let first = options(&Message::decode(&requests[0]).unwrap());
    assert_eq!(first[2..], [(option::BLOCK2, vec![6]), (option::SIZE2, vec![])]);
}

/// RFC 7252 6.4.
#[test]
fn a_request_names_host_and_query_too() {
    let target = CoapTarget {
        host: Some("files.example".into()),
        path: vec!["a".into(), String::new()],
        query: vec!["v=1".into(), "x&y".into()],
    };
    let requests = requests(target, 6);
    let message = Message::decode(&requests[0]).unwrap();
    let options: Vec<_> = message.options().collect();
    let expected: [(u16, &[u8]); 7] = [
        (option::URI_HOST, b"files.example"),
        (option::URI_PATH, b"a"),
        (option::URI_PATH, b""),
        (option::URI_QUERY, b"v=1"),
        (option::URI_QUERY, b"x&y"),
        (option::BLOCK2, &[6]),
        (option::SIZE2, &[]),
    ];
    assert_eq!(options, expected);
}

/// Requests that fetch 10,000 bytes.
fn requests(target: CoapTarget, szx: u8) -> Vec<Vec<u8>> {
    let mut server = Server::new(package(10_000, 0));
    server.szx = szx;
    let mut fetch = CoapFetch::new(target, None, [1; 32]);
    fetch.handle(Instant::ZERO, CoapFetchInput::LinkUp { max_datagram: 1152 });
    let mut requests = Vec::new();
    while let Some(output) = fetch.poll_output() {
        match output {
            CoapFetchOutput::OpenLink | CoapFetchOutput::End(_) => {}
            CoapFetchOutput::Transmit(request) => {
                let message = Message::decode(&request).unwrap();
                let (kind, id, token) =
                    (lwm2m_coap::Kind::Acknowledgement, message.id, message.token);
                let answer = server.answer(&message).encode(kind, id, token);
                fetch.handle(Instant::ZERO, CoapFetchInput::Datagram(&answer));
                requests.push(request);
            }
            CoapFetchOutput::Fetched(_) => fetch.handle(Instant::ZERO, CoapFetchInput::Taken),
        }
    }
    requests
}

#[test]
fn no_more_is_asked_for_than_there_is_room_for() {
    let asked = Rc::new(RefCell::new(0));
    let (counted, body) = (Rc::clone(&asked), package(1 << 20, 0));
    let inner = Server::new(body.clone());
    let server = Server::with(body, move |nth, message| {
        *counted.borrow_mut() = nth + 1;
        Some(Reaction::Answer(inner.answer(message)))
    });
    let mut run = Run::new(server);
    // Nobody takes even the `Begin` before the link breaks.
    (run.taking, run.broken_at) = (10_000_000, Some(1_000_000));
    let outcome = run.run();
    assert_eq!(outcome.failure().1, "no network");
    // The `Begin` is in hand: one part is asked for.
    assert_eq!(*asked.borrow(), MAX_PART / 1024);
    assert!(outcome.bytes == package(MAX_PART, 0), "what was here is handed out");
}

#[test]
fn one_who_takes_slowly_gets_everything() {
    let mut run = Run::new(Server::new(package(200_000, 0)));
    // Longer than a message id lives.
    run.taking = 300_000;
    let outcome = run.run();
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.bytes == package(200_000, 0));
    assert_eq!(outcome.asked.len(), 196);
}

/// RFC 7959 2.4 alone would take a round trip of 200 ms for each of 256 blocks.
#[test]
fn several_blocks_are_under_way_at_once_while_nothing_is_lost() {
    let mut run = Run::new(Server::new(package(256 * 1024, 0)));
    run.fate = Box::new(|_| vec![100]);
    let outcome = run.run();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.asked.len(), 256);
    // Rounds of 1 to 7 blocks, then of 8.
    let rounds: u64 = 7 + (256 - 28) / 8 + 1;
    let span = outcome.at.as_millis() as u64;
    assert!((rounds * 200..=(rounds + 3) * 200).contains(&span), "{span} ms for {rounds} rounds");
}

#[test]
fn a_server_that_refuses_blocks_out_of_turn_is_asked_for_one_at_a_time() {
    for code in [
        Code::REQUEST_ENTITY_INCOMPLETE,
        Code::BAD_REQUEST,
        Code::INTERNAL_SERVER_ERROR,
        Code::NOT_FOUND,
    ] {
        let mut next = 0;
        let server = Server::with(package(50_000, 0), move |_, message| {
            let number = asked(message).unwrap().number;
            // One that was lost on the way back is given again.
            if number > next {
                return Some(Reaction::Answer(Draft::new(code)));
            }
            next = next.max(number + 1);
            None
        });
        let mut run = Run::new(server);
        // The first of the second round comes after the second.
        run.fate = Box::new(|nth| vec![if nth == 3 { 30 } else { 10 }]);
        let outcome = run.run();
        assert_eq!(outcome.result, Ok(()), "{code}");
        assert!(outcome.bytes == package(50_000, 0));
        // One was asked for twice, and from then on each in its turn.
        assert_eq!(outcome.numbers()[..6], [0, 2, 1, 2, 3, 4]);
        assert_eq!(outcome.asked.len(), 50);
    }
}

/// The seed tells every token to come.
#[test]
fn what_is_shown_of_a_fetch_has_no_seed_in_it() {
    let fetch = CoapFetch::new(CoapTarget::default(), None, [171; 32]);
    assert!(!format!("{fetch:?}").contains("171"));
}
