//! What networks and strangers do: loss, small MTUs, rubbish, floods.

use lwm2m_engine::ServerState;
use lwm2m_model::{Code, Value};
use lwm2m_world::{Ask, Dice, Lane, Outage, World, ms, secs};

#[test]
fn a_third_of_all_datagrams_may_be_lost() {
    let mut world = World::new(|setup| {
        let lossy = Lane { loss: 0.33, duplication: 0.1, most_delay: ms(800), ..Lane::good() };
        setup.network.up = lossy.clone();
        setup.network.down = lossy;
    });
    world.until_registered(secs(600));
    for _ in 0..50 {
        let ticket = world.send(Ask::read("/3/0"));
        world.outcome(ticket);
    }
    world.network.heal();
    world.until_registered(secs(1200));
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

#[test]
fn a_large_answer_goes_in_blocks_through_a_small_mtu() {
    let long = "0123456789".repeat(300);
    let mut world = World::registered(|setup| {
        setup.network.max_datagram = 128;
        setup.network.down.mtu = 400;
    });
    world.network.up.mtu = 128;
    world.device.objects.set("/3303/0/5701", Value::String(long.clone()));
    let answer = world.read("/3303/0/5701");
    assert_eq!((answer.code, answer.text()), (Code::CONTENT, long.as_str()));
    assert_eq!(answer.size, Some(3000));
    assert_eq!(answer.blocks, 3000_u32.div_ceil(64));
    let object = world.ask(Ask::read("/3303"));
    assert!(object.payload.len() > 3000);
}

#[test]
fn blocks_are_fetched_over_a_lossy_network_and_read_once() {
    let mut world = World::registered(|setup| setup.network.max_datagram = 128);
    world.device.objects.set("/3303/0/5701", Value::String("x".repeat(1000)));
    (world.network.up.loss, world.network.down.loss) = (0.2, 0.2);
    let answer = world.read("/3303/0/5701");
    assert_eq!(answer.text().len(), 1000);
    assert_eq!(world.device.calls_of("/3303/0/5701", |_| true).len(), 1);
}

#[test]
fn a_large_notification_is_fetched_from_its_second_block_on() {
    let mut world = World::registered(|setup| setup.network.max_datagram = 128);
    world.observe("/3303/0/5701", "");
    world.run_for(secs(1));
    world.change("/3303/0/5701", Value::String("y".repeat(700)));
    world.run_for(secs(20));
    let notices = world.take_notices();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].text(), "y".repeat(700));
}

#[test]
fn rubbish_is_counted_and_dropped() {
    let mut world = World::registered(|_| {});
    let mut dice = Dice::new(99);
    for _ in 0..5000 {
        let length = dice.below(40) as usize;
        let mut bytes = dice.bytes(length);
        if let Some(first) = bytes.first_mut().filter(|_| dice.chance(0.7)) {
            *first = 0x40 | (*first & 0x34);
        }
        world.inject(&bytes);
        world.run_for(ms(10));
    }
    world.run_for(secs(300));
    assert!(world.device.status().counters.malformed > 1000);
    assert_eq!(world.read("/3/0/0").text(), "Acme");
    assert!(world.device.open_calls == 0);
}

