//! The factory reset: what servers wrote is forgotten, durably and whole (DESIGN 7.2), and
//! a store that comes late, whose records count again (DESIGN 4).

use std::time::Duration;

use lwm2m_engine::{Account, Command, Event, Output, ServerState};
use lwm2m_model::record::{Key, Record, Session};
use lwm2m_model::{Code, ContentFormat, RequestError, Value};
use lwm2m_world::{Ask, Cut, Memory, Notice, Security, World, ms, secs};

const VALUE: &str = "/3303/0/5700";
const CONFIGURED: &str = "86400";

/// A device to which its server has written all that can be written.
fn written_to(security: Security) -> World {
    let mut world = World::registered(|setup| {
        if security != Security::None {
            setup.secured(security);
        }
    });
    write_all(&mut world);
    world
}

fn write_all(world: &mut World) {
    assert_eq!(world.write("/1/0/1", "600"), Code::CHANGED);
    assert_eq!(world.write("/1/0/3", "5000"), Code::CHANGED);
    assert_eq!(world.attach("/3303/0", "pmin=7"), Code::CHANGED);
    assert_eq!(world.attach(VALUE, "gt=42.5"), Code::CHANGED);
    world.observe(VALUE, "");
    world.device.store.put(Record::Session(Session { server: 101, secret: vec![1] }));
    world.run_for(secs(5));
}

fn reset(world: &mut World) {
    world.command(Command::FactoryReset { id: 7 });
}

/// What the operator was answered.
fn answers(world: &World) -> Vec<&Result<Vec<lwm2m_model::Entry>, RequestError>> {
    let local = world.device.local.iter();
    local
        .filter_map(
            |it| if let Output::LocalReply { id: 7, result } = it { Some(result) } else { None },
        )
        .collect()
}

/// Registered, and as after a first start.
fn check_is_new(world: &mut World, what: &str) {
    let lifetime = world.server.believed().map(|known| known.lifetime);
    assert_eq!(lifetime, Some(86_400), "{what}");
    assert_eq!(world.read("/1/0/1").text(), CONFIGURED, "{what}");
    assert_eq!(world.read("/1/0/3").code, Code::NOT_FOUND, "{what}");
    let links = world.discover("/3303/0");
    assert!(!links.contains("pmin") && !links.contains("gt="), "{what}: {links}");
    assert_eq!(world.device.status().observations, 0, "{what}");
    let kept = world.device.store.records();
    assert!(matches!(kept[..], [Record::Registration(_)]), "{what}: {kept:?}");
    world.change(VALUE, Value::Float(99.0));
    world.run_for(secs(10));
    assert_eq!(world.take_notices().len(), 0, "{what}");
}

/// DESIGN 7.2; CORE-107.
#[test]
fn a_reset_device_says_farewell_and_registers_as_configured() {
    for security in [Security::None, Security::Resumes, Security::FullHandshakes] {
        let mut world = written_to(security);
        reset(&mut world);
        assert!(matches!(answers(&world)[..], [Ok(_)]), "answered when it is on the medium");
        assert!(world.device.store.records().is_empty());
        // What the old link leaves behind until it is closed.
        world.device.store.put(Record::Session(Session { server: 101, secret: vec![2] }));
        world.run_until("registered anew", secs(10), |world| {
            world.server.accepted("Register") == 2 && world.state() == ServerState::Registered
        });
        world.run_for(secs(5));
        assert_eq!(world.server.accepted("De-register"), 1);
        assert_eq!(world.events(|event| *event == Event::FactoryReset).len(), 1);
        check_is_new(&mut world, &format!("{security:?}"));
        // What servers write from now on is kept.
        write_all(&mut world);
        world.restart_after(secs(10), Cut::Before, Memory::Kept);
        world.until_registered(secs(60));
        assert_eq!(world.read("/1/0/1").text(), "600");
    }
}

