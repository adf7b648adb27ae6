//! Registering, staying registered, leaving (Core 5).

use std::time::Duration;

use lwm2m_interop::{Event, Refusal};
use lwm2m_model::{Code, ContentFormat, Path, Value, Version};

use crate::support::*;

/// CORE-20.
#[test]
fn registers_after_a_step_down_to_1_1() {
    with_leshan("registers after a step-down to 1.1", &leshan(), |server| {
        let (_agent, registration) = register(&server, &nosec(server.coap_address()));
        let refused = |event: &Event| {
            matches!(event, Event::Answered { code, query, .. }
                if *code == Code::PRECONDITION_FAILED && query.contains(&"lwm2m=1.2".to_owned()))
        };
        server.wait_event(LIMIT, refused).unwrap();
        assert_eq!(registration.version, Version::V1_1);
        assert_eq!((registration.lifetime, registration.binding.as_str()), (3600, "U"));
        assert!(!registration.is_queue_mode);
        assert!(registration.other_parameters.is_empty(), "{registration:?}");
    });
}

#[test]
fn the_object_list_has_versions_formats_and_instances() {
    with_leshan("shows its object list", &leshan(), |server| {
        let (_agent, registration) = register(&server, &nosec(server.coap_address()));
        let uris: Vec<&str> = registration.links.iter().map(|link| link.uri.as_str()).collect();
        assert!(uris.contains(&"/1/0") && uris.contains(&"/3/0"), "{uris:?}");
        // Core 6.4.1: the Security object is not told.
        assert!(!uris.iter().any(|uri| uri.starts_with("/0")), "{uris:?}");
        let attribute = |uri: &str, name: &str| {
            registration.link(uri).and_then(|link| link.attributes.get(name).cloned().flatten())
        };
        assert_eq!(attribute("/3", "ver").as_deref(), Some("1.2"));
        assert_eq!(attribute("/1", "ver").as_deref(), Some("1.2"));
        let formats = attribute("/", "ct").unwrap();
        for format in [
            ContentFormat::CBOR,
            ContentFormat::SENML_JSON,
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
        ] {
            let number = format.0.to_string();
            assert!(formats.trim_matches('"').split(' ').any(|one| one == number), "{formats}");
        }
    });
}

/// CORE-103.
#[test]
fn a_written_lifetime_is_told_by_an_update() {
    with_leshan("tells a written lifetime by an Update", &leshan(), |server| {
        let _agent = registered(&server);
        write_text(&server, "/1/0/1", &Value::Integer(7200));
        let updated = |event: &Event| matches!(event, Event::Updated(now) if now.lifetime == 7200);
        server.wait_event(LIMIT, updated).unwrap();
        assert_eq!(read_text(&server, "/1/0/1"), "7200");
    });
}

/// CORE-104.
#[test]
fn the_update_trigger_is_followed_by_an_update() {
    with_leshan("updates when the trigger is executed", &leshan(), |server| {
        let _agent = registered(&server);
        let answer = server.execute(ENDPOINT, &path("/1/0/8"), None).unwrap();
        assert_code(&answer, Code::CHANGED);
        server.wait_event(LIMIT, |event| matches!(event, Event::Updated(_))).unwrap();
    });
}

/// CORE-106.
#[test]
fn updates_come_before_the_lifetime_ends() {
    with_leshan("keeps a short registration alive", &leshan(), |server| {
        let config = nosec(server.coap_address()).account("lifetime", 4);
        let _agent = register(&server, &config);
        for _ in 0..3 {
            server.wait_event(LIMIT, |event| matches!(event, Event::Updated(_))).unwrap();
        }
        let events = server.take_events().unwrap();
        let left = |event: &Event| matches!(event, Event::Unregistered { .. });
        assert!(!events.iter().any(left), "{events:?}");
    });
}

