//! NetworkManager with devices and profiles, as a [`Double`].
//!
//! What becomes of a connection the test says.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use zbus::message::Message;
use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

use crate::double::{Double, Objects, Properties, properties};

/// Settings by section.
pub type Profile = HashMap<String, Properties>;

/// Profiles with their secrets, by path.
type Profiles = Arc<Mutex<BTreeMap<String, Profile>>>;

/// The service; it goes with the value.
pub struct NetworkManager {
    /// What it is made of.
    pub double: Double,
    profiles: Profiles,
}

impl NetworkManager {
    /// The path of the manager.
    pub const PATH: &'static str = "/org/freedesktop/NetworkManager";
    /// The name of the service, and of the interface of the manager.
    pub const NAME: &'static str = "org.freedesktop.NetworkManager";
    /// The interface of a device.
    pub const DEVICE: &'static str = "org.freedesktop.NetworkManager.Device";
    /// The interface of a WLAN.
    pub const WIRELESS: &'static str = "org.freedesktop.NetworkManager.Device.Wireless";
    /// The interface of an access point.
    pub const POINT: &'static str = "org.freedesktop.NetworkManager.AccessPoint";
    /// The path of `wlan0`.
    pub const WLAN0: &'static str = "/org/freedesktop/NetworkManager/Devices/3";
    /// The path of the modem.
    pub const MODEM: &'static str = "/org/freedesktop/NetworkManager/Devices/5";
    /// The path of the access point that `wlan0` is connected to.
    pub const HOME: &'static str = "/org/freedesktop/NetworkManager/AccessPoint/7";
    /// The path of the profile of that.
    pub const PROFILE: &'static str = "/org/freedesktop/NetworkManager/Settings/1";
    /// The connection that a change leads to.
    pub const NEW: &'static str = "/org/freedesktop/NetworkManager/ActiveConnection/2";

    /// The service without a device, and with a profile of a WLAN. Its radios are on.
    ///
    /// # Panics
    /// If the bus refuses it.
    pub async fn start(address: &str) -> Self {
        Self::start_as(address, Self::NAME).await
    }

    /// The same under another name.
    ///
    /// # Panics
    /// If the bus refuses it.
    pub async fn start_as(address: &str, name: &str) -> Self {
        let double = Double::start(address, name, Self::PATH).await;
        let radios = [("WirelessEnabled", true), ("WirelessHardwareEnabled", true)];
        let radios = radios.map(|(name, is_on)| (name, Variant::from(is_on)));
        let manager = HashMap::from([(Self::NAME.to_owned(), properties(radios))]);
        double.add(Self::PATH, manager).await;
        double.add(SETTINGS, HashMap::new()).await;
        let profiles = Profiles::default();
        methods(&double, &profiles);
        let manager = Self { double, profiles };
        manager.keep(Self::PROFILE, wlan_profile("home", "the old phrase")).await;
        manager
    }

    fn profiles(&self) -> MutexGuard<'_, BTreeMap<String, Profile>> {
        self.profiles.lock().unwrap()
    }

    /// A profile as it is written now, with its secrets.
    ///
    /// # Panics
    /// If it is not there.
    pub fn profile(&self, path: &str) -> Profile {
        self.profiles()[path].clone()
    }

    /// The paths of the profiles.
    pub fn paths(&self) -> Vec<String> {
        self.profiles().keys().cloned().collect()
    }

    /// Adds or replaces a profile, with news of it.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn keep(&self, path: &str, profile: Profile) {
        self.profiles().insert(path.to_owned(), profile);
        self.double.add(path, HashMap::from([(CONNECTION.to_owned(), HashMap::new())])).await;
        let interface = SETTINGS_NAME;
        self.double.set(SETTINGS, interface, "Connections", next_paths(SETTINGS)).await;
        self.double.set(path, CONNECTION, "Filename", next().to_string()).await;
    }

    /// Plugs in the modem of ModemManager that has this path, connected by a profile as the
    /// network interface `link`, or not.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn plug_in_modem(&self, modem: &str, by: Option<(&str, &str)>) {
        let device = [
            ("Interface", Variant::from("cdc-wdm0")),
            ("Udi", modem.to_owned().into()),
            ("IpInterface", by.map_or_else(String::new, |(_, link)| link.to_owned()).into()),
            ("State", by.map_or(30_u32, |_| 100).into()),
            ("ActiveConnection", path(by.map_or("/", |_| OLD)).into()),
        ];
        if let Some((profile, _)) = by {
            self.double.add(OLD, connection(profile)).await;
        }
        let device = HashMap::from([
            (Self::DEVICE.to_owned(), properties(device)),
            (format!("{}.Modem", Self::DEVICE), HashMap::new()),
        ]);
        self.double.add(Self::MODEM, device).await;
        self.told().await;
    }

    /// Lets a device be connected by this profile, as [`NEW`](Self::NEW), or fail to.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn connect(&self, device: &str, profile: &str, state: u32) {
        self.double.add(Self::NEW, connection(profile)).await;
        self.double.set(device, Self::DEVICE, "ActiveConnection", path(Self::NEW)).await;
        self.double.set(device, Self::DEVICE, "State", state).await;
    }

    /// Plugs in `wlan0`, which is connected to the network `home` or to none.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn plug_in(&self, is_connected: bool) {
        let point = [
            ("Ssid", Variant::from(b"home".to_vec())),
            ("Frequency", 5180_u32.into()),
            ("Flags", 1_u32.into()),
            ("WpaFlags", 0_u32.into()),
            ("RsnFlags", 0x188_u32.into()),
        ];
        let point = HashMap::from([(Self::POINT.to_owned(), properties(point))]);
        self.double.add(Self::HOME, point).await;
        self.double.add(OLD, connection(Self::PROFILE)).await;
        let device = wlan("wlan0", "02:00:5e:00:53:0a", is_connected);
        self.double.add(Self::WLAN0, device).await;
        self.told().await;
    }

    /// Says that the devices have changed, as NetworkManager does.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn told(&self) {
        self.double.set(Self::PATH, Self::NAME, "Devices", next_paths(Self::PATH)).await;
    }

    /// Sets a property of `wlan0` as a device.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn set_device(&self, name: &str, value: impl Into<Variant<'static>>) {
        self.double.set(Self::WLAN0, Self::DEVICE, name, value).await;
    }

    /// Sets a property of `wlan0` as a WLAN.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn set_wireless(&self, name: &str, value: impl Into<Variant<'static>>) {
        self.double.set(Self::WLAN0, Self::WIRELESS, name, value).await;
    }

    /// Lets polkit deny an action.
    pub fn deny(&self, action: &str) {
        let answers = HashMap::from([(action.to_owned(), "no".to_owned())]);
        self.double.method("GetPermissions", move |call, _| reply(call, &answers));
    }

    /// The methods that were called, questions aside, without their paths.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.double.calls().into_iter();
        let names = calls.filter_map(|call| Some(call.split(' ').nth(1)?.to_owned()));
        names.filter(|name| !name.starts_with("Get")).collect()
    }
}

