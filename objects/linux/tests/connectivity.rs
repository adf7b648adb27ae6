//! Connectivity Monitoring (4) in a network namespace of its own.
//!
//! A namespace belongs to a thread here, so the test makes it in the thread that
//! looks; `ip` inherits it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply};
use lwm2m_model::{Now, Path};
use lwm2m_objects::{BusHandle, ConnectivityMonitoring, ObjectHost, ObjectMessage, Roots};
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

fn read(host: &mut ObjectHost) -> BTreeMap<String, String> {
    let path = "/4/0".parse().unwrap();
    let call = Call { id: CallId(1), path, operation: CallOperation::Read, server: Some(101) };
    let Some(Ok(CallReply::Entries(entries))) = host.call(&call) else { panic!("no entries") };
    let text =
        |value: Option<&lwm2m_model::Value>| value.map_or_else(|| "-".into(), ToString::to_string);
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
    let bus = BusHandle::absent();
    host.add(Box::new(ConnectivityMonitoring::new(Roots::below(root.path()), bus, out)));
    let nothing = BTreeMap::from([("/4/0/1".into(), "-".into()), ("/4/0/4".into(), "-".into())]);
    assert_eq!(read(&mut host), nothing);

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
    assert_eq!(read(&mut host), BTreeMap::from(expected));

    assert!(ip("address add 198.51.100.7/24 dev wan0"));
    changed(&mut host, &["/4/0/4"]).await;
    assert!(read(&mut host).values().any(|value| value == "\"198.51.100.7\""));

    assert!(ip("link del wan0"));
    changed(&mut host, &["/4/0/0", "/4/0/4", "/4/0/5"]).await;
    assert_eq!(read(&mut host), nothing);
}

/// No test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);
