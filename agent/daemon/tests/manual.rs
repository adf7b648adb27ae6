//! The manual pages and the configuration of the package against what they describe:
//! every key of the schema, every limit that is a public constant, every command and
//! option of the programs.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory};
use lwm2md::config::{load, schema};
use serde_json::Value;

const PAGE: &str = include_str!("../../../packaging/man/lwm2md.yaml.5");

/// The names of all keys at and below a part of the schema.
fn keys(part: &Value, names: &mut BTreeSet<String>) {
    match part {
        Value::Object(map) => {
            if let Some(properties) = map.get("properties").and_then(Value::as_object) {
                names.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| keys(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_is_in_the_manual() {
    let mut names = BTreeSet::new();
    keys(&schema(), &mut names);
    assert!(names.contains("short_server_id"), "{names:?}");
    let described: BTreeSet<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with(".B"))
        .flat_map(|line| line.split([' ', ',', '"']))
        .collect();
    let missing: Vec<&String> =
        names.iter().filter(|name| !described.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "packaging/man/lwm2md.yaml.5 lacks {missing:?}");
}

#[test]
fn the_limits_of_the_manual_are_those_of_the_code() {
    let coap = lwm2m_coap::Config::default();
    for (what, limit) in [
        ("Servers", lwm2m_engine::MAX_SERVERS.to_string()),
        ("Observations, of all servers", lwm2m_engine::MAX_OBSERVATIONS.to_string()),
        ("Requests that wait to be stored", lwm2m_engine::MAX_WAITING_TO_PERSIST.to_string()),
        ("Payload of a request in blocks", format!("{} bytes", coap.max_body)),
        (
            "Silence within a transfer in blocks",
            format!("{} s", coap.exchange_lifetime().as_secs()),
        ),
        ("Values in one payload", lwm2m_codec::MAX_RECORDS.to_string()),
        ("Profiles of mobile connections (11)", lwm2m_objects::MAX_APN_PROFILES.to_string()),
        ("Nesting of a payload", format!("{} levels", lwm2m_codec::MAX_DEPTH)),
        (
            "Notifications stored for an observation",
            lwm2m_engine::MAX_STORED_OF_OBSERVATION.to_string(),
        ),
        ("Notifications stored for a server", lwm2m_engine::MAX_STORED.to_string()),
        ("Bytes of notifications stored for a server", lwm2m_engine::MAX_STORED_BYTES.to_string()),
    ] {
        let row = format!("{what}|{limit}|");
        assert!(PAGE.lines().any(|line| line.starts_with(&row)), "no row \"{row}\"");
    }
}

/// The table is not broken into lines like the text around it.
#[test]
fn the_limits_fit_on_a_terminal_of_80_columns() {
    let rows = PAGE.lines().skip_while(|line| *line != ".TS").take_while(|line| *line != ".TE");
    let rows: Vec<Vec<usize>> = rows
        .map(|row| row.split('|').map(str::len).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 3)
        .collect();
    assert!(rows.len() > 10, "{rows:?}");
    let widest = |column: usize| rows.iter().map(|cells| cells[column]).max().unwrap();
    let (indent, gaps) = (7, 2 + 2);
    let width: usize = indent + gaps + (0..3).map(widest).sum::<usize>();
    assert!(width <= 78, "{width} columns");
}

/// The commands below one, `firmware accept`, and the options of all.
fn usage(command: &Command, before: &str, found: &mut BTreeSet<String>) {
    for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
        found.extend(argument.get_long().map(|long| format!("--{long}")));
        found.extend(argument.get_short().map(|short| format!("-{short}")));
    }
    // `help` repeats the others.
    for below in command.get_subcommands() {
        let name = format!("{before}{}", below.get_name());
        if below.get_name() == "help" {
            found.extend(before.is_empty().then_some(name));
        } else {
            usage(below, &format!("{name} "), found);
            found.insert(name);
        }
    }
}

/// What the headings of a page name: in COMMANDS a command, elsewhere an option.
fn named(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut section, mut is_heading) = ("", false);
    for line in page.lines() {
        section = line.strip_prefix(".SH ").unwrap_or(section);
        let plain = line.replace('\\', "");
        let words: Vec<&str> =
            plain.split([' ', '"', ',']).filter(|word| !word.is_empty()).collect();
        let is_word = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        match words.as_slice() {
            [macro_name, rest @ ..] if is_heading && macro_name.starts_with(".B") => {
                let options = rest.iter().filter(|word| word.starts_with('-'));
                found.extend(options.map(ToString::to_string));
                let command: Vec<&str> = rest.iter().take_while(is_word).copied().collect();
                if section == "COMMANDS" && !rest[0].starts_with('-') {
                    found.insert(command.join(" "));
                }
            }
            _ => {}
        }
        is_heading = line == ".TP";
    }
    found
}

#[test]
fn the_manual_names_every_command_and_option_and_nothing_else() {
    let daemon = include_str!("../../../packaging/man/lwm2md.8");
    let ctl = include_str!("../../../packaging/man/lwm2mctl.1");
    for (mut command, page) in [(lwm2md::cli::Cli::command(), daemon), (lwm2mctl::command(), ctl)] {
        command.build();
        let mut wanted = BTreeSet::new();
        usage(&command, "", &mut wanted);
        assert!(wanted.len() > 10, "{wanted:?}");
        assert_eq!(named(page), wanted, "{}", command.get_name());
    }
}

#[test]
fn the_configuration_of_the_package_is_an_example_that_sets_nothing() {
    let text = include_str!("../../../packaging/lwm2md.yaml");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "it sets something");
    let is_prose = |line: &&str| *line == "#" || line.starts_with("# ");
    let example: Vec<&str> = text
        .lines()
        .filter(|line| !is_prose(line) || line.starts_with("#  "))
        .map(|line| line.trim_start_matches('#'))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lwm2md.yaml");
    std::fs::write(&file, example.join("\n")).unwrap();
    let config = load(&[file]).unwrap();
    assert_eq!((config.servers.len(), config.endpoint), (1, None));
}

#[test]
fn the_help_of_each_command_fits_on_a_terminal_of_80_columns() {
    fn check(command: &mut Command) {
        for text in [command.render_help(), command.render_long_help()] {
            for line in text.to_string().lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
        command.get_subcommands_mut().for_each(check);
    }
    for mut program in [lwm2md::cli::Cli::command(), lwm2mctl::command()] {
        program.build();
        check(&mut program);
    }
}
