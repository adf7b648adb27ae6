//! Read and Write: levels, formats, refusals (Core 6.1, 6.3, 11).

use lwm2m_codec::Item;
use lwm2m_model::{Code, ContentFormat, DataType, Entry, Path, Value, Version};
use lwm2m_world::{Ask, Response, World, method, option};

const SINGLE: [ContentFormat; 2] = [ContentFormat::TEXT, ContentFormat::CBOR];
const MANY: [ContentFormat; 4] = [
    ContentFormat::TLV,
    ContentFormat::SENML_JSON,
    ContentFormat::SENML_CBOR,
    ContentFormat::LWM2M_CBOR,
];

/// The paths of an answer.
fn paths(response: &Response, target: &str) -> Vec<String> {
    let target: Path = target.parse().unwrap();
    let records =
        lwm2m_codec::decode(response.format.unwrap(), &response.payload, &target).unwrap();
    records.iter().map(|record| record.path.to_string()).collect()
}

/// The one value of an answer.
fn value(response: &Response, target: &str, data_type: DataType) -> Value {
    let target: Path = target.parse().unwrap();
    let records =
        lwm2m_codec::decode(response.format.unwrap(), &response.payload, &target).unwrap();
    match &records[0].item {
        Item::Value(raw) => raw.to_value(data_type).unwrap(),
        Item::Empty | Item::Delete => panic!("{target} has no value"),
    }
}

fn payload(format: ContentFormat, target: &str, values: &[(&str, Value)]) -> Vec<u8> {
    let entries: Vec<Entry> = values
        .iter()
        .map(|(path, value)| Entry::new(path.parse().unwrap(), value.clone()))
        .collect();
    let mut bytes = Vec::new();
    lwm2m_codec::encode(format, &target.parse().unwrap(), &entries, &mut bytes).unwrap();
    bytes
}

/// CORE-11, 125.
#[test]
fn every_level_is_read_in_every_format_that_can_hold_it() {
    let mut world = World::registered(|_| {});
    let levels = [
        ("/3303", 11),
        ("/3303/0", 10),
        ("/3303/0/7000", 2),
        ("/3303/0/7000/1", 1),
        ("/3303/0/5700", 1),
        ("/1/0", 10),
    ];
    for (path, count) in levels {
        for format in MANY {
            let response = world.ask(Ask::read(path).accept(format));
            assert_eq!((response.code, response.format), (Code::CONTENT, Some(format)), "{path}");
            let found = paths(&response, path);
            assert_eq!(found.len(), count, "{path} {format}: {found:?}");
            assert!(!found.iter().any(|at| at.ends_with("/5605") || at.ends_with("/7002")));
        }
    }
    for path in ["/3303/0/5700", "/3303/0/5701", "/3303/0/5500", "/3303/0/7000/1", "/3303/0/7004"] {
        for format in SINGLE {
            let response = world.ask(Ask::read(path).accept(format));
            assert_eq!((response.code, response.format), (Code::CONTENT, Some(format)), "{path}");
            assert_eq!(paths(&response, path), [path]);
        }
    }
}

/// OBJ-01.
#[test]
fn every_type_comes_through_every_format() {
    let mut world = World::registered(|_| {});
    let values = [
        ("/3303/0/5500", Value::Boolean(false)),
        ("/3303/0/5518", Value::Time(1_700_000_000)),
        ("/3303/0/5700", Value::Float(20.0)),
        ("/3303/0/5701", Value::String("Cel".into())),
        ("/3303/0/7001", Value::Opaque(vec![1, 2, 3])),
        ("/3303/0/7004", Value::Unsigned(7)),
        ("/3/0/9", Value::Integer(100)),
    ];
    for (path, expected) in values {
        for format in SINGLE.into_iter().chain(MANY) {
            let response = world.ask(Ask::read(path).accept(format));
            assert_eq!(value(&response, path, expected.data_type()), expected, "{path} {format}");
        }
    }
}

/// CORE-183, 185.
#[test]
fn without_accept_the_format_is_the_devices_own() {
    let cases = [
        (Version::V1_2, "/3/0/0", ContentFormat::TEXT),
        (Version::V1_2, "/3303/0/7001", ContentFormat::OPAQUE),
        (Version::V1_2, "/3/0", ContentFormat::SENML_CBOR),
        (Version::V1_1, "/3/0", ContentFormat::SENML_CBOR),
        (Version::V1_0, "/3/0", ContentFormat::TLV),
        (Version::V1_2, "/3/0/11", ContentFormat::SENML_CBOR),
    ];
    for (version, path, format) in cases {
        let mut world = World::registered(|setup| setup.manner.versions = vec![version]);
        assert_eq!(world.read(path).format, Some(format), "{version} {path}");
    }
}

