//! Trying again, for ever: the back-off of Core 5.4.

use lwm2m_engine::{Event, Retry, ServerState};
use lwm2m_model::{Code, Instant};
use lwm2m_world::{Outage, Security, World, ms, secs};

/// Waits as multiples of seconds may be up to a tenth longer.
fn assert_waits(world: &World, expected: &[u64]) {
    let waits = world.device.attempts.waits();
    assert_eq!(waits.len(), expected.len(), "{waits:?}");
    for (wait, expected) in waits.iter().zip(expected) {
        let range = secs(*expected)..=secs(*expected).mul_f64(1.1);
        assert!(range.contains(wait), "{wait:?} is not {expected} s: {waits:?}");
    }
}

/// CORE-111, 112; TRN-11.
#[test]
fn attempts_back_off_double_and_a_new_sequence_starts_after_a_day() {
    let mut world = World::new(|setup| setup.network.open_failure = Some("no such host".into()));
    world.run_for(secs(60 + 120 + 240 + 480 + 100));
    assert_waits(&world, &[60, 120, 240, 480]);
    world.run_for(secs(2 * 100_000));
    assert_waits(
        &world,
        &[60, 120, 240, 480, 86_400, 60, 120, 240, 480, 86_400, 60, 120, 240, 480],
    );
}

#[test]
fn each_device_has_its_own_jitter() {
    let waits = |seed| {
        let mut world = World::new(|setup| {
            setup.seed = seed;
            setup.network.open_failure = Some("no such host".into());
        });
        world.run_for(secs(3600));
        world.device.attempts.waits().to_vec()
    };
    assert_eq!(waits(7), waits(7), "a world is repeatable");
    assert_ne!(waits(7), waits(8));
}

/// CORE-111, 112.
#[test]
fn the_account_says_how_often_and_how_long() {
    let mut world = World::new(|setup| {
        setup.network.open_failure = Some("no such host".into());
        setup.account().retry =
            Retry { count: 3, timer: 5, sequence_delay: 100, sequence_count: 1 };
    });
    world.run_for(secs(248));
    assert_waits(&world, &[5, 10, 100, 5, 10, 100]);
}

#[test]
fn a_silent_server_is_asked_as_often_as_coap_says_and_then_left_alone() {
    let mut world = World::new(|setup| setup.manner.is_silent = true);
    world.run_for(secs(93));
    assert_eq!(world.device.sent.len(), 5, "one Register and four repetitions");
    assert_eq!(world.state(), ServerState::Waiting);
    let error = world.device.status().last_error.expect("it failed");
    assert_eq!(error, "Register: the server does not answer");
}

/// TRN-11.
#[test]
fn a_month_without_a_server_ends_with_a_registration() {
    let mut world = World::new(|setup| setup.manner.is_silent = true);
    world.run_for(secs(30 * 86_400));
    assert!(world.device.attempts.all.len() < 200, "a handful of attempts a day");
    world.server.manner.is_silent = false;
    world.until_registered(secs(96_000));
    assert_eq!(world.read("/3/0/0").text(), "Acme");
    assert!(world.device.attempts.waits().is_empty(), "the next failure starts from nothing");
}

#[test]
fn a_refusal_is_told_and_tried_again_with_back_off() {
    let mut world = World::new(|setup| setup.manner.refuses_register = Some(Code::FORBIDDEN));
    world.run_for(secs(500));
    assert_eq!(world.server.requests.len(), 4);
    assert_waits(&world, &[60, 120, 240]);
    let error = world.device.status().last_error.expect("it failed");
    assert_eq!(error, "Register refused with 4.03 Forbidden");
    world.server.manner.refuses_register = None;
    world.until_registered(secs(530));
}

#[test]
fn the_operator_is_told_when_the_next_attempt_is() {
    let mut world = World::new(|setup| setup.network.outage = Some(Outage::NoRoute));
    world.run_for(secs(30));
    let next = world.device.events.iter().find_map(|(_, event)| match event {
        Event::AttemptFailed { next, .. } => *next,
        _ => None,
    });
    let next = next.expect("a time is given");
    assert_eq!(world.device.status().next, Some(next));
    world.run_for(secs(40));
    assert_eq!(world.device.attempts.all[1], next);
}

#[test]
fn another_network_is_tried_at_once() {
    let mut world = World::new(|setup| setup.network.outage = Some(Outage::NoRoute));
    world.run_for(secs(300));
    let before = world.device.attempts.all.len();
    world.network.heal();
    world.change_address();
    world.until_registered(secs(2));
    assert_eq!(world.device.attempts.all.len(), before + 1);
}

#[test]
fn a_link_that_ends_is_opened_again_at_once_if_it_has_served() {
    for (security, operation) in [(Security::Resumes, "Update"), (Security::None, "Update")] {
        let mut world = World::registered(|setup| {
            if security != Security::None {
                setup.secured(security);
            }
        });
        world.run_for(secs(100));
        let (before, link) = (world.now, *world.device.attempts.all.last().unwrap());
        assert!(link < before);
        world.lose_link("the server closed it");
        world.until_registered(secs(3));
        assert!(world.device.attempts.all.last().unwrap() >= &before);
        assert_eq!(world.server.requests.last().unwrap().operation, operation);
    }
}

#[test]
fn a_link_that_ends_again_and_again_is_opened_with_back_off() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    let begun = world.now;
    for _ in 0..3 {
        world.run_until("connected", secs(300), |world| world.state() == ServerState::Registered);
        world.run_for(secs(5));
        world.lose_link("the server closed it");
    }
    assert!(world.now - begun > secs(60), "it took {:?}", world.now - begun);
}

#[test]
fn an_outage_of_minutes_is_survived_by_repetition_alone() {
    let mut world = World::new(|setup| setup.network.outage = Some(Outage::BlackHole));
    world.run_for(secs(20));
    world.network.heal();
    world.until_registered(secs(40));
    assert_eq!(world.device.attempts.all, [Instant::ZERO], "one link, one Register");
    assert!(world.elapsed() > secs(20) + ms(1));
}
