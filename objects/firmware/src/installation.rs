//! A package is installed, now or when somebody on the device agrees (Objects 7.2, the
//! columns Downloaded and Updating).

use std::time::Duration;

use lwm2m_engine::{CallReply, CallResult};
use lwm2m_model::{Instant, Now};

use crate::event::{Action, Failure, Installed, Reason, System, Ticket};
use crate::machine::{Machine, PROCEED_LIMIT, Phase};
use crate::record::{Record, State, Step, UpdateResult};
use crate::rules::{not_allowed, seconds};

/// How long an update has been put off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deferral {
    since: Instant,
    /// Before this boot.
    before: Duration,
}

impl Machine {
    pub(crate) fn update(&mut self, now: &Now, out: &mut Vec<Action>) -> CallResult {
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

    pub(crate) fn running(
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
            record.target = None;
            record.boot = boot;
        });
        let ticket = self.next_ticket();
        self.phase = Phase::Installing(ticket);
        out.push(Action::Install(ticket));
    }

    pub(crate) fn installed(
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
            Ok(Installed::Done) => {
                self.go_idle(now, UpdateResult::Success, None, out, |it| it.unsettled = None);
            }
            Ok(Installed::NeedsReboot(target)) => self.restart(now, target, out),
            Err(Failure { reason: Reason::Integrity, cause }) => {
                self.end(now, UpdateResult::Integrity, Some(cause), out);
            }
            Err(Failure { reason: Reason::Unsupported, cause }) => {
                self.end(now, UpdateResult::Failed, Some(cause), out);
            }
            Err(Failure { reason: Reason::Unknown, cause }) => {
                self.fail_update_with(now, cause, out, Self::unsettle);
            }
            Err(failure) => self.fail_update(now, failure.cause, out),
        }
    }

    /// The update failed, the package is as good as it was.
    pub(crate) fn fail_update(&mut self, now: &Now, cause: String, out: &mut Vec<Action>) {
        self.fail_update_with(now, cause, out, |_| {});
    }

    pub(crate) fn fail_update_with(
        &mut self,
        now: &Now,
        cause: String,
        out: &mut Vec<Action>,
        also: impl FnOnce(&mut Record),
    ) {
        self.phase = Phase::Rest;
        self.commit(now, Some(cause), out, |record| {
            record.state = State::Downloaded;
            record.result = UpdateResult::Failed;
            record.step = Step::Wanted;
            record.attempts = 0;
            also(record);
        });
        self.settle(out);
    }

    /// State Updating; the installer is called after `delay`, or [`crate::INSTALL_DELAY`]
    /// after the answer is out.
    pub(crate) fn begin_update(&mut self, now: &Now, delay: Duration, out: &mut Vec<Action>) {
        self.deferral = None;
        self.settling = None;
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
    pub(crate) fn may_defer(&self) -> bool {
        let is_critical = self.record.severity == 0;
        self.config.deferral.is_some() && !is_critical && self.record.max_defer != Some(0)
    }

    pub(crate) fn defer(&mut self, now: &Now, out: &mut Vec<Action>) {
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

    /// When an update that was put off begins by itself: at once where nobody may put it
    /// off any more.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let Deferral { since, before } = self.deferral?;
        let Some(period) = self.config.deferral else { return Some(since) };
        let period = self.record.max_defer.map_or(period, Duration::from_secs);
        Some(since + period.saturating_sub(before))
    }
}
