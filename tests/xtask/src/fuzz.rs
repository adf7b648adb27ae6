//! `cargo xtask fuzz`: every target of `tests/fuzz` for some seconds.

use anyhow::{Context, Result, bail};

use crate::run::{is_there, output, root, run};

/// Runs `[--seconds N] [TARGET...]`; without targets, all of them. One that finds
/// something does not keep the others from running.
pub(crate) fn run_targets(arguments: &[String]) -> Result<()> {
    let known = targets()?;
    let wanted = Wanted::parse(arguments, &known)?;
    install()?;
    let mut failed = Vec::new();
    for target in &wanted.targets {
        // cargo-fuzz makes it, but not where other folders are named too.
        std::fs::create_dir_all(root().join(corpus(target)))?;
        let command = command(target, wanted.seconds);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        if let Err(error) = run("cargo", &command) {
            eprintln!("fuzz: {error:#}");
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("{} failed; inputs that break them are in tests/fuzz/artifacts", failed.join(", "));
    }
    eprintln!("fuzz: nothing found, {} s each: {}", wanted.seconds, wanted.targets.join(" "));
    Ok(())
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    seconds: u32,
    targets: Vec<String>,
}

impl Wanted {
    fn parse(arguments: &[String], known: &[String]) -> Result<Self> {
        let mut wanted = Self { seconds: DEFAULT_SECONDS, targets: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--seconds" {
                let number = rest.next().and_then(|text| text.parse().ok());
                // libFuzzer takes 0 for no end.
                let number = number.filter(|seconds| *seconds > 0);
                wanted.seconds = number.context("expected a number from 1 after --seconds")?;
            } else if known.contains(argument) {
                wanted.targets.push(argument.clone());
            } else {
                bail!("there is no target \"{argument}\"; there are: {}", known.join(" "));
            }
        }
        if wanted.targets.is_empty() {
            wanted.targets = known.to_vec();
        }
        Ok(wanted)
    }
}

/// The names of the targets, which are those of their files.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("tests/fuzz/fuzz_targets");
    let files = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Installs cargo-fuzz; a toolchain is for the user to choose.
fn install() -> Result<()> {
    output("cargo", &["+nightly", "--version"]).context(
        "the targets need a nightly toolchain: rustup toolchain install nightly --profile minimal",
    )?;
    if is_there("cargo-fuzz") {
        return Ok(());
    }
    run("cargo", &["install", "--locked", "cargo-fuzz"])
}

fn command(target: &str, seconds: u32) -> Vec<String> {
    let mut command: Vec<String> =
        ["+nightly", "fuzz", "run", "--fuzz-dir", "tests/fuzz", target].map(Into::into).into();
    let seeds = SEEDS.iter().find(|(seeded, _)| *seeded == target);
    if let Some((_, seeds)) = seeds {
        // What is found goes to the first folder.
        command.extend([corpus(target), (*seeds).into()]);
    }
    command.push("--".into());
    // Seeds say how long an input is, but for them a datagram does.
    command.extend(seeds.is_none().then(|| format!("-max_len={MAX_LEN}")));
    command.extend([
        format!("-max_total_time={seconds}"),
        format!("-timeout={TIMEOUT}"),
        "-verbosity=0".into(),
    ]);
    command
}

/// Where the inputs are that a target found worth keeping.
fn corpus(target: &str) -> String {
    format!("tests/fuzz/corpus/{target}")
}

/// Folders that a target starts from.
const SEEDS: &[(&str, &str)] = &[("definition_xml", "tests/registry")];

const DEFAULT_SECONDS: u32 = 20;

/// Longest input of a target without seeds, in bytes.
const MAX_LEN: u32 = 512;

/// Seconds after which one input counts as a hang.
const TIMEOUT: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_targets_in_any_order() {
        let known = ["tlv".to_owned(), "text".to_owned()];
        for (line, seconds, targets) in [
            ("", 20, "tlv text"),
            ("--seconds 5", 5, "tlv text"),
            ("text --seconds 5", 5, "text"),
            ("--seconds 5 text tlv", 5, "text tlv"),
        ] {
            let wanted = Wanted::parse(&words(line), &known).unwrap();
            assert_eq!(wanted, Wanted { seconds, targets: words(targets) }, "{line}");
        }
        for line in ["--seconds", "--seconds 0", "--seconds soon", "tvl", "--help"] {
            assert!(Wanted::parse(&words(line), &known).is_err(), "{line}");
        }
    }

    #[test]
    fn every_target_is_declared_once() {
        let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
        for target in targets().unwrap() {
            let line = format!("\npath = \"fuzz_targets/{target}.rs\"\n");
            assert_eq!(manifest.matches(&line).count(), 1, "{target}");
        }
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(Into::into).collect()
    }
}
