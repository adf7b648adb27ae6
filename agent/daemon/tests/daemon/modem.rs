//! A modem of ModemManager and its profiles of NetworkManager, by doubles of them, as a
//! server sees them: plugged in, moved, disconnected and pulled out; written, made and
//! removed.

use std::collections::HashMap;
use std::time::Duration;

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_bus::network_manager::setting;
use lwm2m_test_bus::{ModemManager, NetworkManager, properties};
use lwm2m_test_server::{Observation, Registration};
use tokio::time::timeout;
use zbus::Variant;

use crate::support::{Bus, ENDPOINT, LIMIT, Lab, Link, configuration, server};

/// What the receiver of the modem says at so many minutes north of 48 degrees.
fn place(minutes: u32) -> HashMap<u32, Variant<'static>> {
    let text = format!("GPRMC,120000.0,A,48{minutes:02}.0,N,01130.0,E,019.4,090.0,150126,,,A");
    let sum = text.bytes().fold(0, |sum: u8, byte| sum ^ byte);
    HashMap::from([(4, Variant::from(format!("${text}*{sum:02X}\r\n")))])
}

fn has(known: &Registration, instance: [u16; 2]) -> bool {
    let [object, instance] = instance;
    known.links.iter().any(|link| link.path == Path::instance(object, instance))
}

/// Waits for a notification with this value.
async fn told(observation: &mut Observation, value: Value) {
    loop {
        let notification = observation.next_within(LIMIT).await.unwrap();
        if notification.entries.iter().any(|entry| entry.value() == Some(&value)) {
            return;
        }
    }
}

/// OBJ-73, and Core 6.2.2: instances that come and go are an Update.
#[tokio::test]
async fn a_server_follows_a_modem() {
    let (server, address) = server().await;
    let text = configuration(&[Link::nosec(101, address)]);
    let lab = Lab::new(&(text + "objects: {location: {source: modemmanager}}\n"));
    let Some(_bus) = Bus::start(&lab) else { return };
    let service = ModemManager::start(&Bus::address(&lab)).await;
    let daemon = lab.start_on(&Bus::address(&lab));
    let first = server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    // Without a modem nothing of it is named.
    let objects = first.links.iter().filter_map(|link| link.path.object_id());
    assert!(!objects.clone().any(|id| [10, 11].contains(&id)), "{:?}", first.links);

    service.plug_in("wwan0").await;
    let is_there = |known: &Registration| has(known, [10, 0]) && has(known, [11, 0]);
    server.wait_for(is_there, "/10/0 and /11/0".into(), LIMIT).await.unwrap();
    let profiles = Path::resource(10, 0, 11);
    let answer = server.read(ENDPOINT, &profiles, None).await.unwrap();
    assert_eq!(answer.code, Code::CONTENT);
    assert_eq!(answer.entries.len(), 1, "{:?}", answer.entries);

    service.set_location(place(0)).await;
    let is_found = |known: &Registration| has(known, [6, 0]);
    server.wait_for(is_found, "/6/0".into(), LIMIT).await.unwrap();
    let latitude = Path::resource(6, 0, 0);
    let mut moves = server.observe(ENDPOINT, &latitude, &[], None).await.unwrap();
    // Told when the receiver is on for the observation.
    service.set_location(place(30)).await;
    told(&mut moves, Value::Float(48.5)).await;

    let enabled = Path::resource(11, 0, 3);
    let mut switches = server.observe(ENDPOINT, &enabled, &[], None).await.unwrap();
    let off = [Entry::new(enabled.clone(), Value::Boolean(false))];
    let answer = server
        .write(ENDPOINT, &enabled, WriteMode::Replace, ContentFormat::TEXT, &off)
        .await
        .unwrap();
    assert_eq!(answer.code, Code::CHANGED);
    told(&mut switches, Value::Boolean(false)).await;

    service.pull_out().await;
    let is_gone = |known: &Registration| !has(known, [10, 0]) && !has(known, [11, 0]);
    server.wait_for(is_gone, "no modem".into(), LIMIT).await.unwrap();
    daemon.stop().await;
}

