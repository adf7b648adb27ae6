//! Citations in the sources.
//!
//! `CORE-45`, lists and ranges on one line: `CORE-45, 46`, `CORE-32 to 35; TRN-35`. One
//! inside a test, or in the comment before it, counts for that test; one elsewhere in
//! the tests (a table, a helper, the head of the file) for their file; one in the code
//! under test for nobody, but its number must exist.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::list::{Family, Id};

/// A number that a source names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Citation {
    pub(super) id: Id,
    /// From 1.
    pub(super) line: usize,
    /// The test, or the whole file's tests; `None` in the code under test.
    pub(super) test: Option<String>,
}

/// The Rust files of the repository: path from its root, and text.
pub(super) fn sources(root: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for folder in ["agent", "objects", "plugins", "tests"] {
        visit(root, &root.join(folder), &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn visit(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) -> Result<()> {
    let show = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(show)? {
        let path = entry.with_context(show)?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            // Of this command, whose own tests name what does not exist; of cargo.
            if name != "target" && !path.ends_with("xtask/src/requirements") {
                visit(root, &path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let path = path.strip_prefix(root).unwrap_or(&path);
            found.push((path.display().to_string(), text));
        }
    }
    Ok(())
}

/// Everything that a source cites.
pub(super) fn citations(path: &str, text: &str) -> Vec<Citation> {
    let mut place = Place::new(path);
    let mut waiting: Vec<Citation> = Vec::new();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        place.enter(line);
        let is_comment = line.trim_start().starts_with("//");
        let is_head = line.trim_start().starts_with("//!");
        let test = place.test();
        // What stands before an item waits to see whether the item is a test.
        if !is_comment && !line.trim_start().starts_with('#') {
            found.extend(
                waiting.drain(..).map(|citation| Citation { test: test.clone(), ..citation }),
            );
        }
        let cited = ids(line);
        let cited =
            cited.into_iter().map(|id| Citation { id, line: number + 1, test: test.clone() });
        if is_comment && !is_head && place.function.is_none() {
            waiting.extend(cited);
        } else {
            found.extend(cited);
        }
        place.leave(line);
    }
    found.extend(waiting);
    found
}

/// Where in a file a line is. Relies on the indentation that rustfmt gives.
struct Place {
    is_tests: bool,
    /// The test or helper and its indentation.
    function: Option<(String, usize)>,
    is_marked: bool,
}

impl Place {
    fn new(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').collect();
        // tests/KIND/src is the code of a test crate, tests/KIND/tests its tests.
        let is_tests = parts.iter().skip(2).any(|part| *part == "tests" || *part == "tests.rs");
        Self { is_tests, function: None, is_marked: false }
    }

    fn enter(&mut self, line: &str) {
        let words = line.trim_start();
        // The tests of a source file come last in it.
        self.is_tests |= words.starts_with("#[cfg(test)]");
        self.is_marked |= words.starts_with("#[") && words.contains("test]")
            || words.starts_with("#[tokio::test");
        if self.function.is_some() {
            return;
        }
        let signature = words.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let signature = signature.trim_start_matches("async ");
        if let Some(rest) = signature.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            let name = if self.is_marked { name } else { "" };
            self.function = Some((name.to_owned(), line.len() - words.len()));
            self.is_marked = false;
        }
    }

    fn leave(&mut self, line: &str) {
        let Some((_, indentation)) = &self.function else { return };
        let depth = line.len() - line.trim_start().len();
        if depth == *indentation && line.ends_with('}') {
            self.function = None;
        }
    }

    fn test(&self) -> Option<String> {
        let name = self.function.as_ref().map_or("", |(name, _)| name);
        let name = if name.is_empty() { "(the file)" } else { name };
        self.is_tests.then(|| name.to_owned())
    }
}

/// The numbers that a line names, and those that a list or range goes on with.
pub(super) fn ids(line: &str) -> Vec<Id> {
    let mut found = Vec::new();
    for family in Family::ALL {
        for (at, prefix) in line.match_indices(family.prefix()) {
            // XCORE-1 is no CORE-1.
            if line[..at].ends_with(|before: char| before.is_alphanumeric()) {
                continue;
            }
            let rest = &line[at + prefix.len()..];
            found.extend(numbers(rest).into_iter().map(|number| Id { family, number }));
        }
    }
    found
}

/// `45`, `45, 46 and 48`, `32 to 35`, up to what belongs to something else.
fn numbers(text: &str) -> Vec<u16> {
    let Some((first, mut rest)) = number(text) else { return Vec::new() };
    let mut found = vec![first];
    loop {
        let range = rest.strip_prefix(" to ").or_else(|| rest.strip_prefix(".."));
        let next = range.or_else(|| rest.strip_prefix(", ").or_else(|| rest.strip_prefix(" and ")));
        let Some((number, after)) = next.and_then(number) else { return found };
        // "CORE-45, 2 servers" goes on with something else.
        if !is_end(after) {
            return found;
        }
        match (range, found.last()) {
            (Some(_), Some(last)) => found.extend(last + 1..=number),
            _ => found.push(number),
        }
        rest = after;
    }
}

fn number(text: &str) -> Option<(u16, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

fn is_end(rest: &str) -> bool {
    let goes_on = [" to ", " and "].iter().any(|word| rest.starts_with(word));
    goes_on || rest.is_empty() || rest.starts_with(['.', ',', ';', ':', ')', '"'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> String {
        ids(line).iter().map(Id::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lists_and_ranges_are_read_and_other_numbers_are_not() {
        for (line, wanted) in [
            ("/// CORE-45.", "CORE-45"),
            ("// CORE-5: and 7 more", "CORE-05"),
            ("/// CORE-45, 46 and 48; TRN-07, TRN-100", "CORE-45 CORE-46 CORE-48 TRN-07 TRN-100"),
            ("/// CORE-32 to 35, 158.", "CORE-32 CORE-33 CORE-34 CORE-35 CORE-158"),
            ("/// OBJ-61..63", "OBJ-61 OBJ-62 OBJ-63"),
            ("/// CORE-45, 2 servers", "CORE-45"),
            ("/// CORE-45 to 2 servers", "CORE-45"),
            ("/// NOT-11, 12; UTF-8; XCORE-1; CORE-; core-1", ""),
            ("assert!(is_so, \"CORE-01 {format}\");", "CORE-01"),
        ] {
            assert_eq!(names(line), wanted, "{line}");
        }
    }

    fn tests(path: &str, text: &str) -> Vec<(String, Option<String>)> {
        let found = citations(path, text).into_iter();
        let mut found: Vec<_> =
            found.map(|citation| (citation.id.to_string(), citation.test)).collect();
        found.sort();
        found
    }

    #[test]
    fn a_citation_belongs_to_the_test_around_or_after_it() {
        let source = "\
//! CORE-01
/// CORE-02
#[test]
fn first() {
    let closure = || {
        // CORE-03
    };
    assert!(so, \"CORE-04\");
}

// CORE-05
#[tokio::test(start_paused = true)]
async fn second() {}

/// CORE-06
const TABLE: [u8; 2] = [
    1, // CORE-07
];

/// CORE-08
fn helper() {
    // CORE-09
}
";
        let whole = || Some("(the file)".to_owned());
        let wanted = [
            whole(),
            Some("first".into()),
            Some("first".into()),
            Some("first".into()),
            Some("second".into()),
            whole(),
            whole(),
            whole(),
            whole(),
        ];
        let found = tests("agent/engine/tests/one.rs", source);
        let found: Vec<Option<String>> = found.into_iter().map(|(_, test)| test).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_code_under_test_does_not_cite_for_its_tests() {
        let source = "\
/// CORE-01
fn product() {
    // CORE-02
}

#[cfg(test)]
mod tests {
    /// CORE-03
    #[test]
    fn shows() {
        // CORE-04
    }
}
";
        for path in ["agent/engine/src/one.rs", "tests/world/src/one.rs"] {
            let shows = Some("shows".to_owned());
            let wanted = [None, None, shows.clone(), shows];
            let found: Vec<_> = tests(path, source).into_iter().map(|(_, test)| test).collect();
            assert_eq!(found, wanted, "{path}");
        }
        let found = tests("agent/daemon/src/config/tests.rs", "// CORE-01\n");
        assert_eq!(found, [("CORE-01".to_owned(), Some("(the file)".to_owned()))]);
    }
}
