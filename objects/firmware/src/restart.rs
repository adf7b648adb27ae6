//! What an update is after a restart of the agent or the machine (Objects 7.3).

use lwm2m_model::Now;

use crate::event::{Action, MachineConfig};
use crate::machine::{INSTALL_DELAY, Machine, Phase};
use crate::record::{Record, State, Step, UpdateResult};

/// What is found at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// A package is there.
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
        match self.record.state {
            // Killed between the record and the removal.
            State::Idle if found.package => out.push(Action::Discard),
            State::Idle => {}
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
            (Running::New, Step::OnTrial) => self.phase = Phase::OnTrial,
            (Running::New, _) => {
                self.phase = Phase::OnTrial;
                self.commit(now, None, out, |record| record.step = Step::OnTrial);
            }
            // Installed in this boot: all that is missing is the restart.
            (Running::Same, Step::Installed) => {
                self.phase = Phase::RestartDue;
                out.push(Action::Reboot);
            }
            (Running::Same, Step::Wanted | Step::Installing) => {
                if found.package && self.record.attempts < MAX_ATTEMPTS {
                    self.phase = Phase::Waiting(now.boot + INSTALL_DELAY);
                } else {
                    self.update_failed(found, now, "the installation was cut off", out);
                }
            }
            (Running::Old, _) | (Running::Same, Step::OnTrial) => {
                self.update_failed(found, now, "the old system was booted again", out);
            }
        }
    }

    fn update_failed(&mut self, found: &Found, now: &Now, cause: &str, out: &mut Vec<Action>) {
        if found.package {
            self.fail_update(now, cause.into(), out);
        } else {
            self.end(now, UpdateResult::Failed, Some(cause.into()), out);
        }
    }
}

/// How often the installer is called for one Update: one that takes the machine down
/// must not do so for ever.
pub const MAX_ATTEMPTS: u8 = 3;
