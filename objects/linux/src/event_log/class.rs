//! Which entries of the journal belong to a LogClass (Objects 20).

use crate::sources::journal::{Entry, Name};

/// A LogClass of which there is something on this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Everything.
    Generic,
    /// What the kernel and systemd say.
    System,
    /// Logins and rights: the facilities auth and authpriv, and the audit of the kernel.
    Security,
    /// What the agent itself says.
    Event,
    /// What is of use to developers alone: priority debug.
    Trace,
    /// Priority crit and above.
    Panic,
}

impl Class {
    /// The class of this number; `None` for those that are reserved or a vendor's, and for
    /// charging, which no entry tells of.
    pub(super) const fn of(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Generic,
            1 => Self::System,
            2 => Self::Security,
            3 => Self::Event,
            4 => Self::Trace,
            5 => Self::Panic,
            _ => return None,
        })
    }

    /// Whether an entry belongs to it.
    pub(super) fn has(self, entry: &Entry) -> bool {
        let is = |name, value: &str| entry.get(name) == Some(value);
        let identifier = entry.get(Name::Identifier).unwrap_or_default();
        match self {
            Self::Generic => true,
            Self::System => is(Name::Transport, "kernel") || identifier.starts_with("systemd"),
            Self::Security => {
                is(Name::Facility, "4") || is(Name::Facility, "10") || is(Name::Transport, "audit")
            }
            Self::Event => identifier == AGENT,
            Self::Trace => is(Name::Priority, "7"),
            Self::Panic => ["0", "1", "2"].iter().any(|priority| is(Name::Priority, priority)),
        }
    }
}

/// The identifier under which the agent logs.
const AGENT: &str = "lwm2md";