#[test]
fn every_server_is_forgotten() {
    let mut world = World::registered(|setup| {
        setup.config.accounts.push(Account::new(102, "coap://second.example"));
    });
    for (server, instance) in [(102, 1), (101, 0)] {
        world.turn_to(server);
        world.until_registered(secs(60));
        assert_eq!(world.write(&format!("/1/{instance}/1"), "600"), Code::CHANGED);
        assert_eq!(world.attach(VALUE, "pmin=7"), Code::CHANGED);
        world.observe(VALUE, "");
    }
    reset(&mut world);
    world.run_for(secs(20));
    for (server, instance) in [(102, 1), (101, 0)] {
        world.turn_to(server);
        assert_eq!(world.server.accepted("De-register"), 1, "{server}");
        assert_eq!(world.server.accepted("Register"), 2, "{server}");
        assert_eq!(world.read(&format!("/1/{instance}/1")).text(), CONFIGURED, "{server}");
        assert!(!world.discover(VALUE).contains("pmin"), "{server}");
    }
    let kept = world.device.store.records();
    assert!(kept.iter().all(|record| matches!(record, Record::Registration(_))), "{kept:?}");
}

/// A server that is asleep, silent, away or wants silence itself does not hinder it.
#[test]
fn a_server_that_cannot_be_told_is_registered_with_when_it_is_back() {
    type Trouble = fn(&mut World);
    let troubles: [(&str, Trouble); 4] = [
        ("asleep", |world| world.until_asleep()),
        ("silent", |world| {
            world.server.manner.is_silent = true;
            reset(world);
            world.run_for(secs(5));
            world.server.manner.is_silent = false;
        }),
        ("away", |world| {
            world.lose_network();
            reset(world);
            world.run_for(secs(5));
            world.network.heal();
        }),
        ("disabled", |world| {
            world.send(Ask::execute("/1/0/4", ""));
            world.run_for(secs(5));
            assert_eq!(world.state(), ServerState::Disabled);
        }),
    ];
    for (what, trouble) in troubles {
        let mut world = World::registered(|setup| setup.queue_mode());
        write_all(&mut world);
        trouble(&mut world);
        reset(&mut world);
        world.run_until(what, secs(200), |world| {
            world.server.accepted("Register") >= 2 && world.state() == ServerState::Registered
        });
        world.run_for(secs(5));
        check_is_new(&mut world, what);
    }
}

/// DESIGN 3: a commit that fails has changed nothing.
#[test]
fn a_reset_that_cannot_be_stored_is_refused_and_changes_nothing() {
    let mut world = written_to(Security::Resumes);
    let before = world.device.store.records();
    world.device.store.fails = true;
    reset(&mut world);
    world.run_for(secs(5));
    let refused = answers(&world);
    let [Err(error)] = refused[..] else { panic!("{refused:?}") };
    assert_eq!(error.code, Code::INTERNAL_SERVER_ERROR);
    assert!(error.to_string().contains("no space left on device"), "{error}");
    assert_eq!(world.server.accepted("De-register"), 0);
    assert_eq!(world.read("/1/0/1").text(), "600");
    world.change(VALUE, Value::Float(50.0));
    world.run_for(secs(10));
    assert_eq!(world.take_notices().iter().map(Notice::text).collect::<Vec<_>>(), ["50"]);
    // It may have reached the medium all the same: then what is so is written again.
    world.device.store.lose();
    world.device.store.fails = false;
    world.run_for(secs(60));
    let is_session = |record: &Record| matches!(record, Record::Session(_));
    let known = |records: Vec<Record>| -> Vec<Key> {
        records.iter().filter(|record| !is_session(record)).map(Record::key).collect()
    };
    assert_eq!(known(world.device.store.records()), known(before));
}

/// What a server writes while the reset is stored is refused, not lost.
#[test]
fn what_waits_behind_a_reset_is_refused() {
    let mut world = written_to(Security::None);
    world.device.store.pace = ms(500);
    reset(&mut world);
    let write = world.send(Ask::write("/1/0/1", ContentFormat::TEXT, "900"));
    let attach = world.send(Ask::attributes(VALUE, "pmin=9"));
    reset(&mut world);
    world.run_for(secs(20));
    for ticket in [write, attach] {
        assert_eq!(world.response(ticket).code, Code::SERVICE_UNAVAILABLE);
    }
    assert!(matches!(answers(&world)[..], [Ok(_), Ok(_)]), "twice is no error");
    check_is_new(&mut world, "written to meanwhile");
}

