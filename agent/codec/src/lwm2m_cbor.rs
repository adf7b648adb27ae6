//! LwM2M CBOR (11544): nested maps keyed by identifiers (Core 10.10).
//!
//! Reads any grouping of levels into keys. Writes one: definite lengths, ascending
//! keys, a key (an array, or a bare identifier for one level) as long as the path does
//! not branch, then a map. Keys are absolute; a gateway prefix is one more level above
//! the object (Gateway TS 9).

use lwm2m_model::{Entry, Node, Path, Prefix};
use minicbor::data::Type;

use crate::DecodeError;
use crate::cbor_item::{self, ARRAY, MAP, Reader, UNSIGNED, head};
use crate::record::Records;

pub(crate) fn decode<'a>(
    payload: &'a [u8],
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(payload);
    read_map(&mut reader, &Path::root(), records)?;
    reader.finish()
}

/// Reads the map that stands at `base`. Each level of recursion adds a segment to the
/// path, which has five at most.
fn read_map<'a>(
    reader: &mut Reader<'a>,
    base: &Path,
    records: &mut Records<'a, '_>,
) -> Result<(), DecodeError> {
    let mut pairs = reader.map()?;
    let mut is_empty = true;
    while pairs.next(reader)? {
        is_empty = false;
        let path = read_key(reader, base, records)?;
        match reader.kind()? {
            Type::Map | Type::MapIndef if path.depth() == 4 => {
                return Err(DecodeError::PathTooDeep { parent: path });
            }
            Type::Map | Type::MapIndef => read_map(reader, &path, records)?,
            _ => {
                let value = reader.value()?;
                records.value(path, value, None)?;
            }
        }
    }
    if is_empty { records.empty(base.clone()) } else { Ok(()) }
}

fn read_key(
    reader: &mut Reader<'_>,
    base: &Path,
    records: &Records<'_, '_>,
) -> Result<Path, DecodeError> {
    if !matches!(reader.kind()?, Type::Array | Type::ArrayIndef) {
        return read_segment(reader, base, records);
    }
    let offset = reader.offset();
    let mut segments = reader.array()?;
    if !segments.next(reader)? {
        return Err(DecodeError::EmptyKey { offset });
    }
    let mut path = read_segment(reader, base, records)?;
    while segments.next(reader)? {
        path = read_segment(reader, &path, records)?;
    }
    Ok(path)
}

fn read_segment(
    reader: &mut Reader<'_>,
    base: &Path,
    records: &Records<'_, '_>,
) -> Result<Path, DecodeError> {
    let offset = reader.offset();
    match reader.kind()? {
        Type::String | Type::StringIndef => {
            let is_first = base.depth() == 0 && base.prefix().is_none();
            let prefix = Prefix::new(&reader.text()?).ok().filter(|_| is_first);
            let prefix = prefix.ok_or(DecodeError::BadPrefix { offset })?;
            Ok(Path::root().with_prefix(Some(prefix)))
        }
        _ => records.target().child(base, reader.unsigned("an identifier")?),
    }
}

/// Writes sorted entries, none of which lies inside another.
pub(crate) fn encode(entries: &[Entry], out: &mut Vec<u8>) {
    write_map(entries, 0, out);
}

/// Writes entries that share their first `level` segments as a map of what follows.
fn write_map(entries: &[Entry], level: usize, out: &mut Vec<u8>) {
    head(out, MAP, groups(entries, level).count() as u64);
    for group in groups(entries, level) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        // What first and last share all between them share, since they are sorted.
        let depth = (level + 1..segments(&first.path))
            .find(|next| segment(&first.path, *next) != segment(&last.path, *next))
            .unwrap_or_else(|| segments(&first.path));
        if depth - level > 1 {
            head(out, ARRAY, (depth - level) as u64);
        }
        for next in level..depth {
            match segment(&first.path, next) {
                Some(Segment::Prefix(text)) => cbor_item::text(out, text),
                Some(Segment::Id(id)) => head(out, UNSIGNED, id.into()),
                None => {}
            }
        }
        match (group, &first.node) {
            ([_], Node::Value(value)) => cbor_item::value(out, value),
            ([_], Node::Empty) => head(out, MAP, 0),
            _ => write_map(group, depth, out),
        }
    }
}

/// Runs of entries with the same segment at `level`.
fn groups(entries: &[Entry], level: usize) -> impl Iterator<Item = &[Entry]> {
    entries.chunk_by(move |a, b| segment(&a.path, level) == segment(&b.path, level))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Segment<'a> {
    Prefix(&'a str),
    Id(u16),
}

fn segment(path: &Path, level: usize) -> Option<Segment<'_>> {
    let id = |level: usize| path.ids().get(level).copied().map(Segment::Id);
    match path.prefix() {
        Some(prefix) if level == 0 => Some(Segment::Prefix(prefix.as_str())),
        Some(_) => id(level - 1),
        None => id(level),
    }
}

fn segments(path: &Path) -> usize {
    path.depth() + usize::from(path.prefix().is_some())
}

#[cfg(test)]
mod tests {
    use lwm2m_model::Value;

    use super::*;

    fn hex(entries: &[(&str, i64)]) -> String {
        let entries: Vec<_> = entries
            .iter()
            .map(|(path, value)| Entry::new(path.parse().unwrap(), Value::Integer(*value)))
            .collect();
        let mut out = Vec::new();
        encode(&entries, &mut out);
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// CORE-193.
    #[test]
    fn keys_are_as_long_as_the_path_does_not_branch() {
        let cases: [(&[(&str, i64)], &str); 6] = [
            (&[], "a0"),
            (&[("/3/0/11/0", 0)], "a18403000b0000"),
            (&[("/1/0/1", 300), ("/3/0/9", 1), ("/3/0/10", 2)], "a28301000119012c820300a209010a02"),
            (&[("/3/0/9", 1), ("/3/1/9", 2)], "a103a282000901820109 02"),
            (&[("/d01/3/0/9", 1), ("/d01/3/0/10", 2)], "a18363643031 0300a209010a02"),
            (
                &[("/3/0/9", 1), ("/d01/1/0/9", 1), ("/d01/3/0/10", 2)],
                "a2830300090163643031a283010009018303000a02",
            ),
        ];
        for (entries, bytes) in cases {
            let bytes = bytes.replace(' ', "");
            assert_eq!(hex(entries), bytes, "{entries:?}");
        }
    }
}
