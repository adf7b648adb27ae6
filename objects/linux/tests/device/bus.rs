//! The Device object on a private bus with python-dbusmock in the place of logind,
//! timedated and systemd. Not run where dbus-daemon or python3-dbusmock is missing.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::process::{Child, Stdio};
use std::time::Duration;

use futures_core::Stream;
use lwm2m_engine::{CallOperation, CallReply};
use lwm2m_model::{Code, Value};
use lwm2m_objects::{BusHandle, DeviceConfig, ObjectHost};
use tokio::sync::watch;
use tokio::time::timeout;
use zbus::match_rule::MatchRule;
use zbus::{Connection, MessageStream, ObjectPath, OwnedVariant, Variant};

use crate::support::{SUMMER, Tree, WINTER, call, changed, execute, host, read, write};

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bus of its own, and the test's connection to it.
struct Bus {
    daemon: lwm2m_test_bus::Bus,
    connection: Connection,
}

impl Bus {
    /// `None`, and a line that says so, where the programs are missing.
    async fn start() -> Option<Self> {
        let daemon = lwm2m_test_bus::Bus::start_for_mocks()?;
        let connection = connect(daemon.address()).await;
        Some(Self { daemon, connection })
    }

    /// Starts a mock and waits until it owns its name.
    async fn mock(&self, name: &str, arguments: &[&str]) -> Program {
        let rule = MatchRule::builder()
            .sender("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, name)
            .build()
            .unwrap();
        let mut owners = MessageStream::for_match_rule(rule, &self.connection, None).await.unwrap();
        let child = self.daemon.mock().args(arguments).stdout(Stdio::null()).spawn().unwrap();
        let owned = poll_fn(|context| Pin::new(&mut owners).poll_next(context));
        timeout(PATIENCE, owned).await.expect("the mock takes its name");
        Program(child)
    }

    async fn logind(&self, can_reboot: &str) -> Program {
        let parameters = format!("{{\"CanReboot\": \"{can_reboot}\"}}");
        self.mock(LOGIND, &["--template", "logind", "--parameters", &parameters]).await
    }

    async fn timedated(&self, ntp: &str) -> Program {
        let parameters = format!("{{\"Timezone\": \"Etc/UTC\", \"NTP\": {ntp}}}");
        self.mock(TIMEDATED, &["--template", "timedated", "--parameters", &parameters]).await
    }

    async fn systemd(&self, failed: u32) -> Program {
        let path = "/org/freedesktop/systemd1";
        let interface = "org.freedesktop.systemd1.Manager";
        let program = self.mock(SYSTEMD, &["--system", SYSTEMD, path, interface]).await;
        self.add_method(SYSTEMD, interface, "Subscribe", ("", "", "")).await;
        let value = OwnedVariant::from(failed);
        let arguments = (interface, "NFailedUnits", value);
        self.ask_mock(SYSTEMD, "AddProperty", &arguments).await;
        program
    }

    /// Gives a mock a method: types in, types out, Python code.
    async fn add_method(
        &self,
        name: &str,
        interface: &str,
        method: &str,
        code: (&str, &str, &str),
    ) {
        let arguments = (interface, method, code.0, code.1, code.2);
        self.ask_mock(name, "AddMethod", &arguments).await;
    }

    async fn ask_mock<B>(&self, name: &str, method: &str, body: &B) -> zbus::Message
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let path = format!("/{}", name.replace('.', "/"));
        let mock = Some("org.freedesktop.DBus.Mock");
        let reply =
            self.connection.call_method(Some(name), path.as_str(), mock, method, body).await;
        reply.unwrap()
    }

    /// The calls that the mock has got, other than questions for properties.
    async fn calls(&self, name: &str) -> Vec<String> {
        let reply = self.ask_mock(name, "GetCalls", &()).await;
        let calls: Vec<(u64, String, Vec<OwnedVariant>)> = reply.body().deserialize().unwrap();
        calls.into_iter().map(|(_, method, _)| method).filter(|m| !m.starts_with("Get")).collect()
    }

