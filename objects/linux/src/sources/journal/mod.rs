//! The system journal, read from its end: the files of journald themselves, which need
//! no library and no program (https://systemd.io/JOURNAL_FILE_FORMAT/).
//!
//! Only what the system itself has written is read, not the files of its users. Whoever
//! may read them is in the group `systemd-journal`.

mod compression;
mod file;

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Roots;
use crate::sources::text;
pub(crate) use file::{Entry, Name};
use file::{FileError, JournalFile};

/// Why there is nothing of the journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("this system has no machine-id, by which its journal is named")]
    Nameless,
    #[error("there is no journal in {} or {}", .0.display(), .1.display())]
    Missing(PathBuf, PathBuf),
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: FileError },
}

impl JournalError {
    /// True if the journal is there, but not for us.
    pub(crate) fn is_denied(&self) -> bool {
        let error: Option<&io::Error> = match self {
            Self::Folder { source, .. } | Self::File { source: FileError::Io(source), .. } => {
                Some(source)
            }
            Self::Nameless | Self::Missing(..) | Self::File { .. } => None,
        };
        error.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// Shows `visit` the entries from the newest on, back to the time `since` (µs of Unix
/// time), [`MAX_SCANNED`] and [`SCAN_TIME`] at most. What is damaged is passed over.
///
/// Blocks.
///
/// # Errors
/// [`JournalError`] if no file of the journal can be read.
pub(crate) fn newest_first(
    roots: &Roots,
    since: u64,
    mut visit: impl FnMut(&Entry) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    let end = Instant::now() + SCAN_TIME;
    let mut left = MAX_SCANNED;
    for mut file in open(roots)? {
        if file.newest() < since {
            continue;
        }
        for index in (0..file.entries()).rev() {
            if left == 0 || Instant::now() > end {
                tracing::debug!("the journal is too long to be searched to its beginning");
                return Ok(());
            }
            left -= 1;
            let entry = match file.entry(index) {
                Ok(entry) => entry,
                Err(error) => {
                    tracing::trace!(%error, "an entry of the journal cannot be read");
                    continue;
                }
            };
            if entry.realtime < since {
                break;
            }
            if visit(&entry).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Something that is another when there are new entries. Blocks.
///
/// # Errors
/// [`JournalError`] if no file of the journal can be read.
pub(crate) fn mark(roots: &Roots) -> Result<(u64, u64), JournalError> {
    let files = open(roots)?;
    let newest = files.iter().map(JournalFile::newest).max().unwrap_or_default();
    Ok((newest, files.iter().map(JournalFile::entries).fold(0, u64::wrapping_add)))
}

/// The files, the one with the newest entry first.
fn open(roots: &Roots) -> Result<Vec<JournalFile>, JournalError> {
    let machine = text::line(&roots.etc.join("machine-id")).ok_or(JournalError::Nameless)?;
    let folders = [&roots.run, &roots.var].map(|root| root.join("log/journal").join(&machine));
    let (mut files, mut failure) = (Vec::new(), None);
    for folder in &folders {
        let paths = match list(folder) {
            Ok(paths) => paths,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => {
                failure = Some(JournalError::Folder { path: folder.clone(), source });
                continue;
            }
        };
        for path in paths {
            match JournalFile::open(&path) {
                Ok(file) => files.push(file),
                Err(source) => {
                    tracing::debug!("{}: {source}", path.display());
                    failure = Some(JournalError::File { path, source });
                }
            }
        }
    }
    if files.is_empty() {
        let [run, var] = folders;
        return Err(failure.unwrap_or(JournalError::Missing(run, var)));
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.newest()));
    Ok(files)
}

/// The files of the system in a folder, the newest [`MAX_FILES`].
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(PathBuf, _)> = fs::read_dir(folder)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix("system")?;
            // Files are set aside with a tilde after a power cut: what came before it is
            // what somebody wants to know.
            let is_journal = rest == ".journal"
                || (rest.starts_with('@')
                    && (rest.ends_with(".journal") || rest.ends_with(".journal~")));
            let facts = entry.metadata().ok().filter(|facts| is_journal && facts.is_file())?;
            Some((entry.path(), facts.modified().ok()?))
        })
        .collect();
    found.sort_by_key(|(_, modified)| std::cmp::Reverse(*modified));
    found.truncate(MAX_FILES);
    Ok(found.into_iter().map(|(path, _)| path).collect())
}

/// Entries that are looked at for one Read.
const MAX_SCANNED: usize = 20_000;
/// No Read takes longer, on however slow a disk.
const SCAN_TIME: Duration = Duration::from_secs(5);
/// Files of one folder that are looked at; journald keeps a hundred.
const MAX_FILES: usize = 128;

#[cfg(test)]
pub(crate) mod tests;
