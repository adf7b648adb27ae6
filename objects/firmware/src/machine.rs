//! The update as a state machine: events in, actions out, no I/O and no clock
//! (Objects 7.2).
//!
//! 1. Idle: the first part of a package opens a download.
//! 2. Downloading: parts are stored in order; after the last one the package is
//!    checked, and its Write answered when that is done or [`ANSWER_LIMIT`] is over.
//! 3. Downloaded: Update, at once or after somebody on the device agrees.
//! 4. Updating: the answer goes out, observers are told, then the installer is called.
//!    Without a restart it ends there; else the record waits for the new system.
//! 5. Idle again, with a result; the package is gone.
//!
//! The record of a step comes before what the step does, so a restart at any point
//! finds what to go on with (`restart`).

use std::time::Duration;

use lwm2m_engine::{CallId, CallReply};
use lwm2m_model::{Code, Instant, Now, RequestError};

use crate::event::{Action, Delivery, Event, Failure, Installed, PackageInfo, Reason, Settings};
use crate::event::{MachineConfig, System, Ticket};
use crate::record::{Record, State, Step, UpdateResult};
use crate::rules::{differing, not_allowed, refusal_of, result_of, scheme, seconds};

/// The Firmware Update object without I/O.
///
/// After each event the actions are done in order; [`Event::Time`] is due at
/// [`Machine::next_timeout`].
#[derive(Debug)]
pub struct Machine {
    pub(crate) config: MachineConfig,
    pub(crate) record: Record,
    pub(crate) phase: Phase,
    deferral: Option<Deferral>,
    ticket: Ticket,
}

/// What is under way; finer than the State.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing.
    Rest,
    /// Parts come in.
    Receiving { server: Option<u16>, next: u64, storing: Option<Storing> },
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
    OnTrial,
}

/// A part that is being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storing {
    call: CallId,
    len: u64,
    last: bool,
}

/// How long an update has been put off.
#[derive(Debug, Clone, Copy)]
struct Deferral {
    since: Instant,
    /// Before this boot.
    before: Duration,
}

impl Machine {
    pub(crate) fn with(config: MachineConfig, record: Record) -> Self {
        Self { config, record, phase: Phase::Rest, deferral: None, ticket: 0 }
    }

    /// What is recorded; what a server reads is in it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// How packages come.
    pub fn delivery(&self) -> Delivery {
        self.config.delivery
    }

