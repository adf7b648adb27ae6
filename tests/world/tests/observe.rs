//! Observe, Notify, Cancel: the life of an observation (Core 8).

use lwm2m_engine::{Command, Event, Input, LocalRequest, Output};
use lwm2m_model::{AttributeUpdate, Code, ContentFormat, Operation, Path, Request, Value, Version};
use lwm2m_world::{Ask, OnNotice, Outage, Security, World, ms, secs};

fn observed(world: &World) -> usize {
    world.device.status().observations
}

/// CORE-158, 162; TRN-33.
#[test]
fn an_observation_lives_until_it_is_cancelled_by_option() {
    let mut world = World::registered(|_| {});
    let token = world.observe("/3303/0/5700", "");
    world.change("/3303/0/5700", Value::Float(21.0));
    world.run_for(secs(1));
    let notices = world.take_notices();
    assert_eq!((notices.len(), notices[0].text(), notices[0].number), (1, "21", Some(2)));
    assert!(!notices[0].confirmable);
    let answer = world.ask(Ask::cancel("/3303/0/5700", &token));
    assert_eq!((answer.code, answer.text(), answer.observe), (Code::CONTENT, "21", None));
    assert_eq!(observed(&world), 0);
    world.change("/3303/0/5700", Value::Float(22.0));
    world.run_for(secs(10));
    assert!(world.take_notices().is_empty());
}

#[test]
fn cancelling_what_is_not_observed_is_a_read() {
    let mut world = World::registered(|_| {});
    let answer = world.ask(Ask::cancel("/3/0/0", &[9, 9]));
    assert_eq!((answer.code, answer.text()), (Code::CONTENT, "Acme"));
}

/// CORE-162; TRN-33.
#[test]
fn a_reset_cancels_whether_the_notification_was_confirmable_or_not() {
    for query in ["", "con=1"] {
        let mut world = World::registered(|_| {});
        let token = world.observe("/3303/0/5700", query);
        world.server.forget_observation(&token);
        world.change("/3303/0/5700", Value::Float(21.0));
        world.run_for(secs(1));
        assert_eq!(observed(&world), 0, "{query}");
        assert_eq!(world.ended_observations(), ["/3303/0/5700: the server answered with a Reset"]);
        let before = world.now;
        world.change("/3303/0/5700", Value::Float(22.0));
        world.run_for(secs(200));
        assert!(world.sent_since(before).is_empty());
    }
}

#[test]
fn the_same_token_renews_and_another_token_adds() {
    let mut world = World::registered(|_| {});
    world.ask(Ask::observe("/3303/0/5700", "pmin=50").token(b"a"));
    world.ask(Ask::observe("/3303/0/5700", "").token(b"a"));
    assert_eq!(observed(&world), 1);
    world.ask(Ask::observe("/3303/0/5700", "").token(b"b"));
    assert_eq!(observed(&world), 2);
    world.change("/3303/0/5700", Value::Float(21.0));
    world.run_for(secs(1));
    let mut tokens: Vec<Vec<u8>> =
        world.take_notices().into_iter().map(|notice| notice.token).collect();
    tokens.sort();
    assert_eq!(tokens, [b"a".to_vec(), b"b".to_vec()], "the renewed one has no pmin");
}

#[test]
fn a_token_that_moves_to_another_path_takes_its_observation_along() {
    let mut world = World::registered(|_| {});
    world.ask(Ask::observe("/3303/0/5700", "").token(b"a"));
    world.ask(Ask::observe("/3303/1/5700", "").token(b"a"));
    assert_eq!(observed(&world), 1, "a token names one observation (RFC 7641 3.1)");
    world.change("/3303/0/5700", Value::Float(77.0));
    world.run_for(secs(1));
    assert!(world.take_notices().is_empty());
}

