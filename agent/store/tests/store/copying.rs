//! A system on trial works on a copy (design, section 4).

use std::fs;
use std::path::Path;

use crate::support::{NAME, SLOT, number_of, open, scratch, step, store_at};
use lwm2m_store::{Found, Opened, Store};
use rusqlite::Connection;

const NEW: &str = "rootfs.1";

fn on_trial(directory: &Path) -> Opened {
    Store::open_copy(directory, NEW).unwrap()
}

/// Names of the copies and what belongs to them.
fn copies(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("lwm2md.db.trial-"))
        .collect()
}

#[test]
fn the_old_system_finds_the_store_as_it_left_it() {
    let directory = scratch();
    drop(store_at(directory.path(), 2));
    let before = fs::read(directory.path().join(NAME)).unwrap();
    let mut opened = on_trial(directory.path());
    assert_eq!((number_of(&opened.records), opened.found), (2, Found::Store));
    opened.store.commit(&step(3)).unwrap();
    drop(opened.store);
    assert_eq!(fs::read(directory.path().join(NAME)).unwrap(), before);
    assert_eq!(number_of(&on_trial(directory.path()).records), 3, "the trial goes on");

    let opened = open(directory.path());
    assert_eq!((number_of(&opened.records), opened.found), (2, Found::Store));
    assert_eq!(copies(directory.path()), Vec::<String>::new());
}

#[test]
fn a_log_that_a_kill_left_belongs_to_the_original() {
    let directory = scratch();
    let store = store_at(directory.path(), 2);
    let killed = scratch();
    for name in [NAME, "lwm2md.db-wal"] {
        fs::copy(directory.path().join(name), killed.path().join(name)).unwrap();
    }
    drop(store);
    let read = || [NAME, "lwm2md.db-wal"].map(|name| fs::read(killed.path().join(name)).unwrap());
    let before = read();
    assert_eq!(number_of(&on_trial(killed.path()).records), 2);
    assert_eq!(read(), before);
}

#[test]
fn a_confirmed_system_takes_its_copy_over() {
    let directory = scratch();
    drop(store_at(directory.path(), 2));
    let mut opened = on_trial(directory.path());
    opened.store.commit(&step(3)).unwrap();
    drop(opened.store);
    for _ in 0..2 {
        let opened = Store::open(directory.path(), NEW).unwrap();
        assert_eq!((number_of(&opened.records), opened.found), (3, Found::Store));
        assert_eq!(copies(directory.path()), Vec::<String>::new());
    }
    assert_eq!(number_of(&open(directory.path()).records), 3);
}

#[test]
fn a_trial_can_begin_without_a_store() {
    let directory = scratch();
    let mut opened = on_trial(directory.path());
    assert_eq!(opened.found, Found::Nothing);
    assert!(!directory.path().join(NAME).exists());
    opened.store.commit(&step(1)).unwrap();
    drop(opened.store);
    let opened = Store::open(directory.path(), NEW).unwrap();
    assert_eq!((number_of(&opened.records), opened.found), (1, Found::Store));
}

/// The old system may be able to read it: a downgrade on trial, or a disk that is
/// better tomorrow.
#[test]
fn an_original_that_cannot_be_used_stays_where_it_is() {
    let directory = scratch();
    drop(store_at(directory.path(), 2));
    let path = directory.path().join(NAME);
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    let newer = fs::read(&path).unwrap();
    let opened = on_trial(directory.path());
    assert_eq!(opened.found, Found::Newer { kept: path.clone() });
    assert_eq!(opened.records, []);
    assert_eq!(fs::read(&path).unwrap(), newer);

    let other = scratch();
    let path = other.path().join(NAME);
    fs::write(&path, "no database").unwrap();
    let opened = on_trial(other.path());
    let reason = "file is not a database".to_owned();
    assert_eq!(opened.found, Found::Damaged { kept: path.clone(), reason });
    assert_eq!(fs::read(&path).unwrap(), b"no database");
}

#[test]
fn a_damaged_copy_is_set_aside_and_the_original_counts() {
    let directory = scratch();
    drop(store_at(directory.path(), 2));
    for (name, opening) in [
        ("lwm2md.db.damaged-1", Store::open_copy as fn(&Path, &str) -> _),
        ("lwm2md.db.damaged-2", Store::open),
    ] {
        let path = on_trial(directory.path()).store.path().to_owned();
        fs::write(&path, "no database").unwrap();
        let opened: Opened = opening(directory.path(), NEW).unwrap();
        assert_eq!(number_of(&opened.records), 2);
        let kept = directory.path().join(name);
        let reason = "file is not a database".to_owned();
        assert_eq!(opened.found, Found::Damaged { kept: kept.clone(), reason });
        assert_eq!(fs::read(kept).unwrap(), b"no database");
    }
    assert_eq!(copies(directory.path()), Vec::<String>::new());
    assert_ne!(SLOT, NEW);
}
