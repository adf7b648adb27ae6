//! Walks the files of `tests/vectors`, one test per format. Their syntax: README.md there.

use std::fmt::Debug;

use lwm2m_codec::link_format::{self, Link};
use lwm2m_codec::{
    DecodeError, Item, Record, decode, decode_create, decode_fetch, decode_patch, encode,
    encode_fetch, encode_patch,
};
use lwm2m_model::{ContentFormat, DataType, Entry, Node, Path, Value};

/// CORE-181, 195; OBJ-01, 07, 08.
#[test]
fn text() {
    walk(ContentFormat::TEXT, include_str!("../../../tests/vectors/text.txt"), 8);
}

/// CORE-181.
#[test]
fn opaque() {
    walk(ContentFormat::OPAQUE, include_str!("../../../tests/vectors/opaque.txt"), 4);
}

/// OBJ-01.
#[test]
fn cbor() {
    walk(ContentFormat::CBOR, include_str!("../../../tests/vectors/cbor.txt"), 14);
}

/// CORE-186 to 188; OBJ-01.
#[test]
fn tlv() {
    walk(ContentFormat::TLV, include_str!("../../../tests/vectors/tlv.txt"), 32);
}

/// CORE-189, 191; OBJ-01, 07.
#[test]
fn senml_json() {
    walk(ContentFormat::SENML_JSON, include_str!("../../../tests/vectors/senml_json.txt"), 37);
}

#[test]
fn oma_json() {
    walk(ContentFormat::OMA_JSON, include_str!("../../../tests/vectors/oma_json.txt"), 18);
}

/// CORE-156, 157.
#[test]
fn etch_json() {
    let file = include_str!("../../../tests/vectors/etch_json.txt");
    walk_packs([ContentFormat::ETCH_JSON, ContentFormat::SENML_JSON], file, 12);
}

/// CORE-156, 157.
#[test]
fn etch_cbor() {
    let file = include_str!("../../../tests/vectors/etch_cbor.txt");
    walk_packs([ContentFormat::ETCH_CBOR, ContentFormat::SENML_CBOR], file, 11);
}

/// CORE-189, 190; OBJ-01.
#[test]
fn senml_cbor() {
    walk(ContentFormat::SENML_CBOR, include_str!("../../../tests/vectors/senml_cbor.txt"), 10);
}

/// CORE-192, 193, 196; OBJ-01.
#[test]
fn lwm2m_cbor() {
    walk(ContentFormat::LWM2M_CBOR, include_str!("../../../tests/vectors/lwm2m_cbor.txt"), 38);
}

/// CORE-181.
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
        let payload = payload(format, &row);
        let (target, decoded) = read(format, &payload, row.target);
        match row.usage {
            "reject" => assert_eq!(variant(&decoded.unwrap_err()), row.expected, "{}", row.id),
            "both" | "same" | "dec" | "lenient" => {
                let entries = entries(row.expected);
                let records = decoded.unwrap_or_else(|error| panic!("{row:?}: {error}"));
                assert_eq!(typed(&records, &entries), entries, "{}", row.id);
                let mut out = b"kept".to_vec();
                if matches!(row.usage, "both" | "same") {
                    encode(format, &target, &entries, &mut out).unwrap();
                    check_written(&row, &payload, out.strip_prefix(b"kept").unwrap());
                }
                if row.usage == "same" {
                    let (_, again) = read(format, &out[4..], row.target);
                    assert_eq!(typed(&again.unwrap(), &entries), entries, "{}", row.id);
                }
            }
            other => panic!("{}: unknown use {other}", row.id),
        }
    }
}

/// `both` rows are written as they stand, `same` rows otherwise.
fn check_written(row: &Row<'_>, payload: &[u8], written: &[u8]) {
    let is_as_it_stands = written == payload;
    assert_eq!(is_as_it_stands, row.usage == "both", "{}: {}", row.id, hex(written));
}