/// CORE-159.
#[test]
fn every_level_can_be_observed_and_is_notified_whole() {
    let mut world = World::registered(|_| {});
    for path in ["/3303", "/3303/0", "/3303/0/7000", "/3303/0/7000/1"] {
        let token = world.observe(path, "");
        let first = world.ask(Ask::read(path));
        let value = i64::try_from(observed(&world)).unwrap() + 100;
        world.change("/3303/0/7000/1", Value::Integer(value));
        world.run_for(secs(1));
        let notices = world.take_notices();
        let own = notices.iter().find(|notice| notice.token == token).expect("notified");
        assert_eq!(own.format, first.format, "{path}");
        assert!(own.payload.len() >= first.payload.len(), "all values, not only the new one");
    }
}

/// CORE-02, 47.
#[test]
fn what_cannot_be_observed_gets_its_code() {
    let mut world = World::registered(|_| {});
    let refused = [
        (Ask::observe("/0/0/1", ""), Code::UNAUTHORIZED),
        (Ask::observe("/3/0/4", ""), Code::METHOD_NOT_ALLOWED),
        (Ask::observe("/3303/0/7002", ""), Code::METHOD_NOT_ALLOWED),
        (Ask::observe("/3/0/0/0", ""), Code::METHOD_NOT_ALLOWED),
        (Ask::observe("/3303/9", ""), Code::NOT_FOUND),
        (Ask::observe("/3/0/2", ""), Code::NOT_FOUND),
        (Ask::observe("/3303/0/5700", "pmin"), Code::BAD_REQUEST),
        (Ask::observe("/3303/0/5700", "lt=5&gt=3"), Code::BAD_REQUEST),
        (Ask::observe("/3303/0", "gt=5"), Code::BAD_REQUEST),
        (Ask::observe("/3303/0/5701", "st=1"), Code::BAD_REQUEST),
        (Ask::observe("/3303/0/5700", "dim=1"), Code::BAD_REQUEST),
        (Ask::observe("/3303/0", "").accept(ContentFormat::TEXT), Code::NOT_ACCEPTABLE),
    ];
    for (ask, code) in refused {
        let shown = format!("{ask:?}");
        let response = world.ask(ask);
        assert_eq!((response.code, response.observe), (code, None), "{shown}");
    }
    assert_eq!(observed(&world), 0);
}

/// CORE-163.
#[test]
fn a_notification_nobody_acknowledges_leads_to_update_and_then_to_register() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/0/5700", "con=1");
    world.network.outage = Some(Outage::BlackHole);
    world.change("/3303/0/5700", Value::Float(21.0));
    world.run_for(secs(94));
    let updates = world.device.sent.iter().rev().take(2).count();
    assert_eq!(updates, 2);
    assert_eq!(world.server.accepted("Update"), 0, "it does not arrive either");
    world.run_for(secs(94));
    world.network.heal();
    world.until_registered(secs(300));
    assert_eq!(world.server.accepted("Register"), 2);
    assert_eq!(observed(&world), 0, "a Register ends observations");
}

#[test]
fn a_notification_that_was_lost_is_told_after_the_update() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/0/5700", "con=1");
    world.network.outage = Some(Outage::BlackHole);
    world.change("/3303/0/5700", Value::Float(21.0));
    world.run_for(secs(80));
    world.change("/3303/0/5700", Value::Float(22.0));
    world.network.heal();
    world.network.outage = None;
    world.run_for(secs(60));
    let notices = world.take_notices();
    assert_eq!(notices.last().map(|notice| notice.text()), Some("22"));
    assert_eq!(observed(&world), 1);
}

#[test]
fn an_observation_survives_an_update_and_a_resumed_link() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    world.observe("/3303/0/5700", "");
    world.command(Command::Update { server: None });
    world.run_for(secs(20));
    world.change_address();
    world.until_registered(secs(5));
    assert_eq!(observed(&world), 1);
    world.change("/3303/0/5700", Value::Float(23.0));
    world.run_for(secs(1));
    assert_eq!(world.take_notices().len(), 1);
}

#[test]
fn a_sample_that_comes_while_the_link_is_gone_is_not_lost() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    world.observe("/33100/0/1", "");
    world.run_for(secs(20));
    world.device.objects.set_pace(33100, lwm2m_world::Pace::After(secs(3)));
    world.change("/33100/0/1", Value::Integer(5));
    world.run_for(secs(1));
    world.lose_network();
    world.regain_network_after(secs(30));
    world.run_for(secs(10));
    let texts: Vec<String> =
        world.take_notices().iter().map(|notice| notice.text().to_owned()).collect();
    assert_eq!(texts, ["5"]);
}

