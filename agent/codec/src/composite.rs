//! Payloads of composite operations: what to fetch, and what to change (Core 6.7, 6.8,
//! 10.9).
//!
//! SenML-ETCH exists for these alone. A Fetch pack is the same in SenML and SenML-ETCH;
//! a Patch pack can remove in SenML-ETCH and otherwise is a pack of values.

use lwm2m_model::{ContentFormat, Path, Value};

use crate::payload::is_beyond_json;
use crate::record::{Records, Target};
use crate::senml::{
    CborSink, CborSource, JsonSink, JsonSource, read_fetch, read_patch, write_fetch, write_patch,
};
use crate::{DecodeError, EncodeError, MAX_PAYLOAD, Record, decode};

/// Reads what a Read-Composite or Observe-Composite asks for: one path or more, of any
/// depth, `/` included, in the order of the payload, repetitions included.
///
/// `format` is one of SenML JSON, SenML CBOR and their SenML-ETCH forms.
///
/// # Errors
/// [`DecodeError::UnsupportedFormat`] for any other format (4.15); all else is 4.00:
/// malformed bytes, values, fields that RFC 8790 3.1 does not know, limits.
pub fn decode_fetch(format: ContentFormat, payload: &[u8]) -> Result<Vec<Path>, DecodeError> {
    check_size(payload)?;
    match format {
        ContentFormat::SENML_JSON | ContentFormat::ETCH_JSON => {
            read_fetch(JsonSource::new(payload)?)
        }
        ContentFormat::SENML_CBOR | ContentFormat::ETCH_CBOR => {
            read_fetch(CborSource::new(payload)?)
        }
        _ => Err(DecodeError::UnsupportedFormat(format)),
    }
}

/// Reads what a Write-Composite changes, for paths anywhere.
///
/// In SenML-ETCH records are steps to be taken in this order, so a path may come again;
/// a null gives [`Item::Delete`](crate::Item::Delete) for a resource instance. SenML
/// JSON, SenML CBOR and LwM2M CBOR are read as [`decode`] reads them.
///
/// # Errors
/// As [`decode`].
pub fn decode_patch(format: ContentFormat, payload: &[u8]) -> Result<Vec<Record<'_>>, DecodeError> {
    let root = Path::root();
    let mut records = Records::new(Target { path: &root, unassigned: None });
    match format {
        ContentFormat::ETCH_JSON => {
            check_size(payload)?;
            read_patch(JsonSource::new(payload)?, &mut records)?;
            Ok(records.in_order())
        }
        ContentFormat::ETCH_CBOR => {
            check_size(payload)?;
            read_patch(CborSource::new(payload)?, &mut records)?;
            Ok(records.in_order())
        }
        ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR | ContentFormat::LWM2M_CBOR => {
            decode(format, payload, &root)
        }
        _ => Err(DecodeError::UnsupportedFormat(format)),
    }
}

/// Writes a Fetch pack in one of the formats of [`decode_fetch`], appending to `out`.
///
/// # Errors
/// [`EncodeError::UnsupportedFormat`] for any other format.
pub fn encode_fetch(
    format: ContentFormat,
    paths: &[Path],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match format {
        ContentFormat::SENML_JSON | ContentFormat::ETCH_JSON => {
            write_fetch(paths, &mut JsonSink::new(out));
        }
        ContentFormat::SENML_CBOR | ContentFormat::ETCH_CBOR => {
            write_fetch(paths, &mut CborSink(out));
        }
        _ => return Err(EncodeError::UnsupportedFormat(format)),
    }
    Ok(())
}

