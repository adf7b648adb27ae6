//! What outlives the device: it is killed at any moment, starts again, and goes on
//! (Core 6.3.5, 8.1; Transport 12.7).

use std::time::Duration;

use lwm2m_engine::{Account, Command, Event, ServerState};
use lwm2m_model::record::{self, Change, Key, Record, Session};
use lwm2m_model::{Code, ContentFormat, Value, Version};
use lwm2m_world::{Ask, Cut, Memory, Notice, Outcome, Security, Setup, World, ms, secs};

const VALUE: &str = "/3303/0/5700";
const OFF: Duration = secs(10);

fn at(version: Version, security: Security) -> impl FnOnce(&mut Setup) {
    move |setup| {
        setup.config.version = version;
        setup.manner.versions = vec![version];
        if security != Security::None {
            setup.secured(security);
        }
    }
}

fn restart(world: &mut World, memory: Memory) {
    world.restart_after(OFF, Cut::Before, memory);
    world.until_registered(secs(60));
    world.run_for(secs(5));
}

fn change(world: &mut World, value: f64) {
    world.change(VALUE, Value::Float(value));
    world.run_for(secs(1));
}

fn texts(notices: &[Notice]) -> Vec<&str> {
    notices.iter().map(Notice::text).collect()
}

/// CORE-98, CORE-160; TRN-10.
#[test]
fn the_server_gets_an_update_where_it_still_knows_the_device_and_else_a_register() {
    use Memory::{Kept, Lost};
    let (v10, v11, v12) = (Version::V1_0, Version::V1_1, Version::V1_2);
    for (version, security, memory, updates) in [
        (v12, Security::Resumes, Kept, true),
        (v12, Security::Resumes, Lost, true),
        (v12, Security::FullHandshakes, Lost, true),
        (v12, Security::None, Kept, true),
        (v12, Security::None, Lost, false),
        (v11, Security::Resumes, Kept, true),
        (v11, Security::Resumes, Lost, false),
        (v11, Security::FullHandshakes, Kept, false),
        (v11, Security::None, Kept, true),
        (v10, Security::Resumes, Kept, true),
        (v10, Security::Resumes, Lost, false),
    ] {
        let what = format!("{version} {security:?} {memory:?}");
        let mut world = World::registered(at(version, security));
        let token = world.observe(VALUE, "");
        restart(&mut world, memory);
        let registers = world.server.accepted("Register");
        assert_eq!(registers, if updates { 1 } else { 2 }, "{what}");
        assert_eq!(world.server.accepted("Update"), usize::from(updates), "{what}");
        change(&mut world, 99.0);
        let told = world.take_notices();
        if updates {
            let update = world.server.last("Update");
            assert_eq!((update.query.len(), update.body.as_str()), (0, ""), "{what}");
            assert_eq!(told.last().map(Notice::text), Some("99"), "{what}");
            assert!(told.iter().all(|notice| notice.token == token && !notice.is_stale));
        } else {
            assert_eq!(told.len(), 0, "{what}: the server has yet to observe anew");
            assert!(world.device.store.get(&Key::Observation(101, token)).is_none(), "{what}");
        }
    }
}

/// CORE-97; TRN-10.
#[test]
fn after_the_lifetime_the_update_is_refused_and_a_register_follows() {
    let mut world = World::registered(|setup| {
        setup.secured(Security::Resumes);
        setup.account().lifetime = 300;
    });
    world.observe(VALUE, "");
    world.restart_after(secs(400), Cut::Before, Memory::Kept);
    world.until_registered(secs(60));
    let last: Vec<(&str, Code)> =
        world.server.requests.iter().map(|seen| (seen.operation, seen.code)).collect();
    let expected =
        [("Register", Code::CREATED), ("Update", Code::NOT_FOUND), ("Register", Code::CREATED)];
    assert_eq!(last, expected);
    assert_eq!(world.device.status().observations, 0);
    let kept = world.device.store.records();
    assert!(matches!(kept[..], [Record::Registration(_)]), "{kept:?}");
}

/// Updates are not written down, so nobody knows that the lifetime is not over.
/// CORE-97, CORE-160.
#[test]
fn a_registration_older_than_its_lifetime_is_updated_all_the_same() {
    let mut world = World::registered(|setup| {
        setup.secured(Security::Resumes);
        setup.account().lifetime = 300;
    });
    world.observe(VALUE, "");
    world.run_for(secs(86_400));
    let updates = world.server.accepted("Update");
    restart(&mut world, Memory::Kept);
    assert_eq!(world.server.accepted("Register"), 1);
    assert_eq!(world.server.accepted("Update"), updates + 1);
}

