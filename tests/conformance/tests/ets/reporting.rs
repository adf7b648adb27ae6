//! Observe, Notify and Cancel: cases 301 to 303, 312 and 313 (Core 8). Periods are a
//! fifth of those of the ETS; a window has a second of tolerance above, none below.

use std::time::Duration;

use lwm2m_conformance::payload::{LINKS, SENML_CBOR, links, senml};
use lwm2m_conformance::{Ask, Lab, Machine, Message, c4};
use serde_json::json;

/// CORE-34, 35, 158; TRN-35. The ETS has 5..15 s and 10..20 s.
#[test]
fn int_301_observe() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    let sources = senml(&lab.ask(&Ask::get("/3/0/6")).holds(SENML_CBOR));
    assert_eq!((&sources["/3/0/6/0"], &sources["/3/0/6/1"]), (&json!(1), &json!(2)));
    let observations = observe_both(&mut lab);
    for (first, pmax) in observations.iter().zip(PMAX) {
        let mut before = first.clone();
        for _ in 0..2 {
            let next = lab.notification(first, pmax + TOLERANCE);
            assert_window(&before, &next, Duration::from_secs(1), pmax);
            assert_eq!(next.payload(), first.payload());
            assert!(next.observe() > before.observe(), "{before:?} {next:?}");
            before = next;
        }
    }
}

/// CORE-162; TRN-33.
#[test]
fn int_302_cancel_by_reset() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    let observations = observe_both(&mut lab);
    for (first, pmax) in observations.iter().zip(PMAX) {
        let next = lab.unacknowledged(first, pmax + TOLERANCE);
        lab.reset(&next);
    }
    for (first, pmax) in observations.iter().zip(PMAX) {
        lab.is_silent(first, pmax + TOLERANCE);
    }
}

/// CORE-162; TRN-33.
#[test]
fn int_303_cancel_by_observe_1() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    let observations = observe_both(&mut lab);
    for (first, pmax) in observations.iter().zip(PMAX) {
        lab.notification(first, pmax + TOLERANCE);
    }
    for (first, path) in observations.iter().zip(["/3/0/7", "/3/0/8"]) {
        let answer = lab.ask(&Ask::get(path).observe(1).about(first)).holds(SENML_CBOR);
        assert_eq!(answer.observe(), None);
        assert_eq!(answer.payload(), first.payload());
    }
    for (first, pmax) in observations.iter().zip(PMAX) {
        lab.is_silent(first, pmax + TOLERANCE);
    }
}

/// CORE-45. The ETS has 5..15 s.
#[test]
fn int_312_attributes_in_observe() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    let ask = Ask::get("/3/0/7").observe(0).query("pmin=1&pmax=2");
    assert_answers_in_window(&mut lab, &ask);
}

/// CORE-45, 46. The ETS has 5..60 s attached and 5..10 s in the request.
#[test]
fn int_313_attributes_in_observe_win() {
    let machine = Machine::with_two_batteries();
    let mut lab = Lab::start(|server| c4(server, &machine));
    lab.ask(&Ask::put("/3/0/7").query("pmin=1&pmax=60")).is("2.04");
    let ask = Ask::get("/3/0/7").observe(0).query("pmin=1&pmax=2");
    assert_answers_in_window(&mut lab, &ask);
    let shown = links(&lab.ask(&Ask::discover("/3/0/7")).holds(LINKS));
    assert_eq!(shown["/3/0/7"], ["dim=2", "pmax=60", "pmin=1"]);
}

/// Steps 2 and 3 of 301.
fn observe_both(lab: &mut Lab) -> [Message; 2] {
    lab.ask(&Ask::put("/3/0/7").query("pmin=1&pmax=2")).is("2.04");
    lab.ask(&Ask::put("/3/0/8").query("pmin=1&pmax=3")).is("2.04");
    ["/3/0/7", "/3/0/8"].map(|path| {
        let first = lab.ask(&Ask::get(path).observe(0)).holds(SENML_CBOR);
        assert!(first.observe().is_some(), "{first:?}");
        first
    })
}

/// Two notifications with both instances, 1 s to 2 s after what was before.
#[track_caller]
fn assert_answers_in_window(lab: &mut Lab, ask: &Ask) {
    let first = lab.ask(ask).holds(SENML_CBOR);
    assert!(first.observe().is_some(), "{first:?}");
    let mut before = first.clone();
    for _ in 0..2 {
        let next = lab.notification(&first, PMAX[0] + TOLERANCE);
        assert_window(&before, &next, Duration::from_secs(1), PMAX[0]);
        let values = senml(&next);
        assert!(values.keys().eq(["/3/0/7/0", "/3/0/7/1"]), "{values:?}");
        before = next;
    }
}

#[track_caller]
fn assert_window(before: &Message, next: &Message, pmin: Duration, pmax: Duration) {
    let distance = next.at - before.at;
    assert!(distance >= pmin && distance <= pmax + TOLERANCE, "{distance:?}");
}

/// Of resources 7 and 8.
const PMAX: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(3)];
const TOLERANCE: Duration = Duration::from_secs(1);
