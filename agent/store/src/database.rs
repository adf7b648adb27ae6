//! One SQLite file: how it is opened, checked, read and written.
//!
//! WAL with full sync: a commit is one write to the log and one sync. The lock is
//! exclusive, so there is no shared memory beside the file and no second agent in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lwm2m_model::record::{Change, Record};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use crate::StoreError;
use crate::encode::{Row, RowFault, decode, encode, encode_key};
use crate::files;

/// An open file.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    path: PathBuf,
}

/// Why a file cannot be used as it is.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Its content is wrong; one line for the operator.
    Damaged(String),
    /// A newer version of this program wrote it.
    Newer,
    /// The content is perhaps in order, but out of reach.
    Failed(StoreError),
}

impl Database {
    /// Opens a file that is there and reads all of it, without changing it; `None`
    /// if nothing has been written to it yet.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<Vec<Record>>), Fault> {
        match Self::look(path) {
            // SQLite often speaks of damage when a read has failed: what is gone at a
            // second look was none.
            Err(Fault::Damaged(_)) => Self::look(path),
            looked => looked,
        }
    }

    fn look(path: &Path) -> Result<(Self, Option<Vec<Record>>), Fault> {
        let fault = |error: rusqlite::Error| match is_of_system(&error) {
            true => Fault::Failed(StoreError::sqlite(path, error)),
            false => Fault::Damaged(error.to_string()),
        };
        let connection = connect(path).map_err(fault)?;
        let records = match verify(path, &connection).map_err(fault)? {
            Verdict::Empty => None,
            Verdict::Ours => Some(read(&connection).map_err(fault)??),
            Verdict::Newer => return Err(Fault::Newer),
            Verdict::Damaged(reason) => return Err(Fault::Damaged(reason.into())),
        };
        if let Some(faulty) = check_structure(&connection).map_err(fault)? {
            return Err(Fault::Damaged(faulty));
        }
        Ok((Self { connection, path: path.to_owned() }, records))
    }

    /// Makes a database of these records, where there is none or an empty one.
    pub(crate) fn create(path: &Path, records: &[Record]) -> Result<Self, StoreError> {
        files::make(path)?;
        let connection = connect(path).map_err(|error| StoreError::sqlite(path, error))?;
        let mut database = Self { connection, path: path.to_owned() };
        database.allow_changes()?;
        database.replace(records)?;
        Ok(database)
    }

    /// Prepares for changes.
    pub(crate) fn allow_changes(&self) -> Result<(), StoreError> {
        allow_changes(&self.connection).map_err(|error| self.failed(error))
    }

    /// Makes the changes, all or none; they are on the medium when this returns.
    pub(crate) fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let steps = changes.iter().map(Step::new).collect::<Result<Vec<_>, _>>()?;
        self.transact(|transaction| steps.iter().try_for_each(|step| step.make(transaction)))
    }

    /// Makes these the only records.
    pub(crate) fn replace(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let rows = records.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        self.transact(|transaction| {
            transaction.execute_batch(TABLE)?;
            set(transaction, "application_id", APPLICATION)?;
            set(transaction, "user_version", LAYOUT)?;
            remove_all(transaction)?;
            rows.iter().try_for_each(|row| put(transaction, row))
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        transaction
            .and_then(|transaction| {
                work(&transaction)?;
                transaction.commit()
            })
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }
}

/// A change as it is made.
enum Step {
    Put(Row),
    Remove { kind: i64, key: Vec<u8> },
    RemoveAll,
}

impl Step {
    fn new(change: &Change) -> Result<Self, StoreError> {
        Ok(match change {
            Change::Put(record) => Self::Put(encode(record)?),
            Change::Remove(key) => {
                let (kind, key) = encode_key(key);
                Self::Remove { kind, key }
            }
            Change::RemoveAll => Self::RemoveAll,
        })
    }

    fn make(&self, connection: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Put(row) => put(connection, row),
            Self::Remove { kind, key } => connection
                .execute("DELETE FROM record WHERE kind = ? AND key = ?", params![kind, key])
                .map(drop),
            Self::RemoveAll => remove_all(connection),
        }
    }
}

