//! Queue mode: sleep, wake, and what happens meanwhile (Core 5.8).

use lwm2m_engine::{Command, Event, ServerState};
use lwm2m_model::{Code, Value};
use lwm2m_world::{Ask, Lane, Security, World, ms, secs};

fn sleeper(security: Security) -> World {
    World::registered(|setup| {
        setup.sleeps_over(security);
        setup.account().lifetime = 3600;
    })
}

/// CORE-121; TRN-81.
#[test]
fn the_device_sleeps_93_s_after_the_last_message_it_received() {
    let mut world = sleeper(Security::None);
    world.run_for(secs(50));
    world.read("/3/0/0");
    let last = world.last_sent();
    world.until_asleep();
    assert_eq!(world.now, last + secs(93));
    assert_eq!(world.state(), ServerState::Asleep);
}

/// CORE-121; TRN-81.
#[test]
fn the_device_sleeps_93_s_after_the_last_message_it_sent() {
    let mut world = sleeper(Security::None);
    world.observe("/3303/0/5700", "");
    world.run_for(secs(60));
    world.change("/3303/0/5700", Value::Float(21.0));
    let sent = world.now;
    world.until_asleep();
    assert_eq!(world.now, sent + secs(93));
}

#[test]
fn another_awake_time_can_be_configured() {
    let mut world = World::registered(|setup| {
        setup.queue_mode();
        setup.account().awake_time = Some(secs(20));
    });
    let last = world.last_sent();
    world.until_asleep();
    // Register went out at 10 ms, its answer came 40 ms later.
    assert_eq!(world.now, last + ms(40) + secs(20));
}

#[test]
fn without_queue_mode_the_device_never_sleeps() {
    let mut world = World::registered(|_| {});
    world.run_for(secs(80_000));
    assert_eq!(world.state(), ServerState::Registered);
    assert_eq!(world.read("/3/0/0").code, Code::CONTENT);
}

/// CORE-122; TRN-82.
#[test]
fn asleep_no_datagram_goes_out_until_the_update_that_wakes() {
    let mut world = sleeper(Security::None);
    world.until_asleep();
    let asleep = world.now;
    world.change("/3303/0/5700", Value::Float(99.0));
    world.run_until("the Update", secs(3600), |world| world.server.accepted("Update") > 0);
    let sent = world.sent_since(asleep);
    assert_eq!(sent.len(), 1, "nothing but the Update");
    assert!(world.events(|event| matches!(event, Event::Awake { .. })).len() == 1);
    world.until_asleep();
}

/// CORE-122.
#[test]
fn a_request_held_during_sleep_is_answered_after_waking() {
    let mut world = sleeper(Security::None);
    world.until_asleep();
    let held = world.send(Ask::read("/3/0/0"));
    world.run_for(secs(600));
    assert_eq!(world.server.outcome(held), None, "the server waits");
    world.run_until("the Update", secs(3600), |world| world.server.accepted("Update") > 0);
    let heard = world.now;
    let answer = world.response(held);
    assert_eq!(answer.text(), "Acme");
    assert!(answer.at - heard < secs(1));
}

#[test]
fn held_requests_go_out_one_at_a_time() {
    let mut world = sleeper(Security::None);
    world.until_asleep();
    let tickets: Vec<_> = (0..5).map(|_| world.send(Ask::read("/3/0/0"))).collect();
    world.command(Command::Wake { server: None });
    let mut times: Vec<_> = tickets.into_iter().map(|ticket| world.response(ticket).at).collect();
    times.dedup();
    assert_eq!(times.len(), 5);
}

#[test]
fn what_arrives_during_sleep_is_dropped_as_a_radio_that_is_off_would() {
    let mut world = sleeper(Security::None);
    world.until_asleep();
    let calls = world.device.calls.len();
    world.inject(&[0x41, 1, 0, 1, 0xaa, 0xb1, b'3', 0x01, b'0', 0x01, b'0']);
    world.run_for(secs(10));
    assert_eq!(world.device.calls.len(), calls);
    assert!(world.device.is_asleep());
}

#[test]
fn a_notification_wakes_by_itself_and_starts_the_awake_time() {
    let mut world = sleeper(Security::None);
    let token = world.observe("/3303/0/5700", "");
    world.until_asleep();
    world.run_for(secs(300));
    world.change("/3303/0/5700", Value::Float(25.0));
    let woken = world.now;
    world.run_for(secs(1));
    let notices = world.take_notices();
    assert_eq!((notices.len(), notices[0].text()), (1, "25"));
    assert_eq!(notices[0].token, token);
    assert_eq!(world.server.accepted("Update"), 0, "preceded by nothing");
    world.until_asleep();
    assert_eq!(world.now, woken + secs(93));
}

