//! Cellular Connectivity (10) and APN Connection Profiles (11), by a double of
//! ModemManager on a private bus.

use std::collections::{BTreeMap, HashMap};
use std::path::Path as FilePath;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Entry, Now, Value, WriteMode};
use lwm2m_objects::{
    ApnProfiles, BusHandle, CellularConnectivity, Modems, ObjectHost, ObjectMessage, Reached,
};
use lwm2m_test_bus::{Bus, ModemManager};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zbus::{Connection, Variant};

use crate::{PATIENCE, changed, ip, own_network};

/// A device with a bus and ModemManager, into which the test plugs the modem.
pub(crate) struct Lab {
    pub(crate) service: ModemManager,
    pub(crate) host: ObjectHost,
    pub(crate) reached: Reached,
    supply: watch::Sender<Option<Connection>>,
    state: TempDir,
    pub(crate) bus: Bus,
}

impl Lab {
    /// `None`, and a line that says so, without dbus-daemon.
    pub(crate) async fn start() -> Option<Self> {
        let bus = Bus::start()?;
        let service = ModemManager::start(bus.address()).await;
        let state = tempfile::tempdir().unwrap();
        let connection = zbus::connection::Builder::address(bus.address()).build().await.unwrap();
        let reached = Reached::default();
        let (supply, host) = agent(state.path(), connection, &reached);
        Some(Self { service, host, reached, supply, state, bus })
    }

    async fn plug_in(&mut self) {
        self.service.plug_in("wan0").await;
        self.instances([(10, &[0]), (11, &[0])]).await;
    }

    /// Ends the agent and starts it again.
    pub(crate) async fn restart(&mut self) {
        let connection = zbus::connection::Builder::address(self.bus.address()).build().await;
        (self.supply, self.host) = agent(self.state.path(), connection.unwrap(), &self.reached);
    }

    /// Waits until both objects have told these instances.
    async fn instances(&mut self, expected: [(u16, &[u16]); 2]) {
        let mut open = BTreeMap::from(expected);
        while !open.is_empty() {
            let message = timeout(PATIENCE, self.host.next()).await;
            if let ObjectMessage::Object { definition, instances, .. } = message.expect("in time") {
                open.retain(|id, expected| (*id, *expected) != (definition.id, &instances[..]));
            }
        }
    }

    pub(crate) async fn call(&mut self, path: &str, operation: CallOperation) -> CallResult {
        let path = path.parse().unwrap();
        let call = Call { id: CallId(1), path, operation, server: Some(101) };
        if let Some(result) = self.host.call(&call) {
            return result;
        }
        loop {
            let message = timeout(PATIENCE, self.host.next()).await.expect("an answer in time");
            if let ObjectMessage::Reply { result, .. } = message {
                return result;
            }
        }
    }

    pub(crate) async fn read(&mut self, path: &str) -> Vec<(String, String)> {
        match self.call(path, CallOperation::Read).await {
            Ok(CallReply::Entries(entries)) => {
                let text =
                    |entry: &Entry| entry.value().map_or_else(|| "-".into(), ToString::to_string);
                entries.iter().map(|entry| (entry.path.to_string(), text(entry))).collect()
            }
            other => panic!("{path}: {other:?}"),
        }
    }

    pub(crate) async fn write(&mut self, path: &str, value: Value) -> CallResult {
        let entries = vec![Entry::new(path.parse().unwrap(), value)];
        self.call(path, CallOperation::Write { mode: WriteMode::Partial, entries }).await
    }

    /// Why a Write is refused with 4.05.
    pub(crate) async fn refusal(&mut self, path: &str, value: Value) -> String {
        let refused = self.write(path, value).await.expect_err(path);
        assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED, "{path}: {}", refused.reason);
        refused.reason.into_owned()
    }

    /// What ModemManager was told, other than questions for the cell.
    fn calls(&self) -> Vec<String> {
        let shown = |call: &String| call.replace("/org/freedesktop/ModemManager1/", "");
        let calls = self.service.calls();
        calls.iter().map(shown).filter(|call| !call.contains("GetLocation")).collect()
    }
}

fn agent(
    state: &FilePath,
    connection: Connection,
    reached: &Reached,
) -> (watch::Sender<Option<Connection>>, ObjectHost) {
    let mut host = ObjectHost::new(Now::default);
    let (supply, bus) = BusHandle::channel();
    let modems = Modems::new(bus.clone());
    let out = host.sender();
    host.add(Box::new(CellularConnectivity::new(state, bus.clone(), &modems, out)));
    host.add(Box::new(ApnProfiles::new(bus, &modems, reached.clone(), host.sender())));
    supply.send_replace(Some(connection));
    (supply, host)
}

/// The instances of object 11.
pub(crate) fn profiles(host: &ObjectHost) -> Vec<u16> {
    host.objects().last().map(|(_, instances, _)| instances).unwrap_or_default()
}

pub(crate) fn rows(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
}

const DENIED: &str = "org.freedesktop.ModemManager1.Error.Core.Unauthorized";
const CONTROL: &str = "org.freedesktop.ModemManager1.Device.Control";

