//! Write, Write-Attributes and Execute, and what is refused (Core 6.3, 6.4).

use lwm2m_interop::leshan::Leshan;
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};

use crate::support::*;

/// CORE-132.
#[test]
fn a_partial_write_changes_what_it_names() {
    with_leshan("writes a part of an instance", &leshan(), |server| {
        let _agent = registered(&server);
        for (format, pmin, pmax) in [
            (ContentFormat::TLV, 2, 70),
            (ContentFormat::SENML_CBOR, 3, 80),
            (ContentFormat::SENML_JSON, 4, 90),
        ] {
            let entries = [
                Entry::new(path("/1/0/2"), Value::Integer(pmin)),
                Entry::new(path("/1/0/3"), Value::Integer(pmax)),
                Entry::new(path("/1/0/6"), Value::Boolean(pmin == 3)),
            ];
            let instance = Path::instance(1, 0);
            let mode = WriteMode::Partial;
            let answer =
                server.write_entries(ENDPOINT, &instance, mode, Some(format), &entries).unwrap();
            assert_code(&answer, Code::CHANGED);
            assert_eq!(read_text(&server, "/1/0/2"), pmin.to_string());
            assert_eq!(read_text(&server, "/1/0/3"), pmax.to_string());
            assert_eq!(read_text(&server, "/1/0/6"), i64::from(pmin == 3).to_string());
            assert_eq!(read_text(&server, "/1/0/1"), LIFETIME.to_string());
        }
    });
}

#[test]
fn every_format_that_both_sides_know_can_be_written() {
    with_leshan("writes in every common format", &leshan(), |server| {
        let _agent = registered(&server);
        let formats = [
            ContentFormat::TEXT,
            ContentFormat::CBOR,
            ContentFormat::SENML_JSON,
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
        ];
        for (format, seconds) in formats.into_iter().zip(60..) {
            let (mode, value) = (WriteMode::Replace, Value::Integer(seconds));
            let answer =
                server.write(ENDPOINT, &path("/1/0/5"), mode, Some(format), &value).unwrap();
            assert_code(&answer, Code::CHANGED);
            assert_eq!(read_text(&server, "/1/0/5"), seconds.to_string());
        }
        let (mode, format) = (WriteMode::Replace, Some(ContentFormat::OMA_JSON));
        let value = Value::Integer(1);
        let answer = server.write(ENDPOINT, &path("/1/0/5"), mode, format, &value).unwrap();
        assert_code(&answer, Code::UNSUPPORTED_CONTENT_FORMAT);
    });
}

/// CORE-06; OBJ-04.
#[test]
fn values_that_do_not_fit_are_refused_and_change_nothing() {
    // For Leshan the lifetime is a text: only so it can send one that is no number.
    let models = tempfile::TempDir::new().unwrap();
    std::fs::write(models.path().join("1.xml"), LIFETIME_AS_TEXT).unwrap();
    let leshan = Leshan::new().models(models.path());
    with_leshan("refuses values that do not fit", &leshan, |server| {
        let _agent = registered(&server);
        let formats = [
            ContentFormat::TEXT,
            ContentFormat::CBOR,
            ContentFormat::SENML_JSON,
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
        ];
        // In TLV a number has 1, 2, 4 or 8 bytes, and so have none of these.
        for (format, wrong) in
            formats.into_iter().flat_map(|format| ["now", "-42", ""].map(|wrong| (format, wrong)))
        {
            let mode = WriteMode::Replace;
            let answer =
                server.write(ENDPOINT, &path("/1/0/1"), mode, Some(format), &text(wrong)).unwrap();
            assert_eq!(answer.code, Some(Code::BAD_REQUEST), "{wrong:?} in {format}: {answer:?}");
        }
        assert_eq!(read_text(&server, "/1/0/1"), LIFETIME.to_string());
    });
}

