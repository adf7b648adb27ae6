//! Files that are read whole: keys and certificates of authorities. A pipe or a device at
//! their place must not make the agent wait or take memory without bound.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Opens a regular file that has none of the permission bits of `refused`.
pub(crate) fn open(path: &Path, refused: u32) -> Result<File, FileError> {
    // Asked before it is opened, since opening a pipe would wait for a writer,
    // and again after, since another file may stand there by then.
    check(&fs::metadata(path)?, refused)?;
    let file = File::open(path)?;
    check(&file.metadata()?, refused)?;
    Ok(file)
}

fn check(metadata: &Metadata, refused: u32) -> Result<(), FileError> {
    if !metadata.is_file() {
        return Err(FileError::NotAFile);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & refused != 0 {
        return Err(FileError::Mode(mode));
    }
    Ok(())
}

/// Why a file is not opened.
#[derive(Debug)]
pub(crate) enum FileError {
    System(io::Error),
    /// A directory, device, pipe or socket.
    NotAFile,
    /// It has these permission bits.
    Mode(u32),
}

impl From<io::Error> for FileError {
    fn from(cause: io::Error) -> Self {
        Self::System(cause)
    }
}
