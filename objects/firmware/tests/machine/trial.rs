//! A new system proves itself, or is left (Objects 7.1, last rule).

use lwm2m_firmware::{
    Action, Delivery, Event, Found, Installed, MAX_RESTARTS, Machine, MachineConfig, Record,
    Running, State, Step, UpdateResult,
};

use crate::restart::{record, start};
use crate::support::{at, config, installing, ticket};

/// The new system, just booted into.
fn on_trial() -> Machine {
    let (machine, _) = start(updating(Step::Installed), true, Running::New);
    assert_eq!(machine.record().step, Step::OnTrial);
    machine
}

/// One whose checks run, and their ticket.
fn checking() -> (Machine, u32) {
    let mut machine = on_trial();
    let actions = machine.handle(&at(1), Event::Registered);
    assert!(matches!(actions[..], [Action::Check(_)]), "{actions:?}");
    (machine, ticket(&actions))
}

/// One whose slot is being marked, and the ticket of that.
fn marking() -> (Machine, u32) {
    let (mut machine, checks) = checking();
    let actions = machine.handle(&at(2), Event::Checked(checks, Ok(())));
    let [Action::Persist(record), Action::MarkGood(ticket)] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(record.step, Step::Confirming);
    (machine, *ticket)
}

fn updating(step: Step) -> Record {
    record(State::Updating, UpdateResult::Initial, step)
}

fn numbers(machine: &Machine) -> (i64, i64) {
    (machine.record().state.number(), machine.record().result.number())
}

/// The reason that observers of the log are given.
fn cause(actions: &[Action]) -> &str {
    let cause = actions.iter().find_map(|action| match action {
        Action::Changed { cause, .. } => cause.as_deref(),
        _ => None,
    });
    cause.unwrap_or_default()
}

/// Boots the new system once more with what `machine` has recorded.
fn boot_again(machine: &Machine, boot: &str, running: Running) -> (Machine, Vec<Action>) {
    let config = MachineConfig { boot: Some(boot.into()), ..config(Delivery::Push) };
    let found = Found { package: true, running };
    Machine::start(config, Some(machine.record().clone()), &found, &at(0))
}

/// OBJ-92, OBJ-90
#[test]
fn an_update_has_succeeded_once_the_mark_was_read_back() {
    let (mut machine, mark) = marking();
    assert_eq!(numbers(&machine), (3, 0));
    let actions = machine.handle(&at(3), Event::Marked(mark, Ok(())));
    assert_eq!(numbers(&machine), (0, 1));
    assert!(actions.contains(&Action::Discard));
    for event in [Event::Registered, Event::Marked(mark, Ok(())), Event::Time] {
        assert!(machine.handle(&at(2000), event).is_empty());
    }
}

/// OBJ-92
#[test]
fn an_answer_to_the_old_system_proves_nothing() {
    let (mut machine, install) = installing(config(Delivery::Push));
    assert!(machine.handle(&at(5), Event::Registered).is_empty());
    let reboot = Installed::NeedsReboot(Some("rootfs.1".into()));
    machine.handle(&at(6), Event::Installed(install, Ok(reboot)));
    assert!(machine.handle(&at(7), Event::Registered).is_empty());
    assert_eq!(machine.record().target.as_deref(), Some("rootfs.1"));
    let (machine, actions) = boot_again(&machine, "boot-2", Running::New);
    assert_eq!(machine.record().step, Step::OnTrial);
    assert!(!actions.iter().any(|action| matches!(action, Action::Check(_))), "{actions:?}");
}

/// OBJ-92
#[test]
fn checks_that_fail_run_again_until_they_pass() {
    let (mut machine, mut checks) = checking();
    for round in 0..5 {
        let begin = 10 + round * 40;
        let failed = Event::Checked(checks, Err("check net: exit code 1".into()));
        assert!(machine.handle(&at(begin), failed).is_empty());
        // Another Update changes nothing.
        assert!(machine.handle(&at(begin), Event::Registered).is_empty());
        assert_eq!(machine.next_timeout(), Some(at(begin + 30).boot));
        assert!(machine.handle(&at(begin + 29), Event::Time).is_empty());
        checks = ticket(&machine.handle(&at(begin + 30), Event::Time));
    }
    let actions = machine.handle(&at(300), Event::Checked(checks, Ok(())));
    assert!(matches!(actions[..], [Action::Persist(_), Action::MarkGood(_)]), "{actions:?}");
}

