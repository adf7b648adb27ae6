//! A back end for tests and demonstrations: the package goes to a place of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::{Backend, Failure, Installed, Package, PackageInfo, ProgressSink, Reason, Slot};
use lwm2m_objects::durable::sync_folder;

/// Puts each package at one path, in place of the one before. No restart is needed.
#[derive(Debug)]
pub struct FileBackend {
    target: PathBuf,
}

impl FileBackend {
    /// Packages go to `target`, in a directory that exists.
    pub fn new(target: PathBuf) -> Self {
        Self { target }
    }
}

impl Backend for FileBackend {
    /// Any file will do; it says nothing of itself.
    async fn inspect(&self, package: &Package) -> Result<PackageInfo, Failure> {
        let package = package.file()?;
        let path = package.to_owned();
        match spawn_blocking(move || fs::metadata(path)).await {
            Ok(Ok(_)) => Ok(PackageInfo::default()),
            Ok(Err(error)) => Err(failure(package, &error)),
            Err(error) => Err(Failure::new(Reason::Other, error.to_string())),
        }
    }

    async fn install(&self, package: &Package, _: &ProgressSink) -> Result<Installed, Failure> {
        let package = package.file()?;
        let (source, target) = (package.to_owned(), self.target.clone());
        let moved = spawn_blocking(move || {
            place(&source, &target).map_err(|error| failure(&target, &error))
        });
        match moved.await {
            Ok(result) => result.map(|()| Installed::Done),
            Err(error) => Err(Failure::new(Reason::Other, error.to_string())),
        }
    }

    /// There is nothing to go back to.
    async fn confirm(&self) -> Result<(), String> {
        Ok(())
    }

    async fn reject(&self) -> Result<(), String> {
        Err("the back end file has no other system".into())
    }

    async fn slot(&self) -> Slot {
        Slot::None
    }
}

/// Puts `source` in the place of `target`, all or nothing. The source stays until the
/// update has ended, so that it can be done again.
fn place(source: &Path, target: &Path) -> io::Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = target.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if fs::hard_link(source, &temporary).is_err() {
        // Another file system, or one without links.
        fs::copy(source, &temporary)?;
        File::open(&temporary)?.sync_all()?;
    }
    fs::rename(&temporary, target)?;
    // Two names of one file stay two after a rename.
    let _ = fs::remove_file(&temporary);
    sync_folder(target)
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Reason::Other, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_package_is_put_in_place_as_often_as_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (package, target) = (folder.path().join("package"), folder.path().join("image"));
        let backend = FileBackend::new(target.clone());
        for content in ["one", "two"] {
            // As the storage does: another file, not another content of the same.
            let _ = fs::remove_file(&package);
            fs::write(&package, content).unwrap();
            for _ in 0..2 {
                assert_eq!(
                    backend
                        .install(&Package::Stored(package.clone()), &ProgressSink::nowhere())
                        .await,
                    Ok(Installed::Done)
                );
                assert_eq!(fs::read_to_string(&target).unwrap(), content);
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_target_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        fs::write(&package, "x").unwrap();
        let backend = FileBackend::new(folder.path().join("missing/image"));
        let failure = backend
            .install(&Package::Stored(package.clone()), &ProgressSink::nowhere())
            .await
            .unwrap_err();
        assert_eq!(failure.reason, Reason::Other);
        assert!(failure.cause.contains("missing/image: No such file"), "{}", failure.cause);
        assert!(package.exists());
    }
}
