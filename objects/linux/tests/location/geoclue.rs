//! GeoClue, of which there is a double on a private bus that says what the test says.
//! Not run where dbus-daemon is missing.

use std::sync::{Arc, Mutex};

use lwm2m_objects::{BusHandle, LocationConfig, ObjectHost};
use lwm2m_test_bus::Bus;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zbus::object_server::{ObjectServer, SignalEmitter};
use zbus::{Connection, OwnedObjectPath, interface};

use crate::{LIMIT, announced, host_on, instances, moved, observe, read};

/// What the agent does to it.
#[derive(Debug, PartialEq)]
enum Call {
    Started { desktop_id: String, accuracy: u32 },
    Deleted,
}

struct Manager {
    calls: mpsc::UnboundedSender<Call>,
    /// Refused this often before a start succeeds.
    refusals: Arc<Mutex<u32>>,
}

#[interface(name = "org.freedesktop.GeoClue2.Manager")]
impl Manager {
    async fn get_client(&self, #[zbus(object_server)] server: &ObjectServer) -> OwnedObjectPath {
        let client = Client {
            calls: self.calls.clone(),
            refusals: self.refusals.clone(),
            desktop_id: String::new(),
            accuracy: 0,
        };
        server.at(PATH, client).await.unwrap();
        path(PATH)
    }

    async fn delete_client(
        &self,
        client: OwnedObjectPath,
        #[zbus(object_server)] server: &ObjectServer,
    ) {
        assert_eq!(client, path(PATH));
        server.remove::<Client, _>(PATH).await.unwrap();
        self.calls.send(Call::Deleted).unwrap();
    }
}

struct Client {
    calls: mpsc::UnboundedSender<Call>,
    refusals: Arc<Mutex<u32>>,
    desktop_id: String,
    accuracy: u32,
}

#[interface(name = "org.freedesktop.GeoClue2.Client")]
impl Client {
    #[zbus(property)]
    fn desktop_id(&self) -> String {
        self.desktop_id.clone()
    }

    #[zbus(property)]
    fn set_desktop_id(&mut self, id: String) {
        self.desktop_id = id;
    }

    #[zbus(property)]
    fn requested_accuracy_level(&self) -> u32 {
        self.accuracy
    }

    #[zbus(property)]
    fn set_requested_accuracy_level(&mut self, level: u32) {
        self.accuracy = level;
    }

    fn start(&self) -> zbus::fdo::Result<()> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(zbus::fdo::Error::AccessDenied("not in geoclue.conf".into()));
        }
        let (desktop_id, accuracy) = (self.desktop_id.clone(), self.accuracy);
        self.calls.send(Call::Started { desktop_id, accuracy }).unwrap();
        Ok(())
    }

    #[zbus(signal)]
    async fn location_updated(
        emitter: &SignalEmitter<'_>,
        old: OwnedObjectPath,
        new: OwnedObjectPath,
    ) -> zbus::Result<()>;
}

/// A location of GeoClue's, with what it does not know below zero.
#[derive(Clone, Copy)]
struct Found {
    latitude: f64,
    altitude: f64,
    accuracy: f64,
    speed: f64,
    seconds: u64,
}

const UNKNOWN: Found =
    Found { latitude: 0.0, altitude: -f64::MAX, accuracy: -1.0, speed: -1.0, seconds: 0 };

#[interface(name = "org.freedesktop.GeoClue2.Location")]
impl Found {
    #[zbus(property)]
    fn latitude(&self) -> f64 {
        self.latitude
    }

    #[zbus(property)]
    fn longitude(&self) -> f64 {
        11.5
    }

    #[zbus(property)]
    fn altitude(&self) -> f64 {
        self.altitude
    }

    #[zbus(property)]
    fn accuracy(&self) -> f64 {
        self.accuracy
    }

    #[zbus(property)]
    fn speed(&self) -> f64 {
        self.speed
    }

    #[zbus(property)]
    fn heading(&self) -> f64 {
        self.speed
    }

    #[zbus(property)]
    fn timestamp(&self) -> (u64, u64) {
        (self.seconds, 0)
    }
}

struct GeoClue {
    service: Connection,
    calls: mpsc::UnboundedReceiver<Call>,
    told: u32,
}

