//! Create, Delete and Writes of whole instances, on the test object (Core 6.3, 6.5, 6.6).

use lwm2m_interop::{Event, Registration, Server};
use lwm2m_model::{Code, ContentFormat, Entry, ObjectLink, Path, Value, WriteMode};

use crate::support::*;

/// CORE-145, 151: the instance has what was sent and nothing else, and an Update tells
/// the server of it.
#[test]
fn a_created_instance_has_the_number_and_the_values_of_the_server() {
    with_leshan("creates instances with a number", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        for (format, id) in [
            (ContentFormat::TLV, 5),
            (ContentFormat::SENML_JSON, 6),
            (ContentFormat::SENML_CBOR, 7),
        ] {
            let instance = Path::instance(3442, id);
            let at = |below: &str| path(&format!("{instance}{below}"));
            let entries = [
                Entry::new(at("/110"), text("created")),
                Entry::new(at("/120"), Value::Integer(id.into())),
                Entry::new(at("/1120/0"), Value::Integer(10)),
                Entry::new(at("/1120/7"), Value::Integer(17)),
            ];
            let answer = server.create(ENDPOINT, &instance, format, &entries).unwrap();
            assert_code(&answer, Code::CREATED);
            wait_update(&server, |now| now.link(&instance.to_string()).is_some());
            let answer = server.read(ENDPOINT, &instance, Some(format)).unwrap();
            for entry in &entries {
                assert_eq!(answer.value(&entry.path), entry.value(), "{format}: {answer:?}");
            }
            assert_eq!(answer.values.len(), entries.len(), "{format}: {answer:?}");
        }
    });
}

/// CORE-142; TRN-24: the answer says which number the device chose.
#[test]
fn an_instance_without_a_number_gets_one_from_the_device() {
    with_leshan("creates an instance that the device numbers", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let object = Path::object(3442);
        let entries = [Entry::new(path("/3442/0/110"), text("free"))];
        for expected in ["/3442/1", "/3442/2"] {
            let answer = server.create(ENDPOINT, &object, ContentFormat::TLV, &entries).unwrap();
            assert_code(&answer, Code::CREATED);
            assert_eq!(answer.location.as_deref(), Some(expected), "{answer:?}");
            wait_update(&server, |now| now.link(expected).is_some());
            assert_eq!(read_text(&server, &format!("{expected}/110")), "free");
        }
        assert_eq!(read_text(&server, "/3442/0/110"), "initial value");
    });
}

/// CORE-138, 143, 144, 146; OBJ-05, 51.
#[test]
fn what_cannot_be_created_is_refused_with_its_code() {
    with_leshan("refuses to create what cannot be", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        for (target, resource, value, code) in [
            ("/3442/0", 110, text("a number in use"), Code::BAD_REQUEST),
            ("/3442/1", 170, Value::Objlnk(ObjectLink::new(77, 0)), Code::BAD_REQUEST),
            ("/3/1", 15, text("Europe/Berlin"), Code::METHOD_NOT_ALLOWED),
            ("/1/1", 1, Value::Integer(60), Code::METHOD_NOT_ALLOWED),
            ("/0/1", 0, text("coap://[::1]"), Code::UNAUTHORIZED),
        ] {
            for format in [ContentFormat::TLV, ContentFormat::SENML_CBOR] {
                let instance = path(target);
                let entries = [Entry::new(instance.child(resource).unwrap(), value.clone())];
                let answer = server.create(ENDPOINT, &instance, format, &entries).unwrap();
                assert_eq!(answer.code, Some(code), "{target} {format}: {answer:?}");
            }
        }
        assert_eq!(read_text(&server, "/3442/0/110"), "initial value");
        let answer = server.read(ENDPOINT, &Path::instance(3442, 1), None).unwrap();
        assert_code(&answer, Code::NOT_FOUND);
    });
}

