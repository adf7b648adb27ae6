//! What holds for every value and every payload: decoding gives back what was encoded,
//! and no payload, random or damaged, does more than give an error.

use std::collections::BTreeMap;

use lwm2m_codec::link_format::{self, Link};
use lwm2m_codec::{
    Item, Record, decode, decode_fetch, decode_patch, encode, encode_fetch, encode_patch,
};
use lwm2m_model::{ContentFormat, DataType, Entry, Node, ObjectLink, Path, Prefix, Value};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        text().prop_map(Value::Corelnk),
        any::<i64>().prop_map(Value::Integer),
        any::<i8>().prop_map(|number| Value::Integer(number.into())),
        any::<u64>().prop_map(Value::Unsigned),
        any::<u16>().prop_map(|number| Value::Unsigned(number.into())),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        any::<f32>()
            .prop_filter("NaN is unlike itself", |number| number.is_finite())
            .prop_map(|number| Value::Float(number.into())),
        any::<bool>().prop_map(Value::Boolean),
        vec(any::<u8>(), 0..300).prop_map(Value::Opaque),
        any::<i64>().prop_map(Value::Time),
        any::<(u16, u16)>().prop_map(|(a, b)| Value::Objlnk(ObjectLink::new(a, b))),
    ]
}

/// Small ones, so that they meet, and some of any size.
fn id() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0_u16..4, 1 => 0..u16::MAX]
}

fn prefix() -> impl Strategy<Value = Option<Prefix>> {
    option::weighted(0.3, "[a-z][a-z0-9._~-]{0,9}".prop_map(|text| Prefix::new(&text).unwrap()))
}

#[derive(Debug, Clone)]
enum Content {
    Single(Value),
    Multiple(BTreeMap<u16, Value>),
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        value().prop_map(Content::Single),
        btree_map(id(), value(), 0..4).prop_map(Content::Multiple),
    ]
}

/// An object with some instances: its path and sorted entries, empty ones included.
fn object() -> impl Strategy<Value = (Path, Vec<Entry>)> {
    let instances = btree_map(id(), btree_map(id(), content(), 0..4), 0..3);
    (id(), prefix(), instances).prop_map(|(object, prefix, instances)| {
        let object = Path::object(object).with_prefix(prefix);
        let mut entries = Vec::new();
        for (id, resources) in instances {
            let instance = object.child(id).unwrap();
            if resources.is_empty() {
                entries.push(Entry::empty(instance.clone()));
            }
            for (id, content) in resources {
                let resource = instance.child(id).unwrap();
                match content {
                    Content::Single(value) => entries.push(Entry::new(resource, value)),
                    Content::Multiple(values) if values.is_empty() => {
                        entries.push(Entry::empty(resource));
                    }
                    Content::Multiple(values) => entries.extend(
                        values
                            .into_iter()
                            .map(|(id, v)| Entry::new(resource.child(id).unwrap(), v)),
                    ),
                }
            }
        }
        (object, entries)
    })
}

/// The entries below the path of one of them, cut to a random depth.
fn part((object, entries): (Path, Vec<Entry>), which: usize, depth: usize) -> (Path, Vec<Entry>) {
    if entries.is_empty() {
        return (object, entries);
    }
    let target = entries[which % entries.len()].path.truncated(depth);
    // Leaves out an empty container that lies above the target.
    let below = entries.into_iter().filter(|entry| target.contains(&entry.path)).collect();
    (target, below)
}

fn read(format: ContentFormat, target: &Path, entries: &[Entry]) -> Vec<Entry> {
    let mut out = Vec::new();
    encode(format, target, entries, &mut out).unwrap();
    let records = decode(format, &out, target).unwrap();
    assert_eq!(records.len(), entries.len());
    records.iter().zip(entries).map(|(record, entry)| typed(record, entry)).collect()
}

fn typed(record: &Record<'_>, like: &Entry) -> Entry {
    let node = match &record.item {
        Item::Empty => Node::Empty,
        Item::Delete => panic!("a removal among values"),
        Item::Value(raw) => {
            let data_type = like.value().map_or(DataType::None, Value::data_type);
            Node::Value(raw.to_value(data_type).unwrap())
        }
    };
    Entry { path: record.path.clone(), node, time: record.time }
}

