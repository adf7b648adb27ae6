//! TLV (11542): entries of type, identifier, length, value (Core 10.5).
//!
//! The payload holds no object, so the target must name one. The Object Instance TLV
//! is written if and only if the target has no instance (CORE-186), and read wherever
//! it matches. A resource instance as target is one Resource Instance TLV.

use lwm2m_model::{Entry, Node, Path, Value};

use crate::record::Records;
use crate::{DecodeError, EncodeError, Raw};

pub(crate) fn decode<'a>(
    payload: &'a [u8],
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    let target = records.target();
    if target.path.depth() == 0 {
        return Err(DecodeError::NoObject { target: target.path.clone() });
    }
    let mut entries = Cursor { payload, offset: 0, end: payload.len() };
    if entries.is_at_end() && target.path.depth() == 2 {
        // An instance with nothing in it, written without Object Instance TLV.
        return records.empty(target.path.clone());
    }
    while let Some(entry) = entries.next()? {
        match entry.kind {
            Kind::ObjectInstance => {
                let instance = target.child(&target.path.truncated(1), entry.id)?;
                read_instance(&instance, entry.content, records)?;
            }
            Kind::Resource | Kind::MultipleResource => {
                let instance = match (target.path.depth(), target.unassigned) {
                    (1, Some(id)) => target.child(target.path, id.into())?,
                    (1, None) => return Err(DecodeError::WrongKind { offset: entry.offset }),
                    _ => target.path.truncated(2),
                };
                read_resource(&instance, entry, records)?;
            }
            Kind::ResourceInstance if target.path.depth() == 4 => {
                let path = target.child(&target.path.truncated(3), entry.id)?;
                records.value(path, Raw::Bytes(entry.content.bytes()), None)?;
            }
            Kind::ResourceInstance => {
                return Err(DecodeError::WrongKind { offset: entry.offset });
            }
        }
    }
    Ok(())
}

fn read_instance<'a>(
    instance: &Path,
    mut resources: Cursor<'a>,
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    if resources.is_at_end() {
        return records.empty(instance.clone());
    }
    while let Some(entry) = resources.next()? {
        read_resource(instance, entry, records)?;
    }
    Ok(())
}

fn read_resource<'a>(
    instance: &Path,
    entry: TlvEntry<'a>,
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    let path = records.target().child(instance, entry.id)?;
    let mut values = entry.content;
    match entry.kind {
        Kind::Resource => records.value(path, Raw::Bytes(values.bytes()), None),
        Kind::MultipleResource if values.is_at_end() => records.empty(path),
        Kind::MultipleResource => {
            while let Some(value) = values.next()? {
                if value.kind != Kind::ResourceInstance {
                    return Err(DecodeError::WrongKind { offset: value.offset });
                }
                let path = records.target().child(&path, value.id)?;
                records.value(path, Raw::Bytes(value.content.bytes()), None)?;
            }
            Ok(())
        }
        Kind::ObjectInstance | Kind::ResourceInstance => {
            Err(DecodeError::WrongKind { offset: entry.offset })
        }
    }
}

/// Bits 7 and 6 of the type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ObjectInstance = 0x00,
    ResourceInstance = 0x40,
    MultipleResource = 0x80,
    Resource = 0xc0,
}

#[derive(Debug)]
struct TlvEntry<'a> {
    kind: Kind,
    id: u64,
    content: Cursor<'a>,
    /// Where the type byte stands.
    offset: usize,
}

/// A part of the payload that is read from front to back.
#[derive(Debug, Clone, Copy)]
struct Cursor<'a> {
    payload: &'a [u8],
    offset: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    fn is_at_end(&self) -> bool {
        self.offset >= self.end
    }

    fn next(&mut self) -> Result<Option<TlvEntry<'a>>, DecodeError> {
        if self.is_at_end() {
            return Ok(None);
        }
        let offset = self.offset;
        let start = self.number(1)?;
        let kind = match start & 0xc0 {
            0x00 => Kind::ObjectInstance,
            0x40 => Kind::ResourceInstance,
            0x80 => Kind::MultipleResource,
            _ => Kind::Resource,
        };
        let id = self.number(if start & u64::from(WIDE_ID) == 0 { 1 } else { 2 })?;
        let length = match (start >> 3) & 0x03 {
            0 => start & 0x07,
            // Bits 2 to 0 have no meaning here (CORE-187).
            1 => self.number(1)?,
            2 => self.number(2)?,
            _ => self.number(3)?,
        };
        let content = self.take(usize::try_from(length).map_err(|_| DecodeError::Truncated)?)?;
        Ok(Some(TlvEntry { kind, id, content, offset }))
    }

    fn number(&mut self, bytes: usize) -> Result<u64, DecodeError> {
        let bytes = self.take(bytes)?.bytes();
        Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn take(&mut self, length: usize) -> Result<Self, DecodeError> {
        if length > self.end - self.offset {
            return Err(DecodeError::Truncated);
        }
        let start = self.offset;
        self.offset += length;
        Ok(Self { offset: start, end: self.offset, ..*self })
    }

    fn bytes(&self) -> &'a [u8] {
        self.payload.get(self.offset..self.end).unwrap_or_default()
    }
}