/// Writes a Patch pack in SenML-ETCH, appending to `out`: each path gets its value, or
/// goes away with `None`. On an error `out` is as it was.
///
/// # Errors
/// [`EncodeError::UnsupportedFormat`] for any other format,
/// [`EncodeError::Misplaced`] for a value above a resource or a removal elsewhere than
/// at a resource instance, [`EncodeError::NotFinite`] for a number JSON does not have.
pub fn encode_patch(
    format: ContentFormat,
    changes: &[(Path, Option<Value>)],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    for (path, value) in changes {
        let depths = if value.is_some() { 3..=4 } else { 4..=4 };
        if !depths.contains(&path.depth()) {
            return Err(EncodeError::Misplaced { path: path.clone() });
        }
        if format == ContentFormat::ETCH_JSON && value.as_ref().is_some_and(is_beyond_json) {
            return Err(EncodeError::NotFinite { path: path.clone() });
        }
    }
    match format {
        ContentFormat::ETCH_JSON => write_patch(changes, &mut JsonSink::new(out)),
        ContentFormat::ETCH_CBOR => write_patch(changes, &mut CborSink(out)),
        _ => return Err(EncodeError::UnsupportedFormat(format)),
    }
    Ok(())
}

fn check_size(payload: &[u8]) -> Result<(), DecodeError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(DecodeError::PayloadTooLarge(payload.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, MAX_RECORDS, Raw};

    const ALL: [ContentFormat; 12] = [
        ContentFormat::TEXT,
        ContentFormat::LINK,
        ContentFormat::OPAQUE,
        ContentFormat::CBOR,
        ContentFormat::SENML_JSON,
        ContentFormat::SENML_CBOR,
        ContentFormat::ETCH_JSON,
        ContentFormat::ETCH_CBOR,
        ContentFormat::TLV,
        ContentFormat::OMA_JSON,
        ContentFormat::LWM2M_CBOR,
        ContentFormat(9999),
    ];

    #[test]
    fn composite_operations_have_their_formats() {
        let is_known =
            |error: Option<DecodeError>| !matches!(error, Some(DecodeError::UnsupportedFormat(_)));
        for format in ALL {
            let fetched = matches!(format.0, 110 | 112 | 320 | 322);
            assert_eq!(is_known(decode_fetch(format, b"").err()), fetched, "{format}");
            let patched = fetched || format == ContentFormat::LWM2M_CBOR;
            assert_eq!(is_known(decode_patch(format, b"").err()), patched, "{format}");
            let mut out = Vec::new();
            assert_eq!(encode_fetch(format, &[], &mut out).is_ok(), fetched, "{format}");
            let etch = matches!(format.0, 320 | 322);
            assert_eq!(encode_patch(format, &[], &mut out).is_ok(), etch, "{format}");
        }
    }

    /// CORE-157.
    #[test]
    fn a_fetch_pack_has_names_and_nothing_else() {
        let fetch = |pack: &str| decode_fetch(ContentFormat::ETCH_JSON, pack.as_bytes());
        let pack = r#"[{"bn":"/3/0/","n":"9","bt":1,"t":2,"u":"%","bu":"V"},{"n":"9"},{"bn":"/"}]"#;
        let paths = [Path::resource(3, 0, 9), Path::resource(3, 0, 9), Path::root()];
        assert_eq!(fetch(pack).unwrap(), paths);
        let cases = [
            ("[]", DecodeError::NothingFetched),
            (r#"[{}]"#, DecodeError::BadName { name: String::new() }),
            (r#"[{"n":"/3/0/9","v":1}]"#, DecodeError::NotInFetch { offset: 19 }),
            (r#"[{"n":"/3/0/9","v":null}]"#, DecodeError::NotInFetch { offset: 19 }),
            (r#"[{"n":"/3/0/9","bver":10}]"#, DecodeError::NotInFetch { offset: 22 }),
            (r#"[{"n":"/3/0/9","x":1}]"#, DecodeError::NotInFetch { offset: 19 }),
            (r#"[{"n":"/3/65535"}]"#, DecodeError::ReservedId { parent: Path::object(3) }),
            (r#"[{"n":"/3","n":"/4"}]"#, DecodeError::RepeatedField { field: "n" }),
        ];
        for (pack, error) in cases {
            assert_eq!(fetch(pack), Err(error), "{pack}");
        }
    }

    #[test]
    fn a_patch_pack_is_a_list_of_steps() {
        let patch = |pack| decode_patch(ContentFormat::ETCH_JSON, pack);
        let records = patch(
            br#"[{"bn":"/34/0/1/","n":"1","v":1},{"n":"1","v":null},{"n":"1","vs":"x"},{"n":"2","v":null}]"#,
        )
        .unwrap();
        let steps: Vec<_> =
            records.into_iter().map(|record| (record.path.to_string(), record.item)).collect();
        let expected = [
            ("/34/0/1/1".into(), Item::Value(Raw::Integer(1))),
            ("/34/0/1/1".into(), Item::Delete),
            ("/34/0/1/1".into(), Item::Value(Raw::String("x".into()))),
            ("/34/0/1/2".into(), Item::Delete),
        ];
        assert_eq!(steps, expected);
        let misplaced = |path: Path| Err(DecodeError::Misplaced { path });
        assert_eq!(patch(br#"[{"n":"/34/0/1","v":null}]"#), misplaced(Path::resource(34, 0, 1)));
        assert_eq!(patch(br#"[{"n":"/34/0","v":null}]"#), misplaced(Path::instance(34, 0)));
        assert_eq!(
            patch(br#"[{"n":"/34/0/1/1","vs":null}]"#),
            Err(DecodeError::UnexpectedType { offset: 23, expected: "text" })
        );
    }

    /// CORE-156.
    #[test]
    fn only_an_etch_pack_can_remove() {
        let pack = br#"[{"n":"/34/0/1/1","v":null}]"#;
        assert!(decode_patch(ContentFormat::ETCH_JSON, pack).is_ok());
        assert!(decode_patch(ContentFormat::SENML_JSON, pack).is_err());
        let twice = br#"[{"n":"/3/0/14","vs":"a"},{"n":"/3/0/14","vs":"b"}]"#;
        assert_eq!(decode_patch(ContentFormat::ETCH_JSON, twice).unwrap().len(), 2);
        assert_eq!(
            decode_patch(ContentFormat::SENML_JSON, twice),
            Err(DecodeError::DuplicatePath { path: Path::resource(3, 0, 14) })
        );
    }

    #[test]
    fn packs_are_bounded() {
        let mut pack = Vec::new();
        let paths = vec![Path::object(3); MAX_RECORDS + 1];
        encode_fetch(ContentFormat::ETCH_CBOR, &paths, &mut pack).unwrap();
        assert_eq!(decode_fetch(ContentFormat::ETCH_CBOR, &pack), Err(DecodeError::TooManyRecords));
        let changes = vec![(Path::resource_instance(3, 0, 6, 0), None); MAX_RECORDS + 1];
        let mut pack = Vec::new();
        encode_patch(ContentFormat::ETCH_JSON, &changes, &mut pack).unwrap();
        assert_eq!(decode_patch(ContentFormat::ETCH_JSON, &pack), Err(DecodeError::TooManyRecords));
        let large = vec![b' '; MAX_PAYLOAD + 1];
        for format in [ContentFormat::ETCH_JSON, ContentFormat::ETCH_CBOR] {
            let error = DecodeError::PayloadTooLarge(MAX_PAYLOAD + 1);
            assert_eq!(decode_fetch(format, &large), Err(error.clone()));
            assert_eq!(decode_patch(format, &large), Err(error));
        }
    }

    #[test]
    fn what_no_patch_can_say_is_refused() {
        let mut out = b"kept".to_vec();
        let mut refused = |path: &str, value| {
            let changes = [(path.parse().unwrap(), value)];
            let error = encode_patch(ContentFormat::ETCH_JSON, &changes, &mut out).unwrap_err();
            assert_eq!(out, b"kept");
            error
        };
        let misplaced = |path: &str| EncodeError::Misplaced { path: path.parse().unwrap() };
        assert_eq!(refused("/34/0/1", None), misplaced("/34/0/1"));
        assert_eq!(refused("/34/0", Some(Value::Boolean(true))), misplaced("/34/0"));
        assert_eq!(
            refused("/3303/0/5700", Some(Value::Float(f64::NAN))),
            EncodeError::NotFinite { path: Path::resource(3303, 0, 5700) }
        );
    }
}
