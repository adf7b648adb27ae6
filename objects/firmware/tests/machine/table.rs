//! The transition table of Objects 7.2, cell by cell.
//!
//! A cell reads as there: the answer, then State and Result where they change.

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched};
use lwm2m_firmware::{
    Action, Delivery, Event, Failure, Installed, Machine, MachineConfig, Reason, Settings, State,
    Ticket,
};

use crate::support::{
    CALL, SERVER, answer, at, config, downloaded, failure, fetching, in_state, info, installing,
    part, settings, ticket, uri,
};

const STATES: [State; 4] = [State::Idle, State::Downloading, State::Downloaded, State::Updating];
/// Nothing can happen there.
const NEVER: &str = "-";

/// Something that a server does, and the cells of its row.
struct Row {
    event: &'static str,
    delivery: Delivery,
    /// The package of State Downloading is fetched.
    is_fetched: bool,
    act: fn(&mut Machine) -> Vec<Action>,
    cells: [&'static str; 4],
}

const fn push(
    event: &'static str,
    act: fn(&mut Machine) -> Vec<Action>,
    cells: [&'static str; 4],
) -> Row {
    Row { event, delivery: Delivery::Push, is_fetched: false, act, cells }
}

const fn pull(
    event: &'static str,
    act: fn(&mut Machine) -> Vec<Action>,
    cells: [&'static str; 4],
) -> Row {
    Row { event, delivery: Delivery::Both, is_fetched: false, act, cells }
}

/// While a package is fetched: what happens in State Downloading.
const fn fetching_row(
    event: &'static str,
    act: fn(&mut Machine) -> Vec<Action>,
    cell: &'static str,
) -> Row {
    let cells = [NEVER, cell, NEVER, NEVER];
    Row { event, delivery: Delivery::Both, is_fetched: true, act, cells }
}

fn send(machine: &mut Machine, event: Event) -> Vec<Action> {
    machine.handle(&at(10), event)
}

/// Stores what comes, and says how that went.
fn store(machine: &mut Machine, event: Event, result: Result<(), Failure>) -> Vec<Action> {
    let mut actions = send(machine, event);
    if actions.iter().any(|action| matches!(action, Action::Store { .. })) {
        actions.extend(send(machine, Event::Stored(result.map(|()| 0))));
    }
    actions
}

/// Stores the last part and checks the package.
fn check(machine: &mut Machine, event: Event, result: Result<(), Reason>) -> Vec<Action> {
    let mut actions = store(machine, event, Ok(()));
    if actions.iter().any(|action| matches!(action, Action::Inspect(_))) {
        let result = result.map(|()| info()).map_err(failure);
        actions.extend(send(machine, Event::Inspected(ticket(&actions), result)));
    }
    actions
}

const MORE: &[u8] = &[7; 1024];

#[rustfmt::skip] // a table: one row an event
const TABLE: &[Row] = &[
    pull("Write Package URI, valid and supported scheme", |m| send(m, uri("https://h/firmware")),
        ["2.04; R=0, S=1", "4.05", "4.05", "4.05"]),
    pull("Write Package URI, scheme in capitals", |m| send(m, uri("COAP://h/firmware")),
        ["2.04; R=0, S=1", "4.05", "4.05", "4.05"]),
    pull("Write Package URI, not a URI", |m| send(m, uri("::what")),
        ["2.04; S=0, R=7", "4.05", "4.05", "4.05"]),
    pull("Write Package URI, no host", |m| send(m, uri("coap:///firmware")),
        ["2.04; S=0, R=7", "4.05", "4.05", "4.05"]),
    pull("Write Package URI, scheme unknown", |m| send(m, uri("gopher://h/firmware")),
        ["2.04; S=0, R=9", "4.05", "4.05", "4.05"]),
    pull("Write Package URI, scheme not in res 8", |m| send(m, uri("coaps://h/firmware")),
        ["2.04; S=0, R=9", "4.05", "4.05", "4.05"]),
    pull("Write Package URI, empty", |m| send(m, uri("")),
        ["2.04; S=0, R=0", "2.04; S=0, R=0", "2.04; S=0, R=0", "4.05"]),
    pull("Write Package URI, longer than 255 bytes", |m| send(m, uri(&format!("coap://{}", "h".repeat(249)))),
        ["4.00", "4.00", "4.00", "4.00"]),
    push("Write Package URI while Delivery Method is 1", |m| send(m, uri("coap://h/firmware")),
        ["4.05", "4.05", "4.05", "4.05"]),
    push("reset while Delivery Method is 1", |m| send(m, uri("")),
        ["2.04; S=0, R=0", "2.04; S=0, R=0", "2.04; S=0, R=0", "4.05"]),
    push("Write Package, first block, more to come", |m| store(m, part(SERVER, 0, MORE, false), Ok(())),
        ["2.04; R=0, S=1", "2.04; S=1, R=0", "4.05", "4.05"]),
    push("Write Package, first block of another server", |m| store(m, part(Some(102), 0, MORE, false), Ok(())),
        ["2.04; R=0, S=1", "4.05", "4.05", "4.05"]),
    push("Write Package, further block in order", |m| store(m, part(SERVER, 1024, MORE, false), Ok(())),
        ["4.08", "2.04; S=1, R=0", "4.08", "4.08"]),
    push("Write Package, block out of order", |m| store(m, part(SERVER, 4096, MORE, false), Ok(())),
        ["4.08", "4.08; S=1, R=0", "4.08", "4.08"]),
    push("Write Package, last block, stored and verified", |m| check(m, part(SERVER, 1024, MORE, true), Ok(())),
        ["4.08", "2.04; S=2, R=0", "4.08", "4.08"]),
    push("Write Package, whole", |m| check(m, part(SERVER, 0, MORE, true), Ok(())),
        ["2.04; S=2, R=0", "2.04; S=2, R=0", "4.05", "4.05"]),
    push("Write Package, one NUL byte", |m| send(m, part(SERVER, 0, &[0], true)),
        ["2.04; S=0, R=0", "2.04; S=0, R=0", "2.04; S=0, R=0", "4.05"]),
    push("Write Package, one NUL byte of another server", |m| send(m, part(Some(102), 0, &[0], true)),
        ["2.04; S=0, R=0", "2.04; S=0, R=0", "2.04; S=0, R=0", "4.05"]),
    push("Write Package, empty payload", |m| send(m, part(SERVER, 0, &[], true)),
        ["4.00", "4.00", "4.00", "4.00"]),
    fetching_row("Write Package URI", |m| send(m, uri("coap://h/other")), "4.05"),
    fetching_row("Write Package URI, empty", |m| send(m, uri("")), "2.04; S=0, R=0"),
    fetching_row("Write Package, first block", |m| store(m, part(SERVER, 0, MORE, false), Ok(())), "4.05"),
    fetching_row("Write Package, first block by the operator", |m| store(m, part(None, 0, MORE, false), Ok(())), "4.05"),
    fetching_row("Write Package, whole", |m| check(m, part(SERVER, 0, MORE, true), Ok(())), "4.05"),
    fetching_row("Write Package, block out of order", |m| store(m, part(SERVER, 1024, MORE, false), Ok(())), "4.08"),
    fetching_row("Write Package, one NUL byte", |m| send(m, part(SERVER, 0, &[0], true)), "2.04; S=0, R=0"),
    fetching_row("Write Package, empty payload", |m| send(m, part(SERVER, 0, &[], true)), "4.00"),
    fetching_row("Execute Update", |m| send(m, Event::Update { call: CALL }), "4.05"),
    fetching_row("Execute Cancel", |m| send(m, Event::Cancel { call: CALL }), "2.04; S=0, R=10"),
    fetching_row("Write Severity", |m| send(m, settings(Settings { severity: Some(2), ..Settings::default() })), "2.04"),
    fetching_row("download finished, verified", |m| fetched(m, Ok(())), "S=2, R=0"),
    fetching_row("download: checksum or signature wrong", |m| fetched(m, Err(Reason::Integrity)), "S=0, R=5"),
    fetching_row("download: package type unknown", |m| fetched(m, Err(Reason::Unsupported)), "S=0, R=6"),
    fetching_row("download: no space", |m| fetch_part(m, Err(Reason::NoSpace)), "S=0, R=2"),
    fetching_row("download: out of RAM", |m| fetch_part(m, Err(Reason::OutOfMemory)), "S=0, R=3"),
    fetching_row("download: the disk is broken", |m| fetch_part(m, Err(Reason::Other)), "S=0, R=8"),
    fetching_row("download: connection lost, to be tried again", |m| fetch_fails(m, 11, FetchFailureKind::Lost), "S=1, R=0"),
    fetching_row("download: connection lost, retries used up", |m| fetch_fails(m, 1 + 24 * 3600, FetchFailureKind::Lost), "S=0, R=4"),
    fetching_row("download: size wrong", |m| fetch_fails(m, 11, FetchFailureKind::Damaged), "S=0, R=5"),
    fetching_row("download: URI cannot be resolved, 4.04, 404", |m| fetch_fails(m, 11, FetchFailureKind::InvalidUri), "S=0, R=7"),
    fetching_row("download: redirect to unsupported scheme", |m| fetch_fails(m, 11, FetchFailureKind::UnsupportedScheme), "S=0, R=9"),
    push("download: no space", |m| store(m, part(SERVER, 1024, MORE, false), Err(failure(Reason::NoSpace))),
        [NEVER, "4.13; S=0, R=2", NEVER, NEVER]),
    push("download: no space for the last block", |m| store(m, part(SERVER, 1024, MORE, true), Err(failure(Reason::NoSpace))),
        [NEVER, "2.04; S=0, R=2", NEVER, NEVER]),
    push("download: no space for all of it", |m| store(m, part(SERVER, 0, MORE, false), Err(failure(Reason::NoSpace))),
        ["4.13; S=0, R=2", "4.13; S=0, R=2", NEVER, NEVER]),
    push("download: out of RAM", |m| store(m, part(SERVER, 1024, MORE, false), Err(failure(Reason::OutOfMemory))),
        [NEVER, "4.13; S=0, R=3", NEVER, NEVER]),
    push("download: push sender silent too long", |m| send(m, Event::Silent),
        ["", "S=0, R=4", "", ""]),
    push("download: checksum or signature wrong", |m| check(m, part(SERVER, 1024, MORE, true), Err(Reason::Integrity)),
        [NEVER, "2.04; S=0, R=5", NEVER, NEVER]),
    push("download: package type unknown", |m| check(m, part(SERVER, 1024, MORE, true), Err(Reason::Unsupported)),
        [NEVER, "2.04; S=0, R=6", NEVER, NEVER]),
    push("Execute Update", |m| send(m, Event::Update { call: CALL }),
        ["4.05", "4.05", "2.04; R=0, S=3", "4.05"]),
    push("install succeeded", |m| install(m, Ok(Installed::Done)),
        [NEVER, NEVER, NEVER, "S=0, R=1"]),
    push("install failed, image still good", |m| install(m, Err(Reason::Other)),
        [NEVER, NEVER, NEVER, "S=2, R=8"]),
    push("install failed, image bad (integrity)", |m| install(m, Err(Reason::Integrity)),
        [NEVER, NEVER, NEVER, "S=0, R=5"]),
    push("install failed, image bad", |m| install(m, Err(Reason::Unsupported)),
        [NEVER, NEVER, NEVER, "S=0, R=8"]),
    push("Execute Cancel", |m| send(m, Event::Cancel { call: CALL }),
        ["4.05", "2.04; S=0, R=10", "2.04; S=0, R=10", "4.05"]),
    push("Write Severity", |m| send(m, settings(Settings { severity: Some(2), ..Settings::default() })),
        ["2.04", "2.04", "2.04", "2.04"]),
    push("Write Severity out of range", |m| send(m, settings(Settings { severity: Some(3), ..Settings::default() })),
        ["4.00", "4.00", "4.00", "4.00"]),
    push("Write Maximum Defer Period", |m| send(m, settings(Settings { max_defer: Some(60), ..Settings::default() })),
        ["2.04", "2.04", "2.04", "2.04"]),
    push("Write Automatic Upgrade", |m| send(m, settings(Settings { automatic: Some(true), ..Settings::default() })),
        ["2.04", "2.04", "2.04", "2.04"]),
];

/// The ticket of `fetching`, which counts alike each time.
fn fetch_ticket() -> Ticket {
    fetching(config(Delivery::Both)).1
}

/// A part comes, and is stored or not.
fn fetch_part(machine: &mut Machine, result: Result<(), Reason>) -> Vec<Action> {
    let mut actions = send(machine, Event::Fetched(fetch_ticket(), Fetched::Part(MORE.into())));
    let result = result.map(|()| 0).map_err(failure);
    actions.extend(send(machine, Event::Stored(result)));
    actions
}

/// All of it has come, and is checked.
fn fetched(machine: &mut Machine, result: Result<(), Reason>) -> Vec<Action> {
    send(machine, Event::FetchEnded(fetch_ticket(), Ok(())));
    let actions = send(machine, Event::Stored(Ok(1024)));
    let result = result.map(|()| info()).map_err(failure);
    send(machine, Event::Inspected(ticket(&actions), result))
}

fn fetch_fails(machine: &mut Machine, time: u64, kind: FetchFailureKind) -> Vec<Action> {
    let end = Event::FetchEnded(fetch_ticket(), Err(FetchFailure::new(kind, "why")));
    machine.handle(&at(time), end)
}

/// The machine of State Updating has called the installer with the ticket of
/// `installing`, which counts alike each time.
fn install(machine: &mut Machine, result: Result<Installed, Reason>) -> Vec<Action> {
    let (_, ticket) = installing(config(Delivery::Push));
    send(machine, Event::Installed(ticket, result.map_err(failure)))
}

/// OBJ-80, OBJ-81, OBJ-82, OBJ-83, OBJ-84, OBJ-85, OBJ-88, TRN-120
#[test]
fn each_cell_of_the_table_is_as_printed() {
    for row in TABLE {
        for (state, cell) in STATES.into_iter().zip(row.cells) {
            if cell == NEVER {
                continue;
            }
            let mut machine = match row.is_fetched {
                true => fetching(config(row.delivery)).0,
                false => in_state(state, config(row.delivery)),
            };
            let before = machine.record().clone();
            let actions = (row.act)(&mut machine);
            let place = format!("{} in {state:?}", row.event);
            let expected = Cell::of(cell, before.state.number(), before.result.number());
            let record = machine.record();
            assert_eq!(answer(&actions), expected.code, "{place}");
            let got = (record.state.number(), record.result.number());
            assert_eq!(got, (expected.state, expected.result), "{place}");
            // The image goes when State goes back to Idle (Objects 7.1).
            let gone = before.state != State::Idle && record.state == State::Idle;
            if gone {
                assert!(actions.contains(&Action::Discard), "{place}");
            }
            if expected.code.as_deref().is_some_and(|code| code.starts_with('4'))
                && !cell.contains("S=0")
            {
                assert_eq!(*record, before, "{place}: a refusal changes nothing");
            }
        }
    }
}

/// OBJ-86: the rows of a device whose user may put updates off.
#[test]
fn a_user_who_may_defer_does() {
    let deferring = || MachineConfig {
        deferral: Some(std::time::Duration::from_secs(3600)),
        ..config(Delivery::Push)
    };
    let numbers =
        |machine: &Machine| (machine.record().state.number(), machine.record().result.number());
    // Execute Update; the user accepts.
    let mut machine = downloaded(deferring());
    assert_eq!(answer(&send(&mut machine, Event::Update { call: CALL })).as_deref(), Some("2.04"));
    assert_eq!(numbers(&machine), (2, 11));
    send(&mut machine, Event::Consent);
    assert_eq!(numbers(&machine), (3, 0));
    // The period is over; another Execute has not made it longer.
    let mut machine = downloaded(deferring());
    send(&mut machine, Event::Update { call: CALL });
    machine.handle(&at(2000), Event::Update { call: CALL });
    machine.handle(&at(3609), Event::Time);
    assert_eq!(numbers(&machine), (2, 11));
    machine.handle(&at(3610), Event::Time);
    assert_eq!(numbers(&machine), (3, 0));
    // A shorter period counts from the Execute; none installs now.
    for (period, until) in [(60, 70), (0, 20)] {
        let mut machine = downloaded(deferring());
        send(&mut machine, Event::Update { call: CALL });
        let write = Settings { max_defer: Some(period), ..Settings::default() };
        machine.handle(&at(20), settings(write));
        machine.handle(&at(until), Event::Time);
        assert_eq!(numbers(&machine), (3, 0), "{period}");
    }
    // A critical update cannot be put off, nor one with a period of 0.
    let critical = Settings { severity: Some(0), ..Settings::default() };
    let at_once = Settings { max_defer: Some(0), ..Settings::default() };
    for write in [critical, at_once] {
        let mut machine = downloaded(deferring());
        send(&mut machine, settings(write));
        send(&mut machine, Event::Update { call: CALL });
        assert_eq!(numbers(&machine), (3, 0));
    }
}

/// A cell: `2.04; S=0, R=7`.
struct Cell {
    code: Option<String>,
    state: i64,
    result: i64,
}

impl Cell {
    fn of(text: &str, state: i64, result: i64) -> Self {
        let mut cell = Self { code: None, state, result };
        for word in text.split([';', ',']).map(str::trim).filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                Some(("S", number)) => cell.state = number.parse().unwrap(),
                Some(("R", number)) => cell.result = number.parse().unwrap(),
                _ => cell.code = Some(word.into()),
            }
        }
        cell
    }
}
