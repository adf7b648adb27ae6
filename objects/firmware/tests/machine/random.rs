//! Random histories, with the agent killed between any two actions, and records that
//! cannot be written.

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_firmware::{
    Action, Delivery, Event, Found, Installed, Machine, MachineConfig, Reason, Record, Running,
    Settings, State, Step, System, UpdateResult,
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
    /// The task that was begun last ends so.
    TaskEnds {
        good: bool,
        reason: Reason,
    },
    /// Time passes.
    Pass(u64),
    /// The record cannot be written, the next so many times.
    PersistFails(u8),
    /// The agent is killed before action `after` of what comes next, and starts again.
    Kill {
        after: usize,
        running: Running,
    },
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::NoSpace),
        Just(Reason::Integrity),
        Just(Reason::Refused),
        Just(Reason::Unsupported),
        Just(Reason::Other),
        Just(Reason::Unavailable),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
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
        2 => (0..4_usize, running).prop_map(|(after, running)| Move::Kill { after, running }),
        1 => (1..4_u8).prop_map(Move::PersistFails),
        2 => Just(Move::Event(Event::Update { call: CALL })),
        1 => Just(Move::Event(Event::Cancel { call: CALL })),
        1 => Just(Move::Event(Event::Proceed)),
        1 => Just(Move::Event(Event::Silent)),
        2 => Just(Move::Event(Event::Registered)),
        1 => Just(Move::Event(Event::Consent)),
        1 => Just(Move::Event(uri(""))),
        1 => Just(Move::Event(uri("coap://h/x"))),
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
    /// Bytes of the package that is stored.
    package: Option<u64>,
    task: Option<Action>,
    kill_after: Option<(usize, Running)>,
    persist_fails: u8,
    /// What the machine has recorded last is not durable.
    is_unsaved: bool,
    boot: u32,
    /// A server has answered since the agent was started.
    is_registered: bool,
    /// The installer needed no restart, or the mark of the slot was read back.
    has_succeeded: bool,
}

