//! CBOR (60): one item, the value, without its path (Core 10.4).

use lwm2m_model::Value;

use crate::cbor_item::{self, Reader};
use crate::{DecodeError, Raw};

pub(crate) fn decode(payload: &[u8]) -> Result<Raw<'_>, DecodeError> {
    let mut reader = Reader::new(payload);
    let value = reader.value()?;
    reader.finish()?;
    Ok(value)
}

/// Writes a Time under tag 1: some servers refuse it untagged in this format, and
/// only in this one.
pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) {
    if matches!(value, Value::Time(_)) {
        out.push(cbor_item::TAG_EPOCH_TIME);
    }
    cbor_item::value(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_tagged() {
        let mut out = Vec::new();
        encode(&Value::Time(1_367_491_215), &mut out);
        assert_eq!(out, [0xc1, 0x1a, 0x51, 0x82, 0x42, 0x8f]);
    }

    #[test]
    fn wrong_payloads_name_their_fault() {
        let expected = "a value";
        let cases: [(&[u8], DecodeError); 14] = [
            (&[], DecodeError::Truncated),
            (&[0x19, 1], DecodeError::Truncated),
            (&[0x62, b'a'], DecodeError::Truncated),
            (&[1, 2], DecodeError::TrailingBytes { offset: 1 }),
            (&[0x61, 0xff], DecodeError::NotUtf8 { offset: 0 }),
            (&[0x1c], DecodeError::Malformed { offset: 0 }),
            (&[0x5f, 0x61, b'a', 0xff], DecodeError::Malformed { offset: 0 }),
            (&[0x80], DecodeError::UnexpectedType { offset: 0, expected }),
            (&[0xf6], DecodeError::UnexpectedType { offset: 0, expected }),
            (&[0xf7], DecodeError::UnexpectedType { offset: 0, expected }),
            (&[0xff], DecodeError::UnexpectedType { offset: 0, expected }),
            (&[0xc2, 0x41, 1], DecodeError::UnsupportedTag { offset: 0, tag: 2 }),
            (&[0xc1, 0xf9, 0x7c, 0], DecodeError::NotFinite { offset: 1 }),
            (&[0xc0, 0x61, b'x'], DecodeError::BadDate { offset: 1 }),
        ];
        for (payload, error) in cases {
            assert_eq!(decode(payload), Err(error), "{payload:02x?}");
        }
    }
}
