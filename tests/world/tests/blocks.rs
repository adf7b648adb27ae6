//! Requests in blocks, in both directions (RFC 7959 2.5, RFC 9175).

use lwm2m_engine::CallOperation;
use lwm2m_model::{Code, ContentFormat, Value};
use lwm2m_world::{Ask, Lane, Outcome, SENSOR, World, ms, option, secs};

/// Announces objects 10000, 10001 and so on, each with one instance.
fn add_objects(world: &mut World, count: u16) {
    for id in 10_000..10_000 + count {
        let mut definition = SENSOR.clone();
        definition.id = id;
        world.device.objects.define(&definition, &[0]);
        world.announce(id);
    }
}

/// A path with a link layer of 576 bytes: 548 are left behind the headers of IP and UDP.
fn narrow(world: &mut World) {
    world.network.max_datagram = 548;
    (world.network.up.mtu, world.network.down.mtu) = (548, 548);
}

/// A value of 5,000 characters.
fn long_text() -> String {
    "0123456789".repeat(500)
}

fn write_in_blocks(path: &str) -> Ask {
    Ask::write(path, ContentFormat::TEXT, long_text()).in_blocks(5)
}

#[test]
fn a_register_with_300_objects_goes_in_blocks_through_an_mtu_of_576() {
    for loss in [0.0, 0.15] {
        let mut world = World::new(|_| {});
        narrow(&mut world);
        (world.network.up.loss, world.network.down.loss) = (loss, loss);
        add_objects(&mut world, 300);
        world.until_registered(secs(3600));
        let register = world.server.last("Register");
        assert_eq!(register.body.matches("/0>").count(), 304, "every object, once");
        assert!(register.body.len() > 3000);
        assert_eq!(register.blocks as usize, register.body.len().div_ceil(256));
        assert!(register.query.iter().any(|parameter| parameter.starts_with("ep=")));
    }
}

#[test]
fn an_update_with_many_objects_goes_in_the_blocks_that_the_server_likes() {
    let mut world = World::registered(|setup| setup.manner.largest_block = 2);
    add_objects(&mut world, 300);
    world.run_for(secs(60));
    assert_eq!(world.server.accepted("Update"), 1);
    let update = world.server.last("Update");
    // The first block is as large as the device made it, the others have 64 bytes.
    assert_eq!(update.blocks as usize, 1 + (update.body.len() - 1024).div_ceil(64));
    assert_eq!(update.body.matches("/0>").count(), 304);
    assert_eq!(world.read("/10299/0").code, Code::CONTENT);
}

#[test]
fn a_register_in_blocks_that_breaks_off_is_tried_again_from_the_start() {
    let mut world = World::new(|_| {});
    add_objects(&mut world, 300);
    world.run_until("half a Register", secs(60), |world| world.device.sent.len() == 2);
    world.restart_server();
    world.until_registered(secs(3600));
    assert_eq!(world.server.last("Register").body.matches("/0>").count(), 304);
}

#[test]
fn a_challenged_register_is_repeated_once_with_the_echo() {
    for objects in [0, 300] {
        let mut world = World::new(|setup| setup.manner.challenge = Some(b"fresh".to_vec()));
        add_objects(&mut world, objects);
        world.until_registered(secs(60));
        let codes: Vec<Code> = world.server.requests.iter().map(|seen| seen.code).collect();
        assert_eq!(codes, [Code::UNAUTHORIZED, Code::CREATED], "{objects}");
        assert_eq!(world.device.attempts.all.len(), 1);
    }
}

#[test]
fn a_write_of_5_kb_is_done_once_over_a_bad_network() {
    let mut world = World::registered(|_| {});
    let bad = Lane { loss: 0.15, duplication: 0.2, most_delay: ms(500), ..Lane::good() };
    (world.network.up, world.network.down) = (bad.clone(), bad);
    assert_eq!(world.code(write_in_blocks("/3303/0/5750")), Code::CHANGED);
    assert_eq!(world.device.objects.value("/3303/0/5750"), Some(&Value::String(long_text())));
    let writes = |operation: &CallOperation| matches!(operation, CallOperation::Write { .. });
    assert_eq!(world.device.calls_of("/3303/0/5750", writes).len(), 1);
}

