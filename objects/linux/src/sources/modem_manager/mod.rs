//! Modems as ModemManager describes them (org.freedesktop.ModemManager1(5)), never so
//! that it is started. Properties need no right; the cell needs one, unless somebody has
//! switched on the signals of the location.

mod bearer;
pub(crate) mod receiver;

use std::collections::HashMap;

use zbus::match_rule::MatchRule;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, OwnedObjectPath, OwnedVariant};

use super::properties::{self, Properties, text, value};
use crate::bus;
pub(crate) use bearer::{Address, Bearer};

/// What is known of a modem. What it does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Modem {
    /// Its object on the bus.
    pub(crate) path: String,
    /// Whether its radio is on.
    pub(crate) is_on: bool,
    /// Its bearers, connected or not, in the order of their paths.
    pub(crate) bearers: Vec<Bearer>,
    /// How often its signal is measured, in seconds, 0 if it is not; `None` where it
    /// cannot be.
    pub(crate) rate: Option<u32>,
    /// The number of the network in Network Bearer (Objects 6).
    pub(crate) bearer: Option<i64>,
    /// RSRP, RSCP or RSSI, whichever the network has, in dBm.
    pub(crate) strength: Option<i64>,
    /// RSRQ in dB.
    pub(crate) quality: Option<i64>,
    /// In dB.
    pub(crate) snr: Option<i64>,
    /// Country code and network code of the operator.
    pub(crate) operator: Option<(i64, i64)>,
    /// Location area code.
    pub(crate) lac: Option<i64>,
    /// Cell identity.
    pub(crate) cell: Option<i64>,
}

impl Modem {
    /// Its bearers that are connected.
    pub(crate) fn connected(&self) -> impl Iterator<Item = &Bearer> {
        self.bearers.iter().filter(|bearer| bearer.is_connected)
    }

    /// The access points of these.
    pub(crate) fn apns(&self) -> impl Iterator<Item = &str> {
        self.connected().filter_map(|bearer| bearer.apn.as_deref())
    }

    /// Whether one of these is the network interface.
    pub(crate) fn has_link(&self, name: &str) -> bool {
        self.connected().any(|bearer| bearer.link.as_deref() == Some(name))
    }
}

type Interfaces = HashMap<String, Properties>;
/// What is known of the place, by the bits of MMModemLocationSource.
pub(crate) type Location = HashMap<u32, OwnedVariant>;

/// Asks for all modems.
pub(crate) async fn modems(bus: &Connection) -> zbus::Result<Vec<Modem>> {
    let mut modems = Vec::new();
    for (path, mut interfaces) in managed(bus).await? {
        let Some(modem) = interfaces.get(MODEM) else { continue };
        let mut bearers: Vec<OwnedObjectPath> = value(modem, "Bearers").unwrap_or_default();
        bearers.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        if let Some(location) = interfaces.get_mut(LOCATION) {
            complete(bus, &path, location).await;
        }
        let mut known = Modem { path, ..describe(&interfaces) };
        for bearer in bearers.iter().take(MAX_BEARERS) {
            // One that goes meanwhile takes nothing else with it.
            match properties::all(bus, NAME, bearer.as_str(), BEARER).await {
                Ok(properties) => {
                    known.bearers.push(Bearer::describe(bearer.as_str(), &properties));
                }
                Err(error) => tracing::debug!(%error, "a bearer does not tell what it is"),
            }
        }
        modems.push(known);
    }
    Ok(modems)
}

/// The objects of modems in the order of their paths.
async fn managed(bus: &Connection) -> zbus::Result<Vec<(String, Interfaces)>> {
    let reply = bus.call_method(Some(NAME), PATH, Some(OBJECTS), "GetManagedObjects", &()).await?;
    let objects: HashMap<OwnedObjectPath, Interfaces> = reply.body().deserialize()?;
    let named = |(path, interfaces): (OwnedObjectPath, _)| (path.as_str().to_owned(), interfaces);
    let mut objects: Vec<_> = objects.into_iter().map(named).collect();
    objects.sort_by(|(one, _), (other, _)| one.cmp(other));
    objects.truncate(MAX_MODEMS);
    Ok(objects)
}

/// Asks for the cell where the property does not hold it: as long as the signals of the
/// location are off, it is empty.
async fn complete(connection: &Connection, path: &str, location: &mut Properties) {
    let known: Location = value(location, "Location").unwrap_or_default();
    let enabled: u32 = value(location, "Enabled").unwrap_or_default();
    if known.contains_key(&LAC_AND_CELL) || enabled & LAC_AND_CELL == 0 {
        return;
    }
    match get_location(connection, path).await {
        Ok(known) => {
            let known = zbus::Variant::from(known);
            location.extend(OwnedVariant::try_from(known).map(|known| ("Location".into(), known)));
        }
        Err(error) => {
            let needed = bus::needed(LOCATION_ACTION);
            tracing::debug!(%error, "the cell is not told: {needed}");
        }
    }
}

