//! What the kernel knows of a process: its CPU time, memory, wake-ups
//! and what it writes to the disk.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    id: u32,
}

/// Memory of a process in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What it alone has and no file holds: heap, stacks, relocated data. Not
    /// `Private_Dirty`, which would count the pages of a program file that was
    /// just built and is not on disk yet.
    pub(crate) anonymous: u64,
    /// That and the pages of files that only it has mapped, such as its own
    /// code; the kernel can drop those and read them again.
    pub(crate) unique: u64,
    /// Private pages and its share of the others.
    pub(crate) pss: u64,
    /// All its pages that are in memory.
    pub(crate) rss: u64,
}

impl Process {
    pub(crate) const fn new(id: u32) -> Self {
        Self { id }
    }

    pub(crate) const fn id(self) -> u32 {
        self.id
    }

    /// User and system time of all its threads.
    pub(crate) fn cpu_time(self) -> Result<Duration> {
        let id = Pid::from_raw(i32::try_from(self.id)?);
        // In nanoseconds; /proc/PID/stat counts the same time in ticks of 10 ms.
        let clock = clock_getcpuclockid(id).context("the process is gone")?;
        Ok(clock_gettime(clock).context("the process is gone")?.into())
    }

    /// What something costs it, of user and system time.
    pub(crate) fn cpu_of(self, work: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let before = self.cpu_time()?;
        work()?;
        Ok(self.cpu_time()? - before)
    }

    /// Its time in user mode and in the kernel, in ticks of the kernel: too coarse
    /// for one run, good enough for a share of many.
    pub(crate) fn ticks(self) -> Result<(u64, u64)> {
        let path = self.proc("stat");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        parse_ticks(&text).with_context(|| format!("{} has no figures", path.display()))
    }

    pub(crate) fn memory(self) -> Result<Memory> {
        let path = self.proc("smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        parse_memory(&text).with_context(|| format!("{} has no figures", path.display()))
    }

    /// The private memory, in bytes, that it uses for something: the pages that are
    /// touched, program file included, and not those that its start has left behind.
    pub(crate) fn memory_used_by(self, work: impl FnOnce() -> Result<()>) -> Result<u64> {
        let path = self.proc("clear_refs");
        fs::write(&path, "1").with_context(|| path.display().to_string())?;
        work()?;
        let path = self.proc("smaps");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        parse_used(&text).with_context(|| format!("{} has no figures", path.display()))
    }

    /// Bytes that it had the kernel write to a disk, or will have: a page counts when it
    /// is changed, and again if it is changed after it was written. What goes to a file
    /// system in memory does not count.
    pub(crate) fn bytes_written(self) -> Result<u64> {
        let path = self.proc("io");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        parse_count(&text, "write_bytes:")
            .with_context(|| format!("{} has no figures", path.display()))
    }

    /// How often its threads went to sleep, and so were woken.
    pub(crate) fn wake_ups(self) -> Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            let path = thread?.path().join("status");
            // A thread that has ended meanwhile will not wake up again.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            sum += parse_count(&text, "voluntary_ctxt_switches:")
                .with_context(|| format!("{} has no switches", path.display()))?;
        }
        Ok(sum)
    }

    fn proc(self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.id))
    }
}

/// The 14th and 15th field; the second is a name with whatever in it.
fn parse_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}

fn parse_memory(smaps_rollup: &str) -> Option<Memory> {
    let bytes = |key| parse_count(smaps_rollup, key).map(|kib| kib * 1024);
    let anonymous = bytes("Anonymous:")?;
    let unique = bytes("Private_Dirty:")? + bytes("Private_Clean:")?;
    Some(Memory { anonymous, unique, pss: bytes("Pss:")?, rss: bytes("Rss:")? })
}

/// Of each mapping the pages that were touched, as far as they are private. The kernel
/// counts both and not which: of what is shared with others none counts.
fn parse_used(smaps: &str) -> Option<u64> {
    let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    let (mut used, mut private) = (0, 0);
    // The lines of a mapping stand in this order.
    for line in smaps.lines() {
        if line.starts_with("Private_Clean:") {
            private = kib(line)?;
        } else if line.starts_with("Private_Dirty:") {
            private += kib(line)?;
        } else if line.starts_with("Referenced:") {
            used += kib(line)?.min(private);
        }
    }
    (used > 0).then_some(used * 1024)
}

/// The number behind a key at the start of a line.
fn parse_count(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_smaps_rollup() {
        let text = "5581-7ffe ---p 00000000 00:00 0    [rollup]\n\
            Rss:                4704 kB\nPss:                2170 kB\nPss_Dirty:           900 kB\n\
            Shared_Clean:       2400 kB\nPrivate_Clean:      1200 kB\nPrivate_Dirty:       856 kB\n\
            Anonymous:           850 kB\n";
        let kib = |kib: u64| kib * 1024;
        let expected =
            Memory { anonymous: kib(850), unique: kib(2056), pss: kib(2170), rss: kib(4704) };
        assert_eq!(parse_memory(text), Some(expected));
        assert_eq!(parse_memory("Rss: 4704 kB\n"), None);
        assert_eq!(parse_memory("Rss: many kB\nPss: 1 kB"), None);
    }

    #[test]
    fn what_is_used_is_private_and_touched() {
        let mapping = |clean, dirty, referenced| {
            format!(
                "55d0-55e0 r-xp 00000000 00:00 0   /usr/bin/lwm2md\nRss: 4476 kB\n\
                 Shared_Clean: 9 kB\nPrivate_Clean:   {clean} kB\nPrivate_Dirty: {dirty} kB\n\
                 Referenced:  {referenced} kB\nAnonymous: 0 kB\n"
            )
        };
        // The second is a library that others have too.
        let text = mapping(4476, 0, 428) + &mapping(0, 16, 924) + &mapping(0, 172, 84);
        assert_eq!(parse_used(&text), Some((428 + 16 + 84) * 1024));
        assert_eq!(parse_used(""), None);
        assert_eq!(parse_used("Private_Clean: many kB"), None);
    }

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20 0 1";
        assert_eq!(parse_ticks(stat), Some((123, 45)));
        assert_eq!(parse_ticks("7 (a) S 1 2 3"), None);
        assert_eq!(parse_ticks(""), None);
    }

    #[test]
    fn voluntary_switches_are_not_mixed_up_with_the_others() {
        let text = "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t1500\n";
        assert_eq!(parse_count(text, "voluntary_ctxt_switches:"), Some(1500));
        assert_eq!(parse_count("", "voluntary_ctxt_switches:"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let this = Process::new(std::process::id());
        let before = this.cpu_time().unwrap();
        let memory = this.memory().unwrap();
        assert!(memory.anonymous > 0 && memory.anonymous <= memory.unique);
        assert!(memory.unique <= memory.pss && memory.pss <= memory.rss);
        this.wake_ups().unwrap();
        this.bytes_written().unwrap();
        assert!(this.cpu_time().unwrap() > before);
    }
}
