//! Values and their types (Objects 1).

use std::fmt;
use std::str::FromStr;

use crate::digits;
use crate::path::MAX_SHOWN;

/// The data type of a resource (Objects 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// UTF-8 text.
    String,
    /// Signed integer of up to 64 bits.
    Integer,
    /// Unsigned integer of up to 64 bits.
    Unsigned,
    /// IEEE 754 number of 32 or 64 bits.
    Float,
    /// True or false.
    Boolean,
    /// Bytes.
    Opaque,
    /// Seconds since 1970-01-01T00:00:00 UTC, signed.
    Time,
    /// A link to an object instance.
    Objlnk,
    /// Text in CoRE link format.
    Corelnk,
    /// No value: the resource can only be executed.
    None,
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "String",
            Self::Integer => "Integer",
            Self::Unsigned => "Unsigned Integer",
            Self::Float => "Float",
            Self::Boolean => "Boolean",
            Self::Opaque => "Opaque",
            Self::Time => "Time",
            Self::Objlnk => "Objlnk",
            Self::Corelnk => "Corelnk",
            Self::None => "none",
        })
    }
}

/// The value of a resource or resource instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// UTF-8 text.
    String(String),
    /// Signed integer.
    Integer(i64),
    /// Unsigned integer.
    Unsigned(u64),
    /// Floating-point number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes.
    Opaque(Vec<u8>),
    /// Seconds since 1970, UTC.
    Time(i64),
    /// A link to an object instance.
    Objlnk(ObjectLink),
    /// CoRE link format.
    Corelnk(String),
}

impl Value {
    /// The type of this value.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::String(_) => DataType::String,
            Self::Integer(_) => DataType::Integer,
            Self::Unsigned(_) => DataType::Unsigned,
            Self::Float(_) => DataType::Float,
            Self::Boolean(_) => DataType::Boolean,
            Self::Opaque(_) => DataType::Opaque,
            Self::Time(_) => DataType::Time,
            Self::Objlnk(_) => DataType::Objlnk,
            Self::Corelnk(_) => DataType::Corelnk,
        }
    }

    /// The value as a number, where thresholds apply: Integer, Unsigned, Float, Time
    /// (Core 3.2).
    pub fn as_number(&self) -> Option<f64> {
        match self {
            // Thresholds are compared as floats; above 2^53 neighbours fall together.
            Self::Integer(v) | Self::Time(v) => Some(*v as f64),
            Self::Unsigned(v) => Some(*v as f64),
            Self::Float(v) => Some(*v),
            Self::String(_)
            | Self::Boolean(_)
            | Self::Opaque(_)
            | Self::Objlnk(_)
            | Self::Corelnk(_) => None,
        }
    }

    /// Reads what a person types for a resource of type `data_type`.
    ///
    /// Booleans are `true`, `false`, `1` or `0`; Opaque is hexadecimal; the rest
    /// is as the plain-text format writes it.
    ///
    /// # Errors
    /// [`ValueError`] names the type that was expected.
    pub fn parse(data_type: DataType, text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::new(data_type, format!("text \"{text}\""));
        Ok(match data_type {
            DataType::String => Self::String(text.to_owned()),
            DataType::Corelnk => Self::Corelnk(text.to_owned()),
            DataType::Integer => Self::Integer(text.parse().map_err(|_| wrong())?),
            DataType::Unsigned => Self::Unsigned(text.parse().map_err(|_| wrong())?),
            DataType::Time => Self::Time(text.parse().map_err(|_| wrong())?),
            DataType::Float => Self::Float(text.parse().map_err(|_| wrong())?),
            DataType::Boolean => Self::Boolean(match text {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(wrong()),
            }),
            DataType::Objlnk => Self::Objlnk(text.parse().map_err(|_| wrong())?),
            DataType::Opaque => Self::Opaque(from_hex(text).ok_or_else(wrong)?),
            DataType::None => return Err(wrong()),
        })
    }
}

