//! `cargo xtask system-test NAME`: tests that take minutes and a machine of their own.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::package;
use crate::packages::{self, Purpose};
use crate::run::{cargo, root, run, target};

/// Runs the system test that the first of the arguments names; the others are its own.
pub(crate) fn run_test(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if name == "vm" => machine(rest),
        Some((name, [])) if name == "package" => package(),
        Some((name, [])) if ["services", "features"].contains(&name.as_str()) => one(name),
        Some((name, _)) if ["package", "services", "features"].contains(&name.as_str()) => {
            bail!("the system test \"{name}\" takes no argument")
        }
        Some((name, _)) => bail!("there is no system test \"{name}\"; there are: {NAMES}"),
        None => bail!("which one? there are: {NAMES}"),
    }
}

/// Updates of a whole device in a virtual machine.
fn machine(scenarios: &[String]) -> Result<()> {
    packages::setup(Purpose::Machine)?;
    cargo(&["build", "--profile", "image", "--package", "lwm2md", "--package", "lwm2mctl"])?;
    let test = "lwm2m-vm-tests";
    cargo(&["build", "--package", "lwm2m-system-tests", "--bin", test])?;
    let scenarios: Vec<&str> = scenarios.iter().map(String::as_str).collect();
    run(&target()?.join("debug").join(test).display().to_string(), &scenarios)
}

/// The packages in a Debian of their own: installed, used, upgraded, removed.
fn package() -> Result<()> {
    packages::setup(Purpose::Container)?;
    package::prepare()?;
    let built = [package::build("1")?, package::build("2")?];
    container("package", built.into_iter().flat_map(|built| [built.deb, built.rpm]).collect())
}

/// The agent of the .deb beside the services of the system.
fn one(name: &str) -> Result<()> {
    packages::setup(Purpose::Container)?;
    package::prepare()?;
    container(name, vec![package::build("1")?.deb])
}

/// Runs a test of these packages where containers can run.
fn container(name: &str, built: Vec<PathBuf>) -> Result<()> {
    let test = "lwm2m-package-tests";
    cargo(&["build", "--package", "lwm2m-system-tests", "--bin", test])?;
    let script = root().join("tests/system/package-lab.sh");
    // In the network of this machine, which the test does not have.
    let base = target()?.join("package-base.tar");
    run("bash", &[&script.display().to_string(), "base", &base.display().to_string()])?;
    let program = target()?.join("debug").join(test);
    let mut command = vec![script, "inside".into(), program, name.into(), base];
    command.extend(built);
    let command: Vec<String> = command.iter().map(|word| word.display().to_string()).collect();
    run("bash", &command.iter().map(String::as_str).collect::<Vec<_>>())
}

const NAMES: &str = "vm, package, services, features";
