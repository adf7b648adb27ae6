//! The back end that is a script of the integrator's, for boot loaders and installers
//! other than RAUC.
//!
//! It runs as root in `lwm2md-backend@NAME:VERB.service`, which systemd starts, and never
//! below the agent. It answers by its exit code and a file of root's, which is read with
//! suspicion: what root wrote went through a program that looked at a package.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lwm2m_objects::{BusHandle, UnitCause, UnitFailure, is_instance_name, run_unit};
use nix::fcntl::OFlag;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::text::one_line;
use crate::{Backend, Failure, Installed, Package, PackageInfo, ProgressSink, Reason, Slot};

/// The name of a script: letters, digits and `_.-`, at most 64 and no dot first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptName(String);

impl ScriptName {
    /// `None` if it cannot be one.
    pub fn new(name: &str) -> Option<Self> {
        is_instance_name(name).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A script in `/usr/lib/lwm2md/backends.d`, run through systemd.
#[derive(Debug)]
pub struct ScriptBackend {
    bus: BusHandle,
    name: String,
    answers: PathBuf,
    /// One verb at a time: a start of one that still runs would join it, and an
    /// inspection of the package before this one would be taken for that of this one.
    turn: Mutex<()>,
}

impl ScriptBackend {
    /// The script of a name; `answers` is where its unit puts the answers, [`ANSWERS`].
    pub fn new(bus: BusHandle, name: ScriptName, answers: PathBuf) -> Self {
        Self { bus, name: name.0, answers, turn: Mutex::new(()) }
    }

    /// Runs a verb to its end and reads the answer.
    async fn run(&self, verb: &str) -> Result<Answer, Failure> {
        let _turn = self.turn.lock().await;
        let instance = format!("{}:{verb}", self.name);
        let unit = format!("lwm2md-backend@{instance}.service");
        let mut tries = 1;
        let result = loop {
            // What waits no longer is told that there is no bus.
            let _ = timeout(BUS_LIMIT, self.bus.connected()).await;
            match run_unit(&self.bus, &unit, RUN_LIMIT).await {
                // If it still runs it is joined, and doing it twice does no harm.
                Err(UnitFailure { cause: UnitCause::Lost | UnitCause::NoSystemd, .. })
                    if tries < GONE_TRIES =>
                {
                    tries += 1;
                    sleep(PAUSE).await;
                }
                result => break result,
            }
        };
        let path = self.answers.join(instance);
        match result {
            // Its end is of no use if what it says cannot be read.
            Ok(()) => read(&path).map_err(|cause| Failure::new(Reason::Unknown, cause)),
            Err(failure) => Err(refusal(&failure, &path)),
        }
    }
}

impl Backend for ScriptBackend {
    async fn inspect(&self, package: &Package) -> Result<PackageInfo, Failure> {
        package.file()?;
        let answer = self.run("inspect").await?;
        let text = |value: Option<String>| value.unwrap_or_default();
        Ok(PackageInfo { name: text(answer.name), version: text(answer.version) })
    }

    /// A script says nothing before its end.
    async fn install(&self, package: &Package, _: &ProgressSink) -> Result<Installed, Failure> {
        package.file()?;
        let answer = self.run("install").await?;
        if answer.reboot == Some(false) {
            return Ok(Installed::Done);
        }
        match (self.slot().await, answer.reboot) {
            (Slot::Booted(_), _) => Ok(Installed::NeedsReboot(None)),
            (Slot::None, None) => Ok(Installed::Done),
            // Nobody could tell afterwards which system it is that runs.
            (Slot::None, Some(_)) => Err(Failure::new(
                Reason::Other,
                "the package is installed and wants a restart, but the verb slot names no slot",
            )),
            (Slot::Unknown(cause), _) => Err(Failure::new(Reason::Unknown, cause)),
        }
    }

    /// The script reads back what it has done before it ends well.
    async fn confirm(&self) -> Result<(), String> {
        self.run("confirm").await.map(drop).map_err(|failure| failure.cause)
    }

    async fn reject(&self) -> Result<(), String> {
        self.run("reject").await.map(drop).map_err(|failure| failure.cause)
    }

    async fn slot(&self) -> Slot {
        match self.run("slot").await {
            Ok(answer) => answer.slot.map_or(Slot::None, Slot::Booted),
            Err(failure) => {
                Slot::Unknown(format!("the booted slot is not known: {}", failure.cause))
            }
        }
    }

    async fn version(&self) -> Result<Option<String>, String> {
        self.run("slot").await.map(|answer| answer.version).map_err(|failure| failure.cause)
    }
}

/// What a verb that did not end well says of the package.
fn refusal(failure: &UnitFailure, path: &Path) -> Failure {
    let reason = match failure.cause {
        UnitCause::Exit(2) => Reason::NoSpace,
        UnitCause::Exit(5) => Reason::Integrity,
        UnitCause::Exit(6) => Reason::Unsupported,
        UnitCause::Exit(69) => Reason::Unavailable,
        UnitCause::Exit(_) | UnitCause::Failed(_) => Reason::Other,
        // It has not come to its end, or that was not heard.
        UnitCause::Signal(_) | UnitCause::Timeout | UnitCause::Lost => Reason::Unknown,
        _ => Reason::Unavailable,
    };
    let ran = matches!(failure.cause, UnitCause::Exit(_));
    let cause = ran.then(|| read(path).ok()?.cause).flatten();
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(reason, one_line(&format!("{failure}{cause}")))
}

/// What a script says; empty values are left out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    name: Option<String>,
    version: Option<String>,
    slot: Option<String>,
    reboot: Option<bool>,
    cause: Option<String>,
}

impl Answer {
    fn parse(text: &str) -> Result<Self, String> {
        let mut answer = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let place = match key {
                "name" => &mut answer.name,
                "version" => &mut answer.version,
                "slot" => &mut answer.slot,
                "cause" => &mut answer.cause,
                "reboot" => {
                    answer.reboot = Some(match value {
                        "yes" => true,
                        "no" => false,
                        _ => {
                            return Err(format!("line {number}: expected reboot=yes or reboot=no"));
                        }
                    });
                    continue;
                }
                _ => {
                    return Err(format!(
                        "line {number}: expected name=, version=, slot=, reboot= or cause="
                    ));
                }
            };
            *place = Some(one_line(value)).filter(|value| !value.is_empty());
        }
        Ok(answer)
    }
}

