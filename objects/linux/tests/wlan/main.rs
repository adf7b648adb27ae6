//! WLAN connectivity (12) against a double of NetworkManager on a private bus, in a
//! network namespace of its own: the way to the servers is where a test lets it lead. Not
//! run where dbus-daemon or the right to a namespace is missing.

mod writes;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Entry, Now, Path, Value, WriteMode};
use lwm2m_objects::{BusHandle, ObjectHost, ObjectMessage, Reached, Roots, WlanConnectivity};
use lwm2m_test_bus::Bus;
use lwm2m_test_bus::network_manager::{NetworkManager, path, wlan};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;
use tokio::time::timeout;

/// A device with NetworkManager; everything ends with it.
struct World {
    manager: NetworkManager,
    host: ObjectHost,
    reached: Reached,
    root: TempDir,
    _supply: tokio::sync::watch::Sender<Option<zbus::Connection>>,
    _bus: Bus,
}

impl World {
    async fn new() -> Option<Self> {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("not run: a network namespace takes root");
            return None;
        }
        let bus = Bus::start()?;
        let manager = NetworkManager::start(bus.address()).await;
        let client = zbus::connection::Builder::address(bus.address()).build().await.unwrap();
        let (supply, handle) = BusHandle::channel();
        supply.send_replace(Some(client));
        let (root, reached) = (tempfile::tempdir().unwrap(), Reached::default());
        let mut host = ObjectHost::new(Now::default);
        let roots = Roots::below(root.path());
        let object = WlanConnectivity::new(roots, handle, reached.clone(), host.sender());
        host.add(Box::new(object));
        Some(Self { manager, host, reached, root, _supply: supply, _bus: bus })
    }

    /// With `wlan0`.
    async fn with_wlan(is_connected: bool) -> Option<Self> {
        let mut world = Self::new().await?;
        world.manager.plug_in(is_connected).await;
        world.instances(&[0]).await;
        Some(world)
    }

    /// Waits until these are the instances.
    async fn instances(&mut self, expected: &[u16]) {
        loop {
            if let ObjectMessage::Object { definition, instances, .. } = self.next().await {
                assert_eq!(definition.id, 12);
                if instances == expected {
                    return;
                }
            }
        }
    }

    async fn next(&mut self) -> ObjectMessage {
        timeout(PATIENCE, self.host.next()).await.expect("news in time")
    }

    /// Waits for the news that a resource may differ.
    async fn changed(&mut self, path: &str) {
        let changed = ObjectMessage::Changed(path.parse().unwrap());
        while self.next().await != changed {}
    }

    async fn ask(&mut self, path: &str, operation: CallOperation) -> CallResult {
        let call = Call { id: CALL, path: path.parse().unwrap(), operation, server: Some(101) };
        if let Some(result) = self.host.call(&call) {
            return result;
        }
        loop {
            if let ObjectMessage::Reply { result, .. } = self.next().await {
                return result;
            }
        }
    }

    async fn read(&mut self, path: &str) -> BTreeMap<String, String> {
        let Ok(CallReply::Entries(entries)) = self.ask(path, CallOperation::Read).await else {
            return BTreeMap::new();
        };
        let text = |entry: &Entry| entry.value().map_or_else(|| "-".into(), ToString::to_string);
        entries.iter().map(|entry| (entry.path.to_string(), text(entry))).collect()
    }

    async fn write(&mut self, entries: &[(&str, Value)]) -> CallResult {
        let entry = |(path, value): &(&str, Value)| {
            Entry::new(path.parse::<Path>().unwrap(), value.clone())
        };
        let entries = entries.iter().map(entry).collect();
        self.ask("/12/0", CallOperation::Write { mode: WriteMode::Partial, entries }).await
    }

    /// The answer to the last Write is out.
    fn proceed(&mut self) {
        let path = "/12/0".parse().unwrap();
        let operation = CallOperation::Proceed;
        let call = Call { id: CALL, path, operation, server: Some(101) };
        assert_eq!(self.host.call(&call), None);
    }

    /// Waits for a call of NetworkManager.
    async fn called(&self, method: &str) {
        let waiting = async {
            while !self.manager.calls().iter().any(|call| call == method) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{:?}", self.manager.calls()));
    }
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

#[tokio::test]
async fn each_wlan_is_an_instance_with_what_network_manager_tells() {
    let Some(mut world) = World::new().await else { return };
    assert_eq!(world.read("/12").await, BTreeMap::new());
    let statistics = world.root.path().join("sys/class/net/wlan0/statistics");
    std::fs::create_dir_all(&statistics).unwrap();
    std::fs::write(statistics.join("tx_bytes"), "1234\n").unwrap();
    world.manager.plug_in(true).await;
    world.instances(&[0]).await;
    #[rustfmt::skip] // a table: one row a resource
    let expected = [
        ("/12/0/0", "\"wlan0\""), ("/12/0/1", "true"), ("/12/0/15", "1"), ("/12/0/16", "0"),
        ("/12/0/2", "2"), ("/12/0/3", "1"), ("/12/0/33", "1234"), ("/12/0/4", "\"02005E00530A\""),
        ("/12/0/5", "\"home\""), ("/12/0/8", "1"), ("/12/0/9", "36"),
    ];
    let expected = expected.map(|(path, value)| (path.to_owned(), value.to_owned()));
    assert_eq!(world.read("/12").await, BTreeMap::from(expected));

    // Another one; then the first goes, and the second keeps its number.
    let second = format!("{}/Devices/4", NetworkManager::PATH);
    world.manager.double.add(&second, wlan("wlan1", "02:00:5e:00:53:0b", false)).await;
    world.manager.told().await;
    world.instances(&[0, 1]).await;
    assert_eq!(world.read("/12/1/3").await["/12/1/3"], "0");
    world.manager.double.remove(NetworkManager::WLAN0).await;
    world.manager.told().await;
    world.instances(&[1]).await;
    assert_eq!(world.read("/12").await["/12/1/0"], "\"wlan1\"");
    assert_eq!(world.read("/12/0").await, BTreeMap::new());
}

#[tokio::test]
async fn what_changes_is_told_once_and_what_is_gone_is_absent() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    world.manager.set_wireless("ActiveAccessPoint", path("/")).await;
    world.manager.set_device("State", 30_u32).await;
    world.changed("/12/0/5").await;
    let values = world.read("/12/0").await;
    assert_eq!(values["/12/0/3"], "0");
    for gone in ["/12/0/2", "/12/0/5", "/12/0/9", "/12/0/15", "/12/0/16"] {
        assert_eq!(values.get(gone), None, "{gone}");
    }
    // The radio is that of all WLANs.
    let (at, name) = (NetworkManager::PATH, NetworkManager::NAME);
    world.manager.double.set(at, name, "WirelessHardwareEnabled", false).await;
    world.changed("/12/0/1").await;
    assert_eq!(world.read("/12/0/1").await["/12/0/1"], "false");
    assert_eq!(world.read("/12/0/2").await["/12/0/2"], "0");
}

