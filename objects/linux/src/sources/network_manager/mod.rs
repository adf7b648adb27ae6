//! WLANs, modems and their profiles as NetworkManager has them (its D-Bus interface, from
//! version 1.12 on, but for new profiles); never asked so that it is started.

pub(crate) mod mobile;

use std::collections::HashMap;

use zbus::match_rule::MatchRule;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, ObjectPath, OwnedObjectPath, Variant};

use super::properties::{Properties, text, value};
use crate::bus::error_name;

/// A link of the kind WLAN. What NetworkManager does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wlan {
    /// Its object.
    pub(crate) device: OwnedObjectPath,
    /// The name of the link, which is that of a file too.
    pub(crate) name: String,
    /// Whether radios are on, by software and by hardware.
    pub(crate) radio: bool,
    /// How it is connected.
    pub(crate) state: State,
    /// The MAC address, 12 digits.
    pub(crate) address: Option<String>,
    /// NM80211Mode.
    pub(crate) mode: Option<u32>,
    /// Where it is connected, or what it offers.
    pub(crate) point: Option<AccessPoint>,
}

/// How a device is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// NMDeviceState.
    pub(crate) state: u32,
    /// The connection that is active, or becomes so.
    pub(crate) active: Option<OwnedObjectPath>,
    /// Its profile.
    pub(crate) profile: Option<OwnedObjectPath>,
}

/// An access point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessPoint {
    /// A name that is text.
    pub(crate) ssid: Option<String>,
    /// In MHz.
    pub(crate) frequency: Option<u32>,
    /// NM80211ApFlags.
    pub(crate) flags: u32,
    /// NM80211ApSecurityFlags of WPA.
    pub(crate) wpa: u32,
    /// The same of WPA2 and later.
    pub(crate) rsn: u32,
}

type Interfaces = HashMap<String, Properties>;
type Objects = HashMap<OwnedObjectPath, Interfaces>;
/// A profile: settings by section.
pub(crate) type Profile = HashMap<String, Properties>;

/// Asks for all WLANs.
pub(crate) async fn wlans(bus: &Connection) -> zbus::Result<Vec<Wlan>> {
    let objects = objects(bus).await?;
    let manager = find(&objects, PATH, NAME);
    let is_on = |name| manager.and_then(|manager| value(manager, name)) == Some(true);
    let radio = is_on("WirelessEnabled") && is_on("WirelessHardwareEnabled");
    let mut wlans = Vec::new();
    for (path, interfaces) in &objects {
        let (Some(device), Some(wireless)) = (interfaces.get(DEVICE), interfaces.get(WIRELESS))
        else {
            continue;
        };
        let Some(name) = text(device, "Interface").filter(|name| is_link_name(name)) else {
            continue;
        };
        let point = link(wireless, "ActiveAccessPoint");
        let point = point.and_then(|point| find(&objects, point.as_str(), POINT));
        let point = point.map(access_point);
        let address = text(wireless, "HwAddress").or_else(|| text(device, "HwAddress"));
        wlans.push(Wlan {
            device: path.clone(),
            name,
            radio,
            state: state(&objects, device),
            address: address.and_then(|address| digits(&address)),
            mode: value(wireless, "Mode"),
            point,
        });
    }
    wlans.sort_by(|one, other| one.name.cmp(&other.name));
    wlans.dedup_by(|one, other| one.name == other.name);
    wlans.truncate(MAX_WLANS);
    Ok(wlans)
}

/// All objects of NetworkManager.
async fn objects(bus: &Connection) -> zbus::Result<Objects> {
    let asked = bus.call_method(Some(NAME), ROOT, Some(OBJECTS), "GetManagedObjects", &());
    asked.await?.body().deserialize()
}

fn find<'a>(objects: &'a Objects, path: &str, interface: &str) -> Option<&'a Properties> {
    let path = OwnedObjectPath::try_from(path).ok()?;
    objects.get(&path)?.get(interface)
}

fn state(objects: &Objects, device: &Properties) -> State {
    let active = link(device, "ActiveConnection");
    let connection = active.as_ref().and_then(|active| find(objects, active.as_str(), ACTIVE));
    State {
        state: value(device, "State").unwrap_or_default(),
        profile: connection.and_then(|connection| link(connection, "Connection")),
        active,
    }
}

fn access_point(point: &Properties) -> AccessPoint {
    let flags = |name| value(point, name).unwrap_or_default();
    let ssid: Option<Vec<u8>> = value(point, "Ssid");
    let ssid = ssid.filter(|ssid| (1..=MAX_SSID).contains(&ssid.len()));
    AccessPoint {
        // Blanks at its ends are part of it.
        ssid: ssid.and_then(|ssid| String::from_utf8(ssid).ok()),
        frequency: value(point, "Frequency").filter(|frequency| *frequency != 0),
        flags: flags("Flags"),
        wpa: flags("WpaFlags"),
        rsn: flags("RsnFlags"),
    }
}

