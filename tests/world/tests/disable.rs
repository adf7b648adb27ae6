//! Disable, and the orderly stop (Core 5.7).

use lwm2m_engine::{Command, Deregister, Event, ServerState};
use lwm2m_model::record::{BootId, Key};
use lwm2m_model::{Code, Value};
use lwm2m_world::{Ask, Cut, Memory, World, ms, secs};

/// CORE-108; OBJ-41, 42.
#[test]
fn disable_answers_deregisters_keeps_silent_and_registers_again() {
    let mut world = World::registered(|setup| setup.account().disable_timeout = 1000);
    world.observe("/3303/0/5700", "pmax=10");
    assert_eq!(world.execute("/1/0/4", ""), Code::CHANGED);
    world.run_for(secs(1));
    assert_eq!(world.server.last("De-register").code, Code::DELETED);
    assert_eq!(world.server.last("De-register").path, "/rd/1");
    assert_eq!(world.state(), ServerState::Disabled);
    let silent = world.now;
    let disturbing = world.send(Ask::read("/3/0/0").uninvited());
    world.change("/3303/0/5700", Value::Float(50.0));
    world.run_for(secs(990));
    assert!(world.sent_since(silent).is_empty(), "nothing may be sent");
    assert!(!matches!(world.server.outcome(disturbing), Some(lwm2m_world::Outcome::Response(_))));
    world.until_registered(secs(20));
    assert_eq!(world.server.accepted("Register"), 2);
    let disabled = world.events(|event| matches!(event, Event::Disabled { .. }));
    assert_eq!(disabled.len(), 1);
}

/// CORE-108; OBJ-41.
#[test]
fn the_server_chooses_how_long_it_is_disabled() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.write("/1/0/5", "30"), Code::CHANGED);
    assert_eq!(world.execute("/1/0/4", ""), Code::CHANGED);
    world.run_for(secs(29));
    assert_eq!(world.state(), ServerState::Disabled);
    world.until_registered(secs(3));
}

/// CORE-108; OBJ-41.
#[test]
fn a_restart_of_the_agent_does_not_end_the_silence() {
    let mut world = World::registered(|setup| setup.account().disable_timeout = 1000);
    world.execute("/1/0/4", "");
    world.run_for(secs(5));
    for restarts in 1..=3 {
        let silent = world.now;
        world.restart_after(secs(10), Cut::Before, Memory::Kept);
        assert_eq!(world.state(), ServerState::Disabled);
        let said = world.events(|event| matches!(event, Event::Disabled { .. }));
        assert_eq!(said.len(), 1 + restarts, "each start says why it is silent");
        world.run_for(secs(300));
        assert!(world.sent_since(silent).is_empty(), "nothing may be sent");
    }
    world.until_registered(secs(100));
    world.run_for(secs(1));
    assert_eq!(world.server.accepted("Register"), 2);
    assert!(world.device.store.get(&Key::Disabled(101)).is_none());
}

/// Only then can a new system prove that it reaches its servers.
#[test]
fn a_restart_of_the_machine_ends_the_silence() {
    let mut world = World::registered(|_| {});
    world.execute("/1/0/4", "");
    world.run_for(secs(5));
    world.device.config.boot = BootId([2; 16]);
    world.restart_after(secs(10), Cut::Before, Memory::Kept);
    world.until_registered(secs(10));
    world.run_for(secs(1));
    assert!(world.device.store.get(&Key::Disabled(101)).is_none());
}

#[test]
fn an_account_that_is_configured_anew_is_not_silent() {
    let mut world = World::registered(|_| {});
    world.execute("/1/0/4", "");
    world.run_for(secs(5));
    world.device.config.accounts[0].queue_mode = true;
    world.restart_after(secs(10), Cut::Before, Memory::Kept);
    world.until_registered(secs(10));
}

