//! Security, case 401 (Transport 12).

use lwm2m_conformance::payload::{TLV, tlv};
use lwm2m_conformance::{Ask, Judge, Lab, c1_psk, endpoint};

/// CORE-15; TRN-30, 90, 91, 92; OBJ-31.
#[test]
fn int_401_dtls_with_a_pre_shared_key() {
    let (identity, key) = ("gw-4711", b"0123456789abcdef");
    let judge = Judge::psk(identity.as_bytes(), key);
    let config = c1_psk(judge.address(), identity, key);
    let mut lab = Lab::with(judge, &config);
    let info = lab.secure().and_then(|secure| secure.info()).expect("a link");
    let suite = info.suite.expect("a suite").to_string();
    assert!(MANDATORY.contains(&suite.as_str()), "{suite}");
    assert!(lab.register.query().contains(&format!("ep={}", endpoint())));
    let values = tlv(&lab.ask(&Ask::get("/3/0").accept(TLV)).holds(TLV));
    assert_eq!(values["0"], b"ACME");
    assert_eq!(values["16"], b"U");
}

/// Transport 12.3.
const MANDATORY: [&str; 2] = ["TLS_PSK_WITH_AES_128_CCM_8", "TLS_PSK_WITH_AES_128_CBC_SHA256"];
