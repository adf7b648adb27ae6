//! What tells a timer of the system, which needs nothing of the agent, that a new system
//! is on trial; and which system runs, as both of them see it.
//!
//! `systemd/lwm2md-trial` does the same in the shell. Whoever acts on the marker takes it
//! away first, so that an update never ends both well and badly.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lwm2m_objects::durable::{sync_folder, write_whole};

/// The file `firmware/trial` below the state directory. The timer takes it by giving it
/// another name, with the boot in which it does so.
#[derive(Debug, Clone)]
pub struct TrialMarker {
    path: PathBuf,
    proc: PathBuf,
}

impl TrialMarker {
    /// The marker below a state directory, on a system whose facts are in `proc`,
    /// usually `/proc`.
    pub fn new(state: &Path, proc: &Path) -> Self {
        Self { path: state.join(FILE), proc: proc.to_owned() }
    }

    /// Puts the marker there: this system is the old one. Durable when it returns.
    pub(crate) fn set(&self, boot: Option<&str>, trial: Duration) -> io::Result<()> {
        let (system, boot) = (system_identity(&self.proc), boot.unwrap_or_default());
        let text = format!("system={system}\nboot={boot}\nlimit={}\n", trial.as_secs());
        write_whole(&self.path, text.as_bytes())?;
        if self.remove_taken()? { sync_folder(&self.path) } else { Ok(()) }
    }

    /// Takes the marker away, for good: the new system stays. False if the timer was
    /// first.
    pub(crate) fn take(&self) -> io::Result<bool> {
        if !remove(&self.path)? && self.taken_now().exists() {
            return Ok(false);
        }
        sync_folder(&self.path)?;
        Ok(true)
    }

    /// What the timer has taken in another boot counts again: it has not led back to the
    /// old system.
    pub(crate) fn give_back(&self) -> io::Result<()> {
        let now = self.taken_now();
        match taken(&self.path).into_iter().find(|path| *path != now) {
            Some(path) => fs::rename(path, &self.path).and_then(|()| sync_folder(&self.path)),
            None => Ok(()),
        }
    }

    /// Nothing is on trial.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let was_there = remove(&self.path)?;
        if self.remove_taken()? || was_there { sync_folder(&self.path) } else { Ok(()) }
    }

    fn remove_taken(&self) -> io::Result<bool> {
        let paths = taken(&self.path);
        paths.iter().try_for_each(|path| remove(path).map(drop))?;
        Ok(!paths.is_empty())
    }

    /// What the timer makes of the marker in this boot.
    fn taken_now(&self) -> PathBuf {
        let boot = read(&self.proc.join("sys/kernel/random/boot_id")).unwrap_or_default();
        self.path.with_extension(format!("{TAKEN}{}", boot.trim()))
    }
}

/// What the timer has made of the marker, in this boot or another.
fn taken(marker: &Path) -> Vec<PathBuf> {
    let files = marker.parent().and_then(|folder| fs::read_dir(folder).ok());
    let paths = files.into_iter().flatten().flatten().map(|file| file.path());
    let is_taken = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        path.file_stem() == marker.file_name() && extension.starts_with(TAKEN)
    };
    paths.filter(is_taken).collect()
}

/// True if there was a file.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    }
}

/// Whether the system that runs was installed by an update and has yet to prove itself:
/// the marker below the state directory is there, and another system has written it. One
/// that cannot tell is not on trial. `proc` is usually `/proc`.
pub fn is_on_trial(state: &Path, proc: &Path) -> bool {
    let path = state.join(FILE);
    let old = read(&path).or_else(|| taken(&path).iter().find_map(|path| read(path)));
    let old = old.as_deref().and_then(|text| value(text, "system")).unwrap_or_default();
    let runs = system_identity(proc);
    !old.is_empty() && !runs.is_empty() && old != runs
}

/// What tells the system that runs from the one in another slot: the words `rauc.slot=`
/// and `root=` of the kernel's command line, else where `/` was mounted from. Empty if
/// neither can be read. `proc` is usually `/proc`.
pub fn system_identity(proc: &Path) -> String {
    let line = read(&proc.join("cmdline")).unwrap_or_default();
    let is_told = |word: &&str| word.starts_with("rauc.slot=") || word.starts_with("root=");
    let words: Vec<&str> = line.split_whitespace().filter(is_told).collect();
    if !words.is_empty() {
        return words.join(" ");
    }
    let mounts = read(&proc.join("self/mountinfo")).unwrap_or_default();
    // The one mounted last covers those before.
    mounts.lines().filter_map(root_source).next_back().unwrap_or_default().to_owned()
}

/// Where `/` comes from, if this line of mountinfo is about it (proc(5)).
fn root_source(line: &str) -> Option<&str> {
    let (place, source) = line.split_once(" - ")?;
    let is_root = place.split_whitespace().nth(4) == Some("/");
    source.split_whitespace().nth(1).filter(|_| is_root)
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Below the state directory.
const FILE: &str = "firmware/trial";
const TAKEN: &str = "taken-";
/// Read of each file.
const MAX_BYTES: u64 = 64 * 1024;
