//! Both packages on systems of their own: `cargo xtask system-test package` builds them
//! and runs this, by `package-lab.sh inside`.
//!
//! Each step prints a line; the first that fails ends it with exit status 1.

mod deb;
mod device;
mod rpm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// A package and what it is upgraded to, which was built from the same sources.
struct Packages {
    first: PathBuf,
    second: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("package: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<PathBuf>) -> Result<()> {
    let Ok([base, deb, rpm, second_deb, second_rpm]) = <[PathBuf; 5]>::try_from(arguments) else {
        bail!("wrong usage: a Debian, a .deb, an .rpm, and both again with a higher version");
    };
    rpm::test(&base, &Packages { first: rpm, second: second_rpm }).context("the .rpm")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let packages = Packages { first: deb, second: second_deb };
    runtime.block_on(deb::test(&base, &packages)).context("the .deb")
}

fn passed(step: &str) {
    eprintln!("ok  {step}");
}
