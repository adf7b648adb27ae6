//! Requests of the peer: acknowledgements, duplicates, refusals.

use lwm2m_coap::{Draft, Event, Kind, method, option};
use lwm2m_model::Code;

use crate::support::*;

#[test]
fn a_ping_is_answered_reset() {
    let mut endpoint = endpoint();
    swallow(&mut endpoint, at(0), &empty(Kind::Confirmable, 0x4001));
    assert_eq!(shown(&mut endpoint), ["RST 0.00 #16385"]);
    assert!(endpoint.is_idle());
    assert_eq!(endpoint.next_timeout(), None);
}

#[test]
fn a_quick_answer_rides_on_the_ack() {
    let mut endpoint = endpoint();
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    assert!(!endpoint.is_idle());
    endpoint.respond(at(10), exchange, content("a"));
    assert_eq!(shown(&mut endpoint), ["ACK 2.05 #1 t0001 a"]);
    assert!(endpoint.is_idle());
    assert_eq!(endpoint.next_timeout(), None);
    assert_eq!(endpoint.last_activity(), Some(at(10)));
}

/// The object that takes 3 s: one request is seen, whatever is retransmitted.
/// TRN-41.
#[test]
fn a_slow_answer_is_acknowledged_then_sent_by_itself_until_acknowledged() {
    let mut endpoint = endpoint();
    let request = get(Kind::Confirmable, 0x2001);
    let exchange = accept(&mut endpoint, at(0), &request);
    assert_eq!(endpoint.next_timeout(), Some(at(1000)));

    swallow(&mut endpoint, at(500), &request);
    assert!(sent(&mut endpoint).is_empty());

    endpoint.handle_timeout(at(1000));
    assert_eq!(shown(&mut endpoint), ["ACK 0.00 #8193"]);

    swallow(&mut endpoint, at(2000), &request);
    assert_eq!(shown(&mut endpoint), ["ACK 0.00 #8193"]);

    endpoint.respond(at(3000), exchange, content("done"));
    let answer = sent_one(&mut endpoint);
    let id = decode(&answer).id;
    assert_ne!(id, 0x2001);
    assert_eq!(show(&answer), format!("CON 2.05 #{id} t2001 done"));
    assert!(!endpoint.is_idle());

    swallow(&mut endpoint, at(3500), &request);
    assert_eq!(shown(&mut endpoint), ["ACK 0.00 #8193"]);

    let repeated = run(&mut endpoint, at(15_000));
    let times: Vec<u64> = repeated.iter().map(|(time, _)| *time).collect();
    assert!(repeated.iter().all(|(_, datagram)| *datagram == answer), "{repeated:?}");
    assert_eq!(times.len(), 2, "{times:?}");
    assert!((5000..=6000).contains(&times[0]), "{times:?}");

    swallow(&mut endpoint, at(15_000), &empty(Kind::Acknowledgement, id));
    assert!(endpoint.is_idle());
    assert_eq!(run(&mut endpoint, at(1_000_000)), []);
    assert_eq!(endpoint.counters().duplicates, 3);
    assert_eq!(endpoint.counters().retransmissions, 2);
}

#[test]
fn a_separate_answer_ends_with_reset_or_silence_and_tells_nobody() {
    for reset in [true, false] {
        let mut endpoint = endpoint();
        let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
        endpoint.handle_timeout(at(1000));
        sent(&mut endpoint);
        endpoint.respond(at(1100), exchange, content("x"));
        let id = decode(&sent_one(&mut endpoint)).id;
        if reset {
            swallow(&mut endpoint, at(1200), &empty(Kind::Reset, id));
        }
        assert_eq!(run(&mut endpoint, at(200_000)).len(), if reset { 0 } else { 4 });
        assert_eq!(endpoint.poll_event(), None);
        assert!(endpoint.is_idle());
    }
}

/// TRN-40.
#[test]
fn a_duplicate_gets_the_very_same_bytes() {
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        let mut endpoint = endpoint();
        let request = get(kind, 9);
        let exchange = accept(&mut endpoint, at(0), &request);
        endpoint.respond(at(1), exchange, content("a"));
        let answer = sent_one(&mut endpoint);
        for time in [2, 1000, 100_000, 144_999] {
            swallow(&mut endpoint, at(time), &request);
            assert_eq!(sent_one(&mut endpoint), answer, "{kind:?} at {time}");
        }
    }
}

/// TRN-40.
#[test]
fn a_message_id_is_new_again_after_its_lifetime() {
    for (kind, lifetime) in [(Kind::Confirmable, 247_000), (Kind::NonConfirmable, 145_000)] {
        let mut endpoint = endpoint();
        let exchange = accept(&mut endpoint, at(0), &get(kind, 9));
        endpoint.respond(at(2), exchange, content("a"));
        swallow(&mut endpoint, at(lifetime - 1), &get(kind, 9));
        accept(&mut endpoint, at(lifetime), &get(kind, 9));

        // Also if the first was never answered, and time has not been told yet.
        swallow(&mut endpoint, at(2 * lifetime - 1), &get(kind, 9));
        accept(&mut endpoint, at(2 * lifetime), &get(kind, 9));
    }
}

