//! A modem as ModemManager tells of it, by a double on a private bus.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lwm2m_model::Now;
use lwm2m_objects::{BusHandle, ConnectivityMonitoring, Modems, ObjectHost, Roots};
use lwm2m_test_bus::{Bus, ModemManager};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zbus::{Connection, Variant};

use crate::{PATIENCE, changed, ip, own_network, read};

/// A device in a network of its own, whose only link is `wan0`.
struct Lab {
    bus: Bus,
    host: ObjectHost,
    supply: watch::Sender<Option<Connection>>,
    _root: TempDir,
}

impl Lab {
    /// `None`, and a line that says so, where a program or a right is missing.
    async fn start() -> Option<Self> {
        if !own_network() {
            return None;
        }
        let bus = Bus::start()?;
        assert!(ip("link set wan0 up"));
        assert!(ip("address add 10.64.0.2/30 dev wan0"));
        assert!(ip("route add default via 10.64.0.1"));
        let root = tempfile::tempdir().unwrap();
        let mut host = ObjectHost::new(Now::default);
        let (supply, handle) = BusHandle::channel();
        let modems = Modems::new(handle);
        let roots = Roots::below(root.path());
        host.add(Box::new(ConnectivityMonitoring::new(roots, &modems, host.sender())));
        // An hour, so that no sample stands in for the news.
        host.watch(&"/4/0".parse().unwrap(), Some(Duration::from_secs(3600)));
        let mut lab = Self { bus, host, supply, _root: root };
        // The first look names all that is there.
        lab.changed(&["/4/0/0", "/4/0/1", "/4/0/2", "/4/0/4", "/4/0/5"]).await;
        lab.connect().await;
        Some(lab)
    }

    async fn connect(&self) {
        let connection = zbus::connection::Builder::address(self.bus.address()).build().await;
        self.supply.send_replace(Some(connection.unwrap()));
    }

    async fn changed(&mut self, paths: &[&str]) {
        changed(&mut self.host, paths).await;
    }

    /// What stands in the resources of the cell and the bearer.
    fn cellular(&mut self) -> Vec<(u16, String)> {
        let read: BTreeMap<String, String> = read(&mut self.host, "/4/0");
        let parts = |path: &str| path.split('/').nth(3).and_then(|id| id.parse::<u16>().ok());
        let values = read.into_iter().filter_map(|(path, value)| Some((parts(&path)?, value)));
        let mut values: Vec<_> = values.filter(|(id, _)| ![1, 4, 5].contains(id)).collect();
        values.sort();
        values
    }
}

fn rows(rows: &[(u16, &str)]) -> Vec<(u16, String)> {
    rows.iter().map(|(id, value)| (*id, (*value).to_owned())).collect()
}

const MODEM: &str = ModemManager::MODEM;

fn interface(below: &str) -> String {
    format!("{}.{below}", ModemManager::INTERFACE)
}

