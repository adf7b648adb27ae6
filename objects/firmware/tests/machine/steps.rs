//! The order of what is done, and when.

use lwm2m_engine::CallReply;
use lwm2m_firmware::{
    ANSWER_LIMIT, Action, Delivery, Event, Failure, Found, Installed, Machine, MachineConfig,
    PROCEED_LIMIT, Reason, Running, Settings, State, Step, System, UpdateResult,
};

use crate::support::{
    CALL, SERVER, answer, at, config, downloaded, downloading, failure, idle, info, installing,
    part, settings, ticket, uri,
};

/// OBJ-87, OBJ-97: Last State Change Time, Update Result, State, as one change.
#[test]
fn observers_are_told_of_the_result_before_the_state() {
    let mut machine = downloading(config(Delivery::Push));
    let actions = machine.handle(&at(5), Event::Silent);
    let [Action::Persist(record), Action::Changed { resources, cause }, Action::Discard] =
        actions.as_slice()
    else {
        panic!("{actions:?}")
    };
    assert_eq!(*resources, [12, 5, 3]);
    assert_eq!(cause.as_deref(), Some("no part came after byte 1024"));
    assert_eq!(record.changed_at, Some(crate::support::WALL + 5));
}

#[test]
fn the_counter_grows_with_each_record() {
    let (machine, _) = installing(config(Delivery::Push));
    // Downloading, Downloaded, Updating, Installing.
    assert_eq!(machine.record().counter, 4);
}

#[test]
fn a_part_is_answered_once_it_is_stored() {
    let mut machine = idle(config(Delivery::Push));
    let actions = machine.handle(&at(1), part(SERVER, 0, &[7; 64], false));
    assert!(answer(&actions).is_none());
    assert!(matches!(actions.last(), Some(Action::Store { offset: 0, last: false, .. })));
    let actions = machine.handle(&at(1), Event::Stored(Ok(0)));
    assert_eq!(actions, [Action::Reply(CALL, Ok(CallReply::Done))]);
}

#[test]
fn a_check_that_takes_long_keeps_no_server_waiting() {
    let mut machine = downloading(config(Delivery::Push));
    machine.handle(&at(2), part(SERVER, 1024, &[7], true));
    let checking = machine.handle(&at(2), Event::Stored(Ok(0)));
    assert!(answer(&checking).is_none());
    assert_eq!(machine.next_timeout(), Some(at(2).boot + ANSWER_LIMIT));
    let actions = machine.handle(&at(7), Event::Time);
    assert_eq!(answer(&actions).as_deref(), Some("2.04"));
    assert_eq!(machine.record().state, State::Downloading);
    let actions = machine.handle(&at(60), Event::Inspected(ticket(&checking), Ok(info())));
    assert_eq!(answer(&actions), None);
    assert_eq!(machine.record().state, State::Downloaded);
    assert_eq!(machine.record().package, Some(info()));
}

#[test]
fn a_check_that_was_overtaken_counts_for_nothing() {
    let mut machine = downloading(config(Delivery::Push));
    machine.handle(&at(2), part(SERVER, 1024, &[7], true));
    let checking = machine.handle(&at(2), Event::Stored(Ok(0)));
    machine.handle(&at(3), Event::Cancel { call: CALL });
    machine.handle(&at(3), part(SERVER, 0, &[7; 64], false));
    machine.handle(&at(3), Event::Stored(Ok(0)));
    let old = machine.handle(&at(4), Event::Inspected(ticket(&checking), Ok(info())));
    assert!(old.is_empty());
    assert_eq!(machine.record().state, State::Downloading);
}

