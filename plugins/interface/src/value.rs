//! LwM2M values on D-Bus: `(path, type, value)`.
//!
//! The type name travels along, since a variant cannot tell Time from Integer or
//! Corelnk from String.

use lwm2m_model::{DataType, Entry, Node, ObjectLink, Path, PathError, Value};
use serde::{Deserialize, Serialize};
use zbus::{OwnedVariant, Type, Variant};

/// A value at its path: `(ssv)`.
///
/// | type | variant |
/// |---|---|
/// | `String`, `Corelnk` | `s` |
/// | `Integer`, `Time` (seconds since 1970, UTC) | `x` |
/// | `Unsigned` | `t` |
/// | `Float` | `d` |
/// | `Boolean` | `b` |
/// | `Opaque` | `ay` |
/// | `Objlnk` | `(qq)` |
/// | `Empty` (an instance without readable values) | `s`, empty |
#[derive(Debug, PartialEq, Serialize, Deserialize, Type)]
pub struct TypedValue {
    /// Absolute path, `/3/0/9`.
    pub path: String,
    /// Name of the type, see the table.
    pub data_type: String,
    /// The value.
    pub value: OwnedVariant,
}

impl Clone for TypedValue {
    fn clone(&self) -> Self {
        // Only a variant that holds a file descriptor can fail to be cloned, and no
        // type of the table holds one; such a value is refused by `to_entry` anyway.
        let value = self.value.try_clone().unwrap_or_else(|_| owned(Variant::from("")));
        Self { path: self.path.clone(), data_type: self.data_type.clone(), value }
    }
}

impl TypedValue {
    /// An entry as it goes over the bus; its time stays behind.
    pub fn from_entry(entry: &Entry) -> Self {
        let path = entry.path.to_string();
        match &entry.node {
            Node::Value(value) => Self {
                path,
                data_type: type_name(value.data_type()).into(),
                value: to_variant(value),
            },
            Node::Empty => Self { path, data_type: EMPTY.into(), value: owned(Variant::from("")) },
        }
    }

    /// The entry that came over the bus.
    ///
    /// # Errors
    /// [`TypedValueError`] if the path or the type name is none, or the variant is
    /// not of that type.
    pub fn to_entry(&self) -> Result<Entry, TypedValueError> {
        let path: Path = self
            .path
            .parse()
            .map_err(|source| TypedValueError::Path { path: shortened(&self.path), source })?;
        if self.data_type == EMPTY {
            return Ok(Entry::empty(path));
        }
        let data_type = type_from_name(&self.data_type)
            .ok_or_else(|| TypedValueError::UnknownType(shortened(&self.data_type)))?;
        match from_variant(data_type, &self.value) {
            Some(value) => Ok(Entry::new(path, value)),
            None => Err(TypedValueError::WrongVariant {
                path,
                data_type,
                signature: self.value.value_signature().to_string(),
            }),
        }
    }
}

/// Why something from the bus is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedValueError {
    /// The path is none.
    #[error("bad path \"{path}\": {source}")]
    Path {
        /// The text, shortened.
        path: String,
        /// What is wrong.
        source: PathError,
    },
    /// No type of this name.
    #[error("unknown type \"{0}\"")]
    UnknownType(String),
    /// The variant does not belong to the type.
    #[error("{path}: a value of type {data_type} cannot be a D-Bus {signature}")]
    WrongVariant {
        /// Where the value stands.
        path: Path,
        /// Its type by name.
        data_type: DataType,
        /// What came instead.
        signature: String,
    },
}

/// The name of a type on the bus.
pub const fn type_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::String => "String",
        DataType::Integer => "Integer",
        DataType::Unsigned => "Unsigned",
        DataType::Float => "Float",
        DataType::Boolean => "Boolean",
        DataType::Opaque => "Opaque",
        DataType::Time => "Time",
        DataType::Objlnk => "Objlnk",
        DataType::Corelnk => "Corelnk",
        DataType::None => "None",
    }
}

/// The type of a name on the bus, if values can have it.
pub fn type_from_name(name: &str) -> Option<DataType> {
    VALUE_TYPES.into_iter().find(|data_type| type_name(*data_type) == name)
}

