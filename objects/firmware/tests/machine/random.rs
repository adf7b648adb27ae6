//! Random histories, with the agent killed between any two actions, and records that
//! cannot be written.

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, Resume};
use lwm2m_firmware::{
    Action, Delivery, Event, Found, Installed, Machine, MachineConfig, Protocol, Reason, Record,
    Running, Settings, State, Step, System, Ticket, UpdateResult,
};
use proptest::prelude::*;

use crate::support::{CALL, at, config, failure, info, part, settings, uri};

/// Something that happens; what belongs to a task is made up when it does.
#[derive(Debug, Clone)]
enum Move {
    Event(Event),
    /// The next part of a package, as a server would send it.
    Next {
        last: bool,
    },
    /// The source of a package that is fetched does something.
    Source(Source),
    /// The task that was begun last ends so.
    TaskEnds {
        good: bool,
        reason: Reason,
    },
    /// The installer says what is booted next, where it is asked.
    NextBoot(Result<Option<String>, String>),
    /// Time passes.
    Pass(u64),
    /// The record cannot be written, the next so many times.
    PersistFails(u8),
    /// The agent is killed before action `after` of what comes next, and starts again.
    Kill {
        after: usize,
        running: Running,
        unsynced: Unsynced,
    },
}

/// What a source does, where it can.
#[derive(Debug, Clone)]
enum Source {
    Begins {
        has_etag: bool,
        has_ranges: bool,
        has_size: bool,
    },
    Sends(usize),
    Ends,
    Fails(FetchFailureKind),
    /// From now on it has another package at the same URI.
    Republishes,
}

/// What becomes of the bytes that were not synced.
#[derive(Debug, Clone, Copy)]
enum Unsynced {
    Kept,
    Zeroed,
    Gone,
}

/// The package on disk.
#[derive(Debug, Default)]
struct Stored {
    bytes: Vec<u8>,
    durable: usize,
}

/// An attempt at a package that is fetched.
struct Attempt {
    ticket: Ticket,
    resume: Option<Resume>,
    /// Where it is, once it has begun.
    at: Option<usize>,
}

/// What stands at the URI: the same length, and no byte at the same place.
fn content(version: u8) -> Vec<u8> {
    (0..300_u16).map(|n| (n as u8).wrapping_mul(7).wrapping_add(version)).collect()
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::NoSpace),
        Just(Reason::Integrity),
        Just(Reason::Refused),
        Just(Reason::Unsupported),
        Just(Reason::Other),
        Just(Reason::Unavailable),
        Just(Reason::Unknown),
        Just(Reason::Lost),
        Just(Reason::NotStreamed),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    let begins = (any::<bool>(), any::<bool>(), any::<bool>());
    let failures = prop_oneof![
        6 => Just(FetchFailureKind::Lost),
        1 => Just(FetchFailureKind::InvalidUri),
        1 => Just(FetchFailureKind::UnsupportedScheme),
        1 => Just(FetchFailureKind::Damaged),
    ];
    prop_oneof![
        6 => begins.prop_map(|(has_etag, has_ranges, has_size)| {
            Source::Begins { has_etag, has_ranges, has_size }
        }),
        8 => (1..150_usize).prop_map(Source::Sends),
        4 => Just(Source::Ends),
        3 => failures.prop_map(Source::Fails),
        1 => Just(Source::Republishes),
    ]
}

