//! What a server may not do: cases 221 and 256.

use lwm2m_conformance::payload::{SENML_CBOR, TEXT};
use lwm2m_conformance::{Ask, Lab, c1};

/// CORE-02; OBJ-20; TRN-20.
#[test]
fn int_221_security_object_is_closed() {
    let mut lab = Lab::start(c1);
    for object in [0, 21, 23] {
        let at = |rest: &str| format!("/{object}{rest}");
        lab.ask(&Ask::get(&at(""))).is("4.01");
        lab.ask(&Ask::put(&at("/0/0")).content(TEXT, "coap://example.org")).is("4.01");
        lab.ask(&Ask::put(&at("")).query("pmin=30&pmax=45")).is("4.01");
    }
}

/// CORE-133; OBJ-14.
#[test]
fn int_256_write_of_a_read_only_resource() {
    let mut lab = Lab::start(c1);
    lab.ask(&Ask::put("/1/0/0").content(TEXT, "123")).is("4.05");
    // The same beside one that is writable changes neither.
    let both = b"\x82\xA3\x21\x65/1/0/\x00\x610\x02\x18\x7B\xA2\x00\x616\x04\xF5";
    lab.ask(&Ask::post("/1/0").content(SENML_CBOR, both)).is("4.05");
    for (path, value) in [("/1/0/0", "1"), ("/1/0/6", "0")] {
        assert_eq!(lab.ask(&Ask::get(path).accept(TEXT)).holds(TEXT).text(), value, "{path}");
    }
}
