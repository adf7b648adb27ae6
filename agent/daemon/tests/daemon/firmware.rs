//! Firmware Update (5) with the back end that puts packages into a file (Objects 7).

use std::fs;
use std::time::Duration;

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_server::{Response, Server, ServerConfig, Timings};

use crate::support::{ENDPOINT, LIMIT, Lab, Link, configuration, server, server_with};

fn resource(id: u16) -> Path {
    Path::resource(5, 0, id)
}

fn with_file_back_end(lab: &Lab, text: &str) {
    let path = lab.path("installed").display().to_string();
    lab.write(
        "lwm2md.yaml",
        format!("{text}objects:\n  firmware: {{backend: file, path: {path}}}\n"),
    );
}

async fn push(server: &Server, bytes: &[u8]) -> Response {
    let package = [Entry::new(resource(0), Value::Opaque(bytes.to_vec()))];
    let (path, format) = (resource(0), ContentFormat::OPAQUE);
    server.write(ENDPOINT, &path, WriteMode::Replace, format, &package).await.unwrap()
}

/// State and Update Result.
async fn numbers(server: &Server) -> (i64, i64) {
    let read = server.read(ENDPOINT, &Path::instance(5, 0), None).await.unwrap();
    let number = |id| match read.value(&resource(id)) {
        Some(Value::Integer(number)) => *number,
        other => panic!("{other:?} at /5/0/{id}"),
    };
    (number(3), number(5))
}

async fn until(server: &Server, wanted: (i64, i64)) {
    let reached = async {
        while numbers(server).await != wanted {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, reached).await.unwrap_or_else(|_| panic!("never {wanted:?}"));
}

/// Objects 7.2, OBJ-95; DESIGN 3, Streams.
#[tokio::test]
async fn a_package_is_pushed_and_installed_over_a_lossy_network() {
    let (server, address) = server_with(ServerConfig {
        block_size: "1024".parse().unwrap(),
        loss: 0.001,
        timings: Timings::persistent(),
        ..ServerConfig::default()
    })
    .await;
    let lab = Lab::new("");
    with_file_back_end(&lab, &configuration(&[Link::nosec(101, address)]));
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    assert_eq!(numbers(&server).await, (0, 0));

    let package: Vec<u8> = (0..PACKAGE).map(|place| (place / 7) as u8).collect();
    assert_eq!(push(&server, &package).await.code, Code::CHANGED);
    assert_eq!(numbers(&server).await, (2, 0));
    assert_eq!(fs::read(lab.path("state/firmware/package")).unwrap(), package);
    // Not again while it is there.
    assert_eq!(push(&server, &package[..2048]).await.code, Code::METHOD_NOT_ALLOWED);

    let update = server.execute(ENDPOINT, &resource(2), None).await.unwrap();
    assert_eq!(update.code, Code::CHANGED);
    until(&server, (0, 1)).await;
    assert_eq!(fs::read(lab.path("installed")).unwrap(), package);
    assert!(!lab.path("state/firmware/package").exists());
    daemon.stop().await;
}

/// Objects 7.3
#[tokio::test]
async fn a_package_is_still_there_after_a_restart_and_can_be_cancelled() {
    let (server, address) = server().await;
    let lab = Lab::new("");
    with_file_back_end(&lab, &configuration(&[Link::nosec(101, address)]));
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let early = server.execute(ENDPOINT, &resource(2), None).await.unwrap();
    assert_eq!(early.code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(push(&server, &[7; 3000]).await.code, Code::CHANGED);
    daemon.stop().await;

    let daemon = lab.start();
    let event = server.wait_registered(ENDPOINT, LIMIT).await;
    event.unwrap();
    until(&server, (2, 0)).await;
    let cancel = server.execute(ENDPOINT, &resource(10), None).await.unwrap();
    assert_eq!(cancel.code, Code::CHANGED);
    assert_eq!(numbers(&server).await, (0, 10));
    assert!(!lab.path("state/firmware/package").exists());
    daemon.stop().await;
}

/// 4 MiB, so that a sync falls into it, and a part of a block.
const PACKAGE: usize = 4 * 1024 * 1024 + 100;
