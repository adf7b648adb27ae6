//! SIGHUP: the configuration is read again.

use lwm2m_model::Path;
use lwm2m_test_server::{Registration, ServerConfig, ServerEvent};
use nix::sys::signal::Signal;

use crate::support::{
    ENDPOINT, LIMIT, Lab, Link, closed_port, configuration, server, server_with, soon,
};

/// CORE-100; OBJ-40.
#[tokio::test]
async fn another_lifetime_is_told_by_an_update() {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let mut daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let mut events = server.events().unwrap();
    lab.write("lwm2md.yaml", configuration(&[Link::nosec(101, address).with("lifetime: 600")]));
    daemon.signal(Signal::SIGHUP);
    let update = async {
        loop {
            if let ServerEvent::Updated { changed, .. } = events.next().await.unwrap() {
                return changed;
            }
        }
    };
    let changed = soon("an Update", update).await;
    assert!(changed.lifetime && !changed.links, "{changed:?}");
    assert_eq!(server.registration(ENDPOINT).await.unwrap().lifetime, 600);
    daemon.line("info: server 101: its account has changed").await;
    daemon.line("info: the configuration was read again").await;
    daemon.stop().await;
}

/// CORE-89.
#[tokio::test]
async fn servers_come_and_go() {
    let (first, first_address) = server().await;
    let (second, second_address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, first_address)]));
    let mut daemon = lab.start();
    first.wait_registered(ENDPOINT, LIMIT).await.unwrap();

    let both = [Link::nosec(101, first_address), Link::nosec(102, second_address)];
    lab.write("lwm2md.yaml", configuration(&both));
    daemon.signal(Signal::SIGHUP);
    daemon.line("info: server 102: added to the configuration").await;
    let registration = second.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    assert!(registration.has(&Path::instance(1, 1)));
    daemon.line("info: server 102: registered").await;

    lab.write("lwm2md.yaml", configuration(&[Link::nosec(102, second_address)]));
    daemon.signal(Signal::SIGHUP);
    daemon.line("info: server 101: removed from the configuration").await;
    daemon.line("info: the configuration was read again").await;
    // Its account is gone from what the other one is told.
    let is_alone = |known: &Registration| !known.has(&Path::instance(1, 0));
    second.wait_for(is_alone, "an Update without /1/0".into(), LIMIT).await.unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing() {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let mut daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    lab.write("lwm2md.yaml", "endpoint: gateway\nservers: none\n");
    daemon.signal(Signal::SIGHUP);
    let line = daemon.line("error: ").await;
    assert!(lab.plain(&line).starts_with("error: DIR/lwm2md.yaml:2:10: servers: "), "{line}");
    daemon.line("warn: the configuration has faults; the one read before stays in force").await;
    let answer = server.read(ENDPOINT, &Path::resource(1, 0, 1), None).await.unwrap();
    assert_eq!(answer.entries.len(), 1, "still served: {answer:?}");
    // What is right again counts again.
    lab.write("lwm2md.yaml", configuration(&[Link::nosec(101, address)]));
    daemon.signal(Signal::SIGHUP);
    daemon.line("the configuration was read again; no server account has changed").await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_change_live_is_named_each_time() {
    let address = closed_port();
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let mut daemon = lab.start();
    daemon.line("starts as gateway").await;
    let text = configuration(&[Link::nosec(101, address)]);
    let text = text.replace("endpoint: gateway", "endpoint: other");
    let text = format!(
        "{text}lwm2m_version: 1.1\nmin_lwm2m_version: 1.0\nobjects: {{device: {{model: X}}}}\n"
    );
    lab.write("lwm2md.yaml", text);
    for _ in 0..2 {
        daemon.signal(Signal::SIGHUP);
        for key in ["endpoint", "lwm2m_version", "min_lwm2m_version", "objects.device"] {
            daemon
                .line(&format!(
                    "warn: {key} has changed; the new value counts from the next start of lwm2md"
                ))
                .await;
        }
        daemon.line("no server account has changed").await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn an_account_that_was_mended_is_tried_at_once() {
    let (server, address) = server_with(ServerConfig {
        coap: None,
        coaps: Some(([127, 0, 0, 1], 0).into()),
        psk: vec![(b"right".to_vec(), vec![0x11; 16])],
        ..ServerConfig::default()
    })
    .await;
    let key = format!("hex: \"{}\"", "11".repeat(16));
    let link = |identity: &str| {
        Link::psk(101, address, identity, &key).with("retry: {count: 1, sequence_delay: 86400}")
    };
    let lab = Lab::new(&configuration(&[link("wrong")]));
    let mut daemon = lab.start();
    let line = daemon.line("warn: server 101: ").await;
    assert!(line.contains("; next attempt in 1 d"), "{line}");
    lab.write("lwm2md.yaml", configuration(&[link("right")]));
    daemon.signal(Signal::SIGHUP);
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    daemon.stop().await;
}

/// A handshake with a wrong key is not refused: it is answered by nobody, for a minute.
#[tokio::test]
async fn a_key_that_was_mended_ends_the_handshake_with_the_wrong_one() {
    let (server, address) = server_with(ServerConfig {
        coap: None,
        coaps: Some(([127, 0, 0, 1], 0).into()),
        psk: vec![(b"gateway".to_vec(), vec![0x11; 16])],
        ..ServerConfig::default()
    })
    .await;
    let link =
        |byte: &str| Link::psk(101, address, "gateway", &format!("hex: \"{}\"", byte.repeat(16)));
    let lab = Lab::new(&configuration(&[link("22")]));
    let mut daemon = lab.start();
    daemon.line("info: lwm2md ").await;
    lab.write("lwm2md.yaml", configuration(&[link("11")]));
    daemon.signal(Signal::SIGHUP);
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn an_account_that_is_removed_says_farewell_and_queue_mode_takes_a_register() {
    let (server, address) = server_with(ServerConfig::default()).await;
    let (other, other_address) = server_with(ServerConfig::default()).await;
    let both = [Link::nosec(101, address), Link::nosec(102, other_address)];
    let lab = Lab::new(&configuration(&both));
    let mut daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    other.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    // The server knows it before the daemon does.
    daemon.shows("info: server 101: registered").await;
    daemon.shows("info: server 102: registered").await;
    let mut events = other.events().unwrap();

    let queue_mode = Link::nosec(101, address).with("queue_mode: true");
    lab.write("lwm2md.yaml", configuration(&[queue_mode]));
    daemon.signal(Signal::SIGHUP);
    let queued = |known: &Registration| known.queue;
    server.wait_for(queued, "queue mode".into(), LIMIT).await.unwrap();
    loop {
        let event = tokio::time::timeout(LIMIT, events.next()).await.unwrap().unwrap();
        if matches!(event, ServerEvent::Deregistered { .. }) {
            break;
        }
    }
    daemon.line("server 102: no longer registered: the account was removed").await;
    daemon.stop().await;
}
