//! The table of Objects 7.3: what is found after a restart, and what becomes of it.

use lwm2m_firmware::{
    Action, Delivery, Event, Found, MAX_ATTEMPTS, MAX_RESTARTS, Machine, MachineConfig, Reason,
    Record, Running, State, Step, UpdateResult,
};

use crate::support::{at, config, failure, info, ticket};

pub(crate) fn record(state: State, result: UpdateResult, step: Step) -> Record {
    let package = matches!(state, State::Downloaded | State::Updating).then(info);
    Record { state, result, step, package, attempts: 1, ..Record::default() }
}

pub(crate) fn start(record: Record, package: bool, running: Running) -> (Machine, Vec<Action>) {
    let found = Found { package, running };
    // Somebody can still agree to what was put off.
    let is_deferred = record.result == UpdateResult::Deferred;
    let deferral = is_deferred.then_some(std::time::Duration::from_secs(3600));
    let config = MachineConfig { deferral, ..config(Delivery::Push) };
    Machine::start(config, Some(record), &found, &at(0))
}

type Row = (State, UpdateResult, Step, bool, Running, (i64, i64), Option<Action>);

/// OBJ-91
#[test]
fn each_row_of_the_table_is_as_printed() {
    use Running::{New, Old, Other, Same};
    use Step::{Confirming, Installed, Installing, OnTrial, RollingBack, Wanted};
    let discard = || Some(Action::Discard);
    #[rustfmt::skip] // a table: one row a find
    let rows: Vec<Row> = vec![
        (State::Idle, UpdateResult::Success, Wanted, false, Same, (0, 1), None),
        (State::Idle, UpdateResult::Integrity, Wanted, true, Same, (0, 5), discard()),
        (State::Downloading, UpdateResult::Initial, Wanted, true, Same, (0, 4), discard()),
        (State::Downloaded, UpdateResult::Initial, Wanted, true, Same, (2, 0), Some(Action::Inspect(1))),
        (State::Downloaded, UpdateResult::Failed, Wanted, true, Same, (2, 8), Some(Action::Inspect(1))),
        (State::Downloaded, UpdateResult::Deferred, Wanted, true, Same, (2, 11), Some(Action::Inspect(1))),
        (State::Downloaded, UpdateResult::Initial, Wanted, false, Same, (0, 5), discard()),
        (State::Updating, UpdateResult::Initial, Installed, true, Old, (2, 8), None),
        (State::Updating, UpdateResult::Initial, Installed, false, Old, (0, 8), discard()),
        (State::Updating, UpdateResult::Initial, OnTrial, true, Old, (2, 8), None),
        (State::Updating, UpdateResult::Initial, Installed, true, Same, (3, 0), Some(Action::Reboot)),
        (State::Updating, UpdateResult::Initial, Wanted, true, Same, (3, 0), None),
        (State::Updating, UpdateResult::Initial, Installing, true, Same, (3, 0), None),
        (State::Updating, UpdateResult::Initial, Installing, false, Same, (0, 8), discard()),
        (State::Updating, UpdateResult::Initial, Installed, true, New, (3, 0), None),
        // Cut off between the end of the installation and its record.
        (State::Updating, UpdateResult::Initial, Installing, true, New, (3, 0), None),
        (State::Updating, UpdateResult::Initial, OnTrial, true, New, (3, 0), None),
        (State::Updating, UpdateResult::Initial, Confirming, true, New, (3, 0), Some(Action::MarkGood(1))),
        (State::Updating, UpdateResult::Initial, Confirming, true, Old, (2, 8), None),
        (State::Updating, UpdateResult::Initial, RollingBack, true, New, (3, 0), Some(Action::Reject(1))),
        (State::Updating, UpdateResult::Initial, RollingBack, true, Old, (2, 8), None),
        (State::Updating, UpdateResult::Initial, RollingBack, false, Old, (0, 8), discard()),
        // Where no boot is known from another.
        (State::Updating, UpdateResult::Initial, OnTrial, true, Same, (2, 8), None),
        (State::Updating, UpdateResult::Initial, Installed, true, Other("rootfs.2".into()), (2, 8), None),
        (State::Updating, UpdateResult::Initial, OnTrial, true, Other("rootfs.2".into()), (2, 8), None),
    ];
    for (state, result, step, package, running, expected, action) in rows {
        let place = format!("{state:?} {result:?} {step:?} {package} {running:?}");
        let (machine, actions) = start(record(state, result, step), package, running);
        let got = (machine.record().state.number(), machine.record().result.number());
        assert_eq!(got, expected, "{place}");
        match action {
            Some(action) => assert!(actions.contains(&action), "{place}: {actions:?}"),
            None => assert!(!actions.contains(&Action::Discard), "{place}: {actions:?}"),
        }
    }
}

