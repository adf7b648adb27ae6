//! Links, addresses and default routes as the kernel has them (rtnetlink(7)).
//!
//! The kernel answers a question at once, so that a look needs no waiting, as a
//! look into a file.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia,
};
use nix::errno::Errno;
use nix::sys::socket::{NetlinkAddr, SockProtocol, recvfrom};
use serde::{Deserialize, Serialize};

use super::netlink;
use super::readable::Readable;

/// One look at the network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The links, the loopback's aside, in the order of their indices.
    pub links: Vec<Link>,
    /// The default routes, the preferred one first.
    pub routes: Vec<DefaultRoute>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// What it carries (`ARPHRD_*`).
    pub layer: LinkLayerType,
    /// Whether it is up and has a carrier.
    pub carries: bool,
    /// What it has carried since it is there.
    pub traffic: Option<Traffic>,
    /// Its addresses that reach beyond the link, in the order of the kernel.
    pub addresses: Vec<IpAddr>,
}

/// Counters of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
}

impl Traffic {
    /// What has come since `earlier`; `None` if any of the counters is lower now, since
    /// they have begun anew.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            sent: self.sent.checked_sub(earlier.sent)?,
            received: self.received.checked_sub(earlier.received)?,
            packets_sent: self.packets_sent.checked_sub(earlier.packets_sent)?,
            packets_received: self.packets_received.checked_sub(earlier.packets_received)?,
        })
    }
}

/// A default route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The lower, the better.
    pub metric: u32,
    /// The link it leads through.
    pub link: u32,
    /// The next hop; a point-to-point link needs none.
    pub gateway: Option<IpAddr>,
}

impl Network {
    /// Asks the kernel.
    ///
    /// # Errors
    /// Of the system, such as a sandbox without AF_NETLINK.
    pub fn read() -> io::Result<Self> {
        let socket = netlink::open(SockProtocol::NetlinkRoute, 0)?;
        let mut network = Self::default();
        for question in [
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            RouteNetlinkMessage::GetRoute(RouteMessage::default()),
        ] {
            netlink::ask(&socket, question, NLM_F_DUMP, |message| network.learn(message))?;
        }
        network.links.sort_by_key(|link| link.index);
        // Stable: of equals the kernel's first, and IPv4 comes before IPv6.
        network.routes.sort_by_key(|route| route.metric);
        Ok(network)
    }

    /// The link with this number.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    fn learn(&mut self, message: RouteNetlinkMessage) {
        match message {
            RouteNetlinkMessage::NewLink(message) if self.links.len() < MAX_LINKS => {
                self.links.extend(link(&message));
            }
            RouteNetlinkMessage::NewAddress(message) => {
                let index = message.header.index;
                let link = self.links.iter_mut().find(|link| link.index == index);
                if let (Some(link), Some(address)) = (link, address(&message))
                    && link.addresses.len() < MAX_ADDRESSES
                {
                    link.addresses.push(address);
                }
            }
            RouteNetlinkMessage::NewRoute(message) if self.routes.len() < MAX_ROUTES => {
                self.routes.extend(default_route(&message));
            }
            // Answers to questions nobody asked; the type is theirs, not ours.
            _ => {}
        }
    }
}

/// A socket that hears of changes of links, addresses and routes.
pub(crate) struct NetworkWatch(Readable<OwnedFd>);

impl NetworkWatch {
    /// Opens the socket and joins the kernel's groups; needs no privilege.
    ///
    /// # Errors
    /// Of the system, such as a sandbox without AF_NETLINK.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = netlink::open(SockProtocol::NetlinkRoute, GROUPS)?;
        Readable::new(socket).map(Self)
    }

    /// Waits for news, or for lost messages, which may have been such. Cancel safe.
    ///
    /// # Errors
    /// Of the system; the socket is of no more use then.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        // What changed is looked up: one message says as much as many.
        let mut drain = |socket: &OwnedFd| {
            let mut buffer = [0; 64];
            let mut news = false;
            loop {
                match recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut buffer) {
                    Ok(_) | Err(Errno::ENOBUFS) => news = true,
                    Err(Errno::EAGAIN) if news => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        self.0.read(&mut drain).await
    }
}

fn link(message: &LinkMessage) -> Option<Link> {
    let header = &message.header;
    if header.flags.contains(LinkFlags::Loopback) {
        return None;
    }
    let (mut name, mut traffic) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Stats64(stats) => {
                traffic = Some(Traffic {
                    sent: stats.tx_bytes,
                    received: stats.rx_bytes,
                    packets_sent: stats.tx_packets,
                    packets_received: stats.rx_packets,
                });
            }
            _ => {}
        }
    }
    Some(Link {
        index: header.index,
        name: name?,
        layer: header.link_layer_type,
        carries: header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        traffic,
        addresses: Vec::new(),
    })
}

/// The address, if it reaches beyond its own link and may be used.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let header = &message.header;
    let tentative = header.flags.contains(AddressHeaderFlags::Tentative)
        && !header.flags.contains(AddressHeaderFlags::Optimistic);
    let usable = !tentative && !header.flags.contains(AddressHeaderFlags::Dadfailed);
    if !usable || !matches!(header.scope, AddressScope::Universe | AddressScope::Site) {
        return None;
    }
    let (mut local, mut remote) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => remote = Some(*address),
            _ => {}
        }
    }
    // On a point-to-point link the other attribute is the peer's address.
    local.or(remote)
}

fn default_route(message: &RouteMessage) -> Option<DefaultRoute> {
    let header = &message.header;
    let is_default = header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && matches!(header.kind, RouteType::Unicast);
    if !is_default {
        return None;
    }
    let (mut metric, mut first) = (0, (None, None));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Priority(priority) => metric = *priority,
            // Of several next hops the first stands for all.
            RouteAttribute::MultiPath(hops) => {
                if let Some(hop) = hops.first() {
                    let (_, gateway) = next_hop(&hop.attributes);
                    first = (Some(hop.interface_index), gateway);
                }
            }
            _ => {}
        }
    }
    let (link, gateway) = next_hop(&message.attributes);
    let link = link.or(first.0)?;
    Some(DefaultRoute { metric, link, gateway: gateway.or(first.1) })
}

fn next_hop(attributes: &[RouteAttribute]) -> (Option<u32>, Option<IpAddr>) {
    let (mut link, mut gateway) = (None, None);
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(address))
            | RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(address))
            | RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            _ => {}
        }
    }
    (link, gateway)
}

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR and
/// RTMGRP_IPV6_ROUTE of linux/rtnetlink.h.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// Links that are looked at.
const MAX_LINKS: usize = 256;
/// Addresses of a link that are looked at.
const MAX_ADDRESSES: usize = 64;
/// Default routes that are looked at.
const MAX_ROUTES: usize = 64;
