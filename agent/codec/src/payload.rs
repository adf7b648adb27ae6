//! The way in and out: picks the format, and checks what holds for all of them.

use lwm2m_model::{ContentFormat, Entry, Node, Path, Value};

use crate::record::{Records, Target, covers};
use crate::senml::{CborSink, CborSource, JsonSink, JsonSource, read_values, write_values};
use crate::{
    DecodeError, EncodeError, MAX_PAYLOAD, Record, cbor, lwm2m_cbor, oma_json, opaque, text, tlv,
};

/// Reads a payload that came for, or from, `target`.
///
/// `format` is one of text, opaque, CBOR, TLV, SenML JSON, SenML CBOR, LwM2M CBOR, and
/// JSON of LwM2M 1.0. Records come in the order of the payload; a path comes once, or
/// once per time in a history. A target of `/` takes paths behind any gateway prefix.
/// Packs of composite operations: [`decode_fetch`](crate::decode_fetch) and
/// [`decode_patch`](crate::decode_patch).
///
/// # Errors
/// [`DecodeError::UnsupportedFormat`] for any other format (4.15); all else is
/// 4.00: malformed bytes, paths outside `target`, limits.
pub fn decode<'a>(
    format: ContentFormat,
    payload: &'a [u8],
    target: &Path,
) -> Result<Vec<Record<'a>>, DecodeError> {
    read(format, payload, Target { path: target, unassigned: None })
}

/// Reads the payload of a Create on `object` (Core 6.5).
///
/// An instance without an identifier, that is a TLV without Object Instance TLV or
/// an instance key 65535 (CORE-194), gets the identifier `unassigned`: choose a free
/// one before.
///
/// # Errors
/// As [`decode`].
pub fn decode_create<'a>(
    format: ContentFormat,
    payload: &'a [u8],
    object: &Path,
    unassigned: u16,
) -> Result<Vec<Record<'a>>, DecodeError> {
    read(format, payload, Target { path: object, unassigned: Some(unassigned) })
}

fn read<'a>(
    format: ContentFormat,
    payload: &'a [u8],
    target: Target<'_>,
) -> Result<Vec<Record<'a>>, DecodeError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(DecodeError::PayloadTooLarge(payload.len()));
    }
    let single =
        matches!(format, ContentFormat::TEXT | ContentFormat::OPAQUE | ContentFormat::CBOR);
    if single && target.path.depth() < 3 {
        return Err(DecodeError::NotSingle { format, target: target.path.clone() });
    }
    let mut records = Records::new(target);
    match format {
        ContentFormat::TEXT => records.value(target.path.clone(), text::decode(payload)?, None)?,
        ContentFormat::OPAQUE => {
            records.value(target.path.clone(), opaque::decode(payload), None)?
        }
        ContentFormat::CBOR => records.value(target.path.clone(), cbor::decode(payload)?, None)?,
        ContentFormat::TLV => tlv::decode(payload, &mut records)?,
        ContentFormat::SENML_JSON => read_values(JsonSource::new(payload)?, &mut records)?,
        ContentFormat::SENML_CBOR => read_values(CborSource::new(payload)?, &mut records)?,
        ContentFormat::LWM2M_CBOR => lwm2m_cbor::decode(payload, &mut records)?,
        ContentFormat::OMA_JSON => oma_json::decode(payload, &mut records)?,
        _ => return Err(DecodeError::UnsupportedFormat(format)),
    }
    records.finish()
}

/// Writes the entries found at `target`, sorted by path, appending to `out`.
///
/// SenML and JSON take any order and keep it, and the same path again at another time.
/// Times are written by these alone; empty containers by TLV and LwM2M CBOR alone.
/// On an error `out` is as it was.
///
/// # Errors
/// [`EncodeError`] if the format is not ours to write, or is for one single
/// value and this is none (4.06 either way).
pub fn encode(
    format: ContentFormat,
    target: &Path,
    entries: &[Entry],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if !can_encode(format) {
        return Err(EncodeError::UnsupportedFormat(format));
    }
    check(format, target, entries)?;
    match format {
        ContentFormat::TLV => tlv::encode(target, entries, out),
        ContentFormat::SENML_JSON => {
            write_values(target, entries, &mut JsonSink::new(out));
            Ok(())
        }
        ContentFormat::SENML_CBOR => {
            write_values(target, entries, &mut CborSink(out));
            Ok(())
        }
        ContentFormat::LWM2M_CBOR => {
            lwm2m_cbor::encode(entries, out);
            Ok(())
        }
        ContentFormat::OMA_JSON => {
            oma_json::encode(target, entries, out);
            Ok(())
        }
        _ => {
            let value = match entries {
                [entry] if entry.path == *target => entry.value(),
                _ => None,
            };
            let value = value.ok_or(EncodeError::NotSingle(format))?;
            match format {
                ContentFormat::TEXT => text::encode(target, value, out),
                ContentFormat::OPAQUE => opaque::encode(value, out),
                _ => {
                    cbor::encode(value, out);
                    Ok(())
                }
            }
        }
    }
}

