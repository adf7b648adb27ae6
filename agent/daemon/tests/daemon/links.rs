//! Servers that cannot be reached: one clear line each, the same reason on the bus,
//! and a registration without help once they can.

use std::net::SocketAddr;

use lwm2m_test_server::{ServerConfig, Switch};

use crate::support::{Bus, ENDPOINT, LIMIT, Lab, Link, closed_port, configuration, server_with};

const KEY: &str = "hex: \"11111111111111111111111111111111\"";
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// A DTLS server that knows one identity, `right`.
fn dtls() -> ServerConfig {
    ServerConfig {
        coap: None,
        coaps: Some((LOOPBACK, 0).into()),
        psk: vec![(b"right".to_vec(), vec![0x11; 16])],
        ..ServerConfig::default()
    }
}

#[tokio::test]
async fn each_failure_is_one_line_with_the_time_of_the_next_attempt() {
    let (_server, address) = server_with(dtls()).await;
    let closed = closed_port();
    let unknown_host = Link {
        uri: "coap://lwm2m.invalid".into(),
        ..Link::nosec(101, SocketAddr::from((LOOPBACK, 1)))
    };
    let cases = [
        (Link::psk(101, address, "wrong", KEY), "the server refused the handshake (alert "),
        (Link::nosec(101, closed), "the port is closed: nothing listens at 127.0.0.1:"),
        (Link::psk(101, closed, "right", KEY), "the port is closed: nothing listens at "),
        (unknown_host, "cannot resolve lwm2m.invalid: "),
    ];
    for (link, reason) in cases {
        let lab = Lab::new(&configuration(&[link.with("retry: {timer: 600}")]));
        let Some(bus) = Bus::start(&lab) else { return };
        let mut daemon = lab.start_on(&Bus::address(&lab));
        daemon.line("info: D-Bus: org.lwm2md is on").await;
        // Before this line or after it: both come in the first second.
        let agent = bus.client().await;
        let server = loop {
            let server = agent.servers().await.unwrap().remove(0);
            if server.last_error.is_some() {
                break server;
            }
            daemon.shows("warn: server 101: ").await;
        };
        assert_eq!((server.state.as_str(), server.failures), ("waiting", 1));
        let told = server.last_error.unwrap();
        assert!(told.starts_with(reason), "{told}");
        assert!(server.next_in.is_some_and(|next| (500..=660).contains(&next)), "{told}");
        let log = daemon.stop().await;
        let warnings: Vec<&str> = log.lines().filter(|line| line.starts_with("warn:")).collect();
        let [warning] = warnings.as_slice() else { panic!("one line: {log}") };
        // The back-off is lengthened by up to a tenth.
        let line = format!("warn: server 101: {told}; next attempt in 1");
        assert!(warning.starts_with(&line), "{warning}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_at_first_is_asked_again() {
    for secure in [false, true] {
        let config = if secure { dtls() } else { ServerConfig::default() };
        let (server, address) = server_with(config).await;
        server.silent(Switch::On).await.unwrap();
        let (link, state) = match secure {
            false => (Link::nosec(101, address), "registering"),
            true => (Link::psk(101, address, "right", KEY), "connecting"),
        };
        let lab = Lab::new(&configuration(&[link]));
        let Some(bus) = Bus::start(&lab) else { return };
        let mut daemon = lab.start_on(&Bus::address(&lab));
        daemon.line("info: D-Bus: org.lwm2md is on").await;
        let told = bus.client().await.servers().await.unwrap().remove(0);
        assert_eq!((told.state.as_str(), told.last_error), (state, None));
        server.silent(Switch::Off).await.unwrap();
        server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
        daemon.line("info: server 101: registered with LwM2M 1.2, lifetime 5 min").await;
        let log = daemon.stop().await;
        assert!(!log.contains("warn:"), "no attempt has failed yet: {log}");
    }
}

#[tokio::test]
async fn a_server_that_comes_later_is_found_without_help() {
    let address = closed_port();
    let lab = Lab::new(&configuration(&[Link::nosec(101, address).with("retry: {timer: 1}")]));
    let mut daemon = lab.start();
    daemon.line("nothing listens at").await;
    let config = ServerConfig { coap: Some(address), ..ServerConfig::default() };
    let (server, _) = server_with(config).await;
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    daemon.line("info: server 101: registered").await;
    daemon.stop().await;
}

/// CORE-97.
#[tokio::test]
async fn a_server_that_has_forgotten_us_gets_a_register() {
    let (server, address) = server_with(ServerConfig::default()).await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let Some(bus) = Bus::start(&lab) else { return };
    let mut daemon = lab.start_on(&Bus::address(&lab));
    daemon.shows("info: D-Bus: org.lwm2md is on").await;
    daemon.shows("info: server 101: registered").await;
    server.forget(ENDPOINT).await.unwrap();
    bus.client().await.update(101).await.unwrap();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    daemon.line("warn: server 101: Update refused with 4.04 Not Found; next attempt at once").await;
    daemon.line("info: server 101: registered").await;
    daemon.stop().await;
}
