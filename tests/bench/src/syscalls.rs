//! How many system calls a process makes, counted by `strace`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Process;

/// A running `strace -c` on one process.
pub(crate) struct Count {
    strace: Child,
    directory: tempfile::TempDir,
}

impl Count {
    /// Starts to count.
    ///
    /// # Errors
    /// There is no strace, or it may not look at the process.
    pub(crate) fn start(process: Process) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-q", "-o"])
            .arg(directory.path().join("calls"))
            .args(["-p", &process.id().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("strace")?;
        let started = Instant::now();
        while !is_traced(process)? {
            if strace.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                let _ = strace.kill(); // it may have ended by itself
                let _ = strace.wait();
                bail!("strace may not trace processes here");
            }
            sleep(PAUSE);
        }
        Ok(Self { strace, directory })
    }

    /// Stops counting and gives the calls since the start.
    pub(crate) fn stop(mut self) -> Result<Calls> {
        kill(Pid::from_raw(i32::try_from(self.strace.id())?), Signal::SIGINT)?;
        self.strace.wait()?;
        let text = std::fs::read_to_string(self.directory.path().join("calls"))?;
        parse(&text).context("strace says nothing of calls")
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        // After `stop` it is gone.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Calls of a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) total: u64,
    /// By name, the most frequent first.
    pub(crate) by_name: Vec<(String, u64)>,
}

impl Calls {
    /// The calls that come at least once in ten of `reads`, with how often.
    pub(crate) fn per_read(&self, reads: u32) -> String {
        let reads = f64::from(reads);
        let frequent = self.by_name.iter().map(|(name, calls)| (name, *calls as f64 / reads));
        let words = frequent.filter(|(_, share)| *share >= 0.05);
        words.map(|(name, share)| format!("{name} {share:.2}")).collect::<Vec<_>>().join(", ")
    }
}

fn is_traced(process: Process) -> Result<bool> {
    let status =
        std::fs::read_to_string(Path::new("/proc").join(process.id().to_string()).join("status"))?;
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    Ok(tracer.is_some_and(|tracer| tracer.trim() != "0"))
}

/// Reads the table of `strace -c`: `% time, seconds, usecs/call, calls, errors,
/// syscall`, where `errors` may be empty.
fn parse(text: &str) -> Option<Calls> {
    let mut by_name: Vec<(String, u64)> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [share, _, _, calls, .., name] = words.as_slice()
            && share.parse::<f64>().is_ok()
            && let Ok(calls) = calls.parse()
            && *name != "total"
        {
            by_name.push(((*name).to_owned(), calls));
        }
    }
    by_name.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    let total = by_name.iter().map(|(_, calls)| calls).sum();
    (!by_name.is_empty()).then_some(Calls { total, by_name })
}

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_read() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.84    0.000047           4        10           sendto
 38.16    0.000029           2        11         1 epoll_wait
  0.00    0.000000           0         1           futex
------ ----------- ----------- --------- --------- ----------------
100.00    0.000076           3        22         1 total
";
        let calls = parse(text).unwrap();
        assert_eq!(calls.total, 22);
        assert_eq!(calls.by_name[0], ("epoll_wait".to_owned(), 11));
        assert_eq!(calls.per_read(10), "epoll_wait 1.10, sendto 1.00, futex 0.10");
        assert_eq!(calls.per_read(100), "epoll_wait 0.11, sendto 0.10");
        assert_eq!(parse("strace: attach: Operation not permitted"), None);
    }
}