/// CORE-108; OBJ-41.
#[test]
fn a_disabled_server_is_left_alone_and_comes_back() {
    with_leshan("is disabled and comes back", &leshan(), |server| {
        let _agent = registered(&server);
        let registered = |event: &Event| matches!(event, Event::Registered { .. });
        server.wait_event(LIMIT, registered).unwrap();
        write_text(&server, "/1/0/5", &Value::Integer(1));
        match server.execute(ENDPOINT, &path("/1/0/4"), None) {
            Ok(answer) => assert_code(&answer, Code::CHANGED),
            // The De-register follows the answer so closely that Leshan may cancel the
            // request before it has looked at the answer.
            Err(error) => assert!(error.to_string().contains("Cancel"), "{error}"),
        }
        let left = |event: &Event| matches!(event, Event::Unregistered { is_expired: false, .. });
        server.wait_event(LIMIT, left).unwrap();
        let again = server.wait_event(LIMIT, registered).unwrap();
        assert!(
            matches!(&again, Event::Registered { is_replacement: false, .. }),
            "the registration before was left: {again:?}"
        );
        assert_eq!(read_text(&server, "/3/0/16"), "U");
    });
}

/// CORE-107.
#[test]
fn says_farewell_when_it_is_stopped() {
    with_leshan("de-registers when it is stopped", &leshan(), |server| {
        let config = nosec(server.coap_address()).general("deregister_on_stop", true);
        let (agent, _) = register(&server, &config);
        assert_eq!(agent.stop().unwrap().code(), Some(0));
        let left = |event: &Event| matches!(event, Event::Unregistered { is_expired: false, .. });
        server.wait_event(LIMIT, left).unwrap();
        assert!(server.registrations().unwrap().is_empty());
    });
}

#[test]
fn stays_registered_when_a_stop_is_no_farewell() {
    with_leshan("stays registered over a restart", &leshan(), |server| {
        let (agent, _) = register(&server, &nosec(server.coap_address()));
        assert_eq!(agent.stop().unwrap().code(), Some(0));
        assert_eq!(server.registrations().unwrap().len(), 1);
        let before = |event: &Event| matches!(event, Event::Registered { .. });
        server.wait_event(LIMIT, before).unwrap();
        let _agent = nosec(server.coap_address()).start().unwrap();
        let again = |event: &Event| matches!(event, Event::Registered { is_replacement: true, .. });
        server.wait_event(LIMIT, again).unwrap();
        assert_eq!(server.registrations().unwrap().len(), 1);
    });
}

/// CORE-97.
#[test]
fn a_server_that_comes_back_without_memory_is_registered_with_again() {
    with_leshan("registers again with a restarted server", &leshan(), |server| {
        let address = server.coap_address();
        let config = nosec(address)
            .account("lifetime", 4)
            .account("retry", serde_json::json!({ "timer": 1, "count": 100 }));
        let (_agent, _) = register(&server, &config);
        drop(server);
        let server = leshan().coap_port(address.port()).start().unwrap();
        assert_eq!(server.coap_address(), address);
        server.wait_registration(ENDPOINT, COMES_BACK).unwrap();
        assert_eq!(read_text(&server, "/3/0/16"), "U");
    });
}

/// CORE-122; TRN-82.
#[test]
fn a_sleeping_agent_answers_when_it_has_woken() {
    let leshan = leshan().awake(AWAKE);
    with_leshan("sleeps in queue mode and answers when awake", &leshan, |server| {
        let config = nosec(server.coap_address())
            .account("queue_mode", true)
            .account("awake_time", AWAKE.as_secs())
            .account("lifetime", 20);
        let (agent, registration) = register(&server, &config);
        assert!(registration.is_queue_mode);
        assert_eq!(registration.binding, "U");
        let (seen, _) = agent.wait_log_from(0, "asleep", LIMIT).unwrap();
        server.wait_event(LIMIT, |event| matches!(event, Event::Sleeping { .. })).unwrap();
        let asleep = server.read(ENDPOINT, &Path::resource(3, 0, 16), None).unwrap_err();
        assert_eq!(asleep.refusal(), Some(Refusal::Sleeping));
        // Half the lifetime after the Register.
        agent.wait_log_from(seen, "awake", LIMIT).unwrap();
        server.wait_event(LIMIT, |event| matches!(event, Event::Updated(_))).unwrap();
        assert_eq!(read_text(&server, "/3/0/16"), "U");
        agent.wait_log_from(seen, "asleep", LIMIT).unwrap();
    });
}

/// Back-off of the agent and the start of a Java virtual machine.
const COMES_BACK: Duration = Duration::from_secs(60);
const AWAKE: Duration = Duration::from_secs(3);
