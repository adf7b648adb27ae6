//! Plain text (0): one value in characters (Core 10.3).

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lwm2m_model::{Path, Value};

use crate::{DecodeError, EncodeError, Raw};

pub(crate) fn decode(payload: &[u8]) -> Result<Raw<'_>, DecodeError> {
    std::str::from_utf8(payload)
        .map(Raw::Text)
        .map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })
}

pub(crate) fn encode(path: &Path, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // Writing to a vector does not fail.
    let _ = match value {
        Value::String(text) | Value::Corelnk(text) => out.write_all(text.as_bytes()),
        Value::Integer(number) | Value::Time(number) => write!(out, "{number}"),
        Value::Unsigned(number) => write!(out, "{number}"),
        Value::Float(number) if !number.is_finite() => {
            return Err(EncodeError::NotFinite { path: path.clone() });
        }
        // Display of a float never uses an exponent (CORE-195).
        Value::Float(number) => write!(out, "{number}"),
        Value::Boolean(flag) => out.write_all(if *flag { b"1" } else { b"0" }),
        Value::Objlnk(link) => write!(out, "{link}"),
        Value::Opaque(bytes) => {
            let start = out.len();
            out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
            if let Some(place) = out.get_mut(start..) {
                // The place is as long as padded base64 is.
                let _ = STANDARD.encode_slice(bytes, place);
            }
            Ok(())
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CORE-195; OBJ-08.
    #[test]
    fn floats_have_no_exponent_and_no_infinity() {
        let path = Path::resource(3442, 0, 130);
        let text = |number| {
            let mut out = Vec::new();
            encode(&path, &Value::Float(number), &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(text(6.667e-11).unwrap(), "0.00000000006667");
        assert_eq!(text(1e21).unwrap(), "1000000000000000000000");
        assert_eq!(text(-2.5).unwrap(), "-2.5");
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(text(number), Err(EncodeError::NotFinite { path: path.clone() }));
        }
    }

    #[test]
    fn text_that_is_no_utf8_is_refused() {
        assert_eq!(decode(b"ab\xff"), Err(DecodeError::NotUtf8 { offset: 2 }));
    }
}
