//! Reads a pack whose records give values (Core 10.6).

use std::borrow::Cow;

use lwm2m_model::{ObjectLink, Path, Prefix};
use minicbor::data::Type;

use super::{
    BASE_NAME, BASE_SUM, BASE_TIME, BASE_VALUE, BASE_VERSION, BOOLEAN, DATA, LINK, NAME, STRING,
    SUM, TIME, VALUE,
};
use crate::cbor_item::Reader;
use crate::record::{Records, Target};
use crate::{DecodeError, MAX_NAME, Raw};

pub(crate) fn decode<'a>(
    payload: &'a [u8],
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(payload);
    let mut base = Base::default();
    let mut pack = reader.array()?;
    while pack.next(&mut reader)? {
        let offset = reader.offset();
        let fields = Fields::read(&mut reader, &mut base)?;
        let path = base.path(&fields.name, records.target())?;
        let value = fields.value.ok_or_else(|| DecodeError::NoValue { path: path.clone() })?;
        let time = base.time + fields.time;
        if !time.is_finite() {
            return Err(DecodeError::NotFinite { offset });
        }
        records.value(path, base.applied_to(value), (time != 0.0).then_some(time))?;
    }
    reader.finish()
}

/// The base fields in force (CORE-189).
#[derive(Debug, Default)]
struct Base<'a> {
    name: Cow<'a, str>,
    time: f64,
    value: Option<Raw<'a>>,
}

impl<'a> Base<'a> {
    fn path(&self, name: &str, target: Target<'_>) -> Result<Path, DecodeError> {
        let length = self.name.len() + name.len();
        if length > MAX_NAME {
            return Err(DecodeError::NameTooLong(length));
        }
        match (&*self.name, name) {
            (whole, "") | ("", whole) => path(whole, target),
            (base, name) => path(&[base, name].concat(), target),
        }
    }

    /// `bv` counts for numbers alone (RFC 8428 4.1).
    fn applied_to(&self, value: Raw<'a>) -> Raw<'a> {
        match (&self.value, value) {
            (Some(Raw::Integer(base)), Raw::Integer(number)) => Raw::Integer(base + number),
            (Some(Raw::Integer(base)), Raw::Float(number)) => Raw::Float(*base as f64 + number),
            (Some(Raw::Float(base)), Raw::Integer(number)) => Raw::Float(base + number as f64),
            (Some(Raw::Float(base)), Raw::Float(number)) => Raw::Float(base + number),
            (_, value) => value,
        }
    }
}

/// The other fields of a record.
#[derive(Debug, Default)]
struct Fields<'a> {
    name: Cow<'a, str>,
    time: f64,
    value: Option<Raw<'a>>,
}

impl<'a> Fields<'a> {
    fn read(reader: &mut Reader<'a>, base: &mut Base<'a>) -> Result<Self, DecodeError> {
        let mut record = Self::default();
        let mut seen = 0_u32;
        let mut pairs = reader.map()?;
        while pairs.next(reader)? {
            match reader.kind()? {
                Type::String | Type::StringIndef => match &*reader.text()? {
                    LINK => {
                        once(&mut seen, VALUE)?;
                        record.value = Some(read_link(reader)?);
                    }
                    label if label.ends_with('_') => {
                        return Err(DecodeError::MandatoryField(shown(label)));
                    }
                    _ => reader.skip()?,
                },
                _ => {
                    let label = reader.integer("a field label")?;
                    record.read_field(label, reader, base, &mut seen)?;
                }
            }
        }
        Ok(record)
    }