#[test]
fn a_package_that_is_surely_damaged_after_the_restart_is_dropped() {
    for (reason, expected) in [
        (Reason::Integrity, (0, 5)),
        // Perhaps: the clock may not be set yet. The installer will look at it again.
        (Reason::Refused, (2, 0)),
        (Reason::Unsupported, (2, 0)),
        (Reason::Unavailable, (2, 0)),
    ] {
        let idle = record(State::Downloaded, UpdateResult::Initial, Step::Wanted);
        let (mut machine, actions) = start(idle, true, Running::Same);
        machine.handle(&at(1), Event::Inspected(ticket(&actions), Err(failure(reason))));
        let got = (machine.record().state.number(), machine.record().result.number());
        assert_eq!(got, expected, "{reason:?}");
    }
}

#[test]
fn an_installation_that_takes_the_machine_down_is_not_tried_for_ever() {
    let mut cut_off = record(State::Updating, UpdateResult::Initial, Step::Installing);
    cut_off.attempts = MAX_ATTEMPTS;
    let (machine, _) = start(cut_off, true, Running::Same);
    let record = machine.record();
    assert_eq!((record.state, record.result), (State::Downloaded, UpdateResult::Failed));
}

/// Nothing tells one boot from another: the old system may run each time.
#[test]
fn a_machine_whose_boots_are_not_known_is_not_restarted_for_ever() {
    let unknown = MachineConfig { boot: None, ..config(Delivery::Push) };
    let found = Found { package: true, running: Running::Same };
    let mut installed = record(State::Updating, UpdateResult::Initial, Step::Installed);
    installed.restarts = 1;
    for restarts in 2..=MAX_RESTARTS {
        let (machine, actions) = Machine::start(unknown.clone(), Some(installed), &found, &at(0));
        installed = machine.record().clone();
        assert_eq!(installed.restarts, restarts);
        assert_eq!(actions, [Action::Persist(Box::new(installed.clone())), Action::Reboot]);
    }
    let (machine, actions) = Machine::start(unknown, Some(installed.clone()), &found, &at(0));
    let got = machine.record();
    assert_eq!((got.state, got.result), (State::Downloaded, UpdateResult::Failed));
    assert!(!actions.contains(&Action::Reboot));
    // In the same boot each of them is due.
    installed.boot = Some("boot-1".into());
    assert!(start(installed, true, Running::Same).1.contains(&Action::Reboot));
}

/// OBJ-89
#[test]
fn an_automatic_upgrade_goes_on_after_a_restart() {
    for (automatic, result, state) in [
        (true, UpdateResult::Initial, State::Updating),
        (false, UpdateResult::Initial, State::Downloaded),
        // Once is enough.
        (true, UpdateResult::Failed, State::Downloaded),
    ] {
        let record = Record { automatic, ..record(State::Downloaded, result, Step::Wanted) };
        let (mut machine, actions) = start(record, true, Running::Same);
        machine.handle(&at(1), Event::Inspected(ticket(&actions), Ok(info())));
        assert_eq!(machine.record().state, State::Downloaded);
        machine.handle(&at(2), Event::Time);
        assert_eq!(machine.record().state, state, "{automatic} {result:?}");
    }
}

