//! What a Write asks for, and what it makes of a profile.

use std::collections::HashMap;

use lwm2m_model::{Code, Entry, Path, RequestError, Value};
use zbus::{OwnedVariant, Variant};

use super::resource::{
    AUTHENTICATION, ENABLE, KEY_PHRASE, OPEN, PRE_SHARED_KEY, PSK, RADIO, RADIO_2_4_GHZ,
    RADIO_5_GHZ, RADIO_OFF, SSID,
};
use crate::content::{Content, stands};
use crate::secret::Secret;
use crate::sources::network_manager::{EAP, NETWORK, Profile, SECURITY};

/// A Write in form. What it leaves as it is is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    pub(super) radio: Option<bool>,
    pub(super) network: Network,
}

/// What a profile is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Network {
    pub(super) ssid: Option<String>,
    /// NetworkManager's name of it.
    band: Option<&'static str>,
    protection: Option<Protection>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Protection {
    Open,
    /// The key that the profile has.
    Psk,
    Key(Secret),
}

impl Wanted {
    /// Judges a Write as a whole, against what the resources hold.
    pub(super) fn parse(
        entries: &[Entry],
        contents: &[(Path, Content)],
    ) -> Result<Self, RequestError> {
        let mut wanted = Self::default();
        let is_key =
            |entry: &Entry| matches!(entry.path.resource_id(), Some(PRE_SHARED_KEY | KEY_PHRASE));
        let has_key = entries.iter().any(is_key);
        for entry in entries {
            // Whether it goes with a key is still to be judged.
            let is_open = has_key && entry.path.resource_id() == Some(AUTHENTICATION);
            if is_open || !stands(contents, entry) {
                wanted.take(entry)?;
            }
        }
        if wanted.radio == Some(false) && wanted.network != Network::default() {
            let reason = "a WLAN that is switched off is not connected elsewhere";
            return Err(RequestError::new(Code::BAD_REQUEST, reason));
        }
        Ok(wanted)
    }

    fn take(&mut self, entry: &Entry) -> Result<(), RequestError> {
        let wrong = |what: &str| {
            Err(RequestError::new(Code::BAD_REQUEST, format!("write {}: {what}", entry.path)))
        };
        let network = &mut self.network;
        let radio = match (entry.path.resource_id(), entry.value()) {
            (Some(ENABLE), Some(Value::Boolean(is_on))) => *is_on,
            (Some(RADIO), Some(Value::Integer(RADIO_OFF))) => false,
            (Some(RADIO), Some(Value::Integer(band @ (RADIO_2_4_GHZ | RADIO_5_GHZ)))) => {
                network.band = Some(if *band == RADIO_2_4_GHZ { "bg" } else { "a" });
                true
            }
            (Some(RADIO), _) => return wrong("NetworkManager chooses between 0, 1 and 2 alone"),
            (Some(SSID), Some(Value::String(ssid))) if !ssid.is_empty() => {
                network.ssid = Some(ssid.clone());
                return Ok(());
            }
            (Some(AUTHENTICATION), Some(Value::Integer(mode @ (OPEN | PSK)))) => {
                return match (&network.protection, *mode) {
                    (None, OPEN) => {
                        network.protection = Some(Protection::Open);
                        Ok(())
                    }
                    (None, _) => {
                        network.protection = Some(Protection::Psk);
                        Ok(())
                    }
                    (Some(_), OPEN) => wrong("an open network has no key"),
                    (Some(_), _) => Ok(()),
                };
            }
            (Some(AUTHENTICATION), _) => return wrong("keys of EAP are not set from here"),
            (Some(id @ (PRE_SHARED_KEY | KEY_PHRASE)), Some(Value::String(key))) => {
                let is_good = if id == PRE_SHARED_KEY {
                    key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit())
                } else {
                    (8..=63).contains(&key.len()) && key.bytes().all(|b| matches!(b, 32..=126))
                };
                if !is_good {
                    return wrong("64 hexadecimal digits, or a phrase of 8 to 63 characters");
                }
                return match network.protection {
                    Some(Protection::Open) => wrong("an open network has no key"),
                    Some(Protection::Key(_)) => wrong("one key is enough"),
                    None | Some(Protection::Psk) => {
                        network.protection = Some(Protection::Key(Secret(key.clone())));
                        Ok(())
                    }
                };
            }
            _ => {
                let reason = format!("{}: NetworkManager does not change it", entry.path);
                return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
            }
        };
        if self.radio.is_some_and(|before| before != radio) {
            return wrong("Enable and Radio Enabled contradict each other");
        }
        self.radio = Some(radio);
        Ok(())
    }
}

impl Network {
    /// A profile of the link `name` for it.
    pub(super) fn profile(&self, name: &str) -> Result<Profile, RequestError> {
        if self.ssid.is_none() {
            let reason = format!("{name} uses no profile: SSID is needed");
            return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
        }
        let section = |values: &[(&str, &str)]| {
            values.iter().map(|(key, value)| ((*key).to_owned(), owned(*value))).collect()
        };
        let id = format!("lwm2m {name}");
        let connection = [("id", id.as_str()), ("type", NETWORK), ("interface-name", name)];
        let mut profile = HashMap::from([
            ("connection".to_owned(), section(&connection)),
            (NETWORK.to_owned(), section(&[("mode", "infrastructure")])),
        ]);
        self.change(&mut profile)?;
        Ok(profile)
    }

    /// Makes a profile be what is wanted; the rest of it stays.
    pub(super) fn change(&self, profile: &mut Profile) -> Result<(), RequestError> {
        let network = profile.entry(NETWORK.to_owned()).or_default();
        if let Some(ssid) = &self.ssid {
            network.insert("ssid".into(), owned(ssid.as_bytes().to_vec()));
            // They were those of another network.
            network.remove("bssid");
        }
        // It is told, and not to be written.
        network.remove("seen-bssids");
        if let Some(band) = self.band {
            network.insert("band".into(), owned(band));
            network.remove("channel");
        }
        match &self.protection {
            None => {}
            Some(Protection::Open) => {
                network.remove("security");
                profile.remove(SECURITY);
                profile.remove(EAP);
            }
            Some(Protection::Psk) if has_key(profile) => {}
            Some(Protection::Psk) => {
                let reason = "PSK needs WPA Key Phrase or WPA Pre Shared Key";
                return Err(RequestError::new(Code::BAD_REQUEST, reason));
            }
            Some(Protection::Key(Secret(key))) => {
                if !has_key(profile) {
                    let mut security = HashMap::new();
                    security.insert("key-mgmt".to_owned(), owned("wpa-psk"));
                    profile.insert(SECURITY.into(), security);
                    profile.remove(EAP);
                }
                let security = profile.entry(SECURITY.to_owned()).or_default();
                security.insert("psk".into(), owned(key.as_str()));
                // With the profile, and not with a user who is not there.
                security.insert("psk-flags".into(), owned(0_u32));
            }
        }
        Ok(())
    }
}

/// Whether a profile has a key, of WPA2 or WPA3.
fn has_key(profile: &Profile) -> bool {
    let kind = profile.get(SECURITY).and_then(|security| security.get("key-mgmt"));
    let kind = kind.and_then(|kind| String::try_from(kind.clone()).ok());
    matches!(kind.as_deref(), Some("wpa-psk" | "sae"))
}

fn owned<'a>(value: impl Into<Variant<'a>>) -> OwnedVariant {
    value.into().try_into_owned().expect("only a file descriptor can fail to be copied")
}
