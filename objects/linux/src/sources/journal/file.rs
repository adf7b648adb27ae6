//! One file of the journal. Offsets are those of "Journal File Format", whose sections
//! are named; a file may be written to while it is read, and may be damaged, so that
//! nothing in it is believed.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use super::compression::{Beginning, Compression};

/// Why a file is none of the journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("is no journal")]
    Foreign,
    #[error("has features that are not known here ({0:#x})")]
    Unknown(u32),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file and where its entries are.
pub(super) struct JournalFile {
    file: File,
    layout: Layout,
    arrays: Vec<Array>,
    entries: u64,
    newest: u64,
    /// Values that many entries share are stored once: each is read once.
    known: HashMap<u64, Value>,
}

/// An entry, as far as it is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// µs of Unix time.
    pub(crate) realtime: u64,
    fields: BTreeMap<Name, Rc<str>>,
    /// Whether a field is there that cannot be decompressed, so that nobody knows which.
    pub(crate) is_compressed: bool,
}

impl Entry {
    /// The value of a field, if it is there and can be read.
    pub(crate) fn get(&self, name: Name) -> Option<&str> {
        self.fields.get(&name).map(AsRef::as_ref)
    }
}

/// The fields that are of use (systemd.journal-fields(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Message,
    Priority,
    Facility,
    Identifier,
    Command,
    Process,
    Transport,
}

const NAMES: [(Name, &[u8]); 7] = [
    (Name::Message, b"MESSAGE="),
    (Name::Priority, b"PRIORITY="),
    (Name::Facility, b"SYSLOG_FACILITY="),
    (Name::Identifier, b"SYSLOG_IDENTIFIER="),
    (Name::Command, b"_COMM="),
    (Name::Process, b"_PID="),
    (Name::Transport, b"_TRANSPORT="),
];

/// What a DATA object holds.
#[derive(Debug, Clone)]
enum Value {
    Of(Name, Rc<str>),
    Other,
    Compressed,
}

/// How wide offsets are ("Compact Mode").
#[derive(Debug, Clone, Copy)]
enum Layout {
    Regular,
    Compact,
}

impl Layout {
    /// Bytes of an item of an entry array.
    const fn slot(self) -> u64 {
        match self {
            Self::Regular => 8,
            Self::Compact => 4,
        }
    }

    /// Bytes of an item of an entry: in regular mode a hash follows the offset.
    const fn item(self) -> u64 {
        match self {
            Self::Regular => 16,
            Self::Compact => 4,
        }
    }

    /// Where the payload of a DATA object begins.
    const fn payload(self) -> usize {
        match self {
            Self::Regular => 64,
            Self::Compact => 72,
        }
    }

    fn offset(self, bytes: &[u8]) -> io::Result<u64> {
        match self {
            Self::Regular => number(bytes, 0),
            Self::Compact => Ok(number32(bytes, 0)?.into()),
        }
    }
}

/// A part of the list of all entries ("Entry Array Objects").
struct Array {
    /// The number of its first entry.
    first: u64,
    /// Where its items begin.
    items: u64,
}

