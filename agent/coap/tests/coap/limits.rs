//! Each limit of [`Config`], hit.

use std::time::Duration;

use lwm2m_coap::{Config, Draft, Event, Incoming, Kind, Random, method, option};
use lwm2m_model::{Code, ContentFormat};

use crate::support::*;

/// TRN-42.
#[test]
fn the_times_are_those_of_the_specification() {
    let config = Config::default();
    assert_eq!(config.max_transmit_span(), Duration::from_secs(45));
    assert_eq!(config.max_transmit_wait(), Duration::from_secs(93));
    assert_eq!(config.exchange_lifetime(), Duration::from_secs(247));
    assert_eq!(config.non_lifetime(), Duration::from_secs(145));
}

#[test]
fn senseless_parameters_harm_nobody() {
    for (ack_timeout, ack_random_factor, max_retransmit) in [
        (Duration::ZERO, 1.5, 4),
        (Duration::MAX, 1.5, 4),
        (Duration::from_secs(2), f64::NAN, 4),
        (Duration::from_secs(2), f64::INFINITY, 4),
        (Duration::from_secs(2), -7.0, 4),
        (Duration::from_secs(2), 1.5, u32::MAX),
        (Duration::from_secs(2), 1.5, 0),
    ] {
        let mut endpoint = endpoint_with(|config| {
            config.ack_timeout = ack_timeout;
            config.ack_random_factor = ack_random_factor;
            config.max_retransmit = max_retransmit;
            config.separate_after = Duration::MAX;
            config.answer_cache_entries = 0;
            config.answer_cache_bytes = 0;
            config.max_queue = 0;
            config.max_datagram = 0;
        });
        let exchange = accept(&mut endpoint, at(5), &get(Kind::Confirmable, 1));
        endpoint.request(at(5), read());
        endpoint.respond(at(6), exchange, content("a"));
        assert_eq!(sent(&mut endpoint).len(), 2);
        run(&mut endpoint, at(1_000_000));
    }
}

#[test]
fn the_oldest_answer_goes_first() {
    let mut endpoint = endpoint_with(|config| config.answer_cache_entries = 3);
    for id in 1..=4 {
        let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, id));
        endpoint.respond(at(0), exchange, content("a"));
    }
    sent(&mut endpoint);
    for id in 2..=4 {
        swallow(&mut endpoint, at(1), &get(Kind::Confirmable, id));
        assert_eq!(shown(&mut endpoint), [format!("ACK 2.05 #{id} t000{id} a")]);
    }
    accept(&mut endpoint, at(1), &get(Kind::Confirmable, 1));
}

#[test]
fn answers_are_bounded_by_their_bytes_too() {
    let mut endpoint = endpoint_with(|config| config.answer_cache_bytes = 1000);
    let answer = "x".repeat(300);
    for id in 1..=4 {
        let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, id));
        endpoint.respond(at(0), exchange, content(&answer));
    }
    sent(&mut endpoint);
    for id in 2..=4 {
        swallow(&mut endpoint, at(1), &get(Kind::Confirmable, id));
        assert_eq!(decode(&sent_one(&mut endpoint)).payload, answer.as_bytes());
    }
    let exchange = accept(&mut endpoint, at(1), &get(Kind::Confirmable, 1));

    // One that does not fit at all is not repeated, but not worked on again either.
    endpoint.respond(at(1), exchange, content(&"y".repeat(1001)));
    sent(&mut endpoint);
    swallow(&mut endpoint, at(2), &get(Kind::Confirmable, 1));
    assert!(sent(&mut endpoint).is_empty());
}

#[test]
fn an_exchange_that_is_worked_on_outlives_any_number_of_answers() {
    let mut endpoint = endpoint_with(|config| config.answer_cache_entries = 2);
    let slow = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    for id in 2..=200 {
        let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, id));
        endpoint.respond(at(0), exchange, content("a"));
    }
    sent(&mut endpoint);
    swallow(&mut endpoint, at(500), &get(Kind::Confirmable, 1));
    endpoint.respond(at(600), slow, content("slow"));
    assert_eq!(shown(&mut endpoint), ["ACK 2.05 #1 t0001 slow"]);
}

