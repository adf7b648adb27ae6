//! Which scenarios against foreign programs have run to their end, and which could
//! not, for `cargo xtask test`.

use std::fs::OpenOptions;
use std::io::Write;

use crate::PeerError;
use crate::setup::target_directory;

/// Adds the line `PEER NAME` to `interop-scenarios.txt` in cargo's target directory.
///
/// # Errors
/// [`PeerError::System`] if the file cannot be written.
pub fn ran(peer: &str, name: &str) -> Result<(), PeerError> {
    add(&format!("{peer} {name}\n"))
}

/// Adds the line `not-run PEER REASON`: this machine lacks what the peer needs.
///
/// # Errors
/// [`PeerError::System`] if the file cannot be written.
pub fn not_run(peer: &str, reason: &str) -> Result<(), PeerError> {
    add(&format!("not-run {peer} {reason}\n"))
}

fn add(line: &str) -> Result<(), PeerError> {
    let directory = target_directory();
    let file = directory.with_file_name("interop-scenarios.txt");
    // One write, at the end of the file whoever else writes to it.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut open| open.write_all(line.as_bytes()))
        .map_err(|e| PeerError::system(file.display().to_string(), e))
}
