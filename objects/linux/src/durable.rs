//! Small files that a power cut leaves as they were or as they are to be.
//!
//! All functions block.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a file whole, readable by its owner alone; its folder is made if need be.
/// Durable when it returns. What stood there before stays until then.
///
/// # Errors
/// Those of the system; the file is as it was or, when only its folder could not be synced,
/// as it is to be.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_folder(path)?;
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Writes what an object keeps across a restart, as [`write_whole`] does.
///
/// # Errors
/// Those of [`write_whole`].
pub(crate) fn write_record(path: &Path, record: &impl Serialize) -> io::Result<()> {
    write_whole(path, &serde_json::to_vec(record)?)
}

/// What [`write_record`] has written; `None` if there is nothing.
///
/// # Errors
/// Those of the system, and for a file that holds no such record.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_RECORD).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Opens a file to read it. What is no file but a pipe fails or is empty, where a plain
/// open would wait for somebody who writes.
///
/// # Errors
/// Those of the system.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)
}

/// Makes the folder of `path`, if it is not there, for its owner alone.
///
/// # Errors
/// Those of the system.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    sync_folder(folder)
}

/// Makes the names in the folder of `path` durable.
///
/// # Errors
/// Those of the system.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    // The parent of a name alone is the empty path, which cannot be opened.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Bytes of a record: some times what the object that keeps the most may hold.
const MAX_RECORD: u64 = 2 * 1024 * 1024;
const FOLDER_MODE: u32 = 0o700;
/// What files of the agent are created with.
pub const FILE_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_was_written_or_an_error_and_not_without_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/record");
        let read = || read_record::<Vec<String>>(&path);
        assert_eq!(read().unwrap(), None);
        let record = vec!["x".repeat(100_000); 10];
        write_record(&path, &record).unwrap();
        assert_eq!(read().unwrap(), Some(record));
        // Nobody has room for all of it.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read().is_err());
    }
}
