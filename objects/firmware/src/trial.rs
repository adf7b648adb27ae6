//! A new system proves itself (Objects 7.1, last rule; 7.3).
//!
//! 1. On trial: a server has to answer a Register or an Update in this boot.
//! 2. Then the checks of the operator run, one that fails again until the trial is over.
//! 3. Confirming: the slot is marked good and that is read back, again and again if it
//!    fails. Then the update has succeeded.
//! 4. Rolling back, if the trial is over before: the slot is marked bad, and the machine
//!    restarts into the old system, where the update has failed.

use std::time::Duration;

use lwm2m_model::{Instant, Now};

use crate::event::{Action, Ticket};
use crate::machine::{Machine, Phase};
use crate::record::{Step, UpdateResult};
use crate::restart::MAX_RESTARTS;
use crate::text::one_line;

/// How far a new system has proven itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// No server has answered.
    Nothing,
    /// One has, and the checks run; of the run before, what failed.
    Checking(Ticket, Option<String>),
    /// A check has failed, and all are run again.
    CheckAgain(Instant, String),
}

impl Machine {
    /// The new system was booted into.
    pub(crate) fn begin_trial(&mut self, now: &Now, out: &mut Vec<Action>) {
        self.phase = Phase::OnTrial(Proof::Nothing);
        self.commit(now, None, out, |record| {
            record.step = Step::OnTrial;
            record.restarts = 0;
            record.unsettled = None;
        });
    }

    pub(crate) fn registered(&mut self, out: &mut Vec<Action>) {
        if self.phase == Phase::OnTrial(Proof::Nothing) {
            self.check(None, out);
        }
    }

    fn check(&mut self, failed: Option<String>, out: &mut Vec<Action>) {
        let ticket = self.next_ticket();
        self.phase = Phase::OnTrial(Proof::Checking(ticket, failed));
        out.push(Action::Check(ticket));
    }

    pub(crate) fn checked(
        &mut self,
        now: &Now,
        ticket: Ticket,
        result: Result<(), String>,
        out: &mut Vec<Action>,
    ) {
        match &self.phase {
            Phase::OnTrial(Proof::Checking(own, _)) if *own == ticket => {}
            _ => return,
        }
        match result {
            Ok(()) => {
                self.commit(now, None, out, |record| record.step = Step::Confirming);
                self.mark_good(MARK_PAUSE, out);
            }
            Err(cause) => {
                self.phase = Phase::OnTrial(Proof::CheckAgain(now.boot + CHECK_PAUSE, cause));
            }
        }
    }

    /// What was proven stays proven, also after a restart.
    pub(crate) fn mark_good(&mut self, pause: Duration, out: &mut Vec<Action>) {
        let ticket = self.next_ticket();
        self.phase = Phase::Marking(ticket, pause);
        out.push(Action::MarkGood(ticket));
    }

    pub(crate) fn marked(
        &mut self,
        now: &Now,
        ticket: Ticket,
        result: Result<(), String>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Marking(own, pause) = self.phase else { return };
        if own != ticket {
            return;
        }
        match result {
            Ok(()) => self.end(now, UpdateResult::Success, None, out),
            Err(_) => {
                let next = (pause * 2).min(MAX_MARK_PAUSE);
                self.phase = Phase::MarkAgain(now.boot + pause, next);
            }
        }
    }

    /// When the new system has had its time. One from which no restart has led back
    /// stays on trial.
    pub(crate) fn end_of_trial(&self) -> Option<Instant> {
        match self.phase {
            Phase::OnTrial(_) if self.record.restarts < MAX_RESTARTS => {
                Some(Instant::from_boot(self.config.trial))
            }
            _ => None,
        }
    }

    /// Does what the time has come for.
    pub(crate) fn trial_due(&mut self, now: &Now, out: &mut Vec<Action>) {
        if self.end_of_trial().is_some_and(|end| end <= now.boot) {
            let seconds = self.config.trial.as_secs();
            let missing = match &self.phase {
                Phase::OnTrial(Proof::CheckAgain(_, failed) | Proof::Checking(_, Some(failed))) => {
                    failed.clone()
                }
                Phase::OnTrial(Proof::Checking(_, None)) => {
                    format!("the checks have not ended within {seconds} s of the boot")
                }
                _ => format!("no server has answered within {seconds} s of the boot"),
            };
            return self.roll_back(now, Some(missing), out);
        }
        match self.phase.clone() {
            Phase::OnTrial(Proof::CheckAgain(at, failed)) if at <= now.boot => {
                self.check(Some(failed), out);
            }
            Phase::MarkAgain(at, pause) if at <= now.boot => self.mark_good(pause, out),
            _ => {}
        }
    }

    /// Goes back to the old system; without a reason it was decided before a restart.
    pub(crate) fn roll_back(&mut self, now: &Now, missing: Option<String>, out: &mut Vec<Action>) {
        let boot = self.config.boot.clone();
        let goes_on = self.record.step == Step::RollingBack && self.is_boot_of_record();
        self.commit(now, None, out, |record| {
            record.step = Step::RollingBack;
            if let Some(missing) = missing {
                record.cause = Some(one_line(&missing));
            }
            record.boot = boot;
            if !goes_on {
                record.restarts = record.restarts.saturating_add(1);
            }
        });
        let ticket = self.next_ticket();
        self.phase = Phase::Rejecting(ticket);
        out.push(Action::Reject(ticket));
    }

    /// The new system was booted again, although it was to be left.
    pub(crate) fn resume_roll_back(&mut self, now: &Now, out: &mut Vec<Action>) {
        if self.record.restarts < MAX_RESTARTS || self.is_boot_of_record() {
            return self.roll_back(now, None, out);
        }
        // The boot loader has no other: to be of use is better than to restart for ever.
        self.phase = Phase::OnTrial(Proof::Nothing);
        self.commit(now, None, out, |record| record.step = Step::OnTrial);
    }

    fn is_boot_of_record(&self) -> bool {
        self.knows_boots() && self.record.boot == self.config.boot
    }
}

/// Before the checks are run again after one has failed.
pub(crate) const CHECK_PAUSE: Duration = Duration::from_secs(30);
/// Before a slot is marked good again after that has failed; then ever longer.
pub(crate) const MARK_PAUSE: Duration = Duration::from_secs(5);
const MAX_MARK_PAUSE: Duration = Duration::from_secs(300);