#[test]
fn a_target_that_is_gone_ends_its_observations_with_4_04() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/1", "");
    world.observe("/3303/1/5700", "");
    world.observe("/3303", "");
    world.device.objects.remove("/3303/1");
    world.announce(3303);
    world.run_for(secs(5));
    let codes: Vec<(String, Code)> =
        world.take_notices().into_iter().map(|notice| (notice.path, notice.code)).collect();
    let gone = |path: &str| codes.contains(&(path.to_owned(), Code::NOT_FOUND));
    assert!(gone("/3303/1") && gone("/3303/1/5700"), "{codes:?}");
    assert!(codes.contains(&("/3303".into(), Code::CONTENT)), "the object has changed: {codes:?}");
    assert_eq!(observed(&world), 1);
}

#[test]
fn the_end_of_an_observation_is_told_until_it_is_heard() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/1/5700", "");
    world.network.up.lose_next = 2;
    world.device.objects.remove("/3303/1");
    world.announce(3303);
    world.run_for(secs(30));
    let notices = world.take_notices();
    assert_eq!((notices.len(), notices[0].code), (1, Code::NOT_FOUND));
    assert!(notices[0].confirmable);
    assert!(world.server.believed().unwrap().observations.is_empty());
}

#[test]
fn a_target_that_goes_while_the_server_is_away_is_told_later() {
    let mut world = World::registered(|setup| setup.secured(Security::Resumes));
    world.observe("/3303/1/5700", "");
    world.run_for(secs(20));
    world.lose_network();
    world.device.objects.remove("/3303/1");
    world.announce(3303);
    world.regain_network_after(secs(30));
    world.run_for(secs(5));
    assert_eq!(world.take_notices().pop().map(|notice| notice.code), Some(Code::NOT_FOUND));
    assert_eq!(observed(&world), 0);
}

#[test]
fn a_resource_that_is_gone_ends_its_observation_too() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/0/5701", "");
    world.device.objects.remove("/3303/0/5701");
    world.tell_device(Input::Changed(Path::resource(3303, 0, 5701)));
    world.run_for(secs(5));
    assert_eq!(world.take_notices()[0].code, Code::NOT_FOUND);
}

/// TRN-35.
#[test]
fn notifications_are_numbered_so_that_a_late_one_is_known() {
    let mut world = World::registered(|setup| {
        setup.network.up.reordering = 0.3;
        setup.network.up.most_delay = ms(900);
    });
    world.observe("/3303/0/5700", "");
    for step in 0..60 {
        world.change("/3303/0/5700", Value::Float(f64::from(step)));
        world.run_for(ms(400));
    }
    world.run_for(secs(10));
    let notices = world.take_notices();
    assert!(notices.iter().any(|notice| notice.is_stale), "the network did reorder");
    let newest = notices.iter().rfind(|notice| !notice.is_stale).unwrap();
    assert_eq!(newest.text(), "59");
}

#[test]
fn a_busy_value_does_not_queue_up_behind_a_slow_acknowledgement() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/0/5700", "con=1");
    world.server.manner.on_notice = OnNotice::Ignore;
    for step in 0..100 {
        world.change("/3303/0/5700", Value::Float(f64::from(step)));
        world.run_for(ms(100));
    }
    world.server.manner.on_notice = OnNotice::Take;
    world.run_for(secs(60));
    let notices = world.take_notices();
    assert!(notices.len() <= 2, "{}", notices.len());
    assert_eq!(notices.last().unwrap().text(), "99", "the newest value arrives");
}