#[test]
fn mutated_requests_do_no_harm() {
    let mut world = World::registered(|_| {});
    let mut dice = Dice::new(7);
    // GET /3303/0/5700 with Observe, and PUT with a query.
    let samples: [&[u8]; 3] = [
        b"\x44\x01\x00\x01abcd\x60\x54\x33\x33\x30\x33\x01\x30\x04\x35\x37\x30\x30",
        b"\x44\x03\x00\x02abcd\xb4\x33\x33\x30\x33\x01\x30\x04\x35\x37\x30\x30\x46pmin=1",
        b"\x44\x02\x00\x03abcd\xb4\x33\x33\x30\x33\x01\x30\x04\x35\x36\x30\x35\xff5",
    ];
    for number in 0..20_000_u32 {
        let mut bytes = dice.pick(&samples).to_vec();
        bytes[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        for _ in 0..dice.below(4) {
            let place = dice.below(bytes.len() as u64) as usize;
            bytes[place] = dice.number() as u8;
        }
        world.inject(&bytes);
        world.run_for(ms(5));
    }
    world.run_for(secs(400));
    assert_eq!(world.read("/3/0/0").text(), "Acme");
    assert!(world.device.status().observations <= lwm2m_engine::MAX_OBSERVATIONS);
}

#[test]
fn a_flood_of_observes_and_tokens_is_bounded() {
    let mut world = World::registered(|_| {});
    // A server that answers nothing does not reset what it does not know.
    world.server.manner.is_silent = true;
    for number in 0..6000_u64 {
        let token = number.to_be_bytes();
        let mut bytes = vec![0x58, 1];
        bytes.extend((number as u16).to_be_bytes());
        bytes.extend(token);
        let resource = *b"013679".get(number as usize % 6).unwrap();
        bytes.extend([0x60, 0x51, b'3', 0x01, b'0', 0x01, resource]);
        world.inject(&bytes);
        world.run_for(ms(2));
    }
    assert_eq!(world.device.status().observations, lwm2m_engine::MAX_OBSERVATIONS);
    world.server.manner.is_silent = false;
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

#[test]
fn attributes_on_more_paths_than_there_is_room_for_are_refused() {
    let mut world = World::registered(|_| {});
    for instance in 2..1100 {
        world.device.objects.add_instance(3303, instance);
    }
    world.announce(3303);
    world.run_for(secs(5));
    let codes: Vec<Code> =
        (0..1100).map(|instance| world.attach(&format!("/3303/{instance}"), "pmin=1")).collect();
    let refused = codes.iter().filter(|code| **code == Code::SERVICE_UNAVAILABLE).count();
    assert_eq!(refused, 1100 - 1024);
}

#[test]
fn a_flood_of_requests_leaves_memory_where_it_was() {
    let mut world = World::registered(|_| {});
    for _ in 0..300 {
        for _ in 0..40 {
            world.send(Ask::read("/3/0/0"));
        }
        world.run_for(ms(100));
    }
    world.run_for(secs(20));
    assert_eq!(world.device.open_calls, 0);
    assert_eq!(world.server.unanswered(), 0);
}

#[test]
fn a_server_that_restarts_is_registered_with_at_the_next_update() {
    let mut world = World::registered(|setup| setup.account().lifetime = 300);
    world.observe("/3303/0/5700", "");
    world.restart_server();
    world.until_registered(secs(300));
    assert_eq!(world.server.accepted("Register"), 2);
    assert_eq!(world.device.status().observations, 0);
}

#[test]
fn an_outage_longer_than_the_lifetime_ends_with_a_registration() {
    let mut world = World::registered(|setup| setup.account().lifetime = 300);
    world.network.outage = Some(Outage::BlackHole);
    world.run_for(secs(4000));
    assert!(world.server.believed().is_none(), "the server has given it up");
    world.network.heal();
    world.run_until("registered", secs(96_000), |world| {
        world.state() == ServerState::Registered && world.server.believed().is_some()
    });
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

#[test]
fn actions_that_wait_for_their_answers_are_bounded() {
    let mut world = World::registered(|_| {});
    let asked: Vec<_> = (0..80).map(|_| world.send(Ask::execute("/3/0/4", ""))).collect();
    let codes: Vec<Code> = asked.into_iter().map(|ticket| world.response(ticket).code).collect();
    let refused = codes.iter().filter(|code| **code == Code::SERVICE_UNAVAILABLE).count();
    world.run_for(secs(5));
    assert_eq!((world.device.objects.proceeded.len(), refused), (64, 80 - 64));
    assert_eq!(world.execute("/3/0/4", ""), Code::CHANGED, "there is room again");
}
