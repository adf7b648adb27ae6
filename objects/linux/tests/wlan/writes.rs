//! Writes: kept, refused and taken back.

use std::time::Duration;

use lwm2m_engine::CallReply;
use lwm2m_model::{Code, Value};
use lwm2m_objects::ObjectMessage;
use lwm2m_test_bus::NetworkManager;
use lwm2m_test_bus::network_manager::{path, setting};

use crate::{World, ip, other_way, text};

const NETWORK: &str = "802-11-wireless";
const SECURITY: &str = "802-11-wireless-security";

impl World {
    /// Lets `wlan0` be connected by what was activated.
    async fn connects(&self) {
        self.called("ActivateConnection").await;
        self.manager.set_device("ActiveConnection", path(NetworkManager::NEW)).await;
        self.manager.set_device("State", 100_u32).await;
    }

    /// Waits until the servers are asked for an answer.
    async fn asked(&mut self) {
        while self.next().await != ObjectMessage::Update {}
    }

    /// Lets the trial end without an answer. Only its clock is made up: while a call to the
    /// bus is out, made-up time would run past the limit of that call.
    async fn trial_ends(&self) {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(301)).await;
        tokio::time::resume();
    }

    fn has_called(&self, method: &str) -> bool {
        self.manager.calls().iter().any(|call| call == method)
    }

    fn setting(&self, section: &str, name: &str) -> Option<String> {
        setting(&self.manager.profile(NetworkManager::PROFILE), section, name)
    }
}

#[tokio::test]
async fn a_new_network_is_kept_once_a_server_has_answered_by_it() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let entries = [("/12/0/5", text("plant")), ("/12/0/18", text("a new phrase"))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    assert_eq!(world.manager.calls(), ["CheckpointCreate", "Update2"], "answered first");
    assert_eq!(world.setting(NETWORK, "ssid").as_deref(), Some("plant"));
    assert_eq!(world.setting(SECURITY, "psk").as_deref(), Some("a new phrase"));
    {
        let profile = world.manager.profile(NetworkManager::PROFILE);
        assert!(profile[NETWORK].contains_key("hidden"), "the rest stays");
        assert!(!profile[NETWORK].contains_key("bssid"), "it was that of another network");
    }
    let again = world.write(&[("/12/0/5", text("office"))]).await.unwrap_err();
    assert_eq!(again.code, Code::SERVICE_UNAVAILABLE, "one after the other");

    // An answer of before, by the old way, counts for nothing.
    world.reached.note();
    world.proceed();
    world.connects().await;
    world.asked().await;
    assert!(!world.has_called("CheckpointDestroy"));
    world.reached.note();
    world.called("CheckpointDestroy").await;
    assert!(!world.has_called("CheckpointRollback"));
}

#[tokio::test]
async fn only_the_name_changes_and_the_key_stays() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    assert_eq!(world.write(&[("/12/0/5", text("plant"))]).await, Ok(CallReply::AfterAnswer));
    assert_eq!(world.setting(NETWORK, "ssid").as_deref(), Some("plant"));
    assert_eq!(world.setting(SECURITY, "psk").as_deref(), Some("the old phrase"));
}

#[tokio::test]
async fn a_network_that_does_not_let_us_in_is_left_at_once() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let entries = [("/12/0/5", text("plant"))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.called("ActivateConnection").await;
    world.manager.set_device("ActiveConnection", path(NetworkManager::NEW)).await;
    world.manager.set_device("State", 120_u32).await;
    world.called("CheckpointRollback").await;
    assert!(!world.has_called("CheckpointDestroy"));
    // Whether the old way still leads to a server is asked as well.
    world.asked().await;
    // And the place is free for the next.
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
}

