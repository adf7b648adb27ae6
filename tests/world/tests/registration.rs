//! Register: what it says, and what answers make of it (Core 5.1, 5.2).

use lwm2m_engine::{Event, ServerState};
use lwm2m_model::{Code, Version};
use lwm2m_world::{Ask, Security, World, secs};

/// CORE-15, 19, 90 to 95; TRN-07.
#[test]
fn register_says_everything_and_nothing_else() {
    let world = World::registered(|setup| setup.account().lifetime = 3600);
    let register = world.server.last("Register");
    assert_eq!(register.path, "/rd");
    assert_eq!(register.query, ["ep=urn:dev:ops:0A1B2C-GW100-4711", "lt=3600", "lwm2m=1.2", "b=U"]);
    assert_eq!(register.format, Some(40));
    assert_eq!(
        register.body,
        "</>;ct=\"60 110 112 11542 11544\",</1/0>,</3/0>,</3303/0>,</3303/1>,</33100/0>"
    );
}

/// CORE-121; TRN-02.
#[test]
fn queue_mode_is_a_parameter_of_its_own_since_1_1_and_part_of_the_binding_in_1_0() {
    let cases = [
        (Version::V1_2, vec!["lwm2m=1.2", "b=U", "Q"]),
        (Version::V1_1, vec!["lwm2m=1.1", "b=U", "Q"]),
        (Version::V1_0, vec!["lwm2m=1.0", "b=UQ"]),
    ];
    for (version, expected) in cases {
        let world = World::registered(|setup| {
            setup.queue_mode();
            setup.manner.versions = vec![version];
        });
        assert_eq!(world.server.last("Register").query[2..], expected, "{version}");
    }
}

/// CORE-01; TRN-21.
#[test]
fn nothing_is_served_before_register_is_answered() {
    let mut world = World::new(|setup| {
        setup.manner.answers_after = Some(secs(8));
    });
    world.run_for(secs(2));
    assert_eq!(world.state(), ServerState::Registering);
    let early = world.send(Ask::execute("/3303/0/5605", "1").uninvited());
    world.run_for(secs(2));
    assert!(world.device.calls.is_empty(), "CORE-01: the request is ignored");
    assert_eq!(world.server.outcome(early), None);
    world.until_registered(secs(10));
    assert_eq!(world.read("/3/0/0").code, Code::CONTENT);
}

/// TRN-41.
#[test]
fn a_separate_answer_to_register_is_as_good_as_a_piggybacked_one() {
    let mut world = World::registered(|setup| setup.manner.answers_after = Some(secs(20)));
    assert_eq!(world.server.accepted("Register"), 1);
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

/// CORE-96; TRN-08.
#[test]
fn a_location_of_many_segments_is_used_whole() {
    let mut world = World::registered(|setup| {
        setup.account().lifetime = 100;
        setup.manner.location = vec!["rd", "eu", "west"];
    });
    world.run_for(secs(60));
    assert_eq!(world.server.last("Update").path, "/rd/eu/west/1");
    assert_eq!(world.server.last("Update").code, Code::CHANGED);
}

#[test]
fn requests_go_below_the_path_of_the_server_uri() {
    let mut world = World::new(|setup| setup.account().uri = "coap://host/lwm2m/v1".into());
    world.run_for(secs(2));
    assert_eq!(world.server.requests[0].path, "/lwm2m/v1/rd");
}

#[test]
fn a_slow_link_only_delays_the_registration() {
    let mut world = World::new(|setup| {
        setup.secured(Security::Resumes);
        setup.network.open_delay = secs(25);
    });
    world.run_for(secs(24));
    assert_eq!(world.state(), ServerState::Connecting);
    world.until_registered(secs(5));
}

#[test]
fn the_operator_hears_of_a_registration_once() {
    let world = World::registered(|_| {});
    let registered = world.events(|event| matches!(event, Event::Registered { .. }));
    assert_eq!(registered.len(), 1);
    assert_eq!(world.device.status().location.as_deref(), Some("/rd/1"));
    assert_eq!(world.device.status().version, Version::V1_2);
    assert_eq!(world.device.status().failures, 0);
}
