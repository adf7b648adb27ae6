//! Write-Attributes and Discover: case 261 (Core 3.3, 6.2).

use lwm2m_conformance::payload::{LINKS, links};
use lwm2m_conformance::{Ask, Lab, c1};

/// CORE-23, 131.
#[test]
fn int_261_attributes_at_all_levels() {
    let mut lab = Lab::start(c1);
    let before = lab.ask(&Ask::discover("/3/0/11")).holds(LINKS);
    assert_eq!(before.text(), "</3/0/11>;dim=1,</3/0/11/0>");
    for (path, attributes) in [
        ("/3", "pmin=10&pmax=200"),
        ("/3/0", "pmax=320"),
        ("/3/0/11/0", "pmax=100&epmin=1&epmax=20"),
    ] {
        lab.ask(&Ask::put(path).query(attributes)).is("2.04");
    }
    let after = links(&lab.ask(&Ask::discover("/3/0/11")).holds(LINKS));
    assert_eq!(after["/3/0/11"], ["dim=1", "pmax=320", "pmin=10"]);
    assert_eq!(after["/3/0/11/0"], ["epmax=20", "epmin=1", "pmax=100"]);
    assert_eq!(after.len(), 2);
}
