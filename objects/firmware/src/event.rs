//! What happens to an update, and what the machine wants done about it.

use std::time::Duration;

use lwm2m_engine::{CallId, CallResult, FetchFailure, Fetched, Resume};
use serde::{Deserialize, Serialize};

use crate::{Protocol, Record};

/// What does not change while the agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineConfig {
    /// What packages can be fetched with; without any they can only be pushed.
    pub protocols: Vec<Protocol>,
    /// What the installer reads packages by, which are not fetched then.
    pub streams: Vec<Protocol>,
    /// For how long nothing new comes before a package is given up that is fetched.
    pub patience: Duration,
    /// If somebody on the device may put an update off: for how long where the server
    /// has written no Maximum Defer Period.
    pub deferral: Option<Duration>,
    /// The identifier of this boot; `None` if it is not known.
    pub boot: Option<String>,
    /// How long a new system has to prove itself, from its boot.
    pub trial: Duration,
}

/// How packages come (`/5/0/9`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// 1: servers push them.
    Push,
    /// 2: servers may name a URI as well.
    Both,
}

impl Delivery {
    /// With these protocols to fetch with.
    pub const fn with(protocols: &[Protocol]) -> Self {
        if protocols.is_empty() { Self::Push } else { Self::Both }
    }

    /// The number of the registry.
    pub const fn number(self) -> i64 {
        match self {
            Self::Push => 1,
            Self::Both => 2,
        }
    }
}

/// Tells the outcomes of one task from those of an earlier one.
pub type Ticket = u32;

/// What a package says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageInfo {
    /// PkgName; empty if it has none.
    pub name: String,
    /// PkgVersion; empty if it has none.
    pub version: String,
}

/// Why a package cannot be stored, is refused or could not be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For the server.
    pub reason: Reason,
    /// For the operator, in one line.
    pub cause: String,
}

impl Failure {
    /// A failure and what to say of it.
    pub fn new(reason: Reason, cause: impl Into<String>) -> Self {
        Self { reason, cause: cause.into() }
    }
}

/// Kinds of failure, as far as Update Result tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No room for the package.
    NoSpace,
    /// No memory.
    OutOfMemory,
    /// The package is damaged or its signature is wrong, for certain.
    Integrity,
    /// The installer refuses the package, and does not say that for certain: it may be
    /// for a clock that is not set.
    Refused,
    /// Nothing that can be installed here.
    Unsupported,
    /// The package is fine as far as is known; something else failed.
    Other,
    /// The installer cannot be asked: nothing is known of the package.
    Unavailable,
    /// The source cannot be reached, or has fallen silent.
    Lost,
    /// The source has no such package for this device.
    InvalidUri,
    /// The installer cannot read the package from where it is; it has to be fetched.
    NotStreamed,
    /// The installer has not said how it ended. After an installation the system in another
    /// slot may be the one to boot.
    Unknown,
}

/// What an installation that went well needs further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// Nothing.
    Done,
    /// A restart into the new system, which is in this slot if that is known.
    NeedsReboot(Option<String>),
}

/// The slot that the running system was booted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// The installer has no slots.
    None,
    /// It has some, and which one was booted is not known: why, in one line.
    Unknown(String),
    /// Its name.
    Booted(String),
}

/// The system that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// The slot that it was booted from; `None` if the installer has no slots.
    pub slot: Option<String>,
}

