//! `status.json` in the runtime directory follows the registration.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Daemon, ENDPOINT, Lab, Link, Systemd, closed_port, configuration, server};

/// The file, which must be whole whenever it is read.
fn read(lab: &Lab) -> Value {
    serde_json::from_slice(&std::fs::read(lab.path("run/status.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn status_json_follows_the_registration_and_ends_with_the_daemon() {
    let (server, address) = server().await;
    let link = |address| Link::nosec(101, address).with("retry: {timer: 600}");
    let lab = Lab::new(&configuration(&[link(address)]));
    lab.write("run/.keep", "");
    let systemd = Systemd::at(&lab.path("notify"));
    let mut command = lab.command();
    command.env("NOTIFY_SOCKET", lab.path("notify"));
    command.env("RUNTIME_DIRECTORY", format!("{}:/elsewhere", lab.path("run").display()));
    let daemon = Daemon::spawn(command);
    systemd.waits_for("READY=1").await;
    assert_eq!(read(&lab)["endpoint"], ENDPOINT, "there from the start");

    systemd.waits_for("STATUS=server 101 registered").await;
    let registered = read(&lab)["servers"][0].clone();
    let location = server.registration(ENDPOINT).await.unwrap().location;
    for (key, value) in [
        ("short_server_id", json!(101)),
        ("uri", json!(format!("coap://{address}"))),
        ("state", json!("registered")),
        ("version", json!("1.2")),
        ("location", json!(location)),
        ("lifetime", json!(300)),
        ("queue_mode", json!(false)),
        ("last_error", json!(null)),
    ] {
        assert_eq!(registered[key], value, "{key}");
    }

    let closed = closed_port();
    lab.write("lwm2md.yaml", configuration(&[link(closed)]));
    daemon.signal(Signal::SIGHUP);
    let reason = format!("the port is closed: nothing listens at {closed}");
    systemd.waits_for(&format!("STATUS=server 101 waiting ({reason})")).await;
    let waiting = read(&lab)["servers"][0].clone();
    assert_eq!((&waiting["state"], &waiting["last_error"]), (&json!("waiting"), &json!(reason)));

    daemon.stop().await;
    assert!(!lab.path("run/status.json").exists(), "a stopped agent has no state");
}
