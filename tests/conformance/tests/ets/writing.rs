//! Write in each format, whole and in part: cases 205, 212, 215, 220, 226, 227, 233 and
//! 234 (Core 6.3).

use lwm2m_conformance::payload::{
    CBOR, OMA_JSON, SENML_CBOR, SENML_JSON, TEXT, TLV, Values, oma_json, senml, tlv,
};
use lwm2m_conformance::{Ask, LIMIT, Lab, c1, c3, c12};
use serde_json::json;

/// CORE-132.
#[test]
fn int_205_text_write() {
    let mut lab = Lab::start(c3);
    for (path, value) in [("/1/0/2", "101"), ("/1/0/3", "1010"), ("/1/0/5", "2000")] {
        lab.ask(&Ask::put(path).content(TEXT, value)).is("2.04");
    }
    let values = tlv(&lab.ask(&Ask::get("/1/0").accept(TLV)).holds(TLV));
    assert_eq!(values["2"], [101]);
    assert_eq!(values["3"], [0x03, 0xF2]);
    assert_eq!(values["5"], [0x07, 0xD0]);
    for (path, value) in [("/1/0/2", "1"), ("/1/0/3", "10"), ("/1/0/5", "86400")] {
        lab.ask(&Ask::put(path).content(TEXT, value)).is("2.04");
    }
    assert_eq!(changeable(&read(&mut lab)), C3);
}

#[test]
fn int_212_cbor_write() {
    let mut lab = Lab::start(c3);
    let writes: [(&str, &[u8]); 3] =
        [("/1/0/2", &[0x18, 101]), ("/1/0/3", &[0x19, 0x03, 0xF2]), ("/1/0/6", &[0xF5])];
    for (path, value) in writes {
        lab.ask(&Ask::put(path).content(CBOR, value)).is("2.04");
    }
    assert_eq!(changeable(&read(&mut lab)), (101, 1010, 86400, true));
    lab.ask(&Ask::put("/1/0/6").content(CBOR, [0xF4])).is("2.04");
}

/// CORE-132, 186. The Replace holds what is writable: with the Short Server ID in it,
/// which is not, it would be refused (CORE-133; case 256).
#[test]
fn int_215_tlv_partial_update_and_replace() {
    let mut lab = Lab::start(c3);
    let set = b"\xC1\x02\x65\xC2\x03\x03\xF2\xC2\x05\x07\xD0\xC1\x06\x01\xC1\x07U";
    lab.ask(&Ask::post("/1/0").content(TLV, set)).is("2.04");
    assert_eq!(changeable(&read(&mut lab)), (101, 1010, 2000, true));
    let saved = b"\xC4\x01\x00\x01\x51\x80\xC1\x02\x01\xC1\x03\x0A\xC4\x05\x00\x01\x51\x80\
        \xC1\x06\x00\xC1\x07U";
    lab.ask(&Ask::put("/1/0").content(TLV, saved)).is("2.04");
    assert_eq!(changeable(&read(&mut lab)), C3);
    let with_id = [b"\xC1\x00\x01".as_slice(), saved].concat();
    lab.ask(&Ask::put("/1/0").content(TLV, with_id)).is("4.05");
}

/// CORE-132, 137, 184: as 215 in the JSON of LwM2M 1.0, which 1.2 refuses.
#[test]
fn int_220_json_partial_update_and_replace() {
    let set = r#"{"bn":"/","e":[{"n":"1/0/2","v":101},{"n":"1/0/3","v":1010},
        {"n":"1/0/5","v":2000},{"n":"1/0/6","bv":true},{"n":"1/0/7","sv":"U"}]}"#;
    let mut lab = Lab::start(c3);
    lab.ask(&Ask::post("/1/0").content(OMA_JSON, set)).is("4.15");
    let mut lab = Lab::start(|server| {
        c3(server).general("lwm2m_version", "1.0").general("min_lwm2m_version", "1.0")
    });
    let values = |lab: &mut Lab| {
        let answer = lab.ask(&Ask::get("/1/0").accept(OMA_JSON)).holds(OMA_JSON);
        changeable(&oma_json(&answer))
    };
    lab.ask(&Ask::post("/1/0").content(OMA_JSON, set)).is("2.04");
    assert_eq!(values(&mut lab), (101, 1010, 2000, true));
    let saved = r#"{"bn":"/1/0/","e":[{"n":"1","v":86400},{"n":"2","v":1},{"n":"3","v":10},
        {"n":"5","v":86400},{"n":"6","bv":false},{"n":"7","sv":"U"}]}"#;
    lab.ask(&Ask::put("/1/0").content(OMA_JSON, saved)).is("2.04");
    assert_eq!(values(&mut lab), C3);
}

