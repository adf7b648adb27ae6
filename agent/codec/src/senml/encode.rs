//! Writes packs: values, paths to fetch, changes to make; bn, bt, n, t, value in this
//! order.
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

use super::Field;
use crate::name;

/// A pack in one of its representations, written from front to back.
pub(crate) trait Sink {
    fn begin_pack(&mut self, records: usize);
    fn begin_record(&mut self, fields: usize);
    /// Begins a field, whose value follows.
    fn field(&mut self, field: Field);
    fn text(&mut self, text: &str);
    fn whole_seconds(&mut self, seconds: i64);
    /// Writes finite seconds.
    fn seconds(&mut self, seconds: f64);
    fn value(&mut self, value: &Value);
    fn null(&mut self);
    fn end_record(&mut self);
    fn end_pack(&mut self);
}

pub(crate) fn write_values(target: &Path, entries: &[Entry], sink: &mut impl Sink) {
    sink.begin_pack(values(entries).count());
    let mut times = Times::of(entries);
    let mut base_is_set = false;
    // One buffer for all names.
    let mut name = String::new();
    let same_instance =
        |a: &Entry, b: &Entry| a.path.prefix() == b.path.prefix() && ids(a, 2) == ids(b, 2);
    for run in entries.chunk_by(same_instance) {
        let mut names = Names::of(run, target, base_is_set);
        base_is_set |= !matches!(names, Names::Full);
        for (entry, value) in values(run) {
            write_record(&mut names, times.next(entry), (&entry.path, value), &mut name, sink);
        }
    }
    sink.end_pack();
}

/// Writes a Fetch pack: full names, no values.
pub(crate) fn write_fetch(paths: &[Path], sink: &mut impl Sink) {
    sink.begin_pack(paths.len());
    let mut name = String::new();
    for path in paths {
        sink.begin_record(1);
        write_full_name(path, &mut name, sink);
        sink.end_record();
    }
    sink.end_pack();
}

/// Writes a Patch pack: full names with a value, or null to take away.
pub(crate) fn write_patch(changes: &[(Path, Option<Value>)], sink: &mut impl Sink) {
    sink.begin_pack(changes.len());
    let mut name = String::new();
    for (path, value) in changes {
        sink.begin_record(2);
        write_full_name(path, &mut name, sink);
        match value {
            Some(value) => write_value(value, sink),
            None => {
                sink.field(Field::Value);
                sink.null();
            }
        }
        sink.end_record();
    }
    sink.end_pack();
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
    (path, value): (&Path, &Value),
    name: &mut String,
    sink: &mut impl Sink,
) {
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
    sink.begin_record(1 + fields.iter().filter(|is_there| **is_there).count());
    if let Some(depth) = base_depth {
        name.clear();
        name::write_base(name, path, depth);
        sink.field(Field::BaseName);
        sink.text(name);
    }
    if let Some(time) = base_time {
        sink.field(Field::BaseTime);
        write_seconds(time, sink);
    }
    match name_from {
        None => {}
        Some(0) => write_full_name(path, name, sink),
        Some(from) => {
            name.clear();
            name::write_rest(name, path, from);
            sink.field(Field::Name);
            sink.text(name);
        }
    }
    if let Some(time) = time {
        sink.field(Field::Time);
        write_seconds(time, sink);
    }
    write_value(value, sink);
    sink.end_record();
}

fn write_full_name(path: &Path, name: &mut String, sink: &mut impl Sink) {
    name.clear();
    name::write_full(name, path);
    sink.field(Field::Name);
    sink.text(name);
}

fn write_value(value: &Value, sink: &mut impl Sink) {
    sink.field(match value {
        Value::Objlnk(_) => Field::Link,
        Value::String(_) | Value::Corelnk(_) => Field::String,
        Value::Boolean(_) => Field::Boolean,
        Value::Opaque(_) => Field::Data,
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) | Value::Time(_) => Field::Value,
    });
    sink.value(value);
}

/// Writes whole seconds as an integer.
fn write_seconds(seconds: f64, sink: &mut impl Sink) {
    if seconds.fract() == 0.0 && seconds.abs() < MAX_WHOLE {
        sink.whole_seconds(seconds as i64);
    } else {
        sink.seconds(seconds);
    }
}

/// Below 2^53 a float has every integer, and they fit an `i64`.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use lwm2m_model::ContentFormat;

    use super::super::CborSink;
    use super::*;
    use crate::decode;

    /// The pack for values at `paths`, as a list of "bn n" pairs.
    fn names(target: &str, paths: &[&str]) -> String {
        let entries: Vec<_> = paths
            .iter()
            .map(|path| Entry::new(path.parse().unwrap(), Value::Boolean(true)))
            .collect();
        let mut out = Vec::new();
        write_values(&target.parse().unwrap(), &entries, &mut CborSink(&mut out));
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
        write_values(&path, &entries, &mut CborSink(&mut out));
        let expected = [
            &[0x82, 0xa3, 0x21, 0x6c][..],
            b"/3303/0/5700",
            &[0x22, 0x1a, 0x65, 0x53, 0xf1, 0, 0x02, 0xf9, 0x4d, 0x60],
            &[0xa2, 0x06, 0x38, 0x3b, 0x02, 0xf9, 0x4d, 0x40],
        ];
        assert_eq!(out, expected.concat());
    }
}