#[test]
fn a_non_confirmable_request_is_answered_so_and_late_without_an_ack() {
    let mut endpoint = endpoint();
    let request = get(Kind::NonConfirmable, 9);
    let exchange = accept(&mut endpoint, at(0), &request);
    swallow(&mut endpoint, at(500), &request);
    assert_eq!(run(&mut endpoint, at(5000)), []);
    endpoint.respond(at(5000), exchange, content("a"));
    let answer = sent_one(&mut endpoint);
    assert!(show(&answer).starts_with("NON 2.05"), "{}", show(&answer));
    assert_eq!(decode(&answer).token, token(&[0, 9]));
    assert!(endpoint.is_idle());
}

#[test]
fn an_ignored_request_is_not_answered_and_may_be_served_when_it_comes_again() {
    let mut endpoint = endpoint();
    let request = get(Kind::Confirmable, 9);
    let exchange = accept(&mut endpoint, at(0), &request);
    endpoint.ignore(exchange);
    assert!(endpoint.is_idle());
    assert_eq!(run(&mut endpoint, at(2_000)), []);
    endpoint.respond(at(2_000), exchange, content("late"));
    assert!(sent(&mut endpoint).is_empty());
    let again = accept(&mut endpoint, at(2_500), &request);
    endpoint.respond(at(2_500), again, content("now"));
    assert_eq!(sent(&mut endpoint).len(), 1);

    let exchange = accept(&mut endpoint, at(20_000), &get(Kind::Confirmable, 10));
    endpoint.handle_timeout(at(21_000));
    let acknowledgement = sent_one(&mut endpoint);
    endpoint.ignore(exchange);
    swallow(&mut endpoint, at(22_000), &get(Kind::Confirmable, 10));
    assert_eq!(sent_one(&mut endpoint), acknowledgement);
}

#[test]
fn an_answer_to_an_unknown_or_expired_exchange_does_nothing() {
    let mut endpoint = endpoint();
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 9));
    endpoint.respond(at(1), exchange, content("a"));
    sent(&mut endpoint);
    endpoint.respond(at(2), exchange, content("again"));
    assert!(sent(&mut endpoint).is_empty());

    let never = accept(&mut endpoint, at(1000), &get(Kind::Confirmable, 10));
    assert_eq!(run(&mut endpoint, at(248_000)).len(), 1);
    assert!(endpoint.is_idle(), "an exchange nobody answers ends with its message id");
    endpoint.respond(at(248_000), never, content("late"));
    assert!(sent(&mut endpoint).is_empty());

    // Expired, but time has not been told yet.
    let late = accept(&mut endpoint, at(300_000), &get(Kind::NonConfirmable, 11));
    endpoint.respond(at(445_000), late, content("late"));
    assert!(sent(&mut endpoint).is_empty());
}

/// TRN-39.
#[test]
fn options_of_a_request_are_known_or_refused() {
    const OK: &str = "";
    let bare = || Draft::new(method::GET);
    let table: Vec<(Draft, &str)> = vec![
        (bare().option(option::URI_HOST, b"host").option_uint(option::URI_PORT, 5683), OK),
        (read().option(option::URI_QUERY, b"depth=1").option_uint(option::ACCEPT, 40), OK),
        (read().option_uint(option::OBSERVE, 0).option(option::ETAG, &[1]), OK),
        (read().option_uint(option::BLOCK2, 6).option_uint(option::SIZE2, 0), OK),
        (read().option_uint(option::BLOCK1, 6).option_uint(option::SIZE1, 9), OK),
        (read().option(option::ECHO, &[1; 8]).option(option::REQUEST_TAG, &[1]), OK),
        (read().option(65_000, b"elective"), OK),
        (read().option(65_001, b"critical"), "4.02"),
        (bare().option(option::IF_MATCH, b""), "4.02"),
        (bare().option(option::IF_NONE_MATCH, b""), "4.02"),
        (bare().option(option::OSCORE, &[9]), "4.02"),
        (bare().option(option::PROXY_URI, b"coap://x"), "5.05"),
        (bare().option(option::PROXY_SCHEME, b"coap"), "5.05"),
        (bare().option(option::URI_HOST, b""), "4.02"),
        (bare().option(option::URI_HOST, b"a").option(option::URI_HOST, b"b"), "4.02"),
        (bare().option(option::URI_PORT, &[1, 2, 3]), "4.02"),
        (bare().option(option::URI_PATH, &[b'a'; 255]), OK),
        (bare().option(option::URI_PATH, &[b'a'; 256]), "4.02"),
        (read().option(option::ACCEPT, &[0, 0, 40]), "4.02"),
        (read().option_uint(option::ACCEPT, 0).option_uint(option::ACCEPT, 40), "4.02"),
        (read().option(option::BLOCK2, &[0, 0, 0, 6]), "4.02"),
        (read().option_uint(option::BLOCK2, 6).option_uint(option::BLOCK2, 5), "4.02"),
        (read().option_uint(option::BLOCK2, 7), "4.00"),
        (read().option_uint(option::BLOCK1, 7), "4.00"),
        (read().option_uint(option::BLOCK1, 0x0e), "4.00"),
        (read().option_uint(option::BLOCK1, 0x16), "4.08"),
    ];
    for (draft, expected) in table {
        for kind in [Kind::Confirmable, Kind::NonConfirmable] {
            let mut endpoint = endpoint();
            let datagram = draft.encode(kind, 7, token(&[1]));
            let is_request = endpoint.handle_datagram(at(0), &datagram).is_some();
            let answers = sent(&mut endpoint);
            // A NON with an option that must be understood is dropped.
            let is_silent = kind == Kind::NonConfirmable && matches!(expected, "4.02" | "5.05");
            assert_eq!(is_request, expected == OK, "{draft:?}");
            assert_eq!(answers.len(), usize::from(expected != OK && !is_silent), "{draft:?}");
            for answer in &answers {
                let message = decode(answer);
                assert_eq!(message.code.to_string(), expected, "{draft:?}");
                assert_eq!(message.token, token(&[1]));
                assert_eq!(message.id == 7, kind == Kind::Confirmable);
                assert!(!message.payload.is_empty());
                swallow(&mut endpoint, at(10), &datagram);
                assert_eq!(sent_one(&mut endpoint), *answer, "the duplicate of {draft:?}");
            }
        }
    }
}

