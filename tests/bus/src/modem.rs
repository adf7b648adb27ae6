//! ModemManager with one LTE modem that can be plugged in and out, as a [`Double`].

use std::collections::HashMap;
use std::ops::Deref;

use zbus::message::Message;
use zbus::{ObjectPath, OwnedVariant, Variant};

use crate::double::{Double, Objects, Properties, properties};

/// The service; it goes with the value.
pub struct ModemManager(Double);

impl ModemManager {
    /// The path of the modem.
    pub const MODEM: &'static str = "/org/freedesktop/ModemManager1/Modem/0";
    /// The path of its bearer.
    pub const BEARER: &'static str = "/org/freedesktop/ModemManager1/Bearer/0";
    /// The interface of the modem itself; those below it have more words.
    pub const INTERFACE: &'static str = "org.freedesktop.ModemManager1.Modem";
    /// The interface of the bearer.
    pub const BEARER_INTERFACE: &'static str = "org.freedesktop.ModemManager1.Bearer";

    /// The service without a modem.
    ///
    /// # Panics
    /// If the bus refuses it.
    pub async fn start(address: &str) -> Self {
        let name = "org.freedesktop.ModemManager1";
        let double = Double::start(address, name, "/org/freedesktop/ModemManager1/Modem").await;
        double.add("/org/freedesktop/ModemManager1", HashMap::new()).await;
        double.method("GetLocation", |call, objects| {
            let known = &objects[Self::MODEM][&location()];
            Ok(Message::method_return(&call.header()).build(&enabled(known)).unwrap())
        });
        double.method("Setup", |call, objects| {
            let modem = objects.get_mut(Self::MODEM).unwrap();
            // The method of another interface has the same name.
            if let Ok(seconds) = call.body().deserialize::<u32>() {
                let signal = modem.get_mut(&format!("{}.Signal", Self::INTERFACE)).unwrap();
                signal.extend(properties([("Rate", seconds.into())]));
                return Ok(Message::method_return(&call.header()).build(&()).unwrap());
            }
            let (sources, signals): (u32, bool) = call.body().deserialize().unwrap();
            let known = modem.get_mut(&location()).unwrap();
            known.extend(properties([("Enabled", sources.into())]));
            known.extend(properties([("SignalsLocation", signals.into())]));
            show(known);
            Ok(Message::method_return(&call.header()).build(&()).unwrap())
        });
        double.method("Enable", |call, objects| {
            let on: bool = call.body().deserialize().unwrap();
            let state = if on { 8_i32 } else { 3 };
            let modem = objects.get_mut(Self::MODEM).unwrap().get_mut(Self::INTERFACE).unwrap();
            let is_on = i32::try_from(modem["State"].clone()).unwrap() >= 6;
            if is_on != on {
                modem.extend(properties([("State", state.into())]));
            }
            if !on {
                connect(objects, false);
            }
            Ok(Message::method_return(&call.header()).build(&()).unwrap())
        });
        for (method, to) in [("Connect", true), ("Disconnect", false)] {
            double.method(method, move |call, objects| {
                connect(objects, to);
                Ok(Message::method_return(&call.header()).build(&()).unwrap())
            });
        }
        Self(double)
    }

    /// Plugs in the modem with a bearer that is connected as the network interface `link`.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn plug_in(&self, link: &str) {
        self.add(Self::BEARER, bearer(link)).await;
        self.add(Self::MODEM, modem()).await;
    }

    /// Pulls it out again.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn pull_out(&self) {
        self.remove(Self::MODEM).await;
        self.remove(Self::BEARER).await;
    }

    /// Sets where the modem is, by the bits of MMModemLocationSource. It is told of those
    /// that are switched on.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn set_location(&self, table: HashMap<u32, Variant<'static>>) {
        let change = |known: &mut Properties| {
            known.extend(properties([(HIDDEN, table.into())]));
            show(known);
        };
        self.change(Self::MODEM, &location(), change).await;
    }
}

