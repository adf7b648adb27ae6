//! Keys: where they come from, what is refused, and that none is ever shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lwm2m_test_server::{Server, ServerConfig};
use nix::sys::signal::Signal;

use crate::support::{Bus, Daemon, ENDPOINT, LIMIT, Lab, Link, configuration, server_with};

/// 16 bytes that are text, so that a log would show them in any form.
const SECRET: &[u8; 16] = b"Sesam_oeffneDich";
const HEX: &str = "536573616d5f6f6566666e6544696368";
const BASE64: &str = "U2VzYW1fb2VmZm5lRGljaA==";

async fn secure_server() -> (Server, std::net::SocketAddr) {
    server_with(ServerConfig {
        coap: None,
        coaps: Some(([127, 0, 0, 1], 0).into()),
        psk: vec![(b"gateway".to_vec(), SECRET.to_vec())],
        strict_identity: true,
        ..ServerConfig::default()
    })
    .await
}

/// OBJ-30.
#[tokio::test]
async fn a_key_comes_from_each_of_its_sources_and_is_never_shown() {
    let (server, address) = secure_server().await;
    let lab = Lab::new("");
    lab.write("credentials/psk", SECRET);
    lab.write("raw.key", SECRET);
    lab.write("hex.key", format!("{HEX}\n"));
    for key in [
        format!("hex: {HEX:?}"),
        format!("base64: {BASE64:?}"),
        format!("file: {}", lab.path("raw.key").display()),
        format!("file: {}", lab.path("hex.key").display()),
        "credential: psk".into(),
    ] {
        lab.write("lwm2md.yaml", configuration(&[Link::psk(101, address, "gateway", &key)]));
        let mut command = lab.command_with("none", "state");
        command.args(["--log-level", "trace"]);
        command.env("CREDENTIALS_DIRECTORY", lab.path("credentials"));
        let mut daemon = Daemon::spawn(command);
        let registration = server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
        assert_eq!(registration.identity.as_deref(), Some(&b"gateway"[..]));
        daemon.signal(Signal::SIGHUP);
        daemon.line("the configuration was read again").await;
        let log = daemon.stop().await;
        assert!(log.contains("debug: "), "traced: {log}");
        assert_not_shown(&log);
        server.forget(ENDPOINT).await.unwrap();
    }
}

/// OBJ-30.
#[tokio::test]
async fn the_bus_shows_accounts_without_their_keys() {
    let (server, address) = secure_server().await;
    let key = format!("hex: {HEX:?}");
    let lab = Lab::new(&configuration(&[Link::psk(101, address, "gateway", &key)]));
    let Some(bus) = Bus::start(&lab) else { return };
    let mut command = lab.command_with(&Bus::address(&lab), "state");
    command.args(["--log-level", "trace"]);
    let mut daemon = Daemon::spawn(command);
    daemon.line("info: D-Bus: org.lwm2md is on").await;
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let agent = bus.client().await;
    let account = agent.read("/0").await.unwrap();
    assert!(account.iter().any(|value| value.path == "/0/0/0"), "{account:?}");
    assert!(!account.iter().any(|value| value.path == "/0/0/5"), "{account:?}");
    assert_not_shown(&format!("{account:?}"));
    assert!(agent.read("/0/0/5").await.is_err());
    assert_not_shown(&format!("{:?}", agent.servers().await.unwrap()));
    assert_not_shown(&daemon.stop().await);
}

/// OBJ-30.
#[test]
fn a_faulty_key_stops_the_start_and_is_not_quoted() {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5684));
    let lab = Lab::new("");
    lab.write("open.key", SECRET);
    fs::set_permissions(lab.path("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    lab.write("long.key", SECRET.repeat(5));
    let file = |name: &str| format!("file: {}", lab.path(name).display());
    // Key, what the error says after its place.
    let cases = [
        (file("open.key"), "chmod 600 DIR/open.key"),
        (file("none.key"), "DIR/none.key"),
        (file("long.key"), "64"),
        ("credential: psk".into(), "LoadCredential=psk"),
        (format!("hex: \"{HEX}x\""), "hex"),
        (format!("base64: \"{BASE64}*\""), "ase64"),
    ];
    for (key, advice) in cases {
        lab.write("lwm2md.yaml", configuration(&[Link::psk(101, address, "gateway", &key)]));
        let (code, out, err) = lab.run(lab.command());
        assert_eq!((code, out.as_str()), (2, ""), "{key}");
        let (place, message) = err.split_once(": servers[0].security.key: ").unwrap();
        assert!(place.starts_with("error: DIR/lwm2md.yaml:5:"), "{err}");
        assert!(message.contains(advice), "{err}");
        assert_not_shown(&err);
    }
}

fn assert_not_shown(text: &str) {
    let lower = text.to_lowercase();
    for form in [std::str::from_utf8(SECRET).unwrap(), HEX, BASE64.trim_end_matches('=')] {
        assert!(!lower.contains(&form.to_lowercase()), "{form} is in {text}");
    }
    // As a list of numbers, which is how Debug shows bytes.
    let numbers = format!("{:?}", &SECRET[..4]);
    assert!(!text.contains(numbers.trim_end_matches(']')), "the bytes are in {text}");
}