/// The object that a property names; `/` is none.
fn link(properties: &Properties, name: &str) -> Option<OwnedObjectPath> {
    value(properties, name).filter(|path: &OwnedObjectPath| path.as_str() != NOTHING)
}

fn is_link_name(name: &str) -> bool {
    name.len() < 16 && !name.contains('/') && name != "." && name != ".."
}

/// The digits of an address such as `02:00:5e:00:53:01`.
fn digits(address: &str) -> Option<String> {
    let digits: String = address.chars().filter(|c| *c != ':').collect();
    let is_address = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_address.then(|| digits.to_ascii_uppercase())
}

/// The signals of an interface that say its properties have changed, whatever object.
pub(crate) async fn changes(bus: &Connection, interface: &str) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(NAME)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path_namespace(PATH)
        .arg(0, interface)
        .build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// True if a signal of [`changes`] concerns what is told here: scans and bit rates come
/// every few seconds and do not.
pub(crate) fn is_news(signal: &Message) -> bool {
    let body = signal.body();
    let Ok((_, changed, gone)) = body.deserialize::<(String, Properties, Vec<String>)>() else {
        return true;
    };
    changed.keys().chain(&gone).any(|name| TOLD.contains(&name.as_str()))
}

/// Whether an action needs nobody's consent. What is not listed, its call decides.
pub(crate) async fn is_permitted(bus: &Connection, action: &str) -> zbus::Result<bool> {
    let asked = bus.call_method(Some(NAME), PATH, Some(NAME), "GetPermissions", &());
    let permissions: HashMap<String, String> = asked.await?.body().deserialize()?;
    Ok(permissions.get(action).is_none_or(|answer| answer == "yes"))
}

/// Switches the radios of all WLANs on or off.
pub(crate) async fn set_radio(bus: &Connection, is_on: bool) -> zbus::Result<()> {
    let body = (NAME, "WirelessEnabled", Variant::from(is_on));
    let set =
        bus.call_method(Some(NAME), PATH, Some("org.freedesktop.DBus.Properties"), "Set", &body);
    set.await.map(drop)
}

