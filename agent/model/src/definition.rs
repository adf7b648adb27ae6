//! Object definitions: what resources an object has and what they allow
//! (Core 2.1, Objects 1.1).

mod error;
mod range_text;
mod xml;

use std::borrow::Cow;

pub use error::{DefinitionError, DefinitionFault};
pub use xml::MAX_DEFINITION;

use crate::{DataType, Value, Version};

/// The definition of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectDef {
    /// Object ID.
    pub id: u16,
    /// Name as registered.
    pub name: Cow<'static, str>,
    /// Version of this definition.
    pub version: Version,
    /// May have more than one instance.
    pub multiple: bool,
    /// Has an instance on every client.
    pub mandatory: bool,
    /// Resources in ascending order of their identifiers.
    pub resources: Cow<'static, [ResourceDef]>,
}

impl ObjectDef {
    /// The definition of one resource.
    pub fn resource(&self, id: u16) -> Option<&ResourceDef> {
        let place = self.resources.binary_search_by_key(&id, |resource| resource.id).ok()?;
        self.resources.get(place)
    }
}

/// The definition of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceDef {
    /// Resource ID.
    pub id: u16,
    /// Name as registered.
    pub name: Cow<'static, str>,
    /// What a server may do with it.
    pub operations: Operations,
    /// May have more than one resource instance.
    pub multiple: bool,
    /// Exists in every instance.
    pub mandatory: bool,
    /// Type of its values.
    pub data_type: DataType,
    /// Values or lengths allowed.
    pub range: Range,
    /// Unit of a number as SenML writes it, or empty.
    pub unit: Cow<'static, str>,
}

/// What a server may do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operations {
    /// Nothing: only the bootstrap interface reaches it.
    Bootstrap,
    /// Read.
    R,
    /// Write.
    W,
    /// Read and Write.
    RW,
    /// Execute.
    E,
}

impl Operations {
    /// True if a server may read the resource.
    pub const fn readable(self) -> bool {
        matches!(self, Self::R | Self::RW)
    }

    /// True if a server may write the resource.
    pub const fn writable(self) -> bool {
        matches!(self, Self::W | Self::RW)
    }

    /// True if a server may execute the resource.
    pub const fn executable(self) -> bool {
        matches!(self, Self::E)
    }
}

/// Values, or lengths in bytes, that a definition allows.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// Whatever the type can hold.
    Any,
    /// A number from `min` to `max`, both allowed.
    Number {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// Text or bytes of `min` to `max` bytes, both allowed.
    Length {
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
    },
    /// Text or bytes of one of these lengths in bytes.
    Lengths(Cow<'static, [usize]>),
}

impl Range {
    /// Checks a value of the right type.
    ///
    /// # Errors
    /// [`RangeError`] says what was expected.
    pub fn check(&self, value: &Value) -> Result<(), RangeError> {
        let length = match value {
            Value::String(text) | Value::Corelnk(text) => Some(text.len()),
            Value::Opaque(bytes) => Some(bytes.len()),
            Value::Integer(_)
            | Value::Unsigned(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Time(_)
            | Value::Objlnk(_) => None,
        };
        match (self, length, value.as_number()) {
            (Self::Number { min, max }, _, Some(number)) if !(*min..=*max).contains(&number) => {
                Err(RangeError(format!("expected {min} to {max}, got {number}")))
            }
            (Self::Length { min, max }, Some(length), _) if !(*min..=*max).contains(&length) => {
                Err(RangeError(format!("expected {min} to {max} bytes, got {length}")))
            }
            (Self::Lengths(lengths), Some(length), _) if !lengths.contains(&length) => {
                Err(RangeError(format!("expected one of {lengths:?} bytes, got {length}")))
            }
            _ => Ok(()),
        }
    }
}

/// A value outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RangeError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_at_both_ends() {
        let percent = Range::Number { min: 0.0, max: 100.0 };
        assert!(percent.check(&Value::Integer(0)).is_ok());
        assert!(percent.check(&Value::Integer(100)).is_ok());
        assert!(percent.check(&Value::Integer(101)).is_err());
        assert!(percent.check(&Value::Float(f64::NAN)).is_err());
        let uri = Range::Length { min: 0, max: 255 };
        assert!(uri.check(&Value::String("x".repeat(255))).is_ok());
        assert!(uri.check(&Value::String("x".repeat(256))).is_err());
        let keys = Range::Lengths(Cow::Borrowed(&[16, 32, 48]));
        assert!(keys.check(&Value::Opaque(vec![0; 32])).is_ok());
        assert!(keys.check(&Value::Opaque(vec![0; 33])).is_err());
    }
}
