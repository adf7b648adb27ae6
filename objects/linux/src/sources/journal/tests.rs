//! Files made by systemd-journal-remote, whole and damaged. Not run where it is missing.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use super::compression::Compression;
use super::*;

/// A system with a journal, made from texts in the export format.
pub(crate) struct System {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) roots: Roots,
}

const MACHINE: &str = "00112233445566778899aabbccddeeff";
const REMOTE: &str = "/usr/lib/systemd/systemd-journal-remote";

impl System {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::below(folder.path());
        fs::create_dir_all(&roots.etc).unwrap();
        fs::write(roots.etc.join("machine-id"), MACHINE).unwrap();
        fs::create_dir_all(roots.var.join("log/journal").join(MACHINE)).unwrap();
        Self { folder, roots }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.roots.var.join("log/journal").join(MACHINE).join(name)
    }

    /// Makes a file of messages of the program prog.
    pub(crate) fn file(
        &self,
        name: &str,
        entries: &[(u64, &str)],
        options: &[&str],
    ) -> Option<PathBuf> {
        let fields = "PRIORITY=6\nSYSLOG_IDENTIFIER=prog\n_PID=7\nMESSAGE=";
        let entries = entries.iter().map(|(time, message)| (*time, format!("{fields}{message}")));
        self.file_of(name, &entries.collect::<Vec<_>>(), options)
    }

    /// Makes a file of entries, each with its time and its fields; `None`, with a line that
    /// says so, where it cannot be made.
    pub(crate) fn file_of(
        &self,
        name: &str,
        entries: &[(u64, String)],
        options: &[&str],
    ) -> Option<PathBuf> {
        let mut text = String::new();
        for (time, fields) in entries {
            text += &format!(
                "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={time}\n\
                 _BOOT_ID={MACHINE}\n{fields}\n\n"
            );
        }
        let export = self.folder.path().join("export");
        fs::write(&export, text).unwrap();
        let made = self.folder.path().join("made.journal");
        let layout = if options.contains(&REGULAR) { "0" } else { "1" };
        let options = options.iter().filter(|option| **option != REGULAR);
        let output = Command::new(REMOTE)
            .env("SYSTEMD_JOURNAL_COMPACT", layout)
            .args(options)
            .arg("-o")
            .arg(&made)
            .arg(&export)
            .output();
        match output {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("not run: needs systemd-journal-remote");
                return None;
            }
            Err(error) => panic!("{error}"),
        }
        let path = self.path(name);
        fs::rename(made, &path).unwrap();
        Some(path)
    }

    /// The messages from the newest on, back to `since`.
    fn messages(&self, since: u64) -> Vec<String> {
        let mut messages = Vec::new();
        newest_first(&self.roots, since, |entry| {
            messages.push(entry.get(Name::Message).unwrap_or("?").to_owned());
            ControlFlow::Continue(())
        })
        .unwrap();
        messages
    }
}

/// As systemd before 252 writes it.
const REGULAR: &str = "regular";

#[test]
fn entries_come_from_the_newest_on() {
    for options in [&["--compress=no"][..], &["--compress=no", REGULAR], &["--compress=yes"]] {
        let system = System::new();
        let texts: Vec<String> = (0..500).map(|number| format!("line {number}")).collect();
        let entries: Vec<(u64, &str)> = (1000..).zip(texts.iter().map(String::as_str)).collect();
        if system.file("system.journal", &entries, options).is_none() {
            return;
        }
        let mut expected = texts.clone();
        expected.reverse();
        assert_eq!(system.messages(0), expected, "{options:?}");
        assert_eq!(system.messages(1497), ["line 499", "line 498", "line 497"]);
        assert_eq!(system.messages(2000), [""; 0]);
    }
}

#[test]
fn fields_are_those_of_the_entry() {
    let system = System::new();
    let long = "x".repeat(5000);
    let entries = [(1, "short"), (2, long.as_str())];
    if system.file("system.journal", &entries, &["--compress=no"]).is_none() {
        return;
    }
    let mut found = Vec::new();
    newest_first(&system.roots, 0, |entry| {
        found.push(entry.clone());
        ControlFlow::Continue(())
    })
    .unwrap();
    let [second, first] = &found[..] else { panic!("{found:?}") };
    let names = [Name::Message, Name::Priority, Name::Identifier, Name::Process, Name::Command];
    let fields = names.map(|name| first.get(name));
    assert_eq!(fields, [Some("short"), Some("6"), Some("prog"), Some("7"), None]);
    assert_eq!((first.realtime, first.is_compressed), (1, false));
    let cut = second.get(Name::Message).unwrap();
    assert!(cut.ends_with("xxx...") && cut.len() < 1100, "cut at {}", cut.len());
}

