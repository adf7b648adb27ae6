//! Walks `tests/vectors/execute.txt`: arguments of Execute (Core 6.4).

use lwm2m_model::Arguments;

/// CORE-141.
#[test]
fn every_row_of_the_vectors_holds() {
    let file = include_str!("../../../tests/vectors/execute.txt");
    let mut count = 0;
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let &[id, _, usage, payload, expected] = &columns[..] else {
            panic!("five columns expected: {line}");
        };
        count += 1;
        match (usage, Arguments::parse(payload)) {
            ("reject", Err(error)) => {
                assert!(format!("{error:?}").starts_with(expected), "{id}: {error:?}");
            }
            ("both", Ok(arguments)) => {
                let listed: Vec<_> = arguments
                    .iter()
                    .map(|argument| match &argument.value {
                        Some(value) => format!("{}='{value}'", argument.digit),
                        None => argument.digit.to_string(),
                    })
                    .collect();
                assert_eq!(listed.join("; "), expected, "{id}");
                assert_eq!(arguments.to_string(), payload, "{id}");
            }
            (usage, parsed) => panic!("{id}: {usage}, but {parsed:?}"),
        }
    }
    assert_eq!(count, 5);
}
