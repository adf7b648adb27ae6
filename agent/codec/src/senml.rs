//! SenML JSON (110) and SenML CBOR (112), and their SenML-ETCH forms 320 and 322
//! (RFC 8428, RFC 8790, Core 10.6 to 10.9).
//!
//! This owns the fields; [`decode`] reads packs and [`encode`] writes them, whatever
//! stands for an array, a map and a label: [`cbor`] and [`json`] know that. A record is
//! a map; base fields hold for it and those after it.

mod cbor;
mod decode;
mod encode;
mod json;

pub(crate) use cbor::{CborSink, CborSource};
pub(crate) use decode::{Source, read_fetch, read_patch, read_values};
pub(crate) use encode::{Sink, write_fetch, write_patch, write_values};
pub(crate) use json::{JsonSink, JsonSource};

use crate::DecodeError;
use crate::name::shown;

/// A field of a record, by its label in CBOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Field {
    BaseSum = -6,
    BaseValue,
    BaseUnit,
    BaseTime,
    BaseName,
    BaseVersion,
    Name,
    Unit,
    Value,
    String,
    Boolean,
    Sum,
    Time,
    UpdateTime,
    Data,
    /// The object link of LwM2M, which has a text label in CBOR too.
    Link,
    /// Any field that may be passed over.
    Unknown,
}

impl Field {
    const ALL: [Self; 16] = [
        Self::BaseSum,
        Self::BaseValue,
        Self::BaseUnit,
        Self::BaseTime,
        Self::BaseName,
        Self::BaseVersion,
        Self::Name,
        Self::Unit,
        Self::Value,
        Self::String,
        Self::Boolean,
        Self::Sum,
        Self::Time,
        Self::UpdateTime,
        Self::Data,
        Self::Link,
    ];

    const fn label(self) -> i8 {
        self as i8
    }

    fn from_label(label: i128) -> Self {
        let place = usize::try_from(label - i128::from(Self::BaseSum.label())).ok();
        match place.and_then(|place| Self::ALL.get(place)) {
            Some(Self::Link) | None => Self::Unknown,
            Some(field) => *field,
        }
    }

    /// The name in JSON.
    const fn key(self) -> &'static str {
        match self {
            Self::BaseSum => "bs",
            Self::BaseValue => "bv",
            Self::BaseUnit => "bu",
            Self::BaseTime => "bt",
            Self::BaseName => "bn",
            Self::BaseVersion => "bver",
            Self::Name => "n",
            Self::Unit => "u",
            Self::Value => "v",
            Self::String => "vs",
            Self::Boolean => "vb",
            Self::Sum => "s",
            Self::Time => "t",
            Self::UpdateTime => "ut",
            Self::Data => "vd",
            Self::Link => "vlo",
            Self::Unknown => "?",
        }
    }

    /// The field of a JSON name.
    ///
    /// # Errors
    /// A name ending in `_` must be understood, and is not (RFC 8428 4.4).
    fn from_key(key: &str) -> Result<Self, DecodeError> {
        match Self::ALL.iter().find(|field| field.key() == key) {
            Some(field) => Ok(*field),
            None => Self::unknown(key),
        }
    }

    /// The field of a text label in CBOR.
    fn from_text_label(label: &str) -> Result<Self, DecodeError> {
        if label == Self::Link.key() { Ok(Self::Link) } else { Self::unknown(label) }
    }

    fn unknown(key: &str) -> Result<Self, DecodeError> {
        if key.ends_with('_') {
            Err(DecodeError::MandatoryField(shown(key)))
        } else {
            Ok(Self::Unknown)
        }
    }

    /// A bit of a set of fields.
    const fn bit(self) -> u32 {
        1 << (self.label() - Self::BaseSum.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_names_find_their_field() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(Field::from_key(field.key()), Ok(field));
            let label = place as i128 - 6;
            assert_eq!(i128::from(field.label()), label);
            let expected = if field == Field::Link { Field::Unknown } else { field };
            assert_eq!(Field::from_label(label), expected);
        }
        for label in [i128::MIN + 6, -7, 10, i128::from(u64::MAX)] {
            assert_eq!(Field::from_label(label), Field::Unknown);
        }
        assert_eq!(Field::from_text_label("v"), Ok(Field::Unknown));
    }
}