/// RFC 7641 4.5: nobody knows what was told last, or whether anybody listens.
/// CORE-160.
#[test]
fn the_first_notification_after_a_restart_tells_what_holds_and_asks_for_an_ack() {
    for storing in [true, false] {
        let mut world = World::registered(|setup| {
            setup.secured(Security::Resumes);
            setup.account().notification_storing = storing;
        });
        world.observe(VALUE, "gt=1000");
        world.kill(Cut::Before, Memory::Kept);
        world.device.objects.set(VALUE, Value::Float(500.0));
        world.run_for(OFF);
        world.start();
        world.until_registered(secs(60));
        world.run_for(secs(5));
        let told = world.take_notices();
        assert_eq!(texts(&told), ["500"], "storing: {storing}");
        assert!(told[0].confirmable, "storing: {storing}");
        change(&mut world, 600.0);
        assert_eq!(world.take_notices().len(), 0, "its attributes count again");
        change(&mut world, 1001.0);
        let told = world.take_notices();
        assert_eq!(texts(&told), ["1001"]);
        assert!(!told[0].confirmable);
    }
}

/// CORE-21, CORE-54; DESIGN 4.
#[test]
fn attributes_and_what_was_written_to_the_account_survive() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    assert_eq!(world.write("/1/0/1", "600"), Code::CHANGED);
    world.run_for(secs(5));
    assert_eq!(world.server.last("Update").query, ["lt=600"]);
    assert_eq!(world.write("/1/0/3", "50"), Code::CHANGED);
    assert_eq!(world.attach("/3303/0", "pmin=7"), Code::CHANGED);
    assert_eq!(world.attach(VALUE, "gt=42.5"), Code::CHANGED);
    restart(&mut world, Memory::Kept);
    assert!(world.server.last("Update").query.is_empty(), "the server knows the lifetime");
    let resumed =
        |event: &Event| matches!(event, Event::Resumed { server: 101, lifetime: 600, .. });
    assert_eq!(world.events(resumed).len(), 1, "the operator is told, once");
    assert_eq!(world.read("/1/0/1").text(), "600");
    assert_eq!(world.read("/1/0/3").text(), "50");
    let links = world.discover("/3303/0");
    assert!(links.contains("pmin=7") && links.contains("gt=42.5"), "{links}");
    // Unset is forgotten too.
    assert_eq!(world.attach(VALUE, "gt"), Code::CHANGED);
    restart(&mut world, Memory::Kept);
    assert!(!world.discover("/3303/0").contains("gt="));
}

/// The binding of a server at 1.0 holds queue mode (OBJ-44).
#[test]
fn a_binding_of_1_0_survives_with_its_queue_mode() {
    let mut world = World::registered(at(Version::V1_0, Security::Resumes));
    assert_eq!(world.write("/1/0/7", "UQ"), Code::CHANGED);
    world.run_for(secs(5));
    restart(&mut world, Memory::Kept);
    assert_eq!(world.read("/1/0/7").text(), "UQ");
    assert!(world.device.status().queue_mode);
}

/// DESIGN 7.2: what a server wrote wins until the file has another account.
#[test]
fn an_account_changed_in_the_file_wins_over_what_was_written() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    world.write("/1/0/1", "600");
    world.attach(VALUE, "pmin=7");
    let token = world.observe(VALUE, "");
    world.kill(Cut::Before, Memory::Kept);
    world.device.config.accounts[0].lifetime = 7200;
    world.start();
    world.until_registered(secs(60));
    assert_eq!(world.read("/1/0/1").text(), "7200");
    assert_eq!(world.server.last("Update").query, ["lt=7200"], "the registration goes on");
    assert!(world.discover(VALUE).contains("pmin=7"));
    assert!(world.device.store.get(&Key::Account(101)).is_none());
    assert!(world.device.store.get(&Key::Observation(101, token)).is_some());
}

/// A registration is one of this endpoint, at this server, in a version that may be used.
/// DESIGN 4.
#[test]
fn another_server_endpoint_or_version_begins_with_a_register() {
    type Edit = fn(&mut lwm2m_engine::EngineConfig);
    let edits: [(&str, Edit); 4] = [
        ("uri", |config| config.accounts[0].uri = "coaps://other.example".into()),
        ("queue mode", |config| config.accounts[0].queue_mode = true),
        ("endpoint", |config| config.endpoint = "urn:dev:ops:other".into()),
        ("version", |config| config.version = Version::V1_1),
    ];
    for (what, edit) in edits {
        let mut world = World::registered(|setup| setup.secured(Security::Resumes));
        let token = world.observe(VALUE, "");
        world.kill(Cut::Before, Memory::Kept);
        edit(&mut world.device.config);
        world.start();
        world
            .run_until("registered anew", secs(60), |world| world.server.accepted("Register") == 2);
        world.run_for(secs(2));
        assert_eq!(world.server.accepted("Update"), 0, "{what}");
        assert!(world.device.store.get(&Key::Observation(101, token)).is_none(), "{what}");
    }
}