fn remove_all(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM record", []).map(drop)
}

/// Writes a row, unless it is there already: then nothing gets to the medium.
fn put(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let sql = "INSERT INTO record (kind, key, value, checksum) VALUES (?, ?, ?, ?)
        ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum
        WHERE value <> excluded.value";
    connection.execute(sql, params![row.kind, row.key, row.value, row.checksum]).map(drop)
}

/// Opens the file and sees to it that neither its content nor opening it does harm.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // A lock is held by an agent for as long as it runs: waiting is of no use.
    connection.busy_timeout(Duration::ZERO)?;
    // As long as it is not known what this is, it stays as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW)?;
    set(&connection, "locking_mode", "exclusive")?;
    set(&connection, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

fn allow_changes(connection: &Connection) -> rusqlite::Result<()> {
    set(connection, "page_size", PAGE)?;
    set(connection, "journal_mode", "wal")?;
    set(connection, "synchronous", "full")?;
    set(connection, "wal_autocheckpoint", CHECKPOINT)?;
    set(connection, "max_page_count", MAX_STORE / PAGE)?;
    // What is deleted is overwritten where that costs no write of its own.
    set(connection, "secure_delete", "fast")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

/// What a file turns out to be.
enum Verdict {
    Empty,
    Ours,
    Newer,
    Damaged(&'static str),
}

fn verify(path: &Path, connection: &Connection) -> rusqlite::Result<Verdict> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    if number("page_count")? == 0 {
        // Also the answer for a file that is shorter than a page.
        let is_empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
        let cut = || Verdict::Damaged("the file ends in its first page");
        return Ok(if is_empty { Verdict::Empty } else { cut() });
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (number("application_id")?, number("user_version")?, tables) {
        // A power cut in the first start leaves a database without tables.
        (0, 0, 0) => Verdict::Empty,
        (APPLICATION, LAYOUT, _) => Verdict::Ours,
        (APPLICATION, version, _) if version > LAYOUT => Verdict::Newer,
        _ => Verdict::Damaged("this is another program's database"),
    })
}

/// What is wrong with the structure of the database, in one line.
fn check_structure(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let answer = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    answer.map(|answer: String| Some(answer).filter(|answer| answer != "ok"))
}

/// All records, in the order of their keys.
fn read(connection: &Connection) -> rusqlite::Result<Result<Vec<Record>, Fault>> {
    let mut statement =
        connection.prepare("SELECT kind, key, value, checksum FROM record ORDER BY kind, key")?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    let mut size = 0;
    while let Some(next) = rows.next()? {
        let row = row(next)?;
        size += row.key.len() + row.value.len();
        if size > MAX_STORE {
            return Ok(Err(Fault::Damaged(format!("more than {MAX_STORE} bytes of records"))));
        }
        match decode(&row) {
            Ok(record) => records.push(record),
            Err(RowFault::Newer) => return Ok(Err(Fault::Newer)),
            Err(RowFault::Damaged) => {
                return Ok(Err(Fault::Damaged(format!("a record of kind {} is wrong", row.kind))));
            }
        }
    }
    Ok(Ok(records))
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { kind: row.get(0)?, key: row.get(1)?, value: row.get(2)?, checksum: row.get(3)? })
}

/// Sets a pragma, whether or not it answers.
fn set(connection: &Connection, name: &str, value: impl std::fmt::Display) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA {name} = {value}"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// True if an error comes from the system; false if from what is in the file.
fn is_of_system(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
        )
    )
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS record (
    kind INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID";

/// "lwm2", as `file` shows it.
const APPLICATION: i32 = i32::from_be_bytes(*b"lwm2");
/// Version of the table; records have their own.
const LAYOUT: i32 = 1;
/// Largest store, in bytes: many times what the limits of the engine let servers write.
pub const MAX_STORE: usize = 8 * 1024 * 1024;
const PAGE: usize = 4096;
/// Pages in the log before they are brought to the database: 1 MiB.
const CHECKPOINT: usize = 256;
/// Pages in memory, KiB.
const CACHE_KIB: i32 = 128;
/// Largest row that is read: a legal one with room to spare.
const MAX_ROW: i32 = 64 * 1024;
