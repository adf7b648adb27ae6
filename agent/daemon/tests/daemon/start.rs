//! Start: what systemd hears, `--check`, wrong configurations, and buses that are
//! not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{
    Bus, Daemon, ENDPOINT, LIMIT, Lab, Link, Systemd, closed_port, configuration, server,
};

const REGISTERED: &str = "STATUS=server 101 registered";

#[tokio::test]
async fn ready_comes_before_the_registration() {
    let (_server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let path = lab.path("notify");
    let by_path = (Systemd::at(&path), path.display().to_string());
    let by_name = Systemd::at_abstract(&format!("lwm2md-start-{}", std::process::id()));
    for (systemd, socket) in [by_path, by_name] {
        let mut command = lab.command();
        command.env("NOTIFY_SOCKET", socket);
        let daemon = Daemon::spawn(command);
        let before = systemd.waits_for("READY=1").await;
        assert!(!before.iter().any(|message| message == REGISTERED), "{before:?}");
        systemd.waits_for(REGISTERED).await;
        daemon.stop().await;
        systemd.waits_for("STOPPING=1").await;
    }
}

#[tokio::test]
async fn a_device_without_a_server_has_started_too() {
    let address = closed_port();
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let systemd = Systemd::at(&lab.path("notify"));
    let mut command = lab.command();
    command.env("NOTIFY_SOCKET", lab.path("notify"));
    let daemon = Daemon::spawn(command);
    systemd.waits_for("READY=1").await;
    let reason = format!("the port is closed: nothing listens at {address}");
    systemd.waits_for(&format!("STATUS=server 101 waiting ({reason})")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_watchdog_is_fed_when_systemd_asks_for_it() {
    let lab = Lab::new(&configuration(&[Link::nosec(101, closed_port())]));
    let systemd = Systemd::at(&lab.path("notify"));
    let mut command = lab.command();
    command.env("NOTIFY_SOCKET", lab.path("notify")).env("WATCHDOG_USEC", "200000");
    let daemon = Daemon::spawn(command);
    for _ in 0..3 {
        systemd.waits_for("WATCHDOG=1").await;
    }
    daemon.stop().await;
}

#[test]
fn a_check_says_what_would_happen_or_what_is_wrong() {
    let lab = Lab::new(&configuration(&[Link::nosec(101, closed_port())]));
    let mut check = lab.command();
    check.arg("--check");
    let (code, out, err) = lab.run(check);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("the configuration is valid\n"), "{out}");
    assert!(!lab.path("state").exists(), "a check changes nothing");

    lab.write("lwm2md.yaml", "endpoint: a\nserver: []\nlwm2m_version: 1.3\n");
    let mut check = lab.command();
    check.arg("--check");
    let (code, out, err) = lab.run(check);
    assert_eq!((code, out.as_str()), (2, ""));
    for line in [
        "DIR/lwm2md.yaml:2:1: server: unknown key; did you mean `servers`?",
        "DIR/lwm2md.yaml:3:16: lwm2m_version: expected 1.0, 1.1 or 1.2, got 1.3",
    ] {
        assert!(err.lines().any(|found| found.starts_with(line)), "{err}");
    }
}

#[test]
fn a_wrong_start_exits_with_2_and_says_where() {
    let good = configuration(&[Link::nosec(101, closed_port())]);
    let lab = Lab::new(&good);
    let open = lab.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    lab.write("plain-file", "");
    let nosec_over_dtls = good.replace("coap://", "coaps://");
    // Configuration, state directory, what standard error says.
    let cases = [
        ("servers: [\n", "state", "error: DIR/lwm2md.yaml:"),
        ("endpont: a\n", "state", "error: DIR/lwm2md.yaml:1:1: endpont: "),
        (&nosec_over_dtls, "state", "error: DIR/lwm2md.yaml:4:10: servers[0].uri: "),
        ("", "state", "no server is configured"),
        (&good, "plain-file", "error: state directory DIR/plain-file: "),
        (&good, "open", "(mode 0777): run chmod 700 DIR/open\n"),
    ];
    for (text, state, expected) in cases {
        lab.write("lwm2md.yaml", text);
        let (code, out, err) = lab.run(lab.command_with("none", state));
        assert_eq!((code, out.as_str()), (2, ""), "{text}: {err}");
        assert!(err.contains(expected), "{text}: {err}");
    }
    fs::remove_file(lab.path("lwm2md.yaml")).unwrap();
    let (code, _, err) = lab.run(lab.command());
    assert_eq!(code, 2);
    assert!(err.starts_with("error: DIR/lwm2md.yaml: "), "{err}");
}

#[tokio::test]
async fn without_a_bus_everything_else_works() {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let log = daemon.stop().await;
    assert!(!log.contains("D-Bus"), "{log}");
}

#[tokio::test]
async fn a_bus_may_come_late_and_go_and_come_again() {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let mut daemon = lab.start_on(&Bus::address(&lab));
    daemon.line("warn: D-Bus: cannot serve org.lwm2md on the bus unix:path=").await;
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();

    let Some(bus) = Bus::start(&lab) else { return };
    daemon.line("info: D-Bus: org.lwm2md is on the bus unix:path=").await;
    assert_eq!(bus.client().await.status().await.unwrap().endpoint, ENDPOINT);

    drop(bus);
    daemon.line("warn: D-Bus: the connection is lost; it will be made again").await;
    let bus = Bus::start(&lab).unwrap();
    daemon.line("info: D-Bus: org.lwm2md is on the bus unix:path=").await;
    assert_eq!(bus.client().await.status().await.unwrap().endpoint, ENDPOINT);
    daemon.stop().await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_complained_about_once() {
    let lab = Lab::new(&configuration(&[Link::nosec(101, closed_port())]));
    let Some(_bus) = Bus::start(&lab) else { return };
    let mut first = lab.start_on(&Bus::address(&lab));
    first.line("info: D-Bus: org.lwm2md is on").await;
    let mut second = Daemon::spawn(lab.command_with(&Bus::address(&lab), "other-state"));
    let line = second.line("warn: D-Bus: cannot serve org.lwm2md").await;
    assert!(line.contains("taken"), "{line}");
    first.stop().await;
    second.line("info: D-Bus: org.lwm2md is on").await;
    second.stop().await;
}
