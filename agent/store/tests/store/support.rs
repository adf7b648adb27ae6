//! A course of states that is the same in every process, so that a test can say
//! which state a store is in, and whether it is one at all.

use std::fs;
use std::path::Path;

use lwm2m_model::record::{
    Account, Attached, BootId, Change, Fingerprint, Key, Moment, Observation, Record, Registration,
    Session,
};
use lwm2m_model::{Attributes, ContentFormat, Instant, Value, Version};
use lwm2m_store::{Opened, Store};
use tempfile::TempDir;

/// What is remembered after `number` steps: each changes every record, replaces some
/// under another key, and lets the largest grow over several pages and shrink.
pub(crate) fn state(number: u8) -> Vec<Record> {
    if number == 0 {
        return Vec::new();
    }
    let path = lwm2m_model::Path::resource(3, 0, number.into());
    vec![
        Record::Account(Account {
            server: 101,
            configured: Fingerprint(7),
            values: [(1, Value::Integer(number.into()))].into(),
        }),
        Record::Attached(Attached {
            server: 101,
            path: path.clone(),
            attributes: Attributes { pmin: Some(number.into()), ..Attributes::default() },
        }),
        Record::Observation(Observation {
            server: 101,
            token: vec![number],
            path,
            format: ContentFormat::SENML_CBOR,
            own: None,
            block_szx: None,
            unused_sequence: u32::from(number) * 256,
        }),
        Record::Registration(Registration {
            server: 101,
            location: vec!["rd".into(), number.to_string()],
            version: Version::V1_2,
            endpoint: "urn:dev:1".into(),
            account: Fingerprint(7),
            lifetime: number.into(),
            binding: "U".into(),
            objects: Fingerprint(8),
            answered: Moment { boot: BootId([number; 16]), at: Instant::ZERO },
        }),
        Record::Session(Session { server: 101, secret: vec![number; 700] }),
        Record::Session(Session {
            server: 102,
            secret: vec![number; usize::from(number) * 1613 % 13_001],
        }),
    ]
}

/// The changes that lead to state `number` from the one before it.
pub(crate) fn step(number: u8) -> Vec<Change> {
    let next = state(number);
    let gone: Vec<Key> = state(number - 1)
        .iter()
        .map(Record::key)
        .filter(|key| next.iter().all(|record| record.key() != *key))
        .collect();
    gone.into_iter().map(Change::Remove).chain(next.into_iter().map(Change::Put)).collect()
}

/// Which state the records are; a mixture fails the test.
pub(crate) fn number_of(records: &[Record]) -> u8 {
    let number = records.iter().find_map(|record| match record {
        Record::Registration(registration) => Some(u8::try_from(registration.lifetime).unwrap()),
        _ => None,
    });
    let number = number.unwrap_or(0);
    assert_eq!(records, state(number), "not the state after {number} steps");
    number
}

/// A directory of its own for a test, in memory where there is one for that: what is
/// tried here is what the store asks of the disk, not how fast the disk is.
pub(crate) fn scratch() -> TempDir {
    let builder = tempfile::Builder::new();
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).unwrap()
}

/// A store after so many steps, still open.
pub(crate) fn store_at(directory: &Path, number: u8) -> Store {
    let mut store = open(directory).store;
    for number in 1..=number {
        store.commit(&step(number)).unwrap();
    }
    store
}

pub(crate) fn open(directory: &Path) -> Opened {
    Store::open(directory, SLOT).unwrap()
}

/// Copies the files of a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

pub(crate) const SLOT: &str = "rootfs.0";
pub(crate) const NAME: &str = "lwm2md.db";
