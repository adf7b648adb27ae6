//! Packages that a server names and the daemon fetches (Objects 7.2, 7.3).

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::MAX_PART;
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_server::{Response, Server};

use crate::support::authority::Authority;
use crate::support::package_server::{Offer, PackageServer};
use crate::support::{ENDPOINT, LIMIT, Lab, Link, configuration, server};

fn resource(id: u16) -> Path {
    Path::resource(5, 0, id)
}

/// A daemon that puts packages into a file, with these lines below `firmware`.
fn configure(lab: &Lab, address: std::net::SocketAddr, lines: &str) {
    let accounts = configuration(&[Link::nosec(101, address)]);
    let path = lab.path("installed").display().to_string();
    lab.write(
        "lwm2md.yaml",
        format!("{accounts}objects:\n  firmware:\n    backend: file\n    path: {path}\n{lines}"),
    );
}

async fn write_uri(server: &Server, uri: &str) -> Response {
    let text = [Entry::new(resource(1), Value::String(uri.into()))];
    let (path, format) = (resource(1), ContentFormat::TEXT);
    server.write(ENDPOINT, &path, WriteMode::Replace, format, &text).await.unwrap()
}

async fn number(server: &Server, id: u16) -> i64 {
    let read = server.read(ENDPOINT, &resource(id), None).await.unwrap();
    match read.value(&resource(id)) {
        Some(Value::Integer(number)) => *number,
        other => panic!("{other:?} at /5/0/{id}"),
    }
}

async fn until(server: &Server, wanted: (i64, i64)) {
    let mut got = (0, 0);
    let reached = async {
        loop {
            got = (number(server, 3).await, number(server, 5).await);
            if got == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let reached = tokio::time::timeout(LIMIT, reached).await;
    reached.unwrap_or_else(|_| panic!("never {wanted:?}, but {got:?}"));
}

fn package() -> Arc<Vec<u8>> {
    Arc::new((0..PACKAGE).map(|place| (place / 7 % 251) as u8).collect())
}

/// OBJ-94, OBJ-95: after `kill -9` in the middle the rest is fetched.
#[tokio::test]
async fn a_download_goes_on_after_the_daemon_was_killed() {
    let (server, address) = server().await;
    let offer = Offer { package: package(), token: None, silent_after: Some(5 * MIB) };
    let web = PackageServer::start(offer);
    let lab = Lab::new("");
    configure(&lab, address, "");
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    assert_eq!(number(&server, 9).await, 2);
    let read = server.read(ENDPOINT, &resource(8), None).await.unwrap();
    let numbers = read.entries.iter().map(|entry| entry.value().cloned());
    // No key for coaps is configured.
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 2, 3].map(|it| Some(Value::Integer(it))));

    let uri = format!("{}/firmware.bin", web.origin());
    assert_eq!(write_uri(&server, &uri).await.code, Code::CHANGED);
    until(&server, (1, 0)).await;
    let stored = || fs::metadata(lab.path("state/firmware/package")).map_or(0, |it| it.len());
    let comes = async {
        // The last of what has come may wait in memory for more.
        while stored() + MAX_PART as u64 <= 5 * MIB as u64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, comes).await.unwrap();
    // Killed, as a test's value is that goes.
    drop(daemon);

    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    until(&server, (2, 0)).await;
    // Parts are as long as what the network had and are written some at a time, so that a
    // sync comes within two of 4 MiB.
    let ranges = web.ranges();
    let [first, second] = ranges.as_slice() else { panic!("{ranges:?}") };
    let offset = second.strip_prefix("bytes=").and_then(|it| it.strip_suffix('-'));
    let offset = offset.and_then(|offset| offset.parse::<usize>().ok());
    assert!(first.is_empty(), "{ranges:?}");
    let synced = 4 * MIB..4 * MIB + 2 * MAX_PART;
    assert!(offset.is_some_and(|offset| synced.contains(&offset)), "{ranges:?}");
    assert!(fs::read(lab.path("state/firmware/package")).unwrap() == *package());
    let update = server.execute(ENDPOINT, &resource(2), None).await.unwrap();
    assert_eq!(update.code, Code::CHANGED);
    until(&server, (0, 1)).await;
    assert!(fs::read(lab.path("installed")).unwrap() == *package());
    daemon.stop().await;
}

/// A token and an authority for one origin; without them the device gets nothing.
#[tokio::test]
async fn an_origin_has_its_own_authority_and_token() {
    let (server, address) = server().await;
    let authority = Authority::new("factory");
    let offer = Offer { package: package(), token: Some("s3cret".into()), silent_after: None };
    let web = PackageServer::start_secured(offer, &authority.certify(&["127.0.0.1"]));
    let lab = Lab::new("");
    lab.write("ca.pem", authority.pem());
    lab.write("token", "s3cret\n");
    let source = format!(
        "    sources:\n      - origin: {}\n        ca: {}\n        token: {{file: {}}}\n",
        web.origin(),
        lab.path("ca.pem").display(),
        lab.path("token").display()
    );
    let uri = format!("{}/firmware.bin", web.origin());
    for (lines, wanted) in
        [(&source[..source.find("        token").unwrap()], (0, 7)), (&source, (2, 0))]
    {
        configure(&lab, address, lines);
        let daemon = lab.start();
        server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
        assert_eq!(write_uri(&server, &uri).await.code, Code::CHANGED);
        until(&server, wanted).await;
        let log = daemon.stop().await;
        assert!(!log.contains("s3cret"), "{log}");
    }
    assert!(fs::read(lab.path("state/firmware/package")).unwrap() == *package());
}

/// Objects 7.2: what a URI cannot lead to is told by the result alone.
#[tokio::test]
async fn a_uri_that_leads_nowhere_is_told_by_the_result() {
    let (server, address) = server().await;
    let lab = Lab::new("");
    configure(&lab, address, "");
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    for (uri, result) in [
        ("ftp://127.0.0.1/x", 9),
        // There is no key for it.
        ("coaps://127.0.0.1/x", 9),
        ("https://user:secret@127.0.0.1/x", 7),
        ("nothing", 7),
    ] {
        assert_eq!(write_uri(&server, uri).await.code, Code::CHANGED, "{uri}");
        until(&server, (0, result)).await;
    }
    let log = daemon.stop().await;
    assert!(!log.contains("secret"), "{log}");
}

const MIB: usize = 1024 * 1024;
/// A sync falls into it.
const PACKAGE: usize = 6 * MIB + 100;
