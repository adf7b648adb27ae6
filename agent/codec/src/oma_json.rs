//! JSON of LwM2M 1.0 (11543): one object with a base name and an array of entries
//! (Core 10.11). The engine keeps it from servers that speak 1.1 or later (CORE-184).
//!
//! Written names are relative to the instance, or to the target if that is shallower;
//! each time stands with its entry. Empty containers cannot be written and are left out.

use std::borrow::Cow;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lwm2m_model::{Entry, ObjectLink, Path, Value};

use crate::json::{self, Reader};
use crate::record::{Records, Target};
use crate::{DecodeError, Raw, name};

pub(crate) fn decode<'a>(
    payload: &'a [u8],
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    let (head, mut reader) = Head::read(payload)?;
    let mut entries = reader.array()?;
    while entries.next(&mut reader)? {
        let offset = reader.offset();
        let fields = Fields::read(&mut reader)?;
        let path = head.path(&fields.name, records.target())?;
        let value = fields.value.ok_or_else(|| DecodeError::NoValue { path: path.clone() })?;
        let time = head.time + fields.time;
        if !time.is_finite() {
            return Err(DecodeError::NotFinite { offset });
        }
        records.value(path, value, (time != 0.0).then_some(time))?;
    }
    Ok(())
}

/// What holds for all entries.
#[derive(Debug, Default)]
struct Head<'a> {
    name: Cow<'a, str>,
    time: f64,
}

impl<'a> Head<'a> {
    /// Reads the whole payload but the entries, which may stand before what holds for
    /// them, and returns the place where they begin.
    fn read(payload: &'a [u8]) -> Result<(Self, Reader<'a>), DecodeError> {
        let mut reader = Reader::new(payload)?;
        let mut head = Self::default();
        let mut entries = None;
        let mut seen = 0;
        let mut members = reader.object()?;
        while let Some(key) = members.next(&mut reader)? {
            match &*key {
                "bn" => {
                    once(&mut seen, 1, "bn")?;
                    head.name = reader.text()?;
                }
                "bt" => {
                    once(&mut seen, 2, "bt")?;
                    head.time = reader.seconds()?;
                }
                "e" => {
                    once(&mut seen, 4, "e")?;
                    entries = Some(reader.clone());
                    reader.skip()?;
                }
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok((head, entries.ok_or(DecodeError::NoEntries)?))
    }

    /// The path of an entry: below the base name, or else below the target.
    fn path(&self, name: &str, target: Target<'_>) -> Result<Path, DecodeError> {
        if !self.name.is_empty() {
            return name::join(&self.name, name, target);
        }
        let mut base = String::new();
        name::write_full(&mut base, target.path);
        if !base.ends_with('/') {
            base.push('/');
        }
        name::join(&base, name, target)
    }
}

#[derive(Debug, Default)]
struct Fields<'a> {
    name: Cow<'a, str>,
    time: f64,
    value: Option<Raw<'a>>,
}

impl<'a> Fields<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut entry = Self::default();
        let mut seen = 0;
        let mut members = reader.object()?;
        while let Some(key) = members.next(reader)? {
            match &*key {
                "n" => {
                    once(&mut seen, 1, "n")?;
                    entry.name = reader.text()?;
                }
                "t" => {
                    once(&mut seen, 2, "t")?;
                    entry.time = reader.seconds()?;
                }
                // The fields for a value exclude each other.
                "v" => {
                    once(&mut seen, 4, "v")?;
                    entry.value = Some(reader.number()?);
                }
                "bv" => {
                    once(&mut seen, 4, "bv")?;
                    entry.value = Some(Raw::Boolean(reader.flag()?));
                }
                "ov" => {
                    once(&mut seen, 4, "ov")?;
                    entry.value = Some(read_link(reader)?);
                }
                "sv" => {
                    once(&mut seen, 4, "sv")?;
                    entry.value = Some(Raw::StringOrBase64(reader.text()?));
                }
                _ => reader.skip()?,
            }
        }
        Ok(entry)
    }
}

/// Notes a field, which may come once in an object.
fn once(seen: &mut u8, bit: u8, field: &'static str) -> Result<(), DecodeError> {
    if *seen & bit != 0 {
        return Err(DecodeError::RepeatedField { field });
    }
    *seen |= bit;
    Ok(())
}

fn read_link<'a>(reader: &mut Reader<'a>) -> Result<Raw<'a>, DecodeError> {
    let offset = reader.offset();
    let link: Result<ObjectLink, _> = reader.text()?.parse();
    link.map(Raw::Link).map_err(|_| DecodeError::BadLink { offset })
}

pub(crate) fn encode(target: &Path, entries: &[Entry], out: &mut Vec<u8>) {
    let base = target.truncated(2);
    let mut name = String::new();
    name::write_full(&mut name, &base);
    if !name.ends_with('/') {
        name.push('/');
    }
    out.extend_from_slice(b"{\"bn\":");
    json::write_text(out, &name);
    out.extend_from_slice(b",\"e\":[");
    let mut comma: &[u8] = b"";
    for entry in entries {
        let Some(value) = entry.value() else { continue };
        name.clear();
        match (base.prefix(), entry.path.prefix()) {
            // An answer to `/` may hold what a gateway reads from its end devices.
            (None, Some(prefix)) => {
                name.push_str(prefix.as_str());
                name::write_base(&mut name, &entry.path.clone().with_prefix(None), 4);
            }
            _ => name::write_rest(&mut name, &entry.path, base.depth()),
        }
        out.extend_from_slice(comma);
        comma = b",";
        out.extend_from_slice(b"{\"n\":");
        json::write_text(out, &name);
        if let Some(time) = entry.time.filter(|time| *time != 0.0) {
            out.extend_from_slice(b",\"t\":");
            json::write_float(out, time);
        }
        write_value(value, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) | Value::Time(_) => b",\"v\":",
        Value::Boolean(_) => b",\"bv\":",
        Value::Objlnk(_) => b",\"ov\":",
        Value::String(_) | Value::Corelnk(_) | Value::Opaque(_) => b",\"sv\":",
    });
    // Writing to a vector does not fail.
    let _ = match value {
        Value::String(text) | Value::Corelnk(text) => return json::write_text(out, text),
        Value::Float(number) => return json::write_float(out, *number),
        Value::Integer(number) | Value::Time(number) => write!(out, "{number}"),
        Value::Unsigned(number) => write!(out, "{number}"),
        Value::Boolean(flag) => write!(out, "{flag}"),
        Value::Opaque(bytes) => write!(out, "\"{}\"", STANDARD.encode(bytes)),
        Value::Objlnk(link) => write!(out, "\"{link}\""),
    };
}

