//! What an update is after a restart of the agent or the machine (Objects 7.3), the
//! restart itself, and what is not begun since no restart would find it.

use lwm2m_model::Now;

use crate::event::{Action, Failure, MachineConfig, Reason};
use crate::machine::{INSTALL_DELAY, Machine, Phase};
use crate::record::{Record, State, Step, UpdateResult};
use crate::trial::{MARK_PAUSE, Proof};

/// What is found at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// A package is there; of one that is fetched, at least what is recorded. One that is
    /// streamed is as long as that is configured.
    pub package: bool,
    /// What runs.
    pub running: Running,
}

/// What runs, in regard to the update that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Running {
    /// The system of before, and nothing says that the update has ended: the agent
    /// alone was restarted, or the installation was cut off.
    Same,
    /// The new system.
    New,
    /// The old system, although the new one was to be booted.
    Old,
    /// A system in this slot, which is neither the old one nor the new one.
    Other(String),
}

impl Machine {
    /// Goes on with what is recorded; without a record nothing is known of a package,
    /// which stays until another comes.
    pub fn start(
        config: MachineConfig,
        record: Option<Record>,
        found: &Found,
        now: &Now,
    ) -> (Self, Vec<Action>) {
        let mut out = Vec::new();
        let is_known = record.is_some();
        let mut machine = Self::with(config, record.unwrap_or_default());
        if is_known {
            machine.resume(found, now, &mut out);
            machine.due(now, &mut out);
        }
        (machine, out)
    }

    fn resume(&mut self, found: &Found, now: &Now, out: &mut Vec<Action>) {
        if self.resume_unsettled(found, now, out) {
            return;
        }
        match self.record.state {
            // Killed between the record and the removal.
            State::Idle if found.package => out.push(Action::Discard),
            State::Idle => {}
            State::Downloading if self.record.streamed => self.resume_stream(now, out),
            State::Downloading if self.record.fetch.is_some() => {
                self.resume_fetch(found, now, out);
            }
            State::Downloading => {
                let cause = "the agent was restarted while the package came in";
                self.end(now, UpdateResult::ConnectionLost, Some(cause.into()), out);
            }
            State::Downloaded if found.package => {
                let ticket = self.next_ticket();
                self.phase = Phase::Rechecking(ticket);
                if self.record.result == UpdateResult::Deferred {
                    self.resume_deferral(now);
                }
                out.push(Action::Inspect(ticket));
            }
            State::Downloaded => {
                let cause = "the package is no longer there";
                self.end(now, UpdateResult::Integrity, Some(cause.into()), out);
            }
            State::Updating => self.resume_update(found, now, out),
        }
    }

    fn resume_update(&mut self, found: &Found, now: &Now, out: &mut Vec<Action>) {
        match (&found.running, self.record.step) {
            (Running::New, Step::OnTrial) => self.phase = Phase::OnTrial(Proof::Nothing),
            (Running::New, Step::Confirming) => self.mark_good(MARK_PAUSE, out),
            (Running::New, Step::RollingBack) => self.resume_roll_back(now, out),
            (Running::New, Step::Wanted | Step::Installing | Step::Installed) => {
                self.begin_trial(now, out);
            }
            (Running::Other(slot), _) => {
                let cause = format!("slot {slot} was booted, neither the old one nor the new one");
                self.update_failed(found, now, &cause, out);
            }
            // Installed in this boot: all that is missing is the restart. Where no boot is
            // known from another, the old system may run again and again.
            (Running::Same, Step::Installed) => {
                if self.knows_boots() || self.record.restarts < MAX_RESTARTS {
                    self.restart(now, self.record.target.clone(), out);
                } else {
                    let cause = "no restart has led to the new system";
                    self.update_failed_with(found, now, cause, out, Self::unsettle);
                }
            }
            (Running::Same, Step::Wanted | Step::Installing) => {
                if found.package && self.record.attempts < MAX_ATTEMPTS {
                    self.phase = Phase::Waiting(now.boot + INSTALL_DELAY);
                } else {
                    let may_be_installed = self.record.step == Step::Installing;
                    let unsettle = move |record: &mut Record| {
                        if may_be_installed {
                            Self::unsettle(record);
                        }
                    };
                    let cause = "the installation was cut off";
                    self.update_failed_with(found, now, cause, out, unsettle);
                }
            }
            (Running::Old, _)
            | (Running::Same, Step::OnTrial | Step::Confirming | Step::RollingBack) => {
                let cause = match (self.record.step, &self.record.cause) {
                    (Step::RollingBack, Some(cause)) => format!("rolled back: {cause}"),
                    (Step::Confirming, _) => {
                        "the old system was booted before the new one was marked good".into()
                    }
                    _ => "the old system was booted again".into(),
                };
                self.update_failed(found, now, &cause, out);
            }
        }
    }

