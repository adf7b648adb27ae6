//! Writes values as a pack, one record each: bn, bt, n, t, value in this order.
//!
//! Names. Values keep their order and are taken in runs of the same instance.
//! 1. All values of a run have one path (a single value, or its history): bn is that
//!    path, and there is no n. But a single value at the head of an answer to `/` has
//!    no bn, only n with its full path: what Send and composite answers look like.
//! 2. The target is a resource: bn is the target and a slash, n the resource instance.
//! 3. Otherwise bn is the instance and a slash, and n what follows: `9`, `6/0`.
//!
//! Times. If every value has one, bt is the first; t is the distance from bt. Empty
//! containers cannot be written and are left out.

use lwm2m_model::{Entry, Path, Value};

use super::{BASE_NAME, BASE_TIME, BOOLEAN, DATA, LINK, NAME, STRING, TIME, VALUE};
use crate::cbor_item::{self, ARRAY, MAP, NEGATIVE, TEXT, UNSIGNED, head};

pub(crate) fn encode(target: &Path, entries: &[Entry], out: &mut Vec<u8>) {
    head(out, ARRAY, values(entries).count() as u64);
    let mut times = Times::of(entries);
    let mut base_is_set = false;
    let same_instance =
        |a: &Entry, b: &Entry| a.path.prefix() == b.path.prefix() && ids(a, 2) == ids(b, 2);
    for run in entries.chunk_by(same_instance) {
        let mut names = Names::of(run, target, base_is_set);
        base_is_set |= !matches!(names, Names::Full);
        for (entry, value) in values(run) {
            write_record(&mut names, times.next(entry), entry, value, out);
        }
    }
}

fn values(entries: &[Entry]) -> impl Iterator<Item = (&Entry, &Value)> {
    entries.iter().filter_map(|entry| entry.value().map(|value| (entry, value)))
}

fn ids(entry: &Entry, count: usize) -> Option<&[u16]> {
    entry.path.ids().get(..count)
}

/// How the values of a run are named.
enum Names {
    /// Each by n, in full.
    Full,
    /// By bn alone, which the first of them writes.
    Base { is_written: bool },
    /// By bn, cut to `depth` identifiers and a slash, and n.
    Relative { depth: usize, is_written: bool },
}

impl Names {
    fn of(run: &[Entry], target: &Path, base_is_set: bool) -> Self {
        let mut paths = values(run).map(|(entry, _)| &entry.path);
        let first = paths.next();
        let (mut is_single, mut is_one_path) = (true, true);
        for path in paths {
            is_single = false;
            is_one_path &= Some(path) == first;
        }
        if is_single && target.depth() == 0 && !base_is_set {
            Self::Full
        } else if is_one_path {
            Self::Base { is_written: false }
        } else {
            Self::Relative { depth: target.depth().max(2), is_written: false }
        }
    }
}

/// The times of a pack: what bt is, and whether it has been written.
struct Times {
    base: f64,
    first_base: Option<f64>,
}

impl Times {
    fn of(entries: &[Entry]) -> Self {
        let mut times = values(entries).map(|(entry, _)| entry.time);
        let first = times.next().flatten();
        let first_base = first.filter(|time| *time != 0.0 && times.all(|time| time.is_some()));
        Self { base: 0.0, first_base }
    }

    /// The bt and t of a record; no field means zero, which is now.
    fn next(&mut self, entry: &Entry) -> (Option<f64>, Option<f64>) {
        let time = entry.time.unwrap_or(0.0);
        let base = self.first_base.take();
        self.base = base.unwrap_or(self.base);
        let distance = time - self.base;
        // A distance that floats cannot hold exactly makes a new base. Without a base the
        // sum is exact, so none appears that would move values without a time.
        if self.base + distance == time {
            (base, Some(distance).filter(|distance| *distance != 0.0))
        } else {
            self.base = time;
            (Some(time), None)
        }
    }
}