    /// Waits until the mock has got a call.
    async fn wait_for_call(&self, name: &str, method: &str) {
        let rule = MatchRule::builder()
            .interface("org.freedesktop.DBus.Mock")
            .member("MethodCalled")
            .arg(0, method)
            .build()
            .unwrap();
        let mut calls = MessageStream::for_match_rule(rule, &self.connection, None).await.unwrap();
        if self.calls(name).await.iter().all(|called| called != method) {
            let called = poll_fn(|context| Pin::new(&mut calls).poll_next(context));
            timeout(PATIENCE, called).await.expect("the mock is called");
        }
    }

    /// Waits until nobody owns a name any more.
    async fn gone(&self, name: &str) {
        let rule = MatchRule::builder()
            .sender("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, name)
            .build()
            .unwrap();
        let mut owners = MessageStream::for_match_rule(rule, &self.connection, None).await.unwrap();
        let dbus = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        let reply = self
            .connection
            .call_method(Some(dbus), path, Some(dbus), "NameHasOwner", &name)
            .await
            .unwrap();
        if reply.body().deserialize::<bool>().unwrap() {
            let gone = poll_fn(|context| Pin::new(&mut owners).poll_next(context));
            timeout(PATIENCE, gone).await.expect("the mock goes");
        }
    }

    /// A device whose daemon has just connected.
    async fn device(
        &self,
        tree: &Tree,
        unix: i64,
    ) -> (watch::Sender<Option<Connection>>, ObjectHost) {
        let (daemon, handle) = BusHandle::channel();
        daemon.send_replace(Some(connect(self.daemon.address()).await));
        (daemon, host(tree, DeviceConfig::new("U"), handle, Some(unix)))
    }
}

async fn connect(address: &str) -> Connection {
    zbus::connection::Builder::address(address).build().await.unwrap()
}

/// [`changed`] that gives up.
async fn soon_changed(host: &mut ObjectHost, path: &str) {
    timeout(PATIENCE, changed(host, path)).await.unwrap_or_else(|_| panic!("{path} changes"));
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

async fn zone(host: &mut ObjectHost) -> String {
    read(host, "/3/0/15").await["/3/0/15"].clone()
}

/// A UPS on USB, which the kernel does not show.
#[tokio::test]
async fn a_ups_of_upower_is_a_source_of_power_and_its_state_an_error() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    tree.supply("AC", &[("type", "Mains"), ("online", "1")]);
    let upower = bus.mock(UPOWER, &["--template", "upower"]).await;
    // A battery is the kernel's to tell of.
    bus.ask_mock(UPOWER, "AddDischargingBattery", &("battery_BAT0", "b", 9.0, 60i64)).await;
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    let sources = |values: BTreeMap<String, String>| values.into_values().collect::<Vec<_>>();
    assert_eq!(sources(read(&mut host, "/3/0/6").await), ["6"]);

    let path = ObjectPath::try_from("/org/freedesktop/UPower/devices/ups_hiddev0").unwrap();
    let properties: HashMap<&str, Variant<'_>> = HashMap::from([
        ("Type", 3u32.into()),
        ("PowerSupply", true.into()),
        ("IsPresent", true.into()),
        ("NativePath", "/sys/devices/usb1/usbmisc/hiddev0".into()),
        ("Voltage", 13.5.into()),
        ("State", 4u32.into()),
        ("WarningLevel", 1u32.into()),
    ]);
    let methods: Vec<(&str, &str, &str, &str)> = Vec::new();
    bus.ask_mock(UPOWER, "AddObject", &(path.as_str(), UPS, properties, methods)).await;
    let arguments = [Variant::from(path.clone())];
    bus.ask_mock(UPOWER, "EmitSignal", &(UPOWER, "DeviceAdded", "o", &arguments[..])).await;
    soon_changed(&mut host, "/3/0/6").await;
    soon_changed(&mut host, "/3/0/11").await;
    assert_eq!(sources(read(&mut host, "/3/0/6").await), ["6", "2"]);
    assert_eq!(sources(read(&mut host, "/3/0/7").await), ["13500"]);
    assert_eq!(sources(read(&mut host, "/3/0/11").await), ["0"]);

    // The mains fail, then the charge is low.
    for (name, value, errors) in
        [("State", 2u32, &["2"][..]), ("WarningLevel", 3, &["2", "1"]), ("State", 1, &["0"])]
    {
        let properties = HashMap::from([(name, Variant::from(value))]);
        bus.ask_mock(UPOWER, "SetDeviceProperties", &(path.clone(), properties)).await;
        soon_changed(&mut host, "/3/0/11").await;
        assert_eq!(sources(read(&mut host, "/3/0/11").await), errors, "{name} {value}");
    }
    // Where the kernel shows it too it is there once.
    tree.supply("hiddev0", &[("type", "UPS"), ("present", "1")]);
    assert_eq!(sources(read(&mut host, "/3/0/6").await), ["6", "2"]);
    std::fs::remove_dir_all(tree.path("sys/class/power_supply/hiddev0")).unwrap();
    bus.ask_mock(UPOWER, "RemoveDevice", &path).await;
    soon_changed(&mut host, "/3/0/6").await;
    assert_eq!(sources(read(&mut host, "/3/0/6").await), ["6"]);
    drop(upower);
}

