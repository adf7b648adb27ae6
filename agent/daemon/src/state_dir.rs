//! The directory for what must survive a restart.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::systemd::first_directory;

/// The state directory: `option` (`--state-dir`), else the first of `environment`
/// (systemd's `STATE_DIRECTORY`), else `/var/lib/lwm2md`. It is made with mode 0700
/// if it is missing.
///
/// # Errors
/// [`StateDirError`] if it cannot be made, is not ours to write, or others may write
/// to it. One on a file system that is read-only will do.
pub fn state_dir(
    option: Option<&Path>,
    environment: Option<&OsStr>,
) -> Result<PathBuf, StateDirError> {
    let path = choose(option, environment);
    let cannot = |source| StateDirError::Unusable { path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(MODE).create(&path).map_err(cannot)?;
    let mode = fs::metadata(&path).map_err(cannot)?.permissions().mode() & 0o7777;
    if mode & OTHERS_MAY_WRITE != 0 {
        return Err(StateDirError::OpenToOthers { path, mode });
    }
    match access(&path, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        // A file system that the kernel has made read-only: the device can still be
        // reached, and whoever writes says that it cannot.
        Ok(()) | Err(Errno::EROFS) => Ok(path),
        Err(error) => Err(cannot(error.into())),
    }
}

fn choose(option: Option<&Path>, environment: Option<&OsStr>) -> PathBuf {
    let from_systemd = || first_directory(environment?);
    option.or_else(from_systemd).unwrap_or_else(|| Path::new(DEFAULT)).to_owned()
}

/// Why there is no state directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// It cannot be made, read or written.
    #[error("state directory {}: {source}", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others could plant a state.
    #[error(
        "state directory {} is open to others (mode {mode:04o}): run chmod 700 {}",
        .path.display(), .path.display()
    )]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

const DEFAULT: &str = "/var/lib/lwm2md";
const MODE: u32 = 0o700;
const OTHERS_MAY_WRITE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_systemd_and_systemd_over_the_default() {
        let option = Path::new("/a");
        let environment = OsStr::new("/b:/c");
        assert_eq!(choose(Some(option), Some(environment)), Path::new("/a"));
        assert_eq!(choose(None, Some(environment)), Path::new("/b"));
        assert_eq!(choose(None, Some(OsStr::new(""))), Path::new(DEFAULT));
        assert_eq!(choose(None, None), Path::new(DEFAULT));
    }

    #[test]
    fn a_missing_directory_is_made_for_its_owner_alone() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("state/lwm2md");
        assert_eq!(state_dir(Some(&path), None).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(state_dir(Some(&path), None).unwrap(), path, "and found again");
    }

    #[test]
    fn a_file_system_that_is_read_only_hinders_no_start() {
        // Where there is one: in containers, most often.
        let path = Path::new("/sys");
        if access(path, AccessFlags::W_OK) == Err(Errno::EROFS) {
            assert_eq!(state_dir(Some(path), None).unwrap(), path);
        }
    }

    #[test]
    fn what_others_may_write_and_what_is_none_is_refused() {
        let above = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o702, 0o1777] {
            fs::set_permissions(above.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = state_dir(Some(above.path()), None).unwrap_err().to_string();
            let path = above.path().display();
            assert_eq!(
                error,
                format!(
                    "state directory {path} is open to others (mode {mode:04o}): run chmod 700 {path}"
                )
            );
        }
        fs::set_permissions(above.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = above.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = state_dir(Some(&path), None).unwrap_err();
            assert!(matches!(error, StateDirError::Unusable { .. }), "{error}");
        }
    }
}
