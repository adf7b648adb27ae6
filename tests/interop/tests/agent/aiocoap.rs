//! aiocoap as server: a CoAP stack of its own, and payloads that Leshan would not send.

use std::time::Duration;

use lwm2m_interop::aiocoap::Aiocoap;
use lwm2m_interop::{CancelBy, Event, Refusal};
use lwm2m_model::{Code, ContentFormat, Path, Version, WriteMode};

use crate::support::*;

#[test]
fn a_server_of_1_2_is_taken_at_its_word() {
    with_aiocoap("registers with 1.2, updates and leaves", &Aiocoap::new(), |server| {
        let config = nosec(server.coap_address()).general("deregister_on_stop", true);
        let (agent, registration) = register(&server, &config);
        assert_eq!(registration.version, Version::V1_2);
        assert_eq!(registration.lifetime, u64::from(LIFETIME));
        // 1.2 takes version 1.2 of Server for granted (Core 2.4).
        assert!(registration.link("/1").is_none(), "{registration:?}");
        assert!(registration.link("/1/0").is_some(), "{registration:?}");
        let answer = server.execute(ENDPOINT, &path("/1/0/8"), None).unwrap();
        assert_code(&answer, Code::CHANGED);
        server.wait_event(LIMIT, |event| matches!(event, Event::Updated(_))).unwrap();
        assert_eq!(agent.stop().unwrap().code(), Some(0));
        server.wait_event(LIMIT, |event| matches!(event, Event::Unregistered { .. })).unwrap();
    });
}

#[test]
fn reads_writes_and_observations_work() {
    with_aiocoap("is read, written and observed", &Aiocoap::new(), |server| {
        // aiocoap answers only a confirmable notification with a Reset.
        let config = nosec(server.coap_address()).account("confirmable_notifications", true);
        let (agent, _) = register(&server, &config);
        assert_eq!(read_text(&server, "/3/0/16"), "U");
        let timeout = path("/1/0/5");
        let write = |payload: &[u8]| {
            let (mode, format) = (WriteMode::Replace, ContentFormat::TEXT);
            server.write_payload(ENDPOINT, &timeout, mode, format, payload).unwrap()
        };
        // Attributes in the Observe itself, as 1.2 has them.
        let answer = server.observe(ENDPOINT, &timeout, None, &["pmin=0"]).unwrap();
        assert_eq!((answer.code, answer.observe.is_some()), (Some(Code::CONTENT), true));
        assert_code(&write(b"77"), Code::CHANGED);
        assert_eq!(server.wait_notification(&timeout, LIMIT).unwrap().payload, b"77");
        server.cancel_observe(ENDPOINT, &timeout, CancelBy::Reset).unwrap();
        // With the first one after that aiocoap notices that nobody listens.
        for payload in [b"78", b"79"] {
            assert_code(&write(payload), Code::CHANGED);
        }
        agent.wait_log("no longer observes /1/0/5", LIMIT).unwrap();
        let answer = server.discover(ENDPOINT, &Path::object(3), &["depth=1"]).unwrap();
        let uris: Vec<&str> = answer.links.iter().map(|link| link.uri.as_str()).collect();
        assert_eq!(uris, ["/3", "/3/0"]);
    });
}

#[test]
fn rubbish_in_payloads_and_arguments_is_refused() {
    with_aiocoap("refuses rubbish", &Aiocoap::new(), |server| {
        let _agent = registered(&server);
        for (target, format, payload) in [
            ("/1/0/1", ContentFormat::TEXT, &b"soon"[..]),
            ("/1/0/1", ContentFormat::TEXT, b"\xff"),
            ("/1/0/1", ContentFormat::CBOR, b"\x1b\x01"),
            ("/1/0/1", ContentFormat::TLV, b"\xc8\x01\xff"),
            ("/1/0", ContentFormat::TLV, b"\xc1\x01"),
            ("/1/0", ContentFormat::SENML_CBOR, b"\x9f\x9f\x9f"),
            // A record that leads out of the target.
            ("/1/0", ContentFormat::SENML_CBOR, b"\x81\xa2\x00\x66/3/0/0\x03\x61x"),
        ] {
            let mode = WriteMode::Replace;
            let answer =
                server.write_payload(ENDPOINT, &path(target), mode, format, payload).unwrap();
            assert_eq!(answer.code, Some(Code::BAD_REQUEST), "{target} {format}: {answer:?}");
        }
        let format = ContentFormat(9999);
        let mode = WriteMode::Replace;
        let answer = server.write_payload(ENDPOINT, &path("/1/0/1"), mode, format, b"1").unwrap();
        assert_code(&answer, Code::UNSUPPORTED_CONTENT_FORMAT);
        for arguments in ["0='all", "x", "0='a',0", "12", ",", "0=a"] {
            let answer = server.execute(ENDPOINT, &path("/3/0/12"), Some(arguments)).unwrap();
            assert_eq!(answer.code, Some(Code::BAD_REQUEST), "{arguments}: {answer:?}");
        }
        assert_code(&server.execute(ENDPOINT, &path("/3/0/12"), None).unwrap(), Code::CHANGED);
        assert_eq!(read_text(&server, "/1/0/1"), LIFETIME.to_string());
    });
}

#[test]
fn a_body_comes_in_small_blocks() {
    with_aiocoap("is read in small blocks", &Aiocoap::new(), |server| {
        let _agent = registered(&server);
        let whole = server.read(ENDPOINT, &path("/1/0"), Some(ContentFormat::SENML_CBOR)).unwrap();
        let command = serde_json::json!({
            "cmd": "read", "endpoint": ENDPOINT, "path": "/1/0", "format": 112, "blockExponent": 0,
        });
        let blocks = server.request(command).unwrap();
        assert!(whole.payload.len() > 32, "{whole:?}");
        assert_eq!((blocks.code, blocks.payload), (whole.code, whole.payload));
    });
}

#[test]
fn a_sleeping_agent_is_deaf_and_wakes_with_an_update() {
    with_aiocoap("sleeps in queue mode", &Aiocoap::new(), |mut server| {
        let config = nosec(server.coap_address())
            .account("queue_mode", true)
            .account("awake_time", 1)
            .account("lifetime", 10);
        let (agent, registration) = register(&server, &config);
        assert!(registration.is_queue_mode);
        agent.wait_log("asleep", LIMIT).unwrap();
        server.set_timeout(Duration::from_millis(500));
        // A confirmable one would be sent again, and hold up the next.
        let command = serde_json::json!({
            "cmd": "read", "endpoint": ENDPOINT, "path": "/3/0/16", "confirmable": false,
        });
        let asleep = server.request(command).unwrap_err();
        assert_eq!(asleep.refusal(), Some(Refusal::Timeout));
        server.wait_event(LIMIT, |event| matches!(event, Event::Updated(_))).unwrap();
        server.set_timeout(LIMIT);
        assert_eq!(read_text(&server, "/3/0/16"), "U");
    });
}
