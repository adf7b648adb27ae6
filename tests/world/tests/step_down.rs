//! 4.12: the next lower version, down to the lowest configured (CORE-20).

use lwm2m_engine::{Event, ServerState};
use lwm2m_model::{Code, Version};
use lwm2m_world::{World, secs};

fn versions_tried(world: &World) -> Vec<String> {
    let registers = world.server.requests.iter().filter(|seen| seen.operation == "Register");
    registers.map(|seen| seen.query[2].clone()).collect()
}

#[test]
fn a_server_of_1_0_is_reached_in_three_attempts_without_a_pause() {
    let mut world = World::new(|setup| setup.manner.versions = vec![Version::V1_0]);
    world.until_registered(secs(2));
    assert_eq!(versions_tried(&world), ["lwm2m=1.2", "lwm2m=1.1", "lwm2m=1.0"]);
    assert_eq!(world.device.status().version, Version::V1_0);
    let steps = world.events(|event| matches!(event, Event::SteppedDown { .. }));
    assert_eq!(steps.len(), 2);
    assert_eq!(world.device.attempts.all.len(), 1, "all over one link");
}

/// CORE-16, 18; OBJ-13.
#[test]
fn the_object_list_is_that_of_the_version_agreed_on() {
    let world = World::registered(|setup| setup.manner.versions = vec![Version::V1_1]);
    assert_eq!(
        world.server.last("Register").body,
        "</>;ct=\"60 110 112 11542\",</1>;ver=1.2,</1/0>,</3>;ver=1.2,</3/0>,</3303/0>,</3303/1>,</33100/0>"
    );
}

#[test]
fn no_version_below_the_lowest_configured_is_tried() {
    let mut world = World::new(|setup| {
        setup.manner.versions = vec![Version::V1_0];
        setup.config.min_version = Version::V1_1;
    });
    world.run_for(secs(30));
    assert_eq!(versions_tried(&world), ["lwm2m=1.2", "lwm2m=1.1"]);
    assert_eq!(world.state(), ServerState::Waiting);
    let error = world.device.status().last_error.expect("it failed");
    assert!(error.contains("1.1") && error.contains("4.12"), "{error}");
    // The next attempt starts at the top again: the server may have been replaced.
    world.server.manner.versions = vec![Version::V1_2];
    world.until_registered(secs(70));
    assert_eq!(versions_tried(&world).last().map(String::as_str), Some("lwm2m=1.2"));
}

#[test]
fn a_later_register_keeps_the_version_agreed_on() {
    let mut world = World::registered(|setup| {
        setup.manner.versions = vec![Version::V1_1];
        setup.account().lifetime = 100;
    });
    world.server_forgets();
    world.run_for(secs(60));
    assert_eq!(versions_tried(&world), ["lwm2m=1.2", "lwm2m=1.1", "lwm2m=1.1"]);
    assert_eq!(world.server.last("Register").code, Code::CREATED);
}