/// True if [`encode`] can write `format` at all.
pub fn can_encode(format: ContentFormat) -> bool {
    can_decode(format)
}

/// True if [`decode`] can read `format` at all.
pub fn can_decode(format: ContentFormat) -> bool {
    matches!(
        format,
        ContentFormat::TEXT
            | ContentFormat::OPAQUE
            | ContentFormat::CBOR
            | ContentFormat::TLV
            | ContentFormat::SENML_JSON
            | ContentFormat::SENML_CBOR
            | ContentFormat::LWM2M_CBOR
            | ContentFormat::OMA_JSON
    )
}

/// What every encoder relies on: depth, place, order.
fn check(format: ContentFormat, target: &Path, entries: &[Entry]) -> Result<(), EncodeError> {
    let mut before: Option<&Entry> = None;
    for entry in entries {
        let path = &entry.path;
        let depths = match entry.node {
            Node::Value(_) => 3..=4,
            Node::Empty => 2..=3,
        };
        if !depths.contains(&path.depth()) {
            return Err(EncodeError::Misplaced { path: path.clone() });
        }
        if !covers(target, path) {
            return Err(EncodeError::OutsideTarget { path: path.clone(), target: target.clone() });
        }
        let is_json = matches!(format, ContentFormat::SENML_JSON | ContentFormat::OMA_JSON);
        if entry.time.is_some_and(|time| !time.is_finite())
            || (is_json && entry.value().is_some_and(is_beyond_json))
        {
            return Err(EncodeError::NotFinite { path: path.clone() });
        }
        if let Some(last) = before {
            let is_late = match format {
                ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR | ContentFormat::OMA_JSON => {
                    last.path == *path && last.time == entry.time
                }
                _ => last.path >= *path,
            };
            if is_late {
                return Err(EncodeError::NotSorted { path: path.clone() });
            }
            if last.path != *path && last.path.contains(path) {
                return Err(EncodeError::Overlap { path: last.path.clone() });
            }
        }
        before = Some(entry);
    }
    Ok(())
}

/// JSON has no infinity and no NaN.
pub(crate) fn is_beyond_json(value: &Value) -> bool {
    matches!(value, Value::Float(number) if !number.is_finite())
}

#[cfg(test)]
mod tests {
    use lwm2m_model::DataType;

    use super::*;

    const STRUCTURED: [ContentFormat; 5] = [
        ContentFormat::TLV,
        ContentFormat::SENML_JSON,
        ContentFormat::SENML_CBOR,
        ContentFormat::LWM2M_CBOR,
        ContentFormat::OMA_JSON,
    ];

    fn value(path: &str) -> Entry {
        Entry::new(path.parse().unwrap(), Value::Integer(1))
    }

    #[test]
    fn entries_that_no_format_can_hold_are_named() {
        let path = |text: &str| text.parse::<Path>().unwrap();
        let mut late = value("/3/0/9");
        late.time = Some(f64::INFINITY);
        let cases = [
            ("/3/0", vec![value("/3/0")], EncodeError::Misplaced { path: path("/3/0") }),
            (
                "/3/0",
                vec![Entry::empty(path("/3/0/6/0"))],
                EncodeError::Misplaced { path: path("/3/0/6/0") },
            ),
            (
                "/3/0",
                vec![value("/3/1/0")],
                EncodeError::OutsideTarget { path: path("/3/1/0"), target: path("/3/0") },
            ),
            (
                "/3/0",
                vec![value("/3/0/9"), value("/3/0/9")],
                EncodeError::NotSorted { path: path("/3/0/9") },
            ),
            (
                "/3/0",
                vec![value("/3/0/6"), value("/3/0/6/0")],
                EncodeError::Overlap { path: path("/3/0/6") },
            ),
            ("/3/0", vec![late], EncodeError::NotFinite { path: path("/3/0/9") }),
        ];
        for (target, entries, error) in cases {
            for format in STRUCTURED {
                let mut out = b"kept".to_vec();
                assert_eq!(encode(format, &path(target), &entries, &mut out), Err(error.clone()));
                assert_eq!(out, b"kept");
            }
        }
    }

    #[test]
    fn order_matters_where_entries_nest() {
        let entries = [value("/3/0/9"), value("/3/0/1")];
        let encode = |format| encode(format, &Path::instance(3, 0), &entries, &mut Vec::new());
        let late = Err(EncodeError::NotSorted { path: Path::resource(3, 0, 1) });
        assert_eq!(encode(ContentFormat::TLV), late);
        assert_eq!(encode(ContentFormat::LWM2M_CBOR), late);
        for format in
            [ContentFormat::SENML_JSON, ContentFormat::SENML_CBOR, ContentFormat::OMA_JSON]
        {
            assert_eq!(encode(format), Ok(()));
        }
    }

