//! Where the record of an update is kept.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use crate::Record;
use lwm2m_objects::durable::{sync_folder, write_whole};

/// Keeps the bytes of one record. Its functions block.
pub trait RecordStore: Send + Sync + 'static {
    /// The bytes that were saved last, if any were.
    ///
    /// # Errors
    /// If they cannot be read.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Saves bytes in place of those before. They are durable when it returns.
    ///
    /// # Errors
    /// If they cannot be written; then those before are still there.
    fn save(&self, bytes: &[u8]) -> io::Result<()>;

    /// Puts away, under a name that is returned, what cannot be used. The next load
    /// finds nothing.
    ///
    /// # Errors
    /// If it cannot be moved.
    fn set_aside(&self) -> io::Result<String>;
}

/// A record in a file, which a power cut leaves as it was or as it is to be.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
}

impl RecordFile {
    /// The file; its directory is made when it is first written.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl RecordStore for RecordFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(Record::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        write_whole(&self.path, bytes)
    }

    fn set_aside(&self) -> io::Result<String> {
        let names = (1..=MAX_ASIDE).map(|n| self.path.with_extension(format!("damaged-{n}")));
        // The last name is taken over and over.
        let last = self.path.with_extension(format!("damaged-{MAX_ASIDE}"));
        let name = names.into_iter().find(|name| !name.exists()).unwrap_or(last);
        fs::rename(&self.path, &name)?;
        sync_folder(&self.path)?;
        Ok(name.display().to_string())
    }
}

/// Records that are kept aside.
const MAX_ASIDE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_there_after_a_restart_and_a_half_written_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firmware/record");
        let store = RecordFile::new(path.clone());
        assert_eq!(store.load().unwrap(), None);
        store.save(b"one").unwrap();
        store.save(b"two").unwrap();
        fs::write(path.with_extension("new"), "thr").unwrap();
        assert_eq!(RecordFile::new(path).load().unwrap().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn what_is_set_aside_is_in_nobodys_way_and_not_without_bound() {
        let folder = tempfile::tempdir().unwrap();
        let store = RecordFile::new(folder.path().join("record"));
        for number in 1..=MAX_ASIDE + 1 {
            store.save(format!("{number}").as_bytes()).unwrap();
            let name = store.set_aside().unwrap();
            assert!(name.ends_with(&format!("/record.damaged-{}", number.min(MAX_ASIDE))));
            assert_eq!(fs::read_to_string(name).unwrap(), format!("{number}"));
            assert_eq!(store.load().unwrap(), None);
        }
        assert!(store.set_aside().is_err());
    }
}