#[tokio::test]
async fn without_an_answer_nothing_is_kept() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    assert_eq!(world.write(&[("/12/0/5", text("plant"))]).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.connects().await;
    world.asked().await;
    world.trial_ends().await;
    // Whether the old way leads to a server, once NetworkManager has gone back to it.
    world.asked().await;
    // NetworkManager has its own clock.
    assert!(!world.has_called("CheckpointDestroy") && !world.has_called("CheckpointRollback"));
}

#[tokio::test]
async fn a_wlan_that_is_not_the_way_to_the_servers_has_to_connect_only() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    if !other_way() {
        return;
    }
    assert_eq!(world.write(&[("/12/0/5", text("plant"))]).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.connects().await;
    world.called("CheckpointDestroy").await;
}

#[tokio::test]
async fn a_wlan_that_becomes_the_way_to_the_servers_has_to_lead_to_one() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    if !other_way() {
        return;
    }
    assert_eq!(world.write(&[("/12/0/5", text("plant"))]).await, Ok(CallReply::AfterAnswer));
    assert!(ip("route del default"));
    world.proceed();
    world.connects().await;
    world.asked().await;
    assert!(!world.has_called("CheckpointDestroy"));
    world.reached.note();
    world.called("CheckpointDestroy").await;
}

#[tokio::test]
async fn a_profile_without_a_stored_key_can_be_changed() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let none = "org.freedesktop.NetworkManager.AgentManager.NoSecrets";
    world.manager.double.refuse("GetSecrets", Some(none));
    assert_eq!(world.write(&[("/12/0/5", text("plant"))]).await, Ok(CallReply::AfterAnswer));
    assert_eq!(world.setting(NETWORK, "ssid").as_deref(), Some("plant"));
}

