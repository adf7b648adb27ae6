//! Reading values of D-Bus with tolerance: what has another type than it should is
//! absent, a variant inside a variant is unwrapped, an empty string is no string.

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

/// An `a{sv}`.
#[derive(Debug, Default)]
pub(crate) struct Dictionary(HashMap<String, OwnedVariant>);

impl Dictionary {
    /// A string that is not empty.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        text(self.0.get(key)?)
    }

    /// An unsigned number of any width; a signed one if it is not negative.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        number(self.0.get(key)?)
    }

    /// The dictionary below a key; without one, an empty one.
    pub(crate) fn dictionary(&self, key: &str) -> Self {
        self.0.get(key).and_then(|value| Self::of(value)).unwrap_or_default()
    }

    /// The dictionaries in the array below a key.
    pub(crate) fn dictionaries(&self, key: &str) -> Vec<Self> {
        self.elements(key).iter().filter_map(Self::of).collect()
    }

    /// The strings in the array below a key.
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        self.elements(key).iter().filter_map(text).collect()
    }

    fn elements(&self, key: &str) -> &[Variant<'static>] {
        match self.0.get(key).map(|value| plain(value)) {
            Some(Variant::Array(array)) => array.inner(),
            _ => &[],
        }
    }

    fn of(value: &Variant<'_>) -> Option<Self> {
        let Variant::Dict(dict) = plain(value) else { return None };
        // Only a file descriptor cannot be copied, and none is expected.
        let entries = dict
            .iter()
            .filter_map(|(key, value)| Some((text(key)?, plain(value).try_to_owned().ok()?)));
        Some(Self(entries.collect()))
    }
}

impl From<HashMap<String, OwnedVariant>> for Dictionary {
    fn from(entries: HashMap<String, OwnedVariant>) -> Self {
        Self(entries)
    }
}

/// The value below all variants around it. D-Bus limits how deep they nest.
pub(crate) fn plain<'v, 'a>(mut value: &'v Variant<'a>) -> &'v Variant<'a> {
    while let Variant::Variant(inner) = value {
        value = inner;
    }
    value
}

/// A string that is not empty.
pub(crate) fn text(value: &Variant<'_>) -> Option<String> {
    match plain(value) {
        Variant::Str(text) if !text.is_empty() => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// A sentence for people, cut at [`SENTENCE_LIMIT`].
pub(crate) fn sentence(text: &str) -> String {
    let longest = SENTENCE_LIMIT.min(text.len());
    let cut = (0..=longest).rev().find_map(|end| text.get(..end));
    cut.unwrap_or_default().trim_end().to_owned()
}

fn number(value: &Variant<'_>) -> Option<u64> {
    match *plain(value) {
        Variant::U8(number) => Some(number.into()),
        Variant::U16(number) => Some(number.into()),
        Variant::U32(number) => Some(number.into()),
        Variant::U64(number) => Some(number),
        Variant::I16(number) => number.try_into().ok(),
        Variant::I32(number) => number.try_into().ok(),
        Variant::I64(number) => number.try_into().ok(),
        _ => None,
    }
}

/// In bytes; the longest sentences of RAUC that were seen have a few hundred.
const SENTENCE_LIMIT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(entries: &[(&str, Variant<'static>)]) -> Dictionary {
        let owned = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.try_to_owned().unwrap()))
            .collect::<HashMap<_, _>>();
        owned.into()
    }

    #[test]
    fn wrong_types_and_empty_strings_are_absent() {
        let values = dictionary(&[
            ("empty", "".into()),
            ("number", 7_i64.into()),
            ("negative", (-7_i32).into()),
            ("text", "7".into()),
        ]);
        assert_eq!(values.text("empty"), None);
        assert_eq!(values.text("number"), None);
        assert_eq!(values.text("missing"), None);
        assert_eq!(values.text("text").as_deref(), Some("7"));
        assert_eq!(values.number("number"), Some(7));
        assert_eq!(values.number("negative"), None);
        assert_eq!(values.number("text"), None);
        assert!(values.dictionaries("text").is_empty());
        assert_eq!(values.dictionary("text").text("x"), None);
    }

    #[test]
    fn variants_inside_variants_are_unwrapped() {
        let inner = HashMap::from([("key", Variant::new(Variant::from("value")))]);
        let wrapped = Variant::Variant(Box::new(Variant::Variant(Box::new(inner.into()))));
        let values = dictionary(&[("outer", wrapped)]);
        assert_eq!(values.dictionary("outer").text("key").as_deref(), Some("value"));
    }

    #[test]
    fn a_sentence_is_cut_between_characters() {
        assert_eq!(sentence("short\n"), "short");
        let long = "ä".repeat(SENTENCE_LIMIT);
        let cut = sentence(&format!("x{long}"));
        assert_eq!(cut.len(), SENTENCE_LIMIT - 1);
        assert!(cut.ends_with('ä'));
    }
}
