//! Read and Discover, and what is refused (Core 6.1, 6.2).

use lwm2m_model::{Code, ContentFormat, Path, Value};

use crate::support::*;

#[test]
fn resources_have_the_values_of_this_machine() {
    with_leshan("reads resources", &leshan(), |server| {
        let (_agent, registration) = register(&server, &nosec(server.coap_address()));
        assert_eq!(registration.endpoint, ENDPOINT);
        assert_eq!(read_text(&server, "/3/0/16"), "U");
        assert_eq!(read_text(&server, "/1/0/0"), "101");
        assert_eq!(read_text(&server, "/1/0/1"), LIFETIME.to_string());
        assert_eq!(read_text(&server, "/1/0/7"), "U");
        assert_eq!(read_text(&server, "/3/0/21"), memory_total().to_string());
        let answer = server.read(ENDPOINT, &path("/3/0/13"), None).unwrap();
        let Some(Value::Time(seconds)) = answer.value(&path("/3/0/13")) else {
            panic!("{answer:?}");
        };
        let here = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let apart = here.as_secs().abs_diff(u64::try_from(*seconds).unwrap());
        assert!(apart <= LIMIT.as_secs(), "{seconds} is not now");
    });
}

#[test]
fn configured_identity_is_read_from_the_instance_and_the_object() {
    with_leshan("reads an instance and an object", &leshan(), |server| {
        let device = serde_json::json!({ "manufacturer": "ACME", "model": "GW-100" });
        let config = nosec(server.coap_address())
            .general("objects", serde_json::json!({ "device": device }));
        let (_agent, _) = register(&server, &config);
        for target in [Path::instance(3, 0), Path::object(3)] {
            let answer = server.read(ENDPOINT, &target, None).unwrap();
            assert_code(&answer, Code::CONTENT);
            assert_eq!(answer.format, Some(ContentFormat::SENML_CBOR), "{target}");
            let values = [
                ("/3/0/0", text("ACME")),
                ("/3/0/1", text("GW-100")),
                ("/3/0/16", text("U")),
                ("/3/0/21", Value::Integer(memory_total())),
            ];
            for (at, value) in values {
                assert_eq!(answer.value(&path(at)), Some(&value), "{target}: {answer:?}");
            }
        }
        let answer = server.read(ENDPOINT, &Path::object(1), None).unwrap();
        let lifetime = Value::Integer(LIFETIME.into());
        assert_eq!(answer.value(&path("/1/0/1")), Some(&lifetime), "{answer:?}");
        assert_eq!(answer.value(&path("/1/0/6")), Some(&Value::Boolean(true)), "{answer:?}");
    });
}

#[test]
fn every_format_that_both_sides_know_is_understood() {
    with_leshan("reads in every common format", &leshan(), |server| {
        let _agent = registered(&server);
        let (lifetime, binding) = (path("/1/0/1"), path("/1/0/7"));
        let seconds = Value::Integer(LIFETIME.into());
        let single = [
            ContentFormat::TEXT,
            ContentFormat::CBOR,
            ContentFormat::SENML_JSON,
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
        ];
        for format in single {
            for (at, value) in [(&lifetime, &seconds), (&binding, &text("U"))] {
                let answer = server.read(ENDPOINT, at, Some(format)).unwrap();
                assert_code(&answer, Code::CONTENT);
                assert_eq!((answer.format, answer.value(at)), (Some(format), Some(value)));
            }
        }
        for format in [ContentFormat::SENML_JSON, ContentFormat::SENML_CBOR, ContentFormat::TLV] {
            let answer = server.read(ENDPOINT, &Path::instance(1, 0), Some(format)).unwrap();
            assert_eq!(answer.format, Some(format));
            assert_eq!(answer.value(&lifetime), Some(&seconds), "{answer:?}");
        }
    });
}

/// CORE-128, 184.
#[test]
fn json_of_1_0_is_not_acceptable_at_1_1() {
    with_leshan("refuses to read in JSON of 1.0", &leshan(), |server| {
        let _agent = registered(&server);
        let format = Some(ContentFormat::OMA_JSON);
        let answer = server.read(ENDPOINT, &path("/3/0/16"), format).unwrap();
        assert_code(&answer, Code::NOT_ACCEPTABLE);
    });
}

#[test]
fn what_is_missing_or_secret_is_refused_with_its_code() {
    with_leshan("refuses to read what is missing or secret", &leshan(), |server| {
        let _agent = registered(&server);
        for (target, code) in [
            ("/3/0/9999", Code::NOT_FOUND),
            ("/3/1", Code::NOT_FOUND),
            ("/3/1/0", Code::NOT_FOUND),
            ("/4242", Code::NOT_FOUND),
            ("/4242/0/1", Code::NOT_FOUND),
            ("/0", Code::UNAUTHORIZED),
            ("/0/0", Code::UNAUTHORIZED),
            ("/0/0/5", Code::UNAUTHORIZED),
            ("/3/0/4", Code::METHOD_NOT_ALLOWED),
        ] {
            let answer = server.read(ENDPOINT, &path(target), None).unwrap();
            assert_eq!(answer.code, Some(code), "{target}: {answer:?}");
            assert!(answer.payload.is_empty(), "{target}: {answer:?}");
        }
    });
}

/// CORE-130, 131.
#[test]
fn discover_shows_attributes_and_dimensions() {
    with_leshan("discovers attributes and dimensions", &leshan(), |server| {
        let _agent = registered(&server);
        let current_time = path("/3/0/13");
        let answer = server.write_attributes(ENDPOINT, &current_time, "pmin=5&pmax=60").unwrap();
        assert_code(&answer, Code::CHANGED);
        let answer = server.write_attributes(ENDPOINT, &Path::instance(3, 0), "pmax=300").unwrap();
        assert_code(&answer, Code::CHANGED);

        let answer = server.discover(ENDPOINT, &Path::instance(3, 0), &[]).unwrap();
        assert_code(&answer, Code::CONTENT);
        let attribute = |uri: &str, name: &str| {
            let link = answer.link(uri).unwrap_or_else(|| panic!("no {uri}: {answer:?}"));
            link.attributes.get(name).cloned().flatten()
        };
        assert_eq!(attribute("/3/0", "pmax").as_deref(), Some("300"));
        assert_eq!(attribute("/3/0/13", "pmin").as_deref(), Some("5"));
        assert_eq!(attribute("/3/0/13", "pmax").as_deref(), Some("60"));
        // Error Code has one instance, 0, where all is well.
        assert_eq!(attribute("/3/0/11", "dim").as_deref(), Some("1"));
        assert_eq!(attribute("/3/0/4", "dim"), None);
        assert!(answer.link("/3/0/5").is_none(), "there is no factory reset: {answer:?}");

        let answer = server.discover(ENDPOINT, &current_time, &[]).unwrap();
        let link = answer.link("/3/0/13").unwrap();
        assert_eq!(link.attributes["pmax"].as_deref(), Some("60"));
        let answer = server.discover(ENDPOINT, &path("/3/0/9999"), &[]).unwrap();
        assert_code(&answer, Code::NOT_FOUND);
    });
}

/// In units of 1000 bytes; `/proc/meminfo` has 1024.
fn memory_total() -> i64 {
    let file = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = file.lines().find(|line| line.starts_with("MemTotal:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * 1024 / 1000
}
