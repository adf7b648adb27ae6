//! Every format that Leshan speaks, for values of every type (Core 10; OBJ-01).

use lwm2m_interop::Server;
use lwm2m_model::{Code, ContentFormat, Entry, ObjectLink, Path, Value, Version, WriteMode};

use crate::support::*;

/// OBJ-08; CORE-195.
#[test]
fn text_carries_every_type() {
    with_leshan("reads and writes every type in text", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        single_values(&server, ContentFormat::TEXT, |_| true);
        assert_eq!(read_text(&server, "/3442/0/130"), "-0.0000152587890625");
        assert_eq!(read_text(&server, "/3442/0/140"), "0");
        assert_eq!(read_text(&server, "/3442/0/150"), "AP/+gA==");
    });
}

#[test]
fn opaque_carries_bytes_alone() {
    with_leshan("reads and writes opaque values", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        let is_opaque = |value: &Value| matches!(value, Value::Opaque(_));
        single_values(&server, ContentFormat::OPAQUE, is_opaque);
        let answer =
            server.read(ENDPOINT, &path("/3442/0/150"), Some(ContentFormat::OPAQUE)).unwrap();
        assert_eq!(answer.payload, BYTES);
        let answer =
            server.read(ENDPOINT, &path("/3442/0/120"), Some(ContentFormat::OPAQUE)).unwrap();
        assert_code(&answer, Code::NOT_ACCEPTABLE);
    });
}

#[test]
fn cbor_carries_every_type() {
    with_leshan("reads and writes every type in CBOR", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        single_values(&server, ContentFormat::CBOR, |_| true);
    });
}

/// CORE-188; OBJ-02, 03.
#[test]
fn tlv_carries_every_type() {
    with_leshan("reads and writes every type in TLV", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        single_values(&server, ContentFormat::TLV, |_| true);
        whole_instance(&server, ContentFormat::TLV);
    });
}

/// CORE-189, 191; OBJ-07, 09.
#[test]
fn senml_json_carries_every_type() {
    with_leshan("reads and writes every type in SenML JSON", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        single_values(&server, ContentFormat::SENML_JSON, |_| true);
        whole_instance(&server, ContentFormat::SENML_JSON);
    });
}

/// CORE-189, 190.
#[test]
fn senml_cbor_carries_every_type() {
    with_leshan("reads and writes every type in SenML CBOR", &leshan(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        single_values(&server, ContentFormat::SENML_CBOR, |_| true);
        whole_instance(&server, ContentFormat::SENML_CBOR);
    });
}

/// CORE-184: for a device of 1.0, and for no other.
#[test]
fn json_of_1_0_carries_every_type() {
    with_leshan("reads and writes every type in JSON of 1.0", &leshan(), |server| {
        let config = with_test_object(server.coap_address())
            .general("lwm2m_version", "1.0")
            .general("min_lwm2m_version", "1.0");
        let (_agent, registration) = register(&server, &config);
        assert_eq!(registration.version, Version::V1_0);
        single_values(&server, ContentFormat::OMA_JSON, |_| true);
        whole_instance(&server, ContentFormat::OMA_JSON);
        let observed = path("/3442/0/110");
        let format = Some(ContentFormat::OMA_JSON);
        let answer = server.observe(ENDPOINT, &observed, format, &[]).unwrap();
        assert_eq!((answer.format, answer.observe.is_some()), (format, true));
        write_text(&server, "/3442/0/110", &text("told"));
        let notification = server.wait_notification(&observed, LIMIT).unwrap();
        assert_eq!(notification.format, format);
        assert_eq!(notification.value(&observed), Some(&text("told")));
    });
}

/// CORE-183, 185: without Accept it is the device that chooses.
#[test]
fn a_device_of_1_0_prefers_tlv() {
    with_leshan("answers in TLV at 1.0", &leshan(), |server| {
        let config = with_test_object(server.coap_address())
            .general("lwm2m_version", "1.0")
            .general("min_lwm2m_version", "1.0");
        let _agent = register(&server, &config);
        let answer = server.read(ENDPOINT, &Path::instance(3442, 0), None).unwrap();
        assert_eq!(answer.format, Some(ContentFormat::TLV), "{answer:?}");
        assert_eq!(answer.value(&path("/3442/0/110")), Some(&text("initial value")));
    });
}

/// Writes a value of every type that fits and reads it back, each as one resource.
fn single_values(server: &Server, format: ContentFormat, fits: impl Fn(&Value) -> bool) {
    for (resource, value) in samples().into_iter().filter(|(_, value)| fits(value)) {
        let at = Path::resource(3442, 0, resource);
        let mode = WriteMode::Replace;
        let answer = server.write(ENDPOINT, &at, mode, Some(format), &value).unwrap();
        assert_eq!(answer.code, Some(Code::CHANGED), "{at} in {format}: {answer:?}");
        let answer = server.read(ENDPOINT, &at, Some(format)).unwrap();
        assert_eq!(answer.code, Some(Code::CONTENT), "{at} in {format}: {answer:?}");
        assert_eq!(answer.format, Some(format), "{at}: {answer:?}");
        assert_eq!(answer.value(&at), Some(&value), "{at} in {format}: {answer:?}");
    }
}

/// Writes an instance with all types, single and multiple, and reads it back.
fn whole_instance(server: &Server, format: ContentFormat) {
    let instance = Path::instance(3442, 0);
    let several = |(resource, value): (u16, Value)| {
        let at = Path::resource(3442, 0, resource + 1000);
        [0, 300].map(|id| Entry::new(at.child(id).unwrap(), value.clone()))
    };
    let mut entries: Vec<Entry> = samples()
        .into_iter()
        .map(|(resource, value)| Entry::new(Path::resource(3442, 0, resource), value))
        .collect();
    entries.extend(samples().into_iter().flat_map(several));
    let mode = WriteMode::Replace;
    let answer = server.write_entries(ENDPOINT, &instance, mode, Some(format), &entries).unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED), "{format}: {answer:?}");
    let answer = server.read(ENDPOINT, &instance, Some(format)).unwrap();
    assert_eq!(answer.format, Some(format), "{answer:?}");
    for entry in &entries {
        assert_eq!(answer.value(&entry.path), entry.value(), "{} in {format}", entry.path);
    }
}

/// A value of every type, each other than the initial one, by resource.
fn samples() -> [(u16, Value); 9] {
    [
        (110, text("\"Grüße\"\n\u{1f600}")),
        (120, Value::Integer(-5_000_000_000)),
        (125, Value::Unsigned(5_000_000_000)),
        // Minus two to the power of minus sixteen: exact in 32 bits, and small.
        (130, Value::Float(-0.0000152587890625)),
        (140, Value::Boolean(false)),
        (150, Value::Opaque(BYTES.to_vec())),
        (160, Value::Time(1_700_000_000)),
        (170, Value::Objlnk(ObjectLink::new(1, 0))),
        (180, Value::Corelnk("</1/0>,</3>".to_owned())),
    ]
}

const BYTES: [u8; 4] = [0x00, 0xff, 0xfe, 0x80];
