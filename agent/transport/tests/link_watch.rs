//! Changes of a network, in a namespace of its own.
//!
//! A namespace belongs to a thread here, so the test makes it in the thread that
//! watches; `ip` inherits it.

use std::process::Command;
use std::time::Duration;

use lwm2m_engine::LinkId;
use lwm2m_model::Instant;
use lwm2m_transport::{LinkEvent, LinkSecurity, LinkWatch, Links, LinksConfig, SETTLE_TIME, clock};
use nix::sched::{CloneFlags, unshare};

fn ip(arguments: &str) -> bool {
    Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Takes in all that the kernel has said up to now. It queues a message before
/// the command that caused it ends, so one look that finds nothing is enough.
async fn catch_up(watch: &mut LinkWatch) {
    let limit = Duration::from_millis(1);
    while tokio::time::timeout(limit, watch.next()).await.is_ok() {}
}

/// Long after everything has settled.
fn later() -> Instant {
    clock::now().boot + SETTLE_TIME * 2
}

/// A network namespace for this thread, with an interface `wan0`; says so if there
/// can be none.
fn own_network() -> bool {
    // Kernels have one or the other; both have a carrier as soon as they are up.
    let mut kinds = ["dummy", "ifb"].into_iter();
    let made = unshare(CloneFlags::CLONE_NEWNET).is_ok()
        && kinds.any(|kind| ip(&format!("link add wan0 type {kind}")));
    if !made {
        eprintln!("not run: it takes root, CAP_NET_ADMIN, the program ip and a dummy interface");
    }
    made
}

#[tokio::test]
async fn a_link_whose_address_is_gone_ends_and_another_stays() {
    if !own_network() {
        return;
    }
    for command in ["link set wan0 up", "address add 192.0.2.1/24 dev wan0"] {
        assert!(ip(command), "ip {command}");
    }
    let mut links = Links::new(LinksConfig::default());
    links.open(LinkId(1), 101, "coap://192.0.2.2", LinkSecurity::NoSec);
    let mut up = false;
    links.next(&mut |event| up = matches!(event, LinkEvent::Up { .. })).await;
    assert!(up);

    assert!(ip("address add 192.0.2.77/24 dev wan0"));
    links.check_addresses();
    let mut nothing = |event: LinkEvent<'_>| panic!("{event:?}");
    assert!(tokio::time::timeout(Duration::ZERO, links.next(&mut nothing)).await.is_err());

    for command in ["address flush dev wan0", "address add 192.0.2.9/24 dev wan0"] {
        assert!(ip(command), "ip {command}");
    }
    links.check_addresses();
    let mut down = String::new();
    links
        .next(&mut |event| {
            if let LinkEvent::Down { reason, .. } = event {
                down = reason;
            }
        })
        .await;
    assert_eq!(down, "the network has changed: 192.0.2.1 is not our address any more");
}

#[tokio::test]
async fn each_real_change_is_told_once() {
    if !own_network() {
        return;
    }
    let mut watch = LinkWatch::new();
    catch_up(&mut watch).await;
    assert!(!watch.handle_timeout(later()), "what is there at the start is no change");

    for (commands, changes) in [
        (&["link set lo up"][..], false),
        (&["address add 10.9.9.9/32 dev lo"], false),
        (&["address add 192.0.2.1/24 dev wan0"], true),
        (&["address change 192.0.2.1/24 dev wan0 valid_lft 500 preferred_lft 400"], false),
        (&["link set wan0 up", "route add default via 192.0.2.2"], true),
        (&["route add 198.51.100.0/24 via 192.0.2.2"], false),
        (&["link set wan0 mtu 1400"], false),
        (&["route del default", "route add default via 192.0.2.2"], false),
        (&["route del default"], true),
        (&["link set wan0 down"], true),
        (&["link del wan0"], true),
    ] {
        for command in commands {
            assert!(ip(command), "ip {command}");
        }
        catch_up(&mut watch).await;
        assert!(!watch.handle_timeout(clock::now().boot), "{commands:?}: not settled yet");
        assert_eq!(watch.handle_timeout(later()), changes, "{commands:?}");
        assert!(!watch.handle_timeout(later()), "{commands:?}: told once");
    }
}