/// OBJ-92
#[test]
fn a_mark_that_fails_is_tried_again_with_longer_pauses_and_no_end() {
    let (mut machine, mut mark) = marking();
    let mut now = 3;
    for pause in [5, 10, 20, 40, 80, 160, 300, 300, 300] {
        assert!(
            machine.handle(&at(now), Event::Marked(mark, Err("RAUC is away".into()))).is_empty()
        );
        now += pause;
        assert_eq!(machine.next_timeout(), Some(at(now).boot));
        let actions = machine.handle(&at(now), Event::Time);
        assert!(matches!(actions[..], [Action::MarkGood(_)]), "{actions:?}");
        mark = ticket(&actions);
        assert_eq!((numbers(&machine), machine.record().step), ((3, 0), Step::Confirming));
    }
    machine.handle(&at(now), Event::Marked(mark, Ok(())));
    assert_eq!(numbers(&machine), (0, 1));
}

/// OBJ-91, OBJ-92
#[test]
fn killed_between_the_mark_and_its_reading_back_it_is_marked_again() {
    let (machine, _) = marking();
    let (mut machine, actions) = start(machine.record().clone(), true, Running::New);
    assert!(matches!(actions[..], [Action::MarkGood(_)]), "{actions:?}");
    machine.handle(&at(1), Event::Marked(ticket(&actions), Ok(())));
    assert_eq!(numbers(&machine), (0, 1));
}

/// OBJ-92: each thing that can be missing is named, in the old system.
#[test]
fn a_trial_that_is_over_leads_back_and_says_what_was_missing() {
    let mut failed = checking();
    failed.0.handle(&at(2), Event::Checked(failed.1, Err("check net: exit code 1".into())));
    let mut failed_again = checking();
    let failure = Event::Checked(failed_again.1, Err("check net: exit code 1".into()));
    failed_again.0.handle(&at(850), failure);
    failed_again.0.handle(&at(880), Event::Time);
    for (mut machine, missing) in [
        (on_trial(), "no server has answered within 900 s of the boot"),
        (checking().0, "the checks have not ended within 900 s of the boot"),
        (failed.0, "check net: exit code 1"),
        (failed_again.0, "check net: exit code 1"),
    ] {
        machine.handle(&at(899), Event::Time);
        assert_eq!(machine.record().step, Step::OnTrial, "{missing}");
        let actions = machine.handle(&at(900), Event::Time);
        let [Action::Persist(record), Action::Reject(reject)] = &actions[..] else {
            panic!("{actions:?}");
        };
        assert_eq!((record.step, record.cause.as_deref()), (Step::RollingBack, Some(missing)));
        // It is too late.
        assert!(machine.handle(&at(901), Event::Registered).is_empty());
        let actions = machine.handle(&at(901), Event::Rejected(*reject, Ok(())));
        assert_eq!(actions, [Action::Reboot]);
        let (machine, actions) = boot_again(&machine, "boot-2", Running::Old);
        assert_eq!(numbers(&machine), (2, 8));
        assert_eq!(cause(&actions), format!("rolled back: {missing}"));
        assert_eq!(machine.record().cause, Some(format!("rolled back: {missing}")));
    }
}

/// OBJ-91: the time of the trial is that of the boot.
#[test]
fn an_agent_restarted_during_the_trial_goes_on_with_it() {
    let start_at = |seconds| {
        let found = Found { package: true, running: Running::New };
        let record = Some(on_trial().record().clone());
        Machine::start(config(Delivery::Push), record, &found, &at(seconds))
    };
    let (mut machine, _) = start_at(800);
    assert_eq!(machine.next_timeout(), Some(at(900).boot));
    assert!(matches!(machine.handle(&at(801), Event::Registered)[..], [Action::Check(_)]));
    // One that starts too late does not begin it anew.
    let (machine, actions) = start_at(1000);
    assert_eq!(machine.record().step, Step::RollingBack);
    assert!(matches!(actions[..], [Action::Persist(_), Action::Reject(_)]), "{actions:?}");
}

