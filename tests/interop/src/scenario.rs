//! Which scenarios against foreign peers have run to their end, for `cargo xtask test`.

use std::fs::OpenOptions;
use std::io::Write;

use crate::PeerError;
use crate::setup::target_directory;

/// Adds the line `PEER NAME` to `interop-scenarios.txt` in cargo's target directory.
///
/// # Errors
/// [`PeerError::System`] if the file cannot be written.
pub fn ran(peer: &str, name: &str) -> Result<(), PeerError> {
    let directory = target_directory();
    let file = directory.with_file_name("interop-scenarios.txt");
    // One write, at the end of the file whoever else writes to it.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut open| open.write_all(format!("{peer} {name}\n").as_bytes()))
        .map_err(|e| PeerError::system(file.display().to_string(), e))
}
