//! The package on disk: written as it comes, some parts at a time, never whole in memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lwm2m_objects::durable::{FILE_MODE, make_folder, sync_folder};
use nix::sys::statvfs::statvfs;

use crate::{Failure, Reason};

/// The one package that there may be. All functions block.
#[derive(Debug)]
pub(crate) struct Storage {
    path: PathBuf,
    file: Option<File>,
    /// Bytes that are written.
    len: u64,
    /// Bytes that a power cut would leave.
    durable: u64,
    /// What follows the written bytes and is to be written with a later part.
    gathered: Vec<u8>,
    /// Bytes that may come before the free space is looked at again.
    unchecked: u64,
    free_space: fn(&Path) -> io::Result<u64>,
}

impl Storage {
    pub(crate) fn new(path: PathBuf) -> Self {
        let gathered = Vec::new();
        Self { path, file: None, len: 0, durable: 0, gathered, unchecked: 0, free_space }
    }

    /// Takes a part into memory if it may be written with a later one; gives how many bytes
    /// a power cut would leave then, as [`store`](Self::store) does. This does not block: a
    /// block of CoAP is small, and to wake a thread for each costs more than all the rest.
    pub(crate) fn gather(&mut self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let follows = self.file.is_some() && self.len > 0 && offset == self.end();
        let is_small = bytes.len() < LARGE;
        if !follows || !is_small || self.gathered.len() + bytes.len() >= MAX_GATHERED {
            return None;
        }
        self.gathered.extend_from_slice(bytes);
        Some(self.durable)
    }

    /// Where the next part begins.
    fn end(&self) -> u64 {
        self.len + self.gathered.len() as u64
    }

    /// Stores a part; at offset 0 a package begins anew, if it has not just begun. Returns
    /// how many bytes a power cut would leave.
    pub(crate) fn store(
        &mut self,
        offset: u64,
        bytes: &[u8],
        last: bool,
        size: Option<u64>,
    ) -> Result<u64, Failure> {
        let has_just_begun = self.file.is_some() && self.len == 0;
        if offset == 0 && !has_just_begun {
            self.open(0, size)?;
        }
        if self.gathered.is_empty() || offset != self.end() {
            self.gathered.clear();
            return self.write_checked(offset, bytes, last);
        }
        let mut all = std::mem::take(&mut self.gathered);
        all.extend_from_slice(bytes);
        self.write_checked(self.len, &all, last)
    }

    fn write_checked(&mut self, offset: u64, bytes: &[u8], last: bool) -> Result<u64, Failure> {
        let len = bytes.len() as u64;
        if len > self.unchecked {
            self.unchecked = self.check_space(len)?.min(CHECK_EVERY.max(len));
        }
        self.unchecked -= len;
        self.write(offset, bytes, last).map_err(|error| self.failure(&error))?;
        Ok(self.durable)
    }

    /// Has the first `offset` bytes of a package and nothing behind them; all of these are
    /// durable then. With 0 a package begins.
    pub(crate) fn open(&mut self, offset: u64, size: Option<u64>) -> Result<u64, Failure> {
        if offset == 0 {
            self.discard()?;
            make_folder(&self.path).map_err(|error| self.failure(&error))?;
        } else if !self.gathered.is_empty() {
            let gathered = std::mem::take(&mut self.gathered);
            self.write_checked(self.len, &gathered, false)?;
        }
        self.check_space(size.unwrap_or_default().saturating_sub(offset))?;
        self.unchecked = 0;
        let opened = if offset == 0 { self.create() } else { self.cut(offset) };
        self.file = Some(opened.map_err(|error| self.failure(&error))?);
        (self.len, self.durable) = (offset, offset);
        Ok(offset)
    }

    fn create(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(FILE_MODE).open(&self.path)?;
        // What is synced later must have a name.
        sync_folder(&self.path)?;
        Ok(file)
    }