/// Each question takes a call for each device.
#[tokio::test]
async fn a_storm_of_signals_of_upower_asks_it_only_now_and_then() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    let _upower = bus.mock(UPOWER, &["--template", "upower"]).await;
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    bus.wait_for_call(UPOWER, "EnumerateDevices").await;
    let path = ObjectPath::try_from("/org/freedesktop/UPower/devices/ups_hiddev0").unwrap();
    let arguments = [Variant::from(path.clone())];
    for _ in 0..200 {
        bus.ask_mock(UPOWER, "EmitSignal", &(UPOWER, "DeviceAdded", "o", &arguments[..])).await;
    }
    let properties: HashMap<&str, Variant<'_>> =
        HashMap::from([("Type", 3u32.into()), ("PowerSupply", true.into())]);
    let methods: Vec<(&str, &str, &str, &str)> = Vec::new();
    bus.ask_mock(UPOWER, "AddObject", &(path.as_str(), UPS, properties, methods)).await;
    bus.ask_mock(UPOWER, "EmitSignal", &(UPOWER, "DeviceAdded", "o", &arguments[..])).await;
    soon_changed(&mut host, "/3/0/6").await;
    let calls = bus.calls(UPOWER).await;
    let questions = calls.iter().filter(|call| *call == "EnumerateDevices").count();
    assert!(questions < 100, "{questions}");
}

/// OBJ-64.
#[tokio::test]
async fn an_allowed_reboot_happens_after_the_answer_and_not_before() {
    let Some(bus) = Bus::start().await else { return };
    let _logind = bus.logind("yes").await;
    let tree = Tree::new();
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    assert_eq!(execute(&mut host, "/3/0/4").await, Ok(CallReply::AfterAnswer));
    assert_eq!(bus.calls(LOGIND).await, ["CanReboot"]);
    let proceed = lwm2m_engine::Call {
        id: lwm2m_engine::CallId(0),
        path: "/3/0/4".parse().unwrap(),
        operation: CallOperation::Proceed,
        server: Some(101),
    };
    assert_eq!(host.call(&proceed), None);
    bus.wait_for_call(LOGIND, "Reboot").await;
}

#[tokio::test]
async fn a_reboot_that_is_not_allowed_is_refused_and_names_what_is_missing() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    let error = execute(&mut host, "/3/0/4").await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    assert!(error.reason.contains("login1 is not on the bus"), "{error}");
    for (answer, reason) in [
        ("challenge", "org.freedesktop.login1.reboot"),
        ("no", "org.freedesktop.login1.reboot"),
        ("na", "cannot reboot"),
        ("perhaps", "org.freedesktop.login1.reboot"),
    ] {
        let logind = bus.logind(answer).await;
        let error = execute(&mut host, "/3/0/4").await.unwrap_err();
        assert_eq!(error.code, Code::METHOD_NOT_ALLOWED, "{answer}");
        assert!(error.reason.contains(reason), "{error}");
        assert_eq!(bus.calls(LOGIND).await, ["CanReboot"]);
        drop(logind);
        bus.gone(LOGIND).await;
    }
}

