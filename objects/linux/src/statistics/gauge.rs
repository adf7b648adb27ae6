//! What a collection is measured by: the counters of the links, and the time since boot.

use std::io;
use std::time::Duration;

use netlink_packet_route::link::LinkLayerType;

use crate::Roots;
use crate::sources::network::{Network, NetworkWatch, Traffic};
use crate::sources::{bearer, clock};

/// The kernel, or what a test has in its place.
pub(super) trait Gauge: Send + Sync {
    /// The counters of the links now.
    ///
    /// # Errors
    /// Of the system, such as no descriptor left.
    fn readings(&self) -> io::Result<Vec<Reading>>;

    /// What tells that links have changed.
    ///
    /// # Errors
    /// Of the system, such as no descriptor left.
    fn news(&self) -> io::Result<NetworkWatch>;

    /// The time since boot, suspend counted.
    fn since_boot(&self) -> Duration;
}

/// What the kernel says of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// The number of the link.
    pub(super) link: u32,
    /// Whether there is hardware behind it.
    pub(super) is_hardware: bool,
    /// What it has carried since it is there.
    pub(super) traffic: Traffic,
    /// Bytes that each packet has below the header of IP, and that are counted too.
    pub(super) header: u64,
}

/// The counters of this machine.
pub(super) struct Kernel(pub(super) Roots);

impl Gauge for Kernel {
    fn readings(&self) -> io::Result<Vec<Reading>> {
        let readings = Network::read()?.links.into_iter().filter_map(|link| {
            let is_hardware = bearer::is_hardware(&self.0.sys, &link);
            let header = if link.layer == LinkLayerType::Ether { ETHERNET_HEADER } else { 0 };
            Some(Reading { link: link.index, is_hardware, traffic: link.traffic?, header })
        });
        Ok(readings.collect())
    }

    fn news(&self) -> io::Result<NetworkWatch> {
        NetworkWatch::open()
    }

    fn since_boot(&self) -> Duration {
        clock::now().boot.since_boot()
    }
}

/// Two addresses and the type.
const ETHERNET_HEADER: u64 = 14;
