//! Laboratories with real system services for tests. `README.md` says what they need.

mod container;
mod error;
mod rauc_lab;
mod vm_lab;

pub use container::Container;
pub use error::LabError;
pub use rauc_lab::{BootState, RaucLab, Slots};
pub use vm_lab::{Machine, VmLab};
