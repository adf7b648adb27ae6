//! Observe, Notify and Cancel (Core 6.4.4, 8).

use std::time::{Duration, Instant};

use lwm2m_interop::{CancelBy, Refusal, Server};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};

use crate::support::*;

/// CORE-34.
#[test]
fn pmax_drives_notifications_of_a_value_that_stands() {
    with_leshan("notifies after pmax", &leshan(), |server| {
        let _agent = registered(&server);
        let bindings = path("/3/0/16");
        let answer = server.write_attributes(ENDPOINT, &bindings, "pmin=1&pmax=1").unwrap();
        assert_code(&answer, Code::CHANGED);
        let answer = server.observe(ENDPOINT, &bindings, None, &[]).unwrap();
        assert_code(&answer, Code::CONTENT);
        let mut last = answer.observe.expect("an Observe option");
        for _ in 0..3 {
            let notification = server.wait_notification(&bindings, LIMIT).unwrap();
            assert_eq!(notification.value(&bindings), Some(&text("U")));
            let number = notification.observe.expect("an Observe option");
            assert!(number > last, "{number} after {last}");
            last = number;
        }
    });
}

/// CORE-33.
#[test]
fn pmin_delays_but_keeps_the_last_value() {
    with_leshan("notifies the last value after pmin", &leshan(), |server| {
        let _agent = registered(&server);
        let timeout = path("/1/0/5");
        server.write_attributes(ENDPOINT, &timeout, "pmin=2").unwrap();
        server.observe(ENDPOINT, &timeout, None, &[]).unwrap();
        let began = Instant::now();
        for seconds in 1..=5 {
            write_text(&server, "/1/0/5", &Value::Integer(seconds));
        }
        // More than one only on a machine that takes 2 s for five writes.
        let mut came = Vec::new();
        while came.last() != Some(&Value::Integer(5)) {
            let notification = server.wait_notification(&timeout, LIMIT).unwrap();
            came.push(notification.value(&timeout).unwrap().clone());
        }
        assert!(began.elapsed() > ALMOST_PMIN, "{came:?} after {:?}", began.elapsed());
        assert!(came.len() < 5, "{came:?}");
    });
}

#[test]
fn a_write_is_notified_in_the_format_of_the_observation() {
    with_leshan("notifies what was written", &leshan(), |server| {
        let _agent = registered(&server);
        let instance = Path::instance(1, 0);
        for format in [ContentFormat::TLV, ContentFormat::SENML_CBOR, ContentFormat::SENML_JSON] {
            let answer = server.observe(ENDPOINT, &instance, Some(format), &[]).unwrap();
            assert_eq!((answer.format, answer.observe.is_some()), (Some(format), true));
            let wanted = Value::Integer(i64::from(format.0));
            let entries = [Entry::new(path("/1/0/5"), wanted.clone())];
            let mode = WriteMode::Partial;
            let answer =
                server.write_entries(ENDPOINT, &instance, mode, Some(format), &entries).unwrap();
            assert_code(&answer, Code::CHANGED);
            let notification = server.wait_notification(&instance, LIMIT).unwrap();
            assert_eq!(notification.format, Some(format));
            assert_eq!(notification.value(&path("/1/0/5")), Some(&wanted), "{notification:?}");
            server.cancel_observe(ENDPOINT, &instance, CancelBy::Request).unwrap();
        }
    });
}

/// CORE-162; TRN-33.
#[test]
fn a_cancellation_by_request_ends_notifications() {
    with_leshan("ends an observation when asked to", &leshan(), |server| {
        let agent = registered(&server);
        let bindings = observe_every_second(&server);
        let answer = server.cancel_observe(ENDPOINT, &bindings, CancelBy::Request).unwrap();
        assert_code(&answer, Code::CONTENT);
        assert_eq!((answer.observe, answer.value(&bindings)), (None, Some(&text("U"))));
        agent.wait_log("no longer observes /3/0/16", LIMIT).unwrap();
        server.take_events().unwrap();
        let late = server.wait_notification(&bindings, LONGER_THAN_PMAX);
        assert!(late.is_err(), "{late:?}");
    });
}

/// CORE-162; TRN-33.
#[test]
fn a_reset_ends_notifications() {
    with_leshan("ends an observation after a Reset", &leshan(), |server| {
        let agent = registered(&server);
        let bindings = observe_every_second(&server);
        server.cancel_observe(ENDPOINT, &bindings, CancelBy::Reset).unwrap();
        // The next notification is answered with a Reset.
        agent.wait_log("no longer observes /3/0/16", LIMIT).unwrap();
        assert_eq!(read_text(&server, "/3/0/16"), "U");
        let gone = server.cancel_observe(ENDPOINT, &bindings, CancelBy::Request).unwrap_err();
        assert_eq!(gone.refusal(), Some(Refusal::BadCommand));
    });
}

#[test]
fn what_cannot_be_observed_is_refused_with_its_code() {
    with_leshan("refuses to observe what cannot be", &leshan(), |server| {
        let agent = registered(&server);
        for (target, code) in [
            ("/3/0/9999", Code::NOT_FOUND),
            ("/0/0", Code::UNAUTHORIZED),
            ("/3/0/4", Code::METHOD_NOT_ALLOWED),
        ] {
            let answer = server.observe(ENDPOINT, &path(target), None, &[]).unwrap();
            assert_eq!((answer.code, answer.observe), (Some(code), None), "{target}");
        }
        let log = agent.log();
        assert!(!log.iter().any(|line| line.contains(": observes ")), "{log:?}");
    });
}

/// Observes `/3/0/16`, with notifications that come by themselves.
fn observe_every_second(server: &Server) -> Path {
    let bindings = path("/3/0/16");
    server.write_attributes(ENDPOINT, &bindings, "pmin=1&pmax=1").unwrap();
    server.observe(ENDPOINT, &bindings, None, &[]).unwrap();
    server.wait_notification(&bindings, LIMIT).unwrap();
    bindings
}

const LONGER_THAN_PMAX: Duration = Duration::from_millis(2500);
/// The agent counts from its answer, which left before it came here.
const ALMOST_PMIN: Duration = Duration::from_millis(1500);
