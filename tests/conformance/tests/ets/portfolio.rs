//! Instances and resource instances of the Portfolio object: cases 228, 1630 and 1635
//! (Core 6.3, 6.5, 6.6).

use lwm2m_conformance::payload::{LINKS, SENML_CBOR, TEXT, TLV, links, senml, tlv};
use lwm2m_conformance::{Ask, LIMIT, Lab, c12};
use serde_json::json;

/// CORE-132, 136.
#[test]
fn int_228_write_resource_instance() {
    let mut lab = portfolio();
    lab.ask(&Ask::put("/16/0/0/1").content(TEXT, "test")).is("2.04");
    assert_eq!(lab.ask(&Ask::get("/16/0/0/1").accept(TEXT)).holds(TEXT).text(), "test");
    let all = senml(&lab.ask(&Ask::get("/16/0/0").accept(SENML_CBOR)).holds(SENML_CBOR));
    for (id, value) in
        ["Host Device ID #1", "test", "Host Device Model #1", "#1"].into_iter().enumerate()
    {
        assert_eq!(all[&format!("/16/0/0/{id}")], json!(value), "{all:?}");
    }
    lab.ask(&Ask::put("/16/0/0/9").content(TEXT, "test")).is("4.04");
}

/// CORE-151, 186; TRN-23.
#[test]
fn int_1630_create_a_portfolio_instance() {
    let mut lab = portfolio();
    let before = links(&lab.ask(&Ask::discover("/16/0")).holds(LINKS));
    assert_eq!(before["/16/0/0"], ["dim=4"]);
    let create =
        b"\x08\x01\x2E\x88\x00\x2B\x48\x00\x11Host Device ID #2\x48\x01\x14Host Device Model #2";
    lab.ask(&Ask::post("/16").content(TLV, create)).is("2.01");
    let list = links(&lab.update(LIMIT));
    assert!(list.contains_key("/16/0") && list.contains_key("/16/1"), "{list:?}");
    let created = links(&lab.ask(&Ask::discover("/16/1")).holds(LINKS));
    assert_eq!(created["/16/1/0"], ["dim=2"]);
    let both = tlv(&lab.ask(&Ask::get("/16").accept(TLV)).holds(TLV));
    assert_eq!(both["0/0/0"], b"Host Device ID #1");
    assert_eq!(both["1/0/0"], b"Host Device ID #2");
    assert_eq!(both["1/0/1"], b"Host Device Model #2");
}

/// CORE-94, 151.
#[test]
fn int_1635_delete_portfolio_instances() {
    let mut lab = portfolio();
    lab.ask(&Ask::post("/16").content(TLV, b"\x08\x01\x07\x85\x00\x43\x00ID2")).is("2.01");
    lab.update(LIMIT);
    for (id, left) in [(0, &["/16/1"][..]), (1, &[])] {
        lab.ask(&Ask::delete(&format!("/16/{id}"))).is("2.02");
        let list = links(&lab.update(LIMIT));
        let instances: Vec<&str> =
            list.keys().map(String::as_str).filter(|path| path.starts_with("/16/")).collect();
        assert_eq!(instances, left, "{list:?}");
        // Without an instance the object itself is listed.
        assert_eq!(list.contains_key("/16"), left.is_empty(), "{list:?}");
    }
    assert_eq!(lab.ask(&Ask::discover("/16")).holds(LINKS).text(), "</16>");
    lab.ask(&Ask::get("/16/0")).is("4.04");
}

/// C.12: four identities in instance 0.
fn portfolio() -> Lab {
    let mut lab = Lab::start(c12);
    let identities = [
        ("\x48\x00\x11", "Host Device ID #1"),
        ("\x45\x01", "Maker"),
        ("\x48\x02\x14", "Host Device Model #1"),
        ("\x42\x03", "#1"),
    ];
    let content: String = identities.iter().flat_map(|(head, text)| [*head, *text]).collect();
    lab.ask(&Ask::put("/16/0/0").content(TLV, tlv_resource(&content))).is("2.04");
    lab
}

/// A multiple resource 0 with an 8-bit length around it.
fn tlv_resource(content: &str) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short resource");
    [&[0x88, 0x00, length], content.as_bytes()].concat()
}
