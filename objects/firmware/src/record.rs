//! What is kept of an update through restarts (Objects 7.3), and the two numbers that
//! a server reads.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::PackageInfo;
use crate::restart::MAX_RESTARTS;

/// State (`/5/0/3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum State {
    /// Nothing is under way.
    #[default]
    Idle,
    /// A package comes in.
    Downloading,
    /// A package is there and has been checked.
    Downloaded,
    /// It is being installed, or has to prove itself after the restart.
    Updating,
}

impl State {
    /// The number of the registry.
    pub const fn number(self) -> i64 {
        match self {
            Self::Idle => 0,
            Self::Downloading => 1,
            Self::Downloaded => 2,
            Self::Updating => 3,
        }
    }
}

/// Update Result (`/5/0/5`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum UpdateResult {
    /// 0: nothing has ended yet.
    #[default]
    Initial,
    /// 1
    Success,
    /// 2: no room for the package.
    NoSpace,
    /// 3: out of memory while it came in.
    OutOfMemory,
    /// 4: the sender fell silent.
    ConnectionLost,
    /// 5: damaged, or the signature is not one that we trust.
    Integrity,
    /// 6: nothing that this device can install.
    UnsupportedPackage,
    /// 7
    InvalidUri,
    /// 8: the installation failed.
    Failed,
    /// 9
    UnsupportedScheme,
    /// 10
    Cancelled,
    /// 11
    Deferred,
}

impl UpdateResult {
    /// The number of the registry.
    pub const fn number(self) -> i64 {
        match self {
            Self::Initial => 0,
            Self::Success => 1,
            Self::NoSpace => 2,
            Self::OutOfMemory => 3,
            Self::ConnectionLost => 4,
            Self::Integrity => 5,
            Self::UnsupportedPackage => 6,
            Self::InvalidUri => 7,
            Self::Failed => 8,
            Self::UnsupportedScheme => 9,
            Self::Cancelled => 10,
            Self::Deferred => 11,
        }
    }
}

/// How far an installation is; of a meaning only in State Updating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Step {
    /// Wanted; nothing has been done.
    #[default]
    Wanted,
    /// The installer has been called.
    Installing,
    /// Installed; the restart is due.
    Installed,
    /// The new system runs and has yet to prove itself.
    OnTrial,
    /// It has; its slot is being marked good.
    Confirming,
    /// It has not, in time; its slot is being marked bad, and the restart is due.
    RollingBack,
}

/// How far a package is that is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes that are durable, and that the rest can be added to.
    pub offset: u64,
    /// What tells this version of the package from others; `None` if it is not known.
    pub etag: Option<Vec<u8>>,
    /// Bytes of the whole, if they are known. All of it is there once it is the offset.
    pub size: Option<u64>,
    /// For how long nothing new has come, in seconds.
    pub waited: u64,
}