impl fmt::Display for Value {
    /// For people: text in quotes, bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(v) | Self::Corelnk(v) => write!(f, "{v:?}"),
            Self::Integer(v) | Self::Time(v) => write!(f, "{v}"),
            Self::Unsigned(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Boolean(v) => write!(f, "{v}"),
            Self::Opaque(v) => v.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Objlnk(v) => write!(f, "{v}"),
        }
    }
}

/// A link to an object instance, `66:0`; `65535:65535` links nothing and
/// `oid:65535` an object as such (Core 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectLink {
    /// Object ID; 65535 in the null link.
    pub object: u16,
    /// Object Instance ID; 65535 for none.
    pub instance: u16,
}

impl ObjectLink {
    /// The link that leads nowhere.
    pub const NULL: Self = Self { object: u16::MAX, instance: u16::MAX };

    /// A link from its two identifiers.
    pub const fn new(object: u16, instance: u16) -> Self {
        Self { object, instance }
    }
}

impl fmt::Display for ObjectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.instance)
    }
}

impl FromStr for ObjectLink {
    type Err = ValueError;

    /// Accepts `66:0` and, for the null link, the printed form `FFFF:FFFF` (OBJ-06).
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.eq_ignore_ascii_case("FFFF:FFFF") {
            return Ok(Self::NULL);
        }
        text.split_once(':')
            .and_then(|(object, instance)| {
                Some(Self::new(digits::parse(object)?, digits::parse(instance)?))
            })
            .ok_or_else(|| {
                let shown: String = text.chars().take(MAX_SHOWN).collect();
                ValueError::new(DataType::Objlnk, format!("text \"{shown}\""))
            })
    }
}

/// A value is not of the expected type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got}")]
pub struct ValueError {
    /// The type of the resource.
    pub expected: DataType,
    /// What was there, for a person to read; never the value of a secret.
    pub got: String,
}

impl ValueError {
    /// An error for a resource of type `expected` that was given `got`.
    pub fn new(expected: DataType, got: impl Into<String>) -> Self {
        Self { expected, got: got.into() }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(nibble(*high)? * 16 + nibble(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_types_values_of_every_type() {
        let cases = [
            (DataType::String, "Europe/Berlin", Value::String("Europe/Berlin".into())),
            (DataType::Integer, "-5", Value::Integer(-5)),
            (DataType::Unsigned, "5", Value::Unsigned(5)),
            (DataType::Float, "2.5", Value::Float(2.5)),
            (DataType::Boolean, "true", Value::Boolean(true)),
            (DataType::Opaque, "00fF", Value::Opaque(vec![0, 255])),
            (DataType::Time, "1700000000", Value::Time(1_700_000_000)),
            (DataType::Objlnk, "66:0", Value::Objlnk(ObjectLink::new(66, 0))),
        ];
        for (data_type, text, value) in cases {
            assert_eq!(Value::parse(data_type, text), Ok(value));
        }
        for (data_type, text) in [
            (DataType::Integer, "now"),
            (DataType::Unsigned, "-1"),
            (DataType::Boolean, "yes"),
            (DataType::Opaque, "abc"),
            (DataType::Opaque, "zz"),
            (DataType::Objlnk, "66"),
            (DataType::None, ""),
        ] {
            assert_eq!(Value::parse(data_type, text).unwrap_err().expected, data_type);
        }
    }

    /// CORE-197; OBJ-06.
    #[test]
    fn null_link_in_both_spellings() {
        assert_eq!("FFFF:FFFF".parse(), Ok(ObjectLink::NULL));
        assert_eq!("65535:65535".parse(), Ok(ObjectLink::NULL));
        assert_eq!(ObjectLink::NULL.to_string(), "65535:65535");
    }

    #[test]
    fn what_is_no_link_is_named() {
        for text in ["66", "66:", ":0", "+1:0", "66:65536", "a:b"] {
            let error = text.parse::<ObjectLink>().unwrap_err();
            assert_eq!(error.to_string(), format!("expected Objlnk, got text \"{text}\""));
        }
        let long = "1".repeat(1000).parse::<ObjectLink>().unwrap_err();
        assert!(long.to_string().len() < 64, "{long}");
    }
}
