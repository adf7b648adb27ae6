//! What servers have asked for, kept across a restart of the agent. The log itself is
//! the journal's: only from when to when is kept.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable::{read_record, write_record};

/// The state of the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// LogClass.
    pub(super) class: i64,
    /// When there was collecting, ascending; the last may still go on.
    pub(super) spans: Vec<Span>,
}

/// A time of collecting, in µs of Unix time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from: u64,
    /// Not in it any more; may lie ahead.
    pub(super) until: Option<u64>,
}

impl Default for Record {
    /// All that there is is collected: what came before somebody asks is what they want to
    /// know after a fault.
    fn default() -> Self {
        Self { class: 0, spans: vec![Span { from: 0, until: None }] }
    }
}

impl Record {
    /// What the last run of the agent has left; a record that cannot be used is none.
    pub(super) fn load(path: &Path) -> Self {
        let mut record: Self =
            read_record(path).map(Option::unwrap_or_default).unwrap_or_else(|error| {
                tracing::warn!("{}: {error}; the event log begins anew", path.display());
                Self::default()
            });
        record.spans.truncate(MAX_SPANS);
        record
    }

    /// Writes it; durable when it returns.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        write_record(path, self)
    }

    /// LogStart: with what was collected before, or without.
    pub(super) fn start(&mut self, now: u64, kept: Kept, seconds: Option<u64>) {
        self.close(now);
        if kept == Kept::No {
            self.spans.clear();
        }
        if self.spans.len() == MAX_SPANS {
            self.spans.remove(0);
        }
        let until = seconds.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000_000)));
        self.spans.push(Span { from: now, until });
    }

    /// LogStop.
    pub(super) fn stop(&mut self, now: u64, kept: Kept) {
        self.close(now);
        if kept == Kept::No {
            self.spans.clear();
        }
    }

    fn close(&mut self, now: u64) {
        if let Some(last) = self.spans.last_mut() {
            last.until = Some(last.until.unwrap_or(now).min(now));
        }
    }

    pub(super) fn is_running(&self, now: u64) -> bool {
        self.spans.last().is_some_and(|last| last.until.is_none_or(|until| now < until))
    }

    /// The time before which nothing was collected; `None` where nothing was at all.
    pub(super) fn since(&self) -> Option<u64> {
        self.spans.iter().map(|span| span.from).min()
    }

    /// Whether what happened then was collected.
    pub(super) fn has(&self, time: u64) -> bool {
        self.spans
            .iter()
            .any(|span| span.from <= time && span.until.is_none_or(|until| time < until))
    }
}

/// What becomes of what was collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
}

/// Times of collecting; when there is another, the oldest is forgotten.
const MAX_SPANS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// OBJ-107.
    #[test]
    fn what_is_collected_follows_start_and_stop() {
        let mut record = Record::default();
        assert!(record.is_running(5) && record.has(0), "from the beginning");
        record.start(10, Kept::No, None);
        record.stop(20, Kept::Yes);
        assert!(!record.is_running(20));
        record.start(30, Kept::Yes, None);
        let collected: Vec<u64> = (0..50).filter(|time| record.has(*time)).collect();
        assert_eq!(collected, (10..20).chain(30..50).collect::<Vec<_>>());
        assert_eq!((record.since(), record.is_running(50)), (Some(10), true));
        // Begun while it goes on: nothing is lost and nothing is there twice.
        record.start(40, Kept::Yes, None);
        assert_eq!((30..50).filter(|time| record.has(*time)).count(), 20);
        record.stop(60, Kept::No);
        assert_eq!((record.since(), record.is_running(60)), (None, false));
    }

    /// OBJ-107.
    #[test]
    fn collecting_stops_by_itself() {
        let mut record = Record::default();
        record.start(1_000_000, Kept::No, Some(2));
        assert!(record.is_running(2_999_999) && record.has(2_999_999));
        assert!(!record.is_running(3_000_000) && !record.has(3_000_000));
        record.stop(9_000_000, Kept::Yes);
        assert!(!record.has(3_000_000), "a stop later makes it no longer");
        record.start(1, Kept::No, Some(u64::MAX));
        assert!(record.is_running(u64::MAX - 1));
    }

    #[test]
    fn the_oldest_of_too_many_times_is_forgotten() {
        let mut record = Record::default();
        for start in 0..1000 {
            record.start(start * 10, Kept::Yes, Some(0));
        }
        assert_eq!(record.spans.len(), MAX_SPANS);
    }

    #[test]
    fn a_record_that_cannot_be_used_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("event-log");
        for bytes in [&b"{"[..], b"\xff", b"{\"class\":\"x\"}", &[b'['; 100_000]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Record::load(&path), Record::default());
        }
        let mut record = Record::default();
        record.start(7, Kept::No, None);
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path), record);
    }
}