/// Reads an answer; why it is none, in one line.
fn read(path: &Path) -> Result<Answer, String> {
    let wrong = |what: &str| format!("{}: {what}", path.display());
    // Neither through a link nor to wait for the other end of a pipe.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(|error| wrong(&error.to_string()))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(wrong("is no file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_ANSWER + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error.to_string()))?;
    if bytes.len() as u64 > MAX_ANSWER {
        return Err(wrong(&format!("longer than {MAX_ANSWER} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is no UTF-8 text"))?;
    Answer::parse(text).map_err(|cause| wrong(&cause))
}

/// Where the unit of a back end puts the answers (its `RuntimeDirectory=`).
pub const ANSWERS: &str = "/run/lwm2md-backend";
/// Bytes of an answer.
const MAX_ANSWER: u64 = 4096;
/// How long a verb may take; `TimeoutStartSec=` of the unit ends it much earlier.
const RUN_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// How long the connection to the bus may be away.
const BUS_LIMIT: Duration = Duration::from_secs(30);
/// Before a verb is run again whose end was not heard.
const PAUSE: Duration = Duration::from_secs(2);
const GONE_TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_answer_is_lines_of_known_keys() {
        let text = |value: &str| Some(value.to_owned());
        #[rustfmt::skip] // a table: one row an answer
        let cases = [
            ("", Ok(Answer::default())),
            ("name=gw\nversion=1.2=3 beta\r\n\n", Ok(Answer { name: text("gw"), version: text("1.2=3 beta"), ..Answer::default() })),
            ("slot=A\nreboot=yes\n", Ok(Answer { slot: text("A"), reboot: Some(true), ..Answer::default() })),
            ("slot=\nreboot=no", Ok(Answer { reboot: Some(false), ..Answer::default() })),
            ("cause=\u{1b}[31mbad\tsignature", Ok(Answer { cause: text("[31mbad signature"), ..Answer::default() })),
            ("name=a\nreboot=maybe", Err("line 2: expected reboot=yes or reboot=no")),
            ("reboot", Err("line 1: expected reboot=yes or reboot=no")),
            ("Name=a", Err("line 1: expected name=, version=, slot=, reboot= or cause=")),
            ("signature ok", Err("line 1: expected name=, version=, slot=, reboot= or cause=")),
        ];
        for (answer, expected) in cases {
            assert_eq!(Answer::parse(answer), expected.map_err(str::to_owned), "{answer:?}");
        }
        let long = Answer::parse(&format!("name={}", "é".repeat(200))).unwrap();
        assert_eq!(long.name.unwrap().len(), 254);
    }

    #[test]
    fn an_answer_is_a_small_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answer");
        let cause = |path: &Path| read(path).unwrap_err();
        assert!(cause(&path).contains("answer: No such file"));
        assert!(cause(folder.path()).ends_with(": is no file"));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(cause(&path).ends_with(": is no file"));
        let link = folder.path().join("link");
        fs::write(folder.path().join("target"), "name=x\n").unwrap();
        symlink("target", &link).unwrap();
        assert!(cause(&link).contains("symbolic links"), "{}", cause(&link));
        let path = folder.path().join("bytes");
        fs::write(&path, [b'\n'; MAX_ANSWER as usize]).unwrap();
        assert_eq!(read(&path), Ok(Answer::default()));
        fs::write(&path, [b'\n'; MAX_ANSWER as usize + 1]).unwrap();
        assert!(cause(&path).ends_with("longer than 4096 bytes"));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(cause(&path).ends_with("is no UTF-8 text"));
    }
}