#[test]
fn pmax_wakes_the_device() {
    let mut world = sleeper(Security::None);
    world.observe("/3303/0/5700", "pmax=500");
    let begun = world.now;
    world.run_for(secs(1700));
    let times: Vec<u64> = world.noticed_since(begun).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [500, 1000, 1500]);
}

/// CORE-98; TRN-12.
#[test]
fn another_address_during_sleep_without_security_means_register() {
    let mut world = sleeper(Security::None);
    world.until_asleep();
    world.change_address();
    world.run_for(secs(10));
    assert!(world.device.is_asleep(), "nothing is due yet");
    world.until_registered(secs(3600));
    assert_eq!(world.server.accepted("Register"), 2);
}

/// TRN-84, 104.
#[test]
fn a_resumed_session_after_sleep_means_update() {
    let mut world = sleeper(Security::Resumes);
    world.until_asleep();
    world.change_address();
    world.run_until("the Update", secs(3600), |world| world.server.accepted("Update") > 0);
    assert_eq!(world.server.accepted("Register"), 1);
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

/// TRN-104.
#[test]
fn a_full_handshake_after_sleep_means_update_since_1_2_and_register_before() {
    for (version, registers) in [(lwm2m_model::Version::V1_2, 1), (lwm2m_model::Version::V1_1, 2)] {
        let mut world = World::registered(|setup| {
            setup.sleeps_over(Security::FullHandshakes);
            setup.manner.versions = vec![version];
            setup.account().lifetime = 3600;
        });
        world.until_asleep();
        world.change_address();
        world.until_registered(secs(3600));
        assert_eq!(world.server.accepted("Register"), registers, "{version}");
        assert_eq!(world.read("/3/0/0").text(), "Acme");
    }
}

#[test]
fn a_nat_that_forgot_the_device_costs_one_update_without_security() {
    let mut world = World::registered(|setup| {
        setup.queue_mode();
        setup.account().lifetime = 3600;
        setup.network.nat_idle = Some(secs(60));
    });
    let held = world.send(Ask::read("/3/0/0"));
    world.until_asleep();
    assert_eq!(world.response(held).text(), "Acme");
    world.until_asleep();
    let held = world.send(Ask::read("/3/0/1"));
    world.run_for(secs(3600));
    assert_eq!(world.response(held).text(), "Gadget");
    assert_eq!(world.server.accepted("Register"), 1);
}

#[test]
fn a_nat_that_forgot_a_secure_session_costs_one_handshake() {
    let mut world = World::registered(|setup| {
        setup.sleeps_over(Security::Resumes);
        setup.account().lifetime = 3600;
        setup.network.nat_idle = Some(secs(60));
    });
    world.until_asleep();
    let held = world.send(Ask::read("/3/0/1"));
    world.run_for(secs(3800));
    assert_eq!(world.response(held).text(), "Gadget");
    assert_eq!(world.device.attempts.all.len(), 2);
}

#[test]
fn a_notification_reopens_a_link_that_died_in_sleep() {
    let mut world = sleeper(Security::Resumes);
    world.observe("/3303/0/5700", "");
    world.until_asleep();
    world.lose_link("the session expired");
    world.run_for(secs(100));
    world.change("/3303/0/5700", Value::Float(25.0));
    world.run_for(secs(5));
    assert_eq!(world.noticed_since(world.now).len(), 1);
}

#[test]
fn a_repeated_answer_keeps_the_device_awake_too() {
    let mut world = sleeper(Security::None);
    world.run_for(secs(80));
    world.network.up.lose_next = 1;
    world.read("/3/0/0");
    let last = world.last_sent();
    world.until_asleep();
    assert_eq!(world.now, last + secs(93));
}

/// TRN-83.
#[test]
fn while_something_is_under_way_the_device_stays_awake() {
    let mut world = World::registered(|setup| {
        setup.queue_mode();
        setup.account().awake_time = Some(secs(5));
        setup.network.up = Lane { loss: 1.0, ..Lane::good() };
        setup.network.up.loss = 0.0;
    });
    world.observe("/3303/0/5700", "con=1");
    world.network.up.loss = 1.0;
    world.change("/3303/0/5700", Value::Float(25.0));
    world.run_for(secs(30));
    assert_eq!(world.state(), ServerState::Registered, "a notification is being repeated");
    world.network.heal();
    world.until_asleep();
}

#[test]
fn the_operator_can_send_it_to_sleep_and_wake_it() {
    let mut world = sleeper(Security::None);
    world.command(Command::Sleep { server: None });
    assert_eq!(world.state(), ServerState::Asleep);
    world.run_for(secs(60));
    world.command(Command::Wake { server: None });
    world.run_for(secs(1));
    assert_eq!(world.state(), ServerState::Registered);
    assert_eq!(world.server.accepted("Update"), 1);
    let mut awake = World::registered(|_| {});
    awake.command(Command::Sleep { server: None });
    assert_eq!(awake.state(), ServerState::Registered, "not without queue mode");
}
