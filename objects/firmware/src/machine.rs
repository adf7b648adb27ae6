//! The update as a state machine: events in, actions out, no I/O and no clock
//! (Objects 7.2).
//!
//! 1. Idle: the first part of a package opens a download, or Package URI does
//!    (`fetching`).
//! 2. Downloading: parts are stored in order; after the last one the package is
//!    checked, and its Write answered when that is done or [`ANSWER_LIMIT`] is over.
//! 3. Downloaded: Update, at once or after somebody on the device agrees.
//! 4. Updating: the answer goes out, observers are told, then the installer is called.
//!    Without a restart it ends there; else the new system is on trial (`trial`).
//! 5. Idle again, with a result; the package is gone.
//!
//! The record of a step comes before what the step does, so a restart at any point
//! finds what to go on with (`restart`).

use std::time::Duration;

use lwm2m_engine::{CallId, CallReply};
use lwm2m_model::{Instant, Now, RequestError};

use crate::download::{Chunk, Storing};
use crate::event::{Action, Event, MachineConfig, Ticket};
use crate::fetching::Fetching;
use crate::installation::Deferral;
use crate::record::{Record, State, Step, UpdateResult};
use crate::rules::{differing, not_allowed, seconds};
use crate::settling::Settling;
use crate::text::one_line;
use crate::trial::Proof;

/// The Firmware Update object without I/O.
///
/// After each event the actions are done in order; [`Event::Time`] is due at
/// [`Machine::next_timeout`].
#[derive(Debug)]
pub struct Machine {
    pub(crate) config: MachineConfig,
    pub(crate) record: Record,
    pub(crate) phase: Phase,
    pub(crate) deferral: Option<Deferral>,
    pub(crate) settling: Option<Settling>,
    ticket: Ticket,
}

/// What is under way; finer than the State.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing.
    Rest,
    /// Parts come in.
    Receiving { server: Option<u16>, next: u64, storing: Option<Storing> },
    /// Parts are fetched.
    Fetching(Fetching),
    /// The package is checked, and its last part perhaps still to be answered.
    Checking { server: Option<u16>, ticket: Ticket, answer: Option<(CallId, Instant)> },
    /// A package from before a restart is checked again.
    Rechecking(Ticket),
    /// Observers are told of State Downloaded; then the update begins by itself.
    Automatic(Instant),
    /// Observers are told of State Updating.
    Waiting(Instant),
    /// What runs is looked up, to tell it from what will.
    LookingUp(Ticket),
    /// The installer works.
    Installing(Ticket),
    /// The restart is due.
    RestartDue,
    /// The new system has yet to prove itself.
    OnTrial(Proof),
    /// Its slot is marked good; should that fail, again after the pause.
    Marking(Ticket, Duration),
    /// That has failed, and is tried again.
    MarkAgain(Instant, Duration),
    /// Its slot is marked bad.
    Rejecting(Ticket),
}

impl Machine {
    pub(crate) fn with(config: MachineConfig, record: Record) -> Self {
        Self { config, record, phase: Phase::Rest, deferral: None, settling: None, ticket: 0 }
    }

