//! Attributes of notifications that LwM2M 1.2 brought, with aiocoap: `edge`, `con`, `hqmax`,
//! and those of an Observe (Core 3.5, 3.6).

use lwm2m_interop::aiocoap::Aiocoap;
use lwm2m_interop::{CancelBy, Event, Server};
use lwm2m_model::{Code, ContentFormat, WriteMode};

use crate::support::*;

/// CORE-22, 24, 25, 47; TRN-25.
#[test]
fn attributes_of_1_2_are_taken_shown_and_refused() {
    with_aiocoap("takes and refuses attributes of 1.2", &Aiocoap::new(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        for (target, attributes, code) in [
            ("/3442/0/140", "edge=1&con=1&hqmax=5", Code::CHANGED),
            ("/3442/0/120", "edge=1", Code::BAD_REQUEST),
            ("/3442/0", "edge=0", Code::BAD_REQUEST),
            ("/3442/0/140", "con=2", Code::BAD_REQUEST),
            ("/3442/0/140", "gt=1", Code::BAD_REQUEST),
        ] {
            let answer = server.write_attributes(ENDPOINT, &path(target), attributes).unwrap();
            assert_eq!(answer.code, Some(code), "{target}?{attributes}: {answer:?}");
        }
        let answer = server.discover(ENDPOINT, &path("/3442/0/140"), &[]).unwrap();
        let link = answer.link("/3442/0/140").unwrap();
        for (name, value) in [("edge", "1"), ("con", "1"), ("hqmax", "5")] {
            assert_eq!(link.attributes[name].as_deref(), Some(value), "{answer:?}");
        }
        for (target, query) in [
            ("/3442/0/120", ["gt=5", "lt=9"]),
            ("/3442/0/120", ["epmin=9", "epmax=5"]),
            ("/3442/0/110", ["st=1", "pmin=0"]),
        ] {
            let answer = server.observe(ENDPOINT, &path(target), None, &query).unwrap();
            let refused = (Some(Code::BAD_REQUEST), None);
            assert_eq!((answer.code, answer.observe), refused, "{target} {query:?}");
        }
    });
}

/// CORE-38: one direction alone.
#[test]
fn an_edge_is_told_in_its_direction() {
    with_aiocoap("notifies of edges", &Aiocoap::new(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let at = "/3442/0/140";
        server.write_attributes(ENDPOINT, &path(at), "edge=1").unwrap();
        let format = Some(ContentFormat::TEXT);
        let answer = server.observe(ENDPOINT, &path(at), format, &[]).unwrap();
        assert_eq!(answer.payload, b"1");
        for value in [b"0", b"1", b"1", b"0", b"1"] {
            write(&server, at, value);
        }
        assert_eq!(told(&server, at, 2), ["1", "1"]);
    });
}

/// CORE-45, 46: they take the place of those that are attached, and Discover shows the
/// attached ones.
#[test]
fn attributes_of_an_observe_replace_the_attached_ones() {
    with_aiocoap("takes attributes of an Observe", &Aiocoap::new(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let at = "/3442/0/120";
        server.write_attributes(ENDPOINT, &path(at), "gt=5000&pmin=60").unwrap();
        let format = Some(ContentFormat::TEXT);
        let answer = server.observe(ENDPOINT, &path(at), format, &["gt=20", "lt=10"]).unwrap();
        assert_eq!((answer.code, answer.payload), (Some(Code::CONTENT), b"1024".to_vec()));
        for value in [&b"15"[..], b"18", b"25", b"30", b"5"] {
            write(&server, at, value);
        }
        // Down over 20, up over 20, down over both.
        assert_eq!(told(&server, at, 3), ["15", "25", "5"]);
        let answer = server.discover(ENDPOINT, &path(at), &[]).unwrap();
        let link = answer.link(at).unwrap();
        assert_eq!(link.attributes["gt"].as_deref(), Some("5000"), "{answer:?}");
        assert!(!link.attributes.contains_key("lt"), "{answer:?}");
    });
}

/// CORE-43, TRN-31: aiocoap answers confirmable notifications alone with a Reset.
#[test]
fn con_makes_notifications_confirmable() {
    with_aiocoap("notifies confirmably", &Aiocoap::new(), |server| {
        let (agent, _) = register(&server, &with_test_object(server.coap_address()));
        let (plain, confirmed) = ("/3442/0/110", "/3442/0/120");
        server.write_attributes(ENDPOINT, &path(confirmed), "con=1").unwrap();
        for at in [plain, confirmed] {
            server.observe(ENDPOINT, &path(at), None, &[]).unwrap();
            server.cancel_observe(ENDPOINT, &path(at), CancelBy::Reset).unwrap();
        }
        // With the first one after that aiocoap notices that nobody listens.
        for value in [b"1", b"2", b"3"] {
            write(&server, plain, value);
            write(&server, confirmed, value);
        }
        agent.wait_log("no longer observes /3442/0/120", LIMIT).unwrap();
        let log = agent.log();
        assert!(!log.iter().any(|line| line.contains("no longer observes /3442/0/110")), "{log:?}");
    });
}

fn write(server: &Server, at: &str, value: &[u8]) {
    let (mode, format) = (WriteMode::Replace, ContentFormat::TEXT);
    let answer = server.write_payload(ENDPOINT, &path(at), mode, format, value).unwrap();
    assert_code(&answer, Code::CHANGED);
}

/// The next notifications; none came beside them.
fn told(server: &Server, at: &str, count: usize) -> Vec<String> {
    let next = |_| server.wait_notification(&path(at), LIMIT).unwrap().payload;
    let payloads = (0..count).map(next).map(|payload| String::from_utf8(payload).unwrap());
    let payloads = payloads.collect();
    let events = server.take_events().unwrap();
    let is_extra = |event: &Event| matches!(event, Event::Notification { .. });
    assert!(!events.iter().any(is_extra), "{payloads:?}, then {events:?}");
    payloads
}
