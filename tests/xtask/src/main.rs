//! The tasks of this repository: set-up, demo, tests, checks.
//!
//! It runs before anything is installed, so it depends on no C library.

mod demo;
mod fuzz;
mod graph;
mod package;
mod packages;
mod requirements;
mod run;
mod system;
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let result = match task.as_str() {
        "setup" => packages::setup(packages::Purpose::Tests),
        "demo" => demo::run(&rest),
        "test" => tests::test(),
        "ci" => tests::ci(),
        "check-graph" => graph::check(),
        "fuzz" => fuzz::run_targets(&rest),
        "requirements" => requirements::run(&rest),
        "system-test" => system::run_test(&rest),
        "package" => package::run(&rest),
        "bench" => tests::bench(&rest),
        "help" | "--help" | "-h" | "" => {
            eprintln!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("xtask: there is no task \"{other}\"\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

const HELP: &str = "\
cargo xtask TASK

  setup         install the Debian packages that are missing (as root; else say which)
  demo [ARGS]   build, then run `lwm2md demo ARGS`: a server and the agent on loopback
  test          every test that needs no special hardware
  ci            format, lints, crate graph, then `test`
  check-graph   show the crate graph and fail if an arrow points the wrong way
  fuzz [--seconds N] [TARGET...]
                each fuzz target (all) for N seconds (20); needs a nightly toolchain
  requirements  every requirement with the tests that cite it; --missing: those that
                none does; --write: fill the column of the README's status table;
                --check: fail if it is stale
  system-test vm [SCENARIO...]
                updates of a whole device in a virtual machine (as root; 20 minutes without
                KVM); the scenarios that hold one of the words, or all
  system-test package
                both packages installed, used, upgraded and removed, the .deb in a
                container with its own systemd (as root)
  system-test services
                the .deb in such a container, where networkd, NetworkManager, timedated,
                gpsd, systemd and the bus come, change and go (as root)
  system-test features
                the .deb in such a container, every other object under its unit and by
                its own user: polkit, ModemManager, journal, Lock and Wipe, RAUC (as root)
  package [--revision REVISION]
                a .deb and an .rpm in the directory `package` of what cargo builds
  bench [ARGS]  figures of speed and memory of the release build";
