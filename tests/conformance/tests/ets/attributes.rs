//! Discover and Write-Attributes: cases 260, 261, 264 and 266 (Core 3.3, 6.2).

use std::collections::BTreeMap;

use lwm2m_conformance::payload::{LINKS, links};
use lwm2m_conformance::{Ask, Lab, Machine, c1, c4};

/// CORE-23, 129 to 131. Server defaults of C.4 are no attributes.
#[test]
fn int_260_discover() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    let all = discover(&mut lab, "/3");
    assert!(all["/3"].is_empty() && all["/3/0"].is_empty(), "{all:?}");
    for (path, parameters) in [
        ("/3/0/0", &[] as &[&str]),
        ("/3/0/4", &[]),
        ("/3/0/6", &["dim=2"]),
        ("/3/0/7", &["dim=2"]),
        ("/3/0/8", &["dim=2"]),
        ("/3/0/9", &[]),
        ("/3/0/11", &["dim=1"]),
        ("/3/0/16", &[]),
    ] {
        assert_eq!(all[path], parameters, "{path}");
    }
    lab.ask(&Ask::put("/3").query("pmin=10&pmax=200")).is("2.04");
    let instance = discover(&mut lab, "/3/0");
    assert!(instance.contains_key("/3/0") && !instance.contains_key("/3"), "{instance:?}");
    assert_eq!(instance["/3/0/7"], ["dim=2"]);
    lab.ask(&Ask::put("/3/0/7").query("lt=1&gt=6&st=1")).is("2.04");
    let instance = discover(&mut lab, "/3/0");
    assert_eq!(instance["/3/0/7"], ["dim=2", "gt=6", "lt=1", "st=1"]);
    let resource = discover(&mut lab, "/3/0/7");
    assert_eq!(resource["/3/0/7"], ["dim=2", "gt=6", "lt=1", "pmax=200", "pmin=10", "st=1"]);
}

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

/// CORE-129.
#[test]
fn int_264_discover_to_depth_1() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    let first = lab.ask(&Ask::discover("/3").query("depth=1")).holds(LINKS);
    assert_eq!(first.text(), "</3>,</3/0>");
    lab.ask(&Ask::put("/3/0").query("pmax=200")).is("2.04");
    let then = lab.ask(&Ask::discover("/3").query("depth=1")).holds(LINKS);
    assert_eq!(then.text(), "</3>,</3/0>;pmax=200");
}

/// CORE-129, 130.
#[test]
fn int_266_discover_to_depth_2_and_3() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    let two = links(&lab.ask(&Ask::discover("/3").query("depth=2")).holds(LINKS));
    assert_eq!((&two["/3/0/6"], &two["/3/0/7"]), (&vec!["dim=2".into()], &vec!["dim=2".into()]));
    assert!(!two.contains_key("/3/0/7/0"), "{two:?}");
    for (path, attributes) in
        [("/3", "pmin=10&pmax=200"), ("/3/0/7", "lt=1&gt=6&st=1"), ("/3/0/7/1", "gt=8")]
    {
        lab.ask(&Ask::put(path).query(attributes)).is("2.04");
    }
    let three = links(&lab.ask(&Ask::discover("/3").query("depth=3")).holds(LINKS));
    for (path, parameters) in [
        ("/3", &["pmax=200", "pmin=10"] as &[&str]),
        ("/3/0", &[]),
        ("/3/0/7", &["dim=2", "gt=6", "lt=1", "st=1"]),
        ("/3/0/6/0", &[]),
        ("/3/0/6/1", &[]),
        ("/3/0/7/0", &[]),
        ("/3/0/7/1", &["gt=8"]),
        ("/3/0/8/0", &[]),
        ("/3/0/8/1", &[]),
    ] {
        assert_eq!(three[path], parameters, "{path}");
    }
}

fn discover(lab: &mut Lab, path: &str) -> BTreeMap<String, Vec<String>> {
    links(&lab.ask(&Ask::discover(path)).holds(LINKS))
}
