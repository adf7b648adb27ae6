//! Values as the wire wrote them, and how they become values of a type (Objects 1).

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use lwm2m_model::{DataType, ObjectLink, Value, ValueError};

use crate::MAX_TEXT;

/// A value as its format writes it, not yet of a data type.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw<'a> {
    /// Plain text: any type, written as characters.
    Text(&'a str),
    /// TLV: any type, written as bytes.
    Bytes(&'a [u8]),
    /// CBOR unsigned or negative integer, a decimal fraction that is whole, a tag 1
    /// number above 2^53, or a JSON number that is whole.
    Integer(i128),
    /// CBOR float or decimal fraction, or another JSON number.
    Float(f64),
    /// CBOR or JSON true or false.
    Boolean(bool),
    /// CBOR text string, or text in SenML JSON.
    String(Cow<'a, str>),
    /// JSON 1.0 `sv`: text, or the bytes of an Opaque as base64.
    StringOrBase64(Cow<'a, str>),
    /// CBOR byte string, SenML JSON `vd`, or the payload of the opaque format.
    Opaque(Cow<'a, [u8]>),
    /// CBOR tag 0 or 1: seconds since 1970.
    Time(f64),
    /// SenML `vlo`.
    Link(ObjectLink),
}

impl Raw<'_> {
    /// The value, read as `data_type` (Objects 1).
    ///
    /// Whole numbers do for a Float and floats without fraction for the integer types;
    /// a fraction of a second is cut off a Time. Text is at most [`MAX_TEXT`] bytes.
    ///
    /// # Errors
    /// [`ValueError`] if the wire's value does not fit the type.
    pub fn to_value(&self, data_type: DataType) -> Result<Value, ValueError> {
        let value = match self {
            Self::Text(text) => from_text(text, data_type),
            Self::Bytes(bytes) => from_bytes(bytes, data_type),
            Self::Integer(number) => from_integer(*number, data_type),
            Self::Float(number) => from_float(*number, data_type),
            Self::Boolean(flag) => {
                (data_type == DataType::Boolean).then_some(Value::Boolean(*flag))
            }
            Self::String(text) => match data_type {
                DataType::String | DataType::Corelnk | DataType::Objlnk => {
                    from_text(text, data_type)
                }
                _ => None,
            },
            Self::StringOrBase64(text) => match data_type {
                // A link belongs into `ov`; Leshan sends it as text, as in SenML.
                DataType::String | DataType::Corelnk | DataType::Opaque | DataType::Objlnk => {
                    from_text(text, data_type)
                }
                _ => None,
            },
            Self::Opaque(bytes) => {
                (data_type == DataType::Opaque).then(|| Value::Opaque(bytes.to_vec()))
            }
            Self::Time(seconds) if data_type == DataType::Time => {
                whole(seconds.floor()).and_then(|number| from_integer(number, data_type))
            }
            Self::Time(_) => None,
            Self::Link(link) => (data_type == DataType::Objlnk).then_some(Value::Objlnk(*link)),
        };
        value.ok_or_else(|| ValueError::new(data_type, self.description(data_type)))
    }

    /// The most likely value where no definition is at hand, for showing it.
    pub fn guess(&self) -> Value {
        match self {
            Self::Text(text) => Value::String((*text).to_owned()),
            Self::Bytes(bytes) => guess_bytes(bytes),
            Self::Integer(number) => from_integer(*number, DataType::Integer)
                .or_else(|| from_integer(*number, DataType::Unsigned))
                .unwrap_or(Value::Float(*number as f64)),
            Self::Float(number) => Value::Float(*number),
            Self::Boolean(flag) => Value::Boolean(*flag),
            Self::String(text) | Self::StringOrBase64(text) => {
                Value::String(text.clone().into_owned())
            }
            Self::Opaque(bytes) => Value::Opaque(bytes.to_vec()),
            Self::Time(seconds) => whole(seconds.floor())
                .and_then(|number| from_integer(number, DataType::Time))
                .unwrap_or(Value::Float(*seconds)),
            Self::Link(link) => Value::Objlnk(*link),
        }
    }

    /// What stands in an error. Bytes and text of an Opaque may be a key, and long
    /// text helps nobody: both are described by their length.
    fn description(&self, expected: DataType) -> String {
        match self {
            Self::Text(text) if expected == DataType::Opaque => {
                format!("text of {} bytes that is no base64", text.len())
            }
            Self::Text(text) if text.len() <= MAX_SHOWN => format!("text \"{text}\""),
            Self::Text(text) => format!("text of {} bytes", text.len()),
            Self::String(text) | Self::StringOrBase64(text) => {
                format!("text of {} bytes", text.len())
            }
            Self::Bytes(bytes) => format!("{} bytes that are none", bytes.len()),
            Self::Opaque(bytes) => format!("{} opaque bytes", bytes.len()),
            Self::Integer(number) => format!("number {number}"),
            // Debug turns to an exponent where Display writes hundreds of digits.
            Self::Float(number) => format!("number {number:?}"),
            Self::Boolean(flag) => format!("{flag}"),
            Self::Time(seconds) => format!("time {seconds:?}"),
            Self::Link(link) => format!("object link {link}"),
        }
    }
}

fn from_text(text: &str, data_type: DataType) -> Option<Value> {
    Some(match data_type {
        DataType::String if text.len() <= MAX_TEXT => Value::String(text.to_owned()),
        DataType::Corelnk if text.len() <= MAX_TEXT => Value::Corelnk(text.to_owned()),
        // The parsers of the standard library take a leading plus, we do not.
        _ if text.starts_with('+') && data_type != DataType::Opaque => return None,
        DataType::Integer => Value::Integer(text.parse().ok()?),
        DataType::Unsigned => Value::Unsigned(text.parse().ok()?),
        DataType::Time => Value::Time(text.parse().ok()?),
        DataType::Float => {
            // Keeps out "inf" and "nan".
            let legal = |byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
            let number: f64 = text.bytes().all(legal).then(|| text.parse().ok())??;
            Value::Float(number.is_finite().then_some(number)?)
        }
        DataType::Boolean => Value::Boolean(match text {
            "0" => false,
            "1" => true,
            _ => return None,
        }),
        DataType::Opaque => Value::Opaque(from_base64(text)?),
        DataType::Objlnk => Value::Objlnk(text.parse().ok()?),
        DataType::String | DataType::Corelnk | DataType::None => return None,
    })
}

/// Both alphabets, with or without padding (Core 10.3).
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).ok()
}

fn from_bytes(bytes: &[u8], data_type: DataType) -> Option<Value> {
    Some(match data_type {
        DataType::String | DataType::Corelnk => {
            return from_text(std::str::from_utf8(bytes).ok()?, data_type);
        }
        DataType::Integer => Value::Integer(signed(bytes)?),
        DataType::Time => Value::Time(signed(bytes)?),
        DataType::Unsigned => Value::Unsigned(unsigned(bytes)?),
        DataType::Float => Value::Float(match bytes.len() {
            4 => f32::from_be_bytes(bytes.try_into().ok()?).into(),
            _ => f64::from_be_bytes(bytes.try_into().ok()?),
        }),
        DataType::Boolean => Value::Boolean(match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        DataType::Opaque => Value::Opaque(bytes.to_vec()),
        DataType::Objlnk => match *bytes {
            [a, b, c, d] => Value::Objlnk(ObjectLink::new(
                u16::from_be_bytes([a, b]),
                u16::from_be_bytes([c, d]),
            )),
            _ => return None,
        },
        DataType::None => return None,
    })
}

/// A big-endian number of 1, 2, 4 or 8 bytes; other lengths are none (OBJ-02).
fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match bytes.len() {
        1 => bytes.first().copied()?.into(),
        2 => u16::from_be_bytes(bytes.try_into().ok()?).into(),
        4 => u32::from_be_bytes(bytes.try_into().ok()?).into(),
        _ => u64::from_be_bytes(bytes.try_into().ok()?),
    })
}

fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        1 => i8::from_be_bytes(bytes.try_into().ok()?).into(),
        2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        _ => i64::from_be_bytes(bytes.try_into().ok()?),
    })
}

fn from_integer(number: i128, data_type: DataType) -> Option<Value> {
    Some(match data_type {
        DataType::Integer => Value::Integer(number.try_into().ok()?),
        DataType::Unsigned => Value::Unsigned(number.try_into().ok()?),
        DataType::Time => Value::Time(number.try_into().ok()?),
        DataType::Float => Value::Float(number as f64),
        DataType::String
        | DataType::Boolean
        | DataType::Opaque
        | DataType::Objlnk
        | DataType::Corelnk
        | DataType::None => return None,
    })
}

fn from_float(number: f64, data_type: DataType) -> Option<Value> {
    match data_type {
        DataType::Float => Some(Value::Float(number)),
        DataType::Integer | DataType::Unsigned | DataType::Time => {
            from_integer(whole(number)?, data_type)
        }
        DataType::String
        | DataType::Boolean
        | DataType::Opaque
        | DataType::Objlnk
        | DataType::Corelnk
        | DataType::None => None,
    }
}

/// The integer that a float is exactly, up to 2^53.
fn whole(number: f64) -> Option<i128> {
    (number.abs() <= MAX_EXACT && number.fract() == 0.0).then_some(number as i128)
}