/// A profile with the secrets of `sections`, to be changed: what is not given back with a
/// change is lost.
pub(crate) async fn profile(
    bus: &Connection,
    path: &str,
    sections: &[&str],
) -> zbus::Result<Profile> {
    let mut profile = settings(bus, path).await?;
    for section in sections {
        let Some(settings) = profile.get_mut(*section) else { continue };
        let asked = bus.call_method(Some(NAME), path, Some(PROFILE), "GetSecrets", section);
        let mut secrets: Profile = match asked.await {
            Ok(reply) => reply.body().deserialize()?,
            // So it says that it has none, and knows nobody who has.
            Err(error) if error_name(&error).is_some_and(|name| name.ends_with(NO_SECRETS)) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        settings.extend(secrets.remove(*section).unwrap_or_default());
    }
    Ok(profile)
}

/// A profile without its secrets.
async fn settings(bus: &Connection, path: &str) -> zbus::Result<Profile> {
    let asked = bus.call_method(Some(NAME), path, Some(PROFILE), "GetSettings", &());
    asked.await?.body().deserialize()
}

/// Writes a profile; the connection goes on with the one before until it is activated.
pub(crate) async fn update(bus: &Connection, path: &str, profile: &Profile) -> zbus::Result<()> {
    let body = (profile, TO_DISK, Properties::new());
    bus.call_method(Some(NAME), path, Some(PROFILE), "Update2", &body).await.map(drop)
}

/// Connects a device anew by a profile; the connection.
pub(crate) async fn activate(
    bus: &Connection,
    profile: &OwnedObjectPath,
    device: &OwnedObjectPath,
) -> zbus::Result<OwnedObjectPath> {
    let body = (profile, device, ObjectPath::try_from(NOTHING)?);
    let called = bus.call_method(Some(NAME), PATH, Some(NAME), "ActivateConnection", &body);
    called.await?.body().deserialize()
}

/// Connects a device by a new profile; the connection.
pub(crate) async fn add_and_activate(
    bus: &Connection,
    profile: &Profile,
    device: &OwnedObjectPath,
) -> zbus::Result<OwnedObjectPath> {
    let body = (profile, device, ObjectPath::try_from(NOTHING)?);
    let called = bus.call_method(Some(NAME), PATH, Some(NAME), "AddAndActivateConnection", &body);
    let (_, active): (OwnedObjectPath, OwnedObjectPath) = called.await?.body().deserialize()?;
    Ok(active)
}

/// Disconnects what is connected.
pub(crate) async fn deactivate(bus: &Connection, active: &OwnedObjectPath) -> zbus::Result<()> {
    bus.call_method(Some(NAME), PATH, Some(NAME), "DeactivateConnection", active).await.map(drop)
}

/// Adds a profile (version 1.20); its object.
pub(crate) async fn add(bus: &Connection, profile: &Profile) -> zbus::Result<OwnedObjectPath> {
    let body = (profile, TO_DISK, Properties::new());
    let called =
        bus.call_method(Some(NAME), SETTINGS, Some(SETTINGS_NAME), "AddConnection2", &body);
    let (path, _): (OwnedObjectPath, Properties) = called.await?.body().deserialize()?;
    Ok(path)
}

/// Removes a profile, and disconnects what is connected by it.
pub(crate) async fn delete(bus: &Connection, profile: &str) -> zbus::Result<()> {
    bus.call_method(Some(NAME), profile, Some(PROFILE), "Delete", &()).await.map(drop)
}

/// Notes how a device is connected: NetworkManager brings it back to that after `seconds`,
/// and removes profiles that came meanwhile, unless [`keep`] comes before.
pub(crate) async fn checkpoint(
    bus: &Connection,
    device: &OwnedObjectPath,
    seconds: u32,
) -> zbus::Result<OwnedObjectPath> {
    let body = (vec![device], seconds, DELETE_NEW_CONNECTIONS);
    let called = bus.call_method(Some(NAME), PATH, Some(NAME), "CheckpointCreate", &body);
    called.await?.body().deserialize()
}

/// Keeps what has changed since the checkpoint.
pub(crate) async fn keep(bus: &Connection, checkpoint: &OwnedObjectPath) -> zbus::Result<()> {
    bus.call_method(Some(NAME), PATH, Some(NAME), "CheckpointDestroy", checkpoint).await.map(drop)
}

/// Goes back to the checkpoint now.
pub(crate) async fn roll_back(bus: &Connection, checkpoint: &OwnedObjectPath) -> zbus::Result<()> {
    bus.call_method(Some(NAME), PATH, Some(NAME), "CheckpointRollback", checkpoint).await.map(drop)
}

/// The well-known name, which is that of the manager's interface too.
pub(crate) const NAME: &str = "org.freedesktop.NetworkManager";
/// The interface of a device, with its state.
pub(crate) const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
/// What only a WLAN has.
pub(crate) const WIRELESS: &str = "org.freedesktop.NetworkManager.Device.Wireless";
const POINT: &str = "org.freedesktop.NetworkManager.AccessPoint";
const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
const PROFILE: &str = "org.freedesktop.NetworkManager.Settings.Connection";
const SETTINGS: &str = "/org/freedesktop/NetworkManager/Settings";
const SETTINGS_NAME: &str = "org.freedesktop.NetworkManager.Settings";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
/// Where its objects are listed.
const ROOT: &str = "/org/freedesktop";
const PATH: &str = "/org/freedesktop/NetworkManager";
const NOTHING: &str = "/";
/// The end of the name of an error.
const NO_SECRETS: &str = ".AgentManager.NoSecrets";
/// The polkit action of [`set_radio`].
pub(crate) const RADIO_ACTION: &str = "org.freedesktop.NetworkManager.enable-disable-wifi";
/// The polkit action of [`profile`] with secrets, [`update`], [`add`] and [`delete`].
pub(crate) const PROFILE_ACTION: &str = "org.freedesktop.NetworkManager.settings.modify.system";
/// The polkit action of [`activate`] and [`deactivate`].
pub(crate) const CONTROL_ACTION: &str = "org.freedesktop.NetworkManager.network-control";
/// The polkit action of [`checkpoint`].
pub(crate) const CHECKPOINT_ACTION: &str = "org.freedesktop.NetworkManager.checkpoint-rollback";
/// The section of a profile with the network.
pub(crate) const NETWORK: &str = "802-11-wireless";
/// The section of a profile with its keys.
pub(crate) const SECURITY: &str = "802-11-wireless-security";
/// The section of a profile with what it needs for EAP.
pub(crate) const EAP: &str = "802-1x";
/// NMDeviceState: connected.
pub(crate) const ACTIVATED: u32 = 100;
/// NMDeviceState: it could not be connected.
pub(crate) const FAILED: u32 = 120;
/// NM_SETTINGS_UPDATE2_FLAG_TO_DISK.
const TO_DISK: u32 = 1;
/// NM_CHECKPOINT_CREATE_FLAG_DELETE_NEW_CONNECTIONS.
const DELETE_NEW_CONNECTIONS: u32 = 2;
/// Properties that become values, or lead to others.
const TOLD: [&str; 11] = [
    "ActiveAccessPoint",
    "ActiveConnection",
    "Devices",
    "HwAddress",
    "Interface",
    "IpInterface",
    "Mode",
    "State",
    "Udi",
    "WirelessEnabled",
    "WirelessHardwareEnabled",
];
/// WLANs that are looked at.
const MAX_WLANS: usize = 8;
/// Bytes of a name (IEEE 802.11).
const MAX_SSID: usize = 32;