fn connect(objects: &mut Objects, to: bool) {
    let bearer = objects.get_mut(ModemManager::BEARER).unwrap();
    let bearer = bearer.get_mut(ModemManager::BEARER_INTERFACE).unwrap();
    bearer.extend(properties([("Connected", to.into())]));
}

/// The interface of the place.
fn location() -> String {
    format!("{}.Location", ModemManager::INTERFACE)
}

/// What is known of the place by the sources that are on.
fn enabled(known: &Properties) -> HashMap<u32, OwnedVariant> {
    let sources = u32::try_from(known["Enabled"].clone()).unwrap();
    let mut places: HashMap<u32, OwnedVariant> = known[HIDDEN].clone().try_into().unwrap();
    places.retain(|source, _| sources & source != 0);
    places
}

/// The property holds the place only while its signals are on.
fn show(known: &mut Properties) {
    let signals = bool::try_from(known["SignalsLocation"].clone()).unwrap();
    let places = if signals { enabled(known) } else { HashMap::new() };
    known.extend(properties([("Location", places.into())]));
}

impl Deref for ModemManager {
    type Target = Double;

    fn deref(&self) -> &Double {
        &self.0
    }
}

fn modem() -> HashMap<String, Properties> {
    let bearer = ObjectPath::try_from(ModemManager::BEARER).unwrap();
    let lte: HashMap<String, Variant<'static>> = [
        ("rssi", Variant::from(-71.0_f64)),
        ("rsrp", Variant::from(-98.4_f64)),
        ("rsrq", Variant::from(-11.0_f64)),
        ("snr", Variant::from(9.6_f64)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let cell = HashMap::from([(1_u32, Variant::from("262,01,FFFE,01B2C3D4,00A1"))]);
    let interfaces = [
        (
            "",
            properties([
                ("State", 11_i32.into()),
                ("Bearers", vec![bearer].into()),
                ("AccessTechnologies", (1_u32 << 14).into()),
                ("CurrentBands", vec![33_u32, 50].into()),
            ]),
        ),
        (".Modem3gpp", properties([("OperatorCode", "26201".into())])),
        (".Signal", properties([("Rate", 5_u32.into()), ("Lte", lte.into())])),
        (
            ".Location",
            properties([
                ("Capabilities", 7_u32.into()),
                ("Enabled", 1_u32.into()),
                ("SignalsLocation", false.into()),
                ("Location", HashMap::<u32, Variant<'static>>::new().into()),
                (HIDDEN, cell.into()),
            ]),
        ),
    ];
    let name = |below| format!("{}{below}", ModemManager::INTERFACE);
    interfaces.into_iter().map(|(below, properties)| (name(below), properties)).collect()
}

fn bearer(link: &str) -> HashMap<String, Properties> {
    let settings: HashMap<String, Variant<'static>> = [
        ("apn", Variant::from("internet")),
        ("user", Variant::from("seed")),
        ("allowed-auth", Variant::from(6_u32)),
        ("ip-type", Variant::from(4_u32)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let address: HashMap<String, Variant<'static>> = [
        ("method", Variant::from(2_u32)),
        ("address", Variant::from("10.64.0.2")),
        ("prefix", Variant::from(30_u32)),
        ("gateway", Variant::from("10.64.0.1")),
        ("dns1", Variant::from("192.0.2.53")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let counters: HashMap<String, Variant<'static>> = [
        ("start-date", Variant::from(1_768_478_400_u64)),
        ("tx-bytes", Variant::from(1000_u64)),
        ("rx-bytes", Variant::from(2000_u64)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let properties = properties([
        ("Connected", true.into()),
        ("Interface", link.to_owned().into()),
        ("Properties", settings.into()),
        ("Ip4Config", address.into()),
        ("Ip6Config", HashMap::<String, Variant<'static>>::new().into()),
        ("Stats", counters.into()),
        ("ConnectionError", (String::new(), String::new()).into()),
    ]);
    HashMap::from([(ModemManager::BEARER_INTERFACE.to_owned(), properties)])
}

/// What GetLocation gives.
const HIDDEN: &str = "_Location";
