//! The files of a store: their names, making, setting aside and removing.
//!
//! A power cut between any two steps must leave either the old state or the new one.
//! A database without its log is an older state, so it goes before its log. A log that
//! is left behind does no harm: SQLite does not read one into an empty database.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lwm2m_model::record::Fingerprint;

use crate::StoreError;

/// Why a file is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    Damaged,
    Newer,
}

/// The store itself.
pub(crate) fn main(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// The copy on which the system in `slot` works while it is on trial. Slots have names
/// of any length and characters, so a digest stands for them.
pub(crate) fn trial(directory: &Path, slot: &str) -> PathBuf {
    let slot = Fingerprint::of([slot.as_bytes()]).0;
    directory.join(format!("{TRIAL}{slot:016x}"))
}

/// All copies, whoever made them.
pub(crate) fn trials(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| StoreError::file(directory, error))? {
        let entry = entry.map_err(|error| StoreError::file(directory, error))?;
        // The files beside a copy have longer names and go with it.
        let is_trial = |name: &str| name.starts_with(TRIAL) && name.len() == TRIAL.len() + 16;
        if entry.file_name().to_str().is_some_and(is_trial) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Makes an empty file for its owner alone, or keeps the one that is there.
pub(crate) fn make(path: &Path) -> Result<(), StoreError> {
    make_private(path).map_err(|error| StoreError::file(path, error))
}

fn make_private(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & OTHERS == 0 => return Ok(()),
        Ok(_) => return fs::set_permissions(path, Permissions::from_mode(MODE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path).map(drop)
}

/// Gives a store another name, with what belongs to it; its own is free then.
///
/// There are [`MAX_ASIDE`] names of each sort. If all are taken a damaged file takes
/// the place of the last one; a newer one may not be lost.
pub(crate) fn set_aside(path: &Path, why: Aside) -> Result<PathBuf, StoreError> {
    let failed = |error| StoreError::file(path, error);
    let name = |number: u32| {
        let why = match why {
            Aside::Damaged => "damaged",
            Aside::Newer => "newer",
        };
        path.with_file_name(format!("{NAME}.{why}-{number}"))
    };
    // A name that cannot be looked at may be in use.
    let is_free = |name: &PathBuf| {
        fs::symlink_metadata(name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let free = (1..=MAX_ASIDE).map(name).find(is_free);
    let target = match (free, why) {
        (Some(target), _) => target,
        (None, Aside::Damaged) => name(MAX_ASIDE),
        (None, Aside::Newer) => return Err(StoreError::NoNameLeft { path: path.to_owned() }),
    };
    remove(&target)?;
    // Both names, then the new one alone: a power cut leaves one of them whole.
    for suffix in [&[""], BESIDE].concat() {
        match fs::hard_link(with_suffix(path, suffix), with_suffix(&target, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    sync_directory(path).map_err(failed)?;
    remove(path)?;
    Ok(target)
}

/// Removes a database and what belongs to it; it need not be there.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::file(path, error);
    remove_file(path).map_err(failed)?;
    sync_directory(path).map_err(failed)?;
    for suffix in BESIDE {
        remove_file(&with_suffix(path, suffix)).map_err(failed)?;
    }
    sync_directory(path).map_err(failed)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes what was made, renamed or removed beside `path` last.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

const NAME: &str = "lwm2md.db";
const TRIAL: &str = "lwm2md.db.trial-";
/// What SQLite puts beside a database.
const BESIDE: &[&str] = &["-wal", "-shm", "-journal"];
/// Files of each sort that are kept aside.
const MAX_ASIDE: u32 = 9;
const MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;
