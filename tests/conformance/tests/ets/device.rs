//! The Device object: cases 241, 651, 652, 680 and 685 (Objects 5).

use std::thread;
use std::time::{Duration, Instant};

use lwm2m_conformance::payload::{TEXT, TLV, senml};
use lwm2m_conformance::{Ask, Judge, LIMIT, Lab, c1, c3};
use lwm2m_interop::Bus;
use serde_json::json;

/// OBJ-64. The machine goes on; a restart of the agent stands for the reboot.
#[test]
fn int_241_reboot() {
    let Some(bus) = Bus::start() else { return };
    let logind = bus.double("org.freedesktop.login1", "logind", r#"{"CanReboot": "yes"}"#);
    let judge = Judge::plain();
    let config = c1(judge.address()).bus(bus.address());
    let mut lab = Lab::with(judge, &config);
    on_the_bus(&lab);
    lab.ask(&Ask::post("/3/0/4")).is("2.04");
    assert_eq!(logind.calls(), ["CanReboot"], "the answer comes before the reboot");
    logind.wait_call("Reboot ");
    let Lab { agent, judge, register } = lab;
    agent.stop().expect("the agent ends");
    let lab = Lab::with(judge, &config);
    assert_eq!(lab.register.query(), register.query());
}

/// CORE-132; OBJ-66. Time and zone are set through timedated, of which there is a
/// double, so that the clock of this machine stays as it is: what is asked of it counts.
#[test]
fn int_651_set_and_restore() {
    let Some(bus) = Bus::start() else { return };
    let initial = r#"{"Timezone": "Asia/Tokyo", "NTP": false}"#;
    let timedated = bus.double("org.freedesktop.timedate1", "timedated", initial);
    let mut lab = Lab::start(|server| c3(server).bus(bus.address()));
    on_the_bus(&lab);
    let read = |lab: &mut Lab| senml(&lab.ask(&Ask::get("/3/0")).is("2.05"));
    // That of timedated, no longer the machine's own.
    let end = Instant::now() + LIMIT;
    while read(&mut lab)["/3/0/15"] != json!("Asia/Tokyo") {
        assert!(Instant::now() < end, "the agent asks timedated for the zone");
        thread::sleep(Duration::from_millis(20));
    }
    let set = b"\xC4\x0D\x51\x82\x42\x8F\xC6\x0E+02:00\xC8\x0F\x0CEurope/Paris";
    lab.ask(&Ask::post("/3/0").content(TLV, set)).is("2.04");
    let calls = timedated.calls();
    assert!(calls[0].starts_with("SetTimezone \"Europe/Paris\""), "{calls:?}");
    assert!(calls[1].starts_with("SetTime 1367491215000000 "), "{calls:?}");
    assert_eq!(read(&mut lab)["/3/0/15"], json!("Europe/Paris"));
    let saved = b"\xC4\x0D\x51\x82\x42\x8F\xC6\x0E+09:00\xC8\x0F\x0AAsia/Tokyo";
    lab.ask(&Ask::put("/3/0").content(TLV, saved)).is("2.04");
    let values = read(&mut lab);
    assert_eq!((&values["/3/0/14"], &values["/3/0/15"]), (&json!("+09:00"), &json!("Asia/Tokyo")));
}

/// Registration does not wait for the bus.
#[track_caller]
fn on_the_bus(lab: &Lab) {
    lab.agent.wait_log("is on the bus", LIMIT).expect("the agent connects to the bus");
}

#[test]
fn int_652_firmware_version() {
    let mut lab = Lab::start(c1);
    let answer = lab.ask(&Ask::get("/3/0/3").accept(TEXT)).holds(TEXT);
    assert!(!answer.payload().is_empty());
}

/// OBJ-12.
#[test]
fn int_680_create_of_a_single_instance_object() {
    let mut lab = Lab::start(c1);
    lab.ask(&Ask::post("/3").content(TLV, b"\xC4\x00ACME")).is("4.05");
}

/// CORE-148; OBJ-60.
#[test]
fn int_685_delete_of_the_device() {
    let mut lab = Lab::start(c1);
    lab.ask(&Ask::delete("/3/0")).is("4.05");
    lab.ask(&Ask::get("/3/0/0")).is("2.05");
}