#[tokio::test]
async fn the_death_of_network_manager_takes_its_wlans_away() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let address = world._bus.address().to_owned();
    // The connection of the double ends with it.
    world.manager = NetworkManager::start_as(&address, "org.example.Other").await;
    world.instances(&[]).await;
    assert_eq!(world.read("/12").await, BTreeMap::new());
    world.manager = NetworkManager::start(&address).await;
    world.manager.plug_in(false).await;
    world.instances(&[0]).await;
}

#[tokio::test]
async fn nonsense_of_network_manager_is_no_value() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let (point, home) = (NetworkManager::POINT, NetworkManager::HOME);
    for ssid in [b"\xff\xfe".to_vec(), Vec::new(), vec![b'x'; 33]] {
        world.manager.double.set(home, point, "Ssid", ssid).await;
        world.manager.told().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(world.read("/12/0/5").await, BTreeMap::new());
    }
    world.manager.double.set(home, point, "Frequency", "5180".to_owned()).await;
    world.manager.double.set(home, point, "RsnFlags", -1_i64).await;
    world.manager.set_wireless("HwAddress", "none".to_owned()).await;
    world.manager.set_wireless("Mode", "infra".to_owned()).await;
    world.manager.set_device("State", "up".to_owned()).await;
    world.changed("/12/0/4").await;
    let values = world.read("/12/0").await;
    for gone in ["/12/0/2", "/12/0/4", "/12/0/8", "/12/0/9"] {
        assert_eq!(values.get(gone), None, "{gone}");
    }
    assert_eq!(values["/12/0/3"], "0");
    // A name that is no link's would lead out of the folder of its counters.
    for name in ["../../etc", "a name that is too long", ""] {
        world.manager.set_device("Interface", name.to_owned()).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(world.read("/12").await, BTreeMap::new(), "{name}");
    }
}

#[tokio::test]
async fn counters_are_looked_at_while_somebody_observes_them() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let statistics = world.root.path().join("sys/class/net/wlan0/statistics");
    std::fs::create_dir_all(&statistics).unwrap();
    std::fs::write(statistics.join("rx_packets"), "7\n").unwrap();
    world.host.watch(&"/12/0/36".parse().unwrap(), Some(Duration::from_secs(1)));
    world.changed("/12/0/36").await;
    assert_eq!(world.read("/12/0/36").await["/12/0/36"], "7");
}

#[tokio::test]
async fn keys_are_listed_and_never_read() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let Ok(CallReply::Paths(paths)) = world.ask("/12/0", CallOperation::Discover).await else {
        panic!("no paths");
    };
    for id in [17, 18] {
        let path = Path::resource(12, 0, id);
        assert!(paths.contains(&path), "{paths:?}");
        let read = world.ask(&path.to_string(), CallOperation::Read).await;
        assert_eq!(read.unwrap_err().code, Code::NOT_FOUND);
    }
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

/// Makes another link the way to the servers; says so if there can be none.
fn other_way() -> bool {
    let mut kinds = ["dummy", "ifb"].into_iter();
    let is_made = kinds.any(|kind| ip(&format!("link add wan0 type {kind}")))
        && ip("link set wan0 up")
        && ip("address add 192.0.2.1/24 dev wan0")
        && ip("route add default via 192.0.2.254");
    if !is_made {
        eprintln!("not run: it takes the program ip and a dummy interface");
    }
    is_made
}

const CALL: CallId = CallId(7);
/// No test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);
