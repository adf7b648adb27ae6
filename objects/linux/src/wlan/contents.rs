//! What stands in the resources of an instance.

use std::path::Path as FilePath;

use lwm2m_model::objects::WLAN_CONNECTIVITY;
use lwm2m_model::{Path, Value};

use super::resource::{
    AUTHENTICATION, BSSID, CHANNEL, COUNTERS, EAP, EAP_OR_PSK, ENABLE, ENCRYPTION, INTERFACE,
    KEY_PHRASE, MODE, OPEN, PRE_SHARED_KEY, PSK, RADIO, RADIO_2_4_GHZ, RADIO_5_GHZ, RADIO_OFF,
    SSID, STATUS,
};
use crate::content::Content;
use crate::sources::network_manager::{ACTIVATED, AccessPoint, FAILED, Wlan};
use crate::sources::text;

/// The resources of the instance `id`, ascending; counters are read below `sys`.
pub(super) fn contents(id: u16, wlan: &Wlan, sys: &FilePath) -> Vec<(Path, Content)> {
    let integer = |value: i64| Some(Content::Single(Value::Integer(value)));
    let string = |value: &String| Content::Single(Value::String(value.clone()));
    let point = wlan.point.as_ref().filter(|_| wlan.radio);
    let band = point.and_then(|point| band(point.frequency?));
    let mut contents = vec![
        (INTERFACE, Some(string(&wlan.name))),
        (ENABLE, Some(Content::Single(Value::Boolean(wlan.radio)))),
        (RADIO, if wlan.radio { band.and_then(integer) } else { integer(RADIO_OFF) }),
        (STATUS, integer(status(wlan))),
        (BSSID, wlan.address.as_ref().map(string)),
        (SSID, point.and_then(|point| point.ssid.as_ref()).map(string)),
        (MODE, wlan.mode.and_then(mode).and_then(integer)),
        (CHANNEL, point.and_then(|point| channel(point.frequency?)).and_then(integer)),
        (AUTHENTICATION, point.map(authentication).and_then(integer)),
        (ENCRYPTION, point.and_then(encryption).and_then(integer)),
        (PRE_SHARED_KEY, Some(Content::Unreadable)),
        (KEY_PHRASE, Some(Content::Unreadable)),
    ];
    let counters = sys.join("class/net").join(&wlan.name).join("statistics");
    contents.extend(
        COUNTERS.map(|(resource, file)| {
            (resource, text::number(&counters.join(file)).and_then(integer))
        }),
    );
    let contents = contents.into_iter();
    contents.filter_map(|(resource, content)| Some((path(id, resource), content?))).collect()
}

/// The path of a resource.
pub(super) const fn path(instance: u16, resource: u16) -> Path {
    Path::resource(WLAN_CONNECTIVITY.id, instance, resource)
}

/// Up, or failed, or neither: what is not in use counts as disabled.
fn status(wlan: &Wlan) -> i64 {
    match wlan.state.state {
        ACTIVATED if wlan.radio => 1,
        FAILED => 2,
        _ => 0,
    }
}

/// Access point or client; the object has no number for ad hoc and mesh networks.
fn mode(mode: u32) -> Option<i64> {
    match mode {
        INFRASTRUCTURE => Some(1),
        ACCESS_POINT => Some(0),
        _ => None,
    }
}

/// The band by its number in Radio Enabled, which has none for 6 GHz.
fn band(frequency: u32) -> Option<i64> {
    match frequency {
        2412..=2484 => Some(RADIO_2_4_GHZ),
        5000..=5900 => Some(RADIO_5_GHZ),
        57_000..=71_000 => Some(6),
        _ => None,
    }
}

/// The channel of a frequency (IEEE 802.11, annex E).
fn channel(frequency: u32) -> Option<i64> {
    let steps = |start: u32, step: u32| {
        let above = frequency.checked_sub(start)?;
        (above % step == 0).then_some(i64::from(above / step))
    };
    match frequency {
        2412..=2472 => steps(2407, 5),
        2484 => Some(14),
        5005..=5900 => steps(5000, 5),
        5955..=7115 => steps(5950, 5),
        58_320..=69_120 => steps(56_160, 2160),
        _ => None,
    }
}

fn authentication(point: &AccessPoint) -> i64 {
    let has = |bits| (point.wpa | point.rsn) & bits != 0;
    match (has(KEY_MGMT_EAP), has(KEY_MGMT_PSK)) {
        (false, false) => OPEN,
        (false, true) => PSK,
        (true, false) => EAP,
        (true, true) => EAP_OR_PSK,
    }
}

/// The best that both can do.
fn encryption(point: &AccessPoint) -> Option<i64> {
    let either = point.wpa | point.rsn;
    if either & PAIR_CCMP != 0 {
        return Some(0);
    }
    if either & PAIR_TKIP != 0 {
        return Some(1);
    }
    (either == 0 && point.flags & PRIVACY != 0).then_some(2)
}

/// NM80211Mode.
const INFRASTRUCTURE: u32 = 2;
const ACCESS_POINT: u32 = 3;
/// NM80211ApFlags: without flags of WPA this is WEP.
const PRIVACY: u32 = 1;
/// NM80211ApSecurityFlags.
const PAIR_TKIP: u32 = 0x4;
const PAIR_CCMP: u32 = 0x8;
/// PSK, and SAE, which is a key phrase too.
const KEY_MGMT_PSK: u32 = 0x100 | 0x400;
/// 802.1X, and Suite B.
const KEY_MGMT_EAP: u32 = 0x200 | 0x2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_bands_are_those_of_the_frequency() {
        #[rustfmt::skip] // a table: one row a frequency
        let cases = [
            (2412, Some(1), Some(1)), (2472, Some(13), Some(1)), (2484, Some(14), Some(1)),
            (5180, Some(36), Some(2)), (5825, Some(165), Some(2)), (5955, Some(1), None),
            (60_480, Some(2), Some(6)), (2413, None, Some(1)), (1, None, None), (0, None, None),
            (u32::MAX, None, None),
        ];
        for (frequency, number, of_band) in cases {
            assert_eq!((channel(frequency), band(frequency)), (number, of_band), "{frequency}");
        }
    }

    #[test]
    fn authentication_and_encryption_are_what_the_access_point_offers() {
        #[rustfmt::skip] // a table: one row an access point
        let cases = [
            (0, 0, 0, OPEN, None),
            (PRIVACY, 0, 0, OPEN, Some(2)),
            (PRIVACY, 0, 0x188, PSK, Some(0)),
            (PRIVACY, 0, 0x488, PSK, Some(0)),
            (PRIVACY, 0x144, 0, PSK, Some(1)),
            (PRIVACY, 0x144, 0x188, PSK, Some(0)),
            (PRIVACY, 0, 0x288, EAP, Some(0)),
            (PRIVACY, 0, 0x388, EAP_OR_PSK, Some(0)),
            // OWE: encrypted for whoever comes.
            (0, 0, 0x888, OPEN, Some(0)),
        ];
        for (flags, wpa, rsn, mode, cipher) in cases {
            let point = AccessPoint { ssid: None, frequency: None, flags, wpa, rsn };
            assert_eq!((authentication(&point), encryption(&point)), (mode, cipher), "{point:?}");
        }
    }
}
