//! An APN connection profile (Objects 14): what NetworkManager's profile is to be, and what
//! ModemManager's bearer is.

use std::net::{IpAddr, Ipv4Addr};

use lwm2m_model::{Path, Value, objects};

use crate::content::Content;
use crate::modems::Known;
use crate::sources::modem_manager::{Address, Bearer};
use crate::sources::network_manager::ACTIVATED;
use crate::sources::network_manager::mobile::{Carrier, Mobile};

/// An instance: a profile, a bearer, or both.
pub(super) struct Profile<'a> {
    pub(super) number: u16,
    pub(super) mobile: Option<&'a Mobile>,
    /// The modem that is connected by it, or should have been.
    pub(super) carrier: Option<&'a Carrier>,
    pub(super) bearer: Option<&'a Bearer>,
}

/// All profiles, ascending.
pub(super) fn profiles(known: &Known) -> Vec<Profile<'_>> {
    let bearers = || known.modems.iter().flat_map(|modem| &modem.bearers);
    let carrier = |path: &str| {
        let is_its = |carrier: &&Carrier| carrier.is_by(path) || carrier.has_failed_by(path);
        known.carriers.iter().find(is_its)
    };
    let of_network = known.profiles.iter().map(|mobile| Profile {
        number: mobile.number,
        mobile: Some(mobile),
        carrier: carrier(&mobile.path),
        bearer: bearers().find(|bearer| bearer.number == Some(mobile.number)),
    });
    let is_profile = |number| known.profiles.iter().any(|mobile| mobile.number == number);
    let of_modems = bearers().filter_map(|bearer| {
        let number = bearer.number.filter(|number| !is_profile(*number))?;
        Some(Profile { number, mobile: None, carrier: None, bearer: Some(bearer) })
    });
    let mut profiles: Vec<_> = of_network.chain(of_modems).collect();
    profiles.sort_by_key(|profile| profile.number);
    profiles
}

impl Profile<'_> {
    /// Whether it is connected, or becomes so.
    pub(super) fn is_enabled(&self) -> bool {
        match self.mobile {
            Some(mobile) => self.carrier.is_some_and(|carrier| carrier.is_by(&mobile.path)),
            None => self.bearer.is_some_and(|bearer| bearer.is_connected),
        }
    }

    /// 0 for a connection that is up, 1 for one that has failed, where that is known.
    fn result(&self) -> Option<i64> {
        let state = self.carrier.map(|carrier| carrier.state.state);
        let is_up = self.bearer.is_some_and(|bearer| bearer.is_connected);
        if is_up || (self.is_enabled() && state == Some(ACTIVATED)) {
            return Some(0);
        }
        let has_failed = self.bearer.is_some_and(|bearer| bearer.has_failed);
        (has_failed || (state.is_some() && !self.is_enabled())).then_some(1)
    }

    /// What stands in its resources, ascending.
    pub(super) fn contents(&self) -> Vec<(Path, Content)> {
        let path = |id| Path::resource(objects::APN_CONNECTION_PROFILE.id, self.number, id);
        let mut contents = match (self.mobile, self.bearer) {
            (Some(mobile), _) => settings(mobile),
            (None, Some(bearer)) => settings_of(bearer),
            (None, None) => Vec::new(),
        };
        let single = |value| Some(Content::Single(value));
        contents.push((ENABLED, single(Value::Boolean(self.is_enabled()))));
        let result = self.result().map(Value::Integer);
        contents.push((RESULT, result.map(|value| Content::Multiple(vec![(0, value)]))));
        if let Some(bearer) = self.bearer {
            contents.extend(connection(bearer));
        }
        contents.sort_by_key(|(id, _)| *id);
        contents.into_iter().filter_map(|(id, content)| Some((path(id), content?))).collect()
    }
}

type Contents = Vec<(u16, Option<Content>)>;

/// What a profile of NetworkManager says.
fn settings(mobile: &Mobile) -> Contents {
    let single = |value| Some(Content::Single(value));
    let integer = |value: Option<i64>| value.and_then(|value| single(Value::Integer(value)));
    let text = |value: Option<String>| value.and_then(|value| single(Value::String(value)));
    let network = mobile.network.clone().map(Value::String);
    // Empty, the network chooses.
    let apn = mobile.apn.clone().or_else(|| (!mobile.is_auto).then(String::new));
    vec![
        (NAME, text(mobile.name.clone().or_else(|| Some(String::new())))),
        (APN, text(apn)),
        (AUTO, single(Value::Boolean(mobile.is_auto))),
        (AUTHENTICATION, integer(allowed(mobile))),
        (USER, text(mobile.user.clone())),
        (SECRET, Some(Content::Unreadable)),
        (VALIDITY, network.map(|value| Content::Multiple(vec![(0, value)]))),
        (PDN_TYPE, integer(kind(mobile.ipv4, mobile.ipv6))),
    ]
}

/// What a bearer without a profile was made with.
fn settings_of(bearer: &Bearer) -> Contents {
    let single = |value| Some(Content::Single(value));
    let integer = |value: Option<i64>| value.and_then(|value| single(Value::Integer(value)));
    let apn = bearer.apn.clone().unwrap_or_default();
    let name = bearer.profile.clone().unwrap_or_else(|| match &bearer.apn {
        Some(apn) => apn.clone(),
        None => "default".to_owned(),
    });
    vec![
        (NAME, single(Value::String(name))),
        // Empty, the network chooses.
        (APN, single(Value::String(apn))),
        (AUTHENTICATION, integer(authentication(bearer))),
        (USER, bearer.user.clone().and_then(|user| single(Value::String(user)))),
        (PDN_TYPE, integer(pdn_type(bearer.family))),
    ]
}

