//! `cargo xtask test` and `cargo xtask ci`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::packages::{self, Purpose};
use crate::run::{cargo, is_there, output, root, target};
use crate::{demo, graph, requirements};

/// Every test that needs no special hardware.
pub(crate) fn test() -> Result<()> {
    packages::setup(Purpose::Tests)?;
    let log = target()?.join("interop-scenarios.txt");
    let _ = std::fs::remove_file(&log); // it may not be there
    // The tests against foreign peers would build it, without a word, while they run.
    cargo(&["build", "--package", "lwm2md", "--package", "lwm2m-test-device"])?;
    cargo(&["test", "--workspace", "--no-fail-fast"])?;
    let leshan = leshan_scenarios(&log)?;
    let rauc = rauc_scenarios(&log)?;
    for script in SCRIPTS {
        let script = root().join("tests/server/scripts").join(script).display().to_string();
        demo::play(&["--script".into(), script.clone()])?;
        demo::play(&["--script".into(), script, "--loss".into(), "20".into()])?;
    }
    let disk = disk_faults();
    eprintln!("test: {leshan}\ntest: {rauc}\ntest: {disk}\ntest: everything that ran passed");
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

/// Interop with Leshan needs Java; where it is, enough scenarios must have run. Says
/// which it was.
fn leshan_scenarios(log: &Path) -> Result<String> {
    // As the scenarios themselves judge it.
    if !["java", "javac", "mvn"].iter().all(|program| is_there(program)) {
        return Ok("NOT RUN: interop with Leshan (needs java, javac and mvn)".into());
    }
    let names = scenarios(log, "leshan ");
    if names.len() < LEAST_LESHAN_SCENARIOS {
        bail!(
            "only {} scenarios with Leshan ran, expected {LEAST_LESHAN_SCENARIOS} or more: {names:?}",
            names.len()
        );
    }
    let java = output("java", &["--version"])?;
    let java = java.lines().next().unwrap_or_default();
    Ok(format!("{} scenarios with Leshan ran ({java})", names.len()))
}

/// The tests with RAUC say themselves what the machine lacks for them; else enough of
/// them must have run. Says which it was.
fn rauc_scenarios(log: &Path) -> Result<String> {
    if let Some(reason) = scenarios(log, "not-run rauc ").first() {
        return Ok(format!("NOT RUN: tests with RAUC ({reason})"));
    }
    let names = scenarios(log, "rauc ");
    if names.len() < LEAST_RAUC_SCENARIOS {
        bail!(
            "only {} scenarios with RAUC ran, expected {LEAST_RAUC_SCENARIOS} or more: {names:?}",
            names.len()
        );
    }
    // The tests take another program from this variable too.
    let rauc = std::env::var("RAUC").unwrap_or_else(|_| "rauc".into());
    let version = output(&rauc, &["--version"])?;
    Ok(format!("{} scenarios with RAUC ran ({})", names.len(), version.trim()))
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
const LEAST_LESHAN_SCENARIOS: usize = 10;
const LEAST_RAUC_SCENARIOS: usize = 15;
