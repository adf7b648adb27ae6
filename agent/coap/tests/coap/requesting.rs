//! Requests of ours: retransmission, answers of every kind, NSTART.

use std::collections::HashSet;
use std::time::Duration;

use lwm2m_coap::{Config, Draft, Endpoint, Event, Incoming, Kind, Random, method, option};
use lwm2m_model::{Code, Instant};

use crate::support::*;

fn register() -> Draft {
    Draft::new(method::POST).option(option::URI_PATH, b"rd")
}

#[test]
fn a_request_is_repeated_with_doubled_time_outs_and_then_given_up() {
    for seed in 0..50 {
        let mut endpoint = Endpoint::new(Config::default(), Random::from_seed([seed; 32]));
        let request = endpoint.request(at(0), register());
        let first = sent_one(&mut endpoint);
        assert_eq!(decode(&first).kind, Kind::Confirmable);
        assert_eq!(decode(&first).token.as_bytes().len(), 8);

        let repeated = run(&mut endpoint, at(1_000_000));
        assert!(repeated.iter().all(|(_, datagram)| *datagram == first));
        let times: Vec<u64> = repeated.iter().map(|(time, _)| *time).collect();
        assert_eq!(times.len(), 4);
        assert!((2000..=3000).contains(&times[0]), "{times:?}");
        for (doubled, time) in times.iter().enumerate() {
            let expected = times[0] * ((2 << doubled) - 1);
            assert!(time.abs_diff(expected) < 40, "{times:?}");
        }
        assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request }));
        assert_eq!(endpoint.poll_event(), None);
        assert!(endpoint.is_idle());
        assert_eq!(endpoint.counters().retransmissions, 4);
    }
}

#[test]
fn a_request_is_given_up_within_max_transmit_wait() {
    let mut endpoint = endpoint_with(|config| config.ack_random_factor = 1.0);
    endpoint.request(at(0), register());
    run(&mut endpoint, at(61_999));
    assert_eq!(endpoint.poll_event(), None);
    assert_eq!(endpoint.config().max_transmit_wait(), Duration::from_secs(62));
    run(&mut endpoint, at(62_000));
    assert!(endpoint.poll_event().is_some());
}

#[test]
fn jitter_spreads_the_first_repetition() {
    let times: HashSet<Option<Instant>> = (0..50)
        .map(|seed| {
            let mut endpoint = Endpoint::new(Config::default(), Random::from_seed([seed; 32]));
            endpoint.request(at(0), register());
            endpoint.next_timeout()
        })
        .collect();
    assert!(times.len() > 40);
}

#[test]
fn a_seed_gives_the_same_conversation_again() {
    let conversation = |seed| {
        let mut endpoint = Endpoint::new(Config::default(), Random::from_seed([seed; 32]));
        endpoint.request(at(0), register());
        (endpoint.next_timeout(), sent_one(&mut endpoint))
    };
    assert_eq!(conversation(1), conversation(1));
    assert_ne!(conversation(1), conversation(2));
}

#[test]
fn the_jump_of_a_suspend_repeats_once() {
    let mut endpoint = endpoint();
    endpoint.request(at(0), register());
    sent(&mut endpoint);
    endpoint.handle_timeout(at(1_000_000));
    assert_eq!(sent(&mut endpoint).len(), 1);
    assert!(endpoint.next_timeout() > Some(at(1_003_000)));
}

#[test]
fn a_piggybacked_answer_ends_the_request() {
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), register());
    let sent = sent_one(&mut endpoint);
    let answer = Draft::new(Code::CREATED).encode(
        Kind::Acknowledgement,
        decode(&sent).id,
        decode(&sent).token,
    );
    match endpoint.handle_datagram(at(100), &answer) {
        Some(Incoming::Response { request: answered, message }) => {
            assert_eq!(answered, request);
            assert_eq!(message.code, Code::CREATED);
        }
        other => panic!("{other:?}"),
    }
    assert!(endpoint.is_idle());
    assert_eq!(endpoint.next_timeout(), None);
    swallow(&mut endpoint, at(200), &answer);
    assert_eq!(endpoint.counters().unmatched, 1);
}

/// (kind of the separate answer, whether the empty ACK came first, what we send)
/// TRN-41.
#[test]
fn a_separate_answer_is_taken_with_or_without_its_ack() {
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        for acknowledged in [true, false] {
            let mut endpoint = endpoint();
            let request = endpoint.request(at(0), register());
            let datagram = sent_one(&mut endpoint);
            let (id, token) = (decode(&datagram).id, decode(&datagram).token);
            if acknowledged {
                swallow(&mut endpoint, at(100), &empty(Kind::Acknowledgement, id));
                assert!(!endpoint.is_idle());
                assert_eq!(endpoint.next_timeout(), Some(at(93_100)));
            }
            let answer = Draft::new(Code::CREATED).encode(kind, 0x7777, token);
            let incoming = endpoint.handle_datagram(at(5000), &answer);
            assert!(
                matches!(incoming, Some(Incoming::Response { request: of, .. }) if of == request)
            );
            let expected: &[&str] =
                if kind == Kind::Confirmable { &["ACK 0.00 #30583"] } else { &[] };
            assert_eq!(shown(&mut endpoint), expected);
            assert!(endpoint.is_idle());

            // The peer did not get our ACK, or the network doubled the answer.
            swallow(&mut endpoint, at(6000), &answer);
            assert_eq!(shown(&mut endpoint), expected);
            assert_eq!(endpoint.counters().duplicates, 1);
            assert_eq!(run(&mut endpoint, at(500_000)), []);
            assert_eq!(endpoint.poll_event(), None);
        }
    }
}

