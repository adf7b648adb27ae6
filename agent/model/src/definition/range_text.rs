//! The free text of `RangeEnumeration`: `0..255`, `0-255 bytes`, `1...15`, `16,32,48`.
//!
//! For text and bytes the numbers are lengths in bytes. What is not understood
//! is documentation and restricts nothing.

use std::borrow::Cow;

use super::Range;
use crate::{DataType, digits};

/// The range that `text` gives to values of `data_type`; [`Range::Any`] for prose.
pub(super) fn read(data_type: DataType, text: &str) -> Range {
    match data_type {
        DataType::Integer | DataType::Unsigned | DataType::Float | DataType::Time => numbers(text),
        DataType::String | DataType::Opaque | DataType::Corelnk => lengths(data_type, text),
        DataType::Boolean | DataType::Objlnk | DataType::None => None,
    }
    .unwrap_or(Range::Any)
}

/// Two bounds. One number alone may be the largest value or a width in bits, so it
/// restricts nothing.
fn numbers(text: &str) -> Option<Range> {
    let (min, max) = bounds(text)?;
    let (min, max) = (decimal(min)?, decimal(max)?);
    (min <= max).then_some(Range::Number { min, max })
}

fn lengths(data_type: DataType, text: &str) -> Option<Range> {
    let text = text.strip_suffix("bytes").unwrap_or(text).trim();
    if let Some((min, max)) = bounds(text).filter(|(_, max)| !max.contains('-')) {
        let (min, max) = (digits::parse(min)?, digits::parse(max)?);
        return (min <= max).then_some(Range::Length { min, max });
    }
    let all: Vec<usize> =
        text.split([',', '-']).map(|part| digits::parse(part.trim())).collect::<Option<_>>()?;
    match *all {
        // Object 19 gives "32 bytes" to a text whose example has 13: the most, not the only.
        [max] if data_type != DataType::Opaque => Some(Range::Length { min: 0, max }),
        [length] => Some(Range::Length { min: length, max: length }),
        _ => Some(Range::Lengths(Cow::Owned(all))),
    }
}

/// The texts before and after two dots, three dots or a dash that is no sign.
fn bounds(text: &str) -> Option<(&str, &str)> {
    let (min, max) = if let Some((min, max)) = text.split_once("..") {
        (min, max.strip_prefix('.').unwrap_or(max))
    } else {
        let dash = text.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
        text.split_at_checked(dash).and_then(|(min, max)| Some((min, max.strip_prefix('-')?)))?
    };
    Some((min.trim(), max.trim()))
}

/// A number without exponent; the standard library takes `inf` and `1e9` too.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'));
    plain.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType as T;

    fn number(min: f64, max: f64) -> Range {
        Range::Number { min, max }
    }

    fn length(min: usize, max: usize) -> Range {
        Range::Length { min, max }
    }

    #[test]
    fn every_spelling_of_the_registry_is_read() {
        for (data_type, text, range) in [
            (T::Integer, "0..255", number(0.0, 255.0)),
            (T::Integer, "0-255", number(0.0, 255.0)),
            (T::Integer, "1...15", number(1.0, 15.0)),
            (T::Integer, "1..65534", number(1.0, 65534.0)),
            (T::Integer, "-140..-44", number(-140.0, -44.0)),
            (T::Integer, "-140--44", number(-140.0, -44.0)),
            (T::Unsigned, "0 .. 4", number(0.0, 4.0)),
            (T::Float, "0.00..100.00", number(0.0, 100.0)),
            (T::Float, "-90..90", number(-90.0, 90.0)),
            (T::Time, "0..9", number(0.0, 9.0)),
            (T::String, "0..255", length(0, 255)),
            (T::String, "0..255 bytes", length(0, 255)),
            (T::String, "0-255 bytes", length(0, 255)),
            (T::String, "32 bytes", length(0, 32)),
            (T::String, "12", length(0, 12)),
            (T::String, "10,26", Range::Lengths(vec![10, 26].into())),
            (T::Opaque, "6", length(6, 6)),
            (T::Opaque, "6 bytes", length(6, 6)),
            (T::Opaque, "16,32,48", Range::Lengths(vec![16, 32, 48].into())),
            (T::Opaque, "16, 32, 48", Range::Lengths(vec![16, 32, 48].into())),
            (T::Opaque, "16-32-48 bytes", Range::Lengths(vec![16, 32, 48].into())),
            (T::Corelnk, "0..9", length(0, 9)),
        ] {
            assert_eq!(read(data_type, text), range, "{data_type} {text}");
        }
    }

    #[test]
    fn what_is_not_understood_restricts_nothing() {
        for (data_type, text) in [
            (T::Integer, ""),
            (T::Integer, "255"),
            (T::Integer, "8-Bits"),
            (T::Integer, "16-bit"),
            (T::Integer, "2 bytes"),
            (T::Integer, "0-255 bytes"),
            (T::Integer, "0,1,2"),
            (T::Integer, "9..1"),
            (T::Integer, ".."),
            (T::Integer, "-"),
            (T::Integer, "1.."),
            (T::Time, "2024-02-22"),
            (T::Float, "0..inf"),
            (T::Float, "0..1e9"),
            (T::Float, "é-1"),
            (T::String, "The possible values are those listed in the LwM2M Core Specification"),
            (T::String, "-1..5"),
            (T::String, "9..1"),
            (T::String, "bytes"),
            (T::Opaque, "16,,48"),
            (T::Opaque, "99999999999999999999999"),
            (T::Boolean, "0..1"),
            (T::Objlnk, "0..1"),
            (T::None, "0..1"),
        ] {
            assert_eq!(read(data_type, text), Range::Any, "{data_type} {text}");
        }
        assert_eq!(read(T::Float, &format!("0..{}", "9".repeat(400))), Range::Any);
    }
}