/// A device of the kind WLAN.
pub fn wlan(name: &str, address: &str, is_connected: bool) -> HashMap<String, Properties> {
    let (state, active, point) = match is_connected {
        true => (100_u32, OLD, NetworkManager::HOME),
        false => (30, "/", "/"),
    };
    let device = [
        ("Interface", Variant::from(name.to_owned())),
        ("State", state.into()),
        ("ActiveConnection", path(active).into()),
    ];
    let wireless = [
        ("HwAddress", Variant::from(address.to_owned())),
        ("Mode", 2_u32.into()),
        ("ActiveAccessPoint", path(point).into()),
    ];
    HashMap::from([
        (NetworkManager::DEVICE.to_owned(), properties(device)),
        (NetworkManager::WIRELESS.to_owned(), properties(wireless)),
    ])
}

fn connection(profile: &str) -> HashMap<String, Properties> {
    let properties = properties([("Connection", path(profile).into())]);
    HashMap::from([("org.freedesktop.NetworkManager.Connection.Active".to_owned(), properties)])
}

fn wlan_profile(ssid: &str, key: &str) -> Profile {
    let network = [
        ("ssid", Variant::from(ssid.as_bytes().to_vec())),
        ("bssid", vec![2_u8, 0, 0, 0, 0, 1].into()),
        ("hidden", true.into()),
    ];
    let security =
        [("key-mgmt", Variant::from("wpa-psk".to_owned())), ("psk", key.to_owned().into())];
    HashMap::from([
        ("connection".to_owned(), properties([("id", Variant::from("home".to_owned()))])),
        ("802-11-wireless".to_owned(), properties(network)),
        ("802-11-wireless-security".to_owned(), properties(security)),
    ])
}