/// What the network has given to a bearer.
fn connection(bearer: &Bearer) -> Contents {
    let counter = |value: Option<u64>| {
        let value = value.and_then(|it| i64::try_from(it).ok());
        value.map(|value| Content::Single(Value::Integer(value)))
    };
    let texts = |of: fn(&Address) -> Option<String>| {
        // IPv4 is instance 0 and IPv6 is 1, so that those of one address belong together.
        let values = bearer.addresses.iter().filter_map(|address| {
            Some((u16::from(address.ip.is_ipv6()), Value::String(of(address)?)))
        });
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then_some(Content::Multiple(values))
    };
    let since = bearer.since.map(|since| Content::Multiple(vec![(0, Value::Time(since))]));
    vec![
        (ESTABLISHED, since),
        (SENT, counter(bearer.sent)),
        (RECEIVED, counter(bearer.received)),
        (ADDRESS, texts(|address| Some(address.ip.to_string()))),
        (PREFIX, texts(|it| it.prefix.filter(|_| it.ip.is_ipv6()).map(|bits| bits.to_string()))),
        (MASK, texts(|it| it.prefix.filter(|_| it.ip.is_ipv4()).map(mask))),
        (GATEWAY, texts(|address| address.gateway.as_ref().map(IpAddr::to_string))),
        (FIRST_RESOLVER, texts(|address| address.resolvers[0].as_ref().map(IpAddr::to_string))),
        (SECOND_RESOLVER, texts(|address| address.resolvers[1].as_ref().map(IpAddr::to_string))),
    ]
}

/// What a profile lets a modem do of PAP and CHAP; `None` for what the object has no
/// number for.
fn allowed(mobile: &Mobile) -> Option<i64> {
    let [no_pap, no_chap] = [0, 1].map(|bit| mobile.refused & (1 << bit) != 0);
    match (no_pap, no_chap) {
        // Nothing is said: who has no name has nothing to prove.
        (false, false) if mobile.refused == 0 && mobile.user.is_none() => Some(NONE),
        (false, false) => Some(PAP_OR_CHAP),
        (false, true) => Some(PAP),
        (true, false) => Some(CHAP),
        (true, true) => None,
    }
}

/// The number of the kinds of addresses.
fn kind(ipv4: bool, ipv6: bool) -> Option<i64> {
    match (ipv4, ipv6) {
        (true, true) => Some(BOTH),
        (true, false) => Some(IPV4),
        (false, true) => Some(IPV6),
        (false, false) => None,
    }
}

/// PAP, CHAP, either or none; `None` for what the object has no number for.
fn authentication(bearer: &Bearer) -> Option<i64> {
    let [has_pap, has_chap] = [1, 2].map(|bit| bearer.authentication & (1 << bit) != 0);
    match (has_pap, has_chap, bearer.authentication) {
        (true, true, _) => Some(PAP_OR_CHAP),
        (true, false, _) => Some(PAP),
        (false, true, _) => Some(CHAP),
        // Nothing is said: who has no name has nothing to prove; else the modem chooses.
        (false, false, 0) if bearer.user.is_some() => Some(PAP_OR_CHAP),
        (false, false, 0 | 1) => Some(NONE),
        (false, false, _) => None,
    }
}

/// The number of the kind of addresses.
fn pdn_type(family: u32) -> Option<i64> {
    match family {
        1 => Some(IPV4),
        2 => Some(IPV6),
        // Both at once, or either.
        3 | 4 => Some(BOTH),
        8 => Some(0),
        _ => None,
    }
}

fn mask(prefix: u8) -> String {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or_default();
    Ipv4Addr::from_bits(bits).to_string()
}

pub(super) const NAME: u16 = 0;
pub(super) const APN: u16 = 1;
pub(super) const AUTO: u16 = 2;
pub(super) const ENABLED: u16 = 3;
pub(super) const AUTHENTICATION: u16 = 4;
pub(super) const USER: u16 = 5;
pub(super) const SECRET: u16 = 6;
const VALIDITY: u16 = 8;
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
pub(super) const PDN_TYPE: u16 = 24;
/// Values of Authentication Type.
pub(super) const PAP: i64 = 0;
pub(super) const CHAP: i64 = 1;
pub(super) const PAP_OR_CHAP: i64 = 2;
pub(super) const NONE: i64 = 3;
/// Values of PDN Type.
pub(super) const IPV4: i64 = 1;
pub(super) const IPV6: i64 = 2;
pub(super) const BOTH: i64 = 3;

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
    fn ways_that_a_profile_refuses_leave_the_others() {
        for (refused, user, expected) in [
            (0, None, Some(NONE)),
            (0, Some("seed"), Some(PAP_OR_CHAP)),
            (0b11100, None, Some(PAP_OR_CHAP)),
            (0b11110, None, Some(PAP)),
            (0b00010, Some("seed"), Some(PAP)),
            (0b11101, Some("seed"), Some(CHAP)),
            (0b00011, Some("seed"), None),
        ] {
            let user = user.map(str::to_owned);
            let mobile = Mobile { refused, user, ..Mobile::default() };
            assert_eq!(allowed(&mobile), expected, "{refused:#b}");
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
