//! The table of the README: every case once, and the tests that it names are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_case_is_listed_once_and_every_test_is_one_of_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let (mut cases, mut named) = (BTreeSet::new(), BTreeSet::new());
    for row in readme.lines().filter(|line| line.contains("-int-")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [case, _, result] = cells[..] else { panic!("three cells: {row}") };
        assert!(cases.insert(case.to_owned()), "{case} comes twice");
        let number = case.rsplit('-').next().unwrap();
        if let Some(test) = result.strip_prefix('`').and_then(|test| test.strip_suffix('`')) {
            assert!(test.starts_with(&format!("int_{number}_")), "{row}");
            named.insert(test.to_owned());
        }
    }
    assert_eq!(cases.len(), 155);
    let mut written = BTreeSet::new();
    for file in fs::read_dir(folder.join("tests/ets")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let tests = text.lines().filter_map(|line| line.strip_prefix("fn int_"));
        written.extend(tests.filter_map(|rest| Some(format!("int_{}", rest.split_once('(')?.0))));
    }
    assert_eq!(written, named);
}
