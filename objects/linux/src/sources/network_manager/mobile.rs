//! Profiles of mobile connections (type `gsm`), and the modems that are connected by them.

use std::collections::HashMap;

use zbus::match_rule::MatchRule;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, OwnedObjectPath};

use super::{
    DEVICE, FAILED, Interfaces, NAME, PROFILE, Profile, SETTINGS, State, objects, settings, state,
};
use crate::sources::properties::{Properties, text, value};

/// A profile of a mobile connection, without its secrets. What it does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mobile {
    /// Its object, as long as NetworkManager runs.
    pub(crate) path: String,
    /// The number that it is to have as an instance.
    pub(crate) wanted: Option<u16>,
    /// The number that it has.
    pub(crate) number: u16,
    /// What people call it.
    pub(crate) name: Option<String>,
    /// Whether NetworkManager connects it by itself.
    pub(crate) autoconnect: bool,
    /// The access point; without one the network chooses.
    pub(crate) apn: Option<String>,
    /// Whether access point and name are those of a list of the world's networks.
    pub(crate) is_auto: bool,
    /// Who it says that it is.
    pub(crate) user: Option<String>,
    /// The ways to say so that are refused: bits of [`WAYS`].
    pub(crate) refused: u8,
    /// Whether it has addresses of IPv4.
    pub(crate) ipv4: bool,
    /// The same of IPv6.
    pub(crate) ipv6: bool,
    /// Country code and network code of the only network in which it is used.
    pub(crate) network: Option<String>,
}

/// A modem that NetworkManager manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carrier {
    /// Its object.
    pub(crate) device: OwnedObjectPath,
    /// What the kernel calls the modem, for logs.
    pub(crate) name: String,
    /// Its object at ModemManager.
    pub(crate) modem: Option<String>,
    /// The network interface while it is connected.
    pub(crate) link: Option<String>,
    /// How it is connected.
    pub(crate) state: State,
}

impl Carrier {
    /// True if it is connected by the profile, or becomes so.
    pub(crate) fn is_by(&self, profile: &str) -> bool {
        let is_it = self.state.profile.as_ref().is_some_and(|path| path.as_str() == profile);
        is_it && (PREPARE..DEACTIVATING).contains(&self.state.state)
    }

    /// True if it could not be connected by the profile.
    pub(crate) fn has_failed_by(&self, profile: &str) -> bool {
        let is_it = self.state.profile.as_ref().is_some_and(|path| path.as_str() == profile);
        is_it && self.state.state == FAILED
    }
}

/// What is known of each profile by its object: `None` if it is of another type.
#[derive(Debug, Default)]
pub(crate) struct Profiles(HashMap<OwnedObjectPath, Option<Mobile>>);

impl Profiles {
    /// Forgets what a signal of [`profile_changes`] is about.
    pub(crate) fn forget(&mut self, signal: &Message) {
        if let Some(path) = signal.header().path() {
            self.0.retain(|known, _| known.as_str() != path.as_str());
        }
    }

    /// Asks for those that are not known.
    async fn complete(&mut self, bus: &Connection, objects: &super::Objects) {
        let is_profile = |interfaces: &Interfaces| interfaces.contains_key(PROFILE);
        let there = objects.iter().filter(|(_, interfaces)| is_profile(interfaces));
        let mut paths: Vec<_> = there.map(|(path, _)| path.clone()).collect();
        paths.sort_by_key(|path| (path.as_str().len(), path.as_str().to_owned()));
        paths.truncate(MAX_PROFILES);
        self.0.retain(|known, _| paths.contains(known));
        for path in paths {
            if self.0.contains_key(&path) {
                continue;
            }
            // One that is gone meanwhile, or is a user's own, takes nothing else with it.
            let known = match settings(bus, path.as_str()).await {
                Ok(settings) => Mobile::describe(path.as_str(), &settings),
                Err(error) => {
                    tracing::debug!(%error, "a profile does not tell what it is");
                    None
                }
            };
            self.0.insert(path, known);
        }
    }
}

/// Asks for all profiles of mobile connections, in the order of their objects, and all
/// modems that NetworkManager manages.
pub(crate) async fn mobile(
    bus: &Connection,
    profiles: &mut Profiles,
) -> zbus::Result<(Vec<Mobile>, Vec<Carrier>)> {
    let objects = objects(bus).await?;
    profiles.complete(bus, &objects).await;
    let mut carriers: Vec<Carrier> = objects
        .iter()
        .filter_map(|(path, interfaces)| carrier(&objects, path, interfaces))
        .collect();
    carriers.sort_by(|one, other| one.device.as_str().cmp(other.device.as_str()));
    carriers.truncate(MAX_CARRIERS);
    let mut mobiles: Vec<Mobile> = profiles.0.values().flatten().cloned().collect();
    mobiles.sort_by(|one, other| (one.path.len(), &one.path).cmp(&(other.path.len(), &other.path)));
    mobiles.truncate(MAX_MOBILES);
    Ok((mobiles, carriers))
}

fn carrier(
    objects: &super::Objects,
    path: &OwnedObjectPath,
    interfaces: &Interfaces,
) -> Option<Carrier> {
    let device = interfaces.get(DEVICE)?;
    interfaces.get(MODEM)?;
    let state = state(objects, device);
    (state.state > UNMANAGED).then(|| Carrier {
        device: path.clone(),
        name: text(device, "Interface").unwrap_or_else(|| "modem".to_owned()),
        modem: text(device, "Udi"),
        link: text(device, "IpInterface").filter(|name| super::is_link_name(name)),
        state,
    })
}

