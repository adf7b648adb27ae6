//! An entry of the journal as a line of LogData.

use std::fmt::Write;

use tz::UtcDateTime;

use crate::sources::journal::{Entry, Name};

/// `2026-01-15T12:00:00.123Z warning prog[7]: message` with a line feed at its end and no
/// other control character.
pub(super) fn line(entry: &Entry) -> String {
    let mut line = time(entry.realtime);
    let priority = entry.get(Name::Priority).and_then(|number| number.parse().ok());
    let priority = priority.and_then(|number: usize| PRIORITIES.get(number));
    line.extend([" ", priority.unwrap_or(&"-"), " "]);
    let who = entry.get(Name::Identifier).or_else(|| entry.get(Name::Command));
    push(&mut line, who.unwrap_or("-"));
    if let Some(process) = entry.get(Name::Process) {
        line.push('[');
        push(&mut line, process);
        line.push(']');
    }
    line.push_str(": ");
    match entry.get(Name::Message) {
        Some(message) => push(&mut line, message),
        None if entry.is_compressed => line.push_str("(a long message, which is compressed)"),
        None => line.push_str("(no message)"),
    }
    line.push('\n');
    line
}

/// µs of Unix time.
fn time(microseconds: u64) -> String {
    let (seconds, rest) = (microseconds / 1_000_000, microseconds % 1_000_000);
    let time =
        i64::try_from(seconds).ok().and_then(|seconds| UtcDateTime::from_timespec(seconds, 0).ok());
    let Some(time) = time else { return "-".into() };
    let (year, month, day) = (time.year(), time.month(), time.month_day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest / 1000)
}

/// What a program says must not forge lines or move a cursor.
fn push(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
}

const PRIORITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
