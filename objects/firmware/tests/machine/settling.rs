//! An installation whose end is not known: the other system may be booted (Objects 7.3).

use lwm2m_firmware::{
    Action, Delivery, Event, Failure, Found, Installed, Machine, MachineConfig, PackageInfo,
    Reason, Record, Running, State, Step,
};

use crate::restart::{record, start};
use crate::support::{CALL, SERVER, at, config, failure, info, installing, part, ticket, uri};

/// One whose installer has left in the middle, and the ticket of the question what is
/// booted next.
fn unsettled() -> (Machine, u32) {
    let (mut machine, install) = installing(config(Delivery::Both));
    let actions = machine.handle(&at(5), Event::Installed(install, Err(failure(Reason::Unknown))));
    let [Action::Persist(record), Action::Changed { .. }, Action::AskNextBoot(ticket)] =
        &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!((numbers(&machine), &record.unsettled), ((2, 8), &Some(info())));
    (machine, *ticket)
}

fn numbers(machine: &Machine) -> (i64, i64) {
    (machine.record().state.number(), machine.record().result.number())
}

fn boot(record: &Record, running: Running) -> (Machine, Vec<Action>) {
    let config = MachineConfig { boot: Some("boot-2".into()), ..config(Delivery::Both) };
    let found = Found { package: record.state != State::Idle, running };
    Machine::start(config, Some(record.clone()), &found, &at(0))
}

/// OBJ-91: the marker goes when it is known that the old system is booted next.
#[test]
fn it_is_settled_once_the_installer_says_that_nothing_has_changed() {
    let (mut machine, mut question) = unsettled();
    for (now, pause) in [(5, 10), (15, 20), (35, 40)] {
        let away = Event::NextBoot(question, Err("RAUC is away".into()));
        assert!(machine.handle(&at(now), away).is_empty());
        assert_eq!(machine.next_timeout(), Some(at(now + pause).boot));
        assert!(machine.record().keeps_marker());
        question = ticket(&machine.handle(&at(now + pause), Event::Time));
    }
    // Of a question before.
    let old = Event::NextBoot(question - 1, Ok(Some("rootfs.0".into())));
    assert!(machine.handle(&at(80), old).is_empty());
    let actions = machine.handle(&at(80), Event::NextBoot(question, Ok(Some("rootfs.0".into()))));
    assert!(matches!(actions[..], [Action::Persist(_)]), "{actions:?}");
    assert!(!machine.record().keeps_marker());
    assert_eq!((numbers(&machine), machine.next_timeout()), ((2, 8), None));
}

/// OBJ-91: nobody is asked any more, since the next boot tells.
#[test]
fn another_slot_that_is_booted_next_keeps_the_marker() {
    for next in [Some("rootfs.1".to_owned()), None] {
        let (mut machine, question) = unsettled();
        assert!(machine.handle(&at(6), Event::NextBoot(question, Ok(next))).is_empty());
        assert!(machine.record().keeps_marker());
        assert_eq!(machine.next_timeout(), None);
    }
}