/// One byte is more often a small number than a letter; longer text is text.
fn guess_bytes(bytes: &[u8]) -> Value {
    let printable = |text: &&str| bytes.len() != 1 && !text.contains(char::is_control);
    match (std::str::from_utf8(bytes).ok().filter(printable), signed(bytes)) {
        (Some(text), _) => Value::String(text.to_owned()),
        (None, Some(number)) => Value::Integer(number),
        (None, None) => Value::Opaque(bytes.to_vec()),
    }
}

const INDIFFERENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, INDIFFERENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, INDIFFERENT);
/// 2^53: up to here a float has every integer.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// Bytes of a peer's text that an error repeats.
const MAX_SHOWN: usize = 24;

#[cfg(test)]
mod tests {
    use DataType as T;

    use super::*;

    /// CORE-188, 197; OBJ-02, 06.
    #[test]
    fn every_type_is_read_from_its_wire_forms() {
        let text = |text| Raw::String(Cow::Borrowed(text));
        let link = Value::Objlnk(ObjectLink::new(66, 0));
        let cases = [
            (Raw::Text("-750"), T::Integer, Value::Integer(-750)),
            (Raw::Text("18446744073709551615"), T::Unsigned, Value::Unsigned(u64::MAX)),
            (Raw::Text("-1"), T::Time, Value::Time(-1)),
            (Raw::Text("1.5e3"), T::Float, Value::Float(1500.0)),
            (Raw::Text("0"), T::Boolean, Value::Boolean(false)),
            (Raw::Text(""), T::String, Value::String(String::new())),
            (Raw::Text("FFFF:FFFF"), T::Objlnk, Value::Objlnk(ObjectLink::NULL)),
            (Raw::Text("+/8="), T::Opaque, Value::Opaque(vec![0xfb, 0xff])),
            (Raw::Text("-_8"), T::Opaque, Value::Opaque(vec![0xfb, 0xff])),
            (Raw::Text("-_8="), T::Opaque, Value::Opaque(vec![0xfb, 0xff])),
            (Raw::Bytes(&[0xff]), T::Integer, Value::Integer(-1)),
            (Raw::Bytes(&[0xff]), T::Unsigned, Value::Unsigned(255)),
            (Raw::Bytes(&[0; 8]), T::Time, Value::Time(0)),
            (Raw::Bytes(&[0, 66, 0, 0]), T::Objlnk, link.clone()),
            (Raw::Bytes(b""), T::Opaque, Value::Opaque(Vec::new())),
            (Raw::Integer(3), T::Float, Value::Float(3.0)),
            (Raw::Integer(-3), T::Time, Value::Time(-3)),
            (Raw::Float(60.0), T::Integer, Value::Integer(60)),
            (Raw::Time(15.75), T::Time, Value::Time(15)),
            (Raw::Time(-0.25), T::Time, Value::Time(-1)),
            (text("66:0"), T::Objlnk, link.clone()),
            (Raw::StringOrBase64("66:0".into()), T::Objlnk, link.clone()),
            (Raw::Link(ObjectLink::new(66, 0)), T::Objlnk, link),
            (text("</3/0>"), T::Corelnk, Value::Corelnk("</3/0>".into())),
            (Raw::StringOrBase64("AQL/".into()), T::Opaque, Value::Opaque(vec![1, 2, 255])),
            (Raw::StringOrBase64("AQL/".into()), T::String, Value::String("AQL/".into())),
        ];
        for (raw, data_type, value) in cases {
            assert_eq!(raw.to_value(data_type), Ok(value), "{raw:?} as {data_type}");
        }
    }

