//! What the daemon says, for people and as JSON: plain functions from data to
//! text, so that a test compares whole screens.

pub(crate) mod conversation;
pub(crate) mod findings;
pub(crate) mod firmware;
pub(crate) mod objects;
pub(crate) mod status;
pub(crate) mod text;
pub(crate) mod values;

/// Whether the bytes of a payload are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    Shown,
    Counted,
}
