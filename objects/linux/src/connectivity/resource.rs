//! The resources of Connectivity Monitoring (4) by number (Objects 6).

use lwm2m_model::{Path, objects};

/// A resource of the only instance.
pub(super) fn path(resource: u16) -> Path {
    Path::resource(objects::CONNECTIVITY_MONITORING.id, 0, resource)
}

pub(super) const NETWORK_BEARER: u16 = 0;
pub(super) const AVAILABLE_BEARERS: u16 = 1;
pub(super) const SIGNAL_STRENGTH: u16 = 2;
pub(super) const LINK_QUALITY: u16 = 3;
pub(super) const IP_ADDRESSES: u16 = 4;
pub(super) const ROUTER_ADDRESSES: u16 = 5;
pub(super) const LINK_UTILIZATION: u16 = 6;
pub(super) const APN: u16 = 7;
pub(super) const CELL_ID: u16 = 8;
pub(super) const SMNC: u16 = 9;
pub(super) const SMCC: u16 = 10;
pub(super) const SIGNAL_SNR: u16 = 11;
pub(super) const LAC: u16 = 12;