#[cfg(test)]
mod tests {
    use lwm2m_model::{ContentFormat, Value};

    use super::*;
    use crate::{Record, decode as decode_any, encode as encode_any};

    fn read<'a>(payload: &'a str, target: &str) -> Result<Vec<Record<'a>>, DecodeError> {
        decode_any(ContentFormat::OMA_JSON, payload.as_bytes(), &target.parse().unwrap())
    }

    #[test]
    fn names_are_relative_to_the_base_or_the_target() {
        let cases = [
            (r#"{"bn":"/3/0/","e":[{"n":"6/0","v":1}]}"#, "/3", "/3/0/6/0"),
            (r#"{"e":[{"n":"6/0","v":1}],"bn":"/3/0/"}"#, "/3/0", "/3/0/6/0"),
            (r#"{"bn":"/3/0/9","e":[{"v":1}]}"#, "/3/0/9", "/3/0/9"),
            (r#"{"e":[{"v":1}]}"#, "/3/0/9", "/3/0/9"),
            (r#"{"bn":"","e":[{"n":"","v":1}]}"#, "/3/0/9", "/3/0/9"),
            (r#"{"e":[{"n":"9","v":1}]}"#, "/3/0", "/3/0/9"),
            (r#"{"e":[{"n":"0/9","v":1}]}"#, "/3", "/3/0/9"),
            (r#"{"e":[{"n":"3/0/9","v":1}]}"#, "/", "/3/0/9"),
            (r#"{"e":[{"n":"9","v":1}]}"#, "/d01/3/0", "/d01/3/0/9"),
        ];
        for (payload, target, path) in cases {
            let records = read(payload, target).unwrap();
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].path.to_string(), path, "{payload}");
        }
    }

    #[test]
    fn wrong_payloads_name_their_fault() {
        let bad = |name: &str| DecodeError::BadName { name: name.into() };
        let repeated = |field| DecodeError::RepeatedField { field };
        let expected = |offset, expected| DecodeError::UnexpectedType { offset, expected };
        let cases = [
            ("[]", expected(0, "an object")),
            ("{}", DecodeError::NoEntries),
            (r#"{"bn":"/3/0/"}"#, DecodeError::NoEntries),
            (r#"{"e":{}}"#, expected(5, "an array")),
            (r#"{"e":[1]}"#, expected(6, "an object")),
            (r#"{"e":[]} x"#, DecodeError::TrailingBytes { offset: 9 }),
            (r#"{"e":[],"e":[]}"#, repeated("e")),
            (r#"{"e":[{"n":"9","v":1,"sv":""}]}"#, repeated("sv")),
            (r#"{"e":[{"n":"9","n":"8","v":1}]}"#, repeated("n")),
            (r#"{"e":[{"n":"9"}]}"#, DecodeError::NoValue { path: Path::resource(3, 0, 9) }),
            (r#"{"e":[{"n":"9","v":"1"}]}"#, expected(19, "a number")),
            (r#"{"e":[{"n":"9","v":null}]}"#, expected(19, "a number")),
            (r#"{"e":[{"n":"9","ov":"66"}]}"#, DecodeError::BadLink { offset: 20 }),
            (r#"{"e":[{"n":"/3/0/9","v":1}]}"#, bad("/3/0//3/0/9")),
            (r#"{"bn":"3/0/","e":[{"n":"9","v":1}]}"#, bad("3/0/9")),
            (
                r#"{"bn":"/4/0/","e":[{"n":"9","v":1}]}"#,
                DecodeError::OutsideTarget {
                    path: Path::resource(4, 0, 9),
                    target: Path::instance(3, 0),
                },
            ),
            (
                r#"{"bt":1.5e308,"e":[{"n":"9","t":1.5e308,"v":1}]}"#,
                DecodeError::NotFinite { offset: 19 },
            ),
        ];
        for (payload, error) in cases {
            assert_eq!(read(payload, "/3/0"), Err(error), "{payload}");
        }
    }

    #[test]
    fn times_come_back() {
        let path = Path::resource(3303, 0, 5700);
        let sample =
            |time| Entry { time: Some(time), ..Entry::new(path.clone(), Value::Float(21.5)) };
        let entries = [sample(1_700_000_000.0), sample(1_700_000_000.25)];
        let mut out = Vec::new();
        encode_any(ContentFormat::OMA_JSON, &path, &entries, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "{\"bn\":\"/3303/0/\",\"e\":[{\"n\":\"5700\",\"t\":1700000000.0,\"v\":21.5},\
             {\"n\":\"5700\",\"t\":1700000000.25,\"v\":21.5}]}"
        );
        let times: Vec<_> =
            read(&text, "/3303/0/5700").unwrap().iter().map(|record| record.time).collect();
        assert_eq!(times, [Some(1_700_000_000.0), Some(1_700_000_000.25)]);
    }
}