    #[test]
    fn json_has_no_infinity() {
        let path = Path::resource(3303, 0, 5700);
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let entries = [Entry::new(path.clone(), Value::Float(number))];
            let encode = |format| encode(format, &path, &entries, &mut Vec::new());
            let refused = Err(EncodeError::NotFinite { path: path.clone() });
            assert_eq!(encode(ContentFormat::SENML_JSON), refused);
            assert_eq!(encode(ContentFormat::OMA_JSON), refused);
            assert_eq!(encode(ContentFormat::SENML_CBOR), Ok(()));
        }
    }

    #[test]
    fn single_value_formats_take_a_single_value_only() {
        let encode = |format, target: &str, entries: &[Entry]| {
            encode(format, &target.parse().unwrap(), entries, &mut Vec::new())
        };
        for format in [ContentFormat::TEXT, ContentFormat::OPAQUE, ContentFormat::CBOR] {
            let single = Err(EncodeError::NotSingle(format));
            assert_eq!(encode(format, "/3/0/9", &[]), single);
            assert_eq!(encode(format, "/3/0", &[value("/3/0/9")]), single);
            assert_eq!(encode(format, "/3/0/6", &[value("/3/0/6/0")]), single);
            assert_eq!(encode(format, "/3/0/6", &[Entry::empty(Path::resource(3, 0, 6))]), single);
            for target in ["/", "/3", "/3/0"] {
                let target: Path = target.parse().unwrap();
                assert_eq!(
                    decode(format, b"1", &target),
                    Err(DecodeError::NotSingle { format, target: target.clone() })
                );
            }
        }
        assert_eq!(
            encode(ContentFormat::OPAQUE, "/3/0/9", &[value("/3/0/9")]),
            Err(EncodeError::NotOpaque(DataType::Integer))
        );
    }

    /// CORE-194.
    #[test]
    fn a_create_without_instance_gets_the_free_one() {
        let senml = [&[0x81, 0xa2, 0x00, 0x6b][..], b"/16/65535/3", &[0x02, 1]].concat();
        let payloads: [(ContentFormat, &[u8]); 8] = [
            (ContentFormat::TLV, &[0xc1, 3, 1]),
            (ContentFormat::TLV, &[0x23, 0xff, 0xff, 0xc1, 3, 1]),
            (ContentFormat::TLV, &[0x03, 7, 0xc1, 3, 1]),
            (ContentFormat::LWM2M_CBOR, &[0xa1, 0x83, 0x10, 0x19, 0xff, 0xff, 3, 1]),
            (ContentFormat::SENML_CBOR, &senml),
            (ContentFormat::SENML_JSON, br#"[{"n":"/16/65535/3","v":1}]"#),
            (ContentFormat::OMA_JSON, br#"{"bn":"/16/65535/","e":[{"n":"3","v":1}]}"#),
            (ContentFormat::OMA_JSON, br#"{"e":[{"n":"65535/3","v":1}]}"#),
        ];
        for (format, payload) in payloads {
            let records = decode_create(format, payload, &Path::object(16), 7).unwrap();
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].path, Path::resource(16, 7, 3), "{payload:02x?}");
        }
        let reserved = [0xa1, 0x83, 0x10, 7, 0x19, 0xff, 0xff, 1];
        assert_eq!(
            decode_create(ContentFormat::LWM2M_CBOR, &reserved, &Path::object(16), 7),
            Err(DecodeError::ReservedId { parent: Path::instance(16, 7) })
        );
        assert!(decode(ContentFormat::LWM2M_CBOR, payloads[3].1, &Path::object(16)).is_err());
    }

    #[test]
    fn formats_of_others_are_refused() {
        for format in [
            ContentFormat::LINK,
            ContentFormat::ETCH_JSON,
            ContentFormat::ETCH_CBOR,
            ContentFormat(1542),
        ] {
            assert!(!can_decode(format) && !can_encode(format));
            assert_eq!(
                decode(format, b"", &Path::root()),
                Err(DecodeError::UnsupportedFormat(format))
            );
            assert_eq!(
                encode(format, &Path::root(), &[], &mut Vec::new()),
                Err(EncodeError::UnsupportedFormat(format))
            );
        }
    }

    #[test]
    fn a_payload_above_the_limit_is_not_looked_at() {
        let payload = vec![b'x'; MAX_PAYLOAD + 1];
        let target = Path::resource(3, 0, 0);
        assert_eq!(
            decode(ContentFormat::TEXT, &payload, &target),
            Err(DecodeError::PayloadTooLarge(MAX_PAYLOAD + 1))
        );
    }
}