/// CORE-21: what belongs to an account goes with it.
#[test]
fn nothing_is_kept_of_an_account_that_is_gone() {
    for running in [true, false] {
        let mut world = World::registered(|setup| {
            setup.config.accounts.push(Account::new(102, "coap://second.example"));
        });
        world.turn_to(102);
        world.until_registered(secs(60));
        assert_eq!(world.write("/1/1/1", "600"), Code::CHANGED);
        assert_eq!(world.attach(VALUE, "pmin=7"), Code::CHANGED);
        world.observe(VALUE, "");
        world.turn_to(101);
        let first = world.device.config.accounts[0].clone();
        if running {
            world.command(Command::Accounts(vec![first]));
            world.run_for(secs(10));
        } else {
            world.kill(Cut::Before, Memory::Kept);
            let session = Session { server: 102, secret: vec![1, 2, 3] };
            world.device.store.put(Record::Session(session));
            world.device.config.accounts = vec![first];
            world.start();
            world.until_registered(secs(60));
        }
        let kept = world.device.store.records();
        assert!(
            matches!(&kept[..], [Record::Registration(it)] if it.server == 101),
            "running {running}: {kept:?}"
        );
    }
}

/// CORE-160.
#[test]
fn an_observation_waits_for_an_object_that_comes_late() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    world.observe(VALUE, "pmax=20");
    world.device.absent = vec![3303];
    world.restart_after(OFF, Cut::Before, Memory::Kept);
    world.until_registered(secs(60));
    world.run_for(secs(120));
    assert_eq!(world.take_notices().len(), 0);
    assert_eq!(world.device.status().observations, 1);
    world.announce(3303);
    world.run_for(secs(5));
    assert_eq!(world.take_notices().len(), 1);
    assert!(world.device.watched.contains_key(&VALUE.parse().unwrap()));
}

/// Core 8.2: its end is told as if it had ended now.
/// CORE-160.
#[test]
fn an_observation_of_what_is_gone_by_then_ends_with_4_04() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    let token = world.observe("/3303/1/5700", "");
    world.kill(Cut::Before, Memory::Kept);
    world.device.objects.remove("/3303/1");
    world.start();
    world.until_registered(secs(60));
    world.run_for(secs(5));
    let told = world.take_notices();
    assert_eq!(told.iter().map(|notice| notice.code).collect::<Vec<_>>(), [Code::NOT_FOUND]);
    assert!(world.device.store.get(&Key::Observation(101, token)).is_none());
}

/// CORE-99.
#[test]
fn an_observation_that_cannot_be_taken_up_leads_to_a_register() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    let token = world.observe(VALUE, "");
    let key = Key::Observation(101, token);
    let Some(Record::Observation(known)) = world.device.store.get(&key).cloned() else {
        panic!("it was stored");
    };
    let token = vec![9; 9]; // longer than tokens are
    world.device.store.put(Record::Observation(record::Observation { token, ..known }));
    restart(&mut world, Memory::Kept);
    assert_eq!(world.server.accepted("Register"), 2);
    assert_eq!(world.server.accepted("Update"), 0);
    let kept = world.device.store.records();
    assert!(matches!(kept[..], [Record::Registration(_)]), "{kept:?}");
}

/// RFC 7641 4.4.
/// TRN-35.
#[test]
fn the_number_of_a_notification_never_goes_back() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    let token = world.observe(VALUE, "");
    let mut last = 1;
    for round in 0..12_u32 {
        // Commits slower than everything else, and cut at any time.
        world.device.store.pace = ms(700 * u64::from(round % 4));
        for value in 0..u32::from(round == 5) * 10_000 + 3 {
            world.change(VALUE, Value::Float(f64::from(round * 100_000 + value)));
            world.run_for(ms(50));
        }
        let cut = if round % 2 == 0 { Cut::Before } else { Cut::After };
        world.restart_after(ms(300), cut, Memory::Kept);
        world.until_registered(secs(60));
        for notice in world.take_notices() {
            let number = notice.number.unwrap();
            assert!(number > last, "{number} after {last}");
            assert_eq!(notice.token, token);
            last = number;
        }
    }
    assert!(last > 10_000, "all were told: {last}");
}