impl Mobile {
    /// Reads a profile; `None` if it is of another type.
    fn describe(path: &str, settings: &Profile) -> Option<Self> {
        let nothing = Properties::new();
        let section = |name: &str| settings.get(name).unwrap_or(&nothing);
        let (connection, gsm, ppp) = (section(CONNECTION), section(GSM), section(PPP));
        if text(connection, "type").as_deref() != Some(GSM) {
            return None;
        }
        let is_on = |name: &str| {
            let method = text(section(name), "method");
            !method.is_some_and(|method| OFF.contains(&method.as_str()))
        };
        let refuses = |(bit, way): (usize, &&str)| u8::from(value(ppp, way) == Some(true)) << bit;
        let user: HashMap<String, String> = value(section(USER), DATA).unwrap_or_default();
        Some(Self {
            path: path.to_owned(),
            wanted: user
                .get(NUMBER)
                .and_then(|number| number.parse().ok())
                .filter(|it| *it < u16::MAX),
            number: 0,
            name: text(connection, "id"),
            autoconnect: value(connection, "autoconnect") != Some(false),
            apn: text(gsm, "apn"),
            is_auto: value(gsm, "auto-config") == Some(true),
            user: text(gsm, "username"),
            refused: WAYS.iter().enumerate().map(refuses).sum(),
            ipv4: is_on("ipv4"),
            ipv6: is_on("ipv6"),
            network: text(gsm, "network-id").and_then(|id| network(&id)),
        })
    }
}

/// Country code and network code of an identifier such as `26201`.
fn network(id: &str) -> Option<String> {
    let is_id = matches!(id.len(), 5 | 6) && id.bytes().all(|byte| byte.is_ascii_digit());
    let (country, network) = id.split_at_checked(3).filter(|_| is_id)?;
    Some(format!("{country},{network}"))
}

/// The signals that say profiles have come, changed or gone.
pub(crate) async fn profile_changes(bus: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(NAME)
        .path_namespace(SETTINGS)
        .build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// The section of a profile with what it is.
pub(crate) const CONNECTION: &str = "connection";
/// The section of a profile with the mobile network; its type too.
pub(crate) const GSM: &str = "gsm";
/// The section of a profile with the ways to say who one is.
pub(crate) const PPP: &str = "ppp";
/// The section of a profile with what others note in it.
pub(crate) const USER: &str = "user";
/// Where in [`USER`].
pub(crate) const DATA: &str = "data";
/// Our own note there: which instance it is, where a server said so.
pub(crate) const NUMBER: &str = "org.lwm2md.instance";
/// Settings of [`PPP`] that refuse a way, by their bits in [`Mobile::refused`].
pub(crate) const WAYS: [&str; 5] =
    ["refuse-pap", "refuse-chap", "refuse-mschap", "refuse-mschapv2", "refuse-eap"];
/// Methods that give no address.
pub(crate) const OFF: [&str; 2] = ["disabled", "ignore"];
/// What only a modem has.
const MODEM: &str = "org.freedesktop.NetworkManager.Device.Modem";
/// NMDeviceState: somebody else may use it.
const UNMANAGED: u32 = 10;
/// NMDeviceState: it begins to connect.
const PREPARE: u32 = 40;
/// NMDeviceState: it is being disconnected.
const DEACTIVATING: u32 = 110;
/// Profiles that are looked at, of all types.
const MAX_PROFILES: usize = 256;
/// Profiles of mobile connections.
pub const MAX_MOBILES: usize = 16;
/// Modems.
const MAX_CARRIERS: usize = 8;

#[cfg(test)]
mod tests {
    use zbus::{OwnedVariant, Variant};

    use super::*;

    fn profile(table: &[(&str, &[(&str, Variant<'static>)])]) -> Profile {
        let owned = |value: &Variant<'static>| OwnedVariant::try_from(value.clone()).unwrap();
        let section = |values: &[(&str, Variant<'static>)]| {
            values.iter().map(|(name, value)| ((*name).to_owned(), owned(value))).collect()
        };
        table.iter().map(|(name, values)| ((*name).to_owned(), section(values))).collect()
    }

    #[test]
    fn nonsense_in_a_profile_is_left_out() {
        let nonsense = profile(&[
            (
                CONNECTION,
                &[("type", "gsm".into()), ("id", 7_u32.into()), ("autoconnect", 7_u32.into())],
            ),
            (
                GSM,
                &[
                    ("apn", "a\nb".into()),
                    ("auto-config", "yes".into()),
                    ("username", "".into()),
                    ("network-id", "2620".into()),
                ],
            ),
            (PPP, &[("refuse-pap", 1_u32.into()), ("refuse-eap", true.into())]),
            ("ipv4", &[("method", 7_u32.into())]),
            ("ipv6", &[("method", "ignore".into())]),
            (USER, &[(DATA, "5".into())]),
        ]);
        let bare = Mobile {
            path: "/1".into(),
            autoconnect: true,
            refused: 1 << 4,
            ipv4: true,
            ..Mobile::default()
        };
        assert_eq!(Mobile::describe("/1", &nonsense), Some(bare));
        for other in [&[("type", "cdma".into())][..], &[("type", 7_u32.into())], &[]] {
            assert_eq!(Mobile::describe("/1", &profile(&[(CONNECTION, other), (GSM, &[])])), None);
        }
    }

    #[test]
    fn networks_have_two_codes() {
        for (id, expected) in [
            ("26201", Some("262,01")),
            ("310260", Some("310,260")),
            ("2620", None),
            ("2620a", None),
            ("3102600", None),
            ("", None),
            ("26ä1", None),
        ] {
            assert_eq!(network(id).as_deref(), expected, "{id}");
        }
    }
}
