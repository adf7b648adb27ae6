//! strace: every call by which a store touches the disk, to be read or to be failed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::child::{self, Done};
use crate::scenario::Scenario;
use crate::support::{NAME, scratch};

/// A call that succeeded, with names relative to the directory of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// A file was opened, and made if it was not there and `make` is set.
    Open {
        name: String,
        make: bool,
    },
    Write {
        name: String,
        offset: usize,
        bytes: Vec<u8>,
    },
    Length {
        name: String,
        length: usize,
    },
    Sync {
        name: String,
    },
    /// The directory was synced.
    SyncNames,
    Link {
        from: String,
        to: String,
    },
    Unlink {
        name: String,
    },
    /// The process said something to its parent.
    Say(String),
}

/// Calls that change what is on the disk, or see to it that it gets there.
pub(crate) const TOUCHING: &[&str] =
    &["pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "openat", "linkat"];

/// True if there is a strace that may look at processes; says so if not.
pub(crate) fn is_there() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null());
    let is_there = strace.status().is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("NOT RUN: faults of the disk (needs strace and the right to trace)");
    }
    is_there
}

/// Plays a scenario and lists the calls that it makes.
pub(crate) fn record(scenario: Scenario, directory: &Path, last: u8) -> Vec<Call> {
    let calls = format!("--trace={},write", TOUCHING.join(","));
    let (done, log) = strace(&[&calls, "-y", "-xx", "-s", "100000"], scenario, directory, last);
    assert!(done.has_finished(), "{done:?}");
    log.lines().filter_map(|line| parse(line, directory)).collect()
}

/// Plays a scenario while `fault` befalls the `place`th call of `call`; `None` if there
/// are not so many.
pub(crate) fn befall(
    (call, fault, place): (&str, &str, usize),
    scenario: Scenario,
    directory: &Path,
    last: u8,
) -> Option<Done> {
    let (trace, inject) =
        (format!("--trace={call}"), format!("--inject={call}:{fault}:when={place}"));
    let mut options: Vec<OsString> = vec![trace.into(), inject.into()];
    let copy = "lwm2md.db.trial-074eb72a7e25bf7b";
    for name in ["", NAME, copy, "lwm2md.db.newer-1"] {
        for suffix in ["", "-wal", "-journal"] {
            options.extend(["-P".into(), directory.join(format!("{name}{suffix}")).into()]);
        }
    }
    let options: Vec<&OsStr> = options.iter().map(AsRef::as_ref).collect();
    let (done, log) = strace(&options, scenario, directory, last);
    (log.contains("INJECTED") || log.contains("killed by SIGKILL")).then_some(done)
}

/// Plays a scenario under strace; gives what was said and what was traced.
fn strace(
    options: &[impl AsRef<OsStr>],
    scenario: Scenario,
    directory: &Path,
    last: u8,
) -> (Done, String) {
    let log = scratch();
    let log = log.path().join("log");
    let fixed = ["strace", "-f", "-qq", "-o"].map(OsStr::new);
    let program: Vec<&OsStr> = fixed
        .into_iter()
        .chain([log.as_os_str()])
        .chain(options.iter().map(AsRef::as_ref))
        .collect();
    let done = child::run(&program, scenario, directory, last);
    (done, fs::read_to_string(&log).unwrap())
}

/// Reads a line such as `12 pwrite64(4<\x2f\x61>, "\x00", 1, 0) = 1`.
fn parse(line: &str, directory: &Path) -> Option<Call> {
    let (_, line) = line.split_once(' ')?;
    assert!(!line.contains("unfinished"), "two threads at once: {line}");
    let (call, rest) = line.trim_start().split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") = ")?;
    if result.starts_with('-') {
        return None;
    }
    let strings = strings(arguments);
    // Of the directory and what is in it; the directory itself has no name.
    let name = |place: usize| {
        let path = String::from_utf8(strings[place].clone()).unwrap();
        let name = Path::new(&path).strip_prefix(directory).ok()?;
        Some(name.to_str().unwrap().to_owned())
    };
    let number = || arguments.rsplit_once(", ").unwrap().1.parse().unwrap();
    Some(match call {
        "openat" => Call::Open { name: name(1)?, make: arguments.contains("O_CREAT") },
        "pwrite64" => {
            let bytes = strings[1].clone();
            assert_eq!(result.parse(), Ok(bytes.len()), "a short write");
            Call::Write { name: name(0)?, offset: number(), bytes }
        }
        "ftruncate" => Call::Length { name: name(0)?, length: number() },
        "fsync" | "fdatasync" => match name(0)? {
            name if name.is_empty() => Call::SyncNames,
            name => Call::Sync { name },
        },
        "linkat" => Call::Link { from: name(1)?, to: name(3)? },
        "unlink" => Call::Unlink { name: name(0)? },
        "write" if arguments.starts_with("1<") => {
            Call::Say(String::from_utf8(strings[1].clone()).unwrap())
        }
        _ => return None,
    })
}

/// The strings among the arguments: paths of descriptors and what is in quotes.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let byte = |digits: &str| u8::from_str_radix(&digits[..2], 16).unwrap();
    arguments
        .split(['<', '>', '"'])
        .skip(1)
        .step_by(2)
        .map(|text| text.split("\\x").skip(1).map(byte).collect())
        .collect()
}