/// DESIGN 4: never per Update, per notification or per sample.
#[test]
fn an_ordinary_day_writes_next_to_nothing() {
    let mut world = World::registered(|setup| {
        setup.secured(Security::Resumes);
        setup.account().lifetime = 600;
    });
    world.observe(VALUE, "pmax=60");
    let before = world.device.store.commits.len();
    for hour in 0..24_u32 {
        world.run_for(secs(3600));
        change(&mut world, f64::from(hour));
    }
    assert!(world.take_notices().len() > 1400);
    assert!(world.server.accepted("Update") > 100);
    assert_eq!(world.device.store.commits.len(), before);
    // What is asked for again is on the medium already.
    let token = world.server.believed().unwrap().observations.keys().next().unwrap().clone();
    let again = world.ask(Ask::observe(VALUE, "pmax=60").token(&token));
    assert_eq!((again.code, world.write("/1/0/1", "600")), (Code::CONTENT, Code::CHANGED));
    assert_eq!(world.device.store.commits.len(), before);
}

/// DESIGN 4: a damaged store is set aside, and the device starts from its configuration.
#[test]
fn without_its_records_the_device_registers_as_configured() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    world.write("/1/0/1", "600");
    world.observe(VALUE, "");
    world.kill(Cut::Before, Memory::Kept);
    world.device.store.lose();
    world.start();
    world.until_registered(secs(60));
    assert_eq!(world.server.accepted("Register"), 2);
    assert_eq!(world.read("/1/0/1").text(), "86400");
}

// Killed anywhere.

/// Sends a request and lets time pass; a device that dies meanwhile starts again.
fn ask(world: &mut World, ask: Ask) -> Option<Code> {
    let ticket = world.send(ask);
    for _ in 0..40 {
        world.run_for(secs(5));
        if world.device.is_dead() {
            world.start();
        }
    }
    match world.server.outcome(ticket) {
        Some(Outcome::Response(response)) => Some(response.code),
        _ => None,
    }
}

/// Registers, is written to and observed, and reports; the device dies before it carries
/// out the output of this number. False if there are not so many.
fn survives(security: Security, pace: Duration, cut: Cut, number: u64) -> bool {
    let mut world = World::new(|setup| at(Version::V1_2, security)(setup));
    (world.cut, world.device.store.pace) = (cut, pace);
    world.device.dies_before = Some(world.device.outputs + number);
    world.run_for(secs(2));
    if world.device.is_dead() {
        world.start();
    }
    world.until_registered(secs(200));
    let what = format!("{security:?} {pace:?} {cut:?} {number}");
    let lifetime = ask(&mut world, Ask::write("/1/0/1", ContentFormat::TEXT, "6000"));
    let attached = ask(&mut world, Ask::attributes("/3303/0/5750", "pmin=7"));
    let observed = ask(&mut world, Ask::observe(VALUE, "").token(b"observed"));
    world.change(VALUE, Value::Float(50.0));
    ask(&mut world, Ask::read("/3/0/0"));
    let died = world.device.dies_before.is_none();
    world.device.dies_before = None;
    assert!(matches!(world.state(), ServerState::Registered), "{what}");
    if lifetime == Some(Code::CHANGED) {
        assert_eq!(world.read("/1/0/1").text(), "6000", "{what}");
        assert_eq!(world.server.believed().unwrap().lifetime, 6000, "{what}");
    }
    if attached == Some(Code::CHANGED) {
        assert!(world.discover("/3303/0").contains("pmin=7"), "{what}");
    }
    let believes = !world.server.believed().unwrap().observations.is_empty();
    assert!(believes || observed.is_none(), "{what}: the observation is lost");
    change(&mut world, 99.0);
    let told = world.take_notices();
    assert!(told.iter().all(|notice| !notice.is_stale), "{what}");
    if believes {
        assert_eq!(told.last().map(Notice::text), Some("99"), "{what}");
    }
    died
}

/// DESIGN 8.2.
#[test]
fn a_device_killed_before_any_output_keeps_what_it_has_promised() {
    for security in [Security::None, Security::Resumes, Security::FullHandshakes] {
        for (pace, cut) in [(ms(0), Cut::Before), (ms(30), Cut::Before), (ms(30), Cut::After)] {
            let deaths = (0..).take_while(|number| survives(security, pace, cut, *number));
            let deaths = deaths.count();
            assert!(deaths >= 20, "{deaths}");
        }
    }
}

/// Every change is one that a store can carry out alone.
/// DESIGN 4.
#[test]
fn no_two_changes_of_a_commit_are_of_the_same_record() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    for round in 0..20_u32 {
        world.write("/1/0/1", &(600 + round).to_string());
        world.attach(VALUE, &format!("pmin={}", round % 3));
        world.observe(VALUE, "");
        restart(&mut world, Memory::Kept);
    }
    for (_, changes) in &world.device.store.commits {
        let mut keys: Vec<Key> = changes
            .iter()
            .map(|change| match change {
                Change::Put(record) => record.key(),
                Change::Remove(key) => key.clone(),
                Change::RemoveAll => panic!("nobody has asked for that"),
            })
            .collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), changes.len());
    }
}