/// Settings that a server writes; `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Severity, 0 to 2.
    pub severity: Option<u8>,
    /// Maximum Defer Period in seconds.
    pub max_defer: Option<u64>,
    /// Automatic Upgrade at Download.
    pub automatic: Option<bool>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part of a package; parts of one package come in order.
    Chunk {
        /// To be answered.
        call: CallId,
        /// Who sends it; `None` is the operator.
        server: Option<u16>,
        /// Where it begins.
        offset: u64,
        /// The part itself.
        bytes: Vec<u8>,
        /// The package ends with it.
        last: bool,
        /// Bytes of the whole, if they are known.
        size: Option<u64>,
    },
    /// No further part comes.
    Silent,
    /// A Write of anything but the package.
    Write {
        /// To be answered.
        call: CallId,
        /// Package URI, at most 255 bytes.
        uri: Option<String>,
        /// The rest.
        settings: Settings,
    },
    /// Execute Update.
    Update {
        /// To be answered.
        call: CallId,
    },
    /// Execute Cancel.
    Cancel {
        /// To be answered.
        call: CallId,
    },
    /// The answer that was given with [`CallReply::AfterAnswer`] is out.
    ///
    /// [`CallReply::AfterAnswer`]: lwm2m_engine::CallReply::AfterAnswer
    Proceed,
    /// The end of [`Action::Open`] or [`Action::Store`]: how many bytes of the package a
    /// power cut would leave.
    Stored(Result<u64, Failure>),
    /// The attempt of [`Action::Fetch`] has found something.
    Fetched(Ticket, Fetched),
    /// The end of [`Action::Fetch`], after all that it has found.
    FetchEnded(Ticket, Result<(), FetchFailure>),
    /// The end of [`Action::Inspect`].
    Inspected(Ticket, Result<PackageInfo, Failure>),
    /// The end of [`Action::LookUp`]; a failure says why nothing can be installed now.
    Running(Ticket, Result<System, Failure>),
    /// The end of [`Action::Install`].
    Installed(Ticket, Result<Installed, Failure>),
    /// The end of [`Action::AskNextBoot`]: the slot that is booted next, `None` where only a
    /// boot tells. The error says in one line why it is not known yet.
    NextBoot(Ticket, Result<Option<String>, String>),
    /// Somebody on the device agrees to the update that was put off.
    Consent,
    /// A server has answered a Register or an Update in this boot.
    Registered,
    /// The end of [`Action::Check`]; a failure says in one line which check it was.
    Checked(Ticket, Result<(), String>),
    /// The end of [`Action::MarkGood`]; well only if the boot loader was read back.
    Marked(Ticket, Result<(), String>),
    /// The end of [`Action::Reject`].
    Rejected(Ticket, Result<(), String>),
    /// [`Action::Persist`] has failed. What [`Action::follows_record`] after it was not
    /// done.
    NotRecorded {
        /// For the operator, in one line.
        cause: String,
        /// Something was to follow.
        step_left_out: bool,
    },
    /// Time has passed.
    Time,
}

/// What is to be done, in this order, each before the next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make the record durable.
    Persist(Box<Record>),
    /// Values of these resources differ; observers see all of them at once.
    Changed {
        /// In the order in which observers are told.
        resources: Vec<u16>,
        /// Why, for the operator.
        cause: Option<String>,
    },
    /// Answer a call.
    Reply(CallId, CallResult),
    /// Get the package, in place of an attempt before. [`Event::Fetched`] and
    /// [`Event::FetchEnded`] follow, each when what came before is stored.
    Fetch {
        /// Of this attempt.
        ticket: Ticket,
        /// Package URI.
        uri: String,
        /// What is there already.
        resume: Option<Resume>,
    },
    /// Fetch no more; nothing further follows.
    StopFetch,
    /// Have the first bytes of a package and nothing behind them, and check the space for
    /// the rest: [`Event::Stored`] follows before anything else.
    Open {
        /// Bytes that are kept.
        offset: u64,
        /// Bytes of the whole, if they are known.
        size: Option<u64>,
    },
    /// Store a part: [`Event::Stored`] follows before anything else. At offset 0 what
    /// is there goes first, and the space for `size` is checked.
    Store {
        /// Where it begins.
        offset: u64,
        /// The part itself.
        bytes: Vec<u8>,
        /// All of the package is durable afterwards.
        last: bool,
        /// Bytes of the whole, if they are known.
        size: Option<u64>,
    },
    /// Remove the package, if there is one.
    Discard,
    /// Check the package: [`Event::Inspected`] follows.
    Inspect(Ticket),
    /// Find out what runs and whether it can be restarted: [`Event::Running`] follows.
    LookUp(Ticket),
    /// Install the package: [`Event::Installed`] follows.
    Install(Ticket),
    /// Find out what is booted next, of an installation whose end is not known:
    /// [`Event::NextBoot`] follows.
    AskNextBoot(Ticket),
    /// Restart the machine.
    Reboot,
    /// Run the checks of the operator: [`Event::Checked`] follows.
    Check(Ticket),
    /// Mark the slot that runs good at the boot loader, and read that back:
    /// [`Event::Marked`] follows.
    MarkGood(Ticket),
    /// Mark the slot that runs bad at the boot loader: [`Event::Rejected`] follows.
    Reject(Ticket),
}

impl Action {
    /// True for what must not be done unless the record before it is durable.
    pub fn follows_record(&self) -> bool {
        match self {
            // What was there goes, and the last record may count on it.
            Self::Store { offset, .. } => *offset == 0,
            Self::Fetch { .. }
            | Self::Open { .. }
            | Self::Discard
            | Self::LookUp(_)
            | Self::Install(_) => true,
            Self::Persist(_)
            | Self::Changed { .. }
            | Self::Reply(..)
            | Self::StopFetch
            | Self::Inspect(_)
            | Self::AskNextBoot(_)
            | Self::Check(_)
            // From the record before, a restart comes to the same end: a disk that is
            // full is no reason to stay on trial, nor to leave a new system for some
            // later restart to find, when nobody would put it on trial.
            | Self::MarkGood(_)
            | Self::Reject(_)
            | Self::Reboot => false,
        }
    }
}
