//! What is promised when it is on the medium: a store that fails, and one that takes its
//! time (Core 6.3.5, 8.1).

use lwm2m_engine::{Command, Deregister, Event, MAX_WAITING_TO_PERSIST};
use lwm2m_model::record::{Key, Record};
use lwm2m_model::{Code, ContentFormat, Value};
use lwm2m_world::{Ask, Notice, Outcome, Security, Ticket, World, ms, secs};

const VALUE: &str = "/3303/0/5700";

fn change(world: &mut World, value: f64) {
    world.change(VALUE, Value::Float(value));
    world.run_for(secs(1));
}

fn texts(notices: &[Notice]) -> Vec<&str> {
    notices.iter().map(Notice::text).collect()
}

// A store that fails.

/// DESIGN 3: a 2.04 that promises durability is not given for what would be lost.
#[test]
fn a_commit_that_fails_is_answered_5_00_and_changes_nothing() {
    let mut world = World::registered(|_| {});
    world.device.store.fails = true;
    let links = world.discover(VALUE);
    let lifetime = world.read("/1/0/1").text().to_owned();
    assert_eq!(world.write("/1/0/1", "600"), Code::INTERNAL_SERVER_ERROR);
    assert_eq!(world.attach(VALUE, "pmin=7"), Code::INTERNAL_SERVER_ERROR);
    assert_eq!(world.code(Ask::observe(VALUE, "")), Code::INTERNAL_SERVER_ERROR);
    assert_eq!(world.read("/1/0/1").text(), lifetime);
    assert_eq!(world.discover(VALUE), links);
    assert_eq!(world.device.status().observations, 0);
    assert_eq!(world.server.accepted("Update"), 0);
    assert_eq!(world.events(|event| matches!(event, Event::NotPersisted { .. })).len(), 3);
    // Nothing else needs the store.
    assert_eq!(world.write("/3303/0/5750", "roof"), Code::CHANGED);
    world.device.store.fails = false;
    assert_eq!(world.write("/1/0/1", "600"), Code::CHANGED);
    assert_eq!(world.attach(VALUE, "pmin=7"), Code::CHANGED);
    world.observe(VALUE, "");
}

/// DESIGN 4.
#[test]
fn what_could_not_be_stored_is_tried_again_with_back_off() {
    let mut world = World::new(|setup| setup.secured(Security::Resumes));
    world.device.store.fails = true;
    world.until_registered(secs(60));
    let attempts = |world: &World| world.device.store.commits.len();
    world.run_for(secs(3600));
    assert!((5..=9).contains(&attempts(&world)), "{}", attempts(&world));
    assert!(world.device.store.records().is_empty());
    world.device.store.fails = false;
    world.run_for(secs(3600));
    assert!(world.device.store.get(&Key::Registration(101)).is_some());
    let tried = attempts(&world);
    world.run_for(secs(86_400));
    assert_eq!(attempts(&world), tried);
}

/// A device that cannot store any more goes on reporting.
#[test]
fn notifications_go_on_when_their_numbers_cannot_be_reserved() {
    let mut world = World::registered(|_| {});
    world.observe(VALUE, "");
    world.device.store.fails = true;
    for value in 0..5000_u32 {
        world.change(VALUE, Value::Float(f64::from(value) + 0.5));
        world.run_for(ms(50));
    }
    world.run_for(secs(5));
    assert_eq!(world.take_notices().len(), 5000);
}

// A store that takes its time.

/// DESIGN 3.
#[test]
fn nothing_is_promised_before_it_is_on_the_medium() {
    let mut world = World::registered(|_| {});
    world.device.store.pace = ms(800);
    let asks = [
        Ask::write("/1/0/1", ContentFormat::TEXT, "600"),
        Ask::attributes(VALUE, "pmin=7"),
        Ask::observe(VALUE, ""),
    ];
    for ask in asks {
        let ticket = world.send(ask.clone());
        world.run_for(ms(700));
        assert!(world.server.outcome(ticket).is_none(), "{ask:?}");
        assert_eq!(world.device.status().observations, 0);
        assert!(matches!(world.outcome(ticket), Outcome::Response(_)));
    }
    // Others do not wait.
    let ticket = world.send(Ask::write("/1/0/1", ContentFormat::TEXT, "900"));
    assert_eq!(world.read("/1/0/1").text(), "600");
    world.response(ticket);
    assert_eq!(world.read("/1/0/1").text(), "900");
}

/// CORE-35: what changes between the values of the answer and the answer is told.
#[test]
fn a_change_while_an_observe_is_stored_is_told_after_it() {
    let mut world = World::registered(|_| {});
    world.device.store.pace = ms(800);
    let ticket = world.send(Ask::observe(VALUE, ""));
    world.run_for(ms(300));
    change(&mut world, 77.0);
    assert_ne!(world.response(ticket).text(), "77");
    world.run_for(secs(2));
    assert_eq!(texts(&world.take_notices()), ["77"]);
}

