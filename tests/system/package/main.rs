//! Both packages on systems of their own: `cargo xtask system-test package` and
//! `cargo xtask system-test services` build them and run this, by `package-lab.sh inside`.
//!
//! Each step prints a line; the first that fails ends it with exit status 1.

mod deb;
mod device;
mod rpm;
mod services;

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.as_slice() {
        [base, deb] => runtime.block_on(services::test(base, deb)),
        [base, deb, rpm, second_deb, second_rpm] => {
            let packages = |first: &PathBuf, second: &PathBuf| Packages {
                first: first.clone(),
                second: second.clone(),
            };
            rpm::test(base, &packages(rpm, second_rpm)).context("the .rpm")?;
            runtime.block_on(deb::test(base, &packages(deb, second_deb))).context("the .deb")
        }
        _ => bail!(
            "wrong usage: a Debian and a .deb for the services; a Debian, a .deb, an .rpm, and \
             both again with a higher version for the packages"
        ),
    }
}

fn passed(step: &str) {
    eprintln!("ok  {step}");
}
