//! Connectivity Monitoring (4) and Connectivity Statistics (7) in a network namespace of its own.
//!
//! A namespace belongs to a thread here, so the test makes it in the thread that
//! looks; `ip` inherits it.

mod apn;
mod cellular;
mod modem;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Arguments, Code, Entry, Now, Path, Value, WriteMode};
use lwm2m_objects::{
    BusHandle, ConnectivityMonitoring, ConnectivityStatistics, Modems, ObjectHost, ObjectMessage,
    Roots,
};
use nix::sched::{CloneFlags, unshare};
use tokio::time::timeout;

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

/// A network namespace for this thread, with an interface `wan0`; says so if there
/// can be none.
fn own_network() -> bool {
    let mut kinds = ["dummy", "ifb"].into_iter();
    let made = unshare(CloneFlags::CLONE_NEWNET).is_ok()
        && kinds.any(|kind| ip(&format!("link add wan0 type {kind}")));
    if !made {
        eprintln!("not run: it takes root, CAP_NET_ADMIN, the program ip and a dummy interface");
    }
    made
}

fn read(host: &mut ObjectHost, path: &str) -> BTreeMap<String, String> {
    let path = path.parse().unwrap();
    let call = Call { id: CallId(1), path, operation: CallOperation::Read, server: Some(101) };
    let Some(Ok(CallReply::Entries(entries))) = host.call(&call) else { panic!("no entries") };
    let text = |value: Option<&Value>| value.map_or_else(|| "-".into(), ToString::to_string);
    entries.iter().map(|entry| (entry.path.to_string(), text(entry.value()))).collect()
}

/// Waits until each of the paths was said to have changed.
async fn changed(host: &mut ObjectHost, paths: &[&str]) {
    let mut open: Vec<Path> = paths.iter().map(|path| path.parse().unwrap()).collect();
    while !open.is_empty() {
        let message = timeout(PATIENCE, host.next()).await;
        if let ObjectMessage::Changed(path) = message.unwrap_or_else(|_| panic!("{open:?}")) {
            open.retain(|other| *other != path);
        }
    }
}

#[tokio::test]
async fn addresses_and_routes_are_those_of_the_kernel_and_their_changes_are_news() {
    if !own_network() {
        return;
    }
    // A sysfs without this link: what it is, its netlink message says.
    let root = tempfile::tempdir().unwrap();
    let mut host = ObjectHost::new(Now::default);
    let out = host.sender();
    let modems = Modems::new(BusHandle::absent());
    host.add(Box::new(ConnectivityMonitoring::new(Roots::below(root.path()), &modems, out)));
    let nothing = BTreeMap::from([("/4/0/1".into(), "-".into()), ("/4/0/4".into(), "-".into())]);
    assert_eq!(read(&mut host, "/4/0"), nothing);

    // An hour, so that no sample stands in for the news.
    host.watch(&"/4/0".parse().unwrap(), Some(Duration::from_secs(3600)));
    tokio::task::yield_now().await;
    for command in [
        "link set wan0 up",
        "address add 192.0.2.1/24 dev wan0",
        "-6 address add 2001:db8::1/64 dev wan0 nodad",
        "route add default via 192.0.2.254",
    ] {
        assert!(ip(command), "ip {command}");
    }
    changed(&mut host, &["/4/0/0", "/4/0/1", "/4/0/2", "/4/0/4", "/4/0/5"]).await;
    let expected = [
        ("/4/0/0", "41"),
        ("/4/0/1/0", "41"),
        ("/4/0/2", "0"),
        ("/4/0/4/0", "\"192.0.2.1\""),
        ("/4/0/4/1", "\"2001:db8::1\""),
        ("/4/0/5/0", "\"192.0.2.254\""),
    ];
    let expected = expected.map(|(path, value)| (path.to_owned(), value.to_owned()));
    assert_eq!(read(&mut host, "/4/0"), BTreeMap::from(expected));

    assert!(ip("address add 198.51.100.7/24 dev wan0"));
    changed(&mut host, &["/4/0/4"]).await;
    assert!(read(&mut host, "/4/0").values().any(|value| value == "\"198.51.100.7\""));

    assert!(ip("link del wan0"));
    changed(&mut host, &["/4/0/0", "/4/0/4", "/4/0/5"]).await;
    assert_eq!(read(&mut host, "/4/0"), nothing);
}

