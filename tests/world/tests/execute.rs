//! Execute: arguments, refusals, and once only (Core 6.4).

use lwm2m_engine::CallOperation;
use lwm2m_model::{Code, ContentFormat};
use lwm2m_world::{Ask, Lane, World, ms, secs};

fn runs(world: &World, what: &str) -> u32 {
    world.device.objects.runs.get(what).copied().unwrap_or(0)
}

/// CORE-141.
#[test]
fn arguments_reach_the_object() {
    let mut world = World::registered(|_| {});
    for arguments in ["", "5", "2='10.3'", "0='U',3", "7='a b'"] {
        assert_eq!(world.execute("/3303/0/5605", arguments), Code::CHANGED, "{arguments}");
        assert_eq!(runs(&world, &format!("execute /3303/0/5605 {arguments}")), 1);
    }
    let labelled = Ask::update("/3303/0/5605", ContentFormat::TEXT, "8");
    assert_eq!(world.code(labelled), Code::CHANGED);
}

/// Core 11, the rows of Execute.
/// CORE-02, 140, 141; OBJ-14.
#[test]
fn what_cannot_be_executed_gets_its_code() {
    let refused = [
        (Ask::execute("/0/0/0", ""), Code::UNAUTHORIZED),
        (Ask::execute("/3/0/0", ""), Code::METHOD_NOT_ALLOWED),
        (Ask::execute("/3303/0/5605/0", ""), Code::METHOD_NOT_ALLOWED),
        (Ask::execute("/3303/0/5750", ""), Code::METHOD_NOT_ALLOWED),
        (Ask::execute("/4/0/5", ""), Code::NOT_FOUND),
        (Ask::execute("/3303/3/5605", ""), Code::NOT_FOUND),
        (Ask::execute("/3303/0/9999", ""), Code::NOT_FOUND),
        (Ask::execute("/3303/0/5605", "0,0"), Code::BAD_REQUEST),
        (Ask::execute("/3303/0/5605", "10='x'"), Code::BAD_REQUEST),
        (Ask::execute("/3303/0/5605", "0=\"x\""), Code::BAD_REQUEST),
        (Ask::execute("/3303/0/5605", "9"), Code::BAD_REQUEST),
        (Ask::update("/3303/0/5605", ContentFormat::CBOR, [1]), Code::UNSUPPORTED_CONTENT_FORMAT),
    ];
    let mut world = World::registered(|_| {});
    for (ask, code) in refused {
        let shown = format!("{ask:?}");
        assert_eq!(world.code(ask), code, "{shown}");
    }
    assert!(world.device.objects.runs.is_empty(), "nothing was done");
}

/// TRN-40.
#[test]
fn a_doubled_request_runs_once() {
    let mut world = World::registered(|setup| setup.network.down.doubles = true);
    assert_eq!(world.execute("/3303/0/5605", "1"), Code::CHANGED);
    world.run_for(secs(5));
    assert_eq!(runs(&world, "execute /3303/0/5605 1"), 1);
    assert!(world.device.status().counters.duplicates >= 1);
}

/// TRN-40.
#[test]
fn a_request_repeated_because_the_answer_was_lost_runs_once() {
    let mut world = World::registered(|_| {});
    world.network.up.lose_next = 4;
    let before = world.now;
    assert_eq!(world.execute("/3303/0/5605", "2"), Code::CHANGED);
    assert_eq!(world.sent_since(before).len(), 5, "the same answer five times");
    assert_eq!(runs(&world, "execute /3303/0/5605 2"), 1);
}

#[test]
fn a_request_that_comes_again_out_of_order_runs_once() {
    let mut world = World::registered(|setup| {
        setup.network.down =
            Lane { most_delay: ms(4000), duplication: 1.0, reordering: 0.5, ..Lane::good() };
    });
    let tickets: Vec<_> = (0..9)
        .map(|number| world.send(Ask::execute("/3303/0/5605", &format!("0='{number}'"))))
        .collect();
    for ticket in tickets {
        assert_eq!(world.response(ticket).code, Code::CHANGED);
    }
    world.run_for(secs(30));
    for number in 0..9 {
        assert_eq!(runs(&world, &format!("execute /3303/0/5605 0='{number}'")), 1);
    }
}

/// CORE-03.
#[test]
fn a_non_confirmable_execute_is_accepted_and_runs_once() {
    let mut world = World::registered(|setup| setup.network.down.doubles = true);
    let response = world.ask(Ask::execute("/3303/0/5605", "3").unconfirmed());
    assert_eq!(response.code, Code::CHANGED);
    world.run_for(secs(5));
    assert_eq!(runs(&world, "execute /3303/0/5605 3"), 1);
}

/// OBJ-64.
#[test]
fn what_ends_the_connection_happens_after_the_answer() {
    let mut world = World::registered(|_| {});
    let answer = world.ask(Ask::execute("/3/0/4", ""));
    assert_eq!(answer.code, Code::CHANGED);
    assert!(world.device.objects.proceeded.is_empty());
    world.run_for(secs(3));
    assert_eq!(world.device.objects.proceeded.len(), 1);
    let proceeds = world.device.calls_of("/3/0/4", |call| *call == CallOperation::Proceed);
    assert!(proceeds[0] > answer.at);
}

#[test]
fn a_request_repeated_over_another_link_from_the_same_address_runs_once() {
    let mut world = World::registered(|_| {});
    world.run_for(secs(20));
    world.network.up.lose_next = 1;
    let ticket = world.send(Ask::execute("/3303/0/5605", "4"));
    world.run_for(ms(100));
    world.lose_link("the interface went down for a moment");
    assert_eq!(world.response(ticket).code, Code::CHANGED);
    assert_eq!(runs(&world, "execute /3303/0/5605 4"), 1);
}

#[test]
fn what_was_under_way_when_the_link_ended_does_not_start_again() {
    let mut world = World::registered(|_| {});
    world.device.objects.set_pace(33100, lwm2m_world::Pace::After(secs(5)));
    world.run_for(secs(20));
    let ticket = world.send(Ask::execute("/33100/0/2", "5"));
    world.run_for(ms(100));
    world.lose_link("the interface went down for a moment");
    world.outcome(ticket);
    assert_eq!(runs(&world, "execute /33100/0/2 5"), 1);
}
