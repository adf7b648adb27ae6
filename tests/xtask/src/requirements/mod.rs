//! `cargo xtask requirements`: which tests show which requirement.
//!
//! 1. `tests/conformance/requirements.tsv` has every requirement ([`list`]).
//! 2. Tests cite them in comments and messages, `CORE-45` ([`scan`]).
//! 3. `tests/conformance/status.tsv` says which requirements belong to which row of the
//!    README's status table, whose last column is made of both ([`table`]).

mod list;
mod scan;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result, bail};

use crate::run::root;
use list::{Id, Requirement};

/// The tests that cite a requirement, each `file: test`.
type Cited = BTreeMap<Id, Vec<String>>;

/// Prints the requirements with their tests, or does what an argument asks for.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let requirements = list::parse(&read(REQUIREMENTS)?).context(REQUIREMENTS)?;
    let cited = cited(&requirements)?;
    let text = read(README)?;
    let made = || {
        let status = table::parse(&read(STATUS)?, &requirements).context(STATUS)?;
        table::fill(&text, &status, &cited).context(README)
    };
    match arguments[..] {
        [] => print(&show(requirements.iter(), &cited))?,
        ["--missing"] => {
            let missing = requirements.iter().filter(|known| !cited.contains_key(&known.id));
            print(&show(missing, &cited))?;
        }
        ["--check"] if made()? != text => {
            bail!("the status table of README.md is stale: run `cargo xtask requirements --write`")
        }
        ["--check"] => {}
        ["--write"] => fs::write(root().join(README), made()?).context(README)?,
        _ => bail!("expected nothing, --missing, --check or --write"),
    }
    eprintln!("requirements: {} of {} are cited by tests", cited.len(), requirements.len());
    Ok(())
}

/// What the sources cite; a number that no requirement has is an error.
fn cited(requirements: &[Requirement]) -> Result<Cited> {
    let (mut cited, mut unknown) = (Cited::new(), Vec::new());
    for (path, text) in scan::sources(&root())? {
        for citation in scan::citations(&path, &text) {
            if requirements.iter().all(|known| known.id != citation.id) {
                unknown.push(format!("{path}:{}: there is no {}", citation.line, citation.id));
            } else if let Some(test) = citation.test {
                let tests = cited.entry(citation.id).or_default();
                let test = format!("{path}: {test}");
                if !tests.contains(&test) {
                    tests.push(test);
                }
            }
        }
    }
    if !unknown.is_empty() {
        bail!("{}", unknown.join("\n"));
    }
    Ok(cited)
}

fn show<'a>(requirements: impl Iterator<Item = &'a Requirement>, cited: &Cited) -> String {
    let mut text = String::new();
    for Requirement { id, level, place, text: words } in requirements {
        text += &format!("{id}  {level}  {words} ({place})\n");
        for test in cited.get(id).into_iter().flatten() {
            text += &format!("    {test}\n");
        }
    }
    text
}

/// For a person or a pipe; one that is closed early is no failure.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

const README: &str = "README.md";
const REQUIREMENTS: &str = "tests/conformance/requirements.tsv";
const STATUS: &str = "tests/conformance/status.tsv";