/// CORE-147 to 151.
#[test]
fn a_deleted_instance_is_gone_and_the_server_is_told() {
    with_leshan("deletes instances", &leshan(), |server| {
        let config = with_test_object(server.coap_address()).instances(3);
        let (_agent, registration) = register(&server, &config);
        assert!(registration.link("/3442/1").is_some(), "{registration:?}");
        let gone = Path::instance(3442, 1);
        assert_code(&server.delete(ENDPOINT, &gone).unwrap(), Code::DELETED);
        wait_update(&server, |now| now.link("/3442/1").is_none() && now.link("/3442/2").is_some());
        assert_code(&server.read(ENDPOINT, &gone, None).unwrap(), Code::NOT_FOUND);
        for (target, code) in [
            ("/3442/1", Code::NOT_FOUND),
            ("/3/0", Code::METHOD_NOT_ALLOWED),
            ("/1/0", Code::METHOD_NOT_ALLOWED),
            ("/0/0", Code::UNAUTHORIZED),
        ] {
            let answer = server.delete(ENDPOINT, &path(target)).unwrap();
            assert_eq!(answer.code, Some(code), "{target}: {answer:?}");
        }
        assert_eq!(read_text(&server, "/3442/2/110"), "initial value");
    });
}

/// CORE-132, 135: what the payload does not name stays.
#[test]
fn a_partial_write_of_an_instance_adds_and_keeps() {
    with_leshan("writes a part of an instance of every type", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let instance = Path::instance(3442, 0);
        for (format, number) in INSTANCE_FORMATS.into_iter().zip(1..) {
            let entries = [
                Entry::new(path("/3442/0/120"), Value::Integer(number)),
                Entry::new(path(&format!("/3442/0/1120/{number}")), Value::Integer(number)),
            ];
            let mode = WriteMode::Partial;
            let answer =
                server.write_entries(ENDPOINT, &instance, mode, Some(format), &entries).unwrap();
            assert_code(&answer, Code::CHANGED);
            let answer = server.read(ENDPOINT, &instance, Some(format)).unwrap();
            assert_eq!(answer.value(&path("/3442/0/120")), Some(&Value::Integer(number)));
            assert_eq!(answer.value(&path("/3442/0/110")), Some(&text("initial value")));
            // The initial one, and one of each format.
            let several = path("/3442/0/1120");
            let kept = answer.values.iter().filter(|entry| several.contains(&entry.path)).count();
            assert_eq!(i64::try_from(kept), Ok(number + 1), "{format}: {answer:?}");
        }
    });
}

/// CORE-132, 134: optional resources that the payload does not name go.
#[test]
fn a_replaced_instance_has_what_was_sent_alone() {
    with_leshan("replaces an instance", &leshan(), |server| {
        let config = with_test_object(server.coap_address()).instances(3);
        let _agent = register(&server, &config);
        for (format, id) in INSTANCE_FORMATS.into_iter().zip(0..) {
            let instance = Path::instance(3442, id);
            let at = |below: &str| path(&format!("{instance}{below}"));
            let entries = [
                Entry::new(at("/110"), text("replaced")),
                Entry::new(at("/1120/3"), Value::Integer(3)),
            ];
            let mode = WriteMode::Replace;
            let answer =
                server.write_entries(ENDPOINT, &instance, mode, Some(format), &entries).unwrap();
            assert_code(&answer, Code::CHANGED);
            let answer = server.read(ENDPOINT, &instance, None).unwrap();
            for entry in &entries {
                assert_eq!(answer.value(&entry.path), entry.value(), "{format}: {answer:?}");
            }
            assert_eq!(answer.values.len(), entries.len(), "{format}: {answer:?}");
            let answer = server.read(ENDPOINT, &at("/120"), None).unwrap();
            assert_code(&answer, Code::NOT_FOUND);
        }
    });
}

/// Waits for an Update with links that fit.
fn wait_update(server: &Server, fits: impl Fn(&Registration) -> bool) {
    let updated = |event: &Event| matches!(event, Event::Updated(now) if fits(now));
    server.wait_event(LIMIT, updated).unwrap();
}

/// Those that carry a whole instance.
const INSTANCE_FORMATS: [ContentFormat; 3] =
    [ContentFormat::TLV, ContentFormat::SENML_JSON, ContentFormat::SENML_CBOR];
