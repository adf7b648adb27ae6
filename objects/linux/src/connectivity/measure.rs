//! One look at the network: what stands in each resource now.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_model::Value;

use super::resource as id;
use super::utilization::Utilization;
use crate::Roots;
use crate::content::Content;
use crate::sources::bearer::{self, Kind};
use crate::sources::modem_manager::Modem;
use crate::sources::network::{Link, Network};
use crate::sources::{ethernet, wireless};

/// The resources that are there, by number.
pub(super) type Contents = BTreeMap<u16, Content>;

/// What is known at a moment.
pub(super) struct Look<'a> {
    /// The kernel's word.
    pub(super) network: &'a Network,
    /// That of the modems' service.
    pub(super) modems: &'a [Modem],
    pub(super) roots: &'a Roots,
    /// How a link of a WLAN hears its access point, in dBm.
    pub(super) station: fn(u32) -> Option<i64>,
    /// The time since boot.
    pub(super) now: Duration,
}

impl<'a> Look<'a> {
    /// What the resources hold; `utilization` is that of the looks before.
    pub(super) fn contents(&self, utilization: &mut Utilization) -> Contents {
        let mut contents = Contents::new();
        let available = self.available();
        let in_use = self.in_use();
        let bearer = match in_use {
            Some((link, kind)) => self.number(link, kind),
            None => self.common_bearer().filter(|bearer| available.contains(bearer)),
        };
        contents.insert(id::AVAILABLE_BEARERS, integers(available));
        let mut put = |resource, value: Option<i64>| {
            contents.extend(value.map(|value| (resource, Content::Single(Value::Integer(value)))));
        };
        // Both are mandatory (Objects 6). They are absent all the same where nobody knows them:
        // the list of bearers has no number for that, and 0 dBm is the best of signals.
        put(id::NETWORK_BEARER, bearer);
        if bearer == Some(ETHERNET) {
            // No value exists on a wire, which is what 0 says there (Objects 6).
            put(id::SIGNAL_STRENGTH, Some(0));
        }
        let Some((link, kind)) = in_use else {
            contents.insert(id::IP_ADDRESSES, Content::Multiple(Vec::new()));
            return contents;
        };
        let speed = ethernet::speed(&self.roots.sys, link);
        put(id::LINK_UTILIZATION, utilization.of(link, speed, self.now));
        match kind {
            Kind::Wlan => {
                let signal = wireless::signal(&self.roots.proc, &link.name);
                let level = signal.and_then(|signal| signal.level);
                put(id::SIGNAL_STRENGTH, (self.station)(link.index).or(level));
                put(id::LINK_QUALITY, signal.map(|signal| signal.quality));
            }
            Kind::Ethernet | Kind::Bluetooth | Kind::Ieee802154 => {}
            Kind::Cellular => {
                if let Some(modem) = self.modem(link) {
                    put(id::SIGNAL_STRENGTH, modem.strength);
                    put(id::LINK_QUALITY, modem.quality);
                    put(id::CELL_ID, modem.cell);
                    put(id::SMCC, modem.operator.map(|(country, _)| country));
                    put(id::SMNC, modem.operator.map(|(_, network)| network));
                    put(id::SIGNAL_SNR, modem.snr);
                    put(id::LAC, modem.lac);
                    let mut apns = modem.apns().map(ToOwned::to_owned).peekable();
                    if apns.peek().is_some() {
                        contents.insert(id::APN, strings(apns));
                    }
                }
            }
        }
        let addresses = link.addresses.iter().map(ToString::to_string);
        contents.insert(id::IP_ADDRESSES, strings(addresses));
        let own = self.network.routes.iter().filter(|route| route.link == link.index);
        let mut routers: Vec<String> = Vec::new();
        for gateway in own.filter_map(|route| route.gateway) {
            let gateway = gateway.to_string();
            if !routers.contains(&gateway) {
                routers.push(gateway);
            }
        }
        if !routers.is_empty() {
            contents.insert(id::ROUTER_ADDRESSES, strings(routers));
        }
        contents
    }

