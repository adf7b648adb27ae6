//! Firmware Update (5): a package comes, is checked, and is installed (Objects 7).
//!
//! [`Machine`] is the object without I/O: the transition table, what is recorded, and
//! what follows from it after a restart.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod event;
mod machine;
mod record;
mod resource;
mod restart;
mod rules;

pub use event::{
    Action, Delivery, Event, Failure, Installed, MachineConfig, PackageInfo, Reason, Settings,
    System, Ticket,
};
pub use machine::{ANSWER_LIMIT, INSTALL_DELAY, Machine, PROCEED_LIMIT};
pub use record::{Record, RecordError, State, Step, UpdateResult};
pub use restart::{Found, MAX_ATTEMPTS, Running};