#[test]
fn after_the_empty_ack_a_request_is_not_repeated_but_waits_for_its_end() {
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), register());
    let id = decode(&sent_one(&mut endpoint)).id;
    swallow(&mut endpoint, at(1000), &empty(Kind::Acknowledgement, id));
    assert_eq!(run(&mut endpoint, at(93_999)), []);
    assert_eq!(endpoint.poll_event(), None);
    assert_eq!(run(&mut endpoint, at(94_000)), []);
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request }));
    assert!(endpoint.is_idle());
}

#[test]
fn a_reset_ends_the_request() {
    let mut endpoint = endpoint();
    let request = endpoint.request(at(0), register());
    let id = decode(&sent_one(&mut endpoint)).id;
    let reset = empty(Kind::Reset, id);
    let incoming = endpoint.handle_datagram(at(1), &reset);
    assert!(matches!(incoming, Some(Incoming::RequestReset { request: of }) if of == request));
    assert!(endpoint.is_idle());
    swallow(&mut endpoint, at(2), &reset);
    assert_eq!(endpoint.counters().unmatched, 1);
}

#[test]
fn an_answer_that_matches_nothing_is_reset_if_confirmable() {
    let mut endpoint = endpoint();
    endpoint.request(at(0), register());
    let request = sent_one(&mut endpoint);
    let id = decode(&request).id;
    for (kind, expected) in [
        (Kind::Confirmable, &[format!("RST 0.00 #{id}")] as &[String]),
        (Kind::NonConfirmable, &[]),
        (Kind::Acknowledgement, &[]),
    ] {
        for wrong in [token(b""), token(b"12345678")] {
            swallow(&mut endpoint, at(1), &Draft::new(Code::CREATED).encode(kind, id, wrong));
            assert_eq!(shown(&mut endpoint), expected);
        }
    }
    assert_eq!(endpoint.counters().unmatched, 6);
    assert!(!endpoint.is_idle(), "the request goes on");
}

#[test]
fn an_answer_with_an_unknown_critical_option_is_rejected() {
    let table = [
        Draft::new(Code::CREATED).option(65_001, b""),
        Draft::new(Code::CREATED).option(option::URI_PATH, b"rd"),
        Draft::new(Code::CREATED).option(option::BLOCK2, &[0, 0, 0, 0]),
        Draft::new(Code::CREATED).option(option::BLOCK2, &[6]).option(option::BLOCK2, &[6]),
    ];
    for draft in table {
        for kind in [Kind::Confirmable, Kind::NonConfirmable, Kind::Acknowledgement] {
            let mut endpoint = endpoint();
            endpoint.request(at(0), register());
            let request = sent_one(&mut endpoint);
            let (id, token) = (decode(&request).id, decode(&request).token);
            swallow(&mut endpoint, at(1), &draft.encode(kind, id, token));
            let rejected = shown(&mut endpoint);
            assert_eq!(rejected.len(), usize::from(kind == Kind::Confirmable), "{rejected:?}");
            assert!(rejected.iter().all(|text| text.starts_with("RST")));
            assert!(!endpoint.is_idle());
        }
    }
    // Elective ones and the blocks of an answer are no reason.
    let mut endpoint = endpoint();
    endpoint.request(at(0), register());
    let token = decode(&sent_one(&mut endpoint)).token;
    let answer = Draft::new(Code::UNAUTHORIZED)
        .option(option::NO_RESPONSE, &[1])
        .option_uint(option::BLOCK2, 0x0e)
        .encode(Kind::NonConfirmable, 1, token);
    assert!(matches!(endpoint.handle_datagram(at(1), &answer), Some(Incoming::Response { .. })));
}

