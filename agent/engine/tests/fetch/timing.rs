//! When a block is asked for again (RFC 7252 4.8.1, RFC 6298).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::*;

/// A fetch of so many blocks of 1024 over a network.
fn fetch(blocks: usize, fate: impl FnMut(usize) -> Vec<u64> + 'static) -> Outcome {
    let mut run = Run::new(Server::new(package(blocks * 1024, 0)));
    run.fate = Box::new(fate);
    let outcome = run.run();
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.bytes == package(blocks * 1024, 0));
    outcome
}

impl Outcome {
    /// Requests that came to the server more than once.
    fn repeated(&self) -> usize {
        let numbers = self.numbers();
        numbers.len() - numbers.iter().collect::<BTreeSet<_>>().len()
    }
}

/// OBJ-94. A request and an answer take 10 ms each.
#[test]
fn a_block_that_is_lost_is_asked_for_again_after_the_measured_round_trip() {
    let whole = fetch(200, |_| vec![10]).at;
    for lost in [21, 22, 101, 102, 399] {
        let later = fetch(200, move |nth| if nth == lost { vec![] } else { vec![10] }).at;
        // The blocks behind it come meanwhile; then the window has half of its size.
        let more = later - whole;
        assert!(more < Duration::from_millis(250), "{lost}: {more:?}");
    }
}

#[test]
fn before_anything_is_measured_it_is_ack_timeout() {
    for lost in [1, 2] {
        let at = fetch(1, move |nth| if nth == lost { vec![] } else { vec![10] }).at;
        assert!((2000..=3040).contains(&at.as_millis()), "{lost}: {at:?}");
    }
}

#[test]
fn one_packet_of_a_hundred_that_is_lost_costs_little() {
    for seed in 0..10 {
        let fate = move |nth: usize| {
            // SplitMix64: no pattern that could meet one block again and again.
            let mut mixed = (seed * 100_000 + nth as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            if (mixed >> 32).is_multiple_of(100) { vec![] } else { vec![10] }
        };
        // 0.7 s without loss.
        let at = fetch(256, fate).at;
        assert!(at < Duration::from_secs(6), "{at:?}");
    }
}

/// Nothing can be measured of requests that are repeated before they are answered.
#[test]
fn a_round_trip_that_becomes_longer_leads_to_few_repetitions() {
    for delay in [60, 150, 400, 900] {
        let outcome = fetch(400, move |nth| vec![if nth < 200 { 10 } else { delay }]);
        // The eight under way, once for each doubling, and a few until the mean has followed.
        let doublings = (2 * delay as usize / 120).next_power_of_two().ilog2() as usize + 1;
        assert!(outcome.repeated() <= 8 * doublings, "{delay}: {}", outcome.repeated());
    }
}

#[test]
fn a_round_trip_longer_than_ack_timeout_costs_one_repetition_a_block() {
    let outcome = fetch(60, |_| vec![2500]);
    assert!(outcome.repeated() <= 60, "{}", outcome.repeated());
    let outcome = fetch(160, |nth| vec![if nth < 200 { 10 } else { 2500 }]);
    // Those under way, once for each doubling.
    assert!(outcome.repeated() <= 60 + 8 * 6, "{}", outcome.repeated());
}

/// Karn: it may be the answer to either copy.
#[test]
fn the_answer_to_a_request_that_was_repeated_measures_nothing() {
    let first_lost = |also: usize| {
        fetch(40, move |nth| if nth == 1 || nth == also { vec![] } else { vec![10] }).at
    };
    // The first answer comes more than 2 s after the first request.
    let more = first_lost(10) - first_lost(0);
    assert!(more < Duration::from_millis(250), "{more:?}");
}