#[test]
fn too_many_requests_at_once_are_told_so() {
    let mut endpoint = endpoint();
    let open: Vec<_> =
        (0..32).map(|id| accept(&mut endpoint, at(0), &get(Kind::Confirmable, id))).collect();
    let one_more = get(Kind::Confirmable, 100);
    swallow(&mut endpoint, at(1), &one_more);
    let refusal = sent_one(&mut endpoint);
    assert_eq!(decode(&refusal).code, Code::SERVICE_UNAVAILABLE);
    swallow(&mut endpoint, at(1), &get(Kind::NonConfirmable, 101));
    assert!(sent(&mut endpoint).is_empty());

    // An answer makes room, but the refused one stays refused.
    endpoint.respond(at(2), open[0], content("a"));
    sent(&mut endpoint);
    swallow(&mut endpoint, at(3), &one_more);
    assert_eq!(sent_one(&mut endpoint), refusal);
    accept(&mut endpoint, at(4), &get(Kind::Confirmable, 102));
}

#[test]
fn separate_answers_that_nobody_acknowledges_are_bounded() {
    let mut endpoint = endpoint();
    for id in 0..32 {
        accept(&mut endpoint, at(0), &get(Kind::Confirmable, id));
    }
    endpoint.handle_timeout(at(1000));
    assert_eq!(sent(&mut endpoint).len(), 32);
    let mut endpoint = endpoint_with(|config| config.max_exchanges = 2);
    let open = [1, 2].map(|id| accept(&mut endpoint, at(0), &get(Kind::Confirmable, id)));
    endpoint.handle_timeout(at(1000));
    for exchange in open {
        endpoint.respond(at(1000), exchange, content("a"));
    }
    let first = sent(&mut endpoint).pop().unwrap();
    swallow(&mut endpoint, at(1001), &get(Kind::Confirmable, 3));
    assert_eq!(decode(&sent_one(&mut endpoint)).code, Code::SERVICE_UNAVAILABLE);
    swallow(&mut endpoint, at(1002), &empty(Kind::Acknowledgement, decode(&first).id));
    accept(&mut endpoint, at(1003), &get(Kind::Confirmable, 4));
}

#[test]
fn a_full_queue_gives_requests_and_notifications_up_at_once() {
    let mut endpoint = endpoint();
    let (exchange, key) = accept_with_key(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, content("a"));
    for _ in 0..33 {
        endpoint.request(at(0), read());
    }
    assert_eq!(endpoint.poll_event(), None);
    let refused = endpoint.request(at(0), read());
    assert_eq!(endpoint.poll_event(), Some(Event::RequestTimedOut { request: refused }));
    endpoint.notify(at(0), token(b"o"), key, Kind::Confirmable, content("n"));
    assert_eq!(endpoint.poll_event(), Some(Event::NotificationTimedOut { token: token(b"o") }));
    endpoint.notify(at(0), token(b"o"), key, Kind::NonConfirmable, content("n"));
    assert_eq!(endpoint.poll_event(), None);
    assert_eq!(sent(&mut endpoint).len(), 3);
}

#[test]
fn requests_that_the_peer_acknowledged_and_never_answers_are_bounded() {
    let mut endpoint = endpoint_with(|config| config.max_queue = 3);
    let mut refused = 0;
    for _ in 0..20 {
        endpoint.request(at(0), read());
        for datagram in sent(&mut endpoint) {
            let id = decode(&datagram).id;
            swallow(&mut endpoint, at(0), &empty(Kind::Acknowledgement, id));
        }
        refused += usize::from(endpoint.poll_event().is_some());
    }
    assert_eq!(refused, 17);
}

