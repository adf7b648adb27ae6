//! The Location object with a gpsd and a GeoClue that do what the test says.

mod geoclue;
mod gpsd;
mod modem;

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Entry, Now, Path};
use lwm2m_objects::{BusHandle, Location, LocationConfig, ObjectHost, ObjectMessage, Place};
use tokio::time::timeout;

use crate::gpsd::{Gpsd, tpv};

/// Far more than anything here takes on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

fn host(config: LocationConfig) -> ObjectHost {
    host_on(config, BusHandle::absent())
}

fn host_on(config: LocationConfig, bus: BusHandle) -> ObjectHost {
    let now = Now { wall: Some(1_768_478_400_000), ..Now::default() };
    let mut host = ObjectHost::new(move || now);
    host.add(Box::new(Location::new(config, bus, host.sender())));
    host
}

async fn call(host: &mut ObjectHost, path: &str, operation: CallOperation) -> CallResult {
    let call = Call { id: CallId(1), path: path.parse().unwrap(), operation, server: Some(101) };
    if let Some(result) = host.call(&call) {
        return result;
    }
    loop {
        if let ObjectMessage::Reply { call: CallId(1), result } = next(host).await {
            return result;
        }
    }
}

async fn next(host: &mut ObjectHost) -> ObjectMessage {
    timeout(LIMIT, host.next()).await.expect("a message in time")
}

