//! The power goes at every call by which a store touches the disk (design, promise 2).

use crate::child::Done;
use crate::disk::{Arrived, Disk};
use crate::scenario::Scenario;
use crate::support::{NAME, scratch};
use crate::trace::{Call, is_there, record};

/// Plays a scenario once, then cuts the power before each call and after the last one;
/// `arrived` picks what had arrived by then.
fn cut_everywhere(
    scenario: Scenario,
    last: u8,
    arrived: impl Fn(usize) -> Vec<Arrived>,
) -> Vec<Call> {
    let directory = scratch();
    scenario.prepare(directory.path());
    let mut disk = Disk::holding(directory.path());
    let calls = record(scenario, directory.path(), last);
    let mut said = String::new();
    for cut in 0..=calls.len() {
        for arrived in arrived(cut) {
            let directory = scratch();
            disk.cut(arrived, directory.path());
            let done = Done::from_output(said.clone());
            let next = calls.get(cut).map(|call| format!("{call:.60?}"));
            eprintln!("{scenario:?}, cut before call {cut}, {next:?}, {arrived:?}, {done}");
            scenario.check(directory.path(), &done);
        }
        match calls.get(cut) {
            Some(Call::Say(more)) => said.push_str(more),
            Some(call) => disk.take(call),
            None => {}
        }
    }
    calls
}

/// A power cut at any instruction loses no acknowledged change, and never leaves a part
/// of one.
#[test]
fn a_power_cut_before_any_call_loses_nothing() {
    if !is_there() {
        return;
    }
    for scenario in Scenario::ALL {
        let calls = cut_everywhere(scenario, LAST, |_| Arrived::ALL.to_vec());
        let syncs = calls.iter().filter(|call| matches!(call, Call::Sync { .. })).count();
        assert!(syncs > usize::from(LAST), "{scenario:?}: {syncs} syncs");
    }
}

/// The log is brought to the database while the store is in use.
#[test]
fn a_power_cut_in_a_long_course_loses_nothing() {
    if !is_there() {
        return;
    }
    let calls =
        cut_everywhere(Scenario::Course, LONG, |cut| vec![Arrived::ALL[cut % Arrived::ALL.len()]]);
    let said = |state: u8| {
        let wanted = Call::Say(format!("\nwanted {state}\n"));
        calls.iter().position(|call| *call == wanted).unwrap()
    };
    let second_half = &calls[said(LONG / 2 + 2)..said(LONG)];
    let is_to_database = |call: &Call| matches!(call, Call::Write { name, .. } if name == NAME);
    assert!(second_half.iter().any(is_to_database), "the log was not brought to the database");
}

/// Enough steps for the pages of records to grow and shrink before and after a restart.
const LAST: u8 = 4;
/// Enough for the log to reach its limit after the restart.
const LONG: u8 = 120;
