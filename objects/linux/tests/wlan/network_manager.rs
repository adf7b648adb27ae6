//! NetworkManager with WLANs and a profile, as a [`Double`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use lwm2m_test_bus::{Double, Properties, properties};
use zbus::message::Message;
use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

/// Settings by section.
pub(crate) type Profile = HashMap<String, Properties>;

/// The service; it goes with the value.
pub(crate) struct NetworkManager {
    pub(crate) double: Double,
    /// The profile as it is written now.
    pub(crate) profile: Arc<Mutex<Profile>>,
    /// The one that was added.
    pub(crate) added: Arc<Mutex<Option<Profile>>>,
}

impl NetworkManager {
    pub(crate) const PATH: &'static str = "/org/freedesktop/NetworkManager";
    pub(crate) const NAME: &'static str = "org.freedesktop.NetworkManager";
    pub(crate) const DEVICE: &'static str = "org.freedesktop.NetworkManager.Device";
    pub(crate) const WIRELESS: &'static str = "org.freedesktop.NetworkManager.Device.Wireless";
    pub(crate) const POINT: &'static str = "org.freedesktop.NetworkManager.AccessPoint";
    pub(crate) const WLAN0: &'static str = "/org/freedesktop/NetworkManager/Devices/3";
    pub(crate) const HOME: &'static str = "/org/freedesktop/NetworkManager/AccessPoint/7";

    /// The service without a device. Its radios are on.
    pub(crate) async fn start(address: &str) -> Self {
        Self::start_as(address, Self::NAME).await
    }

    /// The same under another name.
    pub(crate) async fn start_as(address: &str, name: &str) -> Self {
        let double = Double::start(address, name, Self::PATH).await;
        let radios = [("WirelessEnabled", true), ("WirelessHardwareEnabled", true)];
        let radios = radios.map(|(name, is_on)| (name, Variant::from(is_on)));
        let manager = HashMap::from([(Self::NAME.to_owned(), properties(radios))]);
        double.add(Self::PATH, manager).await;
        double.add(PROFILE, HashMap::new()).await;
        let profile = Arc::new(Mutex::new(profile("home", "the old phrase")));
        let added = Arc::new(Mutex::new(None));
        methods(&double, &profile, &added);
        Self { double, profile, added }
    }

    /// Plugs in `wlan0`, which is connected to the network `home` or to none.
    pub(crate) async fn plug_in(&self, is_connected: bool) {
        let point = [
            ("Ssid", Variant::from(b"home".to_vec())),
            ("Frequency", 5180_u32.into()),
            ("Flags", 1_u32.into()),
            ("WpaFlags", 0_u32.into()),
            ("RsnFlags", 0x188_u32.into()),
        ];
        let point = HashMap::from([(Self::POINT.to_owned(), properties(point))]);
        self.double.add(Self::HOME, point).await;
        self.double.add(OLD, connection()).await;
        let device = wlan("wlan0", "02:00:5e:00:53:0a", is_connected);
        self.double.add(Self::WLAN0, device).await;
        self.told().await;
    }

    /// Says that the devices have changed, as NetworkManager does.
    pub(crate) async fn told(&self) {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let devices = vec![path(&format!("{}/Devices/{number}", Self::PATH))];
        self.double.set(Self::PATH, Self::NAME, "Devices", devices).await;
    }

    pub(crate) async fn set_device(&self, name: &str, value: impl Into<Variant<'static>>) {
        self.double.set(Self::WLAN0, Self::DEVICE, name, value).await;
    }

    pub(crate) async fn set_wireless(&self, name: &str, value: impl Into<Variant<'static>>) {
        self.double.set(Self::WLAN0, Self::WIRELESS, name, value).await;
    }

    /// Lets polkit deny an action.
    pub(crate) fn deny(&self, action: &str) {
        let answers = HashMap::from([(action.to_owned(), "no".to_owned())]);
        self.double.method("GetPermissions", move |call, _| reply(call, &answers));
    }

