//! Profiles of mobile connections (11) by doubles of NetworkManager and ModemManager.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Entry, Path, Value, WriteMode};
use lwm2m_objects::ObjectMessage;
use lwm2m_test_bus::network_manager::{Profile, setting};
use lwm2m_test_bus::{ModemManager, NetworkManager, properties};
use tokio::time::{sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use zbus::Variant;

use crate::cellular::{Lab, profiles, rows};
use crate::{PATIENCE, changed, ip, own_network};

/// The profile `field`, with a secret and a PIN.
const FIELD: &str = "/org/freedesktop/NetworkManager/Settings/10";
const DENIED: &str = "org.freedesktop.NetworkManager.PermissionDenied";
const CONNECTED: u32 = 100;
const FAILED: u32 = 120;

fn field() -> Profile {
    let connection = [
        ("id", Variant::from("field")),
        ("type", "gsm".into()),
        ("uuid", "1cfbac0f-d470-46df-835c-fd82cd22152f".into()),
    ];
    let gsm = [
        ("apn", Variant::from("internet")),
        ("username", "seed".into()),
        ("password", "s3cret".into()),
        ("pin", "1234".into()),
        ("network-id", "26201".into()),
    ];
    let method = |method: &'static str| properties([("method", Variant::from(method))]);
    HashMap::from([
        ("connection".to_owned(), properties(connection)),
        ("gsm".to_owned(), properties(gsm)),
        ("ppp".to_owned(), properties([("refuse-pap", Variant::from(true))])),
        ("ipv4".to_owned(), method("auto")),
        ("ipv6".to_owned(), method("disabled")),
    ])
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// A device with both services, a modem, and the profile `field`.
struct World {
    manager: NetworkManager,
    lab: Lab,
}

impl World {
    /// The modem is connected by the profile as `wwan0`, or not at all.
    async fn start(is_connected: bool) -> Option<Self> {
        if !own_network() {
            return None;
        }
        let mut lab = Lab::start().await?;
        let manager = NetworkManager::start(lab.bus.address()).await;
        manager.keep(FIELD, field()).await;
        let by = is_connected.then_some((FIELD, "wwan0"));
        manager.plug_in_modem(ModemManager::MODEM, by).await;
        if is_connected {
            lab.service.plug_in("wwan0").await;
        }
        lab.host.watch(&"/11".parse().unwrap(), Some(Duration::from_secs(60)));
        let mut world = Self { manager, lab };
        world.reads("/11/0/0", "\"field\"").await;
        if is_connected {
            world.reads("/11/0/13", "1000").await;
        }
        Some(world)
    }

    /// Another link leads to the servers.
    fn other_way(&self) {
        for command in [
            "link set wan0 up",
            "address add 192.0.2.1/24 dev wan0",
            "route add default via 192.0.2.254",
        ] {
            assert!(ip(command), "ip {command}");
        }
    }

    async fn write(&mut self, entries: &[(&str, Value)]) -> CallResult {
        let entry = |(path, value): &(&str, Value)| {
            Entry::new(path.parse::<Path>().unwrap(), value.clone())
        };
        let entries = entries.iter().map(entry).collect();
        self.lab.call("/11/0", CallOperation::Write { mode: WriteMode::Partial, entries }).await
    }

    async fn create(&mut self, instance: u16, resources: &[(u16, Value)]) -> CallResult {
        let entry = |(id, value): &(u16, Value)| {
            Entry::new(Path::resource(11, instance, *id), value.clone())
        };
        let entries = resources.iter().map(entry).collect();
        let operation = CallOperation::Create { instances: vec![instance], entries };
        self.lab.call("/11", operation).await
    }

    /// The answer to the last Write is out.
    fn proceed(&mut self) {
        let (path, operation) = ("/11/0".parse().unwrap(), CallOperation::Proceed);
        let call = Call { id: CallId(1), path, operation, server: Some(101) };
        assert_eq!(self.lab.host.call(&call), None);
    }

    async fn called(&self, method: &str) {
        let waiting = async {
            while !self.has_called(method) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{:?}", self.manager.calls()));
    }

    fn has_called(&self, method: &str) -> bool {
        self.manager.calls().iter().any(|call| call == method)
    }

    /// Waits until the servers are asked for an answer.
    async fn asked(&mut self) {
        let asked = async { while self.lab.host.next().await != ObjectMessage::Update {} };
        timeout(PATIENCE, asked).await.expect("servers are asked");
    }

    /// Waits until a resource reads so.
    async fn reads(&mut self, path: &str, value: &str) {
        let expected = rows(&[(path, value)]);
        let reading = async {
            while !self.lab.read("/11").await.contains(&expected[0]) {
                // Takes the news, lest it waits for room.
                let _ = timeout(Duration::from_millis(50), self.lab.host.next()).await;
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{path}: {value}"));
    }

    fn setting(&self, section: &str, name: &str) -> Option<String> {
        setting(&self.manager.profile(FIELD), section, name)
    }

    /// The ways to authenticate that the profile refuses.
    fn refused(&self) -> String {
        let profile = self.manager.profile(FIELD);
        let mut names: Vec<String> =
            profile.get("ppp").into_iter().flatten().map(|it| it.0.clone()).collect();
        names.sort();
        names.join(" ").replace("refuse-", "")
    }
}

#[tokio::test]
async fn a_profile_and_the_bearer_that_it_brought_up_are_one_instance() {
    let Some(mut world) = World::start(true).await else { return };
    let expected = [
        ("/11/0/0", "\"field\""),
        ("/11/0/1", "\"internet\""),
        ("/11/0/2", "false"),
        ("/11/0/3", "true"),
        ("/11/0/4", "1"),
        ("/11/0/5", "\"seed\""),
        ("/11/0/8/0", "\"262,01\""),
        ("/11/0/9/0", "1768478400"),
        ("/11/0/10/0", "0"),
        ("/11/0/13", "1000"),
        ("/11/0/14", "2000"),
        ("/11/0/15/0", "\"10.64.0.2\""),
        ("/11/0/17/0", "\"255.255.255.252\""),
        ("/11/0/18/0", "\"10.64.0.1\""),
        ("/11/0/19/0", "\"192.0.2.53\""),
        ("/11/0/24", "1"),
    ];
    assert_eq!(world.lab.read("/11").await, rows(&expected));
    assert_eq!(world.lab.read("/10/0/11").await, rows(&[("/10/0/11/0", "11:0")]));

    // The secret is there to be written, and neither read nor asked for.
    let discovered = world.lab.call("/11/0", CallOperation::Discover).await;
    let Ok(CallReply::Paths(paths)) = discovered else { panic!("{discovered:?}") };
    assert!(paths.contains(&Path::resource(11, 0, 6)), "{paths:?}");
    let secret = world.lab.call("/11/0/6", CallOperation::Read).await.unwrap_err();
    assert_eq!(secret.code, Code::NOT_FOUND);
    assert!(!world.manager.double.calls().iter().any(|call| call.contains("GetSecrets")));

    // What is left of it when it is disconnected is still its own.
    let (bearer, interface) = (ModemManager::BEARER, ModemManager::BEARER_INTERFACE);
    let error = ("x.Error".to_owned(), String::new());
    world.lab.service.set(bearer, interface, "ConnectionError", error).await;
    world.lab.service.set(bearer, interface, "Connected", false).await;
    let (modem, device) = (NetworkManager::MODEM, NetworkManager::DEVICE);
    let nothing = zbus::ObjectPath::try_from("/").unwrap();
    world.manager.double.set(modem, device, "ActiveConnection", nothing).await;
    world.manager.double.set(modem, device, "State", 30_u32).await;
    changed(&mut world.lab.host, &["/11/0/3", "/11/0/10"]).await;
    world.reads("/11/0/3", "false").await;
    world.reads("/11/0/10/0", "1").await;
    assert_eq!(profiles(&world.lab.host), [0]);

    // Without NetworkManager bearers are all there is.
    let address = world.lab.bus.address().to_owned();
    world.manager = NetworkManager::start_as(&address, "org.example.Other").await;
    world.reads("/11/0/0", "\"internet\"").await;
    assert_eq!(profiles(&world.lab.host).len(), 1);
}

#[tokio::test]
async fn profiles_are_there_without_a_modem_and_those_of_other_kinds_are_not() {
    let Some(mut world) = World::start(false).await else { return };
    let bare = [
        ("/11/0/0", "\"field\""),
        ("/11/0/1", "\"internet\""),
        ("/11/0/2", "false"),
        ("/11/0/3", "false"),
        ("/11/0/4", "1"),
        ("/11/0/5", "\"seed\""),
        ("/11/0/8/0", "\"262,01\""),
        ("/11/0/24", "1"),
    ];
    assert_eq!(world.lab.read("/11").await, rows(&bare));
    // Nonsense in it is absent; one that is no mobile connection any more is gone.
    let mut nonsense = field();
    nonsense.insert("gsm".into(), properties([("apn", 7_u32.into()), ("username", "".into())]));
    nonsense.insert("ipv4".into(), properties([("method", 7_u32.into())]));
    nonsense.remove("ppp");
    world.manager.keep(FIELD, nonsense).await;
    world.reads("/11/0/1", "\"\"").await;
    let left = [
        ("/11/0/0", "\"field\""),
        ("/11/0/1", "\"\""),
        ("/11/0/2", "false"),
        ("/11/0/3", "false"),
        ("/11/0/4", "3"),
        ("/11/0/24", "1"),
    ];
    assert_eq!(world.lab.read("/11").await, rows(&left));
    let wlan = world.manager.profile(NetworkManager::PROFILE);
    world.manager.keep(FIELD, wlan).await;
    while !profiles(&world.lab.host).is_empty() {
        timeout(PATIENCE, world.lab.host.next()).await.expect("in time");
    }
}

#[tokio::test]
async fn what_is_not_connected_is_written_and_keeps_the_rest() {
    let Some(mut world) = World::start(false).await else { return };
    let entries = [
        ("/11/0/0", text("new field")),
        ("/11/0/1", text("m2m.example")),
        ("/11/0/4", Value::Integer(2)),
        ("/11/0/5", text("device")),
        ("/11/0/24", Value::Integer(3)),
    ];
    assert_eq!(world.write(&entries).await, Ok(CallReply::Done));
    for (section, name, expected) in [
        ("connection", "id", "new field"),
        ("gsm", "apn", "m2m.example"),
        ("gsm", "username", "device"),
        ("gsm", "password", "s3cret"),
        ("gsm", "pin", "1234"),
        ("gsm", "network-id", "26201"),
        ("ipv6", "method", "auto"),
    ] {
        assert_eq!(world.setting(section, name).as_deref(), Some(expected), "{name}");
    }
    world.reads("/11/0/1", "\"m2m.example\"").await;
    world.reads("/11/0/4", "2").await;
    assert_eq!(world.write(&[("/11/0/6", text("n3w"))]).await, Ok(CallReply::Done));
    assert_eq!(world.setting("gsm", "password").as_deref(), Some("n3w"));
    assert_eq!(world.setting("gsm", "pin").as_deref(), Some("1234"), "of the SIM");
    assert_eq!(world.manager.calls(), ["Update2", "Update2"]);
    // What stands already changes nothing.
    assert_eq!(world.write(&[("/11/0/5", text("device"))]).await, Ok(CallReply::Done));
    assert_eq!(world.manager.calls().len(), 2);
}

#[tokio::test]
async fn ways_to_authenticate_and_kinds_of_addresses_read_as_they_were_written() {
    let Some(mut world) = World::start(false).await else { return };
    for (way, refused) in [
        (0, "chap eap mschap mschapv2"),
        (1, "eap mschap mschapv2 pap"),
        (2, "eap mschap mschapv2"),
        (3, ""),
    ] {
        assert_eq!(world.write(&[("/11/0/4", Value::Integer(way))]).await, Ok(CallReply::Done));
        assert_eq!(world.refused(), refused, "{way}");
        world.reads("/11/0/4", &way.to_string()).await;
    }
    // The last takes name and secret away.
    assert_eq!(world.setting("gsm", "username"), None);
    assert_eq!(world.setting("gsm", "password"), None);
    assert_eq!(world.setting("gsm", "pin").as_deref(), Some("1234"));
    for (kind, ipv4, ipv6) in
        [(2, "disabled", "auto"), (3, "auto", "auto"), (1, "auto", "disabled")]
    {
        assert_eq!(world.write(&[("/11/0/24", Value::Integer(kind))]).await, Ok(CallReply::Done));
        assert_eq!(world.setting("ipv4", "method").as_deref(), Some(ipv4), "{kind}");
        assert_eq!(world.setting("ipv6", "method").as_deref(), Some(ipv6), "{kind}");
        world.reads("/11/0/24", &kind.to_string()).await;
    }
}

#[tokio::test]
async fn the_device_may_choose_the_access_point() {
    let Some(mut world) = World::start(false).await else { return };
    // Without a PIN NetworkManager puts the secret back when none is given.
    let mut profile = field();
    profile.get_mut("gsm").unwrap().remove("pin");
    world.manager.keep(FIELD, profile).await;
    let on = [("/11/0/2", Value::Boolean(true))];
    assert_eq!(world.write(&on).await, Ok(CallReply::Done));
    world.reads("/11/0/2", "true").await;
    for name in ["apn", "username", "password"] {
        assert_eq!(world.setting("gsm", name), None, "{name}");
    }
    let apn = world.lab.call("/11/0/1", CallOperation::Read).await.unwrap_err();
    assert_eq!(apn.code, Code::NOT_FOUND, "absent while the device chooses");
    for own in [("/11/0/5", text("seed")), ("/11/0/6", text("x"))] {
        assert_eq!(world.write(&[own]).await.unwrap_err().code, Code::BAD_REQUEST);
    }
    assert_eq!(world.write(&[("/11/0/1", text("own.example"))]).await, Ok(CallReply::Done));
    world.reads("/11/0/2", "false").await;
    world.reads("/11/0/1", "\"own.example\"").await;
    assert_eq!(world.write(&on).await, Ok(CallReply::Done));
    world.reads("/11/0/2", "true").await;
    assert_eq!(world.write(&[("/11/0/2", Value::Boolean(false))]).await, Ok(CallReply::Done));
    world.reads("/11/0/1", "\"\"").await;
}

#[tokio::test]
async fn a_connection_that_carries_the_session_is_kept_once_a_server_has_answered() {
    let Some(mut world) = World::start(true).await else { return };
    let entries = [("/11/0/1", text("m2m.example"))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    assert_eq!(world.manager.calls(), ["CheckpointCreate", "Update2"], "answered first");
    let again = world.write(&entries).await.unwrap_err();
    assert_eq!(again.code, Code::SERVICE_UNAVAILABLE, "one after the other");
    world.lab.reached.note();
    world.proceed();
    world.called("ActivateConnection").await;
    world.manager.connect(NetworkManager::MODEM, FIELD, CONNECTED).await;
    world.asked().await;
    assert!(!world.has_called("CheckpointDestroy"));
    world.lab.reached.note();
    world.called("CheckpointDestroy").await;
    assert!(!world.has_called("CheckpointRollback"));
    // A name alone takes no connection anew.
    assert_eq!(world.write(&[("/11/0/0", text("other"))]).await, Ok(CallReply::Done));
}

#[tokio::test]
async fn an_access_point_that_does_not_let_us_in_is_left_at_once() {
    let Some(mut world) = World::start(true).await else { return };
    let entries = [("/11/0/1", text("m2m.example"))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.called("ActivateConnection").await;
    world.manager.connect(NetworkManager::MODEM, FIELD, FAILED).await;
    world.called("CheckpointRollback").await;
    assert!(!world.has_called("CheckpointDestroy"));
    world.asked().await;
}

#[tokio::test]
async fn an_access_point_by_which_no_server_answers_is_not_kept() {
    let Some(mut world) = World::start(true).await else { return };
    let entries = [("/11/0/1", text("m2m.example"))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.called("ActivateConnection").await;
    world.manager.connect(NetworkManager::MODEM, FIELD, CONNECTED).await;
    world.asked().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
    world.asked().await;
    // NetworkManager has its own clock.
    assert!(!world.has_called("CheckpointDestroy") && !world.has_called("CheckpointRollback"));
}

#[tokio::test]
async fn what_does_not_carry_the_session_has_to_connect_only_and_ends_at_once() {
    let Some(mut world) = World::start(false).await else { return };
    world.other_way();
    let on = [("/11/0/3", Value::Boolean(true))];
    assert_eq!(world.write(&on).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.called("ActivateConnection").await;
    let (modem, device) = (NetworkManager::MODEM, NetworkManager::DEVICE);
    world.manager.double.set(modem, device, "IpInterface", "wwan0").await;
    world.manager.connect(NetworkManager::MODEM, FIELD, CONNECTED).await;
    world.called("CheckpointDestroy").await;
    world.reads("/11/0/3", "true").await;
    // It is so already.
    assert_eq!(world.write(&on).await, Ok(CallReply::Done));

    assert_eq!(world.write(&[("/11/0/3", Value::Boolean(false))]).await, Ok(CallReply::Done));
    assert!(world.has_called("DeactivateConnection"));
    let profile = world.manager.profile(FIELD);
    assert_eq!(
        profile["connection"]["autoconnect"],
        zbus::OwnedVariant::from(false),
        "from now on"
    );
}

#[tokio::test]
async fn a_connection_without_which_no_server_is_reached_comes_back() {
    let Some(mut world) = World::start(true).await else { return };
    let off = [("/11/0/3", Value::Boolean(false))];
    assert_eq!(world.write(&off).await, Ok(CallReply::AfterAnswer));
    assert!(world.has_called("CheckpointCreate") && !world.has_called("DeactivateConnection"));
    world.proceed();
    world.called("DeactivateConnection").await;
    let nothing = zbus::ObjectPath::try_from("/").unwrap();
    let (modem, device) = (NetworkManager::MODEM, NetworkManager::DEVICE);
    world.manager.double.set(modem, device, "ActiveConnection", nothing).await;
    world.asked().await;
    assert!(!world.has_called("CheckpointDestroy"), "NetworkManager goes back to it");
    world.lab.reached.note();
    world.called("CheckpointDestroy").await;
}

/// CORE-142, CORE-144.
#[tokio::test]
async fn servers_make_profiles_and_remove_them() {
    let Some(mut world) = World::start(true).await else { return };
    let nameless = world.create(5, &[(4, Value::Integer(3))]).await.unwrap_err();
    assert_eq!(nameless.code, Code::BAD_REQUEST);
    let resources = [
        (0, text("second")),
        (1, text("two.example")),
        (4, Value::Integer(0)),
        (5, text("me")),
        (6, text("hush")),
    ];
    assert_eq!(world.create(5, &resources).await, Ok(CallReply::Done));
    let expected = [
        ("/11/5/0", "\"second\""),
        ("/11/5/1", "\"two.example\""),
        ("/11/5/2", "false"),
        ("/11/5/3", "false"),
        ("/11/5/4", "0"),
        ("/11/5/5", "\"me\""),
        ("/11/5/24", "3"),
    ];
    assert_eq!(world.lab.read("/11/5").await, rows(&expected));
    let paths = world.manager.paths();
    let added =
        paths.iter().find(|path| ![FIELD, NetworkManager::PROFILE].contains(&path.as_str()));
    let added = added.unwrap().clone();
    let profile = world.manager.profile(&added);
    assert_eq!(setting(&profile, "gsm", "password").as_deref(), Some("hush"));
    assert_eq!(profile["connection"]["autoconnect"], zbus::OwnedVariant::from(false));

    // The number outlives the agent.
    world.lab.restart().await;
    while profiles(&world.lab.host) != [0, 5] {
        timeout(PATIENCE, world.lab.host.next()).await.expect("in time");
    }
    world.reads("/11/5/0", "\"second\"").await;
    assert_eq!(profiles(&world.lab.host), [0, 5]);

    let carrying = world.lab.call("/11/0", CallOperation::Delete).await.unwrap_err();
    assert_eq!(carrying.code, Code::METHOD_NOT_ALLOWED);
    assert!(carrying.reason.contains("carries the session"), "{}", carrying.reason);
    assert_eq!(world.lab.call("/11/5", CallOperation::Delete).await, Ok(CallReply::Done));
    assert!(!world.manager.paths().contains(&added));
    assert_eq!(profiles(&world.lab.host), [0]);
    let gone = world.lab.call("/11/5", CallOperation::Delete).await.unwrap_err();
    assert_eq!(gone.code, Code::NOT_FOUND);
    let two = CallOperation::Create { instances: vec![6, 7], entries: Vec::new() };
    assert_eq!(world.lab.call("/11", two).await.unwrap_err().code, Code::BAD_REQUEST);
    // As many as are looked at.
    for instance in 1..16 {
        let made = world.create(instance, &[(0, text("more"))]).await;
        assert_eq!(made, Ok(CallReply::Done), "{instance}");
    }
    let full = world.create(16, &[(0, text("more"))]).await.unwrap_err();
    assert_eq!(full.code, Code::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_write_to_a_profile_that_cannot_be_done_says_so_and_changes_nothing() {
    let Some(mut world) = World::start(true).await else { return };
    let (int, on) = (Value::Integer, Value::Boolean(true));
    let long = "x".repeat(256);
    #[rustfmt::skip] // a table: one row a Write
    let cases: [(&[(&str, Value)], Code); 15] = [
        (&[("/11/0/0", text(""))], Code::BAD_REQUEST),
        (&[("/11/0/0", text("a\nb"))], Code::BAD_REQUEST),
        (&[("/11/0/0", text(" a"))], Code::BAD_REQUEST),
        (&[("/11/0/0", text(&long))], Code::BAD_REQUEST),
        (&[("/11/0/1", text("in ternet"))], Code::BAD_REQUEST),
        (&[("/11/0/1", text(&long[..65]))], Code::BAD_REQUEST),
        (&[("/11/0/5", text("a\0"))], Code::BAD_REQUEST),
        (&[("/11/0/6", text(&long))], Code::BAD_REQUEST),
        (&[("/11/0/6", text("a\tb"))], Code::BAD_REQUEST),
        (&[("/11/0/4", int(4))], Code::BAD_REQUEST),
        (&[("/11/0/4", int(3)), ("/11/0/6", text("x"))], Code::BAD_REQUEST),
        (&[("/11/0/5", text("")), ("/11/0/6", text("x"))], Code::BAD_REQUEST),
        (&[("/11/0/24", int(0))], Code::BAD_REQUEST),
        (&[("/11/0/2", on), ("/11/0/1", text("x"))], Code::BAD_REQUEST),
        (&[("/11/0/1", text("x")), ("/11/0/7", text("10,60"))], Code::METHOD_NOT_ALLOWED),
    ];
    for (entries, code) in cases {
        assert_eq!(world.write(entries).await.unwrap_err().code, code, "{entries:?}");
    }
    assert_eq!(world.manager.calls(), [""; 0]);
    let absent = world.lab.write("/11/9/1", text("x")).await.unwrap_err();
    assert_eq!(absent.code, Code::NOT_FOUND);
}

#[tokio::test]
async fn a_refusal_names_the_action_that_a_profile_takes() {
    let Some(mut world) = World::start(true).await else { return };
    for (method, action) in [
        ("GetSecrets", "settings.modify.system"),
        ("CheckpointCreate", "checkpoint-rollback"),
        ("Update2", "settings.modify.system"),
    ] {
        world.manager.double.refuse(method, Some(DENIED));
        let reason = world.lab.refusal("/11/0/1", text("x")).await;
        assert!(reason.contains(&format!("NetworkManager.{action} is needed")), "{reason}");
        world.manager.double.refuse(method, None);
    }
    // To go back would disconnect what carries the session.
    world.called("CheckpointDestroy").await;
    assert!(!world.has_called("CheckpointRollback"));
    world.other_way();
    for (method, call) in [("AddConnection2", "Create"), ("Delete", "Delete")] {
        world.manager.double.refuse(method, Some(DENIED));
        let refused = match call {
            "Create" => world.create(3, &[(0, text("x"))]).await,
            _ => world.lab.call("/11/0", CallOperation::Delete).await,
        };
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED, "{call}");
        assert!(refused.reason.contains("settings.modify.system"), "{}", refused.reason);
    }
    world.manager.deny("org.freedesktop.NetworkManager.network-control");
    for entry in [("/11/0/1", text("x")), ("/11/0/3", Value::Boolean(false))] {
        let refused = world.write(&[entry]).await.unwrap_err();
        assert!(refused.reason.contains("network-control"), "{}", refused.reason);
    }
    assert!(!world.has_called("DeactivateConnection"));
}

/// A secret goes to NetworkManager and nowhere else.
#[tokio::test]
async fn no_secret_is_in_a_log_or_a_value() {
    let heard = Heard::default();
    // Of all tests: one of a thread alone may miss what others log first.
    tracing::subscriber::set_global_default(heard.clone()).unwrap();
    let Some(mut world) = World::start(true).await else { return };
    let entries = [("/11/0/1", text("m2m.example")), ("/11/0/6", text("t0p-s3cret"))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.called("ActivateConnection").await;
    world.manager.connect(NetworkManager::MODEM, FIELD, FAILED).await;
    world.called("CheckpointRollback").await;
    world.asked().await;
    let values = format!("{:?}", world.lab.read("/11").await);
    let lines = heard.0.lock().unwrap().clone();
    assert!(lines.contains("the change is taken back"), "{lines}");
    for secret in ["t0p-s3cret", "s3cret"] {
        assert!(!lines.contains(secret) && !values.contains(secret), "{secret}");
    }
}

/// All that is logged.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lwm2m")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line<'a>(&'a mut String);
        impl Visit for Line<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                let _ = writeln!(self.0, "{field}: {value:?}");
            }
        }
        event.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