/// Walks Fetch and Patch packs, the former in the second format too.
fn walk_packs(formats: [ContentFormat; 2], file: &str, count: usize) {
    for row in rows(file, count) {
        let payload = payload(formats[0], &row);
        let mut out = Vec::new();
        match (row.target, row.usage) {
            ("fetch", "reject") => {
                for format in formats {
                    let error = decode_fetch(format, &payload).unwrap_err();
                    assert_eq!(variant(&error), row.expected, "{}", row.id);
                }
            }
            ("fetch", _) => {
                let paths: Vec<Path> =
                    row.expected.split("; ").map(|path| path.parse().unwrap()).collect();
                encode_fetch(formats[0], &paths, &mut out).unwrap();
                check_written(&row, &payload, &out);
                for format in formats {
                    assert_eq!(decode_fetch(format, &payload).unwrap(), paths, "{}", row.id);
                    assert_eq!(decode_fetch(format, &out).unwrap(), paths, "{}", row.id);
                }
            }
            ("patch", "reject") => {
                let error = decode_patch(formats[0], &payload).unwrap_err();
                assert_eq!(variant(&error), row.expected, "{}", row.id);
            }
            ("patch", _) => {
                let changes: Vec<_> = row.expected.split("; ").map(change).collect();
                encode_patch(formats[0], &changes, &mut out).unwrap();
                check_written(&row, &payload, &out);
                for pack in [&payload, &out] {
                    let records = decode_patch(formats[0], pack).unwrap();
                    assert_eq!(changed(&records, &changes), changes, "{}", row.id);
                }
            }
            (other, _) => panic!("{}: unknown pack {other}", row.id),
        }
    }
}

/// A step of a Patch pack as the files list it.
fn change(text: &str) -> (Path, Option<Value>) {
    if let Some(path) = text.strip_suffix(" delete") {
        return (path.parse().unwrap(), None);
    }
    let entry = entry(text);
    let Node::Value(value) = entry.node else { panic!("no value: {text}") };
    (entry.path, Some(value))
}

/// The records as steps, each value of the type that the step in its place has.
fn changed(
    records: &[Record<'_>],
    changes: &[(Path, Option<Value>)],
) -> Vec<(Path, Option<Value>)> {
    let types = changes.iter().map(|(_, value)| value.as_ref().map(Value::data_type));
    let types = types.chain(std::iter::repeat(None));
    let value = |item: &Item<'_>, data_type: Option<DataType>| match item {
        Item::Value(raw) => Some(raw.to_value(data_type.unwrap()).unwrap()),
        Item::Empty => panic!("a pack has no empty containers"),
        Item::Delete => None,
    };
    records.iter().zip(types).map(|(r, t)| (r.path.clone(), value(&r.item, t))).collect()
}

fn payload(format: ContentFormat, row: &Row<'_>) -> Vec<u8> {
    match format {
        ContentFormat::TEXT
        | ContentFormat::SENML_JSON
        | ContentFormat::ETCH_JSON
        | ContentFormat::OMA_JSON => row.payload.as_bytes().to_vec(),
        _ => bytes(row.payload),
    }
}

/// The size comparison: the Device instance of SCBOR-01 in every format that holds it.
#[test]
fn sizes_of_the_device_instance() {
    let file = include_str!("../../../tests/vectors/senml_cbor.txt");
    let device = rows(file, 10).into_iter().find(|row| row.id == "SCBOR-01").unwrap();
    let entries = entries(device.expected);
    let sizes = [
        (ContentFormat::LWM2M_CBOR, 118),
        (ContentFormat::TLV, 121),
        (ContentFormat::SENML_CBOR, 196),
        (ContentFormat::SENML_JSON, 384),
        (ContentFormat::OMA_JSON, 390),
    ];
    for (format, size) in sizes {
        let mut out = Vec::new();
        encode(format, &Path::instance(3, 0), &entries, &mut out).unwrap();
        assert_eq!(out.len(), size, "{format}");
        let records = decode(format, &out, &Path::instance(3, 0)).unwrap();
        assert_eq!(typed(&records, &entries), entries, "{format}");
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
        (Item::Delete, _) => panic!("a removal among values"),
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
        "Quoted" => Value::String(percent_decoded(value)),
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

/// Text with `%0A` for what a line of a file cannot hold.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        whole.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        whole.push_str(rest);
    }
    whole
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
