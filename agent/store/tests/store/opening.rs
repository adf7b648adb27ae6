//! What a store says about what it finds, and its limits.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{NAME, SLOT, number_of, open, scratch, state, step, store_at};
use lwm2m_model::record::{Change, Key, Record, Session};
use lwm2m_store::{Found, MAX_STORE, Store, StoreError};
use rusqlite::Connection;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A record of this size and a few bytes.
fn session(server: u16, size: usize) -> Change {
    Change::Put(Record::Session(Session { server, secret: vec![0; size] }))
}

/// Changes a store behind its back.
fn alter(directory: &Path, statements: &str) {
    let connection = Connection::open(directory.join(NAME)).unwrap();
    connection.execute_batch(statements).unwrap();
}

#[test]
fn what_was_committed_is_there_again() {
    let directory = scratch();
    let opened = open(directory.path());
    assert_eq!((opened.found, opened.records), (Found::Nothing, Vec::new()));
    drop(opened.store);
    let store = store_at(directory.path(), 3);
    assert_eq!(store.path(), directory.path().join(NAME));
    drop(store);
    let opened = open(directory.path());
    assert_eq!((opened.found, opened.records), (Found::Store, state(3)));
}

#[test]
fn an_orderly_end_leaves_one_file_for_its_owner_alone() {
    let directory = scratch();
    let store = store_at(directory.path(), 3);
    assert_eq!(names(directory.path()), [NAME, "lwm2md.db-wal"], "no shared memory");
    for name in names(directory.path()) {
        let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    drop(store);
    assert_eq!(names(directory.path()), [NAME]);
}

#[test]
fn a_store_that_others_can_read_is_closed_to_them() {
    let directory = scratch();
    drop(store_at(directory.path(), 1));
    let path = directory.path().join(NAME);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(open(directory.path()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_second_agent_is_told_that_the_store_is_in_use() {
    let directory = scratch();
    let store = store_at(directory.path(), 1);
    let error = Store::open(directory.path(), SLOT).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().ends_with("lwm2md.db is in use by another process"), "{error}");
    drop(store);
    assert_eq!(number_of(&open(directory.path()).records), 1);
}

#[test]
fn a_directory_that_is_missing_or_none_is_named() {
    let directory = scratch();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [directory.path().join("missing"), file] {
        let error = Store::open(&path, SLOT).unwrap_err();
        assert!(matches!(error, StoreError::File { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_commit_is_made_whole_or_not_at_all() {
    let directory = scratch();
    let mut store = store_at(directory.path(), 2);
    let mut changes = step(3);
    changes.push(session(103, 20_000));
    let error = store.commit(&changes).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    store.commit(&[]).unwrap();
    drop(store);
    assert_eq!(number_of(&open(directory.path()).records), 2);
}

#[test]
fn what_is_known_already_is_not_written_again() {
    let directory = scratch();
    let mut store = store_at(directory.path(), 2);
    let log = directory.path().join("lwm2md.db-wal");
    let before = fs::metadata(&log).unwrap().len();
    store.commit(&step(2)).unwrap();
    store.commit(&[Change::Remove(Key::Account(999))]).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), before);
    store.commit(&step(3)).unwrap();
    assert!(fs::metadata(&log).unwrap().len() > before);
}

/// Flash wears out by the page.
#[test]
fn a_small_change_costs_one_page() {
    let directory = scratch();
    let mut store = store_at(directory.path(), 2);
    let log = directory.path().join("lwm2md.db-wal");
    let length = || fs::metadata(&log).unwrap().len();
    for value in 3..9 {
        let before = length();
        store.commit(&[session(103, value)]).unwrap();
        assert_eq!(length() - before, 24 + 4096);
    }
}

#[test]
fn a_full_store_refuses_more_and_takes_less() {
    let directory = scratch();
    let mut store = store_at(directory.path(), 1);
    let mut server = 1000;
    let error = loop {
        match store.commit(&[session(server, 12_000), session(server + 1, 12_000)]) {
            Ok(()) => server += 2,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    let size = fs::metadata(store.path()).unwrap().len();
    assert!(size <= MAX_STORE as u64, "{size}");
    let removals: Vec<_> =
        (1000..server).map(|server| Change::Remove(Key::Session(server))).collect();
    store.commit(&removals).unwrap();
    store.commit(&step(2)).unwrap();
    drop(store);
    assert_eq!(number_of(&open(directory.path()).records), 2);
}

#[test]
fn a_damaged_store_is_set_aside_with_its_log() {
    let directory = scratch();
    let log = b"no log".to_vec();
    for number in 1..=11 {
        fs::write(directory.path().join(NAME), format!("no database {number:9000}")).unwrap();
        fs::write(directory.path().join("lwm2md.db-wal"), &log).unwrap();
        let opened = open(directory.path());
        // The last name is used again: a disk that goes bad must not fill up.
        let kept = directory.path().join(format!("lwm2md.db.damaged-{}", number.min(9)));
        let reason = "file is not a database".to_owned();
        assert_eq!(opened.found, Found::Damaged { kept: kept.clone(), reason });
        assert_eq!(opened.records, []);
        assert!(fs::read_to_string(&kept).unwrap().ends_with(&number.to_string()));
        assert_eq!(
            fs::read(kept.with_extension(format!("damaged-{}-wal", number.min(9)))).unwrap(),
            log
        );
    }
    drop(store_at(directory.path(), 1));
    assert_eq!(number_of(&open(directory.path()).records), 1, "a new one has begun");
}

#[test]
fn what_is_wrong_with_a_store_is_said() {
    for (statements, reason) in [
        ("UPDATE record SET value = x'82190065' WHERE kind = 5", "a record of kind 5 is wrong"),
        ("UPDATE record SET key = x'' WHERE kind = 1", "a record of kind 1 is wrong"),
        ("PRAGMA application_id = 1", "this is another program's database"),
        ("PRAGMA user_version = 0", "this is another program's database"),
        ("DROP TABLE record", "no such table: record"),
        ("UPDATE record SET value = 'text' WHERE kind = 1", "Invalid column type Text"),
        ("UPDATE record SET value = zeroblob(70000) WHERE kind = 1", "string or blob too big"),
    ] {
        let directory = scratch();
        drop(store_at(directory.path(), 2));
        alter(directory.path(), statements);
        match open(directory.path()).found {
            Found::Damaged { reason: said, .. } => {
                assert!(said.starts_with(reason), "{statements}: {said}")
            }
            other => panic!("{statements}: {other:?}"),
        }
    }
}

#[test]
fn a_newer_store_is_kept_whatever_happens() {
    let newer = [
        "PRAGMA user_version = 2; DROP TABLE record; CREATE TABLE other (a)",
        // An account in a second version of its format.
        "UPDATE record SET value = x'820201', checksum = -3079329797781681921 WHERE kind = 1",
    ];
    let directory = scratch();
    for number in 1..=9 {
        drop(store_at(directory.path(), 2));
        alter(directory.path(), newer[number % 2]);
        let kept = directory.path().join(format!("lwm2md.db.newer-{number}"));
        let before = fs::read(directory.path().join(NAME)).unwrap();
        assert_eq!(open(directory.path()).found, Found::Newer { kept: kept.clone() });
        assert_eq!(fs::read(kept).unwrap(), before);
    }
    drop(store_at(directory.path(), 2));
    alter(directory.path(), newer[0]);
    let before = fs::read(directory.path().join(NAME)).unwrap();
    let error = Store::open(directory.path(), SLOT).unwrap_err();
    assert!(matches!(error, StoreError::NoNameLeft { .. }), "{error}");
    assert_eq!(fs::read(directory.path().join(NAME)).unwrap(), before);
}
