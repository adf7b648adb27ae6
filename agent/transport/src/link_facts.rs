//! What the kernel says about the network, reduced to what decides whether a
//! server can be reached: addresses, default routes, carriers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

/// Something that is so at the moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    /// An interface has an address that can be used.
    Address { interface: u32, address: IpAddr },
    /// There is a default route; `family` is 4 or 6.
    DefaultRoute { family: u8, interface: u32, gateway: Option<IpAddr>, metric: u32 },
    /// An interface is up and has a carrier.
    Carrier { interface: u32 },
}

/// All that is so at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts(BTreeSet<Fact>);

impl Facts {
    /// Takes in a message of the kernel.
    pub(crate) fn learn(&mut self, message: &RouteNetlinkMessage) {
        use RouteNetlinkMessage::{DelAddress, DelLink, DelRoute, NewAddress, NewLink, NewRoute};
        match message {
            NewLink(link) => self.set(carrier(link), has_carrier(link)),
            DelLink(link) => self.set(carrier(link), false),
            NewAddress(address) => self.set(usable_address(address), is_usable(address)),
            DelAddress(address) => self.set(usable_address(address), false),
            NewRoute(route) => self.set(default_route(route), true),
            DelRoute(route) => self.set(default_route(route), false),
            // Answers to questions nobody asked; the type is theirs, not ours.
            _ => {}
        }
    }

    fn set(&mut self, fact: Option<Fact>, holds: bool) {
        let Some(fact) = fact else { return };
        if !holds {
            self.0.remove(&fact);
        } else if self.0.len() < MAX_FACTS {
            self.0.insert(fact);
        }
    }
}

fn carrier(link: &LinkMessage) -> Option<Fact> {
    let interface = link.header.index;
    (interface != LOOPBACK).then_some(Fact::Carrier { interface })
}

fn has_carrier(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
}

/// The address, if it reaches beyond its own link.
fn usable_address(message: &AddressMessage) -> Option<Fact> {
    let header = &message.header;
    if header.index == LOOPBACK || matches!(header.scope, AddressScope::Host) {
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
    let address = local.or(remote)?;
    // Each IPv6 interface has one of those, whether there is a network or not.
    if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return None;
    }
    Some(Fact::Address { interface: header.index, address })
}

/// Whether nothing forbids its use: the check for duplicates is over, or it was
/// not needed.
fn is_usable(message: &AddressMessage) -> bool {
    let flags = message.header.flags;
    let failed = flags.contains(AddressHeaderFlags::Dadfailed);
    let tentative = flags.contains(AddressHeaderFlags::Tentative)
        && !flags.contains(AddressHeaderFlags::Optimistic);
    !failed && !tentative
}

/// The route, if it is a default route that datagrams can take.
fn default_route(message: &RouteMessage) -> Option<Fact> {
    let header = &message.header;
    if header.destination_prefix_length != 0 || !matches!(header.kind, RouteType::Unicast) {
        return None;
    }
    let (mut interface, mut gateway, mut metric) = (0, None, 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = *index,
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => {
                gateway = Some(IpAddr::V4(*address));
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => {
                gateway = Some(IpAddr::V6(*address));
            }
            _ => {}
        }
    }
    let family = match header.address_family {
        netlink_packet_route::AddressFamily::Inet => 4,
        netlink_packet_route::AddressFamily::Inet6 => 6,
        _ => return None,
    };
    (interface != LOOPBACK).then_some(Fact::DefaultRoute { family, interface, gateway, metric })
}

/// Each network namespace has its loopback as interface 1.
const LOOPBACK: u32 = 1;

/// Facts kept. A host with more interfaces than this notices changes among the
/// first ones only.
const MAX_FACTS: usize = 1024;

#[cfg(test)]
mod tests {
    use netlink_packet_route::AddressFamily;

    use super::*;

    const UP: LinkFlags = LinkFlags::Up.union(LinkFlags::LowerUp);

    fn link(index: u32, flags: LinkFlags) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        RouteNetlinkMessage::NewLink(message)
    }

    fn address(index: u32, text: &str, flags: AddressHeaderFlags) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.attributes = vec![AddressAttribute::Address(text.parse().unwrap())];
        message
    }

    fn route(prefix: u8, metric: u32) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = prefix;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![RouteAttribute::Oif(2), RouteAttribute::Priority(metric)];
        message
    }

    #[test]
    fn only_what_decides_about_reaching_a_server_changes_the_facts() {
        use RouteNetlinkMessage::{DelAddress, DelRoute, NewAddress, NewRoute};
        let none = AddressHeaderFlags::empty();
        let mut facts = Facts::default();
        for (what, message, changes) in [
            ("carrier", link(2, UP), true),
            ("the same again", link(2, UP | LinkFlags::Promisc), false),
            ("carrier lost", link(2, LinkFlags::Up), true),
            ("loopback", link(1, UP), false),
            ("address", NewAddress(address(2, "192.0.2.1", none)), true),
            ("lifetime prolonged", NewAddress(address(2, "192.0.2.1", none)), false),
            ("other interface", NewAddress(address(3, "192.0.2.1", none)), true),
            ("loopback address", NewAddress(address(1, "10.0.0.1", none)), false),
            ("link-local", NewAddress(address(2, "fe80::1", none)), false),
            (
                "tentative",
                NewAddress(address(2, "2001:db8::1", AddressHeaderFlags::Tentative)),
                false,
            ),
            ("checked", NewAddress(address(2, "2001:db8::1", none)), true),
            ("address gone", DelAddress(address(2, "192.0.2.1", none)), true),
            ("unknown address gone", DelAddress(address(2, "192.0.2.9", none)), false),
            ("route", NewRoute(route(0, 100)), true),
            ("route to a network", NewRoute(route(24, 100)), false),
            ("second route", NewRoute(route(0, 600)), true),
            ("route gone", DelRoute(route(0, 100)), true),
        ] {
            let before = facts.clone();
            facts.learn(&message);
            assert_eq!(facts != before, changes, "{what}");
        }
    }

    #[test]
    fn the_number_of_facts_is_bounded() {
        let mut facts = Facts::default();
        for index in 2..3000 {
            facts.learn(&link(index, UP));
        }
        assert_eq!(facts.0.len(), MAX_FACTS);
    }
}
