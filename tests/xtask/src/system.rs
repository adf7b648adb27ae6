//! `cargo xtask system-test NAME`: tests that take minutes and a machine of their own.

use anyhow::{Result, bail};

use crate::packages::{self, Purpose};
use crate::run::{cargo, run, target};

/// Runs the system test that the first of the arguments names; the others are its own.
pub(crate) fn run_test(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if name == "vm" => machine(rest),
        Some((name, _)) => bail!("there is no system test \"{name}\"; there is: vm"),
        None => bail!("which one? there is: vm"),
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
