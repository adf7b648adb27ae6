//! Reads packs: values (Core 10.6), paths to fetch and changes to make (Core 10.9).

use std::borrow::Cow;

use lwm2m_model::{ObjectLink, Path};

use super::Field;
use crate::record::{Records, Target};
use crate::{DecodeError, Item, MAX_RECORDS, Raw, name};

/// A pack in one of its representations, read from front to back.
pub(crate) trait Source<'a> {
    /// Bytes from the start of the payload.
    fn offset(&self) -> usize;
    /// Steps into the next record and says where it begins; `None` after the last one.
    fn next_record(&mut self) -> Result<Option<usize>, DecodeError>;
    /// Steps to the value of the next field; `None` after the last one.
    fn next_field(&mut self) -> Result<Option<Field>, DecodeError>;
    fn text(&mut self) -> Result<Cow<'a, str>, DecodeError>;
    fn number(&mut self) -> Result<Raw<'a>, DecodeError>;
    fn seconds(&mut self) -> Result<f64, DecodeError>;
    fn flag(&mut self) -> Result<bool, DecodeError>;
    fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError>;
    /// The version of SenML.
    fn version(&mut self) -> Result<u64, DecodeError>;
    /// Takes a null, if that is what comes.
    fn take_null(&mut self) -> Result<bool, DecodeError>;
    fn skip(&mut self) -> Result<(), DecodeError>;
    /// Ends the payload.
    fn finish(self) -> Result<(), DecodeError>;
}

/// What a pack is for, which decides on the fields that a record may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Values,
    Fetch,
    Patch,
}

/// Reads a pack whose records give values.
pub(crate) fn read_values<'a>(
    source: impl Source<'a>,
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    read(source, Purpose::Values, records)
}

/// Reads a pack whose records give values or, by a null, take away the resource
/// instance they name (RFC 8790 3.2).
pub(crate) fn read_patch<'a>(
    source: impl Source<'a>,
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    read(source, Purpose::Patch, records)
}

fn read<'a>(
    mut source: impl Source<'a>,
    purpose: Purpose,
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    let mut base = Base::default();
    while let Some(offset) = source.next_record()? {
        let fields = Fields::read(&mut source, &mut base, purpose)?;
        let path = name::join(&base.name, &fields.name, records.target())?;
        let time = base.time + fields.time;
        if !time.is_finite() {
            return Err(DecodeError::NotFinite { offset });
        }
        let time = (time != 0.0).then_some(time);
        match fields.item {
            Some(Item::Value(value)) => {
                let value = base.applied_to(value).ok_or(DecodeError::NotFinite { offset })?;
                records.value(path, value, time)?;
            }
            Some(Item::Delete) => records.delete(path)?,
            Some(Item::Empty) | None => return Err(DecodeError::NoValue { path }),
        }
    }
    source.finish()
}

/// Reads a pack whose records only name what is wanted (RFC 8790 3.1).
pub(crate) fn read_fetch<'a>(mut source: impl Source<'a>) -> Result<Vec<Path>, DecodeError> {
    let root = Path::root();
    let target = Target { path: &root, unassigned: None };
    let mut base = Base::default();
    let mut paths = Vec::new();
    while source.next_record()?.is_some() {
        if paths.len() >= MAX_RECORDS {
            return Err(DecodeError::TooManyRecords);
        }
        let fields = Fields::read(&mut source, &mut base, Purpose::Fetch)?;
        paths.push(name::join(&base.name, &fields.name, target)?);
    }
    source.finish()?;
    if paths.is_empty() { Err(DecodeError::NothingFetched) } else { Ok(paths) }
}

/// The base fields in force (CORE-189).
#[derive(Debug, Default)]
struct Base<'a> {
    name: Cow<'a, str>,
    time: f64,
    value: Option<Raw<'a>>,
}

impl<'a> Base<'a> {
    /// The value with `bv` added, which counts for numbers alone (RFC 8428 4.1); `None`
    /// if the sum is beyond what a float holds.
    fn applied_to(&self, value: Raw<'a>) -> Option<Raw<'a>> {
        let sum = match (&self.value, value) {
            (Some(Raw::Integer(base)), Raw::Integer(number)) => {
                return Some(Raw::Integer(base + number));
            }
            (Some(Raw::Integer(base)), Raw::Float(number)) => *base as f64 + number,
            (Some(Raw::Float(base)), Raw::Integer(number)) => base + number as f64,
            (Some(Raw::Float(base)), Raw::Float(number)) => base + number,
            (_, value) => return Some(value),
        };
        sum.is_finite().then_some(Raw::Float(sum))
    }
}

/// The other fields of a record.
#[derive(Debug, Default)]
struct Fields<'a> {
    name: Cow<'a, str>,
    time: f64,
    item: Option<Item<'a>>,
}

