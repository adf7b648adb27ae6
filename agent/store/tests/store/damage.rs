//! What a log that ends early, or bytes that rot, do to a store.

use std::fs;
use std::path::Path;

use crate::support::{NAME, number_of, open, scratch, state, step, store_at};
use lwm2m_store::{Found, Opened};

const LOG: &str = "lwm2md.db-wal";
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + 4096;

/// Database and log of a store whose process was killed after `ends.len() - 1` steps,
/// with the length of the log after the making of the table and after each step.
struct Killed {
    database: Vec<u8>,
    log: Vec<u8>,
    ends: Vec<usize>,
}

fn killed(steps: u8) -> Killed {
    let directory = scratch();
    let mut store = open(directory.path()).store;
    let log = directory.path().join(LOG);
    let length = || usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
    let mut ends = vec![length()];
    for number in 1..=steps {
        store.commit(&step(number)).unwrap();
        ends.push(length());
    }
    Killed {
        database: fs::read(directory.path().join(NAME)).unwrap(),
        log: fs::read(&log).unwrap(),
        ends,
    }
}

impl Killed {
    /// The state to which the log is good up to this byte.
    fn state_at(&self, good: usize) -> u8 {
        let commits = self.ends.iter().filter(|end| **end <= good).count();
        u8::try_from(commits.saturating_sub(1)).unwrap()
    }

    fn open_with(&self, directory: &Path, log: &[u8]) -> Opened {
        fs::write(directory.join(NAME), &self.database).unwrap();
        fs::write(directory.join(LOG), log).unwrap();
        open(directory)
    }
}

/// Where a log may end or be wrong: at every border of a frame and around it, and at
/// places in between.
fn places(length: usize) -> Vec<usize> {
    let borders = (LOG_HEADER..=length).step_by(FRAME);
    let mut places: Vec<usize> = borders
        .flat_map(|border| [border.saturating_sub(1), border, border + 1, border + 23])
        .chain((0..length).step_by(997))
        .filter(|place| *place < length)
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn a_log_that_ends_early_gives_the_last_commit_that_is_whole() {
    let killed = killed(5);
    for end in places(killed.log.len() + 1) {
        let directory = scratch();
        let opened = killed.open_with(directory.path(), &killed.log[..end]);
        assert_eq!(number_of(&opened.records), killed.state_at(end), "at {end}");
        assert!(matches!(opened.found, Found::Nothing | Found::Store), "{:?}", opened.found);
    }
}

#[test]
fn a_log_with_a_wrong_byte_gives_the_commits_before_it() {
    let killed = killed(5);
    for place in places(killed.log.len()) {
        for wrong in [0x01, 0xff] {
            let mut log = killed.log.clone();
            log[place] ^= wrong;
            let directory = scratch();
            let opened = killed.open_with(directory.path(), &log);
            let frame = place.saturating_sub(LOG_HEADER) / FRAME * FRAME + LOG_HEADER;
            let expected = if place < LOG_HEADER { 0 } else { killed.state_at(frame) };
            assert_eq!(number_of(&opened.records), expected, "at {place}");
            assert!(matches!(opened.found, Found::Nothing | Found::Store), "{:?}", opened.found);
        }
    }
}

/// What flash does when it grows old: never does it lead to wrong records.
#[test]
fn a_wrong_byte_in_the_database_is_noticed_or_means_nothing() {
    let directory = scratch();
    drop(store_at(directory.path(), 5));
    let whole = fs::read(directory.path().join(NAME)).unwrap();
    let mut noticed = 0;
    for (turn, place) in (0..100).chain((100..whole.len()).step_by(STRIDE)).enumerate() {
        let mut wrong = whole.clone();
        wrong[place] ^= [0x01, 0x80, 0xff][turn % 3];
        let directory = scratch();
        fs::write(directory.path().join(NAME), wrong).unwrap();
        let opened = open(directory.path());
        match opened.found {
            Found::Store => assert_eq!(opened.records, state(5), "at {place}"),
            Found::Damaged { .. } | Found::Newer { .. } => {
                assert_eq!(opened.records, [], "at {place}");
                noticed += 1;
            }
            Found::Nothing => panic!("all gone at {place}"),
        }
    }
    assert!(noticed > 100, "{noticed}");
}

#[test]
fn a_database_that_was_cut_short_is_damaged_or_lacks_nothing() {
    let directory = scratch();
    drop(store_at(directory.path(), 5));
    let whole = fs::read(directory.path().join(NAME)).unwrap();
    for length in (1..whole.len()).step_by(1009) {
        let directory = scratch();
        fs::write(directory.path().join(NAME), &whole[..length]).unwrap();
        let opened = open(directory.path());
        match opened.found {
            // The end of the last page is not in use.
            Found::Store => assert_eq!(opened.records, state(5), "{length}"),
            Found::Damaged { .. } => assert_eq!(opened.records, [], "{length}"),
            Found::Nothing | Found::Newer { .. } => panic!("{length}: {:?}", opened.found),
        }
    }
}

/// Bytes between two places at which the database is made wrong; it has no divisor in
/// common with the sizes of pages and cells.
const STRIDE: usize = 5;