/// The profile `field`, which is active.
const FIELD: &str = "/org/freedesktop/NetworkManager/Settings/10";

/// NetworkManager with the modem, connected by the profile.
async fn network_manager(address: &str) -> NetworkManager {
    let manager = NetworkManager::start(address).await;
    let connection = properties([("id", "field".into()), ("type", "gsm".into())]);
    let gsm = properties([("apn", "internet".into()), ("username", "seed".into())]);
    let profile = HashMap::from([("connection".to_owned(), connection), ("gsm".to_owned(), gsm)]);
    manager.keep(FIELD, profile).await;
    manager.plug_in_modem(ModemManager::MODEM, Some((FIELD, "wwan0"))).await;
    manager
}

/// Waits for a call of NetworkManager.
async fn called(manager: &NetworkManager, method: &str) {
    let waiting = async {
        while !manager.calls().iter().any(|call| call == method) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("{:?}", manager.calls()));
}

/// CORE-142, CORE-151, and a change that is kept since the server is still reached.
#[tokio::test]
async fn a_server_writes_profiles_of_mobile_connections() {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let Some(_bus) = Bus::start(&lab) else { return };
    let service = ModemManager::start(&Bus::address(&lab)).await;
    let manager = network_manager(&Bus::address(&lab)).await;
    service.plug_in("wwan0").await;
    let daemon = lab.start_on(&Bus::address(&lab));
    let is_there = |known: &Registration| has(known, [10, 0]) && has(known, [11, 0]);
    let known = server.wait_for(is_there, "/10/0 and /11/0".into(), LIMIT).await.unwrap();
    assert!(!has(&known, [11, 1]), "the bearer is that of the profile");

    let apn = Path::resource(11, 0, 1);
    let mut news = server.observe(ENDPOINT, &apn, &[], None).await.unwrap();
    let entries = [Entry::new(apn.clone(), Value::String("m2m.example".into()))];
    let (mode, format) = (WriteMode::Replace, ContentFormat::TEXT);
    let answer = server.write(ENDPOINT, &apn, mode, format, &entries).await.unwrap();
    assert_eq!(answer.code, Code::CHANGED);
    assert!(!manager.calls().contains(&"ActivateConnection".to_owned()), "answered first");
    told(&mut news, Value::String("m2m.example".into())).await;
    called(&manager, "ActivateConnection").await;
    manager.connect(NetworkManager::MODEM, FIELD, 100).await;
    called(&manager, "CheckpointDestroy").await;

    let made = [(0, "second"), (1, "two.example"), (5, "me"), (6, "hush")];
    let entry =
        |(id, text): (u16, &str)| Entry::new(Path::resource(11, 7, id), Value::String(text.into()));
    let (object, format) = (Path::object(11), ContentFormat::SENML_CBOR);
    let answer = server.create(ENDPOINT, &object, format, &made.map(entry)).await.unwrap();
    assert_eq!(answer.code, Code::CREATED);
    server.wait_for(|known| has(known, [11, 7]), "/11/7".into(), LIMIT).await.unwrap();
    let instance = Path::instance(11, 7);
    let read = server.read(ENDPOINT, &instance, None).await.unwrap();
    assert_eq!(read.code, Code::CONTENT);
    let secret = Path::resource(11, 7, 6);
    assert!(!read.entries.iter().any(|entry| entry.path == secret), "{:?}", read.entries);
    let secrets = manager
        .paths()
        .into_iter()
        .filter_map(|path| setting(&manager.profile(&path), "gsm", "password"));
    assert_eq!(secrets.collect::<Vec<_>>(), ["hush"]);
    assert_eq!(server.delete(ENDPOINT, &instance).await.unwrap().code, Code::DELETED);
    server.wait_for(|known| !has(known, [11, 7]), "no /11/7".into(), LIMIT).await.unwrap();
    daemon.stop().await;
}
