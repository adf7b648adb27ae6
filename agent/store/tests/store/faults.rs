//! Every call by which the store touches the disk fails once, or is not made, since its
//! process is killed at it.

use std::ffi::OsStr;

use crate::child;
use crate::scenario::Scenario;
use crate::support::{number_of, open, scratch};
use crate::trace::{TOUCHING, befall, is_there};

/// Lets `fault` befall every place of every call.
fn everywhere(scenarios: &[Scenario], calls: &[&str], fault: &str) {
    if !is_there() {
        return;
    }
    for scenario in scenarios.iter().copied() {
        for call in calls {
            let befalls = |place: &usize| {
                let directory = scratch();
                scenario.prepare(directory.path());
                let done = befall((call, fault, *place), scenario, directory.path(), LAST);
                done.inspect(|done| {
                    eprintln!("{scenario:?}, {fault} at {call} {place}: {done}");
                    scenario.check(directory.path(), done);
                })
                .is_some()
            };
            let places = (1..MANY).take_while(befalls).count();
            assert!(places < MANY - 1, "{scenario:?}: {call} without end");
            let is_needed = ["pwrite64", "fdatasync", "pread64"].contains(call);
            assert!(places > 0 || !is_needed, "{scenario:?}: no {call} at all");
        }
    }
}

#[test]
fn a_write_or_sync_that_fails_loses_nothing() {
    everywhere(&Scenario::ALL, TOUCHING, "error=EIO");
}

#[test]
fn a_disk_that_is_full_for_a_moment_loses_nothing() {
    everywhere(
        &[Scenario::Course, Scenario::Trial],
        &["pwrite64", "openat", "linkat"],
        "error=ENOSPC",
    );
}

/// A page that cannot be read now may be read tomorrow: nothing is set aside.
#[test]
fn a_read_that_fails_loses_nothing() {
    everywhere(&Scenario::ALL, &["pread64", "fcntl"], "error=EIO");
}

#[test]
fn a_process_killed_at_any_call_loses_nothing() {
    everywhere(&Scenario::ALL, TOUCHING, "signal=KILL");
}

/// A file that may not grow beyond a limit fails in the middle of a write.
#[test]
fn a_disk_that_is_full_at_any_byte_loses_nothing() {
    let mut refused = 0;
    for limit in (0..160_000).step_by(2039) {
        let directory = scratch();
        let script = format!("trap '' XFSZ; exec prlimit --fsize={limit} \"$@\"");
        let program = ["sh", "-c", &script, "sh"].map(OsStr::new);
        let done = child::run(&program, Scenario::Course, directory.path(), LAST);
        refused += u32::from(!done.has_finished());
        Scenario::Course.check(directory.path(), &done);
    }
    assert!(refused > 10, "{refused}");
}

/// Time decides where: at places that no list of calls names.
#[test]
fn a_process_killed_at_any_time_loses_nothing() {
    let directory = scratch();
    let mut state = 0;
    for delay in 0..20 {
        let seconds = format!("0.{:03}", 5 + delay * 3);
        let program = ["timeout", "--signal=KILL", &seconds].map(OsStr::new);
        let done = child::run(&program, Scenario::Course, directory.path(), 250);
        let states = done.acknowledged.max(state)..=done.wanted.max(state);
        state = number_of(&open(directory.path()).records);
        assert!(states.contains(&state), "{state} is not of {states:?}");
    }
}

/// One step before a restart and one after it.
const LAST: u8 = 2;
/// More than a child makes of any call.
const MANY: usize = 1000;