#[tokio::test]
async fn the_use_of_a_wire_is_there_to_be_observed() {
    if !own_network() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("sys/class/net/wan0");
    std::fs::create_dir_all(folder.join("device")).unwrap();
    std::fs::write(folder.join("speed"), "1\n").unwrap();
    std::fs::write(folder.join("duplex"), "half\n").unwrap();
    assert!(set_up_link());
    let mut host = ObjectHost::new(Now::default);
    let out = host.sender();
    let modems = Modems::new(BusHandle::absent());
    host.add(Box::new(ConnectivityMonitoring::new(Roots::below(root.path()), &modems, out)));
    // The first look is at the start. A value is that of a second of the kernel's clock.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let path: Path = "/4/0/6".parse().unwrap();
    assert!(read(&mut host, "/4/0").contains_key("/4/0/6"));
    host.watch(&path, Some(Duration::from_secs(1)));
    send();
    changed(&mut host, &["/4/0/6"]).await;
    assert!(read(&mut host, "/4/0/6")["/4/0/6"].parse::<u8>().unwrap() <= 100);
}

async fn answer(host: &mut ObjectHost, path: &str, operation: CallOperation) -> CallResult {
    let call = Call { id: CallId(2), path: path.parse().unwrap(), operation, server: Some(101) };
    if let Some(result) = host.call(&call) {
        return result;
    }
    loop {
        if let ObjectMessage::Reply { result, .. } = timeout(PATIENCE, host.next()).await.unwrap() {
            return result;
        }
    }
}

async fn execute(host: &mut ObjectHost, path: &str) {
    let operation = CallOperation::Execute(Arguments::default());
    assert_eq!(answer(host, path, operation).await, Ok(CallReply::Done), "{path}");
}

async fn period(host: &mut ObjectHost, seconds: i64) -> CallResult {
    let path = "/7/0/8";
    let entries = vec![Entry::new(path.parse().unwrap(), Value::Integer(seconds))];
    answer(host, path, CallOperation::Write { mode: WriteMode::Replace, entries }).await
}

/// Sends 40 kB and what belongs to it out of `wan0`.
fn send() {
    let socket = std::net::UdpSocket::bind("192.0.2.1:0").unwrap();
    for _ in 0..40 {
        socket.send_to(&[0; 1000], "192.0.2.2:9").unwrap();
    }
}

#[tokio::test]
async fn what_is_sent_between_start_and_stop_is_counted() {
    if !own_network() {
        return;
    }
    assert!(set_up_link());
    let root = tempfile::tempdir().unwrap();
    let mut host = ObjectHost::new(Now::default);
    let out = host.sender();
    host.add(Box::new(ConnectivityStatistics::new(Roots::below(root.path()), root.path(), out)));
    // An ifb counts as received what is sent through it: both directions are looked at.
    let sent = |host: &mut ObjectHost| {
        let values = read(host, "/7/0");
        let number = |path: &str| values[path].parse::<i64>().unwrap();
        number("/7/0/2") + number("/7/0/3")
    };
    send();
    assert_eq!(sent(&mut host), 0);
    execute(&mut host, "/7/0/6").await;
    send();
    let counted = sent(&mut host);
    assert!((40..60).contains(&counted), "{counted} kB");
    // The same link with new counters.
    assert!(ip("link del wan0") && own_link());
    send();
    execute(&mut host, "/7/0/7").await;
    let both = sent(&mut host);
    assert!((80..120).contains(&both), "{both} kB");
    send();
    execute(&mut host, "/7/0/7").await;
    assert_eq!(sent(&mut host), both, "stopped");
    execute(&mut host, "/7/0/6").await;
    assert!(sent(&mut host) < 40, "begun anew");

    assert_eq!(period(&mut host, -1).await.unwrap_err().code, Code::BAD_REQUEST);
    assert_eq!(read(&mut host, "/7/0/8")["/7/0/8"], "0");
    assert_eq!(period(&mut host, 1).await, Ok(CallReply::Done));
    assert_eq!(read(&mut host, "/7/0/8")["/7/0/8"], "1");
}

/// `wan0` once more, with an address and a neighbour.
fn own_link() -> bool {
    let made = ["dummy", "ifb"].into_iter().any(|kind| ip(&format!("link add wan0 type {kind}")));
    made && set_up_link()
}

fn set_up_link() -> bool {
    [
        "link set wan0 up",
        "address add 192.0.2.1/24 dev wan0",
        "neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev wan0",
    ]
    .into_iter()
    .all(ip)
}

/// No test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);
