//! Where something stands in the configuration, and what is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place in a file; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Place of the file in the order of reading, which is the order of errors.
    pub(crate) order: usize,
    line: u64,
    column: u64,
    file: Arc<Path>,
}

impl Position {
    pub(crate) fn new(file: &File, line: u64, column: u64) -> Self {
        Self { order: file.order, line, column, file: Arc::clone(&file.path) }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Line, from 1.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Column in characters, from 1.
    pub const fn column(&self) -> u64 {
        self.column
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A file of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: Arc<Path>,
    pub(crate) order: usize,
}

impl File {
    pub(crate) fn new(path: &Path, order: usize) -> Self {
        Self { path: path.into(), order }
    }

    /// Where errors of the file as a whole stand.
    pub(crate) fn start(&self) -> Position {
        Position::new(self, 1, 1)
    }
}

/// One thing wrong with the configuration.
///
/// `Display` is one line, `FILE:LINE:COLUMN: KEY: message`, and never holds key
/// material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value, key or combination that is wrong.
    #[error("{at}: {}{message}", key_and_colon(.key))]
    Wrong {
        /// Where.
        at: Position,
        /// The key with all above it, `servers[0].uri`; empty for the whole file.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A file or directory that cannot be read.
    #[error("{}: {message}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

impl ConfigError {
    pub(crate) fn new(at: &Position, key: &str, message: impl Into<String>) -> Self {
        Self::Wrong { at: at.clone(), key: key.to_owned(), message: message.into() }
    }

    /// Sorts errors as a person reads the files; what could not be read comes first.
    pub(crate) fn sort(errors: &mut [Self]) {
        errors.sort_by(|a, b| a.place().cmp(&b.place()));
    }

    fn place(&self) -> Option<&Position> {
        match self {
            Self::Wrong { at, .. } => Some(at),
            Self::Unreadable { .. } => None,
        }
    }
}

fn key_and_colon(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}
