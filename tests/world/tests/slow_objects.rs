//! Objects that need time, or never answer (RFC 7252 5.2.2, Core 8).

use lwm2m_engine::{CallOperation, ServerState};
use lwm2m_model::{Code, Value};
use lwm2m_world::{Ask, Delivery, Pace, World, ms, secs};

fn slow_world(pace: Pace) -> World {
    let mut world = World::registered(|_| {});
    world.device.objects.set_pace(33100, pace);
    world
}

/// TRN-41.
#[test]
fn three_seconds_of_work_are_one_call_an_empty_ack_and_a_separate_answer() {
    let mut world = slow_world(Pace::After(secs(3)));
    let begun = world.now;
    let slow = world.send(Ask::read("/33100/0/1"));
    world.run_for(ms(500));
    let other = world.ask(Ask::read("/3/0/0"));
    assert!(other.at - begun < secs(1), "another Read is answered meanwhile");
    let response = world.response(slow);
    assert_eq!((response.text(), response.delivery), ("1", Delivery::Separate));
    let sent: Vec<u64> = world.sent_since(begun).iter().map(|at| (*at - begun).as_secs()).collect();
    assert_eq!(sent, [0, 1, 3], "the other answer, the empty ACK after 1 s, the answer");
    assert_eq!(world.device.calls_of("/33100/0/1", |_| true).len(), 1);
}

/// TRN-40.
#[test]
fn a_repetition_that_arrives_during_the_work_starts_nothing() {
    let mut world = slow_world(Pace::After(secs(20)));
    // The empty ACK is lost, so the server repeats its request.
    let slow = world.send(Ask::execute("/33100/0/2", "1"));
    world.run_for(ms(900));
    world.network.up.lose_next = 2;
    let response = world.response(slow);
    assert_eq!(response.code, Code::CHANGED);
    assert_eq!(world.device.calls_of("/33100/0/2", |_| true).len(), 1);
    assert!(world.device.status().counters.duplicates >= 1);
}

#[test]
fn a_lost_separate_answer_is_repeated() {
    let mut world = slow_world(Pace::After(secs(3)));
    let slow = world.send(Ask::read("/33100/0/1"));
    world.run_for(ms(1500));
    world.network.up.lose_next = 2;
    assert_eq!(world.response(slow).text(), "1");
    assert_eq!(world.device.calls_of("/33100/0/1", |_| true).len(), 1);
}

#[test]
fn a_dead_object_delays_nobody_else() {
    let mut world = slow_world(Pace::Never);
    let dead: Vec<_> = (0..5).map(|_| world.send(Ask::read("/33100/0/1"))).collect();
    for _ in 0..20 {
        let asked = world.now;
        assert!(world.ask(Ask::read("/3/0/0")).at - asked < secs(1));
        world.run_for(secs(10));
    }
    for ticket in dead {
        assert_eq!(world.response(ticket).code, Code::SERVICE_UNAVAILABLE);
    }
}

#[test]
fn too_many_requests_to_a_dead_object_are_refused_and_others_are_not() {
    let mut world = slow_world(Pace::Never);
    let tickets: Vec<_> = (0..60).map(|_| world.send(Ask::read("/33100/0/1"))).collect();
    world.run_for(secs(5));
    assert_eq!(world.device.calls_of("/33100/0/1", |_| true).len(), 8);
    assert_eq!(world.read("/3/0/0").text(), "Acme");
    for ticket in tickets {
        assert_eq!(world.response(ticket).code, Code::SERVICE_UNAVAILABLE);
    }
    assert!(world.elapsed() < secs(70), "those that were taken are given up after a minute");
}

#[test]
fn an_answer_after_the_call_was_given_up_is_nobodys() {
    let mut world = slow_world(Pace::After(secs(80)));
    let slow = world.send(Ask::execute("/33100/0/2", "1"));
    assert_eq!(world.response(slow).code, Code::SERVICE_UNAVAILABLE);
    let before = world.now;
    world.run_for(secs(200));
    assert!(world.sent_since(before).is_empty());
    assert_eq!(world.device.open_calls, 0);
}

#[test]
fn a_dead_object_does_not_keep_the_device_awake() {
    let mut world = World::registered(|setup| setup.queue_mode());
    world.device.objects.set_pace(33100, Pace::Never);
    world.send(Ask::read("/33100/0/1"));
    world.run_until("asleep", secs(600), |world| world.state() == ServerState::Asleep);
}

#[test]
fn an_answer_that_comes_after_the_link_is_gone_is_dropped() {
    let mut world = slow_world(Pace::After(secs(20)));
    world.run_for(secs(20));
    world.send(Ask::read("/33100/0/1"));
    world.run_for(secs(2));
    world.change_address();
    world.until_registered(secs(5));
    world.run_for(secs(60));
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

#[test]
fn a_slow_sample_is_told_when_it_comes_and_what_changes_meanwhile_after_it() {
    let mut world = slow_world(Pace::AtOnce);
    world.observe("/33100/0/1", "");
    world.device.objects.set_pace(33100, Pace::After(secs(3)));
    let begun = world.now;
    world.change("/33100/0/1", Value::Integer(2));
    world.run_for(secs(1));
    world.change("/33100/0/1", Value::Integer(3));
    world.run_for(secs(10));
    let noticed = world.noticed_since(begun);
    assert_eq!(noticed.last().map(|(_, text)| text.as_str()), Some("3"));
    let mut reads = world.device.calls_of("/33100/0/1", |call| *call == CallOperation::Read);
    reads.retain(|at| *at >= begun);
    assert!(reads.windows(2).all(|pair| pair[1] - pair[0] >= secs(3)), "one read at a time");
}

#[test]
fn a_sample_that_fails_backs_off_and_never_ends_the_observation() {
    let mut world = slow_world(Pace::AtOnce);
    world.observe("/33100/0/1", "");
    world.device.objects.refuse(33100, Some(Code::SERVICE_UNAVAILABLE));
    let calls = world.device.calls.len();
    world.change("/33100/0/1", Value::Integer(2));
    world.run_for(secs(3600));
    let times: Vec<_> = world.device.calls[calls..].iter().map(|(at, _)| *at).collect();
    let waits: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 320, 320, 320, 320, 320, 320, 320, 320, 320]);
    assert!(world.take_notices().is_empty());
    world.device.objects.refuse(33100, None);
    world.run_for(secs(320));
    let notices = world.take_notices();
    assert_eq!((notices.len(), notices[0].text()), (1, "2"));
}

#[test]
fn a_sample_that_never_comes_delays_only_its_own_instance() {
    let mut world = slow_world(Pace::AtOnce);
    world.observe("/33100/0/1", "");
    world.observe("/3303/0/5700", "");
    world.device.objects.set_pace(33100, Pace::Never);
    world.change("/33100/0/1", Value::Integer(2));
    world.change("/3303/0/5700", Value::Float(2.0));
    world.run_for(secs(100));
    assert_eq!(world.take_notices().len(), 1);
    assert_eq!(world.device.status().observations, 2);
}