#[test]
fn one_confirmable_message_is_in_flight_at_a_time() {
    let mut endpoint = endpoint();
    let first = endpoint.request(at(0), register());
    let datagram = sent_one(&mut endpoint);
    let second = endpoint.request(at(1), register());
    let observation = token(b"obs");
    let (answered, key) = accept_with_key(&mut endpoint, at(2), &get(Kind::Confirmable, 1));
    endpoint.notify(at(2), observation, key, Kind::Confirmable, content("n"));
    endpoint.handle_timeout(at(1002));
    assert_eq!(shown(&mut endpoint), ["ACK 0.00 #1"], "an ACK waits for nothing");
    endpoint.respond(at(1003), answered, content("separate"));
    assert!(sent(&mut endpoint).is_empty());

    // The empty ACK frees the place, though the answer is still to come. The
    // answer that the peer waits for goes before what was there first.
    swallow(&mut endpoint, at(1100), &empty(Kind::Acknowledgement, decode(&datagram).id));
    let separate = sent_one(&mut endpoint);
    assert_eq!(*decode(&separate).payload, *b"separate");
    swallow(&mut endpoint, at(1100), &empty(Kind::Acknowledgement, decode(&separate).id));
    let datagram = sent_one(&mut endpoint);
    let done = Draft::new(Code::CREATED).encode(
        Kind::Acknowledgement,
        decode(&datagram).id,
        decode(&datagram).token,
    );
    let incoming = endpoint.handle_datagram(at(1200), &done);
    assert!(matches!(incoming, Some(Incoming::Response { request, .. }) if request == second));
    let notification = sent_one(&mut endpoint);
    assert_eq!(*decode(&notification).payload, *b"n");
    let acknowledgement = empty(Kind::Acknowledgement, decode(&notification).id);
    let incoming = endpoint.handle_datagram(at(1400), &acknowledgement);
    assert!(matches!(incoming, Some(Incoming::NotificationAcknowledged { .. })));

    assert_eq!(endpoint.next_timeout(), Some(at(94_100)), "the first still waits");
    run(&mut endpoint, at(100_000));
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request: first }));
}

#[test]
fn a_request_behind_one_that_times_out_goes_next() {
    let mut endpoint = endpoint();
    let first = endpoint.request(at(0), register());
    let second = endpoint.request(at(0), register());
    assert_eq!(sent(&mut endpoint).len(), 1);
    let all = run(&mut endpoint, at(1_000_000));
    assert_eq!(all.len(), 4 + 5);
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request: first }));
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request: second }));
}

#[test]
fn a_cancelled_request_is_forgotten_and_the_next_one_goes() {
    let mut endpoint = endpoint();
    let first = endpoint.request(at(0), register());
    let datagram = sent_one(&mut endpoint);
    let second = endpoint.request(at(10), register());
    let third = endpoint.request(at(10), register());
    endpoint.cancel(third);
    endpoint.cancel(first);
    assert_eq!(endpoint.next_timeout(), Some(at(10)), "at once");
    endpoint.handle_timeout(at(20));
    assert_eq!(sent(&mut endpoint).len(), 1);
    let late = Draft::new(Code::CREATED).encode(Kind::Confirmable, 1, decode(&datagram).token);
    swallow(&mut endpoint, at(30), &late);
    assert_eq!(shown(&mut endpoint), ["RST 0.00 #1"]);
    run(&mut endpoint, at(1_000_000));
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request: second }));
    assert_eq!(endpoint.poll_event(), None);
}

#[test]
fn message_ids_count_and_tokens_do_not_repeat() {
    let mut endpoint = endpoint();
    let mut tokens = HashSet::new();
    let mut last = None;
    for round in 0..1000_u64 {
        let request = endpoint.request(at(round), register());
        let datagram = sent_one(&mut endpoint);
        let message = decode(&datagram);
        assert!(tokens.insert(message.token));
        if let Some(last) = last.replace(message.id) {
            assert_eq!(message.id, u16::wrapping_add(last, 1));
        }
        endpoint.cancel(request);
    }
}

/// RFC 7252 4.7: what more are in flight is repeated and answered each by itself.
#[test]
fn as_many_messages_are_in_flight_as_nstart_says() {
    let mut endpoint = endpoint_with(|config| config.nstart = 3);
    let requests = [0; 5].map(|_| endpoint.request(at(0), register()));
    let first = sent(&mut endpoint);
    assert_eq!(first.len(), 3);

    let answer = |datagram: &[u8]| {
        let (id, token) = (decode(datagram).id, decode(datagram).token);
        Draft::new(Code::CREATED).encode(Kind::Acknowledgement, id, token)
    };
    let second = answer(&first[1]);
    let incoming = endpoint.handle_datagram(at(10), &second);
    assert!(matches!(incoming, Some(Incoming::Response { request, .. }) if request == requests[1]));
    let fourth = sent_one(&mut endpoint);

    // After a suspend all that are in flight are due, and each goes out once.
    endpoint.handle_timeout(at(1_000_000));
    assert_eq!(sent(&mut endpoint), [first[0].clone(), first[2].clone(), fourth]);
    assert_eq!(endpoint.counters().retransmissions, 3);

    endpoint.cancel(requests[0]);
    endpoint.cancel(requests[2]);
    assert_eq!(endpoint.next_timeout(), Some(at(1_000_000)), "at once");
    endpoint.handle_timeout(at(1_000_000));
    sent_one(&mut endpoint);
    run(&mut endpoint, at(2_000_000));
    // Jitter says which is given up first.
    let given_up = [endpoint.poll_event(), endpoint.poll_event(), endpoint.poll_event()];
    for request in [requests[3], requests[4]] {
        assert!(given_up.contains(&Some(Event::RequestTimedOut { request })), "{given_up:?}");
    }
    assert_eq!(given_up[2], None);
    assert!(endpoint.is_idle());
}
