//! `cargo xtask demo`: install, build, show the main job at work.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{self, Purpose};
use crate::run;

/// Builds the agent and runs its demo with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    packages::setup(Purpose::Build)?;
    run::cargo(&["build", "--package", "lwm2md"])?;
    play(arguments)
}

/// Runs the demo that has been built.
pub(crate) fn play(arguments: &[String]) -> Result<()> {
    let program = run::target()?.join("debug/lwm2md");
    eprintln!("$ {}", [&["lwm2md".into(), "demo".into()], arguments].concat().join(" "));
    let status = Command::new(&program)
        .arg("demo")
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("the demo failed: {status}");
    }
    Ok(())
}
