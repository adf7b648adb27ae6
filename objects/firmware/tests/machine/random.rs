//! Random histories, with the agent killed between any two actions, and records that
//! cannot be written.

use std::collections::VecDeque;

use lwm2m_firmware::{
    Action, Delivery, Event, Found, Installed, Machine, Reason, Record, Running, Settings, State,
    Step, System, UpdateResult,
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
    let running = prop_oneof![Just(Running::Same), Just(Running::New), Just(Running::Old)];
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
        1 => Just(Move::Event(Event::Confirmed)),
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
}

impl World {
    fn new() -> Self {
        let machine = Machine::start(config(Delivery::Both), None, &found(false), &at(0)).0;
        Self {
            machine,
            now: 0,
            durable: Some(Record::default()),
            package: None,
            task: None,
            kill_after: None,
            persist_fails: 0,
            is_unsaved: false,
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
                    return self.restart(running);
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
                Action::Inspect(_) | Action::LookUp(_) | Action::Install(_) => {
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
            Action::Reboot => assert_eq!((state, step), (State::Updating, Step::Installed)),
            Action::Discard => assert_eq!(state, State::Idle),
            _ => {}
        }
    }

    fn restart(&mut self, running: Running) {
        self.task = None;
        self.is_unsaved = false;
        // A new system runs only once one is installed.
        let step = self.durable.as_ref().map(|record| (record.state, record.step));
        let running = match step {
            Some((State::Updating, Step::Installed | Step::OnTrial)) => running,
            _ => Running::Same,
        };
        let found = Found { package: self.package.is_some(), running };
        let record = self.durable.as_ref().map(|record| Record::decode(&record.encode()).unwrap());
        let (machine, actions) =
            Machine::start(config(Delivery::Both), record, &found, &at(self.now));
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
            Move::Event(event) => self.handle(event),
            Move::Next { last } => {
                let offset = match self.machine.record().state {
                    State::Downloading => self.package.unwrap_or_default(),
                    _ => 0,
                };
                self.handle(part(Some(101), offset, &[7; 16], last));
            }
            Move::TaskEnds { good, reason } => {
                let event = match self.task.take() {
                    Some(Action::Inspect(ticket)) if good => Event::Inspected(ticket, Ok(info())),
                    Some(Action::Inspect(ticket)) => Event::Inspected(ticket, Err(failure(reason))),
                    Some(Action::LookUp(ticket)) => Event::Running(ticket, Ok(System::default())),
                    Some(Action::Install(ticket)) if good => {
                        let end = match reason {
                            Reason::Other => Installed::Done,
                            _ => Installed::NeedsReboot,
                        };
                        Event::Installed(ticket, Ok(end))
                    }
                    Some(Action::Install(ticket)) => Event::Installed(ticket, Err(failure(reason))),
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
        let has_package = matches!(record.state, State::Downloaded | State::Updating);
        assert_eq!(record.package.is_some(), has_package, "{record:?}");
        let is_updating = record.state == State::Updating;
        assert!(!is_updating || record.result == UpdateResult::Initial, "{record:?}");
        let fits = (record.state == State::Idle) == self.package.is_none();
        assert!(self.is_unsaved || fits, "{record:?}");
    }
}

fn found(package: bool) -> Found {
    Found { package, running: Running::Same }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// OBJ-91, OBJ-97. Each record is one that a restart can go on from, and what is stored fits it.
    #[test]
    fn no_history_and_no_kill_leaves_the_table(history in proptest::collection::vec(moves(), 1..60)) {
        let mut world = World::new();
        for step in history {
            world.make(step);
        }
    }
}
