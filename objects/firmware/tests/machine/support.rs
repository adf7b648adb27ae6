//! Machines in each State, and what they answer.

use std::time::Duration;

use lwm2m_engine::{CallId, CallReply, Fetched};
use lwm2m_firmware::{
    Action, Delivery, Event, Failure, Found, Machine, MachineConfig, PackageInfo, Protocol, Reason,
    Record, Running, Settings, State, System, Ticket,
};
use lwm2m_model::{Instant, Now};

pub(crate) const CALL: CallId = CallId(7);
pub(crate) const SERVER: Option<u16> = Some(101);
pub(crate) const TRIAL: Duration = Duration::from_secs(900);
/// For how long a pull goes on without progress.
pub(crate) const PATIENCE: Duration = Duration::from_secs(24 * 3600);
pub(crate) const WALL: i64 = 1_800_000_000;

pub(crate) fn at(seconds: u64) -> Now {
    let boot = Instant::from_boot(Duration::from_secs(seconds));
    Now { boot, wall: Some((WALL + seconds as i64) * 1000) }
}

pub(crate) fn config(delivery: Delivery) -> MachineConfig {
    // Not coaps, so that there is a scheme which is known and not supported.
    let protocols = match delivery {
        Delivery::Push => Vec::new(),
        Delivery::Both => vec![Protocol::Coap, Protocol::Http, Protocol::Https],
    };
    let boot = Some("boot-1".into());
    MachineConfig {
        protocols,
        streams: Vec::new(),
        patience: PATIENCE,
        deferral: None,
        boot,
        trial: TRIAL,
    }
}

pub(crate) fn found(package: bool) -> Found {
    Found { package, running: Running::Same }
}

pub(crate) fn machine(config: MachineConfig, record: Record) -> Machine {
    let package = record.state != State::Idle;
    Machine::start(config, Some(record), &found(package), &at(0)).0
}

/// A machine that has never done anything.
pub(crate) fn idle(config: MachineConfig) -> Machine {
    machine(config, Record::default())
}

/// One that takes a package of server 101, of which 1024 bytes are there.
pub(crate) fn downloading(config: MachineConfig) -> Machine {
    let mut machine = idle(config);
    machine.handle(&at(1), part(SERVER, 0, &[7; 1024], false));
    machine.handle(&at(1), Event::Stored(Ok(0)));
    assert_eq!(machine.record().state, State::Downloading);
    machine
}

/// One that fetches a package, of which 1024 bytes are there, and the ticket of that.
pub(crate) fn fetching(config: MachineConfig) -> (Machine, Ticket) {
    let mut machine = idle(config);
    let ticket = ticket(&machine.handle(&at(1), uri("coap://h/x")));
    begin(&mut machine, ticket, 0, None);
    send_part(&mut machine, ticket, 1024, 0);
    (machine, ticket)
}

/// The source begins, with an ETag.
pub(crate) fn begin(machine: &mut Machine, ticket: Ticket, offset: u64, size: Option<u64>) {
    let etag = Some(b"v1".to_vec());
    machine.handle(&at(1), Event::Fetched(ticket, Fetched::Begin { offset, size, etag }));
    machine.handle(&at(1), Event::Stored(Ok(offset)));
}

/// The source sends so many bytes; so many are durable then.
pub(crate) fn send_part(machine: &mut Machine, ticket: Ticket, bytes: usize, durable: u64) {
    machine.handle(&at(1), Event::Fetched(ticket, Fetched::Part(vec![7; bytes])));
    machine.handle(&at(1), Event::Stored(Ok(durable)));
}

/// One with a package that has been checked.
pub(crate) fn downloaded(config: MachineConfig) -> Machine {
    let mut machine = downloading(config);
    machine.handle(&at(2), part(SERVER, 1024, &[7; 10], true));
    let actions = machine.handle(&at(2), Event::Stored(Ok(0)));
    let ticket = ticket(&actions);
    machine.handle(&at(2), Event::Inspected(ticket, Ok(info())));
    assert_eq!(machine.record().state, State::Downloaded);
    machine
}

/// One that has called the installer, and the ticket of that.
pub(crate) fn installing(config: MachineConfig) -> (Machine, Ticket) {
    let mut machine = downloaded(config);
    machine.handle(&at(3), Event::Update { call: CALL });
    machine.handle(&at(3), Event::Proceed);
    let actions = machine.handle(&at(4), Event::Time);
    let system = System { slot: Some("rootfs.0".into()) };
    let actions = machine.handle(&at(4), Event::Running(ticket(&actions), Ok(system)));
    assert_eq!(machine.record().state, State::Updating);
    (machine, ticket(&actions))
}

pub(crate) fn in_state(state: State, config: MachineConfig) -> Machine {
    match state {
        State::Idle => idle(config),
        State::Downloading => downloading(config),
        State::Downloaded => downloaded(config),
        State::Updating => installing(config).0,
    }
}

pub(crate) fn info() -> PackageInfo {
    PackageInfo { name: "acme-gw".into(), version: "2.0".into() }
}

pub(crate) fn failure(reason: Reason) -> Failure {
    Failure::new(reason, "why")
}

pub(crate) fn part(server: Option<u16>, offset: u64, bytes: &[u8], last: bool) -> Event {
    Event::Chunk { call: CALL, server, offset, bytes: bytes.to_vec(), last, size: None }
}

pub(crate) fn uri(uri: &str) -> Event {
    Event::Write { call: CALL, uri: Some(uri.into()), settings: Settings::default() }
}

pub(crate) fn settings(settings: Settings) -> Event {
    Event::Write { call: CALL, uri: None, settings }
}

/// The ticket of the task that the actions begin.
pub(crate) fn ticket(actions: &[Action]) -> Ticket {
    let ticket = actions.iter().find_map(|action| match action {
        Action::Inspect(ticket)
        | Action::LookUp(ticket)
        | Action::Install(ticket)
        | Action::Check(ticket)
        | Action::MarkGood(ticket)
        | Action::AskNextBoot(ticket)
        | Action::Reject(ticket) => Some(*ticket),
        Action::Fetch { ticket, .. } => Some(*ticket),
        _ => None,
    });
    ticket.unwrap_or_else(|| panic!("no task in {actions:?}"))
}

/// The answer to the call, if there is one: a code.
pub(crate) fn answer(actions: &[Action]) -> Option<String> {
    actions.iter().find_map(|action| match action {
        Action::Reply(CALL, Ok(CallReply::Done | CallReply::AfterAnswer)) => Some("2.04".into()),
        Action::Reply(CALL, Err(error)) => Some(error.code.to_string()),
        _ => None,
    })
}