/// CORE-127: without an instance there is nothing to read, and that is no error.
#[tokio::test]
async fn profiles_are_the_bearers_of_the_modems() {
    let Some(mut lab) = Lab::start().await else { return };
    assert_eq!(lab.host.objects().count(), 0);
    for path in ["/10", "/11"] {
        assert_eq!(lab.read(path).await, rows(&[]));
    }
    lab.plug_in().await;
    let expected = [
        ("/11/0/0", "\"internet\""),
        ("/11/0/1", "\"internet\""),
        ("/11/0/3", "true"),
        ("/11/0/4", "2"),
        ("/11/0/5", "\"seed\""),
        ("/11/0/9/0", "1768478400"),
        ("/11/0/10/0", "0"),
        ("/11/0/13", "1000"),
        ("/11/0/14", "2000"),
        ("/11/0/15/0", "\"10.64.0.2\""),
        ("/11/0/17/0", "\"255.255.255.252\""),
        ("/11/0/18/0", "\"10.64.0.1\""),
        ("/11/0/19/0", "\"192.0.2.53\""),
        ("/11/0/24", "3"),
    ];
    assert_eq!(lab.read("/11").await, rows(&expected));
    assert_eq!(lab.read("/10").await, rows(&[("/10/0/1", "0"), ("/10/0/11/0", "11:0")]));

    // Told while they are observed.
    lab.host.watch(&"/11/0/3".parse().unwrap(), Some(Duration::from_secs(60)));
    lab.host.watch(&"/10/0".parse().unwrap(), Some(Duration::from_secs(60)));
    let (bearer, interface) = (ModemManager::BEARER, ModemManager::BEARER_INTERFACE);
    lab.service
        .set(bearer, interface, "ConnectionError", ("x.Error".to_owned(), String::new()))
        .await;
    lab.service.set(bearer, interface, "Connected", false).await;
    changed(&mut lab.host, &["/10/0/11", "/11/0/3", "/11/0/10"]).await;
    assert_eq!(lab.read("/10/0/11").await, rows(&[("/10/0/11", "-")]));
    assert_eq!(lab.read("/11/0/10").await, rows(&[("/11/0/10/0", "1")]));

    // A second bearer keeps its number when the first goes.
    let (second, modem) = ("/org/freedesktop/ModemManager1/Bearer/7", ModemManager::MODEM);
    let nothing = HashMap::from([(interface.to_owned(), HashMap::new())]);
    lab.service.add(second, nothing).await;
    let paths = |paths: &[&'static str]| -> Variant<'static> {
        paths
            .iter()
            .map(|path| zbus::ObjectPath::try_from(*path).unwrap())
            .collect::<Vec<_>>()
            .into()
    };
    lab.service.set(modem, ModemManager::INTERFACE, "Bearers", paths(&[bearer, second])).await;
    while profiles(&lab.host) != [0, 1] {
        timeout(PATIENCE, lab.host.next()).await.expect("in time");
    }
    lab.service.set(modem, ModemManager::INTERFACE, "Bearers", paths(&[second])).await;
    while profiles(&lab.host) != [1] {
        timeout(PATIENCE, lab.host.next()).await.expect("in time");
    }
    // Nothing is known of it but that it is there; the mandatory ones say so much.
    let bare =
        [("/11/1/0", "\"default\""), ("/11/1/1", "\"\""), ("/11/1/3", "false"), ("/11/1/4", "3")];
    assert_eq!(lab.read("/11").await, rows(&bare));

    lab.service.pull_out().await;
    lab.instances([(10, &[]), (11, &[])]).await;
    assert_eq!(lab.read("/11").await, rows(&[]));
    let gone = lab.call("/11/1", CallOperation::Read).await.unwrap_err();
    assert_eq!(gone.code, Code::NOT_FOUND);
}

#[tokio::test]
async fn nonsense_of_a_bearer_is_absent() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plug_in().await;
    lab.host.watch(&"/11".parse().unwrap(), Some(Duration::from_secs(60)));
    let nonsense: [(&str, Variant<'static>); 5] = [
        ("Properties", 7_u32.into()),
        ("Ip4Config", HashMap::from([("address".to_owned(), Variant::from("10.64.0"))]).into()),
        ("Stats", HashMap::from([("tx-bytes".to_owned(), Variant::from(-1_i64))]).into()),
        ("ConnectionError", "none".into()),
        ("Connected", "yes".into()),
    ];
    for (name, value) in nonsense {
        lab.service.set(ModemManager::BEARER, ModemManager::BEARER_INTERFACE, name, value).await;
    }
    changed(&mut lab.host, &["/11/0/1", "/11/0/3", "/11/0/13", "/11/0/15"]).await;
    let left =
        [("/11/0/0", "\"default\""), ("/11/0/1", "\"\""), ("/11/0/3", "false"), ("/11/0/4", "3")];
    assert_eq!(lab.read("/11").await, rows(&left));
}

#[tokio::test]
async fn a_profile_is_connected_and_disconnected_and_nothing_else() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plug_in().await;
    lab.host.watch(&"/11".parse().unwrap(), Some(Duration::from_secs(60)));
    lab.write("/11/0/3", Value::Boolean(false)).await.unwrap();
    changed(&mut lab.host, &["/11/0/3"]).await;
    lab.write("/11/0/3", Value::Boolean(true)).await.unwrap();
    changed(&mut lab.host, &["/11/0/3"]).await;
    // What is so already changes nothing.
    lab.write("/11/0/3", Value::Boolean(true)).await.unwrap();
    lab.write("/11/0/1", Value::String("internet".into())).await.unwrap();
    assert_eq!(lab.calls(), ["Bearer/0 Disconnect", "Bearer/0 Connect"]);

    let reason = lab.refusal("/11/0/1", Value::String("other".into())).await;
    assert!(reason.contains("/11/0/1") && reason.contains("ModemManager"), "{reason}");
    lab.refusal("/11/0/6", Value::String("secret".into())).await;
    assert_eq!(
        lab.call("/11/0", CallOperation::Delete).await.unwrap_err().code,
        Code::METHOD_NOT_ALLOWED
    );
    let absent = lab.write("/11/5/3", Value::Boolean(false)).await.unwrap_err();
    assert_eq!(absent.code, Code::NOT_FOUND);
    // All or none.
    let entries = [("/11/0/3", Value::Boolean(false)), ("/11/0/5", Value::String("x".into()))];
    let entries = entries.map(|(path, value)| Entry::new(path.parse().unwrap(), value)).into();
    let both = CallOperation::Write { mode: WriteMode::Partial, entries };
    assert_eq!(lab.call("/11/0", both).await.unwrap_err().code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(lab.calls().len(), 2);

    lab.service.refuse("Disconnect", Some(DENIED));
    let reason = lab.refusal("/11/0/3", Value::Boolean(false)).await;
    assert!(reason.contains(CONTROL), "{reason}");
    lab.supply.send_replace(None);
}

/// Nobody could reach the device to connect it again.
#[tokio::test]
async fn the_profile_that_carries_the_session_stays_connected() {
    if !own_network() {
        return;
    }
    let Some(mut lab) = Lab::start().await else { return };
    for command in
        ["link set wan0 up", "address add 10.64.0.2/30 dev wan0", "route add default via 10.64.0.1"]
    {
        assert!(ip(command), "ip {command}");
    }
    lab.plug_in().await;
    let reason = lab.refusal("/11/0/3", Value::Boolean(false)).await;
    assert!(reason.contains("carries the session"), "{reason}");
    assert!(ip("route del default"));
    lab.write("/11/0/3", Value::Boolean(false)).await.unwrap();
}

#[tokio::test]
async fn the_radio_rests_for_a_time_also_over_a_restart_of_the_agent() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plug_in().await;
    let record = lab.state.path().join("radio-rest");
    // Without a rest there is none to end.
    lab.write("/10/0/1", Value::Integer(0)).await.unwrap();
    assert!(lab.calls().is_empty() && !record.exists());
    lab.service.refuse("Enable", Some(DENIED));
    let reason = lab.refusal("/10/0/1", Value::Integer(5)).await;
    assert!(reason.contains(CONTROL) && !record.exists(), "{reason}");
    lab.refusal("/10/0/4", Value::Integer(5)).await;
    lab.service.refuse("Enable", None);

    lab.write("/10/0/1", Value::Integer(5)).await.unwrap();
    assert!(record.exists());
    assert_eq!(lab.read("/10/0/1").await, rows(&[("/10/0/1", "5")]));
    called(&lab, "Modem/0 Enable false").await;
    lab.restart().await;
    lab.instances([(10, &[0]), (11, &[0])]).await;
    assert_eq!(lab.read("/10/0").await, rows(&[("/10/0/1", "5"), ("/10/0/11", "-")]));

    // The server ends it early.
    lab.write("/10/0/1", Value::Integer(0)).await.unwrap();
    called(&lab, "Bearer/0 Connect").await;
    assert!(lab.calls().contains(&"Modem/0 Enable true".to_owned()));
    over(&lab).await;
    assert!(!record.exists());

    // The time was over while the agent was not there.
    std::fs::write(&record, r#"{"minutes":5,"until":1768478400,"bearers":[],"off":[]}"#).unwrap();
    lab.restart().await;
    over(&lab).await;
    // A record that is damaged ends the rest, lest the radio stays off.
    std::fs::write(&record, "{").unwrap();
    lab.restart().await;
    over(&lab).await;
    assert!(!record.exists());
    assert_eq!(lab.read("/10/0/1").await, rows(&[("/10/0/1", "0")]));
}

/// Waits until ModemManager was told so last.
async fn called(lab: &Lab, wanted: &str) {
    let look = async {
        while lab.calls().last().is_none_or(|call| call != wanted) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{wanted}: {:?}", lab.calls()));
}

/// Waits until a rest is over.
async fn over(lab: &Lab) {
    let record = lab.state.path().join("radio-rest");
    let look = async {
        while record.exists() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("the rest ends");
}