fn write_record(
    names: &mut Names,
    (base_time, time): (Option<f64>, Option<f64>),
    entry: &Entry,
    value: &Value,
    out: &mut Vec<u8>,
) {
    let path = &entry.path;
    let (base_depth, name_from) = match names {
        Names::Full => (None, Some(0)),
        Names::Base { is_written: true } => (None, None),
        Names::Base { is_written } => {
            *is_written = true;
            (Some(path.depth()), None)
        }
        Names::Relative { depth, is_written: true } => (None, Some(*depth)),
        Names::Relative { depth, is_written } => {
            *is_written = true;
            (Some(*depth), Some(*depth))
        }
    };
    let fields = [base_depth.is_some(), base_time.is_some(), name_from.is_some(), time.is_some()];
    head(out, MAP, 1 + fields.iter().filter(|is_there| **is_there).count() as u64);
    if let Some(depth) = base_depth {
        label(out, BASE_NAME);
        write_base_name(out, path, depth);
    }
    if let Some(time) = base_time {
        label(out, BASE_TIME);
        write_seconds(out, time);
    }
    if let Some(from) = name_from {
        label(out, NAME);
        write_name(out, path, from);
    }
    if let Some(time) = time {
        label(out, TIME);
        write_seconds(out, time);
    }
    match value {
        Value::Objlnk(_) => cbor_item::text(out, LINK),
        Value::String(_) | Value::Corelnk(_) => label(out, STRING),
        Value::Boolean(_) => label(out, BOOLEAN),
        Value::Opaque(_) => label(out, DATA),
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) | Value::Time(_) => {
            label(out, VALUE);
        }
    }
    cbor_item::value(out, value);
}

fn label(out: &mut Vec<u8>, label: i128) {
    // All labels are from -6 to 8.
    match u64::try_from(label) {
        Ok(label) => head(out, UNSIGNED, label),
        Err(_) => head(out, NEGATIVE, !label as u64),
    }
}

/// Writes whole seconds as an integer.
fn write_seconds(out: &mut Vec<u8>, seconds: f64) {
    if seconds.fract() == 0.0 && seconds.abs() < MAX_WHOLE {
        cbor_item::integer(out, seconds as i64);
    } else {
        cbor_item::float(out, seconds);
    }
}

/// Writes the first `depth` identifiers, with a slash at the end if there are more.
fn write_base_name(out: &mut Vec<u8>, path: &Path, depth: usize) {
    let ids = path.ids().get(..depth).unwrap_or_else(|| path.ids());
    let slash: &[u8] = if depth < path.depth() { b"/" } else { b"" };
    head(out, TEXT, (prefix_length(path) + ids_length(ids) + slash.len()) as u64);
    write_prefix(out, path);
    ids.iter().for_each(|id| write_id(out, *id));
    out.extend_from_slice(slash);
}

/// Writes the identifiers from the one numbered `from` on; all of them, 0, are a full
/// path.
fn write_name(out: &mut Vec<u8>, path: &Path, from: usize) {
    let ids = path.ids().get(from..).unwrap_or_default();
    if from == 0 {
        head(out, TEXT, (prefix_length(path) + ids_length(ids)) as u64);
        write_prefix(out, path);
        ids.iter().for_each(|id| write_id(out, *id));
    } else if let Some((first, rest)) = ids.split_first() {
        head(out, TEXT, (digits(*first) + ids_length(rest)) as u64);
        write_digits(out, *first);
        rest.iter().for_each(|id| write_id(out, *id));
    }
}

fn prefix_length(path: &Path) -> usize {
    path.prefix().map_or(0, |prefix| 1 + prefix.as_str().len())
}

fn write_prefix(out: &mut Vec<u8>, path: &Path) {
    if let Some(prefix) = path.prefix() {
        out.push(b'/');
        out.extend_from_slice(prefix.as_str().as_bytes());
    }
}

fn ids_length(ids: &[u16]) -> usize {
    ids.iter().map(|id| 1 + digits(*id)).sum()
}

fn write_id(out: &mut Vec<u8>, id: u16) {
    out.push(b'/');
    write_digits(out, id);
}