    fn cut(&self, offset: u64) -> io::Result<File> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        let len = file.metadata()?.len();
        if len < offset {
            let cause = format!("{len} bytes of what were {offset}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cause));
        }
        file.set_len(offset)?;
        file.sync_data()?;
        Ok(file)
    }

    /// Whether `size` bytes fit beside the reserve; how many would.
    fn check_space(&self, size: u64) -> Result<u64, Failure> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        let free = (self.free_space)(folder).map_err(|error| self.failure(&error))?;
        let usable = free.saturating_sub(RESERVE);
        // Even an empty package needs a name.
        if size > usable || usable == 0 {
            let cause = format!(
                "{}: {size} bytes to come, {free} bytes free of which {RESERVE} are kept",
                self.path.display()
            );
            return Err(Failure::new(Reason::NoSpace, cause));
        }
        Ok(usable)
    }

    fn write(&mut self, offset: u64, bytes: &[u8], last: bool) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("what came before is no longer here"));
        };
        // A part that failed half-way must not move the next one.
        file.write_all_at(bytes, offset)?;
        self.len = offset + bytes.len() as u64;
        if self.len.saturating_sub(self.durable) >= SYNC_EVERY || last {
            file.sync_data()?;
            self.durable = self.len;
        }
        if last {
            self.file = None;
        }
        Ok(())
    }

    /// Removes what there is of a package.
    pub(crate) fn discard(&mut self) -> Result<(), Failure> {
        (self.file, self.len, self.durable, self.gathered) = (None, 0, 0, Vec::new());
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|error| self.failure(&error)),
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::NoSpace,
            io::ErrorKind::FileTooLarge => Reason::NoSpace,
            io::ErrorKind::OutOfMemory => Reason::OutOfMemory,
            _ => Reason::Other,
        };
        Failure::new(reason, format!("{}: {error}", self.path.display()))
    }
}

/// Bytes that this user may write below `folder`.
fn free_space(folder: &Path) -> io::Result<u64> {
    let facts = statvfs(folder)?;
    // 32 bits wide on some machines.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (u64::from(facts.blocks_available()), u64::from(facts.fragment_size()));
    Ok(blocks.saturating_mul(size))
}

