//! Update: when, and with what (Core 5.6).

use lwm2m_engine::{Account, Command, Event, ServerState};
use lwm2m_model::{Code, ContentFormat};
use lwm2m_world::{Ask, Outage, World, ms, secs};

/// CORE-101, 106.
#[test]
fn the_registration_is_refreshed_93_s_before_it_ends_with_an_empty_update() {
    let mut world = World::registered(|setup| setup.account().lifetime = 3600);
    let confirmed = world.device.status().last_update.unwrap();
    world.run_for(secs(3600));
    let update = world.server.last("Update");
    assert_eq!(update.at, confirmed + secs(3600 - 93) + ms(20));
    assert_eq!((update.path.as_str(), update.query.len(), update.body.as_str()), ("/rd/1", 0, ""));
    assert_eq!(update.format, None);
}

/// CORE-106.
#[test]
fn a_short_lifetime_is_refreshed_at_half_of_it_for_ever() {
    let mut world = World::registered(|setup| setup.account().lifetime = 60);
    world.run_for(secs(86_400));
    assert_eq!(world.server.accepted("Register"), 1, "it never ended");
    let updates = world.server.accepted("Update");
    assert!((2870..=2880).contains(&updates), "{updates}");
}

/// CORE-106; OBJ-40.
#[test]
fn lifetime_0_needs_no_refresh() {
    let mut world = World::registered(|setup| setup.account().lifetime = 0);
    let before = world.now;
    world.run_for(secs(40 * 86_400));
    assert!(world.sent_since(before).is_empty());
    assert_eq!(world.device.wakeups, 0, "idle costs nothing");
}

/// CORE-100, 101, 103; OBJ-40.
#[test]
fn writing_the_lifetime_is_told_in_an_update_at_once() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.write("/1/0/1", "600"), Code::CHANGED);
    world.run_for(secs(1));
    let update = world.server.last("Update");
    assert_eq!((update.query.join("&").as_str(), update.body.as_str()), ("lt=600", ""));
    world.run_for(secs(600));
    assert!(world.server.last("Update").query.is_empty(), "told once");
    assert_eq!(world.server.accepted("Update"), 2);
}

/// CORE-100 to 102; a modem that is plugged in brings instances for some seconds.
#[test]
fn a_change_of_instances_is_told_with_the_whole_list_and_nothing_else() {
    let mut world = World::registered(|_| {});
    world.device.objects.add_instance(3303, 7);
    world.announce(3303);
    world.run_for(secs(4));
    world.device.objects.remove("/3303/0");
    world.announce(3303);
    world.run_for(secs(30));
    assert_eq!(world.server.accepted("Update"), 1, "changes that come together go together");
    let update = world.server.last("Update");
    assert!(update.query.is_empty());
    assert_eq!(update.format, Some(40));
    assert_eq!(
        update.body,
        "</>;ct=\"60 110 112 11542 11544\",</1/0>,</3/0>,</3303/1>,</3303/7>,</33100/0>"
    );
}

/// CORE-97; TRN-10.
#[test]
fn an_update_answered_4_04_leads_to_register_at_once_over_the_same_link() {
    let mut world = World::registered(|_| {});
    world.server_forgets();
    world.command(Command::Update { server: None });
    world.run_for(secs(1));
    let last: Vec<(&str, Code)> =
        world.server.requests.iter().map(|seen| (seen.operation, seen.code)).collect();
    assert_eq!(
        last,
        [("Register", Code::CREATED), ("Update", Code::NOT_FOUND), ("Register", Code::CREATED)]
    );
    assert_eq!(world.device.attempts.all.len(), 1);
}

/// TRN-10.
#[test]
fn any_other_refusal_of_an_update_leads_to_register_too() {
    for code in [Code::BAD_REQUEST, Code::FORBIDDEN, Code::INTERNAL_SERVER_ERROR] {
        let mut world = World::registered(|setup| setup.account().lifetime = 100);
        world.server.manner.refuses_update = Some(code);
        world.run_for(secs(55));
        assert_eq!(world.server.accepted("Register"), 2, "{code}");
    }
}

#[test]
fn an_update_without_an_answer_leads_to_a_new_link_and_register() {
    let mut world = World::registered(|setup| setup.account().lifetime = 200);
    world.run_for(secs(100));
    world.network.outage = Some(Outage::BlackHole);
    world.run_for(secs(95));
    world.network.heal();
    world.until_registered(secs(60));
    assert_eq!(world.server.accepted("Register"), 2);
    assert_eq!(world.device.attempts.all.len(), 2);
}