#[test]
fn a_single_block_of_a_request_is_acknowledged_as_such() {
    let mut endpoint = endpoint();
    let write = Draft::new(method::PUT).option_uint(option::BLOCK1, 4);
    let exchange = accept(&mut endpoint, at(0), &write.encode(Kind::Confirmable, 1, token(&[1])));
    endpoint.respond(at(1), exchange, Draft::new(Code::CHANGED));
    let answer = sent_one(&mut endpoint);
    assert_eq!(decode(&answer).option_uint(option::BLOCK1), Some(4));
}

#[test]
fn malformed_datagrams_are_counted_and_only_a_con_is_rejected() {
    let table: &[(&[u8], &[&str])] = &[
        (&[], &[]),
        (&[0x40, 1], &[]),
        // Version 2 is ignored in silence, whatever its type.
        (&[0x80, 1, 0x12, 0x34], &[]),
        (&[0x49, 1, 0x12, 0x34], &["RST 0.00 #4660"]),
        (&[0x40, 1, 0x12, 0x34, 0xff], &["RST 0.00 #4660"]),
        (&[0x40, 0xe1, 0x12, 0x34], &["RST 0.00 #4660"]),
        (&[0x41, 0, 0x12, 0x34, 1], &["RST 0.00 #4660"]),
        (&[0x59, 1, 0x12, 0x34], &[]),
        (&[0x69, 0x45, 0x12, 0x34], &[]),
        (&[0x79, 0, 0x12, 0x34], &[]),
        // Well formed, but they make no sense: an empty NON, a request in an ACK,
        // a RST that is not empty.
        (&[0x50, 0, 0x12, 0x34], &[]),
        (&[0x60, 1, 0x12, 0x34], &[]),
        (&[0x70, 1, 0x12, 0x34], &[]),
        (&[0x70, 0x45, 0x12, 0x34], &[]),
    ];
    for (datagram, expected) in table {
        let mut endpoint = endpoint();
        swallow(&mut endpoint, at(0), datagram);
        assert_eq!(shown(&mut endpoint), *expected, "{datagram:02x?}");
        assert_eq!(endpoint.counters().malformed, 1, "{datagram:02x?}");
        assert_eq!(endpoint.counters().received, 1);
    }
}

#[test]
fn rubbish_does_not_keep_a_device_awake() {
    let mut endpoint = endpoint();
    swallow(&mut endpoint, at(5), &[0x50, 1, 0x12, 0x34, 0xff]);
    assert_eq!(endpoint.last_activity(), None);
    swallow(&mut endpoint, at(6), &empty(Kind::Acknowledgement, 5));
    assert_eq!(endpoint.last_activity(), Some(at(6)));
}

#[test]
fn a_new_session_knows_nothing_of_the_old_one() {
    let mut endpoint = endpoint();
    let answered = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), answered, content("a"));
    let open = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 2));
    let request = endpoint.request(at(0), read());
    let datagram = sent(&mut endpoint).pop().unwrap();
    endpoint.reset();

    assert!(endpoint.is_idle());
    assert_eq!(endpoint.next_timeout(), None);
    assert_eq!(endpoint.last_activity(), None);
    endpoint.respond(at(1), open, content("late"));
    assert!(sent(&mut endpoint).is_empty());
    let response = content("old").encode(Kind::NonConfirmable, 1, decode(&datagram).token);
    swallow(&mut endpoint, at(1), &response);
    assert_eq!(endpoint.counters().unmatched, 1);
    let again = accept(&mut endpoint, at(2), &get(Kind::Confirmable, 1));
    assert_ne!(again, answered);
    assert_ne!(again, open);
    assert_ne!(endpoint.request(at(3), read()), request);
    assert_eq!(endpoint.poll_event(), None::<Event>);
}
