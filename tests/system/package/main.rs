//! Both packages on systems of their own: `cargo xtask system-test package`, `services` and
//! `features` build them and run this, by `package-lab.sh inside`.
//!
//! Each step prints a line; the first that fails ends it with exit status 1.

mod deb;
mod device;
mod features;
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
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    match run(&name.to_string_lossy(), arguments.map(PathBuf::from).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", name.display());
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, arguments: Vec<PathBuf>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match (name, arguments.as_slice()) {
        ("services", [base, deb]) => runtime.block_on(services::test(base, deb)),
        ("features", [base, deb]) => runtime.block_on(features::test(base, deb)),
        ("package", [base, deb, rpm, second_deb, second_rpm]) => {
            let packages = |first: &PathBuf, second: &PathBuf| Packages {
                first: first.clone(),
                second: second.clone(),
            };
            rpm::test(base, &packages(rpm, second_rpm)).context("the .rpm")?;
            runtime.block_on(deb::test(base, &packages(deb, second_deb))).context("the .deb")
        }
        _ => bail!(
            "wrong usage: services or features, a Debian and a .deb; package, a Debian, a .deb, \
             an .rpm, and both again with a higher version"
        ),
    }
}

fn passed(step: &str) {
    eprintln!("ok  {step}");
}