impl<'a> Fields<'a> {
    fn read(
        source: &mut impl Source<'a>,
        base: &mut Base<'a>,
        purpose: Purpose,
    ) -> Result<Self, DecodeError> {
        let mut record = Self::default();
        let mut seen = 0_u32;
        while let Some(field) = source.next_field()? {
            if purpose == Purpose::Fetch && !may_be_fetched(field) {
                return Err(DecodeError::NotInFetch { offset: source.offset() });
            }
            once(&mut seen, field)?;
            record.read_field(field, source, base, purpose)?;
        }
        Ok(record)
    }

    fn read_field(
        &mut self,
        field: Field,
        source: &mut impl Source<'a>,
        base: &mut Base<'a>,
        purpose: Purpose,
    ) -> Result<(), DecodeError> {
        match field {
            Field::BaseName => base.name = source.text()?,
            Field::BaseTime => base.time = source.seconds()?,
            Field::BaseValue => base.value = Some(source.number()?),
            Field::BaseVersion => match source.version()? {
                0..=10 => {}
                version => return Err(DecodeError::UnsupportedVersion(version)),
            },
            // A sum without a value is no state of a resource.
            Field::Sum | Field::BaseSum => {
                return Err(DecodeError::MandatoryField(field.key().into()));
            }
            Field::BaseUnit | Field::Unit | Field::UpdateTime | Field::Unknown => source.skip()?,
            Field::Name => self.name = source.text()?,
            Field::Time => self.time = source.seconds()?,
            Field::Value if purpose == Purpose::Patch && source.take_null()? => {
                self.item = Some(Item::Delete);
            }
            Field::Value => self.set(source.number()?),
            Field::String => self.set(Raw::String(source.text()?)),
            Field::Boolean => self.set(Raw::Boolean(source.flag()?)),
            Field::Data => self.set(Raw::Opaque(source.bytes()?)),
            Field::Link => self.set(read_link(source)?),
        }
        Ok(())
    }

    fn set(&mut self, value: Raw<'a>) {
        self.item = Some(Item::Value(value));
    }
}

/// RFC 8790 3.1 knows no other fields in a Fetch pack.
fn may_be_fetched(field: Field) -> bool {
    matches!(
        field,
        Field::BaseName
            | Field::Name
            | Field::BaseTime
            | Field::Time
            | Field::BaseUnit
            | Field::Unit
    )
}

/// Notes a field, which may come once in a record. What we pass over may come at will.
fn once(seen: &mut u32, field: Field) -> Result<(), DecodeError> {
    let bit = match field {
        Field::BaseName | Field::BaseTime | Field::BaseValue | Field::Name | Field::Time => {
            field.bit()
        }
        // The fields for a value exclude each other.
        Field::Value | Field::String | Field::Boolean | Field::Data | Field::Link => {
            Field::Value.bit()
        }
        Field::BaseSum
        | Field::BaseUnit
        | Field::BaseVersion
        | Field::Unit
        | Field::Sum
        | Field::UpdateTime
        | Field::Unknown => return Ok(()),
    };
    if *seen & bit != 0 {
        return Err(DecodeError::RepeatedField { field: field.key() });
    }
    *seen |= bit;
    Ok(())
}

fn read_link<'a>(source: &mut impl Source<'a>) -> Result<Raw<'a>, DecodeError> {
    let offset = source.offset();
    let link: Result<ObjectLink, _> = source.text()?.parse();
    link.map(Raw::Link).map_err(|_| DecodeError::BadLink { offset })
}

#[cfg(test)]
mod tests {
    use super::super::CborSource;
    use super::*;
    use crate::MAX_NAME;

    fn read(pack: &[u8]) -> Result<Vec<crate::Record<'_>>, DecodeError> {
        let root = Path::root();
        let mut records = Records::new(Target { path: &root, unassigned: None });
        read_values(CborSource::new(pack)?, &mut records)?;
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
            (record(3, &[0x02, 1, 0x03, 0x61, b'x']), DecodeError::RepeatedField { field: "vs" }),
            (record(3, &[0x02, 1, 0x00, 0x60]), DecodeError::RepeatedField { field: "n" }),
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

    /// CORE-189.
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
        let value = Item::Value;
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
        assert_eq!(read(&pack).unwrap()[0].item, Item::Value(Raw::Integer(7)));
    }
}