    /// The link of the best default route. A route into a tunnel is passed over: what
    /// carries the tunnel is the bearer. Without a route it is the link that has an
    /// address, if there is one only.
    fn in_use(&self) -> Option<(&'a Link, Kind)> {
        let routed = self.network.routes.iter().filter_map(|route| self.network.link(route.link));
        let with_kind = |link: &'a Link| Some((link, self.kind(link)?));
        if let Some(found) = routed.filter(|link| link.carries).find_map(with_kind) {
            return Some(found);
        }
        let mut others = self.with_address();
        others.next().filter(|_| others.next().is_none())
    }

    /// The bearer of whichever link it is that is used, as far as they are all of one.
    fn common_bearer(&self) -> Option<i64> {
        let mut numbers = self.with_address().map(|(link, kind)| self.number(link, kind));
        let first = numbers.next()??;
        numbers.all(|number| number == Some(first)).then_some(first)
    }

    /// The links with a carrier and an address.
    fn with_address(&self) -> impl Iterator<Item = (&'a Link, Kind)> {
        let links = self.network.links.iter();
        let links = links.filter(|link| link.carries && !link.addresses.is_empty());
        links.filter_map(|link| Some((link, self.kind(link)?)))
    }

    /// The bearers that have a carrier, each once. Ethernet counts if it has hardware or
    /// a default route: bridges of containers lead nowhere.
    fn available(&self) -> Vec<i64> {
        let mut numbers: Vec<i64> = Vec::new();
        let used = self.in_use().map(|(link, _)| link.index);
        for link in self.network.links.iter().filter(|link| link.carries) {
            let Some(kind) = self.kind(link) else { continue };
            let leads_out = kind != Kind::Ethernet
                || used == Some(link.index)
                || bearer::is_hardware(&self.roots.sys, link)
                || self.network.routes.iter().any(|route| route.link == link.index);
            numbers.extend(self.number(link, kind).filter(|_| leads_out));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The kind of a link; one with a modem behind it may look like Ethernet or PPP.
    fn kind(&self, link: &Link) -> Option<Kind> {
        if self.modem(link).is_some() {
            return Some(Kind::Cellular);
        }
        bearer::kind(&self.roots.sys, link)
    }

    fn modem(&self, link: &Link) -> Option<&'a Modem> {
        self.modems.iter().find(|modem| modem.has_link(&link.name))
    }

    /// The number of a bearer (Objects 6); `None` for a cellular one that nobody knows
    /// more of.
    fn number(&self, link: &Link, kind: Kind) -> Option<i64> {
        match kind {
            Kind::Cellular => self.modem(link)?.bearer,
            Kind::Wlan => Some(21),
            Kind::Bluetooth => Some(22),
            Kind::Ieee802154 => Some(23),
            Kind::Ethernet => Some(ETHERNET),
        }
    }
}

/// The number of Ethernet among the bearers (Objects 6).
const ETHERNET: i64 = 41;

fn integers(values: Vec<i64>) -> Content {
    Content::Multiple((0..).zip(values.into_iter().map(Value::Integer)).collect())
}

fn strings(values: impl IntoIterator<Item = String>) -> Content {
    Content::Multiple((0..).zip(values.into_iter().map(Value::String)).collect())
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkLayerType;

    use super::*;
    use crate::sources::modem_manager::Bearer;
    use crate::sources::network::{DefaultRoute, Traffic};

    fn link(index: u32, name: &str, layer: LinkLayerType, address: &str) -> Link {
        let addresses = vec![address.parse().unwrap()];
        Link { index, name: name.into(), layer, carries: true, traffic: None, addresses }
    }

    fn route(link: u32, metric: u32, gateway: &str) -> DefaultRoute {
        DefaultRoute { metric, link, gateway: Some(gateway.parse().unwrap()) }
    }

    fn text(contents: &Contents, resource: u16) -> String {
        match contents.get(&resource) {
            None => "absent".into(),
            Some(Content::Single(value)) => value.to_string(),
            Some(Content::Multiple(values)) => {
                let values = values.iter().map(|(_, value)| value.to_string());
                values.collect::<Vec<_>>().join(" ")
            }
            Some(Content::Unreadable) => "unreadable".into(),
        }
    }

    /// The first look.
    fn look(network: &Network, modems: &[Modem], roots: &Roots) -> Contents {
        let look = Look { network, modems, roots, station: |_| None, now: Duration::ZERO };
        look.contents(&mut Utilization::default())
    }

    /// A machine with a wire, a WLAN and a modem.
    fn machine() -> (tempfile::TempDir, Roots, Vec<Link>) {
        let root = tempfile::tempdir().unwrap();
        for (name, uevent) in
            [("eth0", ""), ("wlan0", "DEVTYPE=wlan\n"), ("wwan0", "DEVTYPE=wwan\n")]
        {
            let folder = root.path().join("sys/class/net").join(name);
            std::fs::create_dir_all(folder.join("device")).unwrap();
            std::fs::write(folder.join("uevent"), format!("INTERFACE={name}\n{uevent}")).unwrap();
        }
        std::fs::create_dir_all(root.path().join("proc/net")).unwrap();
        let wireless = "wlan0: 0000   54.  -56.  -256        0      0\n";
        std::fs::write(root.path().join("proc/net/wireless"), wireless).unwrap();
        let roots = Roots::below(root.path());
        let links = vec![
            link(2, "eth0", LinkLayerType::Ether, "192.0.2.1"),
            link(3, "wlan0", LinkLayerType::Ether, "198.51.100.1"),
            link(4, "wwan0", LinkLayerType::Rawip, "203.0.113.1"),
            link(5, "tun0", LinkLayerType::None, "10.0.0.1"),
        ];
        (root, roots, links)
    }

    /// OBJ-71: values of cells are there on cellular bearers only.
    #[test]
    fn the_bearer_of_the_best_default_route_is_reported() {
        let (_root, roots, links) = machine();
        let bearer = Bearer {
            is_connected: true,
            link: Some("wwan0".into()),
            apn: Some("internet".into()),
            ..Bearer::default()
        };
        let modem = Modem {
            path: "/0".into(),
            is_on: true,
            bearers: vec![bearer],
            rate: None,
            bearer: Some(6),
            strength: Some(-101),
            quality: Some(-11),
            snr: Some(9),
            operator: Some((262, 1)),
            lac: None,
            cell: Some(77),
        };
        let modems = [modem];
        let resources = [0, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12];
        let absent = "absent";
        for (used, expected) in [
            (
                2,
                [
                    "41",
                    "0",
                    absent,
                    "\"192.0.2.1\"",
                    "\"192.0.2.9\"",
                    absent,
                    absent,
                    absent,
                    absent,
                    absent,
                    absent,
                ],
            ),
            (
                3,
                [
                    "21",
                    "-56",
                    "54",
                    "\"198.51.100.1\"",
                    "\"192.0.2.9\"",
                    absent,
                    absent,
                    absent,
                    absent,
                    absent,
                    absent,
                ],
            ),
            (
                4,
                [
                    "6",
                    "-101",
                    "-11",
                    "\"203.0.113.1\"",
                    "\"192.0.2.9\"",
                    "\"internet\"",
                    "77",
                    "1",
                    "262",
                    "9",
                    absent,
                ],
            ),
        ] {
            // The tunnel has the better metric, and is no bearer.
            let routes = vec![
                route(5, 50, "10.0.0.9"),
                route(used, 100, "192.0.2.9"),
                route(2, 900, "192.0.2.8"),
            ];
            let routes = if used == 2 { routes[..2].to_vec() } else { routes };
            let network = Network { links: links.clone(), routes };
            let contents = look(&network, &modems, &roots);
            assert_eq!(resources.map(|id| text(&contents, id)), expected, "link {used}");
            assert_eq!(text(&contents, 1), "6 21 41");
        }
    }

    /// Also what is mandatory: no number stands for what is not known.
    #[test]
    fn what_nobody_knows_is_absent() {
        let (_root, roots, mut links) = machine();
        // A modem without its service: cellular, but which network nobody knows.
        let network = Network { links: links.clone(), routes: vec![route(4, 0, "192.0.2.9")] };
        let seen = look(&network, &[], &roots);
        assert_eq!((text(&seen, 0), text(&seen, 1)), ("absent".into(), "21 41".into()));
        assert_eq!(text(&seen, 2), "absent");
        // No default route and several links: none is the one.
        let network = Network { links: links.clone(), routes: Vec::new() };
        let seen = look(&network, &[], &roots);
        assert_eq!((text(&seen, 0), text(&seen, 4)), ("absent".into(), String::new()));
        assert_eq!(text(&seen, 2), "absent");
        // Whichever of these it is, it is a wire.
        let wires = vec![links[0].clone(), link(6, "br0", LinkLayerType::Ether, "192.0.2.2")];
        let seen = look(&Network { links: wires, routes: Vec::new() }, &[], &roots);
        assert_eq!([0, 1, 2, 4].map(|id| text(&seen, id)), ["41", "41", "0", ""]);
        let bridges = ["br0", "br1"].map(|name| link(6, name, LinkLayerType::Ether, "192.0.2.2"));
        let seen = look(&Network { links: bridges.into(), routes: Vec::new() }, &[], &roots);
        assert_eq!([0, 1, 2].map(|id| text(&seen, id)), ["absent", "", "absent"], "lead nowhere");
        // Without a carrier there is no bearer at all.
        links.iter_mut().for_each(|link| link.carries = false);
        let network = Network { links, routes: vec![route(2, 0, "192.0.2.9")] };
        let seen = look(&network, &[], &roots);
        assert_eq!((text(&seen, 0), text(&seen, 1)), ("absent".into(), String::new()));
    }

    #[test]
    fn the_use_of_a_wire_comes_with_the_second_look() {
        let (root, roots, mut links) = machine();
        let folder = root.path().join("sys/class/net/eth0");
        std::fs::write(folder.join("speed"), "100\n").unwrap();
        std::fs::write(folder.join("duplex"), "full\n").unwrap();
        let mut utilization = Utilization::default();
        let mut at = |sent: u64, used: u32, seconds: u64| {
            links[0].traffic = Some(Traffic { sent, ..Traffic::default() });
            let routes = vec![route(used, 0, "192.0.2.9")];
            let network = Network { links: links.clone(), routes };
            let now = Duration::from_secs(seconds);
            let look =
                Look { network: &network, modems: &[], roots: &roots, station: |_| None, now };
            text(&look.contents(&mut utilization), 6)
        };
        assert_eq!(at(0, 2, 0), "absent");
        assert_eq!(at(62_500_000, 2, 10), "50");
        assert_eq!(at(62_500_000, 3, 20), "absent", "a WLAN says no speed");
    }

    #[test]
    fn the_signal_of_a_station_goes_before_that_of_the_old_file() {
        let (_root, roots, links) = machine();
        let network = Network { links, routes: vec![route(3, 0, "192.0.2.9")] };
        // Asked of the link in use, which is number 3.
        let station = |link| Some(-45 - i64::from(link));
        let (network, roots) = (&network, &roots);
        let look = Look { network, modems: &[], roots, station, now: Duration::ZERO };
        let contents = look.contents(&mut Utilization::default());
        assert_eq!((text(&contents, 2), text(&contents, 3)), ("-48".into(), "54".into()));
    }
}
