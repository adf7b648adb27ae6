//! DTLS with a pre-shared key (Transport 12).

use std::time::Duration;

use lwm2m_interop::{Agent, AgentConfig, Event, Server};
use lwm2m_model::{Code, Value, WriteMode};

use crate::support::*;

#[test]
fn registers_is_read_written_and_observed_over_dtls() {
    with_leshan("does everything over DTLS with a key", &leshan(), |server| {
        server.add_psk(ENDPOINT, IDENTITY, KEY).unwrap();
        let (_agent, registration) = register(&server, &psk(&server, KEY));
        assert_eq!(registration.scheme, "coaps");
        assert_eq!(read_text(&server, "/3/0/16"), "U");
        let lifetime = path("/1/0/1");
        let (mode, value) = (WriteMode::Replace, Value::Integer(600));
        let answer = server.write(ENDPOINT, &lifetime, mode, None, &value).unwrap();
        assert_code(&answer, Code::CHANGED);
        let updated = |event: &Event| matches!(event, Event::Updated(now) if now.lifetime == 600);
        server.wait_event(LIMIT, updated).unwrap();
        let bindings = path("/3/0/16");
        server.write_attributes(ENDPOINT, &bindings, "pmin=1&pmax=1").unwrap();
        server.observe(ENDPOINT, &bindings, None, &[]).unwrap();
        let notification = server.wait_notification(&bindings, LIMIT).unwrap();
        assert_eq!(notification.value(&bindings), Some(&text("U")));
    });
}

#[test]
fn says_farewell_over_dtls_and_comes_back() {
    with_leshan("leaves and comes back over DTLS", &leshan(), |server| {
        server.add_psk(ENDPOINT, IDENTITY, KEY).unwrap();
        let config = psk(&server, KEY).general("deregister_on_stop", true);
        let (agent, _) = register(&server, &config);
        assert_eq!(agent.stop().unwrap().code(), Some(0));
        let left = |event: &Event| matches!(event, Event::Unregistered { is_expired: false, .. });
        server.wait_event(LIMIT, left).unwrap();
        let (_agent, _) = register(&server, &config);
        assert_eq!(read_text(&server, "/3/0/16"), "U");
    });
}

#[test]
fn wrong_credentials_are_told_in_one_line_with_the_next_attempt() {
    with_leshan("does not register with wrong credentials", &leshan(), |server| {
        server.add_psk(ENDPOINT, IDENTITY, KEY).unwrap();
        let address = server.coaps_address().unwrap();
        // At the same time: this server is silent to both, until the agents give up.
        let agents =
            [psk(&server, b"another key of 2"), AgentConfig::psk(ENDPOINT, address, "nobody", KEY)]
                .map(|config| config.start().unwrap());
        for agent in agents {
            is_refused(agent);
        }
        assert!(server.registrations().unwrap().is_empty());
    });
}

/// One warning, which no secret stands in, and an orderly stop.
fn is_refused(agent: Agent) {
    let line = agent.wait_log("next attempt in", HANDSHAKE_LIMIT).unwrap();
    assert!(line.starts_with("warn: server 101: "), "{line}");
    let log = agent.log();
    let warnings = log.iter().filter(|line| line.starts_with("warn") || line.starts_with("error"));
    assert_eq!(warnings.count(), 1, "{log:?}");
    let secret = |line: &String| line.contains("another key") || line.contains("616e6f74686572");
    assert!(!log.iter().any(secret), "{log:?}");
    assert_eq!(agent.stop().unwrap().code(), Some(0));
}

fn psk(server: &Server, key: &[u8]) -> AgentConfig {
    let address = server.coaps_address().unwrap();
    AgentConfig::psk(ENDPOINT, address, IDENTITY, key).account("lifetime", LIFETIME)
}

const IDENTITY: &str = "interop-1";
const KEY: &[u8] = b"sixteen bytes ok";
/// A server may be silent on a wrong key: then the agent gives up by itself.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(120);
