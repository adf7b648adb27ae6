//! An installation whose end is not known: the installer has left in the middle of it, and
//! the system in the other slot may be the one to boot.
//!
//! 1. The update has failed (State Downloaded, Update Result 8), and the record says that
//!    it is unsettled. The marker of the trial stays, whatever servers do meanwhile.
//! 2. The installer is asked what is booted next, until it says so. The slot that runs:
//!    nothing has come of it. Another one: the next boot has to tell.
//! 3. A boot of the same slot: nothing has come of it. A boot of another: that system is on
//!    trial, as after an update that ended well, in place of what else was under way.

use std::time::Duration;

use lwm2m_model::{Instant, Now};

use crate::event::{Action, Ticket};
use crate::machine::{Machine, Phase};
use crate::record::{Record, State, Step, UpdateResult};
use crate::restart::{Found, Running};
use crate::trial::Proof;

/// The question what is booted next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settling {
    /// It is put.
    Asked(Ticket, Duration),
    /// It is due then, after such a pause.
    Due(Instant, Duration),
}

impl Machine {
    /// An update ends whose installation may have ended well: to be recorded with that.
    pub(crate) fn unsettle(record: &mut Record) {
        // Without slots there is no way back, and nothing to be told apart.
        if record.slot.is_some() {
            record.unsettled = Some(record.package.clone().unwrap_or_default());
        }
    }

    /// Asks what is booted next, if there is reason to.
    pub(crate) fn settle(&mut self, out: &mut Vec<Action>) {
        if self.record.unsettled.is_some() && self.settling.is_none() {
            self.ask_next_boot(SETTLE_PAUSE, out);
        }
    }

    fn ask_next_boot(&mut self, pause: Duration, out: &mut Vec<Action>) {
        let ticket = self.next_ticket();
        self.settling = Some(Settling::Asked(ticket, pause));
        out.push(Action::AskNextBoot(ticket));
    }

    pub(crate) fn next_boot(
        &mut self,
        now: &Now,
        ticket: Ticket,
        next: Result<Option<String>, String>,
        out: &mut Vec<Action>,
    ) {
        let pause = match self.settling {
            Some(Settling::Asked(own, pause)) if own == ticket => pause,
            _ => return,
        };
        self.settling = None;
        match next {
            Ok(Some(next)) if self.record.slot.as_ref() == Some(&next) => {
                self.commit(now, None, out, |record| record.unsettled = None);
            }
            // It counts if it is booted.
            Ok(_) => {}
            Err(_) => {
                let next = (pause * 2).min(MAX_SETTLE_PAUSE);
                self.settling = Some(Settling::Due(now.boot + pause, next));
            }
        }
    }

    /// When to ask again.
    pub(crate) fn settling_due(&self) -> Option<Instant> {
        match self.settling {
            Some(Settling::Due(at, _)) => Some(at),
            Some(Settling::Asked(..)) | None => None,
        }
    }

    /// Does what the time has come for.
    pub(crate) fn settle_due(&mut self, now: &Now, out: &mut Vec<Action>) {
        if let Some(Settling::Due(at, pause)) = self.settling
            && at <= now.boot
        {
            self.ask_next_boot(pause, out);
        }
    }

    /// After a restart; true if the other system runs, and is on trial.
    pub(crate) fn resume_unsettled(
        &mut self,
        found: &Found,
        now: &Now,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(package) = self.record.unsettled.clone() else { return false };
        let is_installed_over = self.record.is_begun();
        match found.running {
            // It is another installation that is on trial.
            Running::New if is_installed_over => false,
            Running::New => {
                // What is there of a package may be of another one by now.
                let is_there = self.record.package.as_ref() == Some(&package);
                self.phase = Phase::OnTrial(Proof::Nothing);
                self.commit(now, None, out, |record| {
                    record.state = State::Updating;
                    record.result = UpdateResult::Initial;
                    record.step = Step::OnTrial;
                    record.package = Some(package);
                    record.unsettled = None;
                    record.fetch = None;
                    record.streamed &= is_there;
                    record.deferred_at = None;
                    record.restarts = 0;
                });
                if !is_there {
                    out.push(Action::Discard);
                }
                true
            }
            // The boot loader has chosen.
            Running::Old | Running::Other(_) => {
                self.commit(now, None, out, |record| record.unsettled = None);
                false
            }
            Running::Same => {
                if self.record.state != State::Updating {
                    self.settle(out);
                }
                false
            }
        }
    }
}

/// Before the installer is asked again what is booted next; then ever longer.
const SETTLE_PAUSE: Duration = Duration::from_secs(10);
const MAX_SETTLE_PAUSE: Duration = Duration::from_secs(600);