/// At most so many bytes are lost to a power cut, and written in one go by a sync.
const SYNC_EVERY: u64 = 4 * 1024 * 1024;
/// Parts of what is fetched are as large as this, and are written at once.
const LARGE: usize = 16 * 1024;
/// Fewer bytes than these are in memory, and are written in one go.
const MAX_GATHERED: usize = 64 * 1024;
/// At most so many bytes come before the free space is looked at again, since others
/// write too.
const CHECK_EVERY: u64 = 1024 * 1024;
/// Bytes that stay free for the agent's own state.
const RESERVE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_file_and_a_new_package_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firmware/package");
        let mut storage = Storage::new(path.clone());
        storage.store(0, b"old and long", false, None).unwrap();
        storage.store(0, b"new", false, Some(6)).unwrap();
        storage.store(3, b" one", true, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new one");
        storage.discard().unwrap();
        storage.discard().unwrap();
        assert!(!path.exists());
        let error = storage.store(7, b"x", false, None).unwrap_err();
        assert_eq!(error.reason, Reason::Other);
    }

    /// OBJ-94
    #[test]
    fn a_package_goes_on_from_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firmware/package");
        let mut storage = Storage::new(path.clone());
        assert_eq!(storage.open(0, Some(7)), Ok(0));
        assert_eq!(storage.store(0, b"new too long", false, Some(7)), Ok(0));
        drop(storage);
        // After a restart, and once more in the same run.
        let mut storage = Storage::new(path.clone());
        for _ in 0..2 {
            assert_eq!(storage.open(4, Some(7)), Ok(4));
            assert_eq!(fs::read(&path).unwrap(), b"new ");
            assert_eq!(storage.store(4, b"on", false, None), Ok(4));
        }
        assert_eq!(storage.store(6, b"e", false, None), Ok(4));
        assert_eq!(storage.store(7, b"", true, None), Ok(7));
        assert_eq!(fs::read(&path).unwrap(), b"new one");
        let error = Storage::new(path.clone()).open(8, None).unwrap_err();
        assert_eq!(error.reason, Reason::Other);
        assert!(error.cause.ends_with("firmware/package: 7 bytes of what were 8"), "{error:?}");
        storage.discard().unwrap();
        assert!(storage.open(1, None).unwrap_err().cause.contains("package: No such file"));
    }

    #[test]
    fn what_is_synced_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::new(folder.path().join("package"));
        let part = vec![7; SYNC_EVERY as usize / 4];
        let mut durable = Vec::new();
        for n in 0..9 {
            durable.push(storage.store(n * part.len() as u64, &part, false, None).unwrap());
        }
        let (one, two) = (SYNC_EVERY, 2 * SYNC_EVERY);
        assert_eq!(durable, [0, 0, 0, one, one, one, one, two, two]);
    }

    /// Nothing is lost in whichever way parts come, and the file is behind by no more than
    /// what may be gathered.
    #[test]
    fn what_was_gathered_is_written_with_a_later_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package");
        let mut storage = Storage::new(path.clone());
        let package: Vec<u8> = (0..200_000_u32).map(|at| (at >> 4) as u8).collect();
        let mut at = 0;
        for (index, part) in package.chunks(1000).enumerate() {
            let last = at + part.len() == package.len();
            let offset = at as u64;
            if last || storage.gather(offset, part).is_none() {
                storage.store(offset, part, last, None).unwrap();
            }
            at += part.len();
            let written = fs::metadata(&path).unwrap().len() as usize;
            assert!(written > 0 && written + MAX_GATHERED >= at, "{written} of {at}");
            if index == 100 {
                // An attempt to fetch has ended, and another goes on.
                assert_eq!(storage.open(at as u64, None).unwrap(), at as u64);
            }
        }
        assert_eq!(fs::read(&path).unwrap(), package);
        // What does not follow is not taken.
        storage.store(0, b"new", false, None).unwrap();
        assert_eq!(storage.gather(0, b"x"), None);
        assert_eq!(storage.gather(4, b"x"), None);
        assert_eq!(storage.gather(3, b"x"), Some(0));
        // And what is gathered is of this package alone.
        storage.store(0, b"other", true, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(storage.gather(5, b"x"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package");
        let mut storage = Storage::new(path.clone());
        let error = storage.store(0, b"x", false, Some(u64::MAX)).unwrap_err();
        assert_eq!(error.reason, Reason::NoSpace, "{}", error.cause);
        assert!(!path.exists());
    }

    /// The size is no promise of the sender, and some tell none.
    #[test]
    fn the_reserve_stays_free_whatever_the_sender_says() {
        for size in [None, Some(1)] {
            let folder = tempfile::tempdir().unwrap();
            let mut storage = Storage::new(folder.path().join("package"));
            storage.free_space = |_| Ok(RESERVE);
            let error = storage.store(0, b"x", false, size).unwrap_err();
            assert_eq!(error.reason, Reason::NoSpace, "{}", error.cause);
            // It fills up while the package comes.
            storage.free_space = |folder| {
                let taken = fs::metadata(folder.join("package")).map_or(0, |it| it.len());
                Ok(RESERVE + CHECK_EVERY * 2 - taken)
            };
            let part = vec![7; CHECK_EVERY as usize / 4];
            let stored = (0..100)
                .take_while(|n| storage.store(n * part.len() as u64, &part, false, size).is_ok());
            assert_eq!(stored.count(), 8, "{size:?}");
        }
    }

    #[test]
    fn a_full_disk_is_no_space() {
        let mut storage = Storage { unchecked: 1, ..Storage::new("/tmp/package".into()) };
        storage.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let error = storage.store(1, b"x", false, None).unwrap_err();
        assert_eq!(error.reason, Reason::NoSpace, "{}", error.cause);
    }
}
