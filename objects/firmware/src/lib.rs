//! Firmware Update (5): a package comes, is checked, and is installed (Objects 7).
//!
//! [`FirmwareUpdate`] is the object in the host. [`Machine`] decides, without I/O: the
//! transition table, what is recorded, and what follows from it after a restart. A
//! [`Backend`] installs, a [`RecordStore`] keeps the record.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod attempt;
mod backend;
mod check_units;
mod downgrade;
mod download;
mod event;
mod fetcher;
mod fetching;
mod file;
mod handle;
mod installation;
mod log;
mod machine;
mod marker;
mod object;
mod package;
mod proving;
mod rauc;
mod record;
mod record_store;
mod resource;
mod restart;
mod rules;
mod script;
mod sentence;
mod settling;
mod status;
mod storage;
mod text;
mod trial;
mod worker;

pub use backend::{Backend, Checks, Restarter};
pub use check_units::CheckUnits;
pub use downgrade::{Downgrade, WithPolicy};
pub use event::{
    Action, Delivery, Event, Failure, Installed, MachineConfig, PackageInfo, Reason, Settings,
    Slot, System, Ticket,
};
pub use fetcher::{Fetcher, Protocol};
pub use fetching::{DEFAULT_PATIENCE, FIRST_PAUSE, MAX_PAUSE};
pub use file::FileBackend;
pub use handle::{FirmwareHandle, NotAccepted};
pub use log::{RESULT_MESSAGE_ID, STATE_MESSAGE_ID};
pub use machine::{ANSWER_LIMIT, INSTALL_DELAY, Machine, PROCEED_LIMIT};
pub use marker::{TrialMarker, is_on_trial, system_identity};
pub use object::{Confirmation, FirmwareUpdate};
pub use package::{Package, StreamAccess, StreamOrigins};
pub use rauc::RaucBackend;
pub use record::{Progress, Record, RecordError, State, Step, UpdateResult};
pub use record_store::{RecordFile, RecordStore};
pub use restart::{Found, MAX_ATTEMPTS, MAX_RESTARTS, Running};
pub use script::{ANSWERS, ScriptBackend, ScriptName};
pub use status::{ProgressSink, UpdateProgress, UpdateStatus};
pub use worker::Parts;