/// Asks a modem where it is, by kind of location.
pub(crate) async fn get_location(bus: &Connection, modem: &str) -> zbus::Result<Location> {
    let reply = bus.call_method(Some(NAME), modem, Some(LOCATION), "GetLocation", &()).await?;
    reply.body().deserialize()
}

/// The signals of ModemManager: properties and objects that have changed.
pub(crate) async fn changes(bus: &Connection) -> zbus::Result<MessageStream> {
    let rule =
        MatchRule::builder().msg_type(Type::Signal).sender(NAME).path_namespace(PATH).build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// Switches the radio of a modem; takes the polkit action [`CONTROL_ACTION`].
pub(crate) async fn enable(bus: &Connection, modem: &Modem, on: bool) -> zbus::Result<()> {
    bus.call_method(Some(NAME), modem.path.as_str(), Some(MODEM), "Enable", &on).await?;
    Ok(())
}

/// Has the signal of a modem measured every so many seconds, or with 0 not at all; takes
/// the polkit action [`CONTROL_ACTION`].
pub(crate) async fn measure(bus: &Connection, modem: &Modem, seconds: u32) -> zbus::Result<()> {
    bus.call_method(Some(NAME), modem.path.as_str(), Some(SIGNAL), "Setup", &seconds).await?;
    Ok(())
}

/// Connects or disconnects a bearer, which may take minutes; takes the polkit action
/// [`CONTROL_ACTION`].
pub(crate) async fn connect(bus: &Connection, bearer: &str, to: bool) -> zbus::Result<()> {
    let method = if to { "Connect" } else { "Disconnect" };
    bus.call_method(Some(NAME), bearer, Some(BEARER), method, &()).await?;
    Ok(())
}

/// Whether a signal says that a modem has come or gone.
pub(crate) fn is_of_objects(signal: &Message) -> bool {
    signal.header().interface().is_some_and(|interface| interface.as_str() == OBJECTS)
}

fn describe(interfaces: &Interfaces) -> Modem {
    let state: Option<i32> = property(interfaces, MODEM, "State");
    let mut known =
        Modem { is_on: state.is_some_and(|state| state >= ENABLED), ..Modem::default() };
    let bands: Vec<u32> = property(interfaces, MODEM, "CurrentBands").unwrap_or_default();
    let access: Option<u32> = property(interfaces, MODEM, "AccessTechnologies");
    known.rate = property(interfaces, SIGNAL, "Rate");
    known.bearer = access.and_then(|access| bearer(access, &bands));
    known.operator =
        property::<String>(interfaces, MODEM_3GPP, "OperatorCode").and_then(|code| operator(&code));
    // ModemManager names only the technologies it measures.
    for (technology, strength) in
        [("Nr5g", "rsrp"), ("Lte", "rsrp"), ("Umts", "rscp"), ("Gsm", "rssi")]
    {
        let signal: Properties = property(interfaces, SIGNAL, technology).unwrap_or_default();
        let decibel = |name| value::<f64>(&signal, name).and_then(decibel);
        if let Some(strength) = decibel(strength) {
            known.strength = Some(strength);
            known.quality = decibel("rsrq");
            known.snr = decibel("snr");
            break;
        }
    }
    let location: Location = property(interfaces, LOCATION, "Location").unwrap_or_default();
    let cell = location.get(&LAC_AND_CELL).and_then(|cell| String::try_from(cell.clone()).ok());
    if let Some((lac, cell)) = cell.as_deref().and_then(cell_of) {
        (known.lac, known.cell) = (lac, cell);
    }
    known
}

fn property<T: TryFrom<OwnedVariant>>(
    interfaces: &Interfaces,
    interface: &str,
    name: &str,
) -> Option<T> {
    value(interfaces.get(interface)?, name)
}

/// No receiver measures values outside; the filler for unknown is far below.
fn decibel(value: f64) -> Option<i64> {
    (-200.0..=100.0).contains(&value).then(|| value.round() as i64)
}

/// The number of the network, by the bits of MMModemAccessTechnology, the newest
/// first; LTE and 5G by their bands.
fn bearer(access: u32, bands: &[u32]) -> Option<i64> {
    let has = |bits: &[u32]| bits.iter().any(|bit| access & (1 << bit) != 0);
    if has(&[15]) {
        let is_tdd = |band: u32| matches!(band, 34 | 38..=41 | 46..=48 | 50 | 51 | 53 | 77..=79);
        return Some(if all_bands(bands, 300, is_tdd) { 8 } else { 9 });
    }
    if has(&[14]) {
        return Some(if all_bands(bands, 30, |band| (33..=53).contains(&band)) { 5 } else { 6 });
    }
    if has(&[16, 17]) {
        // LTE Cat-M is LTE, NB-IoT is not.
        return Some(if has(&[17]) { 7 } else { 6 });
    }
    if has(&[5, 6, 7, 8, 9]) {
        return Some(2);
    }
    if has(&[10, 11, 12, 13]) {
        return Some(3);
    }
    has(&[1, 2, 3, 4]).then_some(0)
}

/// Whether there are bands of the technology whose numbers begin after `base`, and all
/// of them are such.
fn all_bands(bands: &[u32], base: u32, is_such: impl Fn(u32) -> bool) -> bool {
    let mut bands = bands.iter().filter_map(|band| band.checked_sub(base));
    let mut own = bands.by_ref().filter(|band| (1..=100).contains(band)).peekable();
    own.peek().is_some() && own.all(is_such)
}

/// Country and network of an operator code such as `26201` or `310260`.
fn operator(code: &str) -> Option<(i64, i64)> {
    let digits = code.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !(5..=6).contains(&code.len()) {
        return None;
    }
    let (country, network) = code.split_at_checked(3)?;
    Some((country.parse().ok()?, network.parse().ok()?))
}

/// LAC and cell of `MCC,MNC,LAC,CI[,TAC]`, the last three in hexadecimal; zero is
/// ModemManager's way of saying that it does not know, and an LAC of FFFE the network's of
/// saying that there is none (3GPP TS 23.003 section 4.1).
fn cell_of(location: &str) -> Option<(Option<i64>, Option<i64>)> {
    let mut fields = location.split(',').skip(2);
    let mut number = |limit: i64| {
        let number = i64::from_str_radix(fields.next()?.trim(), 16).ok()?;
        Some((1..=limit).contains(&number).then_some(number))
    };
    let (lac, cell) = (number(0xfffd)?, number(0x0fff_ffff)?);
    Some((lac, cell))
}

/// The well-known name.
pub(crate) const NAME: &str = "org.freedesktop.ModemManager1";
const PATH: &str = "/org/freedesktop/ModemManager1";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
const MODEM: &str = "org.freedesktop.ModemManager1.Modem";
const MODEM_3GPP: &str = "org.freedesktop.ModemManager1.Modem.Modem3gpp";
const SIGNAL: &str = "org.freedesktop.ModemManager1.Modem.Signal";
pub(crate) const LOCATION: &str = "org.freedesktop.ModemManager1.Modem.Location";
pub(crate) const BEARER: &str = "org.freedesktop.ModemManager1.Bearer";
/// The polkit action of [`get_location`].
pub(crate) const LOCATION_ACTION: &str = "org.freedesktop.ModemManager1.Location";
/// The polkit action for what changes a modem, its receiver of satellites too.
pub(crate) const CONTROL_ACTION: &str = "org.freedesktop.ModemManager1.Device.Control";
/// MM_MODEM_STATE_ENABLED; what is above it is on, too.
const ENABLED: i32 = 6;
/// MM_MODEM_LOCATION_SOURCE_3GPP_LAC_CI.
const LAC_AND_CELL: u32 = 1;
/// Modems that are looked at.
const MAX_MODEMS: usize = 8;
/// Bearers of a modem that are looked at.
const MAX_BEARERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_the_numbers_of_the_object() {
        for (access, bands, expected) in [
            (0, &[][..], None),
            (1 << 3, &[], Some(0)),
            (1 << 5 | 1 << 3, &[], Some(2)),
            (1 << 14, &[31, 33], Some(6)),
            (1 << 14, &[68, 70], Some(5)),
            (1 << 14, &[33, 70], Some(6)),
            (1 << 15 | 1 << 14, &[378], Some(8)),
            (1 << 15, &[301], Some(9)),
            (1 << 16, &[], Some(6)),
            (1 << 17, &[], Some(7)),
        ] {
            assert_eq!(bearer(access, bands), expected, "{access:#x} {bands:?}");
        }
    }

    #[test]
    fn nonsense_of_a_modem_is_no_value() {
        assert_eq!(operator("26201"), Some((262, 1)));
        assert_eq!(operator("310260"), Some((310, 260)));
        for code in ["", "2620", "2620100", "26x01", "ééé"] {
            assert_eq!(operator(code), None, "{code}");
        }
        assert_eq!(cell_of("262,01,00A1,01B2C3D4,0000"), Some((Some(0xa1), Some(0x01b2_c3d4))));
        assert_eq!(cell_of("262,01,0,7F"), Some((None, Some(0x7f))));
        assert_eq!(cell_of("262,01,FFFE,7F,00A1"), Some((None, Some(0x7f))));
        for location in ["", "262,01", "262,01,x,y"] {
            assert_eq!(cell_of(location), None, "{location}");
        }
        assert_eq!(decibel(-32768.0), None);
        assert_eq!(decibel(f64::NAN), None);
        assert_eq!(decibel(-101.5), Some(-102));
    }
}
