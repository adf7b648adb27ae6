//! Notification storing: what is due while a server is away is told when it is back
//! (Core 3.8, 5.7; `/1/x/6`).

use lwm2m_engine::{MAX_STORED, MAX_STORED_OF_OBSERVATION, ServerState};
use lwm2m_model::{Code, ContentFormat, Value};
use lwm2m_world::{Ask, OnNotice, Outage, Pace, Security, Setup, World, ms, secs};

const VALUE: &str = "/3303/0/5700";

/// A device that observes a sensor, and whose server is lost 20 s later.
fn lost(change: impl FnOnce(&mut Setup), query: &str) -> World {
    let mut world = World::registered(change);
    world.observe(VALUE, query);
    world.run_for(secs(20));
    world.lose_network();
    world
}

fn changes(world: &mut World, values: impl IntoIterator<Item = u32>) {
    for value in values {
        world.change(VALUE, Value::Float(value.into()));
        world.run_for(secs(1));
    }
}

/// The server is back; what it is told then.
fn told_after(world: &mut World, away: u64) -> Vec<String> {
    world.regain_network_after(secs(away));
    world.run_for(secs(30));
    texts(world)
}

fn texts(world: &mut World) -> Vec<String> {
    world.take_notices().iter().map(|notice| notice.text().to_owned()).collect()
}

/// CORE-54, OBJ-43.
#[test]
fn what_was_due_meanwhile_is_told_in_order_with_the_values_of_its_moment() {
    for security in [Security::None, Security::Resumes] {
        let mut world = lost(
            |setup| {
                if security != Security::None {
                    setup.secured(security);
                }
            },
            "",
        );
        changes(&mut world, 1..=5);
        world.regain_network_after(secs(30));
        let updated = world.server.last("Update").at;
        world.run_for(secs(5));
        let notices = world.take_notices();
        let shown: Vec<&str> = notices.iter().map(|notice| notice.text()).collect();
        assert_eq!(shown, ["1", "2", "3", "4", "5"], "{security:?}");
        assert!(notices.iter().all(|notice| notice.at > updated && !notice.is_stale));
        let numbers: Vec<u32> = notices.iter().filter_map(|notice| notice.number).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        changes(&mut world, [6]);
        assert_eq!(texts(&mut world), ["6"], "and then as ever");
    }
}

/// The attributes decide what is due, away or not (Core 3.6).
#[test]
fn only_what_would_have_been_told_is_kept() {
    let mut world = lost(|_| {}, "gt=10&pmin=5");
    // Crosses; crosses back and again within pmin; crosses, and stays.
    changes(&mut world, [9, 11, 9, 9, 9, 9, 12, 13, 14, 15, 16]);
    assert_eq!(told_after(&mut world, 20), ["9", "9", "15"]);
}

/// CORE-34: what pmax asks for is due too.
#[test]
fn what_pmax_asks_for_is_kept() {
    let mut world = lost(|_| {}, "pmax=50");
    // Observed 20 s before: due after 30, 80 and 130 s; back after the third.
    world.run_for(secs(131));
    let notices = told_after(&mut world, 0);
    assert!((3..=4).contains(&notices.len()), "{notices:?}");
}

/// CORE-53: the current value is judged against what was last told.
#[test]
fn without_storing_only_the_current_value_is_told() {
    let without = |setup: &mut Setup| setup.account().notification_storing = false;
    let mut world = lost(without, "");
    let calls = world.device.calls.len();
    changes(&mut world, 1..=5);
    assert_eq!(world.device.calls.len(), calls, "nothing is sampled for nobody");
    assert_eq!(told_after(&mut world, 30), ["5"]);
    let mut world = lost(without, "");
    changes(&mut world, [1, 20]);
    assert_eq!(told_after(&mut world, 30), [] as [&str; 0], "it is 20 as before");
    changes(&mut world, [21]);
    assert_eq!(texts(&mut world), ["21"]);
}

/// CORE-53: the flag is the server's to write.
#[test]
fn the_server_decides_whether_anything_is_kept() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.write("/1/0/6", "0"), Code::CHANGED);
    world.observe(VALUE, "");
    world.run_for(secs(20));
    world.lose_network();
    changes(&mut world, 1..=3);
    assert_eq!(told_after(&mut world, 30), ["3"]);
}

