//! A bearer of a modem: one connection to a packet network, whether it is up or not
//! (org.freedesktop.ModemManager1.Bearer(5)).

use std::net::IpAddr;

use super::{Properties, text, value};

/// What is known of a bearer. What ModemManager does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bearer {
    /// Its object on the bus.
    pub(crate) path: String,
    /// Its number as an instance, or that of its profile, as long as it is there; a bearer
    /// that is left over has none.
    pub(crate) number: Option<u16>,
    /// Whether it is connected.
    pub(crate) is_connected: bool,
    /// The network interface of a bearer that is connected.
    pub(crate) link: Option<String>,
    /// The name of its profile, where the modem keeps some.
    pub(crate) profile: Option<String>,
    /// The access point; without one the network chooses.
    pub(crate) apn: Option<String>,
    /// Who it says that it is.
    pub(crate) user: Option<String>,
    /// The ways in which it may say so: bits of MMBearerAllowedAuth.
    pub(crate) authentication: u32,
    /// The kinds of addresses: bits of MMBearerIpFamily.
    pub(crate) family: u32,
    /// How it is reached, IPv4 first.
    pub(crate) addresses: Vec<Address>,
    /// What it has carried, all its connections together.
    pub(crate) sent: Option<u64>,
    /// The same for what came.
    pub(crate) received: Option<u64>,
    /// Unix time in seconds at which the connection that is up was made.
    pub(crate) since: Option<i64>,
    /// Whether the last attempt to connect has failed.
    pub(crate) has_failed: bool,
}

/// What the network has given to a bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The address; its kind is that of all the others.
    pub(crate) ip: IpAddr,
    /// The bits of its network.
    pub(crate) prefix: Option<u8>,
    /// The next hop.
    pub(crate) gateway: Option<IpAddr>,
    /// Resolvers, the first and the second.
    pub(crate) resolvers: [Option<IpAddr>; 2],
}

impl Bearer {
    /// Reads the properties of a bearer.
    pub(super) fn describe(path: &str, properties: &Properties) -> Self {
        let is_connected = value(properties, "Connected") == Some(true);
        let settings: Properties = value(properties, "Properties").unwrap_or_default();
        let statistics: Properties = value(properties, "Stats").unwrap_or_default();
        let counter =
            |names: [&str; 2]| names.into_iter().find_map(|name| value::<u64>(&statistics, name));
        let since = value::<u64>(&statistics, "start-date").and_then(|it| i64::try_from(it).ok());
        let addresses = ["Ip4Config", "Ip6Config"]
            .into_iter()
            .filter_map(|name| address(&value(properties, name)?))
            .collect();
        let error: Option<(String, String)> = value(properties, "ConnectionError");
        Self {
            path: path.to_owned(),
            number: None,
            is_connected,
            link: text(properties, "Interface").filter(|_| is_connected),
            profile: text(&settings, "profile-name"),
            apn: text(&settings, "apn"),
            user: text(&settings, "user"),
            authentication: value(&settings, "allowed-auth").unwrap_or_default(),
            family: value(&settings, "ip-type").unwrap_or_default(),
            addresses,
            sent: counter(["total-tx-bytes", "tx-bytes"]),
            received: counter(["total-rx-bytes", "rx-bytes"]),
            since: since.filter(|since| is_connected && *since > 0),
            has_failed: !is_connected && error.is_some_and(|(name, _)| !name.is_empty()),
        }
    }
}

/// An address, unless it is left to DHCP or makes no sense.
fn address(config: &Properties) -> Option<Address> {
    let ip =
        |name: &str| text(config, name)?.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified());
    let own = ip("address")?;
    let same = |name: &str| ip(name).filter(|ip| ip.is_ipv4() == own.is_ipv4());
    let most = if own.is_ipv4() { 32 } else { 128 };
    let prefix = value::<u32>(config, "prefix").and_then(|it| u8::try_from(it).ok());
    Some(Address {
        ip: own,
        prefix: prefix.filter(|prefix| (1..=most).contains(prefix)),
        gateway: same("gateway"),
        resolvers: ["dns1", "dns2"].map(same),
    })
}

#[cfg(test)]
mod tests {
    use zbus::{OwnedVariant, Variant};

    use super::*;

    fn properties(table: &[(&str, Variant<'static>)]) -> Properties {
        let owned = |value: &Variant<'static>| OwnedVariant::try_from(value.clone()).unwrap();
        table.iter().map(|(name, value)| ((*name).to_owned(), owned(value))).collect()
    }

    #[test]
    fn an_address_is_whole_or_none() {
        let good = [
            ("address", "10.1.2.3".into()),
            ("prefix", 30_u32.into()),
            ("gateway", "10.1.2.1".into()),
            ("dns1", "2001:db8::1".into()),
            ("dns2", "192.0.2.53".into()),
        ];
        let resolver = Some("192.0.2.53".parse().unwrap());
        let expected = Address {
            ip: "10.1.2.3".parse().unwrap(),
            prefix: Some(30),
            gateway: Some("10.1.2.1".parse().unwrap()),
            // The first is of the other kind.
            resolvers: [None, resolver],
        };
        assert_eq!(address(&properties(&good)), Some(expected));
        let bare = properties(&[("address", "10.1.2.3".into()), ("prefix", 33_u32.into())]);
        assert_eq!(address(&bare).unwrap().prefix, None);
        for table in [
            &[][..],
            &[("method", 3_u32.into())],
            &[("address", "".into())],
            &[("address", "0.0.0.0".into())],
            &[("address", "10.1.2".into())],
            &[("address", 7_u32.into())],
        ] {
            assert_eq!(address(&properties(table)), None, "{table:?}");
        }
    }
}
