//! Units that are run to their end through systemd, of which there is a double on a
//! private bus. Not run where dbus-daemon is missing.

mod lock_and_wipe;
mod systemd1;

use std::future::pending;
use std::time::Duration;

use lwm2m_objects::{BusHandle, UnitCause, is_instance_name, run_unit};
use tokio::sync::oneshot;
use zbus::Connection;

use crate::systemd1::{End, Start, on_bus};

/// Runs the unit of the tests on a connection.
async fn run(client: &Connection, limit: Duration) -> Result<(), UnitCause> {
    let (supply, bus) = BusHandle::channel();
    supply.send_replace(Some(client.clone()));
    let result = run_unit(&bus, UNIT, limit).await;
    result.map_err(|failure| {
        assert_eq!(failure.unit, UNIT);
        failure.cause
    })
}

#[test]
fn the_end_of_a_unit_is_told_whenever_it_comes() {
    let bad = |result, status| End { job: "failed", result, status };
    let job = |job| End { job, result: "success", status: 0 };
    let failed = |word: &str| Err(UnitCause::Failed(word.to_owned()));
    #[rustfmt::skip] // a table: one row an end
    let cases = [
        (End::DONE, Ok(())),
        (End::exit(3), Err(UnitCause::Exit(3))),
        (bad("exit-code", 203), Err(UnitCause::NotRun(203))),
        (bad("signal", 15), Err(UnitCause::Signal(15))),
        (bad("core-dump", 11), Err(UnitCause::Signal(11))),
        (bad("timeout", 15), Err(UnitCause::Timeout)),
        (bad("oom-kill", 9), failed("oom-kill")),
        (job("timeout"), Err(UnitCause::Timeout)),
        (job("dependency"), failed("dependency")),
        (job("skipped"), failed("skipped")),
        (job("canceled"), failed("canceled")),
        (job("a word of later"), failed("a word of later")),
    ];
    on_bus(async |bus| {
        for (end, expected) in cases {
            // Before the answer to the start, and after it.
            for at_once in [true, false] {
                let start = move |_: &str| match at_once {
                    true => Start::EndsAtOnce(end),
                    false => Start::Runs(Box::pin(async move { end })),
                };
                let (_systemd, calls) = bus.systemd(start).await;
                assert_eq!(run(&bus.client, LIMIT).await, expected, "{end:?}");
                let calls = calls.lock().unwrap().clone();
                let has_reset = calls.contains(&("ResetFailedUnit", UNIT.to_owned()));
                assert_eq!(has_reset, expected.is_err(), "{calls:?}");
                assert_eq!(calls[0], ("StartUnit", UNIT.to_owned()));
            }
        }
    });
}

#[test]
fn a_unit_that_is_not_started_says_why() {
    #[rustfmt::skip] // a table: one row an error
    let cases = [
        ("org.freedesktop.systemd1.NoSuchUnit", "no such unit: is it installed?"),
        ("org.freedesktop.DBus.Error.AccessDenied", "the polkit action org.freedesktop.systemd1.manage-units is needed"),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "lwm2md.rules grants"),
        ("org.freedesktop.systemd1.UnitMasked", "the double says no"),
        ("org.freedesktop.DBus.Error.NoReply", "was lost"),
        ("org.freedesktop.DBus.Error.ServiceUnknown", "systemd is not on the bus"),
    ];
    on_bus(async |bus| {
        for (name, part) in cases {
            let (_systemd, _) = bus.systemd(move |_| Start::Refused(name)).await;
            let cause = run(&bus.client, LIMIT).await.unwrap_err().to_string();
            assert!(cause.contains(part) && !cause.contains('\n'), "{name}: {cause}");
        }
    });
}

#[test]
fn without_systemd_or_a_bus_nothing_is_waited_for() {
    on_bus(async |bus| {
        assert_eq!(run(&bus.client, LIMIT).await, Err(UnitCause::NoSystemd));
        let failure = run_unit(&BusHandle::absent(), UNIT, LIMIT).await.unwrap_err();
        assert_eq!(failure.cause, UnitCause::NoBus);
        assert!(failure.to_string().starts_with("lwm2md-check@x.service: no D-Bus"), "{failure}");
    });
}

#[test]
fn a_second_run_on_the_same_connection_is_like_the_first() {
    on_bus(async |bus| {
        // systemd takes one subscription of each connection.
        let (_systemd, _) = bus.systemd(|_| Start::EndsAtOnce(End::DONE)).await;
        for _ in 0..2 {
            assert_eq!(run(&bus.client, LIMIT).await, Ok(()));
        }
    });
}

#[test]
fn a_bus_or_a_systemd_that_goes_away_is_a_failure_at_once() {
    for bus_too in [false, true] {
        on_bus(async |mut bus| {
            let (started, begun) = oneshot::channel();
            let started = std::sync::Mutex::new(Some(started));
            let start = move |_: &str| {
                let _ = started.lock().unwrap().take().unwrap().send(());
                Start::Runs(Box::pin(pending()))
            };
            let (systemd, _) = bus.systemd(start).await;
            let client = bus.client.clone();
            let running = tokio::spawn(async move { run(&client, LIMIT).await });
            begun.await.unwrap();
            match bus_too {
                true => bus.daemon.kill(),
                // As when it is executed anew.
                false => drop(systemd.release_name("org.freedesktop.systemd1").await.unwrap()),
            }
            assert_eq!(running.await.unwrap(), Err(UnitCause::Lost));
        });
    }
}

#[test]
fn a_unit_without_an_end_is_given_up() {
    on_bus(async |bus| {
        let (_systemd, _) = bus.systemd(|_| Start::Runs(Box::pin(pending()))).await;
        let limit = Duration::from_millis(50);
        assert_eq!(run(&bus.client, limit).await, Err(UnitCause::NoEnd(limit)));
    });
}

#[test]
fn names_of_instances_are_taken_as_they_are_or_not_at_all() {
    for name in ["a", "vpn-up", "10_net.sh", &"x".repeat(64)] {
        assert!(is_instance_name(name), "{name}");
    }
    for name in ["", ".", "..", ".hidden", "a/b", "a:b", "a b", "a@b", "ä", "a\\x2d", "a%i", "a\n"]
    {
        assert!(!is_instance_name(name), "{name}");
    }
    assert!(!is_instance_name(&"x".repeat(65)));
}

const UNIT: &str = "lwm2md-check@x.service";
/// No test waits so long unless it fails.
const LIMIT: Duration = Duration::from_secs(20);
