//! What a process does with a store while something happens to it, and what has to be
//! true afterwards, wherever it was stopped.

use std::fs;
use std::path::{Path, PathBuf};

use lwm2m_store::{Found, Opened, Store};
use rusqlite::Connection;

use crate::child::{Done, say, say_acknowledged, say_wanted};
use crate::support::{NAME, copy, number_of, open, scratch, state, step, store_at};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Goes through states, with an orderly restart on the way.
    Course,
    /// Goes on from the log of a process that was killed.
    Recovery,
    /// Works on a copy, and takes it over.
    Trial,
    /// Takes over the copy of a process that was killed.
    TakeOver,
    /// Finds a newer store, which must not get lost.
    Newer,
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] =
        [Self::Course, Self::Recovery, Self::Trial, Self::TakeOver, Self::Newer];

    /// What the process is to find.
    pub(crate) fn prepare(self, directory: &Path) {
        match self {
            Self::Course => {}
            Self::Recovery | Self::Trial => prepare_killed(directory),
            Self::TakeOver => {
                prepare_killed(directory);
                let running = scratch();
                copy(directory, running.path());
                // Without its log the copy is an older state.
                drop(on_trial(running.path()));
                let mut store = on_trial(running.path()).store;
                store.commit(&step(FIRST + 1)).unwrap();
                copy(running.path(), directory);
                drop(store);
            }
            Self::Newer => {
                prepare_killed(directory);
                let connection = Connection::open(directory.join(NAME)).unwrap();
                connection.execute_batch("PRAGMA user_version = 2").unwrap();
                // Copied while it is open, so that a part of it is in the log.
                let copied = scratch();
                copy(directory, copied.path());
                drop(connection);
                copy(copied.path(), directory);
            }
        }
    }

    /// What the process does, up to state `last`.
    pub(crate) fn play(self, directory: &Path, last: u8) {
        match self {
            Self::Course | Self::Recovery | Self::Newer => {
                go_on(open(directory), last / 2);
                go_on(open(directory), last);
            }
            Self::TakeOver => go_on(confirmed(directory), last + 2),
            Self::Trial => {
                go_on(on_trial(directory), last / 2);
                go_on(on_trial(directory), last);
                say(CONFIRMED);
                go_on(confirmed(directory), last + 1);
            }
        }
    }

    /// What has to be true of the files in `directory` when the process is gone.
    pub(crate) fn check(self, directory: &Path, done: &Done) {
        match self {
            Self::Course => check(open, directory, done, 0),
            Self::Recovery => check(open, directory, done, FIRST),
            Self::TakeOver => check(confirmed, directory, done, FIRST + 1),
            Self::Trial => {
                if !done.has_said(CONFIRMED) {
                    let given_up = scratch();
                    copy(directory, given_up.path());
                    let opened = open(given_up.path());
                    assert_eq!((number_of(&opened.records), opened.found), (FIRST, Found::Store));
                    let going_on = scratch();
                    copy(directory, going_on.path());
                    check(on_trial, going_on.path(), done, FIRST);
                }
                check(confirmed, directory, done, FIRST);
            }
            Self::Newer => {
                check(open, directory, done, 0);
                let is_whole = |path: &Path| {
                    let connection = Connection::open(path).unwrap();
                    let version: i32 = connection
                        .pragma_query_value(None, "user_version", |row| row.get(0))
                        .unwrap();
                    let count = "SELECT count(*) FROM record";
                    version == 2
                        && connection.query_row(count, [], |row| row.get(0))
                            == Ok(state(FIRST).len() as u32)
                };
                let kept = names(directory, "lwm2md.db.newer-");
                assert!(kept.iter().any(|path| is_whole(path)), "the newer store is gone");
            }
        }
    }
}

/// A store in state [`FIRST`] whose process was killed.
fn prepare_killed(directory: &Path) {
    let running = scratch();
    let store = store_at(running.path(), FIRST);
    copy(running.path(), directory);
    drop(store);
}

fn on_trial(directory: &Path) -> Opened {
    Store::open_copy(directory, NEW).unwrap()
}

fn confirmed(directory: &Path) -> Opened {
    Store::open(directory, NEW).unwrap()
}

/// The files whose names are `start` and a number.
fn names(directory: &Path, start: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_wanted = |path: &PathBuf| {
        let number = path.file_name().unwrap().to_str().unwrap().strip_prefix(start);
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    };
    all.filter(is_wanted).collect()
}

fn go_on(mut opened: Opened, last: u8) {
    let first = number_of(&opened.records);
    say_acknowledged(first);
    for number in first + 1..=last {
        say_wanted(number);
        // A fault may pass: the same change again must do no harm.
        if opened.store.commit(&step(number)).is_err() {
            opened.store.commit(&step(number)).unwrap();
        }
        say_acknowledged(number);
    }
}

/// The store is in order and holds what was acknowledged, or what was on its way; and
/// it goes on. `least` is what it held before.
fn check(open: impl Fn(&Path) -> Opened, directory: &Path, done: &Done, least: u8) {
    let Opened { mut store, records, found } = open(directory);
    let number = number_of(&records);
    let states = done.acknowledged.max(least)..=done.wanted.max(least);
    assert!(states.contains(&number), "{number} is not of {states:?}");
    match found {
        Found::Store => {}
        Found::Nothing | Found::Newer { .. } => assert_eq!(number, 0),
        Found::Damaged { .. } => panic!("{found:?}"),
    }
    if least > 0 {
        assert_eq!(names(directory, "lwm2md.db.damaged-"), Vec::<PathBuf>::new());
    }
    store.commit(&step(number + 1)).unwrap();
    drop(store);
    let again = open(directory);
    assert_eq!((number_of(&again.records), again.found), (number + 1, Found::Store));
}

/// The state that a process finds, where it finds one.
const FIRST: u8 = 2;
/// The slot that is on trial.
const NEW: &str = "rootfs.1";
const CONFIRMED: &str = "confirmed";
