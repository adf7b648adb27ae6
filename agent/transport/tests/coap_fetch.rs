//! How a fetch over CoAP ends that finds no package; real servers are in tests/interop.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::Duration;

use lwm2m_engine::{FetchFailure, FetchFailureKind, Resume};
use lwm2m_security::{Psk, Secret};
use lwm2m_transport::{CoapSource, LinkSecurity, Origin};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const LIMIT: Duration = Duration::from_secs(30);

async fn failure(source: &CoapSource, uri: &str) -> (FetchFailureKind, String) {
    // Nothing is handed out, so one place is enough.
    let (out, _parts) = mpsc::channel(1);
    let fetch = tokio::time::timeout(LIMIT, source.fetch(uri, None, out));
    let FetchFailure { kind, cause } = fetch.await.expect("in time").unwrap_err();
    (kind, cause)
}

/// The rows of Objects 7.2 on `download: ...` that the way to the server decides.
#[tokio::test]
async fn a_server_that_cannot_be_reached_is_lost_and_one_that_cannot_be_is_wrong() {
    use FetchFailureKind::{InvalidUri, Lost};

    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let key = LinkSecurity::Psk(Psk::new("gw", Secret::new(vec![1; 16])).unwrap());
    let known = Origin::parse(&format!("coaps://{closed}")).unwrap();
    let source = CoapSource::new(HashMap::from([(known, key)]));
    // A label of 64 letters is known to be none without asking anybody.
    let no_name = format!("coap://{}/fw", "a".repeat(64));
    for (uri, kind, cause) in [
        (format!("coap://{closed}/fw"), Lost, "the port is closed: nothing listens at"),
        (format!("coaps://{closed}/fw"), Lost, "the port is closed: nothing listens at"),
        (no_name, InvalidUri, "cannot resolve aaaa"),
        ("coaps://h:7/fw".into(), InvalidUri, "no credentials are configured for coaps://h:7"),
        ("coap://h/fw#part".into(), InvalidUri, "the URI has a fragment"),
    ] {
        let (found, why) = failure(&source, &uri).await;
        assert_eq!(found, kind, "{uri}: {why}");
        assert!(why.starts_with(cause), "{uri}: {why}");
    }
}

#[tokio::test]
async fn who_takes_nothing_any_more_ends_the_fetch_and_so_does_who_drops_it() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    let uri = format!("coap://{}/fw", server.local_addr().unwrap());

    let (out, parts) = mpsc::channel(1);
    drop(parts);
    let resume = Some(Resume { offset: 7, etag: vec![1] });
    let source = CoapSource::default();
    let ended = tokio::time::timeout(LIMIT, source.fetch(&uri, resume, out)).await.unwrap();
    assert_eq!(ended.unwrap_err().cause, "nobody takes the package any more");

    let (out, mut parts) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { CoapSource::default().fetch(&uri, None, out).await });
    let (server, _) = tokio::task::spawn_blocking(move || {
        let received = server.recv(&mut [0; 64]).unwrap();
        (server, received)
    })
    .await
    .unwrap();
    tasks.shutdown().await;
    assert_eq!(parts.recv().await, None);
    drop(server);
}