/// Writes sorted entries, none of which lies inside another.
pub(crate) fn encode(
    target: &Path,
    entries: &[Entry],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let written = match target.depth() {
        0 => Err(EncodeError::NoObject { target: target.clone() }),
        1 => write_instances(entries, out),
        2 | 3 => write_resources(entries, out),
        _ => entries.iter().try_for_each(|entry| write_value(Kind::ResourceInstance, entry, out)),
    };
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_instances(entries: &[Entry], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    for instance in entries.chunk_by(|a, b| a.path.instance_id() == b.path.instance_id()) {
        let length = resources(instance).map(resource_size).sum();
        let Some(first) = instance.first() else { continue };
        write_head(Kind::ObjectInstance, first.path.instance_id(), length, &first.path, out)?;
        write_resources(instance, out)?;
    }
    Ok(())
}

fn write_resources(entries: &[Entry], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    for resource in resources(entries) {
        match resource {
            [entry] if entry.path.depth() == 3 && entry.value().is_some() => {
                write_value(Kind::Resource, entry, out)?;
            }
            [first, ..] => {
                let length = instances_size(resource);
                let id = first.path.resource_id();
                write_head(Kind::MultipleResource, id, length, &first.path, out)?;
                for entry in resource.iter().filter(|entry| entry.value().is_some()) {
                    write_value(Kind::ResourceInstance, entry, out)?;
                }
            }
            [] => {}
        }
    }
    Ok(())
}

/// The entries of each resource; an empty instance has none.
fn resources(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    entries
        .chunk_by(|a, b| a.path.ids().get(..3) == b.path.ids().get(..3))
        .filter(|resource| resource.iter().all(|entry| entry.path.depth() >= 3))
}

fn write_value(kind: Kind, entry: &Entry, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Node::Value(value) = &entry.node else { return Ok(()) };
    let content = Content::of(value);
    write_head(kind, entry.path.ids().last().copied(), content.as_slice().len(), &entry.path, out)?;
    out.extend_from_slice(content.as_slice());
    Ok(())
}

fn write_head(
    kind: Kind,
    id: Option<u16>,
    length: usize,
    path: &Path,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let id = id.unwrap_or_default();
    let [high, low] = id.to_be_bytes();
    let wide = if high == 0 { 0 } else { WIDE_ID };
    let (field, length_bytes) = length_field(length);
    let bytes = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    if length > MAX_LENGTH {
        return Err(EncodeError::TooLarge { path: path.clone() });
    }
    out.push(kind as u8 | wide | field);
    if high != 0 {
        out.push(high);
    }
    out.push(low);
    out.extend_from_slice(bytes.get(4 - length_bytes..).unwrap_or_default());
    Ok(())
}

fn resource_size(resource: &[Entry]) -> usize {
    match resource {
        [entry] if entry.path.depth() == 3 && entry.value().is_some() => value_size(entry),
        [first, ..] => entry_size(first.path.resource_id(), instances_size(resource)),
        [] => 0,
    }
}

fn instances_size(resource: &[Entry]) -> usize {
    resource.iter().map(value_size).sum()
}

fn value_size(entry: &Entry) -> usize {
    entry.value().map_or(0, |value| {
        entry_size(entry.path.ids().last().copied(), Content::of(value).as_slice().len())
    })
}

fn entry_size(id: Option<u16>, length: usize) -> usize {
    let id_bytes = if id.unwrap_or_default() > 0xff { 2 } else { 1 };
    1 + id_bytes + length_field(length).1 + length
}

/// Bits 4 to 0 of the type byte, and how many bytes of length follow.
fn length_field(length: usize) -> (u8, usize) {
    match length {
        0..=7 => (length as u8, 0),
        8..=0xff => (0x08, 1),
        0x100..=0xffff => (0x10, 2),
        _ => (0x18, 3),
    }
}

/// The bytes of a value.
enum Content<'a> {
    Slice(&'a [u8]),
    Short([u8; 8], usize),
}

impl<'a> Content<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::String(text) | Value::Corelnk(text) => Self::Slice(text.as_bytes()),
            Value::Opaque(bytes) => Self::Slice(bytes),
            Value::Integer(number) | Value::Time(number) => Self::integer(*number),
            // Up to 2^63 - 1 the widths are those of a signed number: some servers read a
            // set top bit as minus.
            Value::Unsigned(number) => match i64::try_from(*number) {
                Ok(number) => Self::integer(number),
                Err(_) => Self::Short(number.to_be_bytes(), 8),
            },
            Value::Float(number) => {
                let single = *number as f32;
                if f64::from(single) == *number || number.is_nan() {
                    Self::short(&single.to_be_bytes())
                } else {
                    Self::Short(number.to_be_bytes(), 8)
                }
            }
            Value::Boolean(flag) => Self::short(&[u8::from(*flag)]),
            Value::Objlnk(link) => {
                let [a, b] = link.object.to_be_bytes();
                let [c, d] = link.instance.to_be_bytes();
                Self::short(&[a, b, c, d])
            }
        }
    }

    /// The shortest of 1, 2, 4 and 8 bytes.
    fn integer(number: i64) -> Self {
        if let Ok(number) = i8::try_from(number) {
            Self::short(&number.to_be_bytes())
        } else if let Ok(number) = i16::try_from(number) {
            Self::short(&number.to_be_bytes())
        } else if let Ok(number) = i32::try_from(number) {
            Self::short(&number.to_be_bytes())
        } else {
            Self::Short(number.to_be_bytes(), 8)
        }
    }

    fn short(bytes: &[u8]) -> Self {
        let mut content = [0; 8];
        content.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        Self::Short(content, bytes.len())
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Short(bytes, length) => bytes.get(..*length).unwrap_or(bytes),
        }
    }
}