/// CORE-184: with servers of 1.0, and with no other.
#[test]
fn json_of_1_0_is_spoken_with_servers_of_1_0_alone() {
    const JSON: ContentFormat = ContentFormat::OMA_JSON;
    let name = Value::String("made in JSON".into());
    let numbers = [("/3303/0/7000/3", Value::Integer(23))];
    let read = |path: &str| Ask::read(path).accept(JSON);
    let asks = || {
        [
            (read("/3303/0/5750"), Code::CONTENT),
            (Ask::observe("/3303/0", "").accept(JSON), Code::CONTENT),
            (
                Ask::write(
                    "/3303/0/5750",
                    JSON,
                    payload(JSON, "/3303/0/5750", &[("/3303/0/5750", name.clone())]),
                ),
                Code::CHANGED,
            ),
            (
                Ask::update("/3303/0/7000", JSON, payload(JSON, "/3303/0/7000", &numbers)),
                Code::CHANGED,
            ),
        ]
    };
    let speaking = |version| World::registered(|setup| setup.manner.versions = vec![version]);
    let mut world = speaking(Version::V1_0);
    for (ask, code) in asks() {
        let shown = format!("{ask:?}");
        assert_eq!(world.code(ask), code, "{shown}");
    }
    assert_eq!(world.device.objects.value("/3303/0/5750"), Some(&name));
    let response = world.ask(read("/3303/0/7000"));
    assert_eq!((response.code, response.format), (Code::CONTENT, Some(JSON)));
    let found = paths(&response, "/3303/0/7000");
    assert_eq!(found, ["/3303/0/7000/0", "/3303/0/7000/1", "/3303/0/7000/3"]);
    for version in [Version::V1_1, Version::V1_2] {
        let mut world = speaking(version);
        for (ask, code) in asks() {
            let refused = match code {
                Code::CONTENT => Code::NOT_ACCEPTABLE,
                _ => Code::UNSUPPORTED_CONTENT_FORMAT,
            };
            let shown = format!("{ask:?}");
            assert_eq!(world.code(ask), refused, "{version} {shown}");
        }
    }
}

/// CORE-127.
#[test]
fn an_object_without_instances_is_read_as_nothing() {
    let mut world = World::registered(|_| {});
    world.device.objects.remove("/33100/0");
    world.announce(33100);
    for format in MANY {
        let response = world.ask(Ask::read("/33100").accept(format));
        assert_eq!(response.code, Code::CONTENT, "{format}");
        assert!(paths(&response, "/33100").is_empty(), "{format}");
    }
}