    /// OBJ-02, 03.
    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(MAX_TEXT + 1);
        let mut cases = vec![
            (Raw::Text("+1"), T::Integer),
            (Raw::Text(" 1"), T::Integer),
            (Raw::Text(""), T::Integer),
            (Raw::Text("9223372036854775808"), T::Integer),
            (Raw::Text("-1"), T::Unsigned),
            (Raw::Text("inf"), T::Float),
            (Raw::Text("NaN"), T::Float),
            (Raw::Text("1e999"), T::Float),
            (Raw::Text("true"), T::Boolean),
            (Raw::Text("2"), T::Boolean),
            (Raw::Text("A"), T::Opaque),
            (Raw::Text("AB+_"), T::Opaque),
            (Raw::Text("1:2:3"), T::Objlnk),
            (Raw::Text("1:65536"), T::Objlnk),
            (Raw::Bytes(&[2]), T::Boolean),
            (Raw::Bytes(&[0, 1]), T::Boolean),
            (Raw::Bytes(&[0; 2]), T::Float),
            (Raw::Bytes(&[0xff]), T::String),
            (Raw::Bytes(&[0; 3]), T::Objlnk),
            (Raw::Integer(1 << 63), T::Integer),
            (Raw::Integer(-1), T::Unsigned),
            (Raw::Integer(1), T::Boolean),
            (Raw::Integer(1), T::String),
            (Raw::Float(0.5), T::Integer),
            (Raw::Float(f64::NAN), T::Integer),
            (Raw::Float(1e300), T::Time),
            (Raw::Boolean(true), T::Integer),
            (Raw::String("1".into()), T::Integer),
            (Raw::String("AQL/".into()), T::Opaque),
            (Raw::StringOrBase64("1".into()), T::Integer),
            (Raw::StringOrBase64("66".into()), T::Objlnk),
            (Raw::StringOrBase64("A".into()), T::Opaque),
            (Raw::Opaque(Cow::Borrowed(b"1")), T::Integer),
            (Raw::Time(1.0), T::Integer),
            (Raw::Text(&long), T::String),
            (Raw::Bytes(long.as_bytes()), T::Corelnk),
            (Raw::Link(ObjectLink::NULL), T::String),
            (Raw::Text(""), T::None),
        ];
        for length in [0, 3, 5, 6, 7, 9] {
            let bytes: &'static [u8] = &[0; 9];
            cases.extend([T::Integer, T::Unsigned].map(|t| (Raw::Bytes(&bytes[..length]), t)));
        }
        for (raw, data_type) in cases {
            let error = raw.to_value(data_type).unwrap_err();
            assert_eq!(error.expected, data_type);
            assert!(error.got.len() < 64, "{error}");
        }
    }

    #[test]
    fn an_error_never_shows_a_key() {
        let key = "c2VjcmV0!";
        let texts = [Raw::Text(key), Raw::String(key.into()), Raw::StringOrBase64(key.into())];
        for raw in texts.into_iter().chain([Raw::Bytes(b"c2VjcmV0!")]) {
            let data_type = if matches!(raw, Raw::Bytes(_)) { T::Integer } else { T::Opaque };
            assert!(!raw.to_value(data_type).unwrap_err().to_string().contains("c2Vj"));
        }
    }

    #[test]
    fn guesses_suit_the_eye() {
        let cases = [
            (Raw::Bytes(&[100]), Value::Integer(100)),
            (Raw::Bytes(b"UQ"), Value::String("UQ".into())),
            (Raw::Bytes(&[0x51, 0x82, 0x42, 0x8f]), Value::Integer(1_367_491_215)),
            (Raw::Bytes(&[1, 2, 3]), Value::Opaque(vec![1, 2, 3])),
            (Raw::Text("007"), Value::String("007".into())),
            (Raw::Integer(1 << 63), Value::Unsigned(1 << 63)),
            (Raw::Integer(-(1 << 64)), Value::Float(-18_446_744_073_709_551_616.0)),
            (Raw::Time(15.5), Value::Time(15)),
        ];
        for (raw, value) in cases {
            assert_eq!(raw.guess(), value, "{raw:?}");
        }
    }
}
