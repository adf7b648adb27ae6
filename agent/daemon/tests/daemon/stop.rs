//! The end: within 5 s, with a farewell only where it is configured.

use std::time::Duration;

use lwm2m_test_server::{Events, ServerEvent, Switch};
use nix::sys::signal::Signal;

use crate::support::{Bus, ENDPOINT, Lab, Link, closed_port, configuration, server};

/// systemd is promised an end within this time.
const PROMISED: Duration = Duration::from_secs(5);

fn farewells(events: &mut Events) -> usize {
    std::iter::from_fn(|| events.try_next())
        .filter(|event| matches!(event, ServerEvent::Deregistered { .. }))
        .count()
}

#[tokio::test]
async fn a_stop_keeps_the_registration() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (server, address) = server().await;
        let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
        let mut daemon = lab.start();
        daemon.line("info: server 101: registered").await;
        let mut events = server.events().unwrap();
        daemon.signal(signal);
        let (code, log) = daemon.ended_within(PROMISED).await;
        assert_eq!(code, 0, "{log}");
        // The server answers in order: a farewell would have been seen before this.
        assert_eq!(server.registration(ENDPOINT).await.unwrap().endpoint, ENDPOINT);
        assert_eq!(farewells(&mut events), 0);
    }
}

/// CORE-107.
#[tokio::test]
async fn a_farewell_is_said_where_it_is_configured() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (server, address) = server().await;
        let text = configuration(&[Link::nosec(101, address)]);
        let lab = Lab::new(&format!("deregister_on_stop: true\n{text}"));
        let mut daemon = lab.start();
        daemon.line("info: server 101: registered").await;
        let mut events = server.events().unwrap();
        daemon.signal(signal);
        let (code, log) = daemon.ended_within(PROMISED).await;
        assert_eq!(code, 0, "{log}");
        assert_eq!(server.registrations().await.unwrap(), []);
        assert_eq!(farewells(&mut events), 1);
    }
}

#[tokio::test]
async fn a_silent_server_delays_no_stop() {
    let (server, address) = server().await;
    let text = configuration(&[Link::nosec(101, address)]);
    let lab = Lab::new(&format!("deregister_on_stop: true\n{text}"));
    let mut daemon = lab.start();
    daemon.line("info: server 101: registered").await;
    server.silent(Switch::On).await.unwrap();
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.ended_within(PROMISED).await;
    assert_eq!(code, 0, "{log}");
}

#[tokio::test]
async fn a_bus_that_hangs_delays_no_stop() {
    let lab = Lab::new(&configuration(&[Link::nosec(101, closed_port())]));
    let Some(bus) = Bus::start(&lab) else { return };
    let mut daemon = lab.start_on(&Bus::address(&lab));
    daemon.line("info: D-Bus: org.lwm2md is on").await;
    bus.signal(Signal::SIGSTOP);
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.ended_within(PROMISED).await;
    assert_eq!(code, 0, "{log}");
}