/// CORE-104; OBJ-44.
#[test]
fn the_update_trigger_is_answered_first_and_obeyed_then() {
    let mut world = World::registered(|_| {});
    let before = world.now;
    let answer = world.ask(Ask::execute("/1/0/8", ""));
    assert_eq!(answer.code, Code::CHANGED);
    world.run_for(secs(1));
    assert_eq!(world.server.accepted("Update"), 1);
    assert!(world.server.last("Update").at >= answer.at);
    assert_eq!(world.sent_since(before).len(), 2, "the answer and the Update");
}

/// CORE-105; OBJ-44.
#[test]
fn the_update_trigger_takes_a_binding_and_nothing_else() {
    let cases = [
        ("0='U'", Code::CHANGED, 1),
        ("0='T'", Code::CHANGED, 1),
        ("3", Code::BAD_REQUEST, 0),
        ("0='U',0='U'", Code::BAD_REQUEST, 0),
    ];
    for (arguments, code, updates) in cases {
        let mut world = World::registered(|_| {});
        assert_eq!(world.execute("/1/0/8", arguments), code, "{arguments}");
        world.run_for(secs(5));
        assert_eq!(world.server.accepted("Update"), updates, "{arguments}");
    }
}

#[test]
fn the_binding_of_the_trigger_may_come_as_a_query() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.code(Ask::execute("/1/0/8", "").query("0=U")), Code::CHANGED);
    world.run_for(secs(1));
    assert_eq!(world.server.accepted("Update"), 1);
}

#[test]
fn the_operator_can_ask_for_an_update_or_for_an_attempt() {
    let mut world = World::new(|setup| setup.network.open_failure = Some("no such host".into()));
    world.run_for(secs(400));
    world.network.heal();
    world.command(Command::Update { server: None });
    world.until_registered(secs(1));
    world.command(Command::Update { server: Some(101) });
    world.run_for(secs(1));
    assert_eq!(world.server.accepted("Update"), 1);
}

#[test]
fn a_change_during_an_update_is_told_in_the_next() {
    let mut world = World::registered(|setup| setup.account().lifetime = 86_400);
    world.server.manner.answers_after = Some(secs(10));
    world.command(Command::Update { server: None });
    world.run_for(secs(1));
    let lifetime = Ask::write("/1/0/1", ContentFormat::TEXT, "700");
    assert_eq!(world.code(lifetime), Code::CHANGED);
    world.run_for(secs(25));
    let queries: Vec<String> = world
        .server
        .requests
        .iter()
        .filter(|seen| seen.operation == "Update")
        .map(|seen| seen.query.join("&"))
        .collect();
    assert_eq!(queries, ["", "lt=700"]);
}

#[test]
fn a_step_of_the_wall_clock_moves_no_timer() {
    let mut world = World::registered(|setup| setup.account().lifetime = 1000);
    world.step_wall(10 * 365 * 86_400_000);
    world.run_for(secs(900));
    world.step_wall(-20 * 365 * 86_400_000);
    world.run_for(secs(50_000));
    assert_eq!(world.server.accepted("Register"), 1);
    assert_eq!(world.server.accepted("Update"), 56);
    assert_eq!(world.state(), ServerState::Registered);
    let failures = world.events(|event| matches!(event, Event::AttemptFailed { .. }));
    assert!(failures.is_empty());
}

#[test]
fn an_account_that_comes_back_while_it_leaves_registers_again() {
    let account = Account::new(101, "coap://server.example");
    let mut world = World::registered(|setup| setup.config.accounts = vec![account.clone()]);
    world.command(Command::Accounts(Vec::new()));
    assert_eq!(world.state(), ServerState::Deregistering);
    world.command(Command::Accounts(vec![account]));
    world.run_for(secs(10));
    assert_eq!(world.state(), ServerState::Registered);
    assert_eq!(world.server.accepted("Register"), 2);
    assert_eq!(world.read("/3/0/0").text(), "Acme");
}

/// What a configuration read again changes counts for observations, and whoever observes
/// the account is told.
#[test]
fn an_account_that_changes_and_keeps_its_registration_is_seen_by_observations() {
    let mut account = Account::new(101, "coap://server.example");
    account.default_pmax = Some(0);
    let mut world = World::registered(|setup| setup.config.accounts = vec![account.clone()]);
    world.observe("/3303/0/5701", "");
    world.observe("/1/0/3", "");
    world.run_for(secs(5));
    world.command(Command::Accounts(vec![Account { default_pmax: Some(60), ..account }]));
    world.run_for(secs(70));
    let told: Vec<String> =
        world.take_notices().iter().map(|notice| notice.text().to_owned()).collect();
    assert!(told.iter().any(|text| text == "60"), "{told:?}");
    assert!(told.iter().any(|text| text == "Cel"), "{told:?}");
    assert_eq!(world.server.accepted("Register"), 1);
}
