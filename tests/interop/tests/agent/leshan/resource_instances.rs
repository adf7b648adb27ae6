//! Resource instances: read, written, deleted and observed (Core 6.1, 6.3, 6.6, 6.4.4).

use std::time::Duration;

use lwm2m_interop::Server;
use lwm2m_model::{Code, ContentFormat, Entry, Value, WriteMode};

use crate::support::*;

/// OBJ-01: by itself, and beside its siblings.
#[test]
fn a_resource_instance_is_read_in_every_format() {
    with_leshan("reads resource instances", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        write_several(&server, WriteMode::Replace, &[(2, -2), (40, 40)]);
        for format in [
            ContentFormat::TEXT,
            ContentFormat::CBOR,
            ContentFormat::SENML_JSON,
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
        ] {
            let answer = server.read(ENDPOINT, &path("/3442/0/1120/40"), Some(format)).unwrap();
            assert_code(&answer, Code::CONTENT);
            assert_eq!(answer.format, Some(format));
            let value = answer.value(&path("/3442/0/1120/40"));
            assert_eq!(value, Some(&Value::Integer(40)), "{format}: {answer:?}");
        }
        assert_eq!(several(&server), [(2, -2), (40, 40)]);
        let answer = server.read(ENDPOINT, &path("/3442/0/1120/3"), None).unwrap();
        assert_code(&answer, Code::NOT_FOUND);
        let answer = server.read(ENDPOINT, &path("/3442/0/120/0"), None).unwrap();
        assert_code(&answer, Code::METHOD_NOT_ALLOWED);
    });
}

/// CORE-134, 135.
#[test]
fn a_multiple_resource_is_replaced_whole_and_updated_in_part() {
    with_leshan("writes multiple resources", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        write_several(&server, WriteMode::Partial, &[(1, 1), (2, 2)]);
        assert_eq!(several(&server), [(0, 1024), (1, 1), (2, 2)]);
        write_several(&server, WriteMode::Partial, &[(2, 22), (3, 33)]);
        assert_eq!(several(&server), [(0, 1024), (1, 1), (2, 22), (3, 33)]);
        write_several(&server, WriteMode::Replace, &[(7, 7)]);
        assert_eq!(several(&server), [(7, 7)]);
        // Leshan has to be told the type of nothing.
        let command = serde_json::json!({
            "cmd": "write", "endpoint": ENDPOINT, "path": SEVERAL, "mode": "replace",
            "format": ContentFormat::TLV.0, "type": "INTEGER", "values": [],
        });
        assert_code(&server.request(command).unwrap(), Code::CHANGED);
        assert_eq!(several(&server), []);
    });
}

/// CORE-136: alone it can be changed, not made.
#[test]
fn a_resource_instance_is_written_where_it_is() {
    with_leshan("writes resource instances", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        write_several(&server, WriteMode::Replace, &[(1, 1), (2, 2)]);
        let formats = [
            ContentFormat::TEXT,
            ContentFormat::CBOR,
            ContentFormat::SENML_JSON,
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
        ];
        for (format, number) in formats.into_iter().zip(60..) {
            let (mode, value) = (WriteMode::Replace, Value::Integer(number));
            let at = path("/3442/0/1120/2");
            let answer = server.write(ENDPOINT, &at, mode, Some(format), &value).unwrap();
            assert_eq!(answer.code, Some(Code::CHANGED), "{format}: {answer:?}");
            assert_eq!(several(&server), [(1, 1), (2, number)]);
            let at = path("/3442/0/1120/3");
            let answer = server.write(ENDPOINT, &at, mode, Some(format), &value).unwrap();
            assert_eq!(answer.code, Some(Code::NOT_FOUND), "{format}: {answer:?}");
        }
        assert_eq!(several(&server).len(), 2);
    });
}

/// CORE-149: a resource stays, its instances may go.
#[test]
fn a_resource_instance_is_deleted_and_a_resource_is_not() {
    with_leshan("deletes resource instances", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        write_several(&server, WriteMode::Replace, &[(1, 1), (2, 2)]);
        let answer = server.delete(ENDPOINT, &path("/3442/0/1120/1")).unwrap();
        assert_code(&answer, Code::DELETED);
        assert_eq!(several(&server), [(2, 2)]);
        for (target, code) in [
            ("/3442/0/1120/1", Code::NOT_FOUND),
            ("/3442/0/1120", Code::METHOD_NOT_ALLOWED),
            ("/3442/0/110", Code::METHOD_NOT_ALLOWED),
        ] {
            let answer = server.delete(ENDPOINT, &path(target)).unwrap();
            assert_eq!(answer.code, Some(code), "{target}: {answer:?}");
        }
        assert_eq!(several(&server), [(2, 2)]);
    });
}

#[test]
fn an_observed_resource_instance_tells_of_itself_alone() {
    with_leshan("observes resource instances", &leshan(), |server| {
        let agent = register(&server, &with_test_object(server.coap_address())).0;
        write_several(&server, WriteMode::Replace, &[(1, 1), (2, 2)]);
        let second = path("/3442/0/1120/2");
        let answer = server.observe(ENDPOINT, &second, None, &[]).unwrap();
        assert!(answer.observe.is_some(), "{answer:?}");
        assert_eq!(answer.value(&second), Some(&Value::Integer(2)));
        write_text(&server, "/3442/0/1120/1", &Value::Integer(11));
        let sibling = server.wait_notification(&second, A_WHILE);
        assert!(sibling.is_err(), "{sibling:?}");
        write_text(&server, "/3442/0/1120/2", &Value::Integer(22));
        let notification = server.wait_notification(&second, LIMIT).unwrap();
        assert_eq!(notification.value(&second), Some(&Value::Integer(22)));
        // What is gone ends the observation with a 4.04 (Core 6.4.4).
        assert_code(&server.delete(ENDPOINT, &second).unwrap(), Code::DELETED);
        agent.wait_log("no longer observes /3442/0/1120/2", LIMIT).unwrap();
    });
}

/// Writes instances of a multiple resource.
fn write_several(server: &Server, mode: WriteMode, instances: &[(u16, i64)]) {
    let resource = path(SEVERAL);
    let entries: Vec<Entry> = instances
        .iter()
        .map(|(id, value)| Entry::new(resource.child(*id).unwrap(), Value::Integer(*value)))
        .collect();
    let command =
        server.write_entries(ENDPOINT, &resource, mode, Some(ContentFormat::TLV), &entries);
    assert_code(&command.unwrap(), Code::CHANGED);
}

/// The instances of that resource.
fn several(server: &Server) -> Vec<(u16, i64)> {
    let answer = server.read(ENDPOINT, &path(SEVERAL), None).unwrap();
    assert_code(&answer, Code::CONTENT);
    let number = |entry: &Entry| match entry.value() {
        Some(Value::Integer(number)) => (entry.path.resource_instance_id().unwrap(), *number),
        other => panic!("{other:?}"),
    };
    answer.values.iter().map(number).collect()
}

const SEVERAL: &str = "/3442/0/1120";
/// Longer than a notification takes.
const A_WHILE: Duration = Duration::from_millis(500);
