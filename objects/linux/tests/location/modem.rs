//! The receiver in a modem, by a double of ModemManager on a private bus.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lwm2m_model::Code;
use lwm2m_objects::{BusHandle, LocationConfig, ObjectHost};
use lwm2m_test_bus::{Bus, ModemManager};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zbus::{Connection, Variant};

use crate::{
    CallOperation, LIMIT, announced, call, host_on, instances, moved, next, observe, read,
};

struct Lab {
    bus: Bus,
    host: ObjectHost,
    supply: watch::Sender<Option<Connection>>,
}

impl Lab {
    /// `None`, and a line that says so, without dbus-daemon.
    async fn start() -> Option<Self> {
        let bus = Bus::start()?;
        let (supply, handle) = BusHandle::channel();
        let host = host_on(LocationConfig::ModemManager, handle);
        let lab = Self { bus, host, supply };
        lab.connect().await;
        Some(lab)
    }

    async fn connect(&self) {
        let connection = zbus::connection::Builder::address(self.bus.address()).build().await;
        self.supply.send_replace(Some(connection.unwrap()));
    }
}

/// Waits until the double was called so.
async fn called(service: &ModemManager, wanted: &str) {
    let wanted = format!("{} {wanted}", ModemManager::MODEM);
    let look = async {
        while service.calls().last() != Some(&wanted) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, look).await.unwrap_or_else(|_| panic!("{wanted}: {:?}", service.calls()));
}

/// Sentences of a place so many minutes north of 48 degrees.
fn sentences(minutes: u32) -> (u32, Variant<'static>) {
    let sum = |text: &str| text.bytes().fold(0, |sum: u8, byte| sum ^ byte);
    let texts = [
        format!("GPRMC,120000.0,A,48{minutes:02}.0,N,01130.0,E,019.4,090.0,150126,,,A"),
        format!("GPGGA,120000.0,48{minutes:02}.0,N,01130.0,E,1,08,0.9,545.5,M,46.9,M,,"),
    ];
    let text: String = texts.iter().map(|text| format!("${text}*{:02X}\r\n", sum(text))).collect();
    (NMEA, text.into())
}

fn raw(table: &[(&str, Variant<'static>)]) -> (u32, Variant<'static>) {
    let owned = |(name, value): &(&str, Variant<'static>)| ((*name).to_owned(), value.clone());
    (RAW, table.iter().map(owned).collect::<HashMap<String, Variant<'static>>>().into())
}

fn cell() -> (u32, Variant<'static>) {
    (1, "262,01,FFFE,01B2C3D4,00A1".into())
}

const RAW: u32 = 2;
const NMEA: u32 = 4;

/// OBJ-73: no instance before the first fix, and cells are none.
#[tokio::test]
async fn a_receiver_is_on_while_it_is_wanted_and_its_moves_are_news() {
    let Some(mut lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    service.plug_in("wwan0").await;
    called(&service, "GetLocation").await;
    assert!(service.calls().contains(&format!("{} Setup 7 true", ModemManager::MODEM)));
    assert!(instances(&lab.host).is_empty());
    let refused = call(&mut lab.host, "/6/0", CallOperation::Read).await.unwrap_err();
    assert_eq!(refused.code, Code::NOT_FOUND);

    service.set_location(HashMap::from([cell(), sentences(0)])).await;
    announced(&mut lab.host).await;
    // With a fix, and nobody who wants another, it is as before.
    called(&service, "Setup 1 false").await;
    let values = read(&mut lab.host).await;
    let expected = [(0, "48"), (1, "11.5"), (2, "545.5"), (5, "1768478400")];
    assert!(expected.iter().all(|(id, text)| values[id] == *text), "{values:?}");
    assert_eq!(values.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6]);

    observe(&mut lab.host, Some(60));
    called(&service, "GetLocation").await;
    service.set_location(HashMap::from([sentences(30)])).await;
    moved(&mut lab.host).await;
    assert_eq!(read(&mut lab.host).await[&0], "48.5");
    // A lost fix leaves the last one.
    service.set_location(HashMap::from([(NMEA, "$GPRMC,,V,,,,,,,,,,N*53\r\n".into())])).await;
    service.set_location(HashMap::from([sentences(45)])).await;
    moved(&mut lab.host).await;
    assert_eq!(read(&mut lab.host).await[&0], "48.75");
    observe(&mut lab.host, None);
    called(&service, "Setup 1 false").await;
}

#[tokio::test]
async fn a_modem_and_a_bus_that_come_again_are_heard_again() {
    let Some(mut lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    observe(&mut lab.host, Some(60));
    service.plug_in("wwan0").await;
    called(&service, "GetLocation").await;
    service.set_location(HashMap::from([sentences(10)])).await;
    announced(&mut lab.host).await;
    let again = |minutes| HashMap::from([sentences(minutes)]);

    service.pull_out().await;
    service.plug_in("wwan0").await;
    called(&service, "GetLocation").await;
    service.set_location(again(20)).await;
    moved(&mut lab.host).await;

    drop(service);
    let service = ModemManager::start(lab.bus.address()).await;
    service.plug_in("wwan0").await;
    called(&service, "GetLocation").await;
    service.set_location(again(30)).await;
    moved(&mut lab.host).await;

    lab.supply.send_replace(None);
    lab.connect().await;
    called(&service, "GetLocation").await;
    service.set_location(again(40)).await;
    while read(&mut lab.host).await[&0] != (48.0 + 40.0 / 60.0).to_string() {
        next(&mut lab.host).await;
    }
}

#[tokio::test]
async fn numbers_without_sentences_are_a_fix_with_a_time() {
    let Some(mut lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    service.plug_in("wwan0").await;
    called(&service, "GetLocation").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let day = now % 86_400;
    let time = format!("{:02}{:02}{:02}.00", day / 3600, day / 60 % 60, day % 60);
    let place = [("latitude", Variant::from(-33.5)), ("longitude", Variant::from(151.25))];
    // Where, but not when; lies; the wrong types.
    for wrong in [
        raw(&place),
        raw(&[&place[..], &[("utc-time", "now".into())]].concat()),
        raw(&[&place[..1], &[("utc-time", time.clone().into())]].concat()),
        raw(&[("latitude", 91.0.into()), place[1].clone(), ("utc-time", time.clone().into())]),
        raw(&[("latitude", f64::NAN.into()), place[1].clone(), ("utc-time", time.clone().into())]),
        (RAW, 7_u32.into()),
        (NMEA, 7_u32.into()),
    ] {
        service.set_location(HashMap::from([wrong])).await;
    }
    let right = raw(&[&place[..], &[("utc-time", time.into())]].concat());
    service.set_location(HashMap::from([right])).await;
    announced(&mut lab.host).await;
    let expected = [(0, "-33.5".to_owned()), (1, "151.25".to_owned()), (5, now.to_string())];
    assert_eq!(read(&mut lab.host).await, expected.into());
}

/// Without the right nothing is switched on, and nothing is asked again and again.
#[tokio::test]
async fn a_receiver_that_is_denied_gives_no_fix() {
    let Some(lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    let denied = Some("org.freedesktop.ModemManager1.Error.Core.Unauthorized");
    service.refuse("Setup", denied);
    service.refuse("GetLocation", denied);
    service.plug_in("wwan0").await;
    called(&service, "GetLocation").await;
    let pause = || sleep(Duration::from_millis(200));
    pause().await;
    let calls = service.calls();
    service.set_location(HashMap::from([sentences(0)])).await;
    pause().await;
    assert_eq!(service.calls(), calls);
    assert!(instances(&lab.host).is_empty());
}
