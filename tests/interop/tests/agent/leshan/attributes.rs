//! Attributes of notifications: written, refused, shown and obeyed (Core 3).

use std::time::{Duration, Instant};

use lwm2m_interop::Server;
use lwm2m_model::{Code, Path, Value};

use crate::support::*;

/// CORE-22, 130: Leshan's parser takes each of them, and so does its view of Discover.
#[test]
fn every_attribute_is_taken_and_shown() {
    with_leshan("takes every attribute and shows it", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let numbers = "epmax=30&epmin=3&gt=100.5&lt=-4&pmax=60&pmin=2&st=2";
        for (target, attributes) in [
            ("/3442/0/120", numbers),
            ("/3442/0/125", &numbers.replace("-4", "4")),
            ("/3442/0/130", numbers),
            ("/3442/0/160", numbers),
            ("/3442/0/1120", numbers),
            ("/3442/0/110", "epmax=30&epmin=3&pmax=60&pmin=2"),
        ] {
            write_attributes(&server, target, attributes, Code::CHANGED);
            assert_eq!(shown(&server, target, target), attributes.split('&').collect::<Vec<_>>());
        }
        // Leshan writes to resource instances and does not discover them by themselves.
        let one = "/3442/0/1130/0";
        write_attributes(&server, one, "gt=5&pmax=9", Code::CHANGED);
        assert_eq!(shown(&server, "/3442/0/1130", one), ["gt=5", "pmax=9"]);
        // Discover of the instance shows them where they are attached, and no others.
        assert_eq!(shown(&server, "/3442/0", "/3442/0/120").len(), 7);
        assert!(shown(&server, "/3442/0", "/3442/0/140").is_empty());
        assert!(shown(&server, "/3442/0", "/3442/0").is_empty());
    });
}

/// CORE-24 to 28, 42, 49; TRN-25.
#[test]
fn contradictions_are_refused_and_change_nothing() {
    with_leshan("refuses contradictory attributes", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let number = "/3442/0/120";
        write_attributes(&server, number, "pmin=1&gt=50&lt=10", Code::CHANGED);
        for (target, attributes) in [
            (number, "gt=5&lt=5"),
            (number, "gt=5&lt=6"),
            (number, "gt=20&lt=10&st=5"),
            (number, "epmin=9&epmax=9"),
            (number, "epmin=10&epmax=9"),
            ("/3442/0/110", "gt=1"),
            ("/3442/0/140", "st=1"),
            ("/3442/0/150", "lt=1"),
            ("/3442/0", "gt=1"),
            ("/3442", "st=1"),
        ] {
            write_attributes_below(&server, target, attributes, Code::BAD_REQUEST);
        }
        assert_eq!(shown(&server, number, number), ["gt=50", "lt=10", "pmin=1"]);
        // A maximum below the minimum is no contradiction (CORE-29).
        write_attributes_below(&server, number, "pmax=3", Code::CHANGED);
        // Leshan takes no Discover that has both.
        write_attributes(&server, number, "pmin", Code::CHANGED);
        assert_eq!(shown(&server, number, number), ["gt=50", "lt=10", "pmax=3"]);
    });
}

/// CORE-23, 26, 131.
#[test]
fn attributes_are_inherited_overridden_and_unset() {
    with_leshan("inherits, overrides and unsets attributes", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let number = "/3442/0/120";
        write_attributes(&server, "/3442", "pmin=1&pmax=100", Code::CHANGED);
        write_attributes(&server, "/3442/0", "pmax=50", Code::CHANGED);
        write_attributes(&server, number, "pmin=7&st=3", Code::CHANGED);
        assert_eq!(shown(&server, number, number), ["pmax=50", "pmin=7", "st=3"]);
        write_attributes(&server, number, "pmin", Code::CHANGED);
        assert_eq!(shown(&server, number, number), ["pmax=50", "pmin=1", "st=3"]);
        write_attributes(&server, "/3442/0", "pmax", Code::CHANGED);
        write_attributes(&server, number, "st", Code::CHANGED);
        assert_eq!(shown(&server, number, number), ["pmax=100", "pmin=1"]);
        // The object shows what is attached to it.
        assert_eq!(shown(&server, "/3442", "/3442"), ["pmax=100", "pmin=1"]);
    });
}

