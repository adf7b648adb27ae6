#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod bundle;
mod capabilities;
mod error;
mod installation;
mod installer;
mod options;
mod slot;
mod status;
mod value;

pub use bundle::{BundleImage, BundleInfo};
pub use capabilities::Capabilities;
pub use error::{Error, Result};
pub use installation::{Event, Installation, Outcome};
pub use installer::{Installer, Mark, Marked, Target};
pub use options::{BundleAccess, InstallOptions};
pub use slot::{BootStatus, InstalledBundle, SlotState, SlotStatus};
pub use status::{Operation, Progress};