/// A table of decibels as ModemManager has one for each technology.
fn signal(table: &[(&str, Variant<'static>)]) -> Variant<'static> {
    let owned = |(name, value): &(&str, Variant<'static>)| ((*name).to_owned(), value.clone());
    table.iter().map(owned).collect::<HashMap<String, Variant<'static>>>().into()
}

/// OBJ-71: values of the cell are there with the modem, and go with it.
#[tokio::test]
async fn a_modem_is_followed_when_it_is_plugged_in_and_pulled_out() {
    let Some(mut lab) = Lab::start().await else { return };
    let wire = rows(&[(0, "41"), (2, "0")]);
    assert_eq!(lab.cellular(), wire);
    let service = ModemManager::start(lab.bus.address()).await;
    service.plug_in("wan0").await;
    let all = ["/4/0/0", "/4/0/2", "/4/0/3", "/4/0/7", "/4/0/8", "/4/0/9", "/4/0/10", "/4/0/11"];
    lab.changed(&all).await;
    let lte = [
        (0, "6"),
        (2, "-98"),
        (3, "-11"),
        (7, "\"internet\""),
        (8, "28492756"),
        (9, "1"),
        (10, "262"),
        (11, "10"),
    ];
    assert_eq!(lab.cellular(), rows(&lte));

    service.pull_out().await;
    lab.changed(&all).await;
    assert_eq!(lab.cellular(), wire);

    // The bus is lost, and another one comes with the modem.
    service.plug_in("wan0").await;
    lab.changed(&["/4/0/8"]).await;
    lab.supply.send_replace(None);
    lab.changed(&all).await;
    assert_eq!(lab.cellular(), wire);
    lab.connect().await;
    lab.changed(&all).await;
    // The service ends.
    drop(service);
    lab.changed(&all).await;
    assert_eq!(lab.cellular(), wire);
}

/// Objects 6: RSRP, RSCP or RSSI, by the technology.
#[tokio::test]
async fn the_strength_is_that_of_the_technology() {
    let Some(mut lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    service.plug_in("wan0").await;
    lab.changed(&["/4/0/0"]).await;
    let none = signal(&[]);
    service.set(MODEM, &interface("Signal"), "Lte", none.clone()).await;
    lab.changed(&["/4/0/2", "/4/0/3", "/4/0/11"]).await;
    let dbm = |value: f64| Variant::from(value);
    for (technology, table, access, expected) in [
        ("Gsm", signal(&[("rssi", dbm(-71.5))]), 1 << 3, &[(0, "0"), (2, "-72")][..]),
        (
            "Umts",
            signal(&[("rscp", dbm(-90.0)), ("ecio", dbm(-5.0)), ("rssi", dbm(-60.0))]),
            1 << 5,
            &[(0, "2"), (2, "-90")],
        ),
        (
            "Nr5g",
            signal(&[("rsrp", dbm(-85.0)), ("rsrq", dbm(-12.0)), ("snr", dbm(20.0))]),
            1 << 15,
            &[(0, "9"), (2, "-85"), (3, "-12"), (11, "20")],
        ),
    ] {
        service.set(MODEM, &interface("Signal"), technology, table).await;
        service.set(MODEM, ModemManager::INTERFACE, "AccessTechnologies", access as u32).await;
        lab.changed(&["/4/0/0", "/4/0/2"]).await;
        let mut found = lab.cellular();
        found.retain(|(id, _)| [0, 2, 3, 11].contains(id));
        assert_eq!(found, rows(expected), "{technology}");
        service.set(MODEM, &interface("Signal"), technology, none.clone()).await;
        lab.changed(&["/4/0/2"]).await;
    }
}

#[tokio::test]
async fn nonsense_of_a_modem_is_absent() {
    let Some(mut lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    service.plug_in("wan0").await;
    lab.changed(&["/4/0/0", "/4/0/8"]).await;
    let none = HashMap::<String, Variant<'static>>::new;
    // The wrong types, empty texts, fillers, and numbers that no network has.
    service.set(MODEM, &interface("Modem3gpp"), "OperatorCode", "").await;
    lab.changed(&["/4/0/9", "/4/0/10"]).await;
    service.set(MODEM, &interface("Signal"), "Lte", "strong").await;
    lab.changed(&["/4/0/2", "/4/0/3", "/4/0/11"]).await;
    service.set_location(HashMap::from([(1, Variant::from(7_u32))])).await;
    lab.changed(&["/4/0/8"]).await;
    service.set(ModemManager::BEARER, ModemManager::BEARER_INTERFACE, "Properties", none()).await;
    lab.changed(&["/4/0/7"]).await;
    service.set(MODEM, ModemManager::INTERFACE, "AccessTechnologies", "lte").await;
    lab.changed(&["/4/0/0"]).await;
    assert_eq!(lab.cellular(), rows(&[]));

    let filler = signal(&[("rsrp", Variant::from(-32768.0)), ("rsrq", Variant::from("x"))]);
    service.set(MODEM, &interface("Signal"), "Lte", filler).await;
    service.set(MODEM, &interface("Modem3gpp"), "OperatorCode", 26201_u32).await;
    service.set_location(HashMap::from([(1, Variant::from("262,01,,,"))])).await;
    // Something that is seen, after all that must not be.
    service.set(MODEM, ModemManager::INTERFACE, "AccessTechnologies", 1_u32 << 14).await;
    lab.changed(&["/4/0/0"]).await;
    assert_eq!(lab.cellular(), rows(&[(0, "6")]));

    // A bearer that is there by name alone, and one that is no path.
    service.remove(ModemManager::BEARER).await;
    service.set(MODEM, ModemManager::INTERFACE, "Bearers", 7_u32).await;
    lab.changed(&["/4/0/0"]).await;
    assert_eq!(lab.cellular(), rows(&[(0, "41"), (2, "0")]));
}

/// Without the right to ask for the cell all else stays.
#[tokio::test]
async fn a_cell_that_is_denied_is_absent() {
    let Some(mut lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    let denied = "org.freedesktop.ModemManager1.Error.Core.Unauthorized";
    service.refuse("GetLocation", Some(denied));
    service.plug_in("wan0").await;
    lab.changed(&["/4/0/0", "/4/0/2"]).await;
    let found: Vec<u16> = lab.cellular().into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, [0, 2, 3, 7, 9, 10, 11]);
}

/// ModemManager measures the signal only if it is told to.
#[tokio::test]
async fn the_signal_is_measured_while_it_is_observed() {
    let Some(mut lab) = Lab::start().await else { return };
    let service = ModemManager::start(lab.bus.address()).await;
    let told = || -> Vec<String> {
        let calls = service.calls().into_iter().filter(|call| call.contains(" Setup"));
        calls.map(|call| call.replace(MODEM, "")).collect()
    };
    let wait = async |count: usize| {
        let look = async {
            while told().len() < count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, look).await.expect("it is told so");
    };
    // Somebody else has it measured.
    service.plug_in("wan0").await;
    lab.changed(&["/4/0/0", "/4/0/2"]).await;
    assert!(told().is_empty());
    // Nobody does. What may not be is not asked again and again.
    service.refuse("Setup", Some("org.freedesktop.ModemManager1.Error.Core.Unauthorized"));
    service.set(MODEM, &interface("Signal"), "Rate", 0_u32).await;
    wait(1).await;
    service.set(MODEM, &interface("Signal"), "Lte", signal(&[])).await;
    lab.changed(&["/4/0/2"]).await;
    assert_eq!(told(), [" Setup 3600"]);
    service.refuse("Setup", None);
    let observe = |lab: &mut Lab, path: &str, seconds: Option<u64>| {
        lab.host.watch(&path.parse().unwrap(), seconds.map(Duration::from_secs));
    };
    observe(&mut lab, "/4/0/2", Some(10));
    wait(2).await;
    observe(&mut lab, "/4/0/2", None);
    wait(3).await;
    observe(&mut lab, "/4/0", None);
    wait(4).await;
    assert_eq!(told()[1..], [" Setup 10", " Setup 3600", " Setup 0"]);
}
