//! Read in each format and at each level: cases 201 to 204, 211, 222 to 225, 231, 232
//! and 237 (Core 6.1, 10).

use lwm2m_conformance::payload::{
    CBOR, OMA_JSON, SENML_CBOR, SENML_JSON, TEXT, TLV, oma_json, senml, tlv,
};
use lwm2m_conformance::{Ask, Lab, c1};
use serde_json::json;

/// CORE-11, 181.
#[test]
fn int_201_text_read() {
    let mut lab = Lab::start(c1);
    for (path, value) in [("/3/0/0", "ACME"), ("/3/0/1", "GW-100"), ("/3/0/2", "4711")] {
        let answer = lab.ask(&Ask::get(path).accept(TEXT)).holds(TEXT);
        assert_eq!(answer.text(), value);
    }
}

/// CORE-125, 186; OBJ-01.
#[test]
fn int_203_tlv_read() {
    let mut lab = Lab::start(c1);
    let answer = lab.ask(&Ask::get("/3/0").accept(TLV)).holds(TLV);
    // Resource TLVs, without one of the instance around them; 11 is multiple.
    let wanted: [&[u8]; 5] = [
        b"\xC4\x00ACME",
        b"\xC6\x01GW-100",
        b"\xC4\x024711",
        b"\x83\x0B\x41\x00\x00",
        b"\xC1\x10U",
    ];
    for part in wanted {
        let is_there = answer.payload().windows(part.len()).any(|window| window == part);
        assert!(is_there, "{} in {answer:?}", part.escape_ascii());
    }
    let values = tlv(&answer);
    assert!(values.contains_key("3"), "{values:?}");
    // Reboot and Reset Error Code have no value.
    assert!(!values.contains_key("4") && !values.contains_key("12"), "{values:?}");
}

/// CORE-128, 184: 11543 belongs to LwM2M 1.0; in 1.2 it is refused.
#[test]
fn int_204_json_read() {
    let mut lab = Lab::start(c1);
    lab.ask(&Ask::get("/3/0").accept(OMA_JSON)).is("4.06");
    let mut lab = Lab::start(|server| {
        c1(server).general("lwm2m_version", "1.0").general("min_lwm2m_version", "1.0")
    });
    let answer = lab.ask(&Ask::get("/3/0").accept(OMA_JSON)).holds(OMA_JSON);
    let values = oma_json(&answer);
    for (path, value) in [
        ("/3/0/0", json!("ACME")),
        ("/3/0/1", json!("GW-100")),
        ("/3/0/2", json!("4711")),
        ("/3/0/11/0", json!(0)),
        ("/3/0/16", json!("U")),
    ] {
        assert_eq!(values.get(path), Some(&value), "{path} in {values:?}");
    }
    assert!(values.contains_key("/3/0/3"), "{values:?}");
}

/// OBJ-01.
#[test]
fn int_211_cbor_read() {
    let mut lab = Lab::start(c1);
    let cases: [(&str, &[u8]); 3] =
        [("/1/0/0", &[0x01]), ("/1/0/6", &[0xF4]), ("/1/0/7", &[0x61, b'U'])];
    for (path, bytes) in cases {
        assert_eq!(lab.ask(&Ask::get(path).accept(CBOR)).holds(CBOR).payload(), bytes, "{path}");
    }
}

/// CORE-125, 126.
#[test]
fn int_222_read_object() {
    let mut lab = Lab::start(c1);
    let server = senml(&lab.ask(&Ask::get("/1").accept(SENML_CBOR)).holds(SENML_CBOR));
    assert_server(&server);
    assert!(server.keys().all(|path| path.starts_with("/1/0/")), "{server:?}");
    let device = senml(&lab.ask(&Ask::get("/3").accept(SENML_CBOR)).holds(SENML_CBOR));
    assert_device(&device);
}

/// CORE-125.
#[test]
fn int_223_read_object_instance() {
    let mut lab = Lab::start(c1);
    assert_server(&senml(&lab.ask(&Ask::get("/1/0").accept(SENML_JSON)).holds(SENML_JSON)));
    assert_device(&senml(&lab.ask(&Ask::get("/3/0").accept(SENML_JSON)).holds(SENML_JSON)));
}

/// OBJ-68: UDP is what is built.
#[test]
fn int_224_read_resource() {
    let mut lab = Lab::start(c1);
    for (path, value) in
        [("/1/0/0", "1"), ("/1/0/1", "86400"), ("/1/0/6", "0"), ("/1/0/7", "U"), ("/3/0/16", "U")]
    {
        assert_eq!(lab.ask(&Ask::get(path).accept(TEXT)).holds(TEXT).text(), value, "{path}");
    }
}

#[test]
fn int_225_read_resource_instance() {
    let mut lab = Lab::start(c1);
    assert_eq!(lab.ask(&Ask::get("/3/0/11/0").accept(TEXT)).holds(TEXT).payload(), b"0");
    let all = senml(&lab.ask(&Ask::get("/3/0/11/0").accept(SENML_CBOR)).holds(SENML_CBOR));
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("/3/0/11/0".to_owned(), json!(0))]);
}

/// CORE-182, 189; OBJ-01.
#[test]
fn int_231_senml_json_read() {
    senml_read(SENML_JSON);
}

/// CORE-182, 189, 190; OBJ-01.
#[test]
fn int_232_senml_cbor_read() {
    senml_read(SENML_CBOR);
}

/// CORE-183, 185.
#[test]
fn int_237_read_without_accept() {
    let mut lab = Lab::start(c1);
    for path in ["/1", "/3"] {
        let answer = lab.ask(&Ask::get(path)).holds(SENML_CBOR);
        let values = senml(&answer);
        if path == "/1" { assert_server(&values) } else { assert_device(&values) }
    }
}

/// The four levels of 231 and 232.
fn senml_read(format: u16) {
    let mut lab = Lab::start(c1);
    let mut read = |path: &str| senml(&lab.ask(&Ask::get(path).accept(format)).holds(format));
    assert_server(&read("/1"));
    assert_device(&read("/3/0"));
    for (path, value) in [("/3/0/16", json!("U")), ("/3/0/11/0", json!(0))] {
        assert_eq!(read(path).into_iter().collect::<Vec<_>>(), [(path.to_owned(), value)]);
    }
}

/// SRV-MIN.
#[track_caller]
fn assert_server(values: &lwm2m_conformance::payload::Values) {
    for (path, value) in [
        ("/1/0/0", json!(1)),
        ("/1/0/1", json!(86400)),
        ("/1/0/6", json!(false)),
        ("/1/0/7", json!("U")),
    ] {
        assert_eq!(values.get(path), Some(&value), "{path} in {values:?}");
    }
    // Executable ones have no value.
    assert!(!values.contains_key("/1/0/8"), "{values:?}");
}

/// DEV-MIN.
#[track_caller]
fn assert_device(values: &lwm2m_conformance::payload::Values) {
    for (path, value) in [
        ("/3/0/0", json!("ACME")),
        ("/3/0/1", json!("GW-100")),
        ("/3/0/2", json!("4711")),
        ("/3/0/11/0", json!(0)),
        ("/3/0/16", json!("U")),
    ] {
        assert_eq!(values.get(path), Some(&value), "{path} in {values:?}");
    }
    assert!(values["/3/0/3"].is_string() && !values.contains_key("/3/0/4"), "{values:?}");
}