/// CORE-103, 132.
#[test]
fn int_226_partial_update() {
    let mut lab = Lab::start(c1);
    // 61 and true; in SenML CBOR, as one message.
    let set = b"\x82\xA3\x21\x65/1/0/\x00\x611\x02\x18\x3D\xA2\x00\x616\x04\xF5";
    lab.ask(&Ask::post("/1/0").content(SENML_CBOR, set)).is("2.04");
    assert_eq!(lab.update(LIMIT).query(), ["lt=61"]);
    let values = read(&mut lab);
    assert_eq!((&values["/1/0/1"], &values["/1/0/6"]), (&json!(61), &json!(true)));
    assert_eq!(values["/1/0/7"], json!("U"), "what is not named stays");
    let old = b"\x82\xA3\x21\x65/1/0/\x00\x611\x02\x1A\x00\x01\x51\x80\xA2\x00\x616\x04\xF4";
    lab.ask(&Ask::post("/1/0").content(SENML_CBOR, old)).is("2.04");
    assert_eq!(lab.update(LIMIT).query(), ["lt=86400"]);
}

/// CORE-103; OBJ-40.
#[test]
fn int_227_replace_resource() {
    let mut lab = Lab::start(c1);
    for value in ["63", "86400"] {
        lab.ask(&Ask::put("/1/0/1").content(TEXT, value)).is("2.04");
        assert_eq!(lab.update(LIMIT).query(), [format!("lt={value}")]);
        assert_eq!(lab.ask(&Ask::get("/1/0/1").accept(TEXT)).holds(TEXT).text(), value);
    }
}

/// CORE-103, 132; OBJ-01.
#[test]
fn int_233_senml_cbor_write() {
    let both = b"\x82\xA3\x21\x65/1/0/\x00\x611\x02\x18\x3D\xA2\x00\x616\x04\xF5";
    let name = b"\x81\xA2\x21\x69/16/0/0/0\x03\x6Atest_value";
    let lifetime = b"\x81\xA2\x21\x66/1/0/1\x02\x18\x3F";
    senml_write(SENML_CBOR, [both, name, lifetime]);
}

/// CORE-103, 132; OBJ-01.
#[test]
fn int_234_senml_json_write() {
    let both = br#"[{"bn":"/1/0/","n":"1","v":61},{"n":"6","vb":true}]"#;
    let name = br#"[{"bn":"/16/0/0/0","vs":"test_value"}]"#;
    let lifetime = br#"[{"bn":"/1/0/1","v":63}]"#;
    senml_write(SENML_JSON, [both, name, lifetime]);
}

/// The steps of 233 and 234.
fn senml_write(format: u16, [both, name, lifetime]: [&[u8]; 3]) {
    let mut lab = Lab::start(c12);
    let read =
        |lab: &mut Lab, path: &str| senml(&lab.ask(&Ask::get(path).accept(format)).holds(format));
    lab.ask(&Ask::post("/1/0").content(format, both)).is("2.04");
    assert_eq!(lab.update(LIMIT).query(), ["lt=61"]);
    let account = read(&mut lab, "/1");
    assert_eq!((&account["/1/0/1"], &account["/1/0/6"]), (&json!(61), &json!(true)));
    lab.ask(&Ask::put("/16/0/0/0").content(format, name)).is("2.04");
    assert_eq!(read(&mut lab, "/16")["/16/0/0/0"], json!("test_value"));
    lab.ask(&Ask::put("/1/0/1").content(format, lifetime)).is("2.04");
    assert_eq!(lab.update(LIMIT).query(), ["lt=63"]);
    assert_eq!(read(&mut lab, "/1/0/1")["/1/0/1"], json!(63));
}

fn read(lab: &mut Lab) -> Values {
    senml(&lab.ask(&Ask::get("/1/0")).is("2.05"))
}

/// Default periods, disable timeout and storing, as SRV-EXT has them.
const C3: (i64, i64, i64, bool) = (1, 10, 86400, false);

fn changeable(values: &Values) -> (i64, i64, i64, bool) {
    let number = |path: &str| values[path].as_i64().expect("a number");
    let storing = values["/1/0/6"].as_bool().expect("a Boolean");
    (number("/1/0/2"), number("/1/0/3"), number("/1/0/5"), storing)
}
