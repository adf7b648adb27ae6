//! A package that is not fetched: the installer reads it from its URI (Objects 7.2, the
//! rows of a pull).

use lwm2m_firmware::{
    Action, Delivery, Event, Failure, Found, Machine, MachineConfig, Protocol, Reason, Record,
    Running, Settings, State, System, UpdateResult,
};

use crate::support::{
    CALL, SERVER, answer, at, config, failure, found, idle, info, part, ticket, uri,
};

const URI: &str = "https://h/x";

fn streaming() -> MachineConfig {
    MachineConfig { streams: vec![Protocol::Http, Protocol::Https], ..config(Delivery::Both) }
}

/// One that has been told where the package is, and the ticket of its check.
fn checking(config: MachineConfig) -> (Machine, u32) {
    let mut machine = idle(config);
    let actions = machine.handle(&at(1), uri(URI));
    let [
        Action::Persist(record),
        Action::Changed { resources, .. },
        Action::Inspect(check),
        Action::Reply(..),
    ] = &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!(*resources, [12, 3, 1]);
    assert_eq!((record.state, record.streamed, &record.fetch), (State::Downloading, true, &None));
    (machine, *check)
}

fn downloaded(config: MachineConfig) -> Machine {
    let (mut machine, check) = checking(config);
    machine.handle(&at(2), Event::Inspected(check, Ok(info())));
    assert_eq!(machine.record().state, State::Downloaded);
    machine
}

fn numbers(machine: &Machine) -> (i64, i64) {
    (machine.record().state.number(), machine.record().result.number())
}

fn restart(record: &Record, config: MachineConfig, is_there: bool) -> (Machine, Vec<Action>) {
    let found = Found { package: is_there, running: Running::Same };
    Machine::start(config, Some(record.clone()), &found, &at(0))
}

/// OBJ-94: State is Downloaded once the check has passed, and nothing was fetched.
#[test]
fn a_package_that_is_streamed_is_checked_and_installed_where_it_is() {
    let mut machine = downloaded(streaming());
    let record = machine.record();
    assert_eq!((record.streamed, record.uri.as_str(), &record.package), (true, URI, &Some(info())));
    machine.handle(&at(3), Event::Update { call: CALL });
    machine.handle(&at(3), Event::Proceed);
    let look_up = ticket(&machine.handle(&at(4), Event::Time));
    let system = System { slot: Some("rootfs.0".into()) };
    let actions = machine.handle(&at(4), Event::Running(look_up, Ok(system)));
    assert!(matches!(actions[..], [Action::Persist(_), Action::Install(_)]), "{actions:?}");
    assert!(machine.record().streamed);
    // It can be tried again, as one that was fetched.
    let lost = Event::Installed(ticket(&actions), Err(failure(Reason::Lost)));
    machine.handle(&at(5), lost);
    assert_eq!((numbers(&machine), machine.record().streamed), ((2, 8), true));
}

/// The rows of a download that fails, and of one that is refused.
#[test]
fn a_check_that_fails_has_the_result_of_a_download() {
    for (reason, result) in [
        (Reason::Integrity, 5),
        (Reason::Refused, 5),
        (Reason::Unsupported, 6),
        (Reason::Lost, 4),
        (Reason::InvalidUri, 7),
        (Reason::Other, 8),
        (Reason::Unavailable, 8),
    ] {
        let (mut machine, check) = checking(streaming());
        machine.handle(&at(2), Event::Inspected(check, Err(failure(reason))));
        assert_eq!(numbers(&machine), (0, result), "{reason:?}");
        assert!(!machine.record().streamed, "{reason:?}");
        // The next one may come in any way.
        let actions = machine.handle(&at(3), part(SERVER, 0, &[7], false));
        assert!(matches!(actions.last(), Some(Action::Store { .. })), "{reason:?}");
    }
}

/// Only what is configured is streamed.
#[test]
fn other_schemes_are_fetched() {
    let mut machine = idle(streaming());
    let actions = machine.handle(&at(1), uri("coap://h/x"));
    assert!(actions.iter().any(|it| matches!(it, Action::Fetch { .. })), "{actions:?}");
    assert!(!machine.record().streamed);
    let mut machine = idle(config(Delivery::Both));
    let actions = machine.handle(&at(1), uri(URI));
    assert!(actions.iter().any(|it| matches!(it, Action::Fetch { .. })), "{actions:?}");
}

/// An installer without streaming costs nothing but a line in the log.
#[test]
fn a_package_that_the_installer_cannot_read_is_fetched() {
    let (mut machine, check) = checking(streaming());
    let old = Failure::new(Reason::NotStreamed, "RAUC is older than 1.9");
    let actions = machine.handle(&at(2), Event::Inspected(check, Err(old)));
    let [Action::Persist(record), Action::Changed { resources, cause }, Action::Fetch { uri, .. }] =
        &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!((record.streamed, record.fetch.is_some(), uri.as_str()), (false, true, URI));
    assert!(resources.is_empty());
    let expected = "the package is fetched, not streamed: RAUC is older than 1.9";
    assert_eq!(cause.as_deref(), Some(expected));
    assert_eq!(numbers(&machine), (1, 0));
}