/// Bit 5 of the type byte: the identifier has two bytes.
const WIDE_ID: u8 = 0x20;
/// The most that three bytes of length can say.
const MAX_LENGTH: usize = 0xff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Target;

    fn read(target: &str, payload: &[u8]) -> Result<Vec<String>, DecodeError> {
        let path = target.parse().unwrap();
        let mut records = Records::new(Target { path: &path, unassigned: None });
        decode(payload, &mut records)?;
        Ok(records.finish()?.iter().map(|record| record.path.to_string()).collect())
    }

    #[test]
    fn entries_are_read_where_they_match_the_target() {
        let instance = [0x04, 0, 0xc1, 7, b'U', 0];
        let multiple = [0x86, 8, 0x41, 0, 0, 0x41, 1, 3];
        let cases: [(&str, &[u8], &[&str]); 9] = [
            ("/1/0", &[0xc1, 7, b'U'], &["/1/0/7"]),
            ("/1/0", &[0x03, 0, 0xc1, 7, b'U'], &["/1/0/7"]),
            ("/1/0/7", &[0x03, 0, 0xc1, 7, b'U'], &["/1/0/7"]),
            ("/1", &[0x00, 4], &["/1/4"]),
            ("/5/0/8", &multiple, &["/5/0/8/0", "/5/0/8/1"]),
            ("/5/0/8", &[0x80, 8], &["/5/0/8"]),
            ("/5/0/8/1", &[0x41, 1, 3], &["/5/0/8/1"]),
            ("/5/0", &[], &["/5/0"]),
            ("/5", &[], &[]),
        ];
        for (target, payload, paths) in cases {
            assert_eq!(read(target, payload).unwrap(), paths, "{target} {payload:02x?}");
        }
        assert_eq!(read("/1/0", &instance), Err(DecodeError::Truncated));
    }

    /// CORE-07.
    #[test]
    fn wrong_payloads_name_their_fault() {
        let outside = |path: &str, target: &str| DecodeError::OutsideTarget {
            path: path.parse().unwrap(),
            target: target.parse().unwrap(),
        };
        let cases: [(&str, &[u8], DecodeError); 13] = [
            ("/", &[], DecodeError::NoObject { target: Path::root() }),
            ("/1", &[0xc1, 7, b'U'], DecodeError::WrongKind { offset: 0 }),
            ("/1/0", &[0x41, 0, 1], DecodeError::WrongKind { offset: 0 }),
            ("/1/0", &[0x02, 0, 0x00, 0], DecodeError::WrongKind { offset: 2 }),
            ("/1/0", &[0x83, 8, 0xc1, 0, 1], DecodeError::WrongKind { offset: 2 }),
            ("/1/0", &[0x03, 1, 0xc1, 7, b'U'], outside("/1/1/7", "/1/0")),
            ("/1/0/7", &[0xc1, 6, 1], outside("/1/0/6", "/1/0/7")),
            ("/5/0/8/1", &[0x41, 2, 3], outside("/5/0/8/2", "/5/0/8/1")),
            ("/1/0", &[0xe0, 0xff, 0xff], DecodeError::ReservedId { parent: Path::instance(1, 0) }),
            ("/1/0", &[0xd8, 0, 0xff, 0xff, 0xff], DecodeError::Truncated),
            ("/1/0", &[0xc8, 0], DecodeError::Truncated),
            (
                "/1/0",
                &[0xc1, 7, 0, 0xc1, 7, 0],
                DecodeError::DuplicatePath { path: Path::resource(1, 0, 7) },
            ),
            (
                "/1/0",
                &[0xc1, 7, 0, 0x83, 7, 0x41, 0, 0],
                DecodeError::Overlap { path: Path::resource(1, 0, 7) },
            ),
        ];
        for (target, payload, error) in cases {
            assert_eq!(read(target, payload), Err(error), "{target} {payload:02x?}");
        }
    }

    #[test]
    fn what_24_bits_of_length_cannot_hold_is_refused() {
        let path = Path::resource(5, 0, 0);
        let entry = Entry::new(path.clone(), Value::Opaque(vec![0; MAX_LENGTH + 1]));
        let mut out = b"kept".to_vec();
        assert_eq!(
            encode(&Path::object(5), &[entry], &mut out),
            Err(EncodeError::TooLarge { path })
        );
        assert_eq!(out, b"kept");
    }
}