#[test]
fn a_thousand_observations_due_together_are_one_sample_and_one_wake_up() {
    let mut world = World::registered(|_| {});
    for number in 0..1000_u32 {
        let token = number.to_be_bytes();
        let ask = Ask::observe("/3303/0/5700", "pmax=600").token(&token);
        world.send(ask);
        if number % 16 == 15 {
            world.run_for(ms(50));
        }
    }
    world.run_for(secs(2));
    assert_eq!(observed(&world), 1000);
    // All timers are set anew by one change that is told to all.
    world.change("/3303/0/5700", Value::Float(1.5));
    world.run_for(secs(5));
    assert_eq!(world.take_notices().len(), 1000);
    let calls = world.device.calls.len();
    let wakeups = world.device.wakeups;
    world.run_for(secs(600));
    assert_eq!(world.take_notices().len(), 1000);
    assert_eq!(world.device.calls.len(), calls + 1, "one read for all");
    assert_eq!(world.device.wakeups, wakeups + 1);
}

/// Many observations of `/3303/1/5700`, more than messages may wait.
fn crowd(query: &str) -> World {
    let mut world = World::registered(|_| {});
    for number in 0..100_u32 {
        world.send(Ask::observe("/3303/1/5700", query).token(&number.to_be_bytes()));
        world.run_for(ms(5));
    }
    world.run_for(secs(2));
    assert_eq!(observed(&world), 100);
    world
}

#[test]
fn more_confirmable_notifications_than_may_wait_all_arrive_in_the_end() {
    let mut world = crowd("con=1");
    world.change("/3303/1/5700", Value::Float(41.0));
    world.run_for(secs(300));
    let mut tokens: Vec<Vec<u8>> =
        world.take_notices().into_iter().map(|notice| notice.token).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 100);
    assert_eq!(world.server.accepted("Register"), 1);
    assert!(world.device.sent.len() < 1000, "{}", world.device.sent.len());
}

#[test]
fn more_ends_of_observations_than_may_wait_are_all_heard_of() {
    let mut world = crowd("");
    world.device.objects.remove("/3303/1");
    world.announce(3303);
    world.run_for(secs(300));
    let believed = world.server.believed().unwrap();
    assert!(believed.observations.is_empty(), "{} are left", believed.observations.len());
    assert_eq!(world.take_notices().len(), 100);
    assert_eq!(world.server.accepted("Register"), 1);
}

#[test]
fn an_end_that_nobody_heard_leads_to_register() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/1/5700", "");
    world.network.up.lose_next = 5;
    world.device.objects.remove("/3303/1");
    world.announce(3303);
    world.run_for(secs(200));
    assert!(world.server.believed().unwrap().observations.is_empty());
}

#[test]
fn the_device_says_so_when_it_takes_no_more_observations() {
    let mut world = World::registered(|_| {});
    for number in 0..lwm2m_engine::MAX_OBSERVATIONS {
        let token = u32::try_from(number).unwrap().to_be_bytes();
        let path = ["/3/0/0", "/3/0/1", "/3/0/7/0", "/3/0/9", "/3/0/11/0", "/3/0/16"][number % 6];
        world.send(Ask::observe(path, "").token(&token));
        if number % 16 == 15 {
            world.run_for(ms(50));
        }
    }
    world.run_for(secs(5));
    assert_eq!(observed(&world), lwm2m_engine::MAX_OBSERVATIONS);
    // A server that goes on and on gets answers, and nothing grows.
    for number in 0..1000_u32 {
        let answer = world.ask(
            Ask::observe("/3/0/0", "pmax=1").token(&[&[9], &number.to_be_bytes()[..]].concat()),
        );
        assert_eq!((answer.code, answer.observe), (Code::CONTENT, None));
    }
    assert_eq!(observed(&world), lwm2m_engine::MAX_OBSERVATIONS);
    // What is held can be begun anew, and makes room when it ends.
    let answer = world.ask(Ask::observe("/3/0/0", "").token(&0_u32.to_be_bytes()));
    assert_eq!((answer.code, answer.observe), (Code::CONTENT, Some(2)), "numbers go on");
    world.ask(Ask::cancel("/3/0/0", &0_u32.to_be_bytes()));
    let answer = world.ask(Ask::observe("/3/0/0", "").token(b"one more"));
    assert_eq!((answer.code, answer.observe), (Code::CONTENT, Some(1)));
    assert_eq!(observed(&world), lwm2m_engine::MAX_OBSERVATIONS);
}