/// CORE-163: the answer to an Observe from before a Register begins no observation, and one
/// that was cancelled meanwhile does not either.
#[test]
fn an_observe_that_is_over_before_it_is_stored_is_a_read() {
    let mut world = World::registered(|_| {});
    world.device.store.pace = ms(900);
    let token = [7, 7];
    let observe = world.send(Ask::observe(VALUE, "").token(&token));
    world.run_for(ms(100));
    let cancel = world.send(Ask::cancel(VALUE, &token));
    assert_eq!(world.response(cancel).code, Code::CONTENT);
    let answer = world.response(observe);
    assert_eq!((answer.code, answer.observe), (Code::CONTENT, None));
    world.run_for(secs(5));
    assert_eq!(world.device.status().observations, 0);
    assert!(world.device.store.get(&Key::Observation(101, token.to_vec())).is_none());
}

/// DESIGN 3: one commit at a time, in the order of the requests.
#[test]
fn writes_that_come_together_are_stored_in_their_order() {
    let mut world = World::registered(|_| {});
    world.device.store.pace = ms(500);
    let tickets: Vec<Ticket> = ["500", "600", "700"]
        .map(|text| world.send(Ask::write("/1/0/1", ContentFormat::TEXT, text)))
        .into();
    for ticket in tickets {
        assert_eq!(world.response(ticket).code, Code::CHANGED);
    }
    let Some(Record::Account(kept)) = world.device.store.get(&Key::Account(101)) else {
        panic!("nothing is kept");
    };
    assert_eq!(kept.values.get(&1), Some(&Value::Integer(700)));
    // Observations do not depend on each other.
    let before = world.device.store.commits.len();
    let tickets: Vec<Ticket> =
        (0..8_u8).map(|token| world.send(Ask::observe(VALUE, "").token(&[token]))).collect();
    for ticket in tickets {
        assert_eq!(world.response(ticket).code, Code::CONTENT);
    }
    assert!(world.device.store.commits.len() - before <= 3);
}

#[test]
fn requests_that_wait_for_the_store_are_bounded() {
    let mut world = World::registered(|setup| setup.config.coap.max_exchanges = 1000);
    world.device.store.pace = secs(5);
    let most = MAX_WAITING_TO_PERSIST;
    let tickets: Vec<Ticket> = (0..most as u32 + 20)
        .map(|number| {
            // The first write is being stored, the others wait behind it.
            let lifetime = (600 + number).to_string();
            world.send(Ask::write("/1/0/1", ContentFormat::TEXT, lifetime))
        })
        .collect();
    world.run_for(secs(1));
    let refused = tickets.iter().filter(|ticket| {
        matches!(world.server.outcome(**ticket), Some(Outcome::Response(it))
            if it.code == Code::SERVICE_UNAVAILABLE)
    });
    assert_eq!(refused.count(), 19);
}

/// DESIGN 7.1.
#[test]
fn an_orderly_stop_waits_for_the_store() {
    let mut world = World::registered(|_| {});
    world.device.store.pace = ms(800);
    world.command(Command::Stop { deregister: Deregister::No });
    assert!(!world.device.stopped);
    world.run_for(secs(1));
    assert!(world.device.stopped);
    assert!(world.device.store.get(&Key::Registration(101)).is_some());

    let mut world = World::registered(|_| {});
    world.observe(VALUE, "");
    world.command(Command::Stop { deregister: Deregister::Yes });
    world.run_for(secs(3));
    assert!(world.device.stopped);
    assert!(world.device.store.records().is_empty(), "the server has forgotten the device too");
}

/// CORE-160: the last place goes to one of two that wait for the store; the other is told
/// that nothing is observed, and nothing is held that is not on the medium.
#[test]
fn the_last_observation_is_given_to_one_that_is_stored() {
    let mut world = World::registered(|_| {});
    for number in 0..u32::try_from(lwm2m_engine::MAX_OBSERVATIONS - 1).unwrap() {
        world.send(Ask::observe("/3/0/0", "").token(&number.to_be_bytes()));
        if number % 16 == 15 {
            world.run_for(ms(50));
        }
    }
    world.run_for(secs(5));
    world.device.store.pace = ms(500);
    // This commit is under way while the two come.
    world.send(Ask::write("/1/0/1", ContentFormat::TEXT, "600"));
    let tickets = [b"one", b"two"].map(|token| world.send(Ask::observe(VALUE, "").token(token)));
    let begun: Vec<bool> = tickets.map(|ticket| world.response(ticket).observe.is_some()).into();
    assert_eq!(begun, [true, false]);
    assert_eq!(world.device.status().observations, lwm2m_engine::MAX_OBSERVATIONS);
    let kept = |token: &[u8]| world.device.store.get(&Key::Observation(101, token.to_vec()));
    assert!(kept(b"one").is_some());
    assert!(kept(b"two").is_none());
}