/// CORE-36, 40: each crossing is told, in both directions, and nothing between.
#[test]
fn thresholds_tell_of_crossings_alone() {
    with_leshan("notifies when a threshold is crossed", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        for (resource, float) in [(120, false), (130, true)] {
            let at = Path::resource(3442, 0, resource);
            let value = |number: i32| {
                if float { Value::Float(number.into()) } else { Value::Integer(number.into()) }
            };
            write_text(&server, &at.to_string(), &value(15));
            write_attributes(&server, &at.to_string(), "gt=20&lt=10", Code::CHANGED);
            server.observe(ENDPOINT, &at, None, &[]).unwrap();
            for (number, is_told) in [
                (16, false),
                (20, false),
                (21, true),
                (30, false),
                (19, true),
                (9, true),
                (5, false),
                (12, true),
            ] {
                write_text(&server, &at.to_string(), &value(number));
                if is_told {
                    let notification = server.wait_notification(&at, LIMIT).unwrap();
                    assert_eq!(notification.value(&at), Some(&value(number)), "{at}");
                }
            }
            // What was not to be told would have come before the last.
            let events = server.take_events().unwrap();
            let is_extra = |event: &lwm2m_interop::Event| {
                matches!(event, lwm2m_interop::Event::Notification { .. })
            };
            assert!(!events.iter().any(is_extra), "{events:?}");
        }
    });
}

/// CORE-37: steps count from what was told last.
#[test]
fn steps_count_from_the_value_told_last() {
    with_leshan("notifies of steps", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let at = path("/3442/0/125");
        write_text(&server, "/3442/0/125", &Value::Unsigned(100));
        write_attributes(&server, "/3442/0/125", "st=10", Code::CHANGED);
        server.observe(ENDPOINT, &at, None, &[]).unwrap();
        // 100 was told, then 110, then 95.
        for number in [105, 109, 110, 119, 101, 95] {
            write_text(&server, "/3442/0/125", &Value::Unsigned(number));
        }
        for number in [110, 95] {
            let notification = server.wait_notification(&at, LIMIT).unwrap();
            assert_eq!(notification.value(&at), Some(&Value::Unsigned(number)));
        }
    });
}

/// CORE-41: a value that comes and goes between two evaluations is not told.
#[test]
fn evaluations_keep_their_distance() {
    with_leshan("evaluates no more often than epmin", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let at = path("/3442/0/120");
        write_attributes(&server, "/3442/0/120", "epmin=2", Code::CHANGED);
        server.observe(ENDPOINT, &at, None, &[]).unwrap();
        let began = Instant::now();
        for number in 1..=5 {
            write_text(&server, "/3442/0/120", &Value::Integer(number));
        }
        let mut came = Vec::new();
        while came.last() != Some(&Value::Integer(5)) {
            let notification = server.wait_notification(&at, LIMIT).unwrap();
            came.push(notification.value(&at).unwrap().clone());
        }
        assert!(came.len() < 5, "{came:?}");
        assert!(began.elapsed() > ALMOST_EPMIN, "{came:?} after {:?}", began.elapsed());
    });
}

fn write_attributes(server: &Server, target: &str, attributes: &str, code: Code) {
    let answer = server.write_attributes(ENDPOINT, &path(target), attributes).unwrap();
    assert_eq!(answer.code, Some(code), "{target}?{attributes}: {answer:?}");
}

/// `pmin=77`, with attributes that Leshan, which knows contradictions itself, does not see.
fn write_attributes_below(server: &Server, target: &str, attributes: &str, code: Code) {
    let query: Vec<&str> = attributes.split('&').collect();
    let command = serde_json::json!({
        "cmd": "writeAttributes", "endpoint": ENDPOINT, "path": target,
        "attributes": "pmin=77", "query": query,
    });
    let answer = server.request(command).unwrap();
    assert_eq!(answer.code, Some(code), "{target}?{attributes}: {answer:?}");
}

/// What Discover at `target` shows of `uri`, as `name=value`, without dimensions.
fn shown(server: &Server, target: &str, uri: &str) -> Vec<String> {
    let answer = server.discover(ENDPOINT, &path(target), &[]).unwrap();
    assert_code(&answer, Code::CONTENT);
    let link = answer.link(uri).unwrap_or_else(|| panic!("no {uri}: {answer:?}"));
    link.attributes
        .iter()
        .filter(|(name, _)| *name != "dim")
        .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or_default()))
        .collect()
}

/// The agent counts from its answer, which left before it came here.
const ALMOST_EPMIN: Duration = Duration::from_millis(1500);
