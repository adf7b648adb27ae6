//! Connectivity Monitoring (4) and Statistics (7) as a server sees them, in a network
//! namespace of its own.
//!
//! A namespace belongs to a thread here, so the test makes it in the thread of the server;
//! the daemon and `ip` inherit it.

use std::net::UdpSocket;
use std::process::Command;

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_server::{Observation, Server};
use nix::sched::{CloneFlags, unshare};

use crate::support::{ENDPOINT, LIMIT, Lab, Link, configuration, server, soon};

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

/// A network namespace for this thread, with an interface `wan0` that has an address and a
/// neighbour; says so if there can be none.
fn own_network() -> bool {
    let mut kinds = ["dummy", "ifb"].into_iter();
    let made = unshare(CloneFlags::CLONE_NEWNET).is_ok()
        && kinds.any(|kind| ip(&format!("link add wan0 type {kind}")))
        && [
            "link set lo up",
            "link set wan0 up",
            "address add 192.0.2.1/24 dev wan0",
            "neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev wan0",
        ]
        .into_iter()
        .all(ip);
    if !made {
        eprintln!("not run: it takes root, CAP_NET_ADMIN, the program ip and a dummy interface");
    }
    made
}

/// Waits for a notification that has exactly these addresses.
async fn has(observation: &mut Observation, addresses: &[&str]) {
    let wanted = addresses.iter().map(|text| Some(Value::String((*text).to_owned())));
    let wanted: Vec<Option<Value>> = wanted.collect();
    loop {
        let notification = observation.next_within(LIMIT).await.unwrap();
        let seen = notification.entries.iter().map(|entry| entry.value().cloned());
        if seen.eq(wanted.iter().cloned()) {
            return;
        }
    }
}

#[tokio::test]
async fn a_server_is_notified_of_an_address_that_changes() {
    if !own_network() {
        return;
    }
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let path = Path::resource(4, 0, 4);
    let mut addresses = server.observe(ENDPOINT, &path, &[], None).await.unwrap();
    for (command, now) in [
        ("address add 198.51.100.7/24 dev wan0", &["192.0.2.1", "198.51.100.7"][..]),
        ("address del 192.0.2.1/24 dev wan0", &["198.51.100.7"]),
        ("address add 203.0.113.9/24 dev wan0", &["198.51.100.7", "203.0.113.9"]),
    ] {
        assert!(ip(command), "ip {command}");
        soon(command, has(&mut addresses, now)).await;
    }
    daemon.stop().await;
}

async fn counted(server: &Server) -> i64 {
    let answer = server.read(ENDPOINT, &Path::instance(7, 0), None).await.unwrap();
    let counters = [Path::resource(7, 0, 2), Path::resource(7, 0, 3)];
    // What a dummy sends, an ifb says it has received.
    answer
        .entries
        .iter()
        .filter(|entry| counters.contains(&entry.path))
        .map(|entry| match entry.value() {
            Some(Value::Integer(kilobytes)) => *kilobytes,
            other => panic!("{}: {other:?}", entry.path),
        })
        .sum()
}

/// Sends 40 kB and what belongs to it out of `wan0`.
fn send() {
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    for _ in 0..40 {
        socket.send_to(&[0; 1000], "192.0.2.2:9").unwrap();
    }
}

/// The counters of Objects 9: they survive a restart of the agent, here one by SIGKILL.
#[tokio::test]
async fn a_collection_goes_on_while_the_agent_is_away() {
    if !own_network() {
        return;
    }
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let period = Path::resource(7, 0, 8);
    let entries = [Entry::new(period.clone(), Value::Integer(3600))];
    let (mode, format) = (WriteMode::Replace, ContentFormat::SENML_CBOR);
    let written = server.write(ENDPOINT, &period, mode, format, &entries).await;
    assert_eq!(written.unwrap().code, Code::CHANGED);
    let started = server.execute(ENDPOINT, &Path::resource(7, 0, 6), None).await.unwrap();
    assert_eq!(started.code, Code::CHANGED);
    send();
    let first = counted(&server).await;
    assert!((40..60).contains(&first), "{first} kB");

    drop(daemon); // SIGKILL
    send();
    let mut daemon = lab.start();
    daemon.line("registered with LwM2M").await;
    let both = counted(&server).await;
    assert!((80..120).contains(&both), "{both} kB");
    daemon.stop().await;
}