#[tokio::test]
async fn a_time_zone_that_somebody_sets_is_news() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    tree.zone("America/New_York");
    tree.zone_file("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
    let timedated = bus.timedated("false").await;
    let (_daemon, mut host) = bus.device(&tree, SUMMER).await;
    soon_changed(&mut host, "/3/0/15").await;
    assert_eq!(zone(&mut host).await, "\"Etc/UTC\"");
    let set = ("Europe/Berlin", false);
    let path = "/org/freedesktop/timedate1";
    bus.connection
        .call_method(Some(TIMEDATED), path, Some(TIMEDATED), "SetTimezone", &set)
        .await
        .unwrap();
    soon_changed(&mut host, "/3/0/15").await;
    assert_eq!(zone(&mut host).await, "\"Europe/Berlin\"");
    assert_eq!(read(&mut host, "/3/0/14").await["/3/0/14"], "\"+02:00\"");
    // timedated stops when it is idle: the link counts again.
    drop(timedated);
    soon_changed(&mut host, "/3/0/15").await;
    assert_eq!(zone(&mut host).await, "\"America/New_York\"");
}

/// OBJ-67.
#[tokio::test]
async fn a_written_time_zone_is_read_back_at_once() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    tree.zone_file("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
    let _timedated = bus.timedated("false").await;
    let (_daemon, mut host) = bus.device(&tree, SUMMER).await;
    soon_changed(&mut host, "/3/0/15").await;
    assert_eq!(write(&mut host, "/3/0/15", text("Europe/Berlin")).await, Ok(CallReply::Done));
    assert_eq!(zone(&mut host).await, "\"Europe/Berlin\"");
    // An unknown one is refused before timedated is asked to set it.
    let error = write(&mut host, "/3/0/15", text("Europe/Nowhere")).await.unwrap_err();
    assert_eq!(error.code, Code::BAD_REQUEST);
    // An offset that is not that of the zone is refused, where a place is configured.
    let error = write(&mut host, "/3/0/14", text("+05:00")).await.unwrap_err();
    assert_eq!(error.code, Code::BAD_REQUEST);
    assert_eq!(bus.calls(TIMEDATED).await, ["SetTimezone"]);
}

#[tokio::test]
async fn an_offset_becomes_a_fixed_zone_where_no_place_is_configured() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    let _timedated = bus.timedated("false").await;
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    soon_changed(&mut host, "/3/0/15").await;
    assert_eq!(write(&mut host, "/3/0/14", text("+02:00")).await, Ok(CallReply::Done));
    assert_eq!(zone(&mut host).await, "\"Etc/GMT-2\"");
    assert_eq!(read(&mut host, "/3/0/14").await["/3/0/14"], "\"+02:00\"");
}

/// OBJ-66.
#[tokio::test]
async fn the_clock_is_set_unless_a_time_service_does_it() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    let timedated = bus.timedated("true").await;
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    let error = write(&mut host, "/3/0/13", Value::Time(WINTER)).await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    assert!(error.reason.contains("NTP"), "{error}");
    assert!(bus.calls(TIMEDATED).await.is_empty());
    drop(timedated);
    bus.gone(TIMEDATED).await;
    let _timedated = bus.timedated("false").await;
    assert_eq!(write(&mut host, "/3/0/13", Value::Time(WINTER)).await, Ok(CallReply::Done));
    assert_eq!(bus.calls(TIMEDATED).await, ["SetTime"]);
}

#[tokio::test]
async fn errors_of_timedated_become_the_right_refusals() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    tree.zone_file("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
    let _timedated = bus.timedated("false").await;
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    for (error, code, reason) in [
        ("org.freedesktop.DBus.Error.AccessDenied", Code::METHOD_NOT_ALLOWED, ".set-timezone"),
        (
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
            Code::METHOD_NOT_ALLOWED,
            "org.freedesktop.timedate1.set-timezone",
        ),
        ("org.freedesktop.DBus.Error.InvalidArgs", Code::BAD_REQUEST, "refuses the value"),
        ("org.freedesktop.DBus.Error.NoReply", Code::SERVICE_UNAVAILABLE, "does not answer"),
        ("com.example.Broken", Code::INTERNAL_SERVER_ERROR, "com.example.Broken"),
    ] {
        let raise = format!("raise dbus.exceptions.DBusException('no', name='{error}')");
        bus.add_method(TIMEDATED, TIMEDATED, "SetTimezone", ("sb", "", &raise)).await;
        let refusal = write(&mut host, "/3/0/15", text("Europe/Berlin")).await.unwrap_err();
        assert_eq!(refusal.code, code, "{error}");
        assert!(refusal.reason.contains(reason), "{refusal}");
    }
}