#[test]
fn disable_takes_no_argument() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.execute("/1/0/4", "5"), Code::BAD_REQUEST);
    assert_eq!(world.state(), ServerState::Registered);
}

#[test]
fn a_change_of_network_does_not_end_the_silence() {
    let mut world = World::registered(|setup| setup.account().disable_timeout = 500);
    world.execute("/1/0/4", "");
    world.run_for(secs(10));
    let silent = world.now;
    world.change_address();
    world.command(Command::Update { server: None });
    world.run_for(secs(400));
    assert!(world.sent_since(silent).is_empty());
}

#[test]
fn a_farewell_that_is_not_answered_is_over_after_two_seconds() {
    let mut world = World::registered(|setup| setup.account().disable_timeout = 100);
    let disable = world.send(Ask::execute("/1/0/4", ""));
    world.run_until("the answer", secs(1), |world| world.server.outcome(disable).is_some());
    world.server.manner.is_silent = true;
    world.run_for(secs(3));
    assert_eq!(world.state(), ServerState::Disabled);
    world.server.manner.is_silent = false;
    world.until_registered(secs(110));
}

/// CORE-107.
#[test]
fn a_stop_says_farewell_if_it_is_asked_to() {
    let mut world = World::registered(|setup| setup.queue_mode());
    world.until_asleep();
    world.command(Command::Stop { deregister: Deregister::Yes });
    world.run_for(secs(1));
    assert_eq!(world.server.accepted("De-register"), 1);
    assert!(world.device.stopped);
    assert!(world.server.believed().is_none());
    let stopped = world.now;
    world.run_for(secs(200_000));
    assert!(world.sent_since(stopped).is_empty());
}

/// CORE-107: otherwise the server takes the device for registered until the lifetime ends.
#[test]
fn a_stop_while_register_is_under_way_says_farewell_once_it_is_answered() {
    let mut world = World::new(|setup| setup.manner.answers_after = Some(ms(1500)));
    world.run_for(secs(1));
    assert_eq!(world.state(), ServerState::Registering);
    world.command(Command::Stop { deregister: Deregister::Yes });
    assert!(!world.device.stopped);
    world.server.manner.answers_after = None;
    world.run_until("stopped", secs(2), |world| world.device.stopped);
    assert_eq!(world.server.accepted("Register"), 1);
    assert_eq!(world.server.accepted("De-register"), 1);
    assert!(world.server.believed().is_none());
}

#[test]
fn a_stop_while_register_is_under_way_is_over_after_two_seconds() {
    type Sets = fn(&mut lwm2m_world::Manner);
    let silent: Sets = |manner| manner.is_silent = true;
    let refusing: Sets = |manner| manner.refuses_register = Some(Code::FORBIDDEN);
    for sets in [silent, refusing] {
        let mut world = World::new(|setup| {
            sets(&mut setup.manner);
            setup.manner.answers_after = Some(ms(1500));
        });
        world.run_for(secs(1));
        assert_eq!(world.state(), ServerState::Registering);
        world.command(Command::Stop { deregister: Deregister::Yes });
        let stopped = world.now;
        world.run_until("stopped", ms(2100), |world| world.device.stopped);
        world.run_for(secs(200_000));
        assert!(world.sent_since(stopped + ms(2001)).is_empty());
        assert_eq!(world.server.accepted("Register"), 0);
    }
}

#[test]
fn a_reboot_is_no_farewell() {
    let mut world = World::registered(|_| {});
    let before = world.now;
    world.command(Command::Stop { deregister: Deregister::No });
    assert!(world.device.stopped);
    world.run_for(secs(200_000));
    assert!(world.sent_since(before).is_empty());
}

#[test]
fn a_stop_waits_two_seconds_for_a_dead_server_at_most() {
    let mut world = World::registered(|_| {});
    world.server.manner.is_silent = true;
    world.command(Command::Stop { deregister: Deregister::Yes });
    world.run_until("stopped", secs(3), |world| world.device.stopped);
}