/// An Update that comes in its time is no reason to forget what pmin holds back.
#[test]
fn a_refresh_of_the_registration_drops_nothing() {
    let mut world = World::registered(|setup| {
        setup.account().notification_storing = false;
        setup.account().lifetime = 60;
    });
    world.observe(VALUE, "pmin=50");
    world.run_for(secs(5));
    changes(&mut world, [7, 20]);
    world.run_for(secs(60));
    assert!(world.server.accepted("Update") > 0);
    assert_eq!(texts(&mut world), ["20"]);
}

/// The newest are kept, so many of an observation and so many of a server.
#[test]
fn what_is_kept_is_bounded_and_the_newest() {
    let most = u32::try_from(MAX_STORED_OF_OBSERVATION).unwrap();
    let mut world = lost(|_| {}, "");
    for value in 1..=most + 10 {
        world.change(VALUE, Value::Float(value.into()));
        world.run_for(ms(100));
    }
    let told = told_after(&mut world, 30);
    assert_eq!(told.len(), MAX_STORED_OF_OBSERVATION);
    assert_eq!(told.last().unwrap(), &(most + 10).to_string());

    let mut world = World::registered(|_| {});
    for number in 0..100_u32 {
        world.send(Ask::observe(VALUE, "").token(&number.to_be_bytes()));
        world.run_for(ms(20));
    }
    world.run_for(secs(20));
    world.lose_network();
    changes(&mut world, 1..=20);
    world.regain_network_after(secs(30));
    world.run_for(secs(200));
    let notices = world.take_notices();
    assert_eq!(notices.len(), MAX_STORED);
    assert_eq!(notices.iter().filter(|notice| notice.text() == "20").count(), 100);
}

/// CORE-50.
#[test]
fn hqmax_counts_in_the_query_of_observe_and_by_inheritance() {
    let mut world = lost(|_| {}, "hqmax=2");
    changes(&mut world, 1..=5);
    assert_eq!(told_after(&mut world, 30), ["4", "5"]);
    let mut world = World::registered(|_| {});
    world.attach("/3303", "hqmax=1");
    world.observe(VALUE, "");
    world.run_for(secs(20));
    world.lose_network();
    changes(&mut world, 1..=5);
    assert_eq!(told_after(&mut world, 30), ["5"]);
}

/// Core 3.8: a notification that nobody acknowledges is not lost, and its observation
/// lives as long as the registration (RFC 7641 4.5).
#[test]
fn what_nobody_acknowledged_is_told_again_with_what_followed() {
    let mut world = World::registered(|_| {});
    world.observe(VALUE, "con=1");
    world.server.manner.on_notice = OnNotice::Ignore;
    world.change(VALUE, Value::Float(1.0));
    world.run_for(secs(92));
    // The Update that asks whether the server is there takes its time.
    world.server.manner.answers_after = Some(secs(20));
    world.server.manner.on_notice = OnNotice::Take;
    world.run_for(secs(2));
    changes(&mut world, 2..=3);
    world.run_for(secs(60));
    assert_eq!(texts(&mut world), ["1", "2", "3"]);
    assert_eq!(world.device.status().observations, 1);
    assert_eq!(world.server.accepted("Register"), 1);
}

/// The link ends before the ACK has come.
#[test]
fn what_was_on_its_way_when_the_link_ended_is_told_again() {
    let mut world = World::registered(|_| {});
    world.observe(VALUE, "con=1");
    world.run_for(secs(20));
    world.network.outage = Some(Outage::BlackHole);
    changes(&mut world, [1]);
    world.lose_network();
    changes(&mut world, [2]);
    assert_eq!(told_after(&mut world, 10), ["1", "2"]);
}

/// What is kept goes out confirmably, so that a bad network loses none of it.
#[test]
fn a_lossy_network_loses_nothing_of_what_is_kept() {
    let mut world = lost(|_| {}, "");
    changes(&mut world, 1..=30);
    world.network.heal();
    (world.network.up.loss, world.network.down.loss) = (0.3, 0.3);
    world.run_for(secs(900));
    let expected: Vec<String> = (1..=30).map(|value| value.to_string()).collect();
    assert_eq!(texts(&mut world), expected);
    assert_eq!(world.server.accepted("Register"), 1);
}

