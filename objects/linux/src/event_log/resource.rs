//! Numbers of the resources and what their values mean (Objects 20).

pub(super) const CLASS: u16 = 4010;
pub(super) const START: u16 = 4011;
pub(super) const STOP: u16 = 4012;
pub(super) const STATUS: u16 = 4013;
pub(super) const DATA: u16 = 4014;
pub(super) const FORMAT: u16 = 4015;

/// Bits of LogStatus.
pub(super) const STOPPED: i64 = 1;
pub(super) const VALID: i64 = 2;
pub(super) const ERROR: i64 = 4;

/// The one LogDataFormat: bytes that it says nothing about, which are lines here.
pub(super) const UNSPECIFIED: i64 = 0;
