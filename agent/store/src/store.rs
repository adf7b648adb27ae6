//! The store as the agent sees it, and the copy of it that a system on trial gets.
//!
//! After an update the new system is on trial until it has proven that it works. It
//! writes to a copy; the original stays as the old system knows it:
//! 1. On trial, [`Store::open_copy`] makes the copy, or opens the one it made before.
//! 2. Confirmed, [`Store::open`] in the same slot takes the records of the copy over.
//! 3. Given up, [`Store::open`] in the old slot removes the copy.

use std::path::{Path, PathBuf};

use lwm2m_model::record::{Change, Record};

use crate::StoreError;
use crate::database::{Database, Fault};
use crate::files::{self, Aside};

/// What is remembered. Calls wait for the disk.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

/// An opened store.
#[derive(Debug)]
pub struct Opened {
    /// Where changes go.
    pub store: Store,
    /// What is remembered, in the order of the keys.
    pub records: Vec<Record>,
    /// What was there.
    pub found: Found,
}

/// What was there when a store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the device starts from its configuration.
    Nothing,
    /// A store in order.
    Store,
    /// A damaged file, which is kept under another name.
    Damaged {
        /// Where it is now.
        kept: PathBuf,
        /// What is wrong with it, in one line.
        reason: String,
    },
    /// A store that a newer version of this program wrote, kept under another name.
    Newer {
        /// Where it is now.
        kept: PathBuf,
    },
}

impl Store {
    /// Opens the store below the state directory `directory` for a system that is not
    /// on trial; where there is none it is made. `slot` names the system that runs, as
    /// the update framework does; `""` if there is only one.
    ///
    /// A damaged store, and one that a newer version wrote, is set aside and a new one
    /// begun: a device that comes up with its configuration can be helped from afar.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost then, and the same call may succeed later.
    pub fn open(directory: &Path, slot: &str) -> Result<Opened, StoreError> {
        let (tried, tried_found) = take(&files::trial(directory, slot))?;
        let tried = tried.map(|(_, records)| records);
        let path = files::main(directory);
        files::make(&path)?;
        let (main, found) = take(&path)?;
        let (database, records) = match (main, tried) {
            (Some((mut database, _)), Some(records)) => {
                database.allow_changes()?;
                database.replace(&records)?;
                (database, records)
            }
            (Some((database, records)), None) => {
                database.allow_changes()?;
                (database, records)
            }
            (None, tried) => {
                let records = tried.unwrap_or_default();
                (Database::create(&path, &records)?, records)
            }
        };
        for trial in files::trials(directory)? {
            files::remove(&trial)?;
        }
        Ok(Opened { store: Self { database }, records, found: found.or(tried_found) })
    }

    /// Opens the copy for the system in `slot`, which is on trial. Where there is none
    /// it is made from the store, which stays as it is, whatever is in it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_copy(directory: &Path, slot: &str) -> Result<Opened, StoreError> {
        let path = files::trial(directory, slot);
        let (copy, found) = take(&path)?;
        if let Some((database, records)) = copy {
            database.allow_changes()?;
            return Ok(Opened { store: Self { database }, records, found });
        }
        let main = files::main(directory);
        let (records, original) = match examine(&main)? {
            Content::Nothing => (Vec::new(), Found::Nothing),
            Content::Records(_, records) => (records, Found::Store),
            Content::Damaged(reason) => (Vec::new(), Found::Damaged { kept: main, reason }),
            Content::Newer => (Vec::new(), Found::Newer { kept: main }),
        };
        let database = Database::create(&path, &records)?;
        Ok(Opened { store: Self { database }, records, found: original.or(found) })
    }

    /// Makes the changes in their order, all of them or none. They have reached the
    /// medium when this returns; what is as it should be already costs no write.
    ///
    /// # Errors
    /// [`StoreError`]; the store can still be used, and trying again is allowed. If it
    /// was the disk that failed, the changes may be there after a power cut.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.database.commit(changes)
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        self.database.path()
    }
}

impl Found {
    /// The worse of two.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) => other,
            (Self::Store, other @ (Self::Damaged { .. } | Self::Newer { .. })) => other,
            (found @ (Self::Store | Self::Damaged { .. } | Self::Newer { .. }), _) => found,
        }
    }
}

/// A database and what is in it.
type InOrder = (Database, Vec<Record>);

/// What is in a file.
enum Content {
    /// There is none, or nothing in it.
    Nothing,
    Records(Database, Vec<Record>),
    Damaged(String),
    Newer,
}

fn examine(path: &Path) -> Result<Content, StoreError> {
    if !path.try_exists().map_err(|error| StoreError::file(path, error))? {
        return Ok(Content::Nothing);
    }
    match Database::open(path) {
        Ok((database, Some(records))) => Ok(Content::Records(database, records)),
        Ok((_, None)) => Ok(Content::Nothing),
        Err(Fault::Damaged(reason)) => Ok(Content::Damaged(reason)),
        Err(Fault::Newer) => Ok(Content::Newer),
        Err(Fault::Failed(error)) => Err(error),
    }
}

/// What is in a file; one that cannot be used is set aside.
fn take(path: &Path) -> Result<(Option<InOrder>, Found), StoreError> {
    Ok(match examine(path)? {
        Content::Nothing => (None, Found::Nothing),
        Content::Records(database, records) => (Some((database, records)), Found::Store),
        Content::Damaged(reason) => {
            let kept = files::set_aside(path, Aside::Damaged)?;
            (None, Found::Damaged { kept, reason })
        }
        Content::Newer => (None, Found::Newer { kept: files::set_aside(path, Aside::Newer)? }),
    })
}
