//! The manual page of the configuration against what it describes: every key of
//! the schema, every limit that is a public constant.

use std::collections::BTreeSet;

use lwm2md::config::schema;
use serde_json::Value;

const PAGE: &str = include_str!("../../../packaging/man/lwm2md.yaml.5");

/// The names of all keys at and below a part of the schema.
fn keys(part: &Value, names: &mut BTreeSet<String>) {
    match part {
        Value::Object(map) => {
            if let Some(properties) = map.get("properties").and_then(Value::as_object) {
                names.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| keys(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_is_in_the_manual() {
    let mut names = BTreeSet::new();
    keys(&schema(), &mut names);
    assert!(names.contains("short_server_id"), "{names:?}");
    let described: BTreeSet<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with(".B"))
        .flat_map(|line| line.split([' ', ',', '"']))
        .collect();
    let missing: Vec<&String> =
        names.iter().filter(|name| !described.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "packaging/man/lwm2md.yaml.5 lacks {missing:?}");
}

#[test]
fn the_limits_of_the_manual_are_those_of_the_code() {
    let coap = lwm2m_coap::Config::default();
    for (what, limit) in [
        ("Servers", lwm2m_engine::MAX_SERVERS.to_string()),
        ("Observations, of all servers", lwm2m_engine::MAX_OBSERVATIONS.to_string()),
        ("Requests that wait to be stored", lwm2m_engine::MAX_WAITING_TO_PERSIST.to_string()),
        ("Payload of a request in blocks", format!("{} bytes", coap.max_body)),
        (
            "Silence within a transfer in blocks",
            format!("{} s", coap.exchange_lifetime().as_secs()),
        ),
        ("Values in one payload", lwm2m_codec::MAX_RECORDS.to_string()),
        ("Nesting of a payload", format!("{} levels", lwm2m_codec::MAX_DEPTH)),
        (
            "Notifications stored for an observation",
            lwm2m_engine::MAX_STORED_OF_OBSERVATION.to_string(),
        ),
        ("Notifications stored for a server", lwm2m_engine::MAX_STORED.to_string()),
        ("Bytes of notifications stored for a server", lwm2m_engine::MAX_STORED_BYTES.to_string()),
    ] {
        let row = format!("{what}|{limit}|");
        assert!(PAGE.lines().any(|line| line.starts_with(&row)), "no row \"{row}\"");
    }
}