impl GeoClue {
    async fn start(bus: &Bus, refusals: u32) -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let service = connect(bus).await;
        let manager = Manager { calls: sender, refusals: Arc::new(Mutex::new(refusals)) };
        let at = "/org/freedesktop/GeoClue2/Manager";
        service.object_server().at(at, manager).await.unwrap();
        service.request_name("org.freedesktop.GeoClue2").await.unwrap();
        Self { service, calls, told: 0 }
    }

    async fn called(&mut self) -> Call {
        timeout(LIMIT, self.calls.recv()).await.expect("a call in time").unwrap()
    }

    async fn is_started(&mut self) {
        let expected = Call::Started { desktop_id: "lwm2md".into(), accuracy: 8 };
        assert_eq!(self.called().await, expected);
    }

    async fn tell(&mut self, found: Found) {
        self.told += 1;
        let at = format!("{PATH}/Location/{}", self.told);
        self.service.object_server().at(at.as_str(), found).await.unwrap();
        let emitter = SignalEmitter::new(&self.service, PATH).unwrap();
        Client::location_updated(&emitter, path("/"), path(&at)).await.unwrap();
    }
}

async fn connect(bus: &Bus) -> Connection {
    zbus::connection::Builder::address(bus.address()).build().await.unwrap()
}

fn path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path).unwrap()
}

/// A host on a bus of its own with a GeoClue; the supply keeps the connection.
async fn world(refusals: u32) -> Option<(Bus, GeoClue, ObjectHost)> {
    let bus = Bus::start()?;
    let geoclue = GeoClue::start(&bus, refusals).await;
    let (supply, handle) = BusHandle::channel();
    supply.send_replace(Some(connect(&bus).await));
    Some((bus, geoclue, host_on(LocationConfig::GeoClue, handle)))
}

#[tokio::test]
async fn the_first_place_makes_the_instance_and_then_it_rests() {
    let Some((_bus, mut geoclue, mut host)) = world(0).await else { return };
    geoclue.is_started().await;
    geoclue.tell(Found { latitude: 48.5, accuracy: 30.0, seconds: 100, ..UNKNOWN }).await;
    announced(&mut host).await;
    assert_eq!(instances(&host), [0]);
    assert_eq!(geoclue.called().await, Call::Deleted, "nobody looks");
    let expected = [(0, "48.5"), (1, "11.5"), (3, "30"), (5, "100")];
    assert_eq!(read(&mut host).await, expected.map(|(id, text)| (id, text.to_owned())).into());

    observe(&mut host, Some(1));
    geoclue.is_started().await;
    let all = Found { latitude: -1.5, altitude: -3.0, accuracy: 2.0, speed: 4.0, seconds: 200 };
    geoclue.tell(all).await;
    moved(&mut host).await;
    let values = read(&mut host).await;
    let expected = [(0, "-1.5"), (2, "-3"), (3, "2"), (5, "200"), (6, "4")];
    for (id, text) in expected {
        assert_eq!(values[&id], text, "/6/0/{id}");
    }
    assert!(values.contains_key(&4), "velocity");
    observe(&mut host, None);
    assert_eq!(geoclue.called().await, Call::Deleted);
}

#[tokio::test]
async fn what_cannot_be_is_no_place() {
    let Some((_bus, mut geoclue, mut host)) = world(0).await else { return };
    geoclue.is_started().await;
    for found in [
        Found { latitude: 91.0, seconds: 1, ..UNKNOWN },
        Found { latitude: f64::NAN, seconds: 1, ..UNKNOWN },
        Found { latitude: 1.0, seconds: 0, ..UNKNOWN },
        Found { latitude: 1.0, seconds: u64::MAX, ..UNKNOWN },
        Found { latitude: 1.0, seconds: 1, accuracy: f64::INFINITY, ..UNKNOWN },
    ] {
        geoclue.tell(found).await;
    }
    // Nothing of the right type, and nothing at all.
    let emitter = SignalEmitter::new(&geoclue.service, PATH).unwrap();
    let gone = path("/org/freedesktop/GeoClue2/Client/1/Location/99");
    Client::location_updated(&emitter, path("/"), gone).await.unwrap();
    geoclue.tell(Found { latitude: 2.5, seconds: 7, ..UNKNOWN }).await;
    announced(&mut host).await;
    assert_eq!(read(&mut host).await[&0], "2.5");
}

#[tokio::test]
async fn a_refusal_and_a_service_that_leaves_are_tried_again() {
    let Some((bus, mut geoclue, mut host)) = world(1).await else { return };
    observe(&mut host, Some(1));
    geoclue.is_started().await;
    geoclue.service.clone().close().await.unwrap();
    let mut again = GeoClue::start(&bus, 0).await;
    again.is_started().await;
    again.tell(Found { latitude: 3.5, seconds: 9, ..UNKNOWN }).await;
    announced(&mut host).await;
    assert_eq!(read(&mut host).await[&0], "3.5");
}

const PATH: &str = "/org/freedesktop/GeoClue2/Client/1";
