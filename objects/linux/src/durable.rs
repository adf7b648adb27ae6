//! Small files that a power cut leaves as they were or as they are to be.
//!
//! All functions block.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

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

const FOLDER_MODE: u32 = 0o700;
/// What files of the agent are created with.
pub const FILE_MODE: u32 = 0o600;