/// What journald has compressed reads as what it has not.
#[test]
fn compressed_messages_are_those_that_were_written() {
    let rest: String = (0..300_000u32).map(|number| number.to_string()).collect();
    let texts = ["x".repeat(600), rest[..700].to_owned(), "y".repeat(5000), rest];
    let entries: Vec<(u64, &str)> = (1..).zip(texts.iter().map(String::as_str)).collect();
    for layout in [&[][..], &[REGULAR]] {
        let system = System::new();
        let options = [layout, &["--compress=no"]].concat();
        if system.file("system.journal", &entries, &options).is_none() {
            return;
        }
        let expected = system.messages(0);
        let options = [layout, &["--compress=yes"]].concat();
        let path = system.file("system.journal", &entries, &options).unwrap();
        assert_eq!(system.messages(0), expected);
        assert!(expected[0].ends_with("...") && expected[1].ends_with("yyy..."));
        assert_eq!(expected[2..], [texts[1].as_str(), &texts[0]]);

        // As older systems write them, where there is room: lz4, and at last xz.
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let payload = if layout.is_empty() { 72 } else { 64 };
        let places = compressed(&file);
        assert_eq!(places.len(), texts.len(), "all are compressed");
        for (place, times) in [(places[1], 600), (places[3], 500_000)] {
            let stored = lz4(times);
            file.write_all_at(&[0x02], place + 1).unwrap();
            file.write_all_at(&(payload + stored.len() as u64).to_le_bytes(), place + 8).unwrap();
            file.write_all_at(&stored, place + payload).unwrap();
        }
        let messages = system.messages(0);
        assert_eq!((&messages[1], &messages[3]), (&expected[1], &expected[3]), "those of zstd");
        assert_eq!(messages[2], format!("{}, end", "x".repeat(600)));
        assert_eq!(messages[0], format!("{}...", "x".repeat(expected[0].len() - 3)));
        for place in places {
            file.write_all_at(&[0x01], place + 1).unwrap();
        }
        newest_first(&system.roots, 0, |entry| {
            assert_eq!((entry.get(Name::Message), entry.is_compressed), (None, true));
            assert_eq!(entry.get(Name::Identifier), Some("prog"), "the rest is there");
            ControlFlow::Continue(())
        })
        .unwrap();
    }
}

/// Where the fields are that are compressed by zstd.
fn compressed(file: &File) -> Vec<u64> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let found = bytes.chunks_exact(8).zip((0..).step_by(8));
    found.filter(|(object, _)| object[..4] == [1, 4, 0, 0]).map(|(_, place)| place).collect()
}

/// A message of so many times x and an end, as journald stores it with lz4.
fn lz4(times: u64) -> Vec<u8> {
    let length = 8 + times + 5;
    let repeated = times - 1 - 4 - 15;
    let mut stored = length.to_le_bytes().to_vec();
    stored.extend_from_slice(b"\x9fMESSAGE=x\x01\0");
    stored.extend((0..repeated / 255).map(|_| 255));
    stored.push((repeated % 255) as u8);
    stored.extend_from_slice(b"\x50, end");
    stored
}

#[test]
fn the_files_of_the_system_are_read_in_turn_and_no_other() {
    let system = System::new();
    let files = [
        ("system.journal", 30, "newest"),
        ("system@0011-0022-0033.journal", 20, "older"),
        ("system@0011-0022.journal~", 10, "before a power cut"),
        ("user-1000.journal", 40, "of a user"),
        ("remote-x.journal", 50, "of another machine"),
    ];
    for (name, time, message) in files {
        if system.file(name, &[(time, message)], &["--compress=no"]).is_none() {
            return;
        }
    }
    fs::write(system.path("system@empty.journal"), "").unwrap();
    fs::write(system.path("system@foreign.journal"), [b'x'; 4096]).unwrap();
    assert_eq!(system.messages(0), ["newest", "older", "before a power cut"]);
    let before = mark(&system.roots).unwrap();
    assert_eq!(mark(&system.roots).unwrap(), before);
    system.file("system.journal", &[(30, "newest"), (31, "more")], &["--compress=no"]).unwrap();
    assert_ne!(mark(&system.roots).unwrap(), before);
}

#[test]
fn it_is_said_why_nothing_can_be_read() {
    let system = System::new();
    let error = || mark(&system.roots).unwrap_err().to_string().replace(system_path(&system), "");
    assert_eq!(
        error(),
        "there is no journal in /run/log/journal/ID or /var/log/journal/ID".replace("ID", MACHINE)
    );
    let path = system.path("system.journal");
    let said = |text: &str| format!("/var/log/journal/{MACHINE}/system.journal: {text}");
    fs::write(&path, "LPKSHHRH").unwrap();
    assert_eq!(error(), said("is no journal"));
    let mut bytes = [0; 4096];
    bytes[..8].copy_from_slice(b"LPKSHHRH");
    bytes[12] = 0x20;
    fs::write(&path, bytes).unwrap();
    assert_eq!(error(), said("has features that are not known here (0x20)"));
    fs::remove_file(system.roots.etc.join("machine-id")).unwrap();
    assert!(error().contains("no machine-id"));
}

fn system_path(system: &System) -> &str {
    system.folder.path().to_str().unwrap()
}

