//! Registration, cases 101 to 111 (Core 5). Lifetimes are a fifth or less of those of
//! the ETS: the agent refreshes after half of a short one (Core 5.6).

use std::time::{Duration, Instant};

use lwm2m_conformance::payload::{LINKS, TEXT, links};
use lwm2m_conformance::{Ask, LIMIT, Lab, c1, c3, endpoint};

/// CORE-15, 19, 90 to 94; TRN-02, 07.
#[test]
fn int_101_initial_registration() {
    let lab = Lab::start(c1);
    let register = &lab.register;
    assert!(register.is_confirmable(), "TRN-30");
    let endpoint = format!("ep={}", endpoint());
    assert_eq!(register.query(), ["b=U", &endpoint, "lt=86400", "lwm2m=1.2"]);
    assert_eq!(register.format(), Some(LINKS));
    let list = links(register);
    let targets: Vec<&str> = list.keys().map(String::as_str).collect();
    assert_eq!(targets, ["/", "/1/0", "/3/0", "/4/0", "/7/0"]);
    // OBJ-13: each is at the version that LwM2M 1.2 takes for granted, or says which.
    for target in ["/1/0", "/3/0", "/4/0", "/7/0"] {
        assert!(list[target].iter().all(|parameter| parameter.starts_with("ver=")), "{list:?}");
    }
}

/// CORE-100, 101, 103, 106; OBJ-40; TRN-08. The ETS has a lifetime of 20 s.
#[test]
fn int_102_registration_update() {
    let mut lab = Lab::start(c1);
    lab.ask(&Ask::put("/1/0/1").content(TEXT, "4")).is("2.04");
    let update = lab.update(LIMIT);
    assert_eq!(update.query(), ["lt=4"]);
    assert!(update.payload().is_empty() && update.is_confirmable(), "{update:?}");
    let refresh = lab.update(Duration::from_secs(4));
    assert!(refresh.query().is_empty() && refresh.payload().is_empty(), "{refresh:?}");
}

/// CORE-108; OBJ-41, OBJ-42. The ETS has a disable timeout of 86400 s.
#[test]
fn int_103_deregistration() {
    let mut lab = Lab::start(|server| c3(server).account("disable_timeout", 2));
    lab.ask(&Ask::post("/1/0/4")).is("2.04");
    let left = lab.deregister();
    assert!(left.query().is_empty() && left.payload().is_empty(), "{left:?}");
    lab.ask_in_vain(&Ask::get("/3/0/0"), Duration::from_millis(1000));
    let back = lab.register();
    let away = back.at - left.at;
    assert!(away >= Duration::from_secs(2), "{away:?}");
    assert_eq!(back.query(), lab.register.query());
}

/// CORE-104, 106; OBJ-44. The ETS has a lifetime of 20 s.
#[test]
fn int_104_registration_update_trigger() {
    let mut lab = Lab::start(|server| c1(server).account("lifetime", 4));
    let registered = Instant::now();
    lab.ask(&Ask::post("/1/0/8")).is("2.04");
    let update = lab.update(Duration::from_secs(3));
    assert!(update.query().is_empty() && update.payload().is_empty(), "{update:?}");
    lab.update(Duration::from_secs(4).saturating_sub(update.at.elapsed()));
    // Past the first lifetime the server still has an answer.
    std::thread::sleep(Duration::from_millis(4100).saturating_sub(registered.elapsed()));
    lab.ask(&Ask::get("/1/0/1")).is("2.05");
}

/// CORE-97; TRN-10. The ETS has a lifetime of 60 s.
#[test]
fn int_105_discarded_registration() {
    let mut lab = Lab::start(c1);
    lab.ask(&Ask::put("/1/0/1").content(TEXT, "4")).is("2.04");
    assert_eq!(lab.update(LIMIT).query(), ["lt=4"]);
    let periodic = lab.request(Duration::from_secs(4));
    assert_eq!(periodic.target(), "POST /rd/5a3f");
    lab.answer(&periodic, "4.04", &[]);
    let again = lab.register();
    assert!(again.query().contains(&"lt=4".to_owned()), "{again:?}");
    assert!(again.query().contains(&format!("ep={}", endpoint())), "{again:?}");
    assert_eq!(links(&again), links(&lab.register));
}

/// CORE-103, 106. The ETS goes from 60 s to 120 s.
#[test]
fn int_107_longer_lifetime() {
    let mut lab = Lab::start(|server| c1(server).account("lifetime", 3));
    assert!(lab.register.query().contains(&"lt=3".to_owned()));
    lab.ask(&Ask::put("/1/0/1").content(TEXT, "6")).is("2.04");
    let longer = lab.update(LIMIT);
    assert_eq!(longer.query(), ["lt=6"]);
    let next = lab.update(Duration::from_secs(6));
    assert!(next.query().is_empty(), "{next:?}");
    // The old lifetime would have asked for one after half of it.
    assert!(next.at - longer.at > Duration::from_millis(1500));
}

/// CORE-121; TRN-02, 80.
#[test]
fn int_108_queue_mode_on() {
    let lab = Lab::start(|server| c1(server).account("queue_mode", true));
    let endpoint = format!("ep={}", endpoint());
    assert_eq!(lab.register.query(), ["Q", "b=U", &endpoint, "lt=86400", "lwm2m=1.2"]);
}

/// CORE-121, 122; TRN-81, 82. The ETS is awake for 93 s and lives for 240 s.
#[test]
fn int_109_queue_mode_behaviour() {
    let mut lab =
        Lab::start(|server| c1(server).account("queue_mode", true).account("awake_time", 2));
    lab.ask(&Ask::put("/1/0/1").content(TEXT, "10")).is("2.04");
    let update = lab.update(LIMIT);
    assert_eq!(update.query(), ["lt=10"]);
    std::thread::sleep(Duration::from_millis(500));
    lab.ask(&Ask::get("/1/0/1").accept(TEXT)).is("2.05");
    // Silence; from here on the server holds its Read, and another proves that it must.
    std::thread::sleep(Duration::from_millis(2200));
    lab.ask_in_vain(&Ask::get("/1/0/1").accept(TEXT), Duration::from_millis(300));
    let awake = lab.update(Duration::from_secs(10));
    assert!(awake.is_confirmable() && awake.query().is_empty(), "{awake:?}");
    let answer = lab.ask(&Ask::get("/1/0/1").accept(TEXT)).holds(TEXT);
    assert_eq!(answer.payload(), b"10");
}
