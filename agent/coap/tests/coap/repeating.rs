//! Requests that are repeated earlier than ACK_TIMEOUT says (RFC 7252 4.8.1).

use std::time::Duration;

use lwm2m_coap::{Draft, Event, Kind};
use lwm2m_model::Code;

use crate::support::*;

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_short_time_out_is_for_requests_sent_from_then_on_and_for_nothing_else() {
    let mut endpoint = endpoint_with(|config| {
        (config.ack_random_factor, config.nstart) = (1.0, 3);
    });
    let (exchange, key) = accept_with_key(&mut endpoint, at(0), &get(Kind::NonConfirmable, 1));
    endpoint.ignore(exchange);
    let before = endpoint.request(at(0), read());
    endpoint.set_request_timeout(SHORT);
    endpoint.notify(at(0), token(b"o"), key, Kind::Confirmable, content("x"));
    let request = endpoint.request(at(0), read());
    assert_eq!(sent(&mut endpoint).len(), 3);
    let times: Vec<u64> = run(&mut endpoint, at(1999)).iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [100, 300, 700, 1500]);
    assert_eq!((endpoint.repetitions(before), endpoint.repetitions(request)), (0, 4));
    run(&mut endpoint, at(61_999));
    assert_eq!(endpoint.poll_event(), None);
    run(&mut endpoint, at(62_000));
    let given_up: Vec<Event> = std::iter::from_fn(|| endpoint.poll_event()).collect();
    assert_eq!(given_up.len(), 3);
    assert!(given_up.contains(&Event::RequestTimedOut { request }));
    assert_eq!(endpoint.repetitions(request), 0);
}

#[test]
fn a_long_time_out_changes_nothing_and_a_new_session_forgets_it() {
    for (timeout, is_new) in [(Duration::from_secs(9), false), (SHORT, true)] {
        let mut endpoint = endpoint_with(|config| config.ack_random_factor = 1.0);
        endpoint.set_request_timeout(timeout);
        if is_new {
            endpoint.reset();
        }
        endpoint.request(at(0), read());
        assert_eq!(endpoint.next_timeout(), Some(at(2000)));
    }
}

#[test]
fn a_request_that_is_acknowledged_is_in_flight_no_longer() {
    let mut endpoint = endpoint();
    endpoint.set_request_timeout(Duration::ZERO);
    let request = endpoint.request(at(0), read());
    let first = sent_one(&mut endpoint);
    assert!(!run(&mut endpoint, at(50)).is_empty(), "a millisecond at least");
    assert!(endpoint.repetitions(request) > 0);
    swallow(&mut endpoint, at(50), &empty(Kind::Acknowledgement, decode(&first).id));
    assert_eq!(endpoint.repetitions(request), 0);
    let answer = Draft::new(Code::CONTENT).encode(Kind::NonConfirmable, 1, decode(&first).token);
    assert!(endpoint.handle_datagram(at(60), &answer).is_some());
}