async fn read(host: &mut ObjectHost) -> BTreeMap<u16, String> {
    match call(host, "/6/0", CallOperation::Read).await {
        Ok(CallReply::Entries(entries)) => {
            let text = |entry: &Entry| entry.value().unwrap().to_string();
            entries.iter().map(|entry| (entry.path.resource_id().unwrap(), text(entry))).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Waits for the instance.
async fn announced(host: &mut ObjectHost) {
    loop {
        if let ObjectMessage::Object { definition, instances, .. } = next(host).await {
            assert_eq!((definition.id, instances), (6, vec![0]));
            return;
        }
    }
}

/// Waits until a latitude is told.
async fn moved(host: &mut ObjectHost) {
    while next(host).await != ObjectMessage::Changed("/6/0/0".parse().unwrap()) {}
}

fn instances(host: &ObjectHost) -> Vec<u16> {
    host.objects().next().unwrap().1
}

fn observe(host: &mut ObjectHost, interval: Option<u64>) {
    host.watch(&Path::instance(6, 0), interval.map(Duration::from_secs));
}

/// OBJ-73.
#[tokio::test]
async fn a_fixed_place_is_there_at_once() {
    let mut host = host(LocationConfig::Fixed(Place::new(52.5, 13.25, Some(34.0)).unwrap()));
    assert_eq!(instances(&host), [0]);
    let expected = [(0, "52.5"), (1, "13.25"), (2, "34"), (5, "1768478400")];
    assert_eq!(read(&mut host).await, expected.map(|(id, text)| (id, text.to_owned())).into());
    let refused = call(&mut host, "/6/0", CallOperation::Delete).await.unwrap_err();
    assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED);
    let absent = call(&mut host, "/6/0/6", CallOperation::Read).await.unwrap_err();
    assert_eq!(absent.code, Code::NOT_FOUND);
    let Ok(CallReply::Paths(paths)) = call(&mut host, "/6", CallOperation::Discover).await else {
        panic!("no paths");
    };
    assert_eq!(paths.len(), 5);
}

/// OBJ-73: no instance before the first fix; then the last one is kept.
#[tokio::test]
async fn the_instance_comes_with_the_first_fix_and_the_stream_ends() {
    let gpsd = Gpsd::start().await;
    let mut host = host(LocationConfig::Gpsd(gpsd.address()));
    let mut stream = gpsd.watched().await;
    stream.say(r#"{"class":"TPV","mode":1}"#).await;
    assert_eq!(instances(&host), [0; 0]);
    let refused = call(&mut host, "/6/0", CallOperation::Read).await.unwrap_err();
    assert_eq!(refused.code, Code::NOT_FOUND);
    stream.say(&tpv(48.5, 100)).await;
    announced(&mut host).await;
    assert_eq!(instances(&host), [0]);
    assert_eq!(read(&mut host).await[&0], "48.5");
    // Nobody looks: nothing is open.
    stream.closed().await;
}

#[tokio::test]
async fn a_read_without_a_recent_fix_watches_for_a_while() {
    let gpsd = Gpsd::start().await;
    let mut host = host(LocationConfig::Gpsd(gpsd.address()));
    let mut stream = gpsd.watched().await;
    stream.say(&tpv(48.5, 100)).await;
    announced(&mut host).await;
    stream.closed().await;
    tokio::time::sleep(Duration::from_millis(3100)).await; // a fix is of now for 3 s
    let serve = async {
        let mut stream = gpsd.watched().await;
        stream.say(&tpv(49.5, 200)).await;
        stream.closed().await;
    };
    let (values, ()) = tokio::join!(read(&mut host), serve);
    assert_eq!((values[&0].as_str(), values[&5].as_str()), ("49.5", "200"));
    // And without an answer the last one counts, with its own time.
    tokio::time::sleep(Duration::from_millis(3100)).await;
    let values = read(&mut host).await;
    assert_eq!((values[&0].as_str(), values[&5].as_str()), ("49.5", "200"));
}

#[tokio::test]
async fn a_move_is_told_while_it_is_observed() {
    let gpsd = Gpsd::start().await;
    let mut host = host(LocationConfig::Gpsd(gpsd.address()));
    observe(&mut host, Some(1));
    let mut stream = gpsd.watched().await;
    for (latitude, time) in [(1.5, 1), (2.5, 2), (3.5, 3)] {
        stream.say(&tpv(latitude, time)).await;
        moved(&mut host).await;
        assert_eq!(read(&mut host).await[&0], latitude.to_string());
    }
    observe(&mut host, None);
    stream.closed().await;
}

#[tokio::test]
async fn a_gpsd_that_comes_back_is_watched_again() {
    let gpsd = Gpsd::start().await;
    let mut host = host(LocationConfig::Gpsd(gpsd.address()));
    observe(&mut host, Some(1));
    let mut stream = gpsd.watched().await;
    stream.say(&tpv(1.5, 1)).await;
    moved(&mut host).await;
    drop(stream);
    let mut stream = gpsd.watched().await;
    stream.say(&tpv(2.5, 2)).await;
    moved(&mut host).await;
    assert_eq!(read(&mut host).await[&0], "2.5");
}

#[tokio::test]
async fn lies_and_garbage_change_nothing() {
    let gpsd = Gpsd::start().await;
    let mut host = host(LocationConfig::Gpsd(gpsd.address()));
    observe(&mut host, Some(1));
    let mut stream = gpsd.watched().await;
    stream.say(&tpv(1.5, 1)).await;
    moved(&mut host).await;
    stream.say(&tpv(1000.0, 2)).await;
    stream.say(&tpv(1.75, 2).replace("1.75", "NaN")).await;
    stream.say("$GPGGA,,,,*00\u{7f}").await;
    stream.say(&"{".repeat(200_000)).await;
    stream.say(r#"{"class":"TPV","mode":1}"#).await;
    // Who connects again has read all of it.
    drop(stream);
    let mut stream = gpsd.watched().await;
    assert_eq!(read(&mut host).await[&0], "1.5");
    stream.say(&tpv(2.5, 3)).await;
    moved(&mut host).await;
    assert_eq!(read(&mut host).await[&0], "2.5");
}

/// A flood is read at its limit, and what comes after it counts.
#[tokio::test]
async fn a_flood_is_dammed() {
    let gpsd = Gpsd::start().await;
    let mut host = host(LocationConfig::Gpsd(gpsd.address()));
    observe(&mut host, Some(1));
    let mut stream = gpsd.watched().await;
    let start = std::time::Instant::now();
    stream.say(&"[]\n".repeat(1200)).await;
    stream.say(&tpv(2.5, 3)).await;
    moved(&mut host).await;
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(read(&mut host).await[&0], "2.5");
}