fn next_boot() -> impl Strategy<Value = Result<Option<String>, String>> {
    prop_oneof![
        2 => Just(Ok(Some("rootfs.0".into()))),
        1 => Just(Ok(Some("rootfs.1".into()))),
        1 => Just(Ok(None)),
        2 => Just(Err("RAUC is away".into())),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    let unsynced = prop_oneof![Just(Unsynced::Kept), Just(Unsynced::Zeroed), Just(Unsynced::Gone)];
    let running = prop_oneof![
        1 => Just(Running::Same),
        4 => Just(Running::New),
        1 => Just(Running::Old),
        1 => Just(Running::Other("rootfs.2".into())),
    ];
    prop_oneof![
        4 => any::<bool>().prop_map(|last| Move::Next { last }),
        4 => (any::<bool>(), reason()).prop_map(|(good, reason)| Move::TaskEnds { good, reason }),
        3 => (0..40_u64).prop_map(Move::Pass),
        2 => (0..4_usize, running, unsynced).prop_map(|(after, running, unsynced)| {
            Move::Kill { after, running, unsynced }
        }),
        12 => source().prop_map(Move::Source),
        1 => (3_000..50_000_u64).prop_map(Move::Pass),
        1 => (1..4_u8).prop_map(Move::PersistFails),
        2 => next_boot().prop_map(Move::NextBoot),
        2 => Just(Move::Event(Event::Update { call: CALL })),
        1 => Just(Move::Event(Event::Cancel { call: CALL })),
        1 => Just(Move::Event(Event::Proceed)),
        1 => Just(Move::Event(Event::Silent)),
        2 => Just(Move::Event(Event::Registered)),
        1 => Just(Move::Event(Event::Consent)),
        1 => Just(Move::Event(uri(""))),
        3 => Just(Move::Event(uri("coap://h/x"))),
        2 => Just(Move::Event(uri("https://h/x"))),
        1 => Just(Move::Event(uri("ftp://h/x"))),
        1 => Just(Move::Event(part(Some(102), 0, &[0], true))),
        1 => (0..3_u64).prop_map(|n| Move::Event(part(Some(102), n * 16, &[7; 16], n == 2))),
        1 => any::<bool>().prop_map(|automatic| {
            Move::Event(settings(Settings { automatic: Some(automatic), ..Settings::default() }))
        }),
    ]
}

/// The rim: what is durable, and the task that was begun last.
struct World {
    machine: Machine,
    now: u64,
    durable: Option<Record>,
    package: Option<Stored>,
    attempt: Option<Attempt>,
    /// What stands at the URI, and what the last attempt that began was at.
    published: u8,
    begun: u8,
    task: Option<Action>,
    kill_after: Option<(usize, Running, Unsynced)>,
    persist_fails: u8,
    /// What the machine has recorded last is not durable.
    is_unsaved: bool,
    boot: u32,
    /// A server has answered since the agent was started.
    is_registered: bool,
    /// The installer needed no restart, or the mark of the slot was read back.
    has_succeeded: bool,
    /// The installer was last told to have put a new system beside this one.
    is_installed: bool,
    /// What puts another system on trial, should the agent not start there.
    has_marker: bool,
    /// The question what is booted next, which is put beside other tasks.
    next_boot: Option<Ticket>,
}

impl World {
    fn new() -> Self {
        let machine = Machine::start(config_of(1), None, &found(false), &at(0)).0;
        Self {
            machine,
            now: 0,
            durable: Some(Record::default()),
            package: None,
            attempt: None,
            published: 0,
            begun: 0,
            task: None,
            kill_after: None,
            persist_fails: 0,
            is_unsaved: false,
            boot: 1,
            is_registered: false,
            has_succeeded: false,
            is_installed: false,
            has_marker: false,
            next_boot: None,
        }
    }

    fn handle(&mut self, event: Event) {
        let actions = self.machine.handle(&at(self.now), event);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        let mut place = 0;
        while let Some(action) = actions.pop_front() {
            if let Some((after, running, unsynced)) = self.kill_after.take() {
                if place >= after {
                    return self.restart(running, after, unsynced);
                }
                self.kill_after = Some((after, running, unsynced));
            }
            place += 1;
            self.check_order(&action);
            match action {
                Action::Persist(_) if self.persist_fails > 0 => {
                    self.persist_fails -= 1;
                    self.is_unsaved = true;
                    let planned = actions.len();
                    actions.retain(|action| !action.follows_record());
                    let step_left_out = actions.len() < planned;
                    let event = Event::NotRecorded { cause: "disk full".into(), step_left_out };
                    let more = self.machine.handle(&at(self.now), event);
                    more.into_iter().rev().for_each(|action| actions.push_front(action));
                }
                Action::Persist(record) => {
                    let last = self.durable.as_ref().map_or(0, |record| record.counter);
                    assert!(record.counter > last, "the counter orders records");
                    self.save(*record);
                }
                Action::Open { offset, .. } => {
                    let stored = self.package.get_or_insert_default();
                    assert!(stored.bytes.len() >= offset as usize);
                    stored.bytes.truncate(offset as usize);
                    stored.durable = offset as usize;
                    self.handle(Event::Stored(Ok(offset)));
                }
                Action::Store { offset, bytes, last, .. } => {
                    let stored = self.package.get_or_insert_default();
                    stored.bytes.truncate(offset as usize);
                    assert_eq!(stored.bytes.len(), offset as usize, "no hole");
                    stored.bytes.extend(bytes);
                    stored.durable = stored.durable.min(offset as usize);
                    if last || stored.bytes.len() - stored.durable >= SYNC_EVERY {
                        stored.durable = stored.bytes.len();
                    }
                    let durable = stored.durable as u64;
                    self.handle(Event::Stored(Ok(durable)));
                }
                Action::Fetch { ticket, uri, resume } => {
                    assert!(["coap://h/x", "https://h/x"].contains(&uri.as_str()));
                    self.attempt = Some(Attempt { ticket, resume, at: None });
                }
                Action::StopFetch => self.attempt = None,
                Action::Discard => self.package = None,
                Action::AskNextBoot(ticket) => self.next_boot = Some(ticket),
                Action::Inspect(_)
                | Action::LookUp(_)
                | Action::Install(_)
                | Action::Check(_)
                | Action::MarkGood(_)
                | Action::Reject(_) => {
                    self.check_fetched();
                    self.is_installed &= !matches!(action, Action::Install(_));
                    self.has_marker |= matches!(action, Action::Install(_));
                    self.task = Some(action);
                }
                Action::Changed { .. } | Action::Reply(..) | Action::Reboot => {}
            }
        }
        let durable = self.durable.clone().unwrap_or_default();
        assert!(self.is_unsaved || durable == *self.machine.record());
    }

    fn save(&mut self, record: Record) {
        if std::mem::take(&mut self.is_unsaved) && record.state == State::Idle {
            self.package = None;
        }
        self.has_marker &= record.keeps_marker();
        // Until then a kill brings the last success back.
        self.has_succeeded &= record.result == UpdateResult::Success;
        self.durable = Some(record);
    }

    /// What is done is recorded before.
    fn check_order(&self, action: &Action) {
        let (state, step) = match &self.durable {
            Some(record) => (record.state, record.step),
            None => (State::Idle, Step::Wanted),
        };
        match action {
            Action::Store { offset: 0, .. } => assert_eq!(state, State::Downloading),
            Action::Store { .. } => assert!(self.is_unsaved || state == State::Downloading),
            Action::Fetch { .. } => assert!(self.is_unsaved || state == State::Downloading),
            Action::Open { offset, .. } => {
                let fetch = self.durable.as_ref().and_then(|record| record.fetch.as_ref());
                assert!(fetch.is_some_and(|it| it.offset <= *offset), "what is cut is not counted");
            }
            Action::Install(_) => assert_eq!((state, step), (State::Updating, Step::Installing)),
            Action::Reboot => {
                let is_due = matches!(step, Step::Installed | Step::RollingBack);
                assert!(self.is_unsaved || (state == State::Updating && is_due), "{step:?}");
            }
            Action::Check(_) => assert!(self.is_registered),
            Action::MarkGood(_) => assert!(self.is_unsaved || step == Step::Confirming),
            Action::Reject(_) => assert!(self.is_unsaved || step == Step::RollingBack),
            Action::Discard => {
                // A new system runs, and what is there is of another package.
                let is_other = (state, step) == (State::Updating, Step::OnTrial);
                assert!(state == State::Idle || is_other, "{step:?}");
            }
            _ => {}
        }
    }

    /// What has been fetched is one package, whatever became of the attempts at it.
    fn check_fetched(&self) {
        let record = self.machine.record();
        if record.state == State::Downloading && record.fetch.is_some() {
            let stored = self.package.as_ref().unwrap();
            assert_eq!(stored.bytes, content(self.begun));
            assert_eq!(stored.durable, stored.bytes.len());
        }
    }

    fn restart(&mut self, running: Running, after: usize, unsynced: Unsynced) {
        self.task = None;
        self.next_boot = None;
        self.attempt = None;
        if let Some(Stored { bytes, durable }) = &mut self.package {
            match unsynced {
                Unsynced::Kept => {}
                Unsynced::Zeroed => bytes.iter_mut().skip(*durable).for_each(|byte| *byte = 0),
                Unsynced::Gone => bytes.truncate(*durable),
            }
        }
        self.is_unsaved = false;
        self.is_registered = false;
        let step = self.durable.as_ref().map(|record| (record.state, record.step));
        let (running, is_boot) = match step {
            // A new system runs only once one is installed.
            Some((State::Updating, Step::Installed)) => {
                let is_boot = running != Running::Same;
                (running, is_boot)
            }
            // Also if that could not be recorded.
            Some((State::Updating, Step::Installing))
                if self.is_installed && running == Running::New =>
            {
                (running, true)
            }
            Some((State::Updating, Step::OnTrial | Step::Confirming | Step::RollingBack)) => {
                match running {
                    Running::Same | Running::New => (Running::New, after == 0),
                    Running::Old | Running::Other(_) => (running, true),
                }
            }
            _ => match self.durable.as_ref().and_then(|record| record.unsettled.as_ref()) {
                // Whatever else is under way.
                Some(_) => {
                    let is_boot = running != Running::Same;
                    (running, is_boot)
                }
                None => (Running::Same, false),
            },
        };
        // OBJ-91: one that stays on trial without an end has none any more.
        let runs = [Step::OnTrial, Step::Confirming, Step::RollingBack];
        let is_known = step.is_some_and(|(_, step)| runs.contains(&step));
        assert!(
            running != Running::New || is_known || self.has_marker,
            "{step:?}: nobody would lead back"
        );
        if is_boot {
            self.is_installed &= running == Running::New;
            self.boot += 1;
            self.now = 0;
        }
        let recorded = self.durable.as_ref().and_then(|record| record.fetch.clone());
        let offset = recorded.as_ref().map_or(0, |it| it.offset);
        let has_package = self.package.as_ref().is_some_and(|it| it.bytes.len() as u64 >= offset);
        let is_streamed = self.durable.as_ref().is_some_and(|record| record.streamed);
        let found = Found { package: has_package || is_streamed, running };
        let record = self.durable.as_ref().map(|record| Record::decode(&record.encode()).unwrap());
        let (machine, actions) =
            Machine::start(config_of(self.boot), record, &found, &at(self.now));
        self.machine = machine;
        self.carry_out(actions);
        let state = self.machine.record().state;
        assert!(
            state != State::Downloading
                || self.machine.record().fetch.is_some()
                || self.machine.record().streamed,
            "a push cannot be resumed"
        );
        // OBJ-94: what is recorded is not fetched again.
        if let (Some(attempt), Some(recorded)) = (&self.attempt, recorded) {
            let durable = recorded.etag.filter(|_| recorded.offset > 0);
            let resume = durable.map(|etag| Resume { offset: recorded.offset, etag });
            assert_eq!(attempt.resume, resume);
        }
        if state == State::Idle {
            assert!(self.is_unsaved || self.package.is_none());
        }
    }

    fn source(&mut self, source: Source) {
        let end = |kind| FetchFailure::new(kind, "why");
        let Some(attempt) = &mut self.attempt else {
            self.published += u8::from(matches!(source, Source::Republishes));
            return;
        };
        let ticket = attempt.ticket;
        match (source, attempt.at) {
            (Source::Begins { has_etag, has_ranges, has_size }, None) => {
                let known = attempt.resume.take().filter(|it| it.etag == [self.published]);
                let offset = known.filter(|_| has_ranges).map_or(0, |it| it.offset);
                attempt.at = Some(offset as usize);
                self.begun = self.published;
                let etag = (has_etag || offset > 0).then(|| vec![self.published]);
                let size = has_size.then(|| content(self.published).len() as u64);
                self.handle(Event::Fetched(ticket, Fetched::Begin { offset, size, etag }));
            }
            (Source::Sends(len), Some(at)) => {
                let bytes: Vec<u8> = content(self.begun).into_iter().skip(at).take(len).collect();
                if !bytes.is_empty() {
                    attempt.at = Some(at + bytes.len());
                    self.handle(Event::Fetched(ticket, Fetched::Part(bytes)));
                }
            }
            (Source::Ends, Some(at)) if at == content(self.begun).len() => {
                self.attempt = None;
                self.handle(Event::FetchEnded(ticket, Ok(())));
            }
            (Source::Ends, _) => {
                self.attempt = None;
                self.handle(Event::FetchEnded(ticket, Err(end(FetchFailureKind::Lost))));
            }
            (Source::Fails(kind), _) => {
                self.attempt = None;
                self.handle(Event::FetchEnded(ticket, Err(end(kind))));
            }
            (Source::Republishes, _) => self.published = self.published.wrapping_add(1),
            (Source::Begins { .. }, Some(_)) | (Source::Sends(_), None) => {}
        }
    }

    fn make(&mut self, step: Move) {
        match step {
            Move::Event(event) => {
                self.is_registered |= event == Event::Registered;
                self.handle(event);
            }
            Move::Next { last } => {
                let offset = match self.machine.record().state {
                    State::Downloading => {
                        self.package.as_ref().map_or(0, |it| it.bytes.len() as u64)
                    }
                    _ => 0,
                };
                self.handle(part(Some(101), offset, &[7; 16], last));
            }
            Move::Source(source) => self.source(source),
            Move::TaskEnds { good, reason } => {
                let end = || if good { Ok(()) } else { Err("why".to_owned()) };
                let event = match self.task.take() {
                    Some(Action::Inspect(ticket)) if good => Event::Inspected(ticket, Ok(info())),
                    Some(Action::Inspect(ticket)) => Event::Inspected(ticket, Err(failure(reason))),
                    Some(Action::LookUp(ticket)) if good => {
                        let slot = Some("rootfs.0".into());
                        Event::Running(ticket, Ok(System { slot }))
                    }
                    Some(Action::LookUp(ticket)) => Event::Running(ticket, Err(failure(reason))),
                    Some(Action::Install(ticket)) if good => {
                        let end = match reason {
                            Reason::Other => Installed::Done,
                            _ => Installed::NeedsReboot(Some("rootfs.1".into())),
                        };
                        self.has_succeeded |= end == Installed::Done;
                        self.is_installed = end != Installed::Done;
                        Event::Installed(ticket, Ok(end))
                    }
                    Some(Action::Install(ticket)) => {
                        self.is_installed = reason == Reason::Unknown;
                        Event::Installed(ticket, Err(failure(reason)))
                    }
                    Some(Action::Check(ticket)) => Event::Checked(ticket, end()),
                    Some(Action::MarkGood(ticket)) => {
                        self.has_succeeded |= good;
                        self.is_installed &= !good;
                        Event::Marked(ticket, end())
                    }
                    Some(Action::Reject(ticket)) => Event::Rejected(ticket, end()),
                    _ => return,
                };
                self.handle(event);
            }
            Move::NextBoot(next) => {
                if let Some(ticket) = self.next_boot.take() {
                    self.is_installed &= next.as_ref() != Ok(&Some("rootfs.0".into()));
                    self.handle(Event::NextBoot(ticket, next));
                }
            }
            Move::PersistFails(times) => self.persist_fails = times,
            Move::Pass(seconds) => {
                self.now += seconds;
                if self.is_unsaved && self.persist_fails == 0 {
                    self.save(self.machine.record().clone());
                }
                self.handle(Event::Time);
            }
            Move::Kill { after, running, unsynced } => {
                self.kill_after = Some((after, running, unsynced));
            }
        }
        let next = self.machine.next_timeout();
        assert!(next.is_none_or(|next| next > at(self.now).boot), "nothing due is left");
        let record = self.machine.record();
        // OBJ-92
        assert!(self.has_succeeded || record.result != UpdateResult::Success, "{record:?}");
        let has_package = matches!(record.state, State::Downloaded | State::Updating);
        assert_eq!(record.package.is_some(), has_package, "{record:?}");
        let is_updating = record.state == State::Updating;
        assert!(!is_updating || record.result == UpdateResult::Initial, "{record:?}");
        assert!(
            !record.streamed || (state_has_uri(record) && record.fetch.is_none()),
            "{record:?}"
        );
        let is_fetched = record.fetch.is_some();
        assert!(!is_fetched || record.state == State::Downloading, "{record:?}");
        let fits = (record.state == State::Idle) == self.package.is_none();
        // Nothing may have come yet, or what was there was of another package.
        let runs = [Step::OnTrial, Step::Confirming, Step::RollingBack].contains(&record.step);
        let fits = fits || record.streamed || is_fetched || (is_updating && runs);
        assert!(self.is_unsaved || fits, "{record:?}");
        if let (Some(fetch), Some(stored)) = (&record.fetch, &self.package) {
            assert!(fetch.offset <= stored.durable as u64, "{record:?} counts what may go");
        }
    }
}

fn state_has_uri(record: &Record) -> bool {
    record.state != State::Idle && record.uri == "https://h/x"
}

/// A trial that a history is long enough for.
fn config_of(boot: u32) -> MachineConfig {
    let (boot, trial) = (Some(format!("boot-{boot}")), Duration::from_secs(60));
    let streams = vec![Protocol::Https];
    MachineConfig { boot, trial, streams, ..config(Delivery::Both) }
}

/// What few histories come to by themselves.
fn up_to_the_trial() -> [Move; 9] {
    let well = || Move::TaskEnds { good: true, reason: Reason::NoSpace };
    let update = || Move::Event(Event::Update { call: CALL });
    let (running, unsynced) = (Running::New, Unsynced::Gone);
    let kill = Move::Kill { after: 0, running, unsynced };
    let (next, pass) = (Move::Next { last: true }, Move::Pass(40));
    [next, well(), update(), pass, well(), well(), kill, update(), Move::Pass(1)]
}

/// Nor to this.
fn up_to_an_unknown_end() -> [Move; 6] {
    let well = || Move::TaskEnds { good: true, reason: Reason::NoSpace };
    let left = Move::TaskEnds { good: false, reason: Reason::Unknown };
    let update = Move::Event(Event::Update { call: CALL });
    [Move::Next { last: true }, well(), update, Move::Pass(40), well(), left]
}

/// What the disk of the test loses at most.
const SYNC_EVERY: usize = 100;

fn found(package: bool) -> Found {
    Found { package, running: Running::Same }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// OBJ-91, OBJ-97. Each record is one that a restart can go on from, and what is stored fits it.
    #[test]
    fn no_history_and_no_kill_leaves_the_table(
        history in proptest::collection::vec(moves(), 1..80),
        begin in 0..3,
    ) {
        let mut world = World::new();
        if begin == 1 {
            up_to_the_trial().into_iter().for_each(|step| world.make(step));
            prop_assert_eq!(world.machine.record().step, Step::OnTrial);
        }
        if begin == 2 {
            up_to_an_unknown_end().into_iter().for_each(|step| world.make(step));
            prop_assert!(world.machine.record().unsettled.is_some());
        }
        for step in history {
            world.make(step);
        }
    }
}