#[test]
fn four_bodies_are_kept_and_the_one_that_waited_longest_goes() {
    let mut endpoint = endpoint();
    let path = |object: u16, number: u32, id: u16| {
        Draft::new(method::GET)
            .option(option::URI_PATH, object.to_string().as_bytes())
            .option_uint(option::BLOCK2, (number << 4) | 6)
            .encode(Kind::Confirmable, id, token(b"t"))
    };
    let large = || Draft::new(Code::CONTENT).content(ContentFormat::OPAQUE, vec![1; 5000]);
    for object in 1..=5 {
        let exchange = accept(&mut endpoint, at(u64::from(object)), &path(object, 0, object));
        endpoint.respond(at(u64::from(object)), exchange, large());
    }
    for object in 2..=5 {
        swallow(&mut endpoint, at(10), &path(object, 1, 10 + object));
    }
    accept(&mut endpoint, at(11), &path(1, 1, 20));
}

#[test]
fn an_answer_above_64_kib_is_an_internal_error_and_a_notification_stays_without_its_rest() {
    let mut endpoint = endpoint();
    let large = |len| Draft::new(Code::CONTENT).content(ContentFormat::OPAQUE, vec![1; len]);
    let exchange = accept(&mut endpoint, at(0), &get(Kind::Confirmable, 1));
    endpoint.respond(at(0), exchange, large(64 * 1024));
    assert_eq!(decode(&sent_one(&mut endpoint)).code, Code::CONTENT);
    let (exchange, key) = accept_with_key(&mut endpoint, at(0), &get(Kind::Confirmable, 2));
    endpoint.respond(at(0), exchange, large(64 * 1024 + 1));
    assert_eq!(decode(&sent_one(&mut endpoint)).code, Code::INTERNAL_SERVER_ERROR);

    let notification = large(64 * 1024 + 1).option_uint(option::OBSERVE, 3);
    endpoint.notify(at(1), token(b"o"), key, Kind::NonConfirmable, notification);
    let datagram = sent_one(&mut endpoint);
    assert_eq!(decode(&datagram).payload.len(), 1024);
    assert!(endpoint.is_idle());
    let rest = read().option_uint(option::BLOCK2, 0x16).encode(Kind::Confirmable, 3, token(b"t"));
    let incoming = endpoint.handle_datagram(at(2), &rest);
    assert!(matches!(incoming, Some(Incoming::Request { .. })));
}

/// The state as text grows with everything that is kept, so it shows a leak.
#[test]
fn a_flood_of_any_kind_does_not_grow_the_state() {
    let mut random = Random::from_seed([1; 32]);
    let mut endpoint = endpoint();
    let mut sizes = Vec::new();
    for round in 0..40_000_u64 {
        let now = at(round);
        let id = random.u64() as u16;
        let kind =
            if random.u64().is_multiple_of(2) { Kind::Confirmable } else { Kind::NonConfirmable };
        let large = Draft::new(Code::CONTENT)
            .content(ContentFormat::OPAQUE, vec![1; 2000])
            .option_uint(option::OBSERVE, 1);
        let path = (random.u64() % 100).to_string();
        let request = Draft::new(method::GET).option(option::URI_PATH, path.as_bytes());
        let datagram = request.encode(kind, id, token(&id.to_be_bytes()));
        if let Some(Incoming::Request { exchange, key, .. }) =
            endpoint.handle_datagram(now, &datagram)
        {
            match random.u64() % 3 {
                0 => endpoint.respond(now, exchange, large.clone()),
                1 => endpoint.ignore(exchange),
                _ => {}
            }
            endpoint.notify(now, token(&id.to_be_bytes()), key, kind, large);
        }
        endpoint.request(now, with_payload(read(), &[1; 2000]));
        let begun = Draft::new(method::PUT)
            .option(option::REQUEST_TAG, &id.to_be_bytes())
            .option_uint(option::BLOCK1, 0x0e);
        let begun = with_payload(begun, &[1; 1024]).encode(kind, id ^ 1, token(b"up"));
        endpoint.handle_datagram(now, &begun);
        endpoint.handle_datagram(now, &random.seed());
        endpoint.handle_timeout(now);
        while let Some(datagram) = endpoint.poll_transmit() {
            assert!(datagram.len() <= endpoint.config().max_datagram);
        }
        while endpoint.poll_event().is_some() {}
        if round % 10_000 == 9999 {
            sizes.push(format!("{endpoint:?}").len());
        }
    }
    assert!(sizes.iter().all(|size| *size < 2 * sizes[0]), "{sizes:?}");
}