fn every_format_decodes(payload: &[u8], target: &Path) {
    for format in FORMATS {
        for record in decode(format, payload, target).unwrap_or_default() {
            if let Item::Value(raw) = &record.item {
                raw.guess();
                for data_type in TYPES {
                    if let Ok(value) = raw.to_value(data_type) {
                        assert_eq!(value.data_type(), data_type);
                    }
                }
            }
        }
    }
    for format in FETCHED {
        let _ = decode_fetch(format, payload);
        let _ = decode_patch(format, payload);
    }
    if let Ok(text) = std::str::from_utf8(payload) {
        let _ = link_format::parse(text);
    }
}

proptest! {
    // A failure becomes a row or a test of its own, not a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// OBJ-01, 09.
    #[test]
    fn a_single_value_comes_back_in_every_format(value in value(), which in 0..2_usize) {
        let path = [Path::resource(3442, 0, 300), Path::resource_instance(3442, 0, 3, 300)]
            [which].clone();
        let entries = [Entry::new(path.clone(), value)];
        for format in FORMATS {
            let is_opaque = matches!(entries[0].value(), Some(Value::Opaque(_)));
            if format != ContentFormat::OPAQUE || is_opaque {
                prop_assert_eq!(&read(format, &path, &entries)[..], &entries[..], "{}", format);
            }
        }
    }

    #[test]
    fn a_part_of_an_object_comes_back(object in object(), which: usize, depth in 1..=4_usize) {
        let (target, entries) = part(object, which, depth);
        for format in [ContentFormat::TLV, ContentFormat::LWM2M_CBOR] {
            prop_assert_eq!(&read(format, &target, &entries), &entries, "{} {}", format, target);
        }
    }

    #[test]
    fn senml_and_json_give_back_values_and_times(
        object in object(),
        which: usize,
        depth in 0..=4_usize,
        times in vec(option::of(prop_oneof![-1e9_f64..2e9, (0..2_000_000_000_u32).prop_map(f64::from)]), 1..5),
    ) {
        let (target, entries) = part(object, which, depth);
        let entries: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry.value().is_some())
            .zip(times.iter().cycle())
            .map(|(entry, time)| Entry { time: time.filter(|time| *time != 0.0), ..entry })
            .collect();
        for format in TIMED {
            prop_assert_eq!(&read(format, &target, &entries), &entries, "{} {}", format, target);
        }
    }

    #[test]
    fn several_objects_come_back(objects in vec(object(), 0..4)) {
        let objects: BTreeMap<_, _> = objects.into_iter().collect();
        let mut entries: Vec<_> = objects.into_values().flatten().collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        prop_assert_eq!(&read(ContentFormat::LWM2M_CBOR, &Path::root(), &entries), &entries);
        entries.retain(|entry| entry.value().is_some());
        for format in TIMED {
            prop_assert_eq!(&read(format, &Path::root(), &entries), &entries, "{}", format);
        }
    }

    #[test]
    fn fetch_packs_come_back(paths in vec((object(), 0..=4_usize), 1..5)) {
        let paths: Vec<_> = paths
            .into_iter()
            .flat_map(|((object, entries), depth)| {
                std::iter::once(object)
                    .chain(entries.into_iter().map(move |entry| entry.path.truncated(depth)))
            })
            .collect();
        for format in FETCHED {
            let mut out = Vec::new();
            encode_fetch(format, &paths, &mut out).unwrap();
            prop_assert_eq!(&decode_fetch(format, &out).unwrap(), &paths, "{}", format);
        }
    }

    #[test]
    fn patch_packs_come_back(object in object(), removed in vec(any::<bool>(), 1..5)) {
        let changes: Vec<_> = object
            .1
            .into_iter()
            .zip(removed.iter().cycle())
            .filter_map(|(entry, is_removed)| match entry.node {
                Node::Value(_) if *is_removed && entry.path.depth() == 4 => {
                    Some((entry.path, None))
                }
                Node::Value(value) => Some((entry.path, Some(value))),
                Node::Empty => None,
            })
            .collect();
        for format in [ContentFormat::ETCH_JSON, ContentFormat::ETCH_CBOR] {
            let mut out = Vec::new();
            encode_patch(format, &changes, &mut out).unwrap();
            let records = decode_patch(format, &out).unwrap();
            prop_assert_eq!(records.len(), changes.len());
            for (record, (path, value)) in records.iter().zip(&changes) {
                prop_assert_eq!(&record.path, path);
                let again = match &record.item {
                    Item::Value(raw) => {
                        let data_type = value.as_ref().map_or(DataType::None, Value::data_type);
                        Some(raw.to_value(data_type).unwrap())
                    }
                    Item::Empty => panic!("a pack has no empty containers"),
                    Item::Delete => None,
                };
                prop_assert_eq!(&again, value, "{}", format);
            }
        }
    }

    #[test]
    fn links_come_back(
        targets in vec("/[a-z0-9/.:-]{0,12}[a-z0-9]", 0..5),
        name in "[a-z][a-z*-]{0,5}",
        plain in "[!-~&&[^\",;\\\\]]{1,8}",
        quoted in "\\PC{0,12}",
    ) {
        let link = |target: &String| Link::new(target.clone())
            .plain(name.clone(), plain.clone())
            .quoted("t", quoted.clone())
            .flag("obs");
        let links: Vec<_> = targets.iter().map(link).collect();
        let mut out = String::new();
        link_format::write(&links, &mut out);
        prop_assert_eq!(link_format::parse(&out).unwrap(), links);
    }

    #[test]
    fn random_bytes_do_no_harm(payload in vec(any::<u8>(), 0..200), depth in 0..=4_usize) {
        every_format_decodes(&payload, &Path::resource_instance(3, 0, 6, 1).truncated(depth));
    }

    #[test]
    fn random_text_does_no_harm(text in "[</>;,=\"\\\\ a1:+-]{0,60}") {
        every_format_decodes(text.as_bytes(), &Path::resource(3, 0, 0));
    }

    #[test]
    fn random_tokens_of_json_do_no_harm(
        tokens in vec(prop::sample::select(&JSON_TOKENS[..]), 0..40),
        depth in 0..=4_usize,
    ) {
        let target = Path::resource_instance(3, 0, 6, 1).truncated(depth);
        every_format_decodes(tokens.concat().as_bytes(), &target);
    }

    #[test]
    fn damaged_payloads_do_no_harm(
        object in object(),
        damage in vec((any::<usize>(), any::<u8>()), 1..4),
        cut: usize,
    ) {
        let (target, entries) = object;
        for format in &FORMATS[3..] {
            let format = *format;
            let mut payload = Vec::new();
            encode(format, &target, &entries, &mut payload).unwrap();
            for (place, byte) in &damage {
                if let Some(place) = place.checked_rem(payload.len()) {
                    payload[place] = *byte;
                }
            }
            every_format_decodes(&payload, &target);
            let cut = cut.checked_rem(payload.len()).unwrap_or(0);
            every_format_decodes(&payload[..cut], &target);
        }
    }
}

