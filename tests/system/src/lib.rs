//! Laboratories with real system services for tests. `README.md` says what they need.

mod rauc_lab;

pub use rauc_lab::{BootState, LabError, RaucLab, Slots};