    /// The methods that were called, questions aside, without their paths.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.double.calls().into_iter();
        let names = calls.filter_map(|call| Some(call.split(' ').nth(1)?.to_owned()));
        names.filter(|name| !name.starts_with("Get")).collect()
    }
}

/// A device of the kind WLAN.
pub(crate) fn wlan(name: &str, address: &str, is_connected: bool) -> HashMap<String, Properties> {
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

fn connection() -> HashMap<String, Properties> {
    let properties = properties([("Connection", path(PROFILE).into())]);
    HashMap::from([("org.freedesktop.NetworkManager.Connection.Active".to_owned(), properties)])
}

fn profile(ssid: &str, key: &str) -> Profile {
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

fn methods(double: &Double, profile: &Arc<Mutex<Profile>>, added: &Arc<Mutex<Option<Profile>>>) {
    double.method("GetPermissions", |call, _| reply(call, &HashMap::<String, String>::new()));
    let known = profile.clone();
    double.method("GetSettings", move |call, _| {
        let mut told = known.lock().unwrap().clone();
        if let Some(security) = told.get_mut("802-11-wireless-security") {
            security.remove("psk");
        }
        reply(call, &told)
    });
    let known = profile.clone();
    double.method("GetSecrets", move |call, _| {
        let mut told = known.lock().unwrap().clone();
        told.retain(|section, _| section == "802-11-wireless-security");
        for security in told.values_mut() {
            security.retain(|name, _| name == "psk");
        }
        reply(call, &told)
    });
    let known = profile.clone();
    double.method("Update2", move |call, _| {
        let (new, _, _): (Profile, u32, Properties) = call.body().deserialize().unwrap();
        *known.lock().unwrap() = new;
        reply(call, &Properties::new())
    });
    double.method("Set", |call, objects| {
        let (interface, name, value): (String, String, OwnedVariant) =
            call.body().deserialize().unwrap();
        let manager = objects.get_mut(NetworkManager::PATH).unwrap();
        manager.get_mut(&interface).unwrap().insert(name, value);
        reply(call, &())
    });
    // The test says what becomes of it.
    double.method("ActivateConnection", |call, _| reply(call, &path(NEW)));
    let known = added.clone();
    double.method("AddAndActivateConnection", move |call, _| {
        type Body<'a> = (Profile, ObjectPath<'a>, ObjectPath<'a>);
        let body = call.body();
        let (new, _, _): Body<'_> = body.deserialize().unwrap();
        *known.lock().unwrap() = Some(new);
        reply(call, &(path("/org/freedesktop/NetworkManager/Settings/2"), path(NEW)))
    });
    double.method("CheckpointCreate", |call, _| reply(call, &path(CHECKPOINT)));
    double.method("CheckpointDestroy", |call, _| reply(call, &()));
    double.method("CheckpointRollback", |call, _| reply(call, &HashMap::<String, u32>::new()));
}

fn reply<B>(call: &Message, body: &B) -> Result<Message, &'static str>
where
    B: serde::Serialize + zbus::DynamicType,
{
    Ok(Message::method_return(&call.header()).build(body).unwrap())
}

pub(crate) fn path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path.to_owned()).unwrap()
}

/// A text of a section.
pub(crate) fn text(profile: &Profile, section: &str, name: &str) -> Option<String> {
    let value: OwnedVariant = profile.get(section)?.get(name)?.clone();
    match String::try_from(value.clone()) {
        Ok(text) => Some(text),
        Err(_) => String::from_utf8(Vec::<u8>::try_from(value).ok()?).ok(),
    }
}

const PROFILE: &str = "/org/freedesktop/NetworkManager/Settings/1";
const OLD: &str = "/org/freedesktop/NetworkManager/ActiveConnection/1";
/// The connection that a change leads to.
pub(crate) const NEW: &str = "/org/freedesktop/NetworkManager/ActiveConnection/2";
const CHECKPOINT: &str = "/org/freedesktop/NetworkManager/Checkpoint/1";
