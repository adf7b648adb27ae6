//! One bearer of a modem as an APN connection profile (Objects 14).

use std::net::{IpAddr, Ipv4Addr};

use lwm2m_model::{Path, Value, objects};

use crate::content::Content;
use crate::sources::modem_manager::{Address, Bearer};

/// What stands in the resources of the profile, ascending.
pub(super) fn contents(bearer: &Bearer) -> Vec<(Path, Content)> {
    let single = |value| Some(Content::Single(value));
    let integer = |value: Option<i64>| value.and_then(|value| single(Value::Integer(value)));
    let counter = |value: Option<u64>| integer(value.and_then(|it| i64::try_from(it).ok()));
    let first = |value: Option<Value>| value.map(|value| Content::Multiple(vec![(0, value)]));
    let apn = bearer.apn.clone().unwrap_or_default();
    let name = bearer.profile.clone().unwrap_or_else(|| match &bearer.apn {
        Some(apn) => apn.clone(),
        None => "default".to_owned(),
    });
    let result = match (bearer.is_connected, bearer.has_failed) {
        (true, _) => Some(0),
        (false, true) => Some(1),
        (false, false) => None,
    };
    let texts = |of: fn(&Address) -> Option<String>| {
        // IPv4 is instance 0 and IPv6 is 1, so that those of one address belong together.
        let values = bearer.addresses.iter().filter_map(|address| {
            Some((u16::from(address.ip.is_ipv6()), Value::String(of(address)?)))
        });
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then_some(Content::Multiple(values))
    };
    let all = [
        (NAME, single(Value::String(name))),
        // Empty, the network chooses.
        (APN, single(Value::String(apn))),
        (ENABLED, single(Value::Boolean(bearer.is_connected))),
        (AUTHENTICATION, integer(authentication(bearer))),
        (USER, bearer.user.clone().and_then(|user| single(Value::String(user)))),
        (ESTABLISHED, first(bearer.since.map(Value::Time))),
        (RESULT, first(result.map(Value::Integer))),
        (SENT, counter(bearer.sent)),
        (RECEIVED, counter(bearer.received)),
        (ADDRESS, texts(|address| Some(address.ip.to_string()))),
        (PREFIX, texts(|it| it.prefix.filter(|_| it.ip.is_ipv6()).map(|bits| bits.to_string()))),
        (MASK, texts(|it| it.prefix.filter(|_| it.ip.is_ipv4()).map(mask))),
        (GATEWAY, texts(|address| address.gateway.as_ref().map(IpAddr::to_string))),
        (FIRST_RESOLVER, texts(|address| address.resolvers[0].as_ref().map(IpAddr::to_string))),
        (SECOND_RESOLVER, texts(|address| address.resolvers[1].as_ref().map(IpAddr::to_string))),
        (PDN_TYPE, integer(pdn_type(bearer.family))),
    ];
    let path = |id| Path::resource(objects::APN_CONNECTION_PROFILE.id, bearer.number, id);
    all.into_iter().filter_map(|(id, content)| Some((path(id), content?))).collect()
}

/// PAP, CHAP, either or none; `None` for what the object has no number for.
fn authentication(bearer: &Bearer) -> Option<i64> {
    let [has_pap, has_chap] = [1, 2].map(|bit| bearer.authentication & (1 << bit) != 0);
    match (has_pap, has_chap, bearer.authentication) {
        (true, true, _) => Some(2),
        (true, false, _) => Some(0),
        (false, true, _) => Some(1),
        // Nothing is said: who has no name has nothing to prove; else the modem chooses.
        (false, false, 0) if bearer.user.is_some() => Some(2),
        (false, false, 0 | 1) => Some(3),
        (false, false, _) => None,
    }
}

/// The number of the kind of addresses.
fn pdn_type(family: u32) -> Option<i64> {
    match family {
        1 => Some(1),
        2 => Some(2),
        // Both at once, or either.
        3 | 4 => Some(3),
        8 => Some(0),
        _ => None,
    }
}

fn mask(prefix: u8) -> String {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or_default();
    Ipv4Addr::from_bits(bits).to_string()
}

const NAME: u16 = 0;
const APN: u16 = 1;
pub(super) const ENABLED: u16 = 3;
const AUTHENTICATION: u16 = 4;
const USER: u16 = 5;
const ESTABLISHED: u16 = 9;
const RESULT: u16 = 10;
const SENT: u16 = 13;
const RECEIVED: u16 = 14;
const ADDRESS: u16 = 15;
const PREFIX: u16 = 16;
const MASK: u16 = 17;
const GATEWAY: u16 = 18;
const FIRST_RESOLVER: u16 = 19;
const SECOND_RESOLVER: u16 = 20;
const PDN_TYPE: u16 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_say_who_one_is_have_the_numbers_of_the_object() {
        for (bits, user, expected) in [
            (0, None, Some(3)),
            (0, Some("seed"), Some(2)),
            (1, Some("seed"), Some(3)),
            (1 << 1, None, Some(0)),
            (1 << 2, None, Some(1)),
            (1 << 1 | 1 << 2, None, Some(2)),
            (1 << 5, None, None),
        ] {
            let user = user.map(str::to_owned);
            let bearer = Bearer { authentication: bits, user, ..Bearer::default() };
            assert_eq!(authentication(&bearer), expected, "{bits:#x}");
        }
    }

    #[test]
    fn prefixes_become_masks() {
        for (prefix, expected) in [
            (1, "128.0.0.0"),
            (24, "255.255.255.0"),
            (30, "255.255.255.252"),
            (32, "255.255.255.255"),
        ] {
            assert_eq!(mask(prefix), expected);
        }
    }
}
