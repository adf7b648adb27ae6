//! The process that other tests kill and starve: this test binary, which runs one test
//! alone and says on standard output what it wants and what was acknowledged.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::scenario::Scenario;

/// What a child got done.
#[derive(Debug)]
pub(crate) struct Done {
    /// The state that the store acknowledged last.
    pub(crate) acknowledged: u8,
    /// The last state that it was asked for.
    pub(crate) wanted: u8,
    said: String,
}

impl Done {
    /// Reads what a child says, up to wherever it got.
    pub(crate) fn from_output(said: String) -> Self {
        let last = |word: &str| {
            let after = said.lines().rev().find_map(|line| line.strip_prefix(word));
            after.map_or(0, |number| number.parse().unwrap())
        };
        let acknowledged = last(ACKNOWLEDGED);
        Self { acknowledged, wanted: last(WANTED).max(acknowledged), said }
    }

    /// True if it said this.
    pub(crate) fn has_said(&self, line: &str) -> bool {
        self.said.lines().any(|said| said == line)
    }

    /// True if it came to its end.
    pub(crate) fn has_finished(&self) -> bool {
        self.has_said(FINISHED)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} acknowledged, {} wanted", self.acknowledged, self.wanted)
    }
}

/// A child that plays a scenario in `directory` up to state `last`, run by `program`,
/// which has the child's own words at its end.
pub(crate) fn run(program: &[&OsStr], scenario: Scenario, directory: &Path, last: u8) -> Done {
    let output = Command::new(program[0])
        .args(&program[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "child::plays_a_scenario", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(PLAY, format!("{scenario:?} {last}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    Done::from_output(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Does nothing unless [`run`] has started it.
#[test]
fn plays_a_scenario() {
    let (Some(directory), Ok(play)) = (env::var_os(DIRECTORY), env::var(PLAY)) else {
        return;
    };
    let (name, last) = play.split_once(' ').unwrap();
    let scenario = Scenario::ALL.into_iter().find(|known| format!("{known:?}") == name).unwrap();
    scenario.play(Path::new(&directory), last.parse().unwrap());
    say(FINISHED);
}

pub(crate) fn say_wanted(state: u8) {
    say(&format!("{WANTED}{state}"));
}

pub(crate) fn say_acknowledged(state: u8) {
    say(&format!("{ACKNOWLEDGED}{state}"));
}

/// Says a line, past the test harness, which may be in the middle of one of its own.
pub(crate) fn say(line: &str) {
    stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
    stdout().flush().unwrap();
}

const DIRECTORY: &str = "LWM2M_STORE_TEST_DIRECTORY";
const PLAY: &str = "LWM2M_STORE_TEST_PLAY";
const ACKNOWLEDGED: &str = "acknowledged ";
const WANTED: &str = "wanted ";
const FINISHED: &str = "finished";
