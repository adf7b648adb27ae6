//! Payloads taken apart, each value under its path (Core 10).

use std::collections::BTreeMap;

use minicbor::Decoder;
use minicbor::data::Type;
use serde_json::{Map, Value as Json, json};

use crate::Message;

/// Plain text.
pub const TEXT: u16 = 0;
/// CoRE link format.
pub const LINKS: u16 = 40;
/// One CBOR item.
pub const CBOR: u16 = 60;
/// SenML JSON.
pub const SENML_JSON: u16 = 110;
/// SenML CBOR.
pub const SENML_CBOR: u16 = 112;
/// TLV.
pub const TLV: u16 = 11542;
/// JSON of LwM2M 1.0.
pub const OMA_JSON: u16 = 11543;

/// Values by absolute path.
pub type Values = BTreeMap<String, Json>;

/// The values of a 2.05 in SenML.
#[track_caller]
pub fn senml(message: &Message) -> Values {
    match message.format() {
        Some(SENML_JSON) => records(&json_array(message.payload())),
        Some(SENML_CBOR) => records(&cbor_records(message.payload())),
        other => panic!("expected SenML, got Content-Format {other:?}: {message:?}"),
    }
}

/// The values of a 2.05 in JSON of 1.0.
#[track_caller]
pub fn oma_json(message: &Message) -> Values {
    let pack: Json = serde_json::from_slice(message.payload()).expect("JSON");
    let base = pack["bn"].as_str().unwrap_or_default();
    let records = pack["e"].as_array().expect("the list of values");
    records.iter().map(|record| value(record, base, &["v", "sv", "bv", "ov"])).collect()
}

/// The values of a 2.05 in TLV, as bytes, by path below the target: `0`, `11/0`.
#[track_caller]
pub fn tlv(message: &Message) -> BTreeMap<String, Vec<u8>> {
    let mut values = BTreeMap::new();
    read_tlv(message.payload(), "", &mut values);
    values
}

/// The links of an object list or a Discover: parameters by target, sorted.
#[track_caller]
pub fn links(message: &Message) -> BTreeMap<String, Vec<String>> {
    let split = |text: &str, at: char| -> Vec<String> {
        let mut is_quoted = false;
        let parts = text.split(|letter| {
            is_quoted ^= letter == '"';
            letter == at && !is_quoted
        });
        parts.map(str::to_owned).collect()
    };
    let mut all = BTreeMap::new();
    for link in split(message.text(), ',') {
        let mut parts = split(&link, ';').into_iter();
        let target = parts.next().unwrap_or_default();
        let target = target.strip_prefix('<').and_then(|target| target.strip_suffix('>'));
        let target = target.unwrap_or_else(|| panic!("no link: {link}")).to_owned();
        let mut parameters: Vec<String> = parts.collect();
        parameters.sort();
        assert_eq!(all.insert(target, parameters), None, "{link} comes twice");
    }
    all
}

fn json_array(payload: &[u8]) -> Vec<Map<String, Json>> {
    serde_json::from_slice(payload).expect("a JSON array of records")
}

/// SenML CBOR with the labels that SenML JSON has for them (RFC 8428 6).
fn cbor_records(payload: &[u8]) -> Vec<Map<String, Json>> {
    let mut decoder = Decoder::new(payload);
    let count = decoder.array().expect("an array").expect("of a definite length");
    let records = (0..count)
        .map(|_| {
            let fields = decoder.map().expect("a map").expect("of a definite length");
            (0..fields).map(|_| cbor_field(&mut decoder)).collect()
        })
        .collect();
    assert_eq!(decoder.position(), payload.len(), "nothing after the records");
    records
}

fn cbor_field(decoder: &mut Decoder<'_>) -> (String, Json) {
    let label = match decoder.datatype().expect("a label") {
        Type::String => decoder.str().expect("text").to_owned(),
        _ => match decoder.i8().expect("a number") {
            -3 => "bt",
            -2 => "bn",
            0 => "n",
            2 => "v",
            3 => "vs",
            4 => "vb",
            6 => "t",
            8 => "vd",
            other => panic!("no label of LwM2M: {other}"),
        }
        .to_owned(),
    };
    let value = match decoder.datatype().expect("a value") {
        Type::Bool => json!(decoder.bool().expect("a Boolean")),
        Type::String => json!(decoder.str().expect("text")),
        Type::Bytes => json!(decoder.bytes().expect("bytes")),
        Type::F16 | Type::F32 | Type::F64 => json!(decoder.f64().expect("a float")),
        _ => json!(decoder.i64().expect("a number")),
    };
    (label, value)
}

fn records(records: &[Map<String, Json>]) -> Values {
    let mut base = String::new();
    let all = records.iter().map(|record| {
        if let Some(name) = record.get("bn").and_then(Json::as_str) {
            name.clone_into(&mut base);
        }
        value(&Json::Object(record.clone()), &base, &["v", "vs", "vb", "vd", "vlo"])
    });
    all.collect()
}

fn value(record: &Json, base: &str, kinds: &[&str]) -> (String, Json) {
    let found = kinds.iter().find_map(|kind| record.get(kind));
    let found = found.unwrap_or_else(|| panic!("a record without value: {record}"));
    (format!("{base}{}", record["n"].as_str().unwrap_or_default()), found.clone())
}

/// Core 10.5: type, identifier and length, then the value.
fn read_tlv(mut rest: &[u8], above: &str, values: &mut BTreeMap<String, Vec<u8>>) {
    fn number(bytes: &[u8]) -> usize {
        bytes.iter().fold(0, |all, byte| (all << 8) | usize::from(*byte))
    }
    while let [kind, after @ ..] = rest {
        let (id, after) = after.split_at(if kind & 0x20 == 0 { 1 } else { 2 });
        let (length, after) = after.split_at(usize::from(kind >> 3 & 3));
        let length = if length.is_empty() { usize::from(kind & 7) } else { number(length) };
        let (value, after) = after.split_at(length);
        let path = format!("{above}{}", number(id));
        match kind >> 6 {
            // An object instance or a multiple resource holds others.
            0 | 2 => read_tlv(value, &format!("{path}/"), values),
            _ => assert_eq!(values.insert(path, value.to_vec()), None),
        }
        rest = after;
    }
}