#[test]
fn what_cannot_be_written_is_refused_with_its_code() {
    with_leshan("refuses to write what it must not", &leshan(), |server| {
        let device = serde_json::json!({ "device": { "manufacturer": "ACME" } });
        let config = nosec(server.coap_address()).general("objects", device);
        let (_agent, _) = register(&server, &config);
        for (target, value, code) in [
            ("/3/0/0", text("someone else"), Code::METHOD_NOT_ALLOWED),
            ("/3/0/16", text("UQ"), Code::METHOD_NOT_ALLOWED),
            ("/1/0/0", Value::Integer(7), Code::METHOD_NOT_ALLOWED),
            ("/3/1/14", text("+01:00"), Code::NOT_FOUND),
            ("/0/0/0", text("coap://[::1]"), Code::UNAUTHORIZED),
        ] {
            let (mode, format) = (WriteMode::Replace, Some(ContentFormat::TEXT));
            let answer = server.write(ENDPOINT, &path(target), mode, format, &value).unwrap();
            assert_eq!(answer.code, Some(code), "{target}: {answer:?}");
        }
        // One resource that cannot be written refuses all of them (Core 6.3).
        let entries = [
            Entry::new(path("/1/0/0"), Value::Integer(7)),
            Entry::new(path("/1/0/1"), Value::Integer(60)),
        ];
        let (mode, format) = (WriteMode::Partial, Some(ContentFormat::TLV));
        let instance = Path::instance(1, 0);
        let answer = server.write_entries(ENDPOINT, &instance, mode, format, &entries).unwrap();
        assert_code(&answer, Code::METHOD_NOT_ALLOWED);
        assert_eq!(read_text(&server, "/1/0/1"), LIFETIME.to_string());
    });
}

#[test]
fn attributes_are_taken_where_they_make_sense() {
    with_leshan("takes and refuses attributes", &leshan(), |server| {
        let _agent = registered(&server);
        for (target, attributes, code) in [
            ("/3/0/10", "pmin=1&pmax=5&gt=100&lt=50&st=10", Code::CHANGED),
            ("/3", "pmin=1", Code::CHANGED),
            // Thresholds are for numbers (Core 7.3).
            ("/3/0/16", "gt=1", Code::BAD_REQUEST),
            ("/3/0/9999", "pmin=1", Code::NOT_FOUND),
            ("/0/0", "pmin=1", Code::UNAUTHORIZED),
        ] {
            let answer = server.write_attributes(ENDPOINT, &path(target), attributes).unwrap();
            assert_eq!(answer.code, Some(code), "{target}?{attributes}: {answer:?}");
        }
    });
}

#[test]
fn execute_runs_what_can_be_run() {
    with_leshan("executes and refuses to execute", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        for (target, arguments, code) in [
            ("/3/0/12", None, Code::CHANGED),
            ("/3442/0/3", Some("0='all',1"), Code::CHANGED),
            // They take no argument, and must not happen.
            ("/3/0/12", Some("0='all',1"), Code::BAD_REQUEST),
            ("/1/0/8", Some("5='x'"), Code::BAD_REQUEST),
            ("/1/0/4", Some("0"), Code::BAD_REQUEST),
            ("/3/0/16", None, Code::METHOD_NOT_ALLOWED),
            ("/3/0/16", Some("0"), Code::METHOD_NOT_ALLOWED),
            ("/3/0/5", None, Code::NOT_FOUND),
            ("/3/0/9999", None, Code::NOT_FOUND),
            ("/0/0/0", None, Code::UNAUTHORIZED),
        ] {
            let answer = server.execute(ENDPOINT, &path(target), arguments).unwrap();
            assert_eq!(answer.code, Some(code), "{target} {arguments:?}: {answer:?}");
        }
        // The test object lists the arguments that it was given.
        let answer = server.read(ENDPOINT, &path("/3442/0/4"), None).unwrap();
        assert_eq!(answer.value(&path("/3442/0/4/0")), Some(&text("all")), "{answer:?}");
        assert_eq!(answer.value(&path("/3442/0/4/1")), Some(&text("")), "{answer:?}");
        assert_eq!(server.registrations().unwrap().len(), 1);
    });
}

const LIFETIME_AS_TEXT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<LWM2M><Object ObjectType="MODefinition">
<Name>LWM2M Server</Name><Description1/><ObjectID>1</ObjectID><ObjectURN>urn:oma:lwm2m:oma:1:1.2</ObjectURN>
<LWM2MVersion>1.1</LWM2MVersion><ObjectVersion>1.2</ObjectVersion>
<MultipleInstances>Multiple</MultipleInstances><Mandatory>Mandatory</Mandatory>
<Resources><Item ID="1"><Name>Lifetime</Name><Operations>RW</Operations>
<MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>String</Type>
<RangeEnumeration/><Units/><Description/></Item></Resources>
</Object></LWM2M>
"#;