/// Whatever a file holds: no panic, an end, and no more than one file has room for.
#[test]
fn a_damaged_file_harms_nobody() {
    for options in [&["--compress=no"][..], &["--compress=no", REGULAR]] {
        let system = System::new();
        let texts: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        let entries: Vec<(u64, &str)> = (1000..).zip(texts.iter().map(String::as_str)).collect();
        let Some(path) = system.file("system.journal", &entries, options) else { return };
        let file = File::options().read(true).write(true).open(&path).unwrap();
        // The hash tables, which nobody reads, are most of the file.
        let arena = {
            let mut offset = [0; 8];
            file.read_exact_at(&mut offset, 136).unwrap();
            u64::from_le_bytes(offset) + 1024
        };
        let places: Vec<u64> = (0..HEADER_END).chain(arena.saturating_sub(24_000)..arena).collect();
        let mut next = dice();
        let mut is_different = 0;
        for _ in 0..4000 {
            let mut before = Vec::new();
            for _ in 0..1 + next() % 8 {
                let place = places[(next() % places.len() as u64) as usize];
                let mut old = [0];
                file.read_exact_at(&mut old, place).unwrap();
                before.push((place, old));
                let new = match next() % 4 {
                    0 => 0xff,
                    1 => 0,
                    2 => old[0] ^ (1 << (next() % 8)),
                    _ => next() as u8,
                };
                file.write_all_at(&[new], place).unwrap();
            }
            let mut shown = 0;
            let read = newest_first(&system.roots, 0, |entry| {
                shown += 1;
                assert!(entry.get(Name::Message).is_none_or(|text| text.len() < 4096));
                ControlFlow::Continue(())
            });
            assert!(shown <= MAX_SCANNED);
            is_different += usize::from(read.is_err() || shown != entries.len());
            for (place, old) in before.iter().rev() {
                file.write_all_at(old, *place).unwrap();
            }
        }
        assert!(is_different > 100, "the damage is where it matters: {is_different}");
        assert_eq!(system.messages(0).len(), entries.len(), "all is as it was");
        // Cut off anywhere, as by a full disk.
        let length = file.metadata().unwrap().len();
        for length in (0..64).map(|part| length * part / 64).chain(0..300).rev() {
            file.set_len(length).unwrap();
            let _ = newest_first(&system.roots, 0, |_| ControlFlow::Continue(()));
        }
    }
}

/// The same of what a compressed field holds.
#[test]
fn a_damaged_field_harms_nobody() {
    let system = System::new();
    let words: String = (0..900).map(|word| format!("{} ", word * word % 1000)).collect();
    let texts = ["x".repeat(600), words, "fan stopped, ".repeat(60)];
    let entries: Vec<(u64, &str)> = (1..).zip(texts.iter().map(String::as_str)).collect();
    let Some(path) = system.file("system.journal", &entries, &["--compress=yes"]) else { return };
    let file = File::open(path).unwrap();
    let mut fields: Vec<(Compression, Vec<u8>)> = compressed(&file)
        .into_iter()
        .map(|place| {
            let mut size = [0; 8];
            file.read_exact_at(&mut size, place + 8).unwrap();
            let mut stored = vec![0; u64::from_le_bytes(size) as usize - 72];
            file.read_exact_at(&mut stored, place + 72).unwrap();
            (Compression::Zstd, stored)
        })
        .collect();
    fields.extend([600, 6000].map(|times| (Compression::Lz4, lz4(times))));
    let mut next = dice();
    for (compression, stored) in fields {
        let whole = compression.beginning(&stored, 100).unwrap();
        let mut is_different = 0;
        for _ in 0..2000 {
            let mut damaged = stored.clone();
            for _ in 0..1 + next() % 4 {
                let place = (next() % stored.len() as u64) as usize;
                damaged[place] = next() as u8;
            }
            damaged.truncate(damaged.len() - (next() % 4) as usize);
            let beginning = compression.beginning(&damaged, 100);
            assert!(beginning.as_ref().is_none_or(|beginning| beginning.bytes.len() <= 100));
            is_different += usize::from(beginning.as_ref() != Some(&whole));
        }
        assert!(is_different > 500, "the damage is where it matters: {is_different}");
    }
}

/// Numbers that nobody foresees, the same in each run.
fn dice() -> impl FnMut() -> u64 {
    let mut dice = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    }
}

/// Sizes that no sum survives, in the one place where entries are counted.
#[test]
fn an_array_is_no_longer_than_its_file() {
    let system = System::new();
    let Some(path) = system.file("system.journal", &[(1, "x")], &["--compress=no"]) else { return };
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let mut offset = [0; 8];
    file.read_exact_at(&mut offset, 176).unwrap();
    let array = u64::from_le_bytes(offset);
    file.write_all_at(&u64::MAX.to_le_bytes(), 152).unwrap();
    file.write_all_at(&u64::MAX.to_le_bytes(), array + 8).unwrap();
    file.write_all_at(&array.to_le_bytes(), array + 16).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(mark(&system.roots).unwrap().1 <= length / 4);
    newest_first(&system.roots, 0, |_| ControlFlow::Continue(())).unwrap();
}

const HEADER_END: u64 = 272;
