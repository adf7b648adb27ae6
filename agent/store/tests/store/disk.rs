//! A disk that loses what was not synced when the power goes.
//!
//! Content of a file is safe after a sync of the file; a name that was made or removed
//! after a sync of the directory, and not before. What is not safe may arrive or not,
//! in any part.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::trace::Call;

/// What of that which was not synced has arrived all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    Nothing,
    /// The names, but no content.
    Names,
    /// The content, but no names.
    Content,
    /// Every second name and every second write to each file, from the first on: the
    /// disk has an order of its own.
    Even,
    /// The other half.
    Odd,
    /// All, except that the last write is cut in the middle.
    Torn,
    Everything,
}

impl Arrived {
    pub(crate) const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Names,
        Self::Content,
        Self::Even,
        Self::Odd,
        Self::Torn,
        Self::Everything,
    ];

    /// Whether a change has arrived, by its place among those that were not synced.
    fn includes(self, place: usize) -> bool {
        match self {
            Self::Even => place.is_multiple_of(2),
            Self::Odd => !place.is_multiple_of(2),
            Self::Nothing | Self::Names | Self::Content | Self::Torn | Self::Everything => true,
        }
    }
}

/// Files and names, as they are safe and as they should become.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    waiting_names: Vec<Named>,
}

/// A name that was given to a file, or taken away.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    file: Option<usize>,
}

#[derive(Debug, Default)]
struct File {
    safe: Vec<u8>,
    waiting: Vec<Waiting>,
}

#[derive(Debug, Clone)]
enum Waiting {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Disk {
    /// A disk on which the files of a directory are safe.
    pub(crate) fn holding(directory: &Path) -> Self {
        let mut disk = Self::default();
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let file = File { safe: fs::read(entry.path()).unwrap(), waiting: Vec::new() };
            disk.names.insert(entry.file_name().into_string().unwrap(), disk.files.len());
            disk.files.push(file);
        }
        disk.safe_names = disk.names.clone();
        disk
    }

    /// Takes a call.
    pub(crate) fn take(&mut self, call: &Call) {
        match call {
            Call::Open { name, make: true } if !self.names.contains_key(name) => {
                self.name(name, Some(self.files.len()));
                self.files.push(File::default());
            }
            Call::Open { .. } | Call::Say(_) => {}
            Call::Write { name, offset, bytes } => {
                let write = Waiting::Write { offset: *offset, bytes: bytes.clone() };
                self.file(name).waiting.push(write);
            }
            Call::Length { name, length } => self.file(name).waiting.push(Waiting::Length(*length)),
            Call::Sync { name } => {
                let file = self.file(name);
                for waiting in std::mem::take(&mut file.waiting) {
                    waiting.apply(&mut file.safe);
                }
            }
            Call::SyncNames => {
                self.safe_names = self.names.clone();
                self.waiting_names.clear();
            }
            Call::Link { from, to } => self.name(to, Some(self.names[from])),
            Call::Unlink { name } => self.name(name, None),
        }
    }

    fn name(&mut self, name: &str, file: Option<usize>) {
        let named = Named { name: name.to_owned(), file };
        named.apply(&mut self.names);
        self.waiting_names.push(named);
    }

    /// Writes what is there after a power cut into a directory.
    pub(crate) fn cut(&self, arrived: Arrived, directory: &Path) {
        let mut names = self.safe_names.clone();
        if !matches!(arrived, Arrived::Nothing | Arrived::Content) {
            for (place, named) in self.waiting_names.iter().enumerate() {
                if arrived.includes(place) {
                    named.apply(&mut names);
                }
            }
        }
        for (name, file) in names {
            fs::write(directory.join(name), self.files[file].after(arrived)).unwrap();
        }
    }

    fn file(&mut self, name: &str) -> &mut File {
        &mut self.files[self.names[name]]
    }
}

impl File {
    fn after(&self, arrived: Arrived) -> Vec<u8> {
        let mut content = self.safe.clone();
        for (place, waiting) in self.waiting.iter().enumerate() {
            let is_last = place + 1 == self.waiting.len();
            match (arrived, waiting) {
                (Arrived::Nothing | Arrived::Names, _) => {}
                _ if !arrived.includes(place) => {}
                (Arrived::Torn, Waiting::Write { offset, bytes }) if is_last => {
                    let bytes = bytes[..bytes.len() / 2].to_vec();
                    Waiting::Write { offset: *offset, bytes }.apply(&mut content);
                }
                _ => waiting.clone().apply(&mut content),
            }
        }
        content
    }
}

impl Named {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self.file {
            Some(file) => names.insert(self.name.clone(), file),
            None => names.remove(&self.name),
        };
    }
}

impl Waiting {
    fn apply(self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[offset..end].copy_from_slice(&bytes);
            }
            Self::Length(length) => content.resize(length, 0),
        }
    }
}

#[test]
fn what_was_not_synced_may_be_gone() {
    let write =
        |offset, bytes: &[u8]| Call::Write { name: "a".into(), offset, bytes: bytes.to_vec() };
    let mut disk = Disk::default();
    let calls = [
        Call::Open { name: "a".into(), make: true },
        Call::SyncNames,
        write(0, b"abcd"),
        Call::Sync { name: "a".into() },
        write(0, b"1"),
        write(2, b"3456"),
        Call::Link { from: "a".into(), to: "b".into() },
        Call::Unlink { name: "a".into() },
    ];
    calls.iter().for_each(|call| disk.take(call));
    for (arrived, expected, content) in [
        (Arrived::Nothing, &["a"][..], "abcd"),
        (Arrived::Names, &["b"], "abcd"),
        (Arrived::Content, &["a"], "1b3456"),
        (Arrived::Even, &["a", "b"], "1bcd"),
        (Arrived::Odd, &[], "ab3456"),
        (Arrived::Torn, &["b"], "1b34"),
        (Arrived::Everything, &["b"], "1b3456"),
    ] {
        let directory = crate::support::scratch();
        disk.cut(arrived, directory.path());
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, expected, "{arrived:?}");
        for name in names {
            assert_eq!(fs::read_to_string(directory.path().join(name)).unwrap(), content);
        }
    }
}
