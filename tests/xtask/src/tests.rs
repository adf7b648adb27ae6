//! `cargo xtask test` and `cargo xtask ci`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::packages::{self, Purpose};
use crate::run::{cargo, output, root, target};
use crate::{demo, graph, requirements};

/// Every test that needs no special hardware.
pub(crate) fn test() -> Result<()> {
    packages::setup(Purpose::Tests)?;
    let log = target()?.join("interop-scenarios.txt");
    let _ = std::fs::remove_file(&log); // it may not be there
    // The tests against foreign peers would build it, without a word, while they run.
    cargo(&["build", "--package", "lwm2md", "--package", "lwm2m-test-device"])?;
    cargo(&["test", "--workspace", "--no-fail-fast"])?;
    let foreign: Vec<String> =
        FOREIGN.iter().map(|foreign| foreign.judge(&log)).collect::<Result<_>>()?;
    for script in SCRIPTS {
        let script = root().join("tests/server/scripts").join(script).display().to_string();
        demo::play(&["--script".into(), script.clone()])?;
        demo::play(&["--script".into(), script, "--loss".into(), "20".into()])?;
    }
    let disk = disk_faults();
    foreign.iter().for_each(|line| eprintln!("test: {line}"));
    eprintln!("test: {disk}\ntest: everything that ran passed");
    Ok(())
}

/// What has to hold before a change lands; the cheap checks come first.
pub(crate) fn ci() -> Result<()> {
    packages::setup(Purpose::Tests)?;
    cargo(&["fmt", "--all", "--check"])?;
    graph::check()?;
    requirements::run(&["--check".into()])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    test()
}

/// Figures of the release build.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    packages::setup(Purpose::Build)?;
    let programs = ["lwm2md", "lwm2m-test-device", "lwm2m-bench"];
    let packages = programs.iter().flat_map(|program| ["--package", program]);
    cargo(&["build", "--release"].into_iter().chain(packages).collect::<Vec<_>>())?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    crate::run::run(&target()?.join("release/lwm2m-bench").display().to_string(), &arguments)
}

/// Scenarios against foreign programs, which say themselves what the machine lacks.
struct Foreign {
    /// As the record names it.
    name: &'static str,
    /// For people.
    what: &'static str,
    /// How many there are: fewer means that some fell silent.
    least: usize,
    /// The version of the peer, where it is this machine's.
    version: Option<fn() -> Result<String>>,
}

impl Foreign {
    /// Says how many ran, or why none; fails when too few did.
    fn judge(&self, log: &Path) -> Result<String> {
        let Self { name, what, least, version } = self;
        if let Some(reason) = scenarios(log, &format!("not-run {name} ")).first() {
            return Ok(format!("NOT RUN: {what} ({reason})"));
        }
        let names = scenarios(log, &format!("{name} "));
        if names.len() < *least {
            bail!("{what}: only {} ran, expected {least} or more: {names:?}", names.len());
        }
        let version = version.map_or_else(|| Ok(String::new()), |version| version())?;
        let version = version.lines().next().map(|line| format!(" ({line})")).unwrap_or_default();
        Ok(format!("{what}: {} ran{version}", names.len()))
    }
}

fn java() -> Result<String> {
    output("java", &["--version"])
}

fn rauc() -> Result<String> {
    // The tests take another program from this variable too.
    let rauc = std::env::var("RAUC").unwrap_or_else(|_| "rauc".into());
    output(&rauc, &["--version"])
}

/// The tests of the store under faults of the disk need strace and the right to trace,
/// and judge so themselves. Says whether they ran.
fn disk_faults() -> &'static str {
    match output("strace", &["-qq", "-o", "/dev/null", "true"]) {
        Ok(_) => "the store was tested under faults of the disk",
        Err(_) => "NOT RUN: the store under faults of the disk (needs strace, allowed to trace)",
    }
}

/// What follows `start` in the lines of the record, each once.
fn scenarios(log: &Path, start: &str) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix(start)).map(Into::into).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What the demo is played with, in tests/server/scripts.
const SCRIPTS: [&str; 2] = ["first-light.txt", "object-3442.txt"];
const FOREIGN: [Foreign; 8] = [
    Foreign { name: "leshan", what: "scenarios with Leshan", least: 61, version: Some(java) },
    Foreign { name: "aiocoap", what: "scenarios with aiocoap", least: 16, version: None },
    Foreign { name: "libcoap", what: "scenarios with libcoap", least: 7, version: None },
    Foreign { name: "libcoap-rs", what: "scenarios with libcoap-rs", least: 3, version: None },
    Foreign { name: "python", what: "scenarios with Python's web server", least: 1, version: None },
    Foreign { name: "loss", what: "scenarios under loss", least: 4, version: None },
    Foreign { name: "slow-clock", what: "scenarios with a slow clock", least: 1, version: None },
    Foreign { name: "rauc", what: "tests with RAUC", least: 25, version: Some(rauc) },
];
