//! Notifications: confirmable or not, replaced, acknowledged, reset.

use lwm2m_coap::{CacheKey, Draft, Endpoint, Event, Incoming, Kind, option};
use lwm2m_model::Instant;

use crate::support::*;

const OBSERVATION: &[u8] = &[0x0b, 1];

/// An endpoint whose peer observes /3/0.
fn observed() -> (Endpoint, CacheKey) {
    let mut endpoint = endpoint();
    let observe = read().option_uint(option::OBSERVE, 0);
    let datagram = observe.encode(Kind::Confirmable, 1, token(OBSERVATION));
    let (exchange, key) = accept_with_key(&mut endpoint, at(0), &datagram);
    endpoint.respond(at(0), exchange, value(0, "0"));
    sent(&mut endpoint);
    (endpoint, key)
}

fn value(sequence: u32, text: &str) -> Draft {
    content(text).option_uint(option::OBSERVE, sequence)
}

/// What an empty ACK or RST brings, with the token of the observation.
fn brought(endpoint: &mut Endpoint, now: Instant, kind: Kind, id: u16) -> String {
    match endpoint.handle_datagram(now, &empty(kind, id)) {
        Some(Incoming::NotificationAcknowledged { token }) => format!("acknowledged {token:?}"),
        Some(Incoming::NotificationReset { token }) => format!("reset {token:?}"),
        None => "nothing".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn id_and_payload(datagram: &[u8]) -> (u16, String) {
    let message = decode(datagram);
    (message.id, String::from_utf8(message.payload.to_vec()).unwrap())
}

#[test]
fn a_non_confirmable_notification_goes_at_once_and_waits_for_nothing() {
    let (mut endpoint, key) = observed();
    endpoint.request(at(0), read());
    sent(&mut endpoint);
    endpoint.notify(at(1), token(OBSERVATION), key, Kind::NonConfirmable, value(1, "1"));
    let datagram = sent_one(&mut endpoint);
    let message = decode(&datagram);
    assert_eq!(message.kind, Kind::NonConfirmable);
    assert_eq!(message.token, token(OBSERVATION));
    assert_eq!(message.observe(), Some(1));
}

#[test]
fn an_acknowledged_notification_says_so_once() {
    let (mut endpoint, key) = observed();
    endpoint.notify(at(1), token(OBSERVATION), key, Kind::Confirmable, value(1, "1"));
    assert!(!endpoint.is_idle());
    let (id, _) = id_and_payload(&sent_one(&mut endpoint));
    let acknowledgement = empty(Kind::Acknowledgement, id);
    let incoming = endpoint.handle_datagram(at(2), &acknowledgement);
    assert!(
        matches!(incoming, Some(Incoming::NotificationAcknowledged { token: of }) if of == token(OBSERVATION))
    );
    assert!(endpoint.is_idle());
    swallow(&mut endpoint, at(3), &acknowledgement);
    assert_eq!(endpoint.counters().unmatched, 1);
}

#[test]
fn a_notification_nobody_acknowledges_times_out() {
    let (mut endpoint, key) = observed();
    endpoint.notify(at(0), token(OBSERVATION), key, Kind::Confirmable, value(1, "1"));
    sent(&mut endpoint);
    assert_eq!(run(&mut endpoint, at(100_000)).len(), 4);
    let token = token(OBSERVATION);
    assert_eq!(endpoint.poll_event(), Some(Event::NotificationTimedOut { token }));
    assert_eq!(endpoint.poll_event(), None);
}

/// CORE-162; TRN-33.
#[test]
fn a_reset_ends_the_observation_whatever_the_kind_and_however_late() {
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        let (mut endpoint, key) = observed();
        endpoint.notify(at(0), token(OBSERVATION), key, kind, value(1, "1"));
        let (id, _) = id_and_payload(&sent_one(&mut endpoint));
        endpoint.notify(at(1), token(OBSERVATION), key, Kind::NonConfirmable, value(2, "2"));
        endpoint.notify(at(1), token(b"other"), key, Kind::Confirmable, value(2, "2"));
        sent(&mut endpoint);
        let reset = empty(Kind::Reset, id);
        let incoming = endpoint.handle_datagram(at(2), &reset);
        assert!(
            matches!(incoming, Some(Incoming::NotificationReset { token: of }) if of == token(OBSERVATION))
        );
        // Said once: a second RST belongs to nothing.
        swallow(&mut endpoint, at(3), &reset);
        assert_eq!(endpoint.counters().unmatched, 1);
        // The notification of the other observation goes on.
        let rest = [
            sent(&mut endpoint),
            run(&mut endpoint, at(200_000)).into_iter().map(|(_, datagram)| datagram).collect(),
        ]
        .concat();
        assert!(rest.iter().all(|datagram| decode(datagram).token == token(b"other")), "{kind:?}");
        assert!(!rest.is_empty());
    }
}

#[test]
fn a_reset_of_a_separate_first_notification_ends_the_observation() {
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        let mut endpoint = endpoint();
        let observe = read().option_uint(option::OBSERVE, 0).encode(kind, 1, token(OBSERVATION));
        let exchange = accept(&mut endpoint, at(0), &observe);
        endpoint.handle_timeout(at(1000));
        sent(&mut endpoint);
        endpoint.respond(at(2000), exchange, value(0, "0"));
        let (id, _) = id_and_payload(&sent_one(&mut endpoint));
        let reset = empty(Kind::Reset, id);
        let incoming = endpoint.handle_datagram(at(2100), &reset);
        assert!(matches!(incoming, Some(Incoming::NotificationReset { .. })), "{kind:?}");
        assert!(endpoint.is_idle());
    }
}