#[test]
fn the_link_may_end_again_while_the_server_is_told() {
    let mut world = lost(|_| {}, "");
    changes(&mut world, 1..=20);
    world.regain_network_after(secs(30));
    let mut told = texts(&mut world);
    world.run_for(secs(20));
    world.lose_network();
    changes(&mut world, 21..=40);
    world.network.heal();
    world.run_until("some", secs(200), |world| world.server.notices.len() >= 5);
    world.lose_network();
    world.regain_network_after(secs(30));
    world.run_for(secs(30));
    told.extend(texts(&mut world));
    told.dedup();
    let expected: Vec<String> = (1..=40).map(|value| value.to_string()).collect();
    assert_eq!(told, expected);
}

/// What changes while the server is told stands behind what is kept.
#[test]
fn what_is_due_while_the_server_is_told_comes_last() {
    let mut world = lost(|_| {}, "");
    changes(&mut world, 1..=20);
    world.network.heal();
    world.run_until("some", secs(200), |world| world.server.notices.len() >= 5);
    world.change(VALUE, Value::Float(99.0));
    world.run_for(secs(10));
    let told = texts(&mut world);
    assert_eq!((told.len(), told.last().unwrap().as_str()), (21, "99"));
}

/// Core 5.8: asleep is not away.
#[test]
fn a_sleeping_device_keeps_nothing() {
    let mut world = World::registered(|setup| {
        setup.queue_mode();
        setup.account().notification_storing = false;
    });
    world.observe(VALUE, "");
    world.until_asleep();
    changes(&mut world, 1..=2);
    assert_eq!(texts(&mut world), ["1", "2"]);
    // It has lost its link in its sleep: what is due opens another.
    let mut world = World::registered(|setup| setup.sleeps_over(Security::Resumes));
    world.observe(VALUE, "");
    world.until_asleep();
    world.lose_link("the session has ended");
    changes(&mut world, [1]);
    world.run_for(secs(5));
    assert_eq!(texts(&mut world), ["1"]);
}

/// CORE-108, OBJ-41, OBJ-43: De-register makes observations void, and what they would
/// have told waits until the server observes the same path again.
#[test]
fn what_a_disabled_server_has_missed_is_told_when_it_observes_again() {
    let mut world = World::registered(|setup| setup.account().disable_timeout = 100);
    let token = world.observe(VALUE, "");
    world.observe("/3/0/9", "");
    assert_eq!(world.execute("/1/0/4", ""), Code::CHANGED);
    world.run_for(secs(5));
    assert_eq!(world.state(), ServerState::Disabled);
    let silent = world.now;
    changes(&mut world, 1..=3);
    world.change("/3/0/9", Value::Integer(50));
    world.run_for(secs(80));
    assert!(world.sent_since(silent).is_empty(), "nothing may be sent");
    world.until_registered(secs(20));
    world.run_for(secs(10));
    assert_eq!(texts(&mut world), [] as [&str; 0], "the old tokens are void");
    assert_eq!(world.device.status().observations, 0);
    changes(&mut world, [4]);
    let answer = world.ask(Ask::observe(VALUE, "").token(b"new"));
    assert_eq!(answer.text(), "4");
    world.run_for(secs(5));
    let notices = world.take_notices();
    assert!(notices.iter().all(|notice| notice.token == b"new" && notice.token != token));
    let shown: Vec<&str> = notices.iter().map(|notice| notice.text()).collect();
    assert_eq!(shown, ["1", "2", "3", "4"], "what holds now comes last");
}

/// CORE-53, CORE-163.
#[test]
fn without_storing_a_disabled_server_has_missed_nothing() {
    let mut world = World::registered(|setup| {
        setup.account().disable_timeout = 100;
        setup.account().notification_storing = false;
    });
    world.observe(VALUE, "");
    world.execute("/1/0/4", "");
    world.run_for(secs(5));
    assert_eq!(world.device.status().observations, 0);
    let calls = world.device.calls.len();
    changes(&mut world, 1..=3);
    assert_eq!(world.device.calls.len(), calls);
    world.until_registered(secs(120));
    world.observe(VALUE, "");
    world.run_for(secs(5));
    assert_eq!(texts(&mut world), [] as [&str; 0]);
}