/// These hold values anywhere and their times.
const TIMED: [ContentFormat; 3] =
    [ContentFormat::SENML_JSON, ContentFormat::SENML_CBOR, ContentFormat::OMA_JSON];

/// Formats of packs that name what to fetch.
const FETCHED: [ContentFormat; 4] = [
    ContentFormat::SENML_JSON,
    ContentFormat::SENML_CBOR,
    ContentFormat::ETCH_JSON,
    ContentFormat::ETCH_CBOR,
];

const FORMATS: [ContentFormat; 8] = [
    ContentFormat::TEXT,
    ContentFormat::OPAQUE,
    ContentFormat::CBOR,
    ContentFormat::TLV,
    ContentFormat::SENML_JSON,
    ContentFormat::SENML_CBOR,
    ContentFormat::LWM2M_CBOR,
    ContentFormat::OMA_JSON,
];

const JSON_TOKENS: [&str; 26] = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"bn\":",
    "\"n\":",
    "\"v\":",
    "\"e\":",
    "\"vd\":",
    "\"t\":",
    "\"sv\":",
    "\"/3/0/6/1\"",
    "\"\\u00",
    "\\ud83d\"",
    "null",
    "true",
    "1",
    "-1.5e9",
    "1e400",
    "0",
    ".5",
    " ",
    "\"AQ\"",
    "\"",
];

const TYPES: [DataType; 9] = [
    DataType::String,
    DataType::Integer,
    DataType::Unsigned,
    DataType::Float,
    DataType::Boolean,
    DataType::Opaque,
    DataType::Time,
    DataType::Objlnk,
    DataType::Corelnk,
];