#[test]
fn a_newer_notification_replaces_the_one_that_waits() {
    let (mut endpoint, key) = observed();
    endpoint.request(at(0), read());
    let request = sent_one(&mut endpoint);
    for sequence in 1..10 {
        let text = sequence.to_string();
        endpoint.notify(at(0), token(OBSERVATION), key, Kind::Confirmable, value(sequence, &text));
        endpoint.notify(at(0), token(b"other"), key, Kind::Confirmable, value(sequence, &text));
    }
    assert!(sent(&mut endpoint).is_empty());
    swallow(&mut endpoint, at(1), &empty(Kind::Acknowledgement, decode(&request).id));
    let (id, text) = id_and_payload(&sent_one(&mut endpoint));
    assert_eq!(text, "9");
    endpoint.handle_datagram(at(2), &empty(Kind::Acknowledgement, id));
    let datagram = sent_one(&mut endpoint);
    assert_eq!(decode(&datagram).token, token(b"other"));
    assert_eq!(*decode(&datagram).payload, *b"9");
}

#[test]
fn a_newer_notification_takes_over_when_the_one_in_flight_would_be_repeated() {
    let (mut endpoint, key) = observed();
    let token = token(OBSERVATION);
    endpoint.notify(at(0), token, key, Kind::Confirmable, value(1, "1"));
    let (first, _) = id_and_payload(&sent_one(&mut endpoint));
    endpoint.notify(at(100), token, key, Kind::Confirmable, value(2, "2"));
    endpoint.notify(at(200), token, key, Kind::Confirmable, value(3, "3"));
    assert!(sent(&mut endpoint).is_empty());

    // A new message with a new id, but the count goes on: five in all.
    let rest = run(&mut endpoint, at(100_000));
    let rest: Vec<_> = rest.iter().map(|(_, datagram)| id_and_payload(datagram)).collect();
    assert_eq!(rest.len(), 4);
    assert!(rest.iter().all(|(id, text)| *id != first && text == "3"), "{rest:?}");
    assert_eq!(endpoint.poll_event(), Some(Event::NotificationTimedOut { token }));
    assert_eq!(endpoint.poll_event(), None);

    // RST to the replaced one still finds the observation.
    assert_eq!(brought(&mut endpoint, at(100_000), Kind::Reset, first), "reset Token(0b01)");
}

#[test]
fn a_newer_notification_follows_at_once_when_the_one_in_flight_is_acknowledged() {
    let (mut endpoint, key) = observed();
    let token = token(OBSERVATION);
    endpoint.notify(at(0), token, key, Kind::Confirmable, value(1, "1"));
    let (first, _) = id_and_payload(&sent_one(&mut endpoint));
    endpoint.notify(at(100), token, key, Kind::Confirmable, value(2, "2"));
    assert_eq!(
        brought(&mut endpoint, at(200), Kind::Acknowledgement, first),
        "acknowledged Token(0b01)"
    );
    let (second, text) = id_and_payload(&sent_one(&mut endpoint));
    assert_eq!(text, "2");
    assert_ne!(second, first);
    assert_eq!(
        brought(&mut endpoint, at(300), Kind::Acknowledgement, second),
        "acknowledged Token(0b01)"
    );
    assert!(endpoint.is_idle());
}

#[test]
fn cancelling_drops_what_waits_and_what_is_in_flight() {
    let (mut endpoint, key) = observed();
    let token = token(OBSERVATION);
    endpoint.notify(at(0), token, key, Kind::Confirmable, value(1, "1"));
    let (id, _) = id_and_payload(&sent_one(&mut endpoint));
    endpoint.notify(at(0), token, key, Kind::Confirmable, value(2, "2"));
    endpoint.cancel_notifications(token);
    assert!(endpoint.is_idle());
    assert_eq!(run(&mut endpoint, at(100_000)), []);
    assert_eq!(endpoint.poll_event(), None);
    swallow(&mut endpoint, at(100_000), &empty(Kind::Reset, id));
}

#[test]
fn a_busy_observation_does_not_make_us_forget_the_quiet_ones() {
    let (mut endpoint, key) = observed();
    endpoint.notify(at(0), token(b"quiet"), key, Kind::NonConfirmable, value(1, "1"));
    let (quiet, _) = id_and_payload(&sent_one(&mut endpoint));
    for sequence in 0..1000 {
        endpoint.notify(at(1), token(b"busy"), key, Kind::NonConfirmable, value(sequence, "x"));
    }
    let ids: Vec<u16> = sent(&mut endpoint).iter().map(|one| decode(one).id).collect();
    // The last four are known, those before are not.
    swallow(&mut endpoint, at(2), &empty(Kind::Reset, ids[995]));
    assert_eq!(brought(&mut endpoint, at(2), Kind::Reset, quiet), "reset Token(7175696574)");
    assert_eq!(brought(&mut endpoint, at(2), Kind::Reset, ids[996]), "reset Token(62757379)");
}