    /// What is recorded; what a server reads is in it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// When [`Event::Time`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let step = match &self.phase {
            Phase::Checking { answer: Some((_, at)), .. }
            | Phase::Automatic(at)
            | Phase::Waiting(at)
            | Phase::OnTrial(Proof::CheckAgain(at, _))
            | Phase::MarkAgain(at, _) => Some(*at),
            Phase::Fetching(fetching) => fetching.due(),
            _ => None,
        };
        let others = [self.deadline(), self.end_of_trial(), self.settling_due()];
        step.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Takes an event and says what to do about it.
    pub fn handle(&mut self, now: &Now, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Chunk { call, server, offset, bytes, last, size } => {
                let chunk = Chunk { call, server, offset, bytes, last, size };
                if let Err(error) = self.chunk(now, chunk, &mut out) {
                    out.push(Action::Reply(call, Err(error)));
                }
            }
            Event::Silent => self.silent(now, &mut out),
            Event::Write { call, uri, settings } => {
                let result = self.write(now, uri, settings, &mut out);
                out.push(Action::Reply(call, result.map(|()| CallReply::Done)));
            }
            Event::Update { call } => {
                let result = self.update(now, &mut out);
                out.push(Action::Reply(call, result));
            }
            Event::Cancel { call } => {
                let result = self.cancel(now, &mut out);
                out.push(Action::Reply(call, result.map(|()| CallReply::Done)));
            }
            Event::Proceed => {
                if let Phase::Waiting(_) = self.phase {
                    self.phase = Phase::Waiting(now.boot + INSTALL_DELAY);
                }
            }
            Event::Stored(result) => self.stored(now, result, &mut out),
            Event::Fetched(ticket, fetched) => self.fetched(now, ticket, fetched, &mut out),
            Event::FetchEnded(ticket, result) => self.fetch_ended(now, ticket, result, &mut out),
            Event::Inspected(ticket, result) => self.inspected(now, ticket, result, &mut out),
            Event::Running(ticket, system) => self.running(now, ticket, system, &mut out),
            Event::Installed(ticket, result) => self.installed(now, ticket, result, &mut out),
            Event::NextBoot(ticket, next) => self.next_boot(now, ticket, next, &mut out),
            Event::Consent => {
                if self.deferral.is_some() {
                    self.begin_update(now, INSTALL_DELAY, &mut out);
                }
            }
            Event::Registered => self.registered(&mut out),
            Event::Checked(ticket, result) => self.checked(now, ticket, result, &mut out),
            Event::Marked(ticket, result) => self.marked(now, ticket, result, &mut out),
            Event::Rejected(ticket, _) => {
                // A boot loader that counts tries comes back to the old system by itself.
                if self.phase == Phase::Rejecting(ticket) {
                    self.phase = Phase::RestartDue;
                    out.push(Action::Reboot);
                }
            }
            Event::NotRecorded { cause, step_left_out } => {
                self.not_recorded(now, cause, step_left_out, &mut out);
            }
            Event::Time => {}
        }
        self.due(now, &mut out);
        out
    }

    pub(crate) fn cancel(&mut self, now: &Now, out: &mut Vec<Action>) -> Refusal {
        match self.record.state {
            State::Idle => Err(not_allowed("there is nothing to cancel")),
            State::Updating => Err(not_allowed("an update is under way")),
            State::Downloading | State::Downloaded => {
                self.reset(now, UpdateResult::Cancelled, out);
                Ok(())
            }
        }
    }

    pub(crate) fn check_not_updating(&self) -> Refusal {
        match self.record.state {
            State::Updating => Err(not_allowed("an update is under way")),
            State::Idle | State::Downloading | State::Downloaded => Ok(()),
        }
    }

    /// Does what the time has come for.
    pub(crate) fn due(&mut self, now: &Now, out: &mut Vec<Action>) {
        match self.phase.clone() {
            Phase::Checking { server, ticket, answer: Some((call, at)) } if at <= now.boot => {
                self.phase = Phase::Checking { server, ticket, answer: None };
                out.push(Action::Reply(call, Ok(CallReply::Done)));
            }
            Phase::Fetching(fetching) if fetching.due().is_some_and(|at| at <= now.boot) => {
                self.attempt(fetching, out);
            }
            Phase::Automatic(at) if at <= now.boot => {
                self.phase = Phase::Rest;
                if self.may_defer() {
                    self.defer(now, out);
                } else {
                    self.begin_update(now, INSTALL_DELAY, out);
                }
            }
            Phase::Waiting(at) if at <= now.boot => {
                let ticket = self.next_ticket();
                self.phase = Phase::LookingUp(ticket);
                out.push(Action::LookUp(ticket));
            }
            _ => {}
        }
        if self.deadline().is_some_and(|deadline| deadline <= now.boot) {
            self.begin_update(now, INSTALL_DELAY, out);
        }
        self.settle_due(now, out);
        self.trial_due(now, out);
    }

    /// Idle by the wish of a server: nothing is left, not even the URI.
    pub(crate) fn reset(&mut self, now: &Now, result: UpdateResult, out: &mut Vec<Action>) {
        self.abandon_check(out);
        self.go_idle(now, result, None, out, |record| record.uri.clear());
    }

    /// Idle with a result; the package is removed.
    pub(crate) fn end(
        &mut self,
        now: &Now,
        result: UpdateResult,
        cause: Option<String>,
        out: &mut Vec<Action>,
    ) {
        self.go_idle(now, result, cause, out, |_| {});
    }

    pub(crate) fn go_idle(
        &mut self,
        now: &Now,
        result: UpdateResult,
        cause: Option<String>,
        out: &mut Vec<Action>,
        also: impl FnOnce(&mut Record),
    ) {
        let had_package = self.record.state != State::Idle;
        if let Phase::Fetching(fetching) = &self.phase {
            out.extend(fetching.ticket().map(|_| Action::StopFetch));
        }
        self.phase = Phase::Rest;
        self.deferral = None;
        self.commit(now, cause, out, |record| {
            also(record);
            record.state = State::Idle;
            record.result = result;
            record.package = None;
            record.fetch = None;
            record.streamed = false;
            record.deferred_at = None;
            record.step = Step::Wanted;
            record.attempts = 0;
            record.restarts = 0;
            if record.unsettled.is_none() {
                record.slot = None;
                record.target = None;
                record.boot = None;
            }
        });
        if had_package {
            out.push(Action::Discard);
        }
        self.settle(out);
    }

    /// Changes the record, and says so if anything differs then.
    pub(crate) fn commit(
        &mut self,
        now: &Now,
        cause: Option<String>,
        out: &mut Vec<Action>,
        change: impl FnOnce(&mut Record),
    ) {
        let before = self.record.clone();
        let cause = cause.as_deref().map(one_line);
        let record = &mut self.record;
        change(record);
        if cause.is_some() || record.result != before.result {
            record.cause.clone_from(&cause);
        }
        if record.state != before.state {
            record.changed_at = seconds(now).or(record.changed_at);
        }
        if *record == before {
            return;
        }
        record.counter += 1;
        out.push(Action::Persist(Box::new(record.clone())));
        let resources = differing(&before, record);
        if !resources.is_empty() || cause.is_some() {
            out.push(Action::Changed { resources, cause });
        }
    }

    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.ticket = self.ticket.wrapping_add(1);
        self.ticket
    }
}

pub(crate) type Refusal = Result<(), RequestError>;

/// The last part of a package is answered at the latest after so long, checked or not:
/// servers and the host of the object wait no longer.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// From the answer to Update, or from the notification of a State, to what comes next,
/// so that observers see the State.
pub const INSTALL_DELAY: Duration = Duration::from_secs(1);
/// How long the answer to Update may take to go out.
pub const PROCEED_LIMIT: Duration = Duration::from_secs(30);
