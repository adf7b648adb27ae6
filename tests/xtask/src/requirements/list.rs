//! The requirements and their numbers.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, bail};

/// A number, such as `CORE-45`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) family: Family,
    pub(super) number: u16,
}

/// What the number is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// The core specification.
    Core,
    /// Transport bindings and security.
    Transport,
    /// The objects.
    Objects,
}

/// One requirement.
#[derive(Debug)]
pub(super) struct Requirement {
    pub(super) id: Id,
    /// MUST, SHOULD, MAY, their negations, or decision for what we decided.
    pub(super) level: String,
    pub(super) place: String,
    pub(super) text: String,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::Core, Self::Transport, Self::Objects];

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Core => "CORE-",
            Self::Transport => "TRN-",
            Self::Objects => "OBJ-",
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:02}", self.family.prefix(), self.number)
    }
}

/// Reads lines of number, level, place and text, with tabs between them and a heading.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>> {
    let mut known = BTreeSet::new();
    let mut requirements = Vec::new();
    for (place, line) in text.lines().enumerate().skip(1) {
        let requirement = parse_line(line).with_context(|| format!("line {}", place + 1))?;
        if !known.insert(requirement.id) {
            bail!("line {}: {} comes twice", place + 1, requirement.id);
        }
        requirements.push(requirement);
    }
    Ok(requirements)
}

fn parse_line(line: &str) -> Result<Requirement> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [number, level, place, text] = fields[..] else {
        bail!("expected 4 fields, got {}", fields.len());
    };
    let id = Family::ALL.into_iter().find_map(|family| {
        let number = number.strip_prefix(family.prefix())?.parse().ok()?;
        Some(Id { family, number })
    });
    let id = id.with_context(|| format!("expected a number such as CORE-45, got {number:?}"))?;
    if !LEVELS.contains(&level) {
        bail!("expected one of {}, got {level:?}", LEVELS.join(", "));
    }
    Ok(Requirement { id, level: level.into(), place: place.into(), text: text.into() })
}

const LEVELS: [&str; 6] = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "decision"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_this_repository_is_read() {
        let list = parse(include_str!("../../../conformance/requirements.tsv")).unwrap();
        let count = |family| list.iter().filter(|known| known.id.family == family).count();
        assert_eq!(Family::ALL.map(count), [200, 87, 87]);
    }

    #[test]
    fn a_wrong_line_is_refused_with_its_number() {
        for (line, reason) in [
            ("CORE-01\tMUST\tCore 1", "expected 4 fields"),
            ("CORE-x\tMUST\tCore 1\ttext", "such as CORE-45"),
            ("VEC-01\tMUST\tCore 1\ttext", "such as CORE-45"),
            ("CORE-01\tmust\tCore 1\ttext", "expected one of MUST"),
            ("CORE-7\tMUST\tCore 1\ttext", "CORE-07 comes twice"),
        ] {
            let text = format!("heading\nCORE-07\tMUST\tCore 1\ttext\n{line}\n");
            let error = format!("{:#}", parse(&text).unwrap_err());
            assert!(error.contains("line 3") && error.contains(reason), "{error}");
        }
    }
}