#[tokio::test]
async fn without_a_profile_there_is_a_new_one() {
    let Some(mut world) = World::with_wlan(false).await else { return };
    let refused = world.write(&[("/12/0/18", text("a new phrase"))]).await.unwrap_err();
    assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED, "of which network?");
    let key = "0123456789abcdef".repeat(4);
    let entries =
        [("/12/0/5", text("plant")), ("/12/0/15", Value::Integer(1)), ("/12/0/17", text(&key))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    world.proceed();
    world.called("AddAndActivateConnection").await;
    let added = world.manager.profile("/org/freedesktop/NetworkManager/Settings/2");
    for (section, name, expected) in [
        ("connection", "interface-name", "wlan0"),
        (NETWORK, "ssid", "plant"),
        (SECURITY, "key-mgmt", "wpa-psk"),
        (SECURITY, "psk", &key),
    ] {
        assert_eq!(setting(&added, section, name).as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn an_open_network_loses_its_key() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let entries = [("/12/0/5", text("guests")), ("/12/0/15", Value::Integer(0))];
    assert_eq!(world.write(&entries).await, Ok(CallReply::AfterAnswer));
    assert!(!world.manager.profile(NetworkManager::PROFILE).contains_key(SECURITY));
}

#[tokio::test]
async fn a_write_that_cannot_be_done_says_so_and_changes_nothing() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let (int, off) = (Value::Integer, Value::Boolean(false));
    let long = "x".repeat(64);
    #[rustfmt::skip] // a table: one row a Write
    let cases: [(&[(&str, Value)], Code); 14] = [
        (&[("/12/0/0", text("wlan7"))], Code::METHOD_NOT_ALLOWED),
        (&[("/12/0/8", int(0))], Code::METHOD_NOT_ALLOWED),
        (&[("/12/0/9", int(6))], Code::METHOD_NOT_ALLOWED),
        (&[("/12/0/22", text("0123456789"))], Code::METHOD_NOT_ALLOWED),
        (&[("/12/0/5", text("plant")), ("/12/0/9", int(6))], Code::METHOD_NOT_ALLOWED),
        (&[("/12/0/2", int(3))], Code::BAD_REQUEST),
        (&[("/12/0/15", int(2))], Code::BAD_REQUEST),
        (&[("/12/0/17", text("0123"))], Code::BAD_REQUEST),
        (&[("/12/0/18", text("short"))], Code::BAD_REQUEST),
        (&[("/12/0/18", text(&long))], Code::BAD_REQUEST),
        (&[("/12/0/18", text("eight eé"))], Code::BAD_REQUEST),
        (&[("/12/0/15", int(0)), ("/12/0/18", text("a new phrase"))], Code::BAD_REQUEST),
        (&[("/12/0/1", off.clone()), ("/12/0/5", text("plant"))], Code::BAD_REQUEST),
        (&[("/12/0/1", off), ("/12/0/2", int(1))], Code::BAD_REQUEST),
    ];
    for (entries, code) in cases {
        assert_eq!(world.write(entries).await.unwrap_err().code, code, "{entries:?}");
    }
    // What is so already is no change, whatever it is.
    let same = [("/12/0/0", text("wlan0")), ("/12/0/8", int(1)), ("/12/0/9", int(36))];
    assert_eq!(world.write(&same).await, Ok(CallReply::Done));
    assert_eq!(world.manager.calls(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_names_the_action_of_polkit() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let denied = "org.freedesktop.NetworkManager.PermissionDenied";
    for (method, action) in [
        ("GetSecrets", "settings.modify.system"),
        ("CheckpointCreate", "checkpoint-rollback"),
        ("Update2", "settings.modify.system"),
    ] {
        world.manager.double.refuse(method, Some(denied));
        let refused = world.write(&[("/12/0/5", text("plant"))]).await.unwrap_err();
        assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED, "{method}");
        let action = format!("org.freedesktop.NetworkManager.{action} is needed");
        assert!(refused.reason.contains(&action), "{method}: {}", refused.reason);
        world.manager.double.refuse(method, None);
    }
    // The last had a checkpoint already; to go back to it would disconnect the WLAN.
    world.called("CheckpointDestroy").await;
    assert!(!world.has_called("CheckpointRollback"));
    assert_eq!(world.setting(NETWORK, "ssid").as_deref(), Some("home"));

    // What is done after the answer is asked about before it.
    for (entries, action) in [
        ([("/12/0/5", text("plant"))], "network-control"),
        ([("/12/0/1", Value::Boolean(false))], "enable-disable-wifi"),
    ] {
        let action = format!("org.freedesktop.NetworkManager.{action}");
        world.manager.deny(&action);
        let refused = world.write(&entries).await.unwrap_err();
        assert!(refused.reason.contains(&action), "{}", refused.reason);
    }
    assert!(!world.has_called("Set"));
}

#[tokio::test]
async fn a_radio_without_which_no_server_is_reached_is_switched_on_again() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    let off = [("/12/0/1", Value::Boolean(false))];
    assert_eq!(world.write(&off).await, Ok(CallReply::AfterAnswer));
    assert!(!world.has_called("Set"), "answered first");
    world.proceed();
    world.changed("/12/0/1").await;
    world.manager.set_device("State", 20_u32).await;
    world.asked().await;
    world.trial_ends().await;
    world.asked().await;
    world.changed("/12/0/1").await;
    assert_eq!(world.read("/12/0/1").await["/12/0/1"], "true");
}

#[tokio::test]
async fn a_radio_that_is_not_the_way_to_the_servers_is_switched_at_once() {
    let Some(mut world) = World::with_wlan(true).await else { return };
    if !other_way() {
        return;
    }
    for is_on in [false, true] {
        let radio = [("/12/0/1", Value::Boolean(is_on))];
        assert_eq!(world.write(&radio).await, Ok(CallReply::Done));
        world.changed("/12/0/1").await;
        assert_eq!(world.read("/12/0/1").await["/12/0/1"], is_on.to_string());
    }
    // A band is that of the profile, and takes a connection anew.
    assert_eq!(world.write(&[("/12/0/2", Value::Integer(1))]).await, Ok(CallReply::AfterAnswer));
    assert_eq!(world.setting(NETWORK, "band").as_deref(), Some("bg"));
}