/// CORE-163: a Register, for whatever reason, ends observations.
#[test]
fn what_was_kept_outlives_a_new_registration() {
    let mut world = lost(|_| {}, "");
    changes(&mut world, 1..=2);
    world.server_forgets();
    world.regain_network_after(secs(30));
    world.run_for(secs(10));
    assert_eq!((world.server.accepted("Register"), texts(&mut world).len()), (2, 0));
    let senml = Ask::observe(VALUE, "").accept(ContentFormat::SENML_JSON);
    world.ask(senml);
    world.run_for(secs(5));
    assert_eq!(world.take_notices().len(), 1, "in the format of the new observation");
}

/// Nobody observes the path again: it is not told years later.
#[test]
fn what_nobody_claims_is_dropped() {
    let mut world = lost(|_| {}, "");
    changes(&mut world, 1..=2);
    world.server_forgets();
    world.regain_network_after(secs(30));
    world.run_for(secs(3601));
    world.observe(VALUE, "");
    world.run_for(secs(10));
    assert_eq!(texts(&mut world), [] as [&str; 0]);
}

#[test]
fn a_cancelled_observation_leaves_nothing() {
    let mut world = lost(|_| {}, "");
    changes(&mut world, 1..=20);
    world.network.heal();
    world.run_until("some", secs(200), |world| world.server.notices.len() >= 3);
    world.server.manner.on_notice = OnNotice::Reset;
    world.run_for(secs(10));
    world.server.manner.on_notice = OnNotice::Take;
    world.take_notices();
    assert_eq!(world.device.status().observations, 0);
    world.observe(VALUE, "");
    world.run_for(secs(10));
    assert_eq!(texts(&mut world), [] as [&str; 0]);
}

/// What was told of a target comes before its end.
#[test]
fn the_end_of_a_target_comes_after_what_is_kept_of_it() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/1/5700", "");
    world.run_for(secs(20));
    world.lose_network();
    world.change("/3303/1/5700", Value::Float(31.0));
    world.run_for(secs(1));
    world.device.objects.remove("/3303/1");
    world.announce(3303);
    world.regain_network_after(secs(30));
    world.run_for(secs(5));
    let told: Vec<Code> = world.take_notices().iter().map(|notice| notice.code).collect();
    assert_eq!(told, [Code::CONTENT, Code::NOT_FOUND]);
    assert_eq!(world.device.status().observations, 0);
}

/// A slow object is asked all the same, and its values keep their order.
#[test]
fn slow_objects_are_sampled_for_a_server_that_is_away() {
    let mut world = World::registered(|_| {});
    world.observe("/33100/0/1", "");
    world.run_for(secs(20));
    world.device.objects.set_pace(33100, Pace::After(secs(3)));
    world.lose_network();
    for value in 5..8 {
        world.change("/33100/0/1", Value::Integer(value));
        world.run_for(secs(5));
    }
    assert_eq!(told_after(&mut world, 10), ["5", "6", "7"]);
}

/// CORE-54. One confirmable notification waits behind another that is given up; what
/// follows it meanwhile does not take its place.
#[test]
fn what_waited_behind_a_lost_notification_is_told_before_what_followed() {
    const OTHER: &str = "/3303/1/5700";
    let mut world = World::registered(|_| {});
    world.observe(OTHER, "con=1");
    world.observe(VALUE, "con=1");
    world.server.manner.on_notice = OnNotice::Ignore;
    world.change(OTHER, Value::Float(100.0));
    world.run_for(secs(1));
    changes(&mut world, [1]);
    // The first is given up after 62 to 93 s, the second is on its way then.
    world.run_for(secs(95));
    changes(&mut world, [2]);
    world.run_for(secs(95));
    world.take_notices();
    world.server.manner.on_notice = OnNotice::Take;
    world.run_for(secs(120));
    let told: Vec<String> = texts(&mut world).into_iter().filter(|text| text != "100").collect();
    assert_eq!(told, ["1", "2"]);
}