fn digits(id: u16) -> usize {
    id.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn write_digits(out: &mut Vec<u8>, id: u16) {
    for place in (0..digits(id)).rev() {
        let digit = id / 10_u16.pow(place as u32) % 10;
        out.push(b'0' + digit as u8);
    }
}

/// Below 2^53 a float has every integer, and they fit an `i64`.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use lwm2m_model::ContentFormat;

    use super::*;
    use crate::decode;

    /// The pack for values at `paths`, as a list of "bn n" pairs.
    fn names(target: &str, paths: &[&str]) -> String {
        let entries: Vec<_> = paths
            .iter()
            .map(|path| Entry::new(path.parse().unwrap(), Value::Boolean(true)))
            .collect();
        let mut out = Vec::new();
        encode(&target.parse().unwrap(), &entries, &mut out);
        let mut decoder = minicbor::Decoder::new(&out);
        let mut records = Vec::new();
        for _ in 0..decoder.array().unwrap().unwrap() {
            let mut record = String::new();
            for _ in 0..decoder.map().unwrap().unwrap() {
                match decoder.i8().unwrap() {
                    -2 => record += &format!("[{}]", decoder.str().unwrap()),
                    0 => record += decoder.str().unwrap(),
                    _ => assert!(decoder.bool().unwrap()),
                }
            }
            records.push(record);
        }
        records.join(" ")
    }

    #[test]
    fn names_follow_the_target_and_the_instance() {
        let cases: [(&str, &[&str], &str); 11] = [
            ("/3/0/9", &["/3/0/9"], "[/3/0/9]"),
            ("/3/0", &["/3/0/9"], "[/3/0/9]"),
            ("/3/0", &["/3/0/6/0", "/3/0/9"], "[/3/0/]6/0 9"),
            ("/3/0/6", &["/3/0/6/0", "/3/0/6/1"], "[/3/0/6/]0 1"),
            ("/3/0/6", &["/3/0/6/1"], "[/3/0/6/1]"),
            ("/1", &["/1/0/1", "/1/0/2", "/1/1/1"], "[/1/0/]1 2 [/1/1/1]"),
            ("/", &["/3/0/9"], "/3/0/9"),
            ("/", &["/1/0/1", "/3/0/9", "/4/0/2"], "/1/0/1 /3/0/9 /4/0/2"),
            ("/", &["/1/0/1", "/3/0/6/0", "/3/0/9"], "/1/0/1 [/3/0/]6/0 9"),
            ("/", &["/3/0/0", "/3/0/9", "/65534/65534/65534"], "[/3/0/]0 9 [/65534/65534/65534]"),
            ("/d01/3/0", &["/d01/3/0/0", "/d01/3/0/9"], "[/d01/3/0/]0 9"),
        ];
        for (target, paths, expected) in cases {
            assert_eq!(names(target, paths), expected, "{target} {paths:?}");
        }
    }

    #[test]
    fn times_come_back_exactly() {
        let path = Path::resource(3303, 0, 5700);
        let histories: [&[Option<f64>]; 6] = [
            &[Some(1_700_000_000.0), Some(1_700_000_060.0), Some(1_700_000_000.125)],
            &[None, Some(1_700_000_000.0)],
            &[Some(1_700_000_000.0), None],
            &[Some(-60.0), Some(-30.0), None],
            &[Some(1e15), Some(0.1)],
            &[Some(1.7e9 + 0.1), Some(1.7e9 + 0.3)],
        ];
        for history in histories {
            let entries: Vec<_> = history
                .iter()
                .map(|time| Entry { time: *time, ..Entry::new(path.clone(), Value::Float(1.5)) })
                .collect();
            let mut out = Vec::new();
            crate::encode(ContentFormat::SENML_CBOR, &path, &entries, &mut out).unwrap();
            let records = decode(ContentFormat::SENML_CBOR, &out, &path).unwrap();
            let times: Vec<_> = records.iter().map(|record| record.time).collect();
            assert_eq!(times, history);
        }
    }

    #[test]
    fn a_history_has_a_base_time_and_distances() {
        let path = Path::resource(3303, 0, 5700);
        let sample = |value, time| Entry {
            time: Some(time),
            ..Entry::new(path.clone(), Value::Float(value))
        };
        let entries = [sample(21.5, 1_700_000_000.0), sample(21.0, 1_699_999_940.0)];
        let mut out = Vec::new();
        encode(&path, &entries, &mut out);
        let expected = [
            &[0x82, 0xa3, 0x21, 0x6c][..],
            b"/3303/0/5700",
            &[0x22, 0x1a, 0x65, 0x53, 0xf1, 0, 0x02, 0xf9, 0x4d, 0x60],
            &[0xa2, 0x06, 0x38, 0x3b, 0x02, 0xf9, 0x4d, 0x40],
        ];
        assert_eq!(out, expected.concat());
    }
}