/// Objects 7.2: what ends the connection comes after the answer.
#[test]
fn the_installer_is_called_after_the_answer_and_the_notification() {
    let mut machine = downloaded(config(Delivery::Push));
    let actions = machine.handle(&at(3), Event::Update { call: CALL });
    let [Action::Persist(record), Action::Changed { resources, .. }, Action::Reply(_, reply)] =
        actions.as_slice()
    else {
        panic!("{actions:?}")
    };
    assert_eq!((record.state, record.step), (State::Updating, Step::Wanted));
    assert_eq!((resources.as_slice(), reply), (&[12, 3][..], &Ok(CallReply::AfterAnswer)));
    assert_eq!(machine.next_timeout(), Some(at(3).boot + PROCEED_LIMIT));
    assert!(machine.handle(&at(4), Event::Proceed).is_empty());
    assert_eq!(machine.next_timeout(), Some(at(5).boot));
    let actions = machine.handle(&at(5), Event::Time);
    let system = System { slot: Some("rootfs.0".into()) };
    let actions = machine.handle(&at(5), Event::Running(ticket(&actions), Ok(system)));
    let [Action::Persist(record), Action::Install(ticket)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((record.step, record.slot.as_deref()), (Step::Installing, Some("rootfs.0")));
    assert_eq!(record.boot.as_deref(), Some("boot-1"));
    let end = Event::Installed(*ticket, Ok(Installed::NeedsReboot(None)));
    let actions = machine.handle(&at(6), end);
    let [Action::Persist(record), Action::Reboot] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((record.state, record.step), (State::Updating, Step::Installed));
}

/// OBJ-89
#[test]
fn automatic_upgrade_needs_no_update_but_shows_the_state_before() {
    let mut machine = downloading(config(Delivery::Push));
    machine.handle(&at(1), settings(Settings { automatic: Some(true), ..Settings::default() }));
    machine.handle(&at(2), part(SERVER, 1024, &[7], true));
    let actions = machine.handle(&at(2), Event::Stored(Ok(0)));
    machine.handle(&at(2), Event::Inspected(ticket(&actions), Ok(info())));
    assert_eq!(machine.record().state, State::Downloaded);
    machine.handle(&at(3), Event::Time);
    assert_eq!(machine.record().state, State::Updating);
}

#[test]
fn a_failed_update_can_be_tried_again() {
    let (mut machine, ticket) = installing(config(Delivery::Push));
    let busy = Failure::new(Reason::Unavailable, "RAUC left the bus");
    machine.handle(&at(5), Event::Installed(ticket, Err(busy)));
    assert_eq!(machine.record().result, UpdateResult::Failed);
    let actions = machine.handle(&at(6), Event::Update { call: CALL });
    assert_eq!(answer(&actions).as_deref(), Some("2.04"));
    assert_eq!(machine.record().result, UpdateResult::Initial);
    // What is left of the first try changes nothing.
    assert!(machine.handle(&at(6), Event::Installed(ticket, Ok(Installed::Done))).is_empty());
}

/// OBJ-91: nothing is done that a restart would not find.
#[test]
fn a_step_that_cannot_be_recorded_fails_the_update() {
    let full = |step_left_out| Event::NotRecorded { cause: "disk full".into(), step_left_out };
    let mut waiting = downloaded(config(Delivery::Push));
    waiting.handle(&at(3), Event::Update { call: CALL });
    for mut machine in [waiting, installing(config(Delivery::Push)).0] {
        assert_eq!(machine.record().state, State::Updating);
        let actions = machine.handle(&at(6), full(true));
        let record = machine.record();
        assert_eq!((record.state, record.result), (State::Downloaded, UpdateResult::Failed));
        let told = Action::Changed { resources: vec![12, 5, 3], cause: Some("disk full".into()) };
        assert!(actions.contains(&told), "{actions:?}");
        // Not even that can be recorded; there is nothing more to fail.
        assert!(machine.handle(&at(6), full(true)).is_empty());
        assert_eq!(machine.next_timeout(), None);
    }
    // A Severity that cannot be recorded stops no installer.
    let (mut machine, _) = installing(config(Delivery::Push));
    assert!(machine.handle(&at(6), full(false)).is_empty());
    assert_eq!(machine.record().state, State::Updating);
}

/// OBJ-91: what is installed is booted by some restart, and then has to be on trial: the
/// record from before leads there.
#[test]
fn a_restart_into_what_is_installed_waits_for_no_record() {
    let (mut machine, ticket) = installing(config(Delivery::Push));
    let recorded = machine.record().clone();
    let reboot = Installed::NeedsReboot(Some("rootfs.1".into()));
    let actions = machine.handle(&at(5), Event::Installed(ticket, Ok(reboot)));
    assert!(actions.iter().all(|action| !action.follows_record()), "{actions:?}");
    let full = Event::NotRecorded { cause: "disk full".into(), step_left_out: false };
    assert!(machine.handle(&at(5), full).is_empty());
    assert_eq!(machine.record().state, State::Updating);
    let config = MachineConfig { boot: Some("boot-2".into()), ..config(Delivery::Push) };
    let found = Found { package: true, running: Running::New };
    let (machine, _) = Machine::start(config, Some(recorded), &found, &at(0));
    assert_eq!((machine.record().state, machine.record().step), (State::Updating, Step::OnTrial));
}

/// OBJ-91: a new system could not be told from the old one, or never be booted.
#[test]
fn without_a_known_slot_or_a_restart_nothing_is_installed() {
    let mut machine = downloaded(config(Delivery::Push));
    machine.handle(&at(3), Event::Update { call: CALL });
    machine.handle(&at(3), Event::Proceed);
    let actions = machine.handle(&at(4), Event::Time);
    let end = Event::Running(ticket(&actions), Err(failure(Reason::Unavailable)));
    let actions = machine.handle(&at(4), end);
    let record = machine.record();
    assert_eq!((record.state, record.result), (State::Downloaded, UpdateResult::Failed));
    assert!(!actions.iter().any(|action| matches!(action, Action::Install(_))));
}

/// The row of another server's first block in Objects 7.2, after the last one.
#[test]
fn no_other_server_takes_over_while_a_package_is_checked() {
    let mut machine = downloading(config(Delivery::Push));
    machine.handle(&at(2), part(SERVER, 1024, &[7], true));
    let checking = machine.handle(&at(2), Event::Stored(Ok(0)));
    for now in [3, 8] {
        let actions = machine.handle(&at(now), part(Some(102), 0, &[7; 64], false));
        assert!(actions.contains(&Action::Reply(
            CALL,
            Err(lwm2m_model::RequestError::new(
                lwm2m_model::Code::METHOD_NOT_ALLOWED,
                "the package of another server is under way",
            )),
        )));
        machine.handle(&at(7), Event::Time);
    }
    machine.handle(&at(9), Event::Inspected(ticket(&checking), Ok(info())));
    assert_eq!(machine.record().state, State::Downloaded);
}

/// Objects 7.2: Package URI reads as written last, and is empty after a reset.
#[test]
fn the_uri_is_kept_until_a_reset_and_settings_beyond_it() {
    let mut machine = idle(config(Delivery::Both));
    let severe = Settings { severity: Some(2), ..Settings::default() };
    machine.handle(&at(1), settings(severe));
    machine.handle(&at(1), uri("gopher://h/x"));
    assert_eq!(machine.record().uri, "gopher://h/x");
    machine.handle(&at(2), uri(""));
    assert_eq!((machine.record().uri.as_str(), machine.record().severity), ("", 2));
}
