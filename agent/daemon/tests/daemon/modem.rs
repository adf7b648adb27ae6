//! A modem of ModemManager, by a double of it, as a server sees it: plugged in, moved,
//! disconnected and pulled out.

use std::collections::HashMap;

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_bus::ModemManager;
use lwm2m_test_server::{Observation, Registration};
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
