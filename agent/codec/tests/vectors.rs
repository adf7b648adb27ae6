//! Walks the files of `tests/vectors`, one test per format. Their syntax: README.md there.

use std::fmt::Debug;

use lwm2m_codec::link_format::{self, Link};
use lwm2m_codec::{DecodeError, Item, Record, decode, decode_create, encode};
use lwm2m_model::{ContentFormat, DataType, Entry, Node, Path, Value};

#[test]
fn text() {
    walk(ContentFormat::TEXT, include_str!("../../../tests/vectors/text.txt"), 8);
}

#[test]
fn opaque() {
    walk(ContentFormat::OPAQUE, include_str!("../../../tests/vectors/opaque.txt"), 4);
}

#[test]
fn cbor() {
    walk(ContentFormat::CBOR, include_str!("../../../tests/vectors/cbor.txt"), 14);
}

#[test]
fn tlv() {
    walk(ContentFormat::TLV, include_str!("../../../tests/vectors/tlv.txt"), 32);
}

#[test]
fn senml_cbor() {
    walk(ContentFormat::SENML_CBOR, include_str!("../../../tests/vectors/senml_cbor.txt"), 10);
}

#[test]
fn lwm2m_cbor() {
    walk(ContentFormat::LWM2M_CBOR, include_str!("../../../tests/vectors/lwm2m_cbor.txt"), 38);
}

#[test]
fn link_format() {
    let rows = rows(include_str!("../../../tests/vectors/link_format.txt"), 11);
    for row in rows {
        let links =
            link_format::parse(row.payload).unwrap_or_else(|error| panic!("{row:?}: {error}"));
        let listed: Vec<_> = links.iter().map(listed).collect();
        assert_eq!(listed.join("; "), row.expected, "{}", row.id);
        let mut out = String::new();
        link_format::write(&links, &mut out);
        assert_eq!(out, row.payload, "{}", row.id);
    }
}

/// The link as the files list it.
fn listed(link: &Link<'_>) -> String {
    let parameters = link.parameters.iter().map(|parameter| match &parameter.value {
        None => format!(" {}", parameter.name),
        Some(link_format::ParameterValue::Plain(text)) => format!(" {}={text}", parameter.name),
        Some(link_format::ParameterValue::Quoted(text)) => format!(" {}={text:?}", parameter.name),
    });
    std::iter::once(link.target.to_string()).chain(parameters).collect()
}

fn walk(format: ContentFormat, file: &str, count: usize) {
    for row in rows(file, count) {
        let payload = match format {
            ContentFormat::TEXT => row.payload.as_bytes().to_vec(),
            _ => bytes(row.payload),
        };
        let (target, decoded) = read(format, &payload, row.target);
        match row.usage {
            "reject" => assert_eq!(variant(&decoded.unwrap_err()), row.expected, "{}", row.id),
            "both" | "dec" | "lenient" => {
                let entries = entries(row.expected);
                let records = decoded.unwrap_or_else(|error| panic!("{row:?}: {error}"));
                assert_eq!(typed(&records, &entries), entries, "{}", row.id);
                if row.usage == "both" {
                    let mut out = b"kept".to_vec();
                    encode(format, &target, &entries, &mut out).unwrap();
                    assert_eq!(hex(&out), hex(&[b"kept", &payload[..]].concat()), "{}", row.id);
                }
            }
            other => panic!("{}: unknown use {other}", row.id),
        }
    }
}

fn read<'a>(
    format: ContentFormat,
    payload: &'a [u8],
    target: &str,
) -> (Path, Result<Vec<Record<'a>>, DecodeError>) {
    if let Some((object, unassigned)) = target.split_once(" create ") {
        let object = object.parse().unwrap();
        let decoded = decode_create(format, payload, &object, unassigned.parse().unwrap());
        return (object, decoded);
    }
    let target = target.parse().unwrap();
    let decoded = decode(format, payload, &target);
    (target, decoded)
}

/// The records as entries, each of the type that the entry of its place has.
fn typed(records: &[Record<'_>], entries: &[Entry]) -> Vec<Entry> {
    let types = entries.iter().map(|entry| entry.value().map(Value::data_type));
    let types = types.chain(std::iter::repeat(None));
    let node = |item: &Item<'_>, data_type: Option<DataType>| match (item, data_type) {
        (Item::Empty, _) => Node::Empty,
        (Item::Value(raw), Some(data_type)) => Node::Value(raw.to_value(data_type).unwrap()),
        (Item::Value(raw), None) => Node::Value(raw.guess()),
    };
    records
        .iter()
        .zip(types)
        .map(|(record, data_type)| Entry {
            path: record.path.clone(),
            node: node(&record.item, data_type),
            time: record.time,
        })
        .collect()
}

#[derive(Debug)]
struct Row<'f> {
    id: &'f str,
    target: &'f str,
    usage: &'f str,
    payload: &'f str,
    expected: &'f str,
}

/// The rows of a file, which must be `count` so that none is lost unseen.
fn rows(file: &str, count: usize) -> Vec<Row<'_>> {
    let rows: Vec<_> = file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<_> = line.split('|').map(str::trim).collect();
            let &[id, target, usage, payload, expected] = &columns[..] else {
                panic!("five columns expected: {line}");
            };
            Row { id, target, usage, payload, expected }
        })
        .collect();
    assert_eq!(rows.len(), count);
    rows
}

fn entries(list: &str) -> Vec<Entry> {
    list.split("; ").filter(|text| !text.is_empty()).map(entry).collect()
}

fn entry(text: &str) -> Entry {
    let (path, rest) = text.split_once(' ').unwrap();
    let path = path.parse().unwrap();
    if rest == "empty" {
        return Entry::empty(path);
    }
    let (data_type, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (value, time) = match rest.split_once(" @") {
        Some((value, time)) => (value, Some(time.parse().unwrap())),
        None => (rest, None),
    };
    let unquoted = || value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
    let value = match data_type {
        "String" => Value::String(unquoted().to_owned()),
        "Corelnk" => Value::Corelnk(unquoted().to_owned()),
        "Opaque" => Value::Opaque(bytes(value)),
        "Integer" => Value::parse(DataType::Integer, value).unwrap(),
        "Unsigned" => Value::parse(DataType::Unsigned, value).unwrap(),
        "Float" => Value::parse(DataType::Float, value).unwrap(),
        "Boolean" => Value::parse(DataType::Boolean, value).unwrap(),
        "Time" => Value::parse(DataType::Time, value).unwrap(),
        "Objlnk" => Value::parse(DataType::Objlnk, value).unwrap(),
        other => panic!("unknown type {other}"),
    };
    Entry { time, ..Entry::new(path, value) }
}

fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .flat_map(|word| match word.split_once('*') {
            Some((byte, count)) => {
                vec![u8::from_str_radix(byte, 16).unwrap(); count.parse().unwrap()]
            }
            None => {
                assert!(word.len().is_multiple_of(2), "{word}");
                (0..word.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap())
                    .collect()
            }
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of an error's variant.
fn variant(error: &impl Debug) -> String {
    format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}
