//! Bodies that do not fit in one datagram, in both roles (RFC 7959, Core 7).

use lwm2m_interop::{Event, Server};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};

use crate::support::*;

/// TRN-36: Leshan sends what is above 1 KiB in blocks of 512 bytes.
#[test]
fn a_long_value_is_written_and_read_back() {
    with_leshan("writes and reads values of several KiB", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let bytes = Value::Opaque(noise(5000));
        for format in [
            ContentFormat::OPAQUE,
            ContentFormat::CBOR,
            ContentFormat::SENML_JSON,
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
        ] {
            write_and_read(&server, "/3442/0/150", format, &bytes);
            write_text(&server, "/3442/0/150", &Value::Opaque(Vec::new()));
        }
        let letters = text(&"ä".repeat(3000));
        write_and_read(&server, "/3442/0/110", ContentFormat::TEXT, &letters);
        // At the limit of the object, and beyond it.
        let most = Value::Opaque(noise(65536));
        write_and_read(&server, "/3442/0/150", ContentFormat::OPAQUE, &most);
        let more = Value::Opaque(noise(65537));
        let (mode, format) = (WriteMode::Replace, Some(ContentFormat::OPAQUE));
        let answer = server.write(ENDPOINT, &path("/3442/0/150"), mode, format, &more).unwrap();
        let refused = [Some(Code::BAD_REQUEST), Some(Code::REQUEST_ENTITY_TOO_LARGE)];
        assert!(refused.contains(&answer.code), "{answer:?}");
        let answer = server.read(ENDPOINT, &path("/3442/0/150"), format).unwrap();
        assert_eq!(answer.value(&path("/3442/0/150")), Some(&most));
    });
}

#[test]
fn instances_are_created_replaced_and_read_in_blocks() {
    with_leshan("creates and replaces instances in blocks", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let instance = Path::instance(3442, 9);
        let entries = |length: usize| {
            let at = Path::resource(3442, 9, 1150);
            let part = |id| Entry::new(at.child(id).unwrap(), Value::Opaque(noise(length)));
            (0..4).map(part).collect::<Vec<_>>()
        };
        for format in [ContentFormat::TLV, ContentFormat::SENML_CBOR] {
            let answer = server.create(ENDPOINT, &instance, format, &entries(700)).unwrap();
            assert_code(&answer, Code::CREATED);
            let replaced = entries(900);
            let mode = WriteMode::Replace;
            let answer =
                server.write_entries(ENDPOINT, &instance, mode, Some(format), &replaced).unwrap();
            assert_code(&answer, Code::CHANGED);
            let answer = server.read(ENDPOINT, &instance, Some(format)).unwrap();
            assert_eq!(answer.values, replaced);
            assert_code(&server.delete(ENDPOINT, &instance).unwrap(), Code::DELETED);
        }
    });
}

/// CORE-92, 151; TRN-07, 37: the list of objects goes out in Block1, at once and again
/// when it changes.
#[test]
fn a_long_list_of_instances_is_registered_in_blocks() {
    with_leshan("registers and updates in blocks", &leshan(), |server| {
        let config = with_test_object(server.coap_address()).instances(INSTANCES);
        let (_agent, registration) = register(&server, &config);
        for id in 0..INSTANCES {
            assert!(registration.link(&format!("/3442/{id}")).is_some(), "{id}");
        }
        let blocks = continued(&server);
        assert!(blocks.len() >= 5, "{blocks:?}");
        assert!(blocks.iter().all(|path| path == "/rd"), "{blocks:?}");

        let gone = Path::instance(3442, 7);
        assert_code(&server.delete(ENDPOINT, &gone).unwrap(), Code::DELETED);
        let updated = |event: &Event| {
            matches!(event, Event::Updated(now)
                if now.link("/3442/7").is_none() && now.link("/3442/8").is_some())
        };
        server.wait_event(LIMIT, updated).unwrap();
        let blocks = continued(&server);
        assert!(blocks.len() >= 5, "{blocks:?}");
        assert!(
            blocks.iter().all(|path| path == &format!("/rd/{}", registration.id)),
            "{blocks:?}"
        );
    });
}

/// RFC 7959 3.3: the notification carries the first block, the server fetches the rest.
#[test]
fn a_long_notification_is_fetched_in_blocks() {
    with_leshan("notifies of values of several KiB", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let at = path("/3442/0/150");
        let format = Some(ContentFormat::OPAQUE);
        server.observe(ENDPOINT, &at, format, &[]).unwrap();
        for length in [4000, 6000] {
            let bytes = Value::Opaque(noise(length));
            let answer = server.write(ENDPOINT, &at, WriteMode::Replace, format, &bytes).unwrap();
            assert_code(&answer, Code::CHANGED);
            let notification = server.wait_notification(&at, LIMIT).unwrap();
            assert_eq!(notification.value(&at), Some(&bytes));
        }
    });
}

/// A Read and a Discover of many instances: hundreds of blocks.
#[test]
fn an_object_of_many_instances_is_read_and_discovered() {
    with_leshan("reads and discovers many instances", &leshan(), |server| {
        let config = with_test_object(server.coap_address()).instances(100);
        let _agent = register(&server, &config);
        for format in [ContentFormat::TLV, ContentFormat::SENML_CBOR] {
            let answer = server.read(ENDPOINT, &Path::object(3442), Some(format)).unwrap();
            assert_code(&answer, Code::CONTENT);
            assert!(answer.payload.len() > 15_000, "{}", answer.payload.len());
            for id in 0..100 {
                let at = Path::resource(3442, id, 110);
                assert_eq!(answer.value(&at), Some(&text("initial value")), "{format}");
            }
        }
        let answer = server.discover(ENDPOINT, &Path::object(3442), &[]).unwrap();
        assert!(answer.link("/3442/99/1180").is_some());
    });
}

fn write_and_read(server: &Server, at: &str, format: ContentFormat, value: &Value) {
    let at = path(at);
    let answer = server.write(ENDPOINT, &at, WriteMode::Replace, Some(format), value).unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED), "{format}: {answer:?}");
    let answer = server.read(ENDPOINT, &at, Some(format)).unwrap();
    assert_eq!((answer.code, answer.format), (Some(Code::CONTENT), Some(format)));
    assert_eq!(answer.value(&at), Some(value), "{format}");
}

/// The paths of the requests that the server has asked to go on with.
fn continued(server: &Server) -> Vec<String> {
    let events = server.take_events().unwrap().into_iter();
    let path = |event| match event {
        Event::Answered { path, code: Code::CONTINUE, .. } => Some(path),
        _ => None,
    };
    events.filter_map(path).collect()
}

/// Bytes that no two blocks share.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 251 + place % 251) as u8).collect()
}

/// Links to which take more than 6 KiB.
const INSTANCES: u16 = 550;