/// RFC 7641 4.1: a token that wanders over all paths names one observation.
#[test]
fn a_token_that_wanders_holds_one_observation() {
    let mut world = World::registered(|_| {});
    let paths = ["/3", "/3/0", "/3/0/9", "/3303/0/5700", "/3303/0/7000/1", "/3303"];
    for number in 0..1000 {
        let query = ["", "pmin=1", "pmax=5&con=1"][number % 3];
        world.ask(Ask::observe(paths[number % paths.len()], query).token(b""));
        assert_eq!(observed(&world), 1);
        assert_eq!(world.device.watched.len(), 1, "objects are not asked for more either");
    }
}

#[test]
fn observations_of_several_instances_due_together_are_a_read_each_and_one_wake_up() {
    let mut world = World::registered(|_| {});
    let paths = ["/3303/0/5700", "/3303/0/5500", "/3303/0/7000", "/3303/0", "/3303/1/5700"];
    for number in 0..1000_u32 {
        let path = paths[number as usize % paths.len()];
        world.send(Ask::observe(path, "pmax=600").token(&number.to_be_bytes()));
        if number % 16 == 15 {
            world.run_for(ms(50));
        }
    }
    world.run_for(secs(2));
    // All timers are set anew by changes that are told to all.
    for path in ["/3303/0", "/3303/1"] {
        world.device.objects.set(&format!("{path}/5700"), Value::Float(2.0));
    }
    for (path, value) in
        [("/3303/0/5500", Value::Boolean(true)), ("/3303/0/7000/0", Value::Integer(3))]
    {
        world.device.objects.set(path, value);
    }
    world.tell_device(Input::Changed(Path::object(3303)));
    world.run_for(secs(5));
    assert_eq!(world.take_notices().len(), 1000);
    let (calls, wakeups) = (world.device.calls.len(), world.device.wakeups);
    world.run_for(secs(600));
    assert_eq!(world.take_notices().len(), 1000);
    assert_eq!(world.device.calls.len(), calls + 2, "one read an instance");
    assert_eq!(world.device.wakeups, wakeups + 1);
}

#[test]
fn the_operator_observes_without_a_server() {
    let mut world = World::new(|setup| setup.manner.is_silent = true);
    let observe = Request {
        operation: Operation::Observe(AttributeUpdate::default()),
        path: "/3303/0/5700".parse().unwrap(),
        accept: None,
        content: None,
    };
    world.ask_locally(1, LocalRequest::Plain(observe));
    world.change("/3303/0/5700", Value::Float(31.0));
    world.run_for(secs(1));
    assert!(matches!(&world.device.local[0], Output::LocalReply { id: 1, result: Ok(_) }));
    assert!(matches!(
        &world.device.local[1],
        Output::LocalNotify { id: 1, entries } if entries[0].value() == Some(&Value::Float(31.0))
    ));
    world.command(Command::CancelLocal { id: 1 });
    world.change("/3303/0/5700", Value::Float(32.0));
    assert_eq!(world.device.local.len(), 2);
}

#[test]
fn the_operator_hears_of_each_observation() {
    let mut world = World::registered(|setup| setup.manner.versions = vec![Version::V1_0]);
    let token = world.observe("/3/0", "");
    world.ask(Ask::cancel("/3/0", &token));
    let started = world.events(|event| matches!(event, Event::ObservationStarted { .. }));
    assert_eq!(started.len(), 1);
    assert_eq!(world.ended_observations(), ["/3/0: the server cancelled it"]);
}

#[test]
fn objects_are_told_what_to_sample_and_how_often() {
    let mut world = World::registered(|_| {});
    let path = Path::resource(3303, 0, 5700);
    let token = world.observe("/3303/0/5700", "pmin=30");
    assert_eq!(world.device.watched.get(&path), Some(&secs(30)));
    world.ask(Ask::cancel("/3303/0/5700", &token));
    assert_eq!(world.device.watched.get(&path), None);
}