/// Everything that must survive a restart. Written whole before what follows from it
/// is done; of two records the one with the higher counter counts.
///
/// A system that is on trial may write what the system of before has to read after it:
/// fields that are not known are passed over, and those that are not there have a
/// default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format: [`Record::FORMAT`].
    pub format: u32,
    /// Grows by one with each record.
    pub counter: u64,
    /// `/5/0/3`
    pub state: State,
    /// `/5/0/5`
    pub result: UpdateResult,
    /// `/5/0/1`, as written last.
    pub uri: String,
    /// `/5/0/12`, Unix time in seconds; `None` while the clock was never set.
    pub changed_at: Option<i64>,
    /// `/5/0/11`, 0 to 2.
    pub severity: u8,
    /// `/5/0/13`, seconds; `None` until it is written.
    pub max_defer: Option<u64>,
    /// `/5/0/14`
    pub automatic: bool,
    /// What the check of the package has found, in States Downloaded and Updating.
    pub package: Option<PackageInfo>,
    /// How far the package at the URI is, in State Downloading; `None` if it is pushed.
    #[serde(default)]
    pub fetch: Option<Progress>,
    /// The package is not fetched: the installer reads it from the URI. Not in State Idle.
    #[serde(default)]
    pub streamed: bool,
    /// Since when an update is deferred, Unix time in seconds.
    pub deferred_at: Option<i64>,
    /// How far an installation is.
    #[serde(deserialize_with = "step")]
    pub step: Step,
    /// The package of an installation whose end is not known: the system in another slot
    /// may be booted, and is on trial then. In any State.
    #[serde(default)]
    pub unsettled: Option<PackageInfo>,
    /// How often the installer has been called for this package.
    pub attempts: u8,
    /// The slot that ran when the installation began.
    pub slot: Option<String>,
    /// The slot that was to be booted after it, if the installer has said so.
    #[serde(default)]
    pub target: Option<String>,
    /// The boot in which the installation began, or the roll back; `None` if it is not
    /// known.
    pub boot: Option<String>,
    /// How often the machine was to be restarted, after the installation where boots
    /// are not known, or to get back to the old system.
    pub restarts: u8,
    /// Why the result is what it is, or why the new system is left again: one line of at
    /// most 255 bytes. It goes with the result.
    #[serde(default)]
    pub cause: Option<String>,
}

impl Record {
    /// The format that this version writes.
    pub const FORMAT: u32 = 1;
    /// Longest record that is read, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// True if the installer has been called.
    pub(crate) fn is_begun(&self) -> bool {
        self.state == State::Updating && self.step != Step::Wanted
    }

    /// True while what tells of a trial ([`crate::TrialMarker`]) has to be there, since the
    /// timer, which needs nothing of the agent, may have to lead back to the old system.
    pub fn keeps_marker(&self) -> bool {
        let is_stuck = self.step == Step::OnTrial && self.restarts >= MAX_RESTARTS;
        (self.state == State::Updating && !is_stuck) || self.unsettled.is_some()
    }

    /// As bytes for a store.
    pub fn encode(&self) -> Vec<u8> {
        // It has no maps with odd keys, so that nothing can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From the bytes of a store.
    ///
    /// # Errors
    /// [`RecordError`] if they are no record, or one of a later format.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        if bytes.len() > Self::MAX_BYTES {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let wrong = |error: serde_json::Error| RecordError::Damaged(error.to_string());
        let Format { format } = serde_json::from_slice(bytes).map_err(wrong)?;
        if format != Self::FORMAT {
            return Err(RecordError::Format(format));
        }
        serde_json::from_slice(bytes).map_err(wrong)
    }
}

/// A step that only a later version knows comes after the restart into it.
fn step<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Known(Step),
        Later(IgnoredAny),
    }
    match Any::deserialize(deserializer)? {
        Any::Known(step) => Ok(step),
        Any::Later(_) => Ok(Step::OnTrial),
    }
}

impl Default for Record {
    /// The record of a device that never was updated.
    fn default() -> Self {
        Self {
            format: Self::FORMAT,
            counter: 0,
            state: State::Idle,
            result: UpdateResult::Initial,
            uri: String::new(),
            changed_at: None,
            severity: MANDATORY,
            max_defer: None,
            automatic: false,
            package: None,
            fetch: None,
            streamed: false,
            deferred_at: None,
            step: Step::Wanted,
            unsettled: None,
            attempts: 0,
            slot: None,
            target: None,
            boot: None,
            restarts: 0,
            cause: None,
        }
    }
}

/// Why there is no record in some bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It was not written whole, or not by us.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Another version has written it.
    #[error("format {0}, and this version knows {known} alone", known = Record::FORMAT)]
    Format(u32),
    /// No record is as long.
    #[error("{0} bytes, and a record has {most} at most", most = Record::MAX_BYTES)]
    TooLong(usize),
}

/// The Severity that holds until one is written.
const MANDATORY: u8 = 1;