    /// Restarts into what is installed, in the slot of that name if it is known.
    pub(crate) fn restart(&mut self, now: &Now, target: Option<String>, out: &mut Vec<Action>) {
        let is_counted = !self.knows_boots();
        self.commit(now, None, out, |record| {
            // One that was not made the one to boot says nothing.
            record.target = target.filter(|target| record.slot.as_ref() != Some(target));
            record.step = Step::Installed;
            record.unsettled = None;
            if is_counted {
                record.restarts = record.restarts.saturating_add(1);
            }
        });
        self.phase = Phase::RestartDue;
        out.push(Action::Reboot);
    }

    /// A step that cannot be recorded is not taken.
    pub(crate) fn not_recorded(
        &mut self,
        now: &Now,
        cause: String,
        step_left_out: bool,
        out: &mut Vec<Action>,
    ) {
        match self.phase {
            Phase::Waiting(_) | Phase::LookingUp(_) => self.fail_update(now, cause, out),
            Phase::Installing(_) if step_left_out => self.fail_update(now, cause, out),
            Phase::Receiving { storing: Some(_), .. } if step_left_out => {
                self.stored(now, Err(Failure::new(Reason::Other, cause)), out);
            }
            // With a package that is streamed nothing is left out but the record itself.
            Phase::Checking { .. } if self.record.streamed => {
                self.end(now, UpdateResult::Failed, Some(cause), out);
            }
            Phase::Fetching(_) if step_left_out => {
                self.end(now, UpdateResult::Failed, Some(cause), out);
            }
            // What is under way is recorded, or a restart does it again.
            Phase::Installing(_)
            | Phase::RestartDue
            | Phase::Rest
            | Phase::Receiving { .. }
            | Phase::Fetching(_)
            | Phase::Checking { .. }
            | Phase::Rechecking(_)
            | Phase::Automatic(_)
            | Phase::OnTrial(_)
            | Phase::Marking(..)
            | Phase::MarkAgain(..)
            | Phase::Rejecting(_) => {}
        }
    }

    pub(crate) fn knows_boots(&self) -> bool {
        self.config.boot.is_some() && self.record.boot.is_some()
    }

    fn update_failed(&mut self, found: &Found, now: &Now, cause: &str, out: &mut Vec<Action>) {
        self.update_failed_with(found, now, cause, out, |_| {});
    }

    fn update_failed_with(
        &mut self,
        found: &Found,
        now: &Now,
        cause: &str,
        out: &mut Vec<Action>,
        also: impl FnOnce(&mut Record),
    ) {
        if found.package {
            self.fail_update_with(now, cause.into(), out, also);
        } else {
            self.go_idle(now, UpdateResult::Failed, Some(cause.into()), out, also);
        }
    }
}

/// How often the installer is called for one Update: one that takes the machine down
/// must not do so for ever.
pub const MAX_ATTEMPTS: u8 = 3;
/// How often the machine is restarted after one installation, if its boots cannot be
/// told apart, and to get back to the old system.
pub const MAX_RESTARTS: u8 = 3;