/// The device dies before it carries out the output of this number after the order. False
/// if there are not so many.
fn is_old_or_new(security: Security, pace: Duration, cut: Cut, number: u64) -> bool {
    let what = format!("{security:?} {pace:?} {cut:?} {number}");
    let mut world = written_to(security);
    (world.cut, world.device.store.pace) = (cut, pace);
    world.device.dies_before = Some(world.device.outputs + number);
    reset(&mut world);
    world.run_for(secs(20));
    let died = world.device.dies_before.take().is_none();
    let was_promised = matches!(answers(&world)[..], [Ok(_)]);
    if world.device.is_dead() {
        world.start();
    }
    world.until_registered(secs(200));
    world.run_for(secs(10));
    world.take_notices();
    let lifetime = world.read("/1/0/1").text().to_owned();
    if lifetime == "600" && !was_promised {
        assert_eq!(world.read("/1/0/3").text(), "5000", "{what}");
        let links = world.discover("/3303/0");
        assert!(links.contains("pmin=7") && links.contains("gt=42.5"), "{what}: {links}");
        assert_eq!(world.server.believed().unwrap().lifetime, 600, "{what}");
        assert_eq!(world.server.believed().unwrap().observations.len(), 1, "{what}");
    } else {
        check_is_new(&mut world, &what);
    }
    died
}

/// DESIGN 8.2.
#[test]
fn a_device_killed_while_it_is_reset_is_as_before_or_as_new() {
    for security in [Security::None, Security::Resumes] {
        for (pace, cut) in [(ms(0), Cut::Before), (ms(30), Cut::Before), (ms(30), Cut::After)] {
            let deaths = (0..).take_while(|number| is_old_or_new(security, pace, cut, *number));
            assert!(deaths.count() > 8);
        }
    }
}

/// DESIGN 4: a store that could not be read at the start.
#[test]
fn a_store_that_comes_late_gives_back_what_servers_wrote() {
    let mut world = written_to(Security::Resumes);
    world.kill(Cut::Before, Memory::Kept);
    let kept = world.device.store.records();
    world.device.store.lose();
    world.device.store.fails = true;
    world.start();
    world.until_registered(secs(60));
    assert_eq!(world.read("/1/0/1").text(), CONFIGURED);
    assert_eq!(world.write("/1/0/1", "700"), Code::INTERNAL_SERVER_ERROR);
    assert_eq!(world.attach(VALUE, "gt=1"), Code::INTERNAL_SERVER_ERROR);
    world.run_for(secs(3600));

    world.device.store.fails = false;
    for record in kept.clone() {
        world.device.store.put(record);
    }
    world.command(Command::Recall(kept));
    world.run_for(secs(5));
    assert_eq!(world.server.last("Update").query, ["lt=600"], "the server is told");
    assert_eq!(world.read("/1/0/1").text(), "600");
    assert_eq!(world.read("/1/0/3").text(), "5000");
    let links = world.discover("/3303/0");
    assert!(links.contains("pmin=7") && links.contains("gt=42.5"), "{links}");
    // The server has yet to observe after the Register (CORE-99).
    let kept = world.device.store.records();
    let is_of_now = |record: &Record| {
        matches!(record, Record::Account(_) | Record::Attached(_) | Record::Registration(_))
    };
    assert!(kept.iter().all(is_of_now), "{kept:?}");
    assert_eq!(kept.len(), 4);
    assert_eq!(world.device.status().observations, 0);
    world.observe(VALUE, "");
    world.restart_after(secs(10), Cut::Before, Memory::Kept);
    world.until_registered(secs(60));
    assert_eq!(world.server.believed().unwrap().lifetime, 600);
    assert_eq!(world.device.status().observations, 1);
}