    /// When [`Event::Time`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let step = match self.phase {
            Phase::Checking { answer: Some((_, at)), .. }
            | Phase::Automatic(at)
            | Phase::Waiting(at) => Some(at),
            _ => None,
        };
        step.into_iter().chain(self.deadline()).min()
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
            Event::Inspected(ticket, result) => self.inspected(now, ticket, result, &mut out),
            Event::Running(ticket, system) => self.running(now, ticket, system, &mut out),
            Event::Installed(ticket, result) => self.installed(now, ticket, result, &mut out),
            Event::Consent => {
                if self.deferral.is_some() {
                    self.begin_update(now, INSTALL_DELAY, &mut out);
                }
            }
            Event::Confirmed => {
                if self.phase == Phase::OnTrial {
                    self.end(now, UpdateResult::Success, None, &mut out);
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

    fn chunk(&mut self, now: &Now, chunk: Chunk, out: &mut Vec<Action>) -> Refusal {
        let is_whole = chunk.offset == 0 && chunk.last;
        if is_whole && chunk.bytes.is_empty() {
            return Err(RequestError::new(Code::BAD_REQUEST, "the package is empty"));
        }
        if is_whole && chunk.bytes == [0] {
            self.check_not_updating()?;
            self.reset(now, UpdateResult::Initial, out);
            out.push(Action::Reply(chunk.call, Ok(CallReply::Done)));
            return Ok(());
        }
        let starts = chunk.offset == 0;
        match (self.record.state, &self.phase) {
            (State::Idle, _) if starts => {
                self.commit(now, None, out, |record| {
                    record.state = State::Downloading;
                    record.result = UpdateResult::Initial;
                });
            }
            (
                State::Downloading,
                Phase::Receiving { server, .. } | Phase::Checking { server, .. },
            ) if starts && *server != chunk.server => {
                return Err(not_allowed("the package of another server is under way"));
            }
            // Also when all of it is there already: the same once more does no harm.
            (State::Downloading, _) if starts => self.abandon_check(out),
            (State::Downloading, Phase::Receiving { server, next, .. })
                if *server == chunk.server && *next == chunk.offset => {}
            (State::Downloaded, _) if starts => {
                return Err(not_allowed("a package is there already"));
            }
            (State::Updating, _) if starts => return Err(not_allowed("an update is under way")),
            _ => {
                let reason = "what came before this part is no longer here";
                return Err(RequestError::new(Code::REQUEST_ENTITY_INCOMPLETE, reason));
            }
        }
        let Chunk { call, server, offset, bytes, last, size } = chunk;
        let storing = Some(Storing { call, len: bytes.len() as u64, last });
        self.phase = Phase::Receiving { server, next: offset, storing };
        out.push(Action::Store { offset, bytes, last, size });
        Ok(())
    }

    fn stored(&mut self, now: &Now, result: Result<(), Failure>, out: &mut Vec<Action>) {
        let Phase::Receiving { server, next, storing } = &mut self.phase else { return };
        let server = *server;
        let Some(Storing { call, len, last }) = storing.take() else { return };
        match result {
            Ok(()) if last => {
                let ticket = self.next_ticket();
                let answer = Some((call, now.boot + ANSWER_LIMIT));
                self.phase = Phase::Checking { server, ticket, answer };
                out.push(Action::Inspect(ticket));
            }
            Ok(()) => {
                *next += len;
                out.push(Action::Reply(call, Ok(CallReply::Done)));
            }
            Err(failure) => {
                // After the last part only the result tells of it (Objects 7.1).
                let reply = if last { Ok(CallReply::Done) } else { Err(refusal_of(&failure)) };
                self.end(now, result_of(failure.reason), Some(failure.cause), out);
                out.push(Action::Reply(call, reply));
            }
        }
    }

    fn inspected(
        &mut self,
        now: &Now,
        ticket: Ticket,
        result: Result<PackageInfo, Failure>,
        out: &mut Vec<Action>,
    ) {
        match self.phase.clone() {
            Phase::Checking { ticket: own, .. } if own == ticket => match result {
                Ok(info) => {
                    self.commit(now, None, out, |record| {
                        record.state = State::Downloaded;
                        record.result = UpdateResult::Initial;
                        record.package = Some(info);
                    });
                    self.abandon_check(out);
                    if self.record.automatic {
                        self.phase = Phase::Automatic(now.boot + INSTALL_DELAY);
                    }
                }
                Err(failure) => {
                    self.abandon_check(out);
                    let replies = std::mem::take(out);
                    self.end(now, result_of(failure.reason), Some(failure.cause), out);
                    // The record first, also of what is bad.
                    out.extend(replies);
                }
            },
            Phase::Rechecking(own) if own == ticket => {
                self.phase = Phase::Rest;
                match result {
                    Ok(info) => {
                        self.commit(now, None, out, |record| record.package = Some(info));
                        if self.record.automatic && self.record.result == UpdateResult::Initial {
                            self.phase = Phase::Automatic(now.boot + INSTALL_DELAY);
                        }
                    }
                    Err(Failure { reason: Reason::Integrity, cause }) => {
                        self.end(now, UpdateResult::Integrity, Some(cause), out);
                    }
                    // It was good once: the installer will look at it again.
                    Err(_) => {}
                }
            }
            _ => {}
        }
    }

    fn update(&mut self, now: &Now, out: &mut Vec<Action>) -> lwm2m_engine::CallResult {
        if self.record.state != State::Downloaded {
            return Err(not_allowed("no package is there to be installed"));
        }
        if self.deferral.is_some() {
            return Ok(CallReply::Done);
        }
        if self.may_defer() {
            self.defer(now, out);
            return Ok(CallReply::Done);
        }
        self.begin_update(now, PROCEED_LIMIT, out);
        Ok(CallReply::AfterAnswer)
    }

    fn cancel(&mut self, now: &Now, out: &mut Vec<Action>) -> Refusal {
        match self.record.state {
            State::Idle => Err(not_allowed("there is nothing to cancel")),
            State::Updating => Err(not_allowed("an update is under way")),
            State::Downloading | State::Downloaded => {
                self.reset(now, UpdateResult::Cancelled, out);
                Ok(())
            }
        }
    }

    fn write(
        &mut self,
        now: &Now,
        uri: Option<String>,
        settings: Settings,
        out: &mut Vec<Action>,
    ) -> Refusal {
        if settings.severity.is_some_and(|severity| severity > MAX_SEVERITY) {
            return Err(RequestError::new(Code::BAD_REQUEST, "Severity is 0 to 2"));
        }
        if let Some(uri) = &uri {
            self.check_uri(uri)?;
        }
        let before = self.record.clone();
        match uri {
            None => {}
            Some(uri) if uri.is_empty() => self.reset(now, UpdateResult::Initial, out),
            Some(uri) => {
                let (result, cause) = match scheme(&uri) {
                    None => (UpdateResult::InvalidUri, "Package URI is no URI with a host".into()),
                    Some(scheme) => {
                        let cause = format!("Package URI has the scheme {scheme}");
                        (UpdateResult::UnsupportedScheme, cause)
                    }
                };
                self.commit(now, Some(cause), out, |record| {
                    record.result = result;
                    record.uri = uri;
                });
            }
        }
        self.commit(now, None, out, |record| {
            record.severity = settings.severity.unwrap_or(before.severity);
            record.max_defer = settings.max_defer.or(before.max_defer);
            record.automatic = settings.automatic.unwrap_or(before.automatic);
        });
        Ok(())
    }

    /// The rows of Package URI that refuse the Write itself.
    fn check_uri(&self, uri: &str) -> Refusal {
        if uri.len() > MAX_URI {
            return Err(RequestError::new(Code::BAD_REQUEST, "Package URI is too long"));
        }
        if uri.is_empty() {
            return self.check_not_updating();
        }
        match (self.config.delivery, self.record.state) {
            (Delivery::Push, _) => Err(not_allowed("packages can only be pushed")),
            (Delivery::Both, State::Idle) => Ok(()),
            (Delivery::Both, _) => Err(not_allowed("another package is under way")),
        }
    }

    fn check_not_updating(&self) -> Refusal {
        match self.record.state {
            State::Updating => Err(not_allowed("an update is under way")),
            State::Idle | State::Downloading | State::Downloaded => Ok(()),
        }
    }

    fn silent(&mut self, now: &Now, out: &mut Vec<Action>) {
        if let Phase::Receiving { next, .. } = self.phase {
            let cause = format!("no part came after byte {next}");
            self.end(now, UpdateResult::ConnectionLost, Some(cause), out);
        }
    }

    fn running(
        &mut self,
        now: &Now,
        ticket: Ticket,
        system: Result<System, Failure>,
        out: &mut Vec<Action>,
    ) {
        if self.phase != Phase::LookingUp(ticket) {
            return;
        }
        let system = match system {
            Ok(system) => system,
            Err(failure) => return self.fail_update(now, failure.cause, out),
        };
        let boot = self.config.boot.clone();
        self.commit(now, None, out, |record| {
            record.step = Step::Installing;
            record.attempts = record.attempts.saturating_add(1);
            record.slot = system.slot;
            record.boot = boot;
        });
        let ticket = self.next_ticket();
        self.phase = Phase::Installing(ticket);
        out.push(Action::Install(ticket));
    }

    fn installed(
        &mut self,
        now: &Now,
        ticket: Ticket,
        result: Result<Installed, Failure>,
        out: &mut Vec<Action>,
    ) {
        if self.phase != Phase::Installing(ticket) {
            return;
        }
        match result {
            Ok(Installed::Done) => self.end(now, UpdateResult::Success, None, out),
            Ok(Installed::NeedsReboot) => {
                self.restart(now, out);
            }
            Err(Failure { reason: Reason::Integrity, cause }) => {
                self.end(now, UpdateResult::Integrity, Some(cause), out);
            }
            Err(Failure { reason: Reason::Unsupported, cause }) => {
                self.end(now, UpdateResult::Failed, Some(cause), out);
            }
            Err(failure) => self.fail_update(now, failure.cause, out),
        }
    }

    /// The update failed, the package is as good as it was.
    pub(crate) fn fail_update(&mut self, now: &Now, cause: String, out: &mut Vec<Action>) {
        self.phase = Phase::Rest;
        self.commit(now, Some(cause), out, |record| {
            record.state = State::Downloaded;
            record.result = UpdateResult::Failed;
            record.step = Step::Wanted;
            record.attempts = 0;
        });
    }

    /// Does what the time has come for.
    pub(crate) fn due(&mut self, now: &Now, out: &mut Vec<Action>) {
        match self.phase.clone() {
            Phase::Checking { server, ticket, answer: Some((call, at)) } if at <= now.boot => {
                self.phase = Phase::Checking { server, ticket, answer: None };
                out.push(Action::Reply(call, Ok(CallReply::Done)));
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
    }

    /// State Updating; the installer is called after `delay`, or [`INSTALL_DELAY`]
    /// after the answer is out.
    pub(crate) fn begin_update(&mut self, now: &Now, delay: Duration, out: &mut Vec<Action>) {
        self.deferral = None;
        self.phase = Phase::Waiting(now.boot + delay);
        self.commit(now, None, out, |record| {
            record.state = State::Updating;
            record.result = UpdateResult::Initial;
            record.step = Step::Wanted;
            record.attempts = 0;
            record.restarts = 0;
            record.deferred_at = None;
        });
    }

    /// True if somebody on the device may put the update off (Objects 7.2).
    fn may_defer(&self) -> bool {
        let is_critical = self.record.severity == 0;
        self.config.deferral.is_some() && !is_critical && self.record.max_defer != Some(0)
    }

    fn defer(&mut self, now: &Now, out: &mut Vec<Action>) {
        self.phase = Phase::Rest;
        self.deferral = Some(Deferral { since: now.boot, before: Duration::ZERO });
        self.commit(now, None, out, |record| {
            record.result = UpdateResult::Deferred;
            record.deferred_at = seconds(now);
        });
    }

    /// Goes on with a deferral of before a restart.
    pub(crate) fn resume_deferral(&mut self, now: &Now) {
        let passed = self.record.deferred_at.zip(seconds(now)).map(|(at, now)| now - at);
        let before = Duration::from_secs(passed.and_then(|it| it.try_into().ok()).unwrap_or(0));
        self.deferral = Some(Deferral { since: now.boot, before });
    }

    /// When an update that was put off begins by itself.
    fn deadline(&self) -> Option<Instant> {
        let Deferral { since, before } = self.deferral?;
        let period = self.record.max_defer.map(Duration::from_secs).or(self.config.deferral)?;
        Some(since + period.saturating_sub(before))
    }

    /// Idle by the wish of a server: nothing is left, not even the URI.
    fn reset(&mut self, now: &Now, result: UpdateResult, out: &mut Vec<Action>) {
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

    fn go_idle(
        &mut self,
        now: &Now,
        result: UpdateResult,
        cause: Option<String>,
        out: &mut Vec<Action>,
        also: impl FnOnce(&mut Record),
    ) {
        let had_package = self.record.state != State::Idle;
        self.phase = Phase::Rest;
        self.deferral = None;
        self.commit(now, cause, out, |record| {
            record.state = State::Idle;
            record.result = result;
            record.package = None;
            record.deferred_at = None;
            record.step = Step::Wanted;
            record.attempts = 0;
            record.slot = None;
            record.boot = None;
            record.restarts = 0;
            also(record);
        });
        if had_package {
            out.push(Action::Discard);
        }
    }

    /// Ends a check, if one is under way; its Write has done what it could.
    fn abandon_check(&mut self, out: &mut Vec<Action>) {
        if let Phase::Checking { answer, .. } = self.phase {
            self.phase = Phase::Rest;
            out.extend(answer.map(|(call, _)| Action::Reply(call, Ok(CallReply::Done))));
        }
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
        let record = &mut self.record;
        change(record);
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

/// A part of a package, as it comes.
struct Chunk {
    call: CallId,
    server: Option<u16>,
    offset: u64,
    bytes: Vec<u8>,
    last: bool,
    size: Option<u64>,
}

type Refusal = Result<(), RequestError>;

/// The last part of a package is answered at the latest after so long, checked or not:
/// servers and the host of the object wait no longer.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// From the answer to Update, or from the notification of a State, to what comes next,
/// so that observers see the State.
pub const INSTALL_DELAY: Duration = Duration::from_secs(1);
/// How long the answer to Update may take to go out.
pub const PROCEED_LIMIT: Duration = Duration::from_secs(30);
const MAX_SEVERITY: u8 = 2;
/// Bytes of a Package URI.
const MAX_URI: usize = 255;