fn to_variant(value: &Value) -> OwnedVariant {
    owned(match value {
        Value::String(text) | Value::Corelnk(text) => Variant::from(text.as_str()),
        Value::Integer(number) | Value::Time(number) => Variant::from(*number),
        Value::Unsigned(number) => Variant::from(*number),
        Value::Float(number) => Variant::from(*number),
        Value::Boolean(flag) => Variant::from(*flag),
        Value::Opaque(bytes) => Variant::from(bytes.clone()),
        Value::Objlnk(link) => Variant::from((link.object, link.instance)),
    })
}

fn from_variant(data_type: DataType, variant: &Variant<'_>) -> Option<Value> {
    Some(match (data_type, variant) {
        (DataType::String, Variant::Str(text)) => Value::String(text.to_string()),
        (DataType::Corelnk, Variant::Str(text)) => Value::Corelnk(text.to_string()),
        (DataType::Integer, Variant::I64(number)) => Value::Integer(*number),
        (DataType::Time, Variant::I64(number)) => Value::Time(*number),
        (DataType::Unsigned, Variant::U64(number)) => Value::Unsigned(*number),
        (DataType::Float, Variant::F64(number)) => Value::Float(*number),
        (DataType::Boolean, Variant::Bool(flag)) => Value::Boolean(*flag),
        (DataType::Opaque, Variant::Array(_)) => {
            Value::Opaque(Vec::<u8>::try_from(variant.try_clone().ok()?).ok()?)
        }
        (DataType::Objlnk, Variant::Structure(_)) => {
            let (object, instance) = <(u16, u16)>::try_from(variant.try_clone().ok()?).ok()?;
            Value::Objlnk(ObjectLink::new(object, instance))
        }
        _ => return None,
    })
}

fn owned(variant: Variant<'_>) -> OwnedVariant {
    variant.try_into().expect("a variant without a file descriptor can be owned")
}

/// What a caller sent, short enough for a message.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

const EMPTY: &str = "Empty";
const MAX_SHOWN: usize = 64;
const VALUE_TYPES: [DataType; 9] = [
    DataType::String,
    DataType::Integer,
    DataType::Unsigned,
    DataType::Float,
    DataType::Boolean,
    DataType::Opaque,
    DataType::Time,
    DataType::Objlnk,
    DataType::Corelnk,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_the_bus_with_its_signature() {
        let cases = [
            (Value::String("é".into()), "s"),
            (Value::Integer(i64::MIN), "x"),
            (Value::Unsigned(u64::MAX), "t"),
            (Value::Float(-0.5), "d"),
            (Value::Boolean(true), "b"),
            (Value::Opaque(vec![0, 255]), "ay"),
            (Value::Opaque(vec![]), "ay"),
            (Value::Time(-1), "x"),
            (Value::Objlnk(ObjectLink::NULL), "(qq)"),
            (Value::Corelnk("</3>".into()), "s"),
        ];
        for (value, signature) in cases {
            let entry = Entry::new(Path::resource(3, 0, 9), value);
            let typed = TypedValue::from_entry(&entry);
            assert_eq!(typed.value.value_signature(), signature);
            assert_eq!(typed.to_entry(), Ok(entry.clone()));
            assert_eq!(typed.clone(), typed);
        }
        let empty = Entry::empty(Path::instance(3303, 1));
        assert_eq!(TypedValue::from_entry(&empty).to_entry(), Ok(empty));
    }

    #[test]
    fn wrong_values_are_refused_with_the_reason() {
        let cases = [
            ("3/0", "Integer", Variant::from(1i64), "bad path \"3/0\": "),
            ("/3/0/9", "Int", Variant::from(1i64), "unknown type \"Int\""),
            ("/3/0/9", "None", Variant::from(1i64), "unknown type \"None\""),
            (
                "/3/0/9",
                "Integer",
                Variant::from("1"),
                "/3/0/9: a value of type Integer cannot be a D-Bus s",
            ),
            (
                "/3/0/9",
                "Unsigned",
                Variant::from(1i64),
                "/3/0/9: a value of type Unsigned Integer cannot be a D-Bus x",
            ),
            (
                "/3/0/9",
                "Opaque",
                Variant::from(vec![1u16]),
                "/3/0/9: a value of type Opaque cannot be a D-Bus aq",
            ),
            (
                "/3/0/9",
                "Objlnk",
                Variant::from((1u16, 2u32)),
                "/3/0/9: a value of type Objlnk cannot be a D-Bus (qu)",
            ),
        ];
        for (path, data_type, variant, message) in cases {
            let typed = TypedValue {
                path: path.into(),
                data_type: data_type.into(),
                value: owned(variant),
            };
            let error = typed.to_entry().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
