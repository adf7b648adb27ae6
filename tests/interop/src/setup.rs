//! Builds and installs peers once, whatever number of test processes ask for them.
//!
//! A lock file lets one process do the work; a stamp that is newer than every source
//! says that it is done.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::{PeerError, program};

/// One thing to prepare.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Names the lock.
    pub name: &'a str,
    /// What the result is made from.
    pub sources: &'a [PathBuf],
    /// The directory that is made; removed before it is made anew.
    pub result: &'a Path,
}

impl Setup<'_> {
    /// Runs `commands` unless the result is newer than the sources.
    ///
    /// # Errors
    /// [`PeerError::System`] for the files, [`PeerError::Setup`] if a command fails.
    pub fn ensure(&self, commands: &mut [Command]) -> Result<(), PeerError> {
        let directory = target_directory();
        make_directory(&directory)?;
        let lock_path = directory.join(format!("{}.lock", self.name));
        let lock = File::create(&lock_path).map_err(|e| PeerError::system(show(&lock_path), e))?;
        // Released when the file is closed, also by the death of this process.
        lock.lock().map_err(|e| PeerError::system(format!("lock {}", show(&lock_path)), e))?;

        let stamp = self.result.join("stamp");
        if self.is_fresh(&stamp)? {
            return Ok(());
        }
        if self.result.exists() {
            fs::remove_dir_all(self.result)
                .map_err(|e| PeerError::system(format!("remove {}", show(self.result)), e))?;
        }
        let started = SystemTime::now();
        for command in commands {
            run(command)?;
        }
        let file = File::create(&stamp).map_err(|e| PeerError::system(show(&stamp), e))?;
        // A source that changes during the build makes the result stale.
        file.set_modified(started).map_err(|e| PeerError::system(show(&stamp), e))
    }

    fn is_fresh(&self, stamp: &Path) -> Result<bool, PeerError> {
        let Ok(made) = modified(stamp) else { return Ok(false) };
        for source in self.sources {
            if !is_older(source, made)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// True if the file, or every file below the directory, is older than `than`.
fn is_older(source: &Path, than: SystemTime) -> Result<bool, PeerError> {
    if modified(source).map_err(|e| PeerError::system(show(source), e))? > than {
        return Ok(false);
    }
    if source.is_dir() {
        let entries = fs::read_dir(source).map_err(|e| PeerError::system(show(source), e))?;
        for entry in entries {
            let entry = entry.map_err(|e| PeerError::system(show(source), e))?;
            if !is_older(&entry.path(), than)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

fn run(command: &mut Command) -> Result<(), PeerError> {
    let output = program::run(command, BUILD_LIMIT)?;
    if output.status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let ended = output
        .status
        .map_or_else(|| format!("killed after {BUILD_LIMIT:?}"), |status| status.to_string());
    Err(PeerError::Setup {
        program: command.get_program().to_string_lossy().into_owned(),
        output: format!("{ended}\n{}{}", output.stdout, output.stderr),
    })
}

fn make_directory(path: &Path) -> Result<(), PeerError> {
    fs::create_dir_all(path).map_err(|e| PeerError::system(format!("create {}", show(path)), e))
}

/// Where peers are installed: below cargo's own target directory.
pub fn target_directory() -> PathBuf {
    let cargo = std::env::var_os("CARGO_TARGET_DIR");
    // Relative paths are the workspace's; a test runs in the folder of its crate.
    let root = source_directory().ancestors().nth(2).unwrap_or_else(source_directory);
    root.join(cargo.map_or_else(|| PathBuf::from("target"), PathBuf::from)).join("interop")
}

/// The folder of this crate, with the peers' sources.
pub(crate) fn source_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// The first build fetches 20 MB from the package registries.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
