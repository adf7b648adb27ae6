//! What a configuration looks like: one description that checks a tree, finds the
//! nearest right key, and prints the JSON schema.

use super::position::{ConfigError, Position};
use super::tree::{Entry, Kind, Meaning, Node, below};

/// The form of a value.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text of `1..=max` bytes without control characters. Numbers and booleans
    /// count as the text that they are written as.
    Text { max: usize },
    /// Key material: text that no message may show.
    Secret,
    /// A whole number.
    Integer { min: u64, max: u64 },
    /// A number, whole or not, from `-limit` to `limit`.
    Number { limit: f64 },
    /// `true` or `false`.
    Boolean,
    /// One of some words.
    Choice(&'static [Word]),
    /// A list.
    List(&'static Self),
    /// A mapping.
    Map(&'static [Field]),
    /// A mapping with exactly one of these keys; says where a key or text comes from.
    OneOf(&'static [Field]),
    /// Text, or a mapping with exactly one key.
    TextOr { max: usize, other: &'static [Field] },
}

/// A word and whether this build knows what to do with it.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) built: Built,
}

/// Whether a text is one of these words.
pub(super) fn is_among(words: &[Word], text: &str) -> bool {
    words.iter().any(|word| word.name == text)
}

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) need: Need,
    pub(crate) built: Built,
    pub(crate) help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// Whether this version has what a key or word asks for. What a later version has
/// is known by name, so that the message is not "unknown".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    Here,
    NotYet,
}

impl Shape {
    /// Checks a tree and adds everything wrong with it to `errors`.
    pub(crate) fn check(&self, node: &Node, key: &str, errors: &mut Vec<ConfigError>) {
        let mut wrong = |message: String| errors.push(ConfigError::new(&node.at, key, message));
        match self {
            Self::Text { max } => {
                if let Err(message) = check_text(node, *max) {
                    wrong(message);
                }
            }
            Self::Secret => {
                if node.text().is_none() {
                    wrong(format!("expected text, got {}", node.describe()));
                }
            }
            Self::Integer { min, max } => {
                let fits = |number: &i128| (i128::from(*min)..=i128::from(*max)).contains(number);
                if node.integer().filter(fits).is_none() {
                    wrong(format!("expected a number from {min} to {max}, got {}", shown(node)));
                }
            }
            Self::Number { limit } => {
                if node.number().filter(|number| number.abs() <= *limit).is_none() {
                    wrong(format!(
                        "expected a number from -{limit} to {limit}, got {}",
                        shown(node)
                    ));
                }
            }
            Self::Boolean => {
                if node.boolean().is_none() {
                    wrong(format!("expected true or false, got {}", shown(node)));
                }
            }
            Self::Choice(words) => {
                if let Err(message) = check_choice(node, words) {
                    wrong(message);
                }
            }
            Self::List(element) => match &node.kind {
                Kind::List(elements) => {
                    for (place, node) in elements.iter().enumerate() {
                        element.check(node, &format!("{key}[{place}]"), errors);
                    }
                }
                _ => wrong(format!("expected a list, got {}", node.describe())),
            },
            Self::Map(fields) => match &node.kind {
                Kind::Map(entries) => check_map(fields, entries, &node.at, key, errors),
                _ => wrong(format!("expected a mapping, got {}", node.describe())),
            },
            Self::OneOf(fields) => check_one_of(fields, node, key, errors),
            Self::TextOr { max, other } => match &node.kind {
                Kind::Map(_) => check_one_of(other, node, key, errors),
                _ => {
                    if let Err(message) = check_text(node, *max) {
                        wrong(message);
                    }
                }
            },
        }
    }
}

fn check_text(node: &Node, max: usize) -> Result<(), String> {
    match node.text() {
        None => Err(format!("expected text, got {}", node.describe())),
        Some("") => Err("must not be empty".into()),
        Some(text) if text.len() > max => Err(format!("longer than {max} bytes ({})", text.len())),
        Some(text) if text.chars().any(char::is_control) => {
            Err("must not hold control characters".into())
        }
        Some(_) => Ok(()),
    }
}

fn check_choice(node: &Node, words: &[Word]) -> Result<(), String> {
    let names = |built| words.iter().filter(move |word| word.built == built).map(|word| word.name);
    let here: Vec<&str> = names(Built::Here).collect();
    let got = || format!("expected {}, got {}", one_of(&here), shown(node));
    let text = node.text().ok_or_else(got)?;
    match words.iter().find(|word| word.name == text) {
        Some(Word { built: Built::Here, .. }) => Ok(()),
        Some(Word { built: Built::NotYet, .. }) => {
            Err(format!("{text} is not built into this version; it has {}", here.join(", ")))
        }
        None => Err(match nearest(text, names(Built::Here).chain(names(Built::NotYet))) {
            Some(name) => format!("{}; did you mean {name}?", got()),
            None => got(),
        }),
    }
}

fn check_map(
    fields: &[Field],
    entries: &[Entry],
    at: &Position,
    key: &str,
    errors: &mut Vec<ConfigError>,
) {
    for entry in entries {
        let path = below(key, &printable_key(&entry.key));
        match fields.iter().find(|field| field.name == entry.key) {
            Some(field) if field.built == Built::NotYet => {
                let message = "not built into this version";
                errors.push(ConfigError::new(&entry.at, &path, message));
            }
            Some(field) => field.shape.check(&entry.value, &path, errors),
            None => {
                let message = unknown_key(&entry.key, fields);
                errors.push(ConfigError::new(&entry.at, &path, message));
            }
        }
    }
    for field in fields.iter().filter(|field| field.need == Need::Required) {
        if !entries.iter().any(|entry| entry.key == field.name) {
            errors.push(ConfigError::new(at, &below(key, field.name), "missing"));
        }
    }
}

/// A wrong key here may be key material that lost its own key, so it is not shown.
fn check_one_of(fields: &[Field], node: &Node, key: &str, errors: &mut Vec<ConfigError>) {
    let here = fields.iter().filter(|field| field.built == Built::Here);
    let names: Vec<&str> = here.map(|field| field.name).collect();
    let expected = || format!("expected one of {{{}: ...}}", names.join(": ...}, {"));
    let Kind::Map(entries) = &node.kind else {
        let message = format!("{}, got {}", expected(), node.describe());
        errors.push(ConfigError::new(&node.at, key, message));
        return;
    };
    for entry in entries {
        match fields.iter().find(|field| field.name == entry.key) {
            Some(field) if field.built == Built::NotYet => errors.push(ConfigError::new(
                &entry.at,
                &below(key, field.name),
                "not built into this version",
            )),
            Some(field) => field.shape.check(&entry.value, &below(key, field.name), errors),
            None => {
                let hint = nearest(&entry.key, names.iter().copied())
                    .map(|name| format!(" (did you mean `{name}`?)"))
                    .unwrap_or_default();
                let message = format!("unknown key{hint}; {}", expected());
                errors.push(ConfigError::new(&entry.at, key, message));
            }
        }
    }
    if entries.len() != 1 {
        let message = format!("{}, got {} keys", expected(), entries.len());
        errors.push(ConfigError::new(&node.at, key, message));
    }
}

fn unknown_key(key: &str, fields: &[Field]) -> String {
    let names = || fields.iter().map(|field| field.name);
    let here: Vec<&str> =
        fields.iter().filter(|field| field.built == Built::Here).map(|field| field.name).collect();
    match nearest(key, names()) {
        Some(name) => {
            format!("unknown key; did you mean `{name}`? Allowed are {}", here.join(", "))
        }
        None => format!("unknown key; allowed are {}", here.join(", ")),
    }
}

/// The name that was most likely meant, if one is near enough.
fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' ', '.'], "_");
    let typed: String = plain(typed).chars().take(MAX_SHOWN_KEY).collect();
    names
        .map(|name| {
            // `shortServerId` differs by underscores alone.
            let squeezed = strsim::osa_distance(&typed.replace('_', ""), &name.replace('_', ""));
            (strsim::osa_distance(&typed, name).min(squeezed), name)
        })
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A scalar that is no key material, for "got ...".
fn shown(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.text.chars().count() > MAX_SHOWN => node.describe().into(),
        Kind::Scalar(scalar) => match scalar.meaning {
            Meaning::Text => format!("{:?}", scalar.text),
            Meaning::Boolean(_) | Meaning::Integer(_) | Meaning::Float(_) => scalar.text.clone(),
        },
        Kind::Null | Kind::List(_) | Kind::Map(_) => node.describe().into(),
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        words => words.concat(),
    }
}

/// A key as it stands in a message: short, and on one line.
fn printable_key(key: &str) -> String {
    key.chars().take(MAX_SHOWN_KEY).flat_map(char::escape_debug).collect()
}

const MAX_SHOWN: usize = 32;
const MAX_SHOWN_KEY: usize = 40;
