//! YAML as a tree in which every key and value knows where it stands; merging of
//! several files.
//!
//! Nothing here knows which keys there are, and nothing here prints a value.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use super::position::{ConfigError, File, Position};

/// A value and where it stands.
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as it stands in the file, and what YAML takes it for. The text counts
/// where text is wanted: `serial: 0042` keeps its zeros.
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) meaning: Meaning,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Meaning {
    Text,
    Boolean(bool),
    Integer(i128),
    Float(f64),
}

/// A key and its value.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

impl Node {
    /// Reads one file.
    ///
    /// # Errors
    /// The first place that is no YAML, or every key that is given twice.
    pub(crate) fn parse(file: &File, text: &str) -> Result<Self, Vec<ConfigError>> {
        let options = serde_saphyr::options! {
            // A snippet would show the neighbouring lines, where a key may stand.
            with_snippet: false,
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        };
        match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
            Ok(raw) => {
                let mut reader = Reader { file, text, errors: Vec::new() };
                let node = reader.node(raw, "");
                if reader.errors.is_empty() { Ok(node) } else { Err(reader.errors) }
            }
            Err(error) => Err(vec![syntax_error(file, &error)]),
        }
    }

    /// Puts `above` over this tree: mappings are merged key by key, everything else
    /// is replaced.
    pub(crate) fn merge(&mut self, above: Self) {
        match (&mut self.kind, above.kind) {
            (Kind::Map(below), Kind::Map(entries)) => {
                for entry in entries {
                    match below.iter_mut().find(|known| known.key == entry.key) {
                        Some(known) => known.value.merge(entry.value),
                        None => below.push(entry),
                    }
                }
            }
            (_, kind) => *self = Self { at: above.at, kind },
        }
    }

    /// What this is, for "got ...".
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Scalar(scalar) => match scalar.meaning {
                Meaning::Text => "text",
                Meaning::Boolean(_) => "a boolean",
                Meaning::Integer(_) | Meaning::Float(_) => "a number",
            },
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            Kind::Null | Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    /// The elements, if this is a list.
    pub(crate) fn elements(&self) -> &[Self] {
        match &self.kind {
            Kind::List(elements) => elements,
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => &[],
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The value of an integer.
    pub(crate) fn integer(&self) -> Option<i128> {
        match &self.kind {
            Kind::Scalar(Scalar { meaning: Meaning::Integer(number), .. }) => Some(*number),
            _ => None,
        }
    }

    /// The value of a number, whole or not.
    pub(crate) fn number(&self) -> Option<f64> {
        match &self.kind {
            Kind::Scalar(Scalar { meaning: Meaning::Integer(number), .. }) => Some(*number as f64),
            Kind::Scalar(Scalar { meaning: Meaning::Float(number), .. }) => Some(*number),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.kind {
            Kind::Scalar(Scalar { meaning: Meaning::Boolean(flag), .. }) => Some(*flag),
            _ => None,
        }
    }
}

/// Turns what the YAML reader gives into nodes.
struct Reader<'a> {
    file: &'a File,
    text: &'a str,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn node(&mut self, raw: Spanned<Raw>, key: &str) -> Node {
        let at = self.position(&raw.referenced);
        let scalar = |meaning, text| Kind::Scalar(Scalar { text, meaning });
        let kind = match raw.value {
            Raw::Null => Kind::Null,
            Raw::Text(text) => scalar(Meaning::Text, text),
            Raw::Boolean(flag) => {
                scalar(Meaning::Boolean(flag), self.source(&raw.defined, || flag.to_string()))
            }
            Raw::Integer(number) => {
                scalar(Meaning::Integer(number), self.source(&raw.defined, || number.to_string()))
            }
            Raw::Float(number) => {
                scalar(Meaning::Float(number), self.source(&raw.defined, || number.to_string()))
            }
            Raw::List(elements) => Kind::List(
                elements
                    .into_iter()
                    .enumerate()
                    .map(|(place, element)| self.node(element, &format!("{key}[{place}]")))
                    .collect(),
            ),
            Raw::Map(entries) => self.map(entries, key),
        };
        Node { at, kind }
    }

    fn map(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw>)>, above: &str) -> Kind {
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        for (key, value) in raw {
            let at = self.position(&key.referenced);
            let path = below(above, &key.value);
            if let Some(first) = entries.iter().find(|known| known.key == key.value) {
                let message = format!("given twice, first in line {}", first.at.line());
                self.errors.push(ConfigError::new(&at, &path, message));
                continue;
            }
            let value = self.node(value, &path);
            entries.push(Entry { key: key.value, at, value });
        }
        Kind::Map(entries)
    }

    fn position(&self, location: &serde_saphyr::Location) -> Position {
        Position::new(self.file, location.line().max(1), location.column().max(1))
    }

    /// A scalar as it is spelt in the file.
    fn source(
        &self,
        location: &serde_saphyr::Location,
        otherwise: impl FnOnce() -> String,
    ) -> String {
        let span = location.span();
        let range = || {
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let length = usize::try_from(span.byte_len()?).ok()?;
            self.text.get(start..start.checked_add(length)?)
        };
        range().map_or_else(otherwise, str::to_owned)
    }
}

/// The path of a key: `servers[0]` and `uri` give `servers[0].uri`.
pub(crate) fn below(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}

/// What YAML gives, before it is placed in a file. Without `Debug`: keys may be here.
enum Raw {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Raw, E> {
        Ok(Raw::Boolean(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(number.into()))
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Raw, E> {
        Ok(Raw::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Raw, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Raw::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// The reader's message with our place in front of it instead of its own behind it.
fn syntax_error(file: &File, error: &serde_saphyr::Error) -> ConfigError {
    let location = error.location();
    let at = location.map_or_else(
        || file.start(),
        |location| Position::new(file, location.line().max(1), location.column().max(1)),
    );
    let text = error.to_string();
    let bare = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let message = match bare {
        bare if bare.starts_with("multiple YAML documents") => "more than one YAML document",
        bare if bare.starts_with("expected string scalar")
            || bare.starts_with("cannot deserialize null into string") =>
        {
            "a key must be text"
        }
        bare => bare,
    };
    ConfigError::new(&at, "", message)
}