    fn read_field(
        &mut self,
        label: i128,
        reader: &mut Reader<'a>,
        base: &mut Base<'a>,
        seen: &mut u32,
    ) -> Result<(), DecodeError> {
        match label {
            BASE_NAME | BASE_TIME | BASE_VALUE | NAME | TIME => once(seen, label)?,
            // The fields for a value exclude each other.
            VALUE | STRING | BOOLEAN | DATA => once(seen, VALUE)?,
            _ => {}
        }
        match label {
            BASE_NAME => base.name = reader.text()?,
            BASE_TIME => base.time = reader.seconds()?,
            BASE_VALUE => base.value = Some(reader.number("a number")?),
            BASE_VERSION => match reader.unsigned("a version")? {
                0..=10 => {}
                version => return Err(DecodeError::UnsupportedVersion(version)),
            },
            // A sum without a value is no state of a resource.
            SUM => return Err(DecodeError::MandatoryField("s".into())),
            BASE_SUM => return Err(DecodeError::MandatoryField("bs".into())),
            NAME => self.name = reader.text()?,
            TIME => self.time = reader.seconds()?,
            VALUE => self.value = Some(reader.number("a number")?),
            STRING => self.value = Some(Raw::String(reader.text()?)),
            DATA => self.value = Some(Raw::Opaque(reader.bytes()?)),
            BOOLEAN => match (reader.offset(), reader.value()?) {
                (_, flag @ Raw::Boolean(_)) => self.value = Some(flag),
                (offset, _) => {
                    return Err(DecodeError::UnexpectedType { offset, expected: "true or false" });
                }
            },
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// Notes a field, which may come once in a record.
fn once(seen: &mut u32, label: i128) -> Result<(), DecodeError> {
    let bit = 1 << (label - BASE_SUM);
    if *seen & bit != 0 {
        // The labels that come here are small.
        return Err(DecodeError::RepeatedField { label: label as i64 });
    }
    *seen |= bit;
    Ok(())
}

fn read_link<'a>(reader: &mut Reader<'a>) -> Result<Raw<'a>, DecodeError> {
    let offset = reader.offset();
    let link: Result<ObjectLink, _> = reader.text()?.parse();
    link.map(Raw::Link).map_err(|_| DecodeError::BadLink { offset })
}

/// The path of a whole name; one slash at its end is accepted, as in a request.
///
/// Reads the identifiers itself, since 65535 stands for an instance in a Create.
fn path(name: &str, target: Target<'_>) -> Result<Path, DecodeError> {
    let bad = || DecodeError::BadName { name: shown(name) };
    let segments = name.strip_prefix('/').ok_or_else(bad)?;
    if segments.is_empty() {
        return Ok(Path::root());
    }
    let mut path = Path::root();
    for (place, segment) in segments.strip_suffix('/').unwrap_or(segments).split('/').enumerate() {
        let is_number = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        path = match segment.parse() {
            Ok(id) if is_number => target.child(&path, id)?,
            _ if place == 0 => path.with_prefix(Some(Prefix::new(segment).map_err(|_| bad())?)),
            _ => return Err(bad()),
        };
    }
    Ok(path)
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// Characters of a peer's text that an error repeats.
const MAX_SHOWN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pack: &[u8]) -> Result<Vec<crate::Record<'_>>, DecodeError> {
        let root = Path::root();
        let mut records = Records::new(Target { path: &root, unassigned: None });
        decode(pack, &mut records)?;
        records.finish()
    }

    /// A pack of one record, `fields` of them, with the name /3/0/9 first.
    fn record(fields: u8, rest: &[u8]) -> Vec<u8> {
        [&[0x81, 0xa0 | fields, 0x00, 0x66][..], b"/3/0/9", rest].concat()
    }

    #[test]
    fn wrong_packs_name_their_fault() {
        let value = DecodeError::UnexpectedType { offset: 11, expected: "a number" };
        let flag = DecodeError::UnexpectedType { offset: 11, expected: "true or false" };
        let cases = [
            (vec![0xa0], DecodeError::UnexpectedType { offset: 0, expected: "an array" }),
            (vec![0x81, 0x80], DecodeError::UnexpectedType { offset: 1, expected: "a map" }),
            (vec![0x80, 0], DecodeError::TrailingBytes { offset: 1 }),
            (vec![0x82, 0xa0], DecodeError::BadName { name: String::new() }),
            (record(1, &[]), DecodeError::NoValue { path: Path::resource(3, 0, 9) }),
            (record(2, &[0x02, 0xf6]), value.clone()),
            (record(2, &[0x02, 0x61, b'1']), value),
            (record(2, &[0x04, 0x01]), flag),
            (record(3, &[0x02, 1, 0x03, 0x61, b'x']), DecodeError::RepeatedField { label: 2 }),
            (record(3, &[0x02, 1, 0x00, 0x60]), DecodeError::RepeatedField { label: 0 }),
            (record(2, &[0x05, 1]), DecodeError::MandatoryField("s".into())),
            (record(2, &[0x25, 1]), DecodeError::MandatoryField("bs".into())),
            (record(2, &[0x62, b'x', b'_', 1]), DecodeError::MandatoryField("x_".into())),
            (record(2, &[0x20, 11]), DecodeError::UnsupportedVersion(11)),
            (record(2, &[0x06, 0xf9, 0x7c, 0]), DecodeError::NotFinite { offset: 11 }),
            (
                // bt and t of 1.5e308 each, whose sum is none.
                record(
                    4,
                    &[
                        0x22, 0xfb, 0x7f, 0xea, 0xb3, 0x6d, 0xa1, 0x1c, 0, 0, 0x06, 0xfb, 0x7f,
                        0xea, 0xb3, 0x6d, 0xa1, 0x1c, 0, 0, 0x02, 1,
                    ],
                ),
                DecodeError::NotFinite { offset: 1 },
            ),
            (record(2, b"\x63vlo\x6166"), DecodeError::BadLink { offset: 14 }),
        ];
        for (pack, error) in cases {
            assert_eq!(read(&pack), Err(error), "{pack:02x?}");
        }
    }

    #[test]
    fn wrong_names_name_their_fault() {
        let named = |name: &str| {
            [&[0x81, 0xa2, 0x00, 0x78, name.len() as u8][..], name.as_bytes(), &[0x02, 1]].concat()
        };
        let bad = |name: &str| DecodeError::BadName { name: name.into() };
        let cases = [
            ("3/0/9", bad("3/0/9")),
            ("/3//9", bad("/3//9")),
            ("/3/0/9//", bad("/3/0/9//")),
            ("/3/d01/0/9", bad("/3/d01/0/9")),
            ("/3/0/+9", bad("/3/0/+9")),
            ("/d 1/3/0/9", bad("/d 1/3/0/9")),
            ("/", DecodeError::Misplaced { path: Path::root() }),
            ("/3/0", DecodeError::Misplaced { path: Path::instance(3, 0) }),
            ("/3/0/65535", DecodeError::ReservedId { parent: Path::instance(3, 0) }),
            ("/3/0/65536", DecodeError::IdTooLarge { id: 65536 }),
            (
                "/1/2/3/4/5",
                DecodeError::PathTooDeep { parent: Path::resource_instance(1, 2, 3, 4) },
            ),
        ];
        for (name, error) in cases {
            assert_eq!(read(&named(name)), Err(error), "{name}");
        }
        let long = "/3".repeat(MAX_NAME);
        assert_eq!(read(&named(&long[..MAX_NAME + 1])), Err(DecodeError::NameTooLong(129)));
        assert!(read(&named("/3/0/9/")).is_ok());
    }

    #[test]
    fn base_fields_hold_until_they_change() {
        // {bn:"/3/0/", bt:100, bv:10, n:"9", t:5, v:1} {n:"10", v:1.5} {bn:"/4/0/2", vs:"x"}
        let pack = [
            &[0x83, 0xa6, 0x21, 0x65][..],
            b"/3/0/",
            &[0x22, 0x18, 100, 0x24, 10, 0x00, 0x61, b'9', 0x06, 5, 0x02, 1],
            &[0xa2, 0x00, 0x62, b'1', b'0', 0x02, 0xf9, 0x3e, 0x00],
            &[0xa2, 0x21, 0x66],
            b"/4/0/2",
            &[0x03, 0x61, b'x'],
        ]
        .concat();
        let records: Vec<_> = read(&pack)
            .unwrap()
            .into_iter()
            .map(|record| (record.path.to_string(), record.item, record.time))
            .collect();
        let value = crate::Item::Value;
        assert_eq!(
            records,
            [
                ("/3/0/9".into(), value(Raw::Integer(11)), Some(105.0)),
                ("/3/0/10".into(), value(Raw::Float(11.5)), Some(100.0)),
                ("/4/0/2".into(), value(Raw::String("x".into())), Some(100.0)),
            ]
        );
    }

    #[test]
    fn units_and_unknown_fields_are_passed_over() {
        let pack = record(5, &[0x01, 0x61, b's', 0x18, 99, 0x81, 0xa0, 0x61, b'x', 0xf7, 0x02, 7]);
        assert_eq!(read(&pack).unwrap()[0].item, crate::Item::Value(Raw::Integer(7)));
    }
}