/// OBJ-91: the boot loader decides what follows.
#[test]
fn a_machine_restarted_by_hand_during_the_trial_is_on_trial_or_back() {
    let (machine, _) = boot_again(&on_trial(), "boot-3", Running::New);
    assert_eq!((numbers(&machine), machine.record().step), ((3, 0), Step::OnTrial));
    assert_eq!(machine.next_timeout(), Some(at(900).boot));
    let (machine, actions) = boot_again(&on_trial(), "boot-3", Running::Old);
    assert_eq!(numbers(&machine), (2, 8));
    assert_eq!(cause(&actions), "the old system was booted again");
    let (machine, actions) = boot_again(&marking().0, "boot-3", Running::Old);
    assert_eq!(numbers(&machine), (2, 8));
    assert_eq!(cause(&actions), "the old system was booted before the new one was marked good");
}

/// OBJ-91
#[test]
fn a_slot_that_is_neither_the_old_nor_the_new_one_is_a_failed_update() {
    let other = Running::Other("rootfs.2".into());
    let (machine, actions) = boot_again(&on_trial(), "boot-2", other);
    assert_eq!(numbers(&machine), (2, 8));
    assert_eq!(cause(&actions), "slot rootfs.2 was booted, neither the old one nor the new one");
}

/// The installer has left the old slot the one to boot; somebody else changes that.
#[test]
fn a_target_that_is_the_old_slot_rules_nothing_out() {
    let (mut machine, install) = installing(config(Delivery::Push));
    let reboot = Installed::NeedsReboot(Some("rootfs.0".into()));
    machine.handle(&at(6), Event::Installed(install, Ok(reboot)));
    assert_eq!((machine.record().step, &machine.record().target), (Step::Installed, &None));
}

/// A boot loader that counts tries needs no mark to come back.
#[test]
fn a_slot_that_cannot_be_marked_bad_is_left_all_the_same() {
    let mut machine = on_trial();
    let reject = ticket(&machine.handle(&at(900), Event::Time));
    let actions = machine.handle(&at(901), Event::Rejected(reject, Err("RAUC is away".into())));
    assert_eq!(actions, [Action::Reboot]);
}

/// OBJ-91: the new system is booted again and again. To be of use is better than to
/// restart for ever.
#[test]
fn a_machine_without_a_way_back_is_not_restarted_for_ever() {
    let mut machine = on_trial();
    machine.handle(&at(900), Event::Time);
    for restart in 1..=MAX_RESTARTS {
        assert_eq!(machine.record().restarts, restart);
        // Killed before the restart: the same one is still due.
        let boot = format!("boot-{restart}");
        let (again, actions) = boot_again(&machine, &boot, Running::New);
        assert_eq!(again.record().restarts, restart, "{actions:?}");
        assert!(matches!(actions.last(), Some(Action::Reject(_))), "{actions:?}");
        machine = boot_again(&again, &format!("boot-{}", restart + 1), Running::New).0;
    }
    assert_eq!((numbers(&machine), machine.record().step), ((3, 0), Step::OnTrial));
    assert_eq!(machine.next_timeout(), None);
    // A server that answers late confirms it.
    assert!(matches!(machine.handle(&at(2000), Event::Registered)[..], [Action::Check(_)]));
}

/// OBJ-91: a full disk neither keeps a new system on trial nor lets it stay.
#[test]
fn what_cannot_be_recorded_of_a_trial_changes_nothing_about_its_end() {
    let failed = || Event::NotRecorded { cause: "disk full".into(), step_left_out: false };
    let (mut machine, mark) = marking();
    assert!(machine.handle(&at(2), failed()).is_empty());
    machine.handle(&at(3), Event::Marked(mark, Ok(())));
    assert_eq!(numbers(&machine), (0, 1));
    let mut machine = on_trial();
    let actions = machine.handle(&at(900), Event::Time);
    assert!(actions.iter().all(|action| !action.follows_record()), "{actions:?}");
    assert!(machine.handle(&at(900), failed()).is_empty());
    let actions = machine.handle(&at(901), Event::Rejected(ticket(&actions), Ok(())));
    assert_eq!(actions, [Action::Reboot]);
}