/// The rows of Package URI, Package and Cancel while a package comes in.
#[test]
fn what_servers_say_meanwhile_is_answered_as_while_a_package_is_fetched() {
    for machine in [|| checking(streaming()).0, || downloaded(streaming())] {
        let code = |event| answer(&machine().handle(&at(3), event)).unwrap();
        assert_eq!(code(uri("https://h/y")), "4.05");
        assert_eq!(code(part(SERVER, 0, &[7; 16], false)), "4.05");
        for (event, result) in [(Event::Cancel { call: CALL }, 10), (uri(""), 0)] {
            let mut machine = machine();
            assert_eq!(answer(&machine.handle(&at(3), event)).as_deref(), Some("2.04"));
            assert_eq!(numbers(&machine), (0, result));
            let record = machine.record();
            assert!(!record.streamed && record.uri.is_empty(), "{record:?}");
        }
    }
    // What was called off counts for nothing.
    let (mut machine, check) = checking(streaming());
    machine.handle(&at(2), Event::Cancel { call: CALL });
    assert!(machine.handle(&at(3), Event::Inspected(check, Ok(info()))).is_empty());
}

/// OBJ-86, OBJ-89
#[test]
fn consent_and_automatic_upgrade_are_as_for_a_file() {
    let deferral = Some(std::time::Duration::from_secs(3600));
    let mut machine = downloaded(MachineConfig { deferral, ..streaming() });
    machine.handle(&at(3), Event::Update { call: CALL });
    assert_eq!(numbers(&machine), (2, 11));
    machine.handle(&at(4), Event::Consent);
    assert_eq!(numbers(&machine), (3, 0));
    let (mut machine, check) = checking(streaming());
    let settings = Settings { automatic: Some(true), ..Settings::default() };
    machine.handle(&at(1), Event::Write { call: CALL, uri: None, settings });
    machine.handle(&at(2), Event::Inspected(check, Ok(info())));
    machine.handle(&at(3), Event::Time);
    assert_eq!(numbers(&machine), (3, 0));
}

/// OBJ-91: after a restart the URI is checked again; a source that is away costs nothing.
#[test]
fn a_restart_checks_the_uri_again() {
    let (checking, _) = checking(streaming());
    let (mut machine, actions) = restart(checking.record(), streaming(), true);
    assert_eq!(actions, [Action::Inspect(ticket(&actions))]);
    machine.handle(&at(1), Event::Inspected(ticket(&actions), Ok(info())));
    assert_eq!((numbers(&machine), machine.record().streamed), ((2, 0), true));
    for (result, expected) in [
        (Ok(info()), (2, 0)),
        (Err(failure(Reason::Lost)), (2, 0)),
        (Err(failure(Reason::InvalidUri)), (2, 0)),
        (Err(failure(Reason::Integrity)), (0, 5)),
    ] {
        let (mut again, actions) = restart(machine.record(), streaming(), true);
        assert!(matches!(actions[..], [Action::Inspect(_)]), "{actions:?}");
        again.handle(&at(1), Event::Inspected(ticket(&actions), result.clone()));
        assert_eq!(numbers(&again), expected, "{result:?}");
    }
}

/// The configuration may have changed.
#[test]
fn without_streaming_what_was_to_be_streamed_is_fetched_or_gone() {
    let (checking, _) = checking(streaming());
    let (machine, actions) = restart(checking.record(), config(Delivery::Both), false);
    assert!(actions.iter().any(|it| matches!(it, Action::Fetch { .. })), "{actions:?}");
    assert!(!machine.record().streamed);
    let (machine, _) = restart(checking.record(), config(Delivery::Push), false);
    assert_eq!(numbers(&machine), (0, 9));
    let downloaded = downloaded(streaming());
    let (machine, _) = restart(downloaded.record(), config(Delivery::Both), false);
    assert_eq!((numbers(&machine), machine.record().streamed), ((0, 5), false));
}

/// OBJ-91: a step that cannot be recorded is not taken.
#[test]
fn a_uri_that_cannot_be_recorded_is_not_streamed() {
    let (mut machine, check) = checking(streaming());
    let full = Event::NotRecorded { cause: "disk full".into(), step_left_out: false };
    machine.handle(&at(1), full);
    assert_eq!(numbers(&machine), (0, 8));
    assert!(machine.handle(&at(2), Event::Inspected(check, Ok(info()))).is_empty());
    // A record from before there was streaming.
    let old = String::from_utf8(Record::default().encode()).unwrap();
    let old = old.replace("\"streamed\":false,", "").replace("\"unsettled\":null,", "");
    assert_eq!(Record::decode(old.as_bytes()), Ok(Record::default()));
    let (machine, _) = Machine::start(streaming(), Some(Record::default()), &found(false), &at(0));
    assert_eq!(machine.record().result, UpdateResult::Initial);
}