/// Datagrams of the device tell how many blocks it took to refuse the Write.
#[test]
fn a_write_of_5_kb_to_the_server_object_is_refused_late_or_early() {
    let announced = |ask: Ask| ask.option(option::SIZE1, 5000_u16.to_be_bytes());
    let small = 4096;
    let cases = [
        // The object judges the whole value, whatever was said about its size.
        (write_in_blocks("/1/0/7"), None, Code::BAD_REQUEST, 10),
        (announced(write_in_blocks("/1/0/7")), None, Code::BAD_REQUEST, 10),
        (write_in_blocks("/1/0/0"), None, Code::METHOD_NOT_ALLOWED, 10),
        (write_in_blocks("/0/0/0"), None, Code::UNAUTHORIZED, 10),
        // Too large: when the limit is passed, or at once if the server says the size.
        (write_in_blocks("/1/0/7"), Some(small), Code::REQUEST_ENTITY_TOO_LARGE, 9),
        (announced(write_in_blocks("/1/0/7")), Some(small), Code::REQUEST_ENTITY_TOO_LARGE, 1),
    ];
    for (ask, limit, code, datagrams) in cases {
        let mut world = World::registered(|setup| {
            if let Some(limit) = limit {
                setup.config.coap.max_body = limit;
            }
        });
        let before = world.now;
        let shown = format!("{:?} {limit:?}", ask);
        assert_eq!(world.code(ask), code, "{shown}");
        assert_eq!(world.sent_since(before).len(), datagrams, "{shown}");
        assert_eq!(world.read("/1/0/7").text(), "U");
        world.run_for(secs(300));
        assert_eq!(world.server.accepted("Update"), 0, "nothing was written");
    }
}

#[test]
fn blocks_that_come_before_the_answer_to_register_are_served_after_it() {
    let mut world = World::new(|setup| setup.manner.answers_after = Some(secs(5)));
    world.run_until("Register", secs(1), |world| !world.server.requests.is_empty());
    let before = world.now;
    let ticket = world.send(write_in_blocks("/3303/0/5750").uninvited());
    world.run_for(secs(4));
    assert!(world.sent_since(before).is_empty(), "nothing is served before Register is answered");
    let Outcome::Response(response) = world.outcome(ticket) else { panic!() };
    assert_eq!(response.code, Code::CHANGED);
    assert_eq!(world.device.objects.value("/3303/0/5750"), Some(&Value::String(long_text())));
}

#[test]
fn a_device_in_queue_mode_stays_awake_for_a_request_that_is_half_here() {
    let mut world = World::registered(|setup| setup.queue_mode());
    let ticket = world.send(write_in_blocks("/3303/0/5750"));
    world.run_until("the first block", secs(5), |world| world.server.unanswered() == 1);
    world.run_for(ms(30));
    world.network.down.lose_next = 1000;
    world.run_for(secs(200));
    assert!(!world.device.is_asleep());
    world.network.down.lose_next = 0;
    assert_eq!(world.outcome(ticket), Outcome::TimedOut);
    world.until_asleep();
}

#[test]
fn notifications_come_in_the_blocks_that_the_observe_asked_for() {
    let mut world = World::registered(|_| {});
    world.device.objects.set("/3303/0/5701", Value::String("x".repeat(500)));
    let observe = Ask::observe("/3303/0/5701", "").option(option::BLOCK2, [2]);
    assert_eq!(world.ask(observe).blocks, 500_u32.div_ceil(64));
    world.run_for(secs(1));
    let before = world.now;
    world.change("/3303/0/5701", Value::String("y".repeat(700)));
    world.run_for(secs(20));
    assert_eq!(world.take_notices()[0].text(), "y".repeat(700));
    assert_eq!(world.sent_since(before).len(), 700_usize.div_ceil(64));
}
