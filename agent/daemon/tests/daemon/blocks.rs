//! A server that likes small blocks (RFC 7959): what is written and read goes in several
//! messages.

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_server::{ServerConfig, Timings};

use crate::support::{ENDPOINT, LIMIT, Lab, Link, configuration, server_with};

/// TRN-36, TRN-37
#[tokio::test]
async fn a_write_and_a_read_go_in_blocks_of_16_bytes_over_a_lossy_network() {
    let (server, address) = server_with(ServerConfig {
        block_size: "16".parse().unwrap(),
        loss: 0.1,
        timings: Timings::persistent(),
        ..ServerConfig::default()
    })
    .await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();

    let (instance, format) = (Path::instance(1, 0), ContentFormat::SENML_JSON);
    let entry = |id, value| Entry::new(Path::resource(1, 0, id), Value::Integer(value));
    let entries = [entry(2, 11), entry(3, 77)];
    let mut payload = Vec::new();
    lwm2m_codec::encode(format, &instance, &entries, &mut payload).unwrap();
    let written =
        server.write(ENDPOINT, &instance, WriteMode::Partial, format, &entries).await.unwrap();
    assert_eq!(written.code, Code::CHANGED);
    assert!(written.traffic.sent.len() >= payload.len().div_ceil(16));

    let read = server.read(ENDPOINT, &instance, Some(format)).await.unwrap();
    assert_eq!(read.value(&Path::resource(1, 0, 2)), Some(&Value::Integer(11)));
    assert_eq!(read.value(&Path::resource(1, 0, 3)), Some(&Value::Integer(77)));
    assert!(read.traffic.received.len() >= read.payload.len().div_ceil(16));
    daemon.stop().await;
}
