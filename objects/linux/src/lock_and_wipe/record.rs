//! What is kept across a restart of the agent.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Config, resource};
use crate::durable::{read_record, write_record};

/// An operation of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    Unlock,
    LockSome,
    LockAll,
    Wipe,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unlock => "unlock",
            Self::LockSome => "lock in part",
            Self::LockAll => "lock",
            Self::Wipe => "wipe",
        })
    }
}

impl Operation {
    /// What a Write of State asks for.
    pub(super) const fn of_state(state: i64) -> Option<Self> {
        Some(match state {
            resource::UNLOCKED => Self::Unlock,
            resource::PARTIALLY_LOCKED => Self::LockSome,
            resource::FULLY_LOCKED => Self::LockAll,
            _ => return None,
        })
    }

    /// The number of the result in Lock or Wipe Operation Result (Objects 10).
    pub(super) const fn result(self, is_done: bool) -> i64 {
        match (self, is_done) {
            (Self::LockSome, true) => 1,
            (Self::LockAll, true) => 2,
            (Self::Unlock, true) => 3,
            (Self::Wipe, true) => 4,
            (Self::LockSome, false) => 5,
            (Self::LockAll, false) => 6,
            (Self::Unlock, false) => 7,
            (Self::Wipe, false) => 8,
        }
    }
}

/// The state of the object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// The targets that are locked.
    pub(super) locked: BTreeSet<String>,
    /// Lock Target.
    pub(super) lock_targets: Vec<(u16, String)>,
    /// Wipe Target.
    pub(super) wipe_targets: Vec<(u16, String)>,
    /// Lock or Wipe Operation Result.
    pub(super) result: i64,
    /// What has begun and not ended.
    pub(super) running: Option<Operation>,
}

impl Record {
    /// What the last run of the agent has left; an operation that it did not see the end
    /// of counts as failed, since nobody knows how far it came. A record that cannot be
    /// used is none.
    pub(super) fn load(path: &Path, config: &Config) -> Self {
        let mut record: Self =
            read_record(path).map(Option::unwrap_or_default).unwrap_or_else(|error| {
                tracing::warn!("{}: {error}; nothing counts as locked", path.display());
                Self::default()
            });
        record.locked.retain(|name| config.lock.contains(name));
        record.lock_targets.retain(|(_, name)| config.lock.contains(name));
        record.wipe_targets.retain(|(_, name)| config.wipe.contains(name));
        if let Some(operation) = record.running.take() {
            tracing::warn!("lock and wipe: the agent was ended in the middle of: {operation}");
            record.result = operation.result(false);
        }
        record
    }

    /// Writes it; durable when it returns.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        write_record(path, self)
    }

    /// State: what is true, not what was asked for.
    pub(super) fn state(&self, config: &Config) -> i64 {
        if self.locked.is_empty() {
            resource::UNLOCKED
        } else if config.lock.iter().all(|name| self.locked.contains(name)) {
            resource::FULLY_LOCKED
        } else {
            resource::PARTIALLY_LOCKED
        }
    }
}
