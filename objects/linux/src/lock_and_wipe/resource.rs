//! Numbers of the resources (Objects 10).

pub(super) const STATE: u16 = 0;
pub(super) const LOCK_TARGET: u16 = 1;
pub(super) const WIPE_ITEM: u16 = 2;
pub(super) const WIPE: u16 = 3;
pub(super) const WIPE_TARGET: u16 = 4;
pub(super) const RESULT: u16 = 5;

/// Values of State.
pub(super) const UNLOCKED: i64 = 0;
pub(super) const PARTIALLY_LOCKED: i64 = 1;
pub(super) const FULLY_LOCKED: i64 = 2;