/// OBJ-66.
#[tokio::test]
async fn zone_and_time_are_written_both_or_not_at_all() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    tree.zone_file("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
    let _timedated = bus.timedated("false").await;
    let raise = "raise dbus.exceptions.DBusException('on', \
        name='org.freedesktop.timedate1.AutomaticTimeSyncEnabled')";
    bus.add_method(TIMEDATED, TIMEDATED, "SetTime", ("xbb", "", raise)).await;
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    soon_changed(&mut host, "/3/0/15").await;
    let entries = vec![
        lwm2m_model::Entry::new("/3/0/13".parse().unwrap(), Value::Time(WINTER)),
        lwm2m_model::Entry::new("/3/0/15".parse().unwrap(), text("Europe/Berlin")),
    ];
    let mode = lwm2m_model::WriteMode::Partial;
    let error = call(&mut host, "/3/0", CallOperation::Write { mode, entries }).await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(bus.calls(TIMEDATED).await, ["SetTimezone", "SetTime", "SetTimezone"]);
    assert_eq!(zone(&mut host).await, "\"Etc/UTC\"");
}

#[tokio::test]
async fn failed_units_are_an_error_that_comes_and_goes() {
    let Some(bus) = Bus::start().await else { return };
    let tree = Tree::new();
    // Complete before the device listens, which asks for signals once.
    let _systemd = bus.systemd(2).await;
    let (_daemon, mut host) = bus.device(&tree, WINTER).await;
    let interface = "org.freedesktop.systemd1.Manager";
    let set = |failed: u32| (interface, "NFailedUnits", OwnedVariant::from(failed));
    let path = "/org/freedesktop/systemd1";
    let properties = "org.freedesktop.DBus.Properties";
    soon_changed(&mut host, "/3/0/11").await;
    assert_eq!(read(&mut host, "/3/0/11").await["/3/0/11/0"], "8");
    for (failed, code) in [(0, "0"), (1, "8")] {
        bus.connection
            .call_method(Some(SYSTEMD), path, Some(properties), "Set", &set(failed))
            .await
            .unwrap();
        timeout(PATIENCE, async {
            while read(&mut host, "/3/0/11").await["/3/0/11/0"] != code {
                changed(&mut host, "/3/0/11").await;
            }
        })
        .await
        .expect("the error code follows");
    }
    assert!(bus.calls(SYSTEMD).await.contains(&"Subscribe".to_owned()));
}

#[tokio::test]
async fn the_bus_may_go_and_come_back() {
    let Some(mut bus) = Bus::start().await else { return };
    let tree = Tree::new();
    tree.zone("America/New_York");
    let services = (bus.timedated("false").await, bus.systemd(1).await);
    let (daemon, mut host) = bus.device(&tree, WINTER).await;
    soon_changed(&mut host, "/3/0/11").await;
    bus.daemon.kill();
    soon_changed(&mut host, "/3/0/15").await;
    drop(services);
    assert_eq!(zone(&mut host).await, "\"America/New_York\"");
    // Nobody has said that the unit is well.
    assert_eq!(read(&mut host, "/3/0/11").await["/3/0/11/0"], "8");
    let error = execute(&mut host, "/3/0/4").await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    let Some(bus) = Bus::start().await else { return };
    let _services = (bus.timedated("false").await, bus.systemd(0).await);
    daemon.send_replace(Some(connect(bus.daemon.address()).await));
    soon_changed(&mut host, "/3/0/15").await;
    assert_eq!(zone(&mut host).await, "\"Etc/UTC\"");
    soon_changed(&mut host, "/3/0/11").await;
    assert_eq!(read(&mut host, "/3/0/11").await["/3/0/11/0"], "0");
}

const LOGIND: &str = "org.freedesktop.login1";
const UPOWER: &str = "org.freedesktop.UPower";
const UPS: &str = "org.freedesktop.UPower.Device";
const TIMEDATED: &str = "org.freedesktop.timedate1";
const SYSTEMD: &str = "org.freedesktop.systemd1";
/// No test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);