impl World {
    fn new() -> Self {
        let machine = Machine::start(config_of(1), None, &found(false), &at(0)).0;
        Self {
            machine,
            now: 0,
            durable: Some(Record::default()),
            package: None,
            task: None,
            kill_after: None,
            persist_fails: 0,
            is_unsaved: false,
            boot: 1,
            is_registered: false,
            has_succeeded: false,
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
            if let Some((after, running)) = self.kill_after.take() {
                if place >= after {
                    return self.restart(running, after);
                }
                self.kill_after = Some((after, running));
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
                Action::Store { offset, bytes, .. } => {
                    self.package = Some(offset + bytes.len() as u64);
                    self.handle(Event::Stored(Ok(())));
                }
                Action::Discard => self.package = None,
                Action::Inspect(_)
                | Action::LookUp(_)
                | Action::Install(_)
                | Action::Check(_)
                | Action::MarkGood(_)
                | Action::Reject(_) => self.task = Some(action),
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
            // One that is not recorded is removed after a restart.
            Action::Store { .. } => assert!(self.is_unsaved || state == State::Downloading),
            Action::Install(_) => assert_eq!((state, step), (State::Updating, Step::Installing)),
            Action::Reboot => {
                let is_due = matches!(step, Step::Installed | Step::RollingBack);
                assert!(self.is_unsaved || (state == State::Updating && is_due), "{step:?}");
            }
            Action::Check(_) => assert!(self.is_registered),
            Action::MarkGood(_) => assert!(self.is_unsaved || step == Step::Confirming),
            Action::Reject(_) => assert!(self.is_unsaved || step == Step::RollingBack),
            Action::Discard => assert_eq!(state, State::Idle),
            _ => {}
        }
    }

    fn restart(&mut self, running: Running, after: usize) {
        self.task = None;
        self.is_unsaved = false;
        self.is_registered = false;
        let step = self.durable.as_ref().map(|record| (record.state, record.step));
        let (running, is_boot) = match step {
            // A new system runs only once one is installed.
            Some((State::Updating, Step::Installed)) => {
                let is_boot = running != Running::Same;
                (running, is_boot)
            }
            Some((State::Updating, Step::OnTrial | Step::Confirming | Step::RollingBack)) => {
                match running {
                    Running::Same | Running::New => (Running::New, after == 0),
                    Running::Old | Running::Other(_) => (running, true),
                }
            }
            _ => (Running::Same, false),
        };
        if is_boot {
            self.boot += 1;
            self.now = 0;
        }
        let found = Found { package: self.package.is_some(), running };
        let record = self.durable.as_ref().map(|record| Record::decode(&record.encode()).unwrap());
        let (machine, actions) =
            Machine::start(config_of(self.boot), record, &found, &at(self.now));
        self.machine = machine;
        self.carry_out(actions);
        let state = self.machine.record().state;
        assert_ne!(state, State::Downloading, "a push cannot be resumed");
        if state == State::Idle {
            assert!(self.is_unsaved || self.package.is_none());
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
                    State::Downloading => self.package.unwrap_or_default(),
                    _ => 0,
                };
                self.handle(part(Some(101), offset, &[7; 16], last));
            }
            Move::TaskEnds { good, reason } => {
                let end = || if good { Ok(()) } else { Err("why".to_owned()) };
                let event = match self.task.take() {
                    Some(Action::Inspect(ticket)) if good => Event::Inspected(ticket, Ok(info())),
                    Some(Action::Inspect(ticket)) => Event::Inspected(ticket, Err(failure(reason))),
                    Some(Action::LookUp(ticket)) => Event::Running(ticket, Ok(System::default())),
                    Some(Action::Install(ticket)) if good => {
                        let end = match reason {
                            Reason::Other => Installed::Done,
                            _ => Installed::NeedsReboot(Some("rootfs.1".into())),
                        };
                        self.has_succeeded |= end == Installed::Done;
                        Event::Installed(ticket, Ok(end))
                    }
                    Some(Action::Install(ticket)) => Event::Installed(ticket, Err(failure(reason))),
                    Some(Action::Check(ticket)) => Event::Checked(ticket, end()),
                    Some(Action::MarkGood(ticket)) => {
                        self.has_succeeded |= good;
                        Event::Marked(ticket, end())
                    }
                    Some(Action::Reject(ticket)) => Event::Rejected(ticket, end()),
                    _ => return,
                };
                self.handle(event);
            }
            Move::PersistFails(times) => self.persist_fails = times,
            Move::Pass(seconds) => {
                self.now += seconds;
                if self.is_unsaved && self.persist_fails == 0 {
                    self.save(self.machine.record().clone());
                }
                self.handle(Event::Time);
            }
            Move::Kill { after, running } => self.kill_after = Some((after, running)),
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
        let fits = (record.state == State::Idle) == self.package.is_none();
        assert!(self.is_unsaved || fits, "{record:?}");
    }
}

/// A trial that a history is long enough for.
fn config_of(boot: u32) -> MachineConfig {
    let (boot, trial) = (Some(format!("boot-{boot}")), Duration::from_secs(60));
    MachineConfig { boot, trial, ..config(Delivery::Both) }
}

/// What few histories come to by themselves.
fn up_to_the_trial() -> [Move; 9] {
    let well = || Move::TaskEnds { good: true, reason: Reason::NoSpace };
    let update = || Move::Event(Event::Update { call: CALL });
    let kill = Move::Kill { after: 0, running: Running::New };
    let (next, pass) = (Move::Next { last: true }, Move::Pass(40));
    [next, well(), update(), pass, well(), well(), kill, update(), Move::Pass(1)]
}

fn found(package: bool) -> Found {
    Found { package, running: Running::Same }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// OBJ-91, OBJ-97. Each record is one that a restart can go on from, and what is stored fits it.
    #[test]
    fn no_history_and_no_kill_leaves_the_table(
        history in proptest::collection::vec(moves(), 1..60),
        begins_on_trial in any::<bool>(),
    ) {
        let mut world = World::new();
        if begins_on_trial {
            up_to_the_trial().into_iter().for_each(|step| world.make(step));
            prop_assert_eq!(world.machine.record().step, Step::OnTrial);
        }
        for step in history {
            world.make(step);
        }
    }
}