/// Core 11, the rows of Read.
/// CORE-02, 04, 124, 128; TRN-19, 20, 22; OBJ-14, 20.
#[test]
fn what_cannot_be_read_gets_its_code() {
    let refused = [
        ("/0", None, Code::UNAUTHORIZED),
        ("/0/0/5", None, Code::UNAUTHORIZED),
        ("/21/0", None, Code::UNAUTHORIZED),
        ("/23/0/1", None, Code::UNAUTHORIZED),
        ("/", None, Code::METHOD_NOT_ALLOWED),
        ("/3/0/0/0", None, Code::METHOD_NOT_ALLOWED),
        ("/3/0/4", None, Code::METHOD_NOT_ALLOWED),
        ("/3303/0/7002", None, Code::METHOD_NOT_ALLOWED),
        ("/3/0/7/1/2", None, Code::METHOD_NOT_ALLOWED),
        ("/5", None, Code::NOT_FOUND),
        ("/3/1", None, Code::NOT_FOUND),
        ("/3/0/2", None, Code::NOT_FOUND),
        ("/3/0/99", None, Code::NOT_FOUND),
        ("/3/0/7/9", None, Code::NOT_FOUND),
        ("/3303/1/7002", None, Code::METHOD_NOT_ALLOWED),
        ("/3/0/65535", None, Code::NOT_FOUND),
        ("/3/0/65536", None, Code::NOT_FOUND),
        ("/d01/3/0", None, Code::NOT_FOUND),
        ("/3", Some(ContentFormat::TEXT), Code::NOT_ACCEPTABLE),
        ("/3/0", Some(ContentFormat::CBOR), Code::NOT_ACCEPTABLE),
        ("/3/0/11", Some(ContentFormat::TEXT), Code::NOT_ACCEPTABLE),
        ("/3/0/0", Some(ContentFormat::OPAQUE), Code::NOT_ACCEPTABLE),
        ("/3/0/0", Some(ContentFormat::OMA_JSON), Code::NOT_ACCEPTABLE),
        ("/3/0/0", Some(ContentFormat(9999)), Code::NOT_ACCEPTABLE),
    ];
    let mut world = World::registered(|_| {});
    for (path, accept, code) in refused {
        let ask = accept.map_or_else(|| Ask::read(path), |format| Ask::read(path).accept(format));
        assert_eq!(world.code(ask), code, "{path} {accept:?}");
    }
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

#[test]
fn an_object_that_refuses_is_believed() {
    let mut world = World::registered(|_| {});
    for code in [Code::INTERNAL_SERVER_ERROR, Code::SERVICE_UNAVAILABLE, Code::UNAUTHORIZED] {
        world.device.objects.refuse(3303, Some(code));
        assert_eq!(world.read("/3303/0/5700").code, code);
        assert_eq!(world.write("/3303/0/5750", "x"), code);
    }
}

/// CORE-132.
#[test]
fn a_value_is_written_in_every_format_that_can_hold_it() {
    let mut world = World::registered(|_| {});
    for (place, format) in SINGLE.into_iter().chain(MANY).enumerate() {
        let text = Value::String(format!("number {place}"));
        let bytes = payload(format, "/3303/0/5750", &[("/3303/0/5750", text.clone())]);
        let ask = Ask::write("/3303/0/5750", format, bytes);
        assert_eq!(world.code(ask), Code::CHANGED, "{format}");
        assert_eq!(world.device.objects.value("/3303/0/5750"), Some(&text), "{format}");
    }
    let ask = Ask::write("/3303/0/7001", ContentFormat::OPAQUE, [9, 8]);
    assert_eq!(world.code(ask), Code::CHANGED);
    assert_eq!(world.device.objects.value("/3303/0/7001"), Some(&Value::Opaque(vec![9, 8])));
}

/// The example of Core 6.3, on a multiple-instance resource.
/// CORE-134, 135.
#[test]
fn replace_replaces_the_array_and_partial_keeps_the_rest() {
    let new = [("/3303/0/7000/1", Value::Integer(21)), ("/3303/0/7000/3", Value::Integer(23))];
    for format in MANY {
        let bytes = payload(format, "/3303/0/7000", &new);
        let mut world = World::registered(|_| {});
        let replace = Ask::write("/3303/0/7000", format, bytes.clone());
        assert_eq!(world.code(replace), Code::CHANGED, "{format}");
        let response = world.ask(Ask::read("/3303/0/7000").accept(format));
        assert_eq!(
            paths(&response, "/3303/0/7000"),
            ["/3303/0/7000/1", "/3303/0/7000/3"],
            "{format}"
        );
        let mut world = World::registered(|_| {});
        let partial = Ask::update("/3303/0/7000", format, bytes);
        assert_eq!(world.code(partial), Code::CHANGED, "{format}");
        let response = world.ask(Ask::read("/3303/0/7000").accept(format));
        assert_eq!(paths(&response, "/3303/0/7000").len(), 3, "{format}");
    }
}

/// CORE-05, 132, 133; OBJ-15.
#[test]
fn the_account_is_written_whole_or_in_part_or_not_at_all() {
    for format in MANY {
        let mut world = World::registered(|_| {});
        let values = [("/1/0/2", Value::Integer(5)), ("/1/0/3", Value::Integer(50))];
        let ask = Ask::update("/1/0", format, payload(format, "/1/0", &values));
        assert_eq!(world.code(ask), Code::CHANGED, "{format}");
        assert_eq!(world.read("/1/0/2").text(), "5");
        assert_eq!(world.read("/1/0/3").text(), "50");
        let read_only = [("/1/0/0", Value::Integer(7)), ("/1/0/2", Value::Integer(6))];
        let ask = Ask::update("/1/0", format, payload(format, "/1/0", &read_only));
        assert_eq!(world.code(ask), Code::METHOD_NOT_ALLOWED, "{format}");
        assert_eq!(world.read("/1/0/2").text(), "5", "nothing of it was done");
        let unknown = [("/1/0/2", Value::Integer(8)), ("/1/0/999", Value::Integer(6))];
        let ask = Ask::write("/1/0", format, payload(format, "/1/0", &unknown));
        assert_eq!(world.code(ask), Code::CHANGED, "CORE-05 {format}");
        assert_eq!(world.read("/1/0/2").text(), "8");
    }
}

/// Core 11, the rows of Write.
/// CORE-06, 136 to 138; TRN-22; OBJ-04, 05, 14.
#[test]
fn what_cannot_be_written_gets_its_code() {
    const TEXT: ContentFormat = ContentFormat::TEXT;
    let text = |path: &str, text: &str| Ask::write(path, TEXT, text);
    let senml = |path: &str, values: &[(&str, Value)]| {
        let format = ContentFormat::SENML_CBOR;
        Ask::write(path, format, payload(format, path, values))
    };
    let outside = payload(
        ContentFormat::SENML_CBOR,
        "/3303/1/5750",
        &[("/3303/1/5750", Value::String("x".into()))],
    );
    let refused = [
        (text("/0/0/0", "x"), Code::UNAUTHORIZED),
        (text("/3/0/0", "x"), Code::METHOD_NOT_ALLOWED),
        (text("/3/0/4", "x"), Code::METHOD_NOT_ALLOWED),
        (text("/3303", "x"), Code::METHOD_NOT_ALLOWED),
        (text("/3303/0/5750/0", "x"), Code::METHOD_NOT_ALLOWED),
        (text("/9/0/0", "x"), Code::NOT_FOUND),
        (text("/3303/5/5750", "x"), Code::NOT_FOUND),
        (text("/3303/0/9999", "x"), Code::NOT_FOUND),
        (text("/3303/0/7000/8", "1"), Code::NOT_FOUND),
        (text("/3303/0/5821", "hot"), Code::BAD_REQUEST),
        (text("/3303/0/5821", "11"), Code::BAD_REQUEST),
        (text("/3303/0/7004", "-1"), Code::BAD_REQUEST),
        (text("/3303/0/7003", "77:0"), Code::BAD_REQUEST),
        (text("/1/0/1", "-1"), Code::BAD_REQUEST),
        (text("/1/0/7", "X"), Code::BAD_REQUEST),
        (text("/1/0/26", "2"), Code::BAD_REQUEST),
        (text("/3303/0/7000", "1"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (text("/3303/0", "1"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (Ask::write("/3303/0/5750", ContentFormat::OPAQUE, "x"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (Ask::write("/3303/0/5750", ContentFormat(9999), "x"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (
            Ask::write("/3303/0/5750", ContentFormat::OMA_JSON, "{}"),
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        (Ask::new(method::PUT, "/3303/0/5750").unlabelled("x"), Code::BAD_REQUEST),
        (Ask::new(method::PUT, "/3303/0/5750"), Code::BAD_REQUEST),
        (Ask::write("/3303/0/5750", ContentFormat::TLV, [0xff]), Code::BAD_REQUEST),
        (Ask::write("/3303/0/5750", ContentFormat::SENML_JSON, "[{]"), Code::BAD_REQUEST),
        (
            Ask::write("/3303/0/5750", ContentFormat::ETCH_JSON, "[]"),
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        (Ask::write("/3303/0", ContentFormat::SENML_CBOR, outside), Code::BAD_REQUEST),
        (senml("/3303/0", &[("/3303/0/5700", Value::Float(1.0))]), Code::METHOD_NOT_ALLOWED),
        (senml("/3303/0", &[("/3303/0/5821", Value::String("hot".into()))]), Code::BAD_REQUEST),
        (Ask::update("/3303/0/7000/1", ContentFormat::TLV, []), Code::METHOD_NOT_ALLOWED),
    ];
    let mut world = World::registered(|_| {});
    for (ask, code) in refused {
        let shown = format!("{ask:?}");
        assert_eq!(world.code(ask), code, "{shown}");
    }
    assert!(world.device.objects.runs.is_empty(), "nothing was written");
    assert_eq!(world.server.accepted("Update"), 0);
}

/// CORE-138; OBJ-05.
#[test]
fn links_lead_to_what_is_there_or_nowhere() {
    let mut world = World::registered(|_| {});
    for link in ["3:0", "3303:1", "3303:65535", "65535:65535"] {
        assert_eq!(world.write("/3303/0/7003", link), Code::CHANGED, "{link}");
    }
}

/// TRN-39.
#[test]
fn messages_that_are_no_request_get_their_code() {
    let mut world = World::registered(|_| {});
    let refused = [
        (Ask::new(method::FETCH, "/3/0"), Code::METHOD_NOT_ALLOWED),
        (Ask::new(method::IPATCH, "/3/0"), Code::METHOD_NOT_ALLOWED),
        (Ask::new(method::POST, "/"), Code::METHOD_NOT_ALLOWED),
        (Ask::read("/3/0/0").option(option::IF_NONE_MATCH, []), Code::BAD_OPTION),
        (Ask::read("/3/0/0").option(65_001, [1]), Code::BAD_OPTION),
        (Ask::read("/3/0/0").option(65_002, [1]), Code::CONTENT),
    ];
    for (ask, code) in refused {
        assert_eq!(world.code(ask), code);
    }
}

#[test]
fn a_request_that_needs_no_ack_is_answered_without_one() {
    let mut world = World::registered(|_| {});
    let response = world.ask(Ask::read("/3/0/0").unconfirmed());
    assert_eq!(response.text(), "Acme");
    assert_eq!(response.delivery, lwm2m_world::Delivery::NonConfirmable);
}