/// OBJ-92: also if servers have begun something else meanwhile; and State and Result are
/// those of the system that runs.
#[test]
fn the_other_system_is_on_trial_if_it_is_booted_all_the_same() {
    type Meanwhile = (&'static str, fn(&mut Machine), bool);
    let meanwhile: [Meanwhile; 5] = [
        ("nothing", |_| {}, false),
        ("cancelled", |machine| drop(machine.handle(&at(6), Event::Cancel { call: CALL })), true),
        (
            "fetching",
            |machine| {
                machine.handle(&at(6), Event::Cancel { call: CALL });
                machine.handle(&at(6), uri("coap://h/x"));
            },
            true,
        ),
        (
            "another package",
            |machine| {
                machine.handle(&at(6), Event::Cancel { call: CALL });
                machine.handle(&at(6), part(SERVER, 0, &[7], true));
                let check = ticket(&machine.handle(&at(6), Event::Stored(Ok(0))));
                let other = PackageInfo { version: "3.0".into(), ..info() };
                machine.handle(&at(6), Event::Inspected(check, Ok(other)));
                assert_eq!(machine.record().state, State::Downloaded);
            },
            true,
        ),
        ("updating", |machine| drop(machine.handle(&at(6), Event::Update { call: CALL })), false),
    ];
    for (case, meanwhile, is_discarded) in meanwhile {
        let (mut machine, _) = unsettled();
        meanwhile(&mut machine);
        assert!(machine.record().keeps_marker(), "{case}");
        let (mut new, actions) = boot(machine.record(), Running::New);
        let record = new.record();
        assert_eq!((numbers(&new), record.step), ((3, 0), Step::OnTrial), "{case}");
        assert_eq!((&record.package, &record.fetch), (&Some(info()), &None), "{case}");
        assert_eq!(actions.contains(&Action::Discard), is_discarded, "{case}: {actions:?}");
        assert_eq!(new.next_timeout(), Some(at(900).boot), "{case}");
        let on_trial = record.clone();
        // It proves itself.
        let check = ticket(&new.handle(&at(1), Event::Registered));
        let mark = ticket(&new.handle(&at(2), Event::Checked(check, Ok(()))));
        new.handle(&at(3), Event::Marked(mark, Ok(())));
        assert_eq!((numbers(&new), new.record().keeps_marker()), ((0, 1), false), "{case}");
        // Or it does not.
        let (mut new, _) = boot(&on_trial, Running::New);
        let actions = new.handle(&at(900), Event::Time);
        assert!(matches!(actions[..], [Action::Persist(_), Action::Reject(_)]), "{case}");
        let (old, _) = boot(new.record(), Running::Old);
        assert_eq!((numbers(&old), old.record().keeps_marker()), ((2, 8), false), "{case}");
    }
}

/// OBJ-91
#[test]
fn a_boot_of_the_old_system_settles_it_and_a_start_of_the_agent_does_not() {
    let (machine, _) = unsettled();
    let (old, actions) = boot(machine.record(), Running::Old);
    assert_eq!((numbers(&old), old.record().keeps_marker()), ((2, 8), false));
    assert!(!actions.iter().any(|it| matches!(it, Action::AskNextBoot(_))), "{actions:?}");
    let (again, actions) = boot(machine.record(), Running::Same);
    assert_eq!((numbers(&again), again.record().keeps_marker()), ((2, 8), true));
    assert!(actions.iter().any(|it| matches!(it, Action::AskNextBoot(_))), "{actions:?}");
}

/// OBJ-91: an installation that fails for certain says nothing of the one before.
#[test]
fn it_stays_unsettled_through_another_update_that_fails() {
    let (mut machine, first) = unsettled();
    machine.handle(&at(6), Event::Update { call: CALL });
    // The question of before is void: the answer may be of the moment before the end.
    machine.handle(&at(6), Event::NextBoot(first, Ok(Some("rootfs.0".into()))));
    assert!(machine.record().unsettled.is_some());
    machine.handle(&at(6), Event::Proceed);
    let look_up = ticket(&machine.handle(&at(7), Event::Time));
    let away = Event::Running(look_up, Err(Failure::new(Reason::Unavailable, "RAUC is away")));
    let actions = machine.handle(&at(7), away);
    assert!(matches!(actions.last(), Some(Action::AskNextBoot(_))), "{actions:?}");
    assert!(machine.record().keeps_marker());
    // One that ends well is on trial itself.
    let (mut machine, install) = installing(config(Delivery::Both));
    let end = Installed::NeedsReboot(Some("rootfs.1".into()));
    machine.handle(&at(5), Event::Installed(install, Ok(end)));
    assert!(machine.record().unsettled.is_none());
}

/// OBJ-91: the agent was killed once too often while the installer worked.
#[test]
fn an_installation_that_was_cut_off_too_often_is_unsettled() {
    for has_package in [true, false] {
        let cut_off = Record {
            attempts: lwm2m_firmware::MAX_ATTEMPTS,
            slot: Some("rootfs.0".into()),
            ..record(State::Updating, Default::default(), Step::Installing)
        };
        let (machine, _) = start(cut_off.clone(), has_package, Running::Same);
        assert_eq!(machine.record().unsettled, Some(info()), "{has_package}");
        assert_eq!(machine.record().slot.as_deref(), Some("rootfs.0"), "{has_package}");
        // Where nothing has slots there is no other system.
        let (machine, _) = start(Record { slot: None, ..cut_off }, has_package, Running::Same);
        assert_eq!(machine.record().unsettled, None, "{has_package}");
    }
}
