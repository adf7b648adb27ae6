//! What can go wrong, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use lwm2m_model::record::Key;
use rusqlite::ErrorCode;

use crate::{MAX_RECORD, MAX_STORE};

/// Why the store cannot be opened, or a change was not made: then none of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file or its directory cannot be used.
    #[error("store {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("store {} is in use by another process", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full, or the store holds as much as it may.
    #[error("store {}: no space, or more than {MAX_STORE} bytes", .path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// The file was damaged while it was open; opened anew it is set aside.
    #[error("store {} is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed otherwise, most often by an error of the disk.
    #[error("store {}: {source}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A record beyond [`MAX_RECORD`].
    #[error("{key} takes {size} bytes, above {MAX_RECORD}")]
    TooLarge {
        /// Its key.
        key: Key,
        /// Bytes of key and value.
        size: usize,
    },
    /// Too many files have been set aside, and this one must not be lost.
    #[error("store {} is of a newer version, and there is no name left to set it aside", .path.display())]
    NoNameLeft {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    pub(crate) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
            Some(ErrorCode::DiskFull) => Self::NoSpace { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path },
            _ => Self::Sqlite { path, source: Box::new(error) },
        }
    }

    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}