fn methods(double: &Double, profiles: &Profiles) {
    double.method("GetPermissions", |call, _| reply(call, &HashMap::<String, String>::new()));
    let known = profiles.clone();
    double.method("GetSettings", move |call, _| {
        let mut told = known.lock().unwrap()[&target(call)].clone();
        for section in told.values_mut() {
            section.retain(|name, _| !SECRETS.contains(&name.as_str()));
        }
        reply(call, &told)
    });
    let known = profiles.clone();
    double.method("GetSecrets", move |call, _| {
        let wanted: String = call.body().deserialize().unwrap();
        let mut told = known.lock().unwrap()[&target(call)].clone();
        told.retain(|section, _| *section == wanted);
        for section in told.values_mut() {
            section.retain(|name, _| SECRETS.contains(&name.as_str()));
        }
        if told.values().all(HashMap::is_empty) {
            return Err("org.freedesktop.NetworkManager.AgentManager.NoSecrets");
        }
        reply(call, &told)
    });
    let known = profiles.clone();
    double.method("Update2", move |call, objects| {
        let (new, _, _): (Profile, u32, Properties) = call.body().deserialize().unwrap();
        let mut known = known.lock().unwrap();
        let old = known.insert(target(call), Profile::new()).unwrap_or_default();
        known.insert(target(call), normalized(new, &old));
        touch(objects, &target(call), CONNECTION, "Filename", next().to_string());
        reply(call, &Properties::new())
    });
    let known = profiles.clone();
    double.method("AddConnection2", move |call, objects| {
        let (new, _, _): (Profile, u32, Properties) = call.body().deserialize().unwrap();
        let added = format!("{SETTINGS}/{}", 100 + next());
        known.lock().unwrap().insert(added.clone(), normalized(new, &Profile::new()));
        objects.insert(added.clone(), HashMap::from([(CONNECTION.to_owned(), HashMap::new())]));
        touch(objects, SETTINGS, SETTINGS_NAME, "Connections", next_paths(SETTINGS));
        reply(call, &(path(&added), Properties::new()))
    });
    let known = profiles.clone();
    double.method("Delete", move |call, objects| {
        known.lock().unwrap().remove(&target(call));
        objects.remove(&target(call));
        touch(objects, SETTINGS, SETTINGS_NAME, "Connections", next_paths(SETTINGS));
        reply(call, &())
    });
    double.method("Set", |call, objects| {
        let (interface, name, value): (String, String, OwnedVariant) =
            call.body().deserialize().unwrap();
        let manager = objects.get_mut(NetworkManager::PATH).unwrap();
        manager.get_mut(&interface).unwrap().insert(name, value);
        reply(call, &())
    });
    double.method("ActivateConnection", |call, _| reply(call, &path(NetworkManager::NEW)));
    double.method("DeactivateConnection", |call, _| reply(call, &()));
    let known = profiles.clone();
    double.method("AddAndActivateConnection", move |call, _| {
        type Body<'a> = (Profile, ObjectPath<'a>, ObjectPath<'a>);
        let body = call.body();
        let (new, _, _): Body<'_> = body.deserialize().unwrap();
        let added = format!("{SETTINGS}/2");
        known.lock().unwrap().insert(added.clone(), new);
        reply(call, &(path(&added), path(NetworkManager::NEW)))
    });
    double.method("CheckpointCreate", |call, _| reply(call, &path(CHECKPOINT)));
    double.method("CheckpointDestroy", |call, _| reply(call, &()));
    double.method("CheckpointRollback", |call, _| reply(call, &HashMap::<String, u32>::new()));
}

/// What NetworkManager 1.42 makes of a mobile profile: without any secret it puts the old
/// ones back; an automatic one is so no longer with values of its own; a secret that is not
/// required is not kept.
fn normalized(mut new: Profile, old: &Profile) -> Profile {
    let Some(gsm) = new.get_mut("gsm") else { return new };
    if !SECRETS.iter().any(|secret| gsm.contains_key(*secret)) {
        let old = old.get("gsm").into_iter().flatten();
        let old = old.filter(|(name, _)| SECRETS.contains(&name.as_str()));
        gsm.extend(old.map(|(name, value)| (name.clone(), value.clone())));
    }
    if ["apn", "username", "password"].iter().any(|name| gsm.contains_key(*name)) {
        gsm.remove("auto-config");
    }
    let flags = gsm.get("password-flags").and_then(|flags| u32::try_from(flags.clone()).ok());
    if flags.is_some_and(|flags| flags != 0) {
        gsm.remove("password");
    }
    new
}

/// The object that is called.
fn target(call: &Message) -> String {
    call.header().path().unwrap().as_str().to_owned()
}

/// Stands for the signal that NetworkManager sends.
fn touch(
    objects: &mut Objects,
    path: &str,
    interface: &str,
    name: &str,
    value: impl Into<Variant<'static>>,
) {
    let object = objects.entry(path.to_owned()).or_default();
    object.entry(interface.to_owned()).or_default().extend(properties([(name, value.into())]));
}

fn next() -> u32 {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// A list that was never there before.
fn next_paths(below: &str) -> Vec<OwnedObjectPath> {
    vec![path(&format!("{below}/{}", next()))]
}

fn reply<B>(call: &Message, body: &B) -> Result<Message, &'static str>
where
    B: serde::Serialize + zbus::DynamicType,
{
    Ok(Message::method_return(&call.header()).build(body).unwrap())
}

/// An object path.
///
/// # Panics
/// If it is none.
pub fn path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path.to_owned()).unwrap()
}

/// A text of a section of a profile, or bytes that are one.
pub fn setting(profile: &Profile, section: &str, name: &str) -> Option<String> {
    let value: OwnedVariant = profile.get(section)?.get(name)?.clone();
    match String::try_from(value.clone()) {
        Ok(text) => Some(text),
        Err(_) => String::from_utf8(Vec::<u8>::try_from(value).ok()?).ok(),
    }
}

const SETTINGS: &str = "/org/freedesktop/NetworkManager/Settings";
const SETTINGS_NAME: &str = "org.freedesktop.NetworkManager.Settings";
const CONNECTION: &str = "org.freedesktop.NetworkManager.Settings.Connection";
const OLD: &str = "/org/freedesktop/NetworkManager/ActiveConnection/1";
const CHECKPOINT: &str = "/org/freedesktop/NetworkManager/Checkpoint/1";
const SECRETS: [&str; 3] = ["psk", "password", "pin"];