/// A record that was set aside may be wanted again, and the package with it.
#[test]
fn without_a_record_a_package_stays() {
    let (_, actions) = Machine::start(
        config(Delivery::Push),
        None,
        &Found { package: true, running: Running::Same },
        &at(0),
    );
    assert!(actions.is_empty(), "{actions:?}");
}

#[test]
fn a_deferral_is_not_made_longer_by_a_restart() {
    let deferred = Record {
        deferred_at: Some(crate::support::WALL - 3000),
        ..record(State::Downloaded, UpdateResult::Deferred, Step::Wanted)
    };
    let config = MachineConfig {
        deferral: Some(std::time::Duration::from_secs(3600)),
        ..config(Delivery::Push)
    };
    let found = Found { package: true, running: Running::Same };
    let (mut machine, _) = Machine::start(config.clone(), Some(deferred.clone()), &found, &at(0));
    machine.handle(&at(599), Event::Time);
    assert_eq!(machine.record().state, State::Downloaded);
    machine.handle(&at(600), Event::Time);
    assert_eq!(machine.record().state, State::Updating);
    // One that was over while the device was off is looked at at once.
    let late = Record { deferred_at: Some(crate::support::WALL - 4000), ..deferred };
    let (machine, _) = Machine::start(config, Some(late), &found, &at(0));
    assert_eq!(machine.record().state, State::Updating);
}

/// OBJ-86: nobody would be asked for consent, so that nothing would ever come of it.
#[test]
fn an_update_that_was_put_off_begins_once_that_is_no_longer_configured() {
    for max_defer in [None, Some(7200)] {
        let deferred = Record {
            deferred_at: Some(crate::support::WALL),
            max_defer,
            ..record(State::Downloaded, UpdateResult::Deferred, Step::Wanted)
        };
        let found = Found { package: true, running: Running::Same };
        let config = config(Delivery::Push);
        let (machine, _) = Machine::start(config, Some(deferred), &found, &at(1));
        assert_eq!(machine.record().state, State::Updating, "{max_defer:?}");
    }
}

/// Automatic Upgrade at Download, and an installer that is not there yet after a power cut.
#[test]
fn an_automatic_update_begins_also_if_the_package_cannot_be_checked_again() {
    let downloaded = record(State::Downloaded, UpdateResult::Initial, Step::Wanted);
    for (reason, state) in [
        (Reason::Unavailable, State::Updating),
        (Reason::Refused, State::Updating),
        (Reason::Integrity, State::Idle),
    ] {
        let record = Record { automatic: true, ..downloaded.clone() };
        let (mut machine, actions) = start(record, true, Running::Same);
        machine.handle(&at(1), Event::Inspected(ticket(&actions), Err(failure(reason))));
        machine.handle(&at(2), Event::Time);
        assert_eq!(machine.record().state, state, "{reason:?}");
    }
}

#[test]
fn what_is_no_record_is_told_from_one_of_a_later_version() {
    let full = record(State::Updating, UpdateResult::Initial, Step::Installed);
    let bytes = full.encode();
    assert_eq!(Record::decode(&bytes), Ok(full));
    // After a roll back an older agent reads what a newer one has written.
    let newer = String::from_utf8(bytes.clone()).unwrap().replacen('{', "{\"of_later\":1,", 1);
    assert_eq!(Record::decode(newer.as_bytes()), Record::decode(&bytes));
    for cut in 0..bytes.len() {
        assert!(Record::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    let later = String::from_utf8(bytes).unwrap().replace("\"format\":1", "\"format\":2");
    let error = Record::decode(later.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "format 2, and this version knows 1 alone");
    assert!(Record::decode(&[b' '; Record::MAX_BYTES + 1]).is_err());
}
