//! What the fuzz targets of the payload decoders share: a payload that is read must be
//! written and read again with the same values.

use lwm2m_codec::{
    Item, Record, decode, decode_fetch, decode_patch, encode, encode_fetch, encode_patch,
};
use lwm2m_model::{ContentFormat, Entry, Node, Path, Value};

/// Reads `data`, whose first byte chooses the target, as a payload of `format`.
pub fn decoder(format: ContentFormat, data: &[u8]) {
    let Some((choice, payload)) = data.split_first() else { return };
    let target = Path::resource_instance(3, 0, 6, 1).truncated(usize::from(*choice) % 5);
    let Ok(records) = decode(format, payload, &target) else { return };
    let mut entries: Vec<_> = records.iter().map(guessed).collect();
    if entries.iter().any(is_too_long) {
        return;
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut out = Vec::new();
    encode(format, &target, &entries, &mut out).unwrap();
    let again = decode(format, &out, &target).unwrap();
    assert_eq!(again.len(), entries.len());
    for (record, entry) in again.iter().zip(&entries) {
        // Debug text, because NaN is unlike itself.
        assert_eq!(format!("{:?}", like(record, entry)), format!("{entry:?}"));
    }
}

/// Reads `data` as the packs of composite operations.
pub fn composite(format: ContentFormat, data: &[u8]) {
    if let Ok(paths) = decode_fetch(format, data) {
        let mut out = Vec::new();
        encode_fetch(format, &paths, &mut out).unwrap();
        assert_eq!(decode_fetch(format, &out).unwrap(), paths);
    }
    let Ok(records) = decode_patch(format, data) else { return };
    let steps: Vec<_> = records.iter().map(step).collect();
    if records.iter().map(guessed).any(|entry| is_too_long(&entry)) {
        return;
    }
    let mut out = Vec::new();
    encode_patch(format, &steps, &mut out).unwrap();
    let again = decode_patch(format, &out).unwrap();
    assert_eq!(again.len(), steps.len());
    for (record, step) in again.iter().zip(&steps) {
        let value = match (&record.item, &step.1) {
            (Item::Value(raw), Some(value)) => Some(raw.to_value(value.data_type()).unwrap()),
            _ => None,
        };
        // Debug text, because NaN is unlike itself.
        assert_eq!(format!("{:?}", (&record.path, value)), format!("{:?}", (&step.0, &step.1)));
    }
}

fn step(record: &Record<'_>) -> (Path, Option<Value>) {
    let value = match &record.item {
        Item::Value(raw) => Some(raw.guess()),
        Item::Empty | Item::Delete => None,
    };
    (record.path.clone(), value)
}

fn guessed(record: &Record<'_>) -> Entry {
    let node = match &record.item {
        Item::Value(raw) => Node::Value(raw.guess()),
        Item::Empty | Item::Delete => Node::Empty,
    };
    Entry { path: record.path.clone(), node, time: record.time }
}

fn like(record: &Record<'_>, entry: &Entry) -> Entry {
    let node = match (&record.item, entry.value().map(Value::data_type)) {
        (Item::Value(raw), Some(data_type)) => Node::Value(raw.to_value(data_type).unwrap()),
        _ => Node::Empty,
    };
    Entry { path: record.path.clone(), node, time: record.time }
}

/// Text that can be read as a record, but is above the limit of a value.
fn is_too_long(entry: &Entry) -> bool {
    matches!(entry.value(), Some(Value::String(text)) if text.len() > lwm2m_codec::MAX_TEXT)
}