impl JournalFile {
    /// Opens a file and looks where its entries are.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FileError::Foreign,
            _ => FileError::Io(error),
        })?;
        if !header.starts_with(SIGNATURE) {
            return Err(FileError::Foreign);
        }
        let features = number32(&header, 12)?;
        if features & !KNOWN_FEATURES != 0 {
            return Err(FileError::Unknown(features));
        }
        let layout = if features & COMPACT != 0 { Layout::Compact } else { Layout::Regular };
        let (entries, newest) = (number(&header, 152)?, number(&header, 192)?);
        let known = HashMap::new();
        let mut opened = Self { file, layout, arrays: Vec::new(), entries, newest, known };
        opened.find_arrays(number(&header, 176)?, length);
        Ok(opened)
    }

    /// Follows the chain of arrays; each is twice as long as all before it, so they are
    /// few. Where it is damaged the list ends.
    fn find_arrays(&mut self, mut at: u64, length: u64) {
        let mut first = 0u64;
        while at != 0 && first < self.entries && self.arrays.len() < MAX_ARRAYS {
            let Ok((_, size)) = self.object(at, ENTRY_ARRAY) else { break };
            let Ok(next) = self.read::<8>(at + 16).and_then(|bytes| number(&bytes, 0)) else {
                break;
            };
            // No item lies behind the end of the file.
            let size = size.min(length.saturating_sub(at));
            self.arrays.push(Array { first, items: at + 24 });
            first += size.saturating_sub(24) / self.layout.slot();
            // Arrays are appended: one that lies before is a loop.
            if next <= at {
                break;
            }
            at = next;
        }
        self.entries = self.entries.min(first);
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// The time of the newest one in µs of Unix time.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The entry of this number ("Entry Objects").
    pub(super) fn entry(&mut self, index: u64) -> io::Result<Entry> {
        let array = self.arrays.iter().rev().find(|array| array.first <= index);
        let array = array.ok_or_else(damaged)?;
        let slot = array.items + (index - array.first) * self.layout.slot();
        let mut bytes = [0; 8];
        let width = self.layout.slot() as usize;
        self.file.read_exact_at(bytes.get_mut(..width).ok_or_else(damaged)?, slot)?;
        let at = self.layout.offset(&bytes)?;
        let (_, size) = self.object(at, ENTRY)?;
        let realtime = number(&self.read::<8>(at + 24)?, 0)?;
        let items = (size.saturating_sub(64) / self.layout.item()).min(MAX_FIELDS);
        let mut bytes = vec![0; (items * self.layout.item()) as usize];
        self.file.read_exact_at(&mut bytes, at + 64)?;
        let mut entry = Entry { realtime, fields: BTreeMap::new(), is_compressed: false };
        for item in bytes.chunks_exact(self.layout.item() as usize) {
            let at = self.layout.offset(item)?;
            let value = match self.known.get(&at) {
                Some(value) => value.clone(),
                None => self.value(at)?,
            };
            match &value {
                Value::Of(name, text) => drop(entry.fields.insert(*name, text.clone())),
                Value::Compressed => entry.is_compressed = true,
                Value::Other => {}
            }
            if !matches!(value, Value::Of(Name::Message, _)) {
                if self.known.len() == MAX_KNOWN {
                    self.known.clear();
                }
                self.known.insert(at, value);
            }
        }
        Ok(entry)
    }

    /// What the DATA object at `at` holds ("Data Objects").
    fn value(&self, at: u64) -> io::Result<Value> {
        let (flags, size) = self.object(at, DATA)?;
        let start = self.layout.payload() as u64;
        let length = size.checked_sub(start).ok_or_else(damaged)?;
        let Beginning { bytes, is_whole } = match Compression::of(flags) {
            Some(compression) => {
                let stored = self.read_some(at + start, length, Compression::MAX_STORED)?;
                match compression.beginning(&stored, MAX_VALUE) {
                    Some(beginning) => beginning,
                    None => return Ok(Value::Compressed),
                }
            }
            None if name(&self.read_some(at + start, length, SHORT)?).is_none() => {
                return Ok(Value::Other);
            }
            None => {
                let bytes = self.read_some(at + start, length, MAX_VALUE)?;
                Beginning { bytes, is_whole: length <= MAX_VALUE as u64 }
            }
        };
        let Some((name, text)) = name(&bytes) else { return Ok(Value::Other) };
        let cut = if is_whole { "" } else { "..." };
        Ok(Value::Of(name, format!("{}{cut}", String::from_utf8_lossy(text)).into()))
    }

    /// Flags and size of the object at `at`, which is of this kind ("Objects").
    fn object(&self, at: u64, kind: u8) -> io::Result<(u8, u64)> {
        // Objects are aligned, none lies in the header, and no sum below overflows.
        if !at.is_multiple_of(8) || !(HEADER as u64..=MAX_OFFSET).contains(&at) {
            return Err(damaged());
        }
        let header = self.read::<16>(at)?;
        match header {
            [found, flags, ..] if found == kind => Ok((flags, number(&header, 8)?)),
            _ => Err(damaged()),
        }
    }

    /// What is at `at`, of this length, but `limit` at most.
    fn read_some(&self, at: u64, length: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length.min(limit as u64) as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    fn read<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// Which of the fields that are of use this is, and what follows its name.
fn name(field: &[u8]) -> Option<(Name, &[u8])> {
    NAMES.into_iter().find_map(|(name, prefix)| Some((name, field.strip_prefix(prefix)?)))
}

fn number(bytes: &[u8], at: usize) -> io::Result<u64> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(damaged)?;
    Ok(u64::from_le_bytes(*bytes))
}

fn number32(bytes: &[u8], at: usize) -> io::Result<u32> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(damaged)?;
    Ok(u32::from_le_bytes(*bytes))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "is damaged")
}

const SIGNATURE: &[u8] = b"LPKSHHRH";
/// Bytes of the header that every version has ("Header").
const HEADER: usize = 208;
/// Incompatible flags: the three compressions, keyed hashes and compact mode.
const KNOWN_FEATURES: u32 = 0x1f;
const COMPACT: u32 = 0x10;
const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;
/// No journal is larger.
const MAX_OFFSET: u64 = 1 << 48;
/// Arrays of a file; they double.
const MAX_ARRAYS: usize = 64;
/// Fields of an entry that are looked at.
const MAX_FIELDS: u64 = 256;
/// Bytes by which a field is known.
const SHORT: usize = 32;
/// Bytes of a field that are read, with its name.
const MAX_VALUE: usize = 1024;
/// Values that are remembered of a file.
const MAX_KNOWN: usize = 1024;
