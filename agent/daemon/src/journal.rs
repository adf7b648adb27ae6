//! Log lines to the journal with the fields that an operator filters by:
//! `journalctl -u lwm2md LWM2M_SERVER=101`.
//!
//! The journal's native protocol is a datagram of fields. It is written here since
//! a layer that prefixes fields would also prefix `MESSAGE_ID`.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// A layer that writes every event to the journal.
pub(crate) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// Connects to the socket of journald.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record::new(*event.metadata().level());
        event.record(&mut record);
        // A line that cannot be logged has nowhere else to go.
        let _ = self.socket.send(&record.bytes);
    }
}

/// The fields of one entry as they go to journald.
struct Record {
    bytes: Vec<u8>,
}

impl Record {
    fn new(level: Level) -> Self {
        let priority = match level {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        let mut record = Self { bytes: Vec::with_capacity(TYPICAL_RECORD) };
        record.put("PRIORITY", priority);
        record.put("SYSLOG_IDENTIFIER", "lwm2md");
        record
    }

    /// Appends a field. One with a line feed goes with its length in front.
    fn put(&mut self, name: &str, value: &str) {
        let value = cut(value, MAX_VALUE);
        self.bytes.extend(name.as_bytes());
        if value.contains('\n') {
            self.bytes.push(b'\n');
            self.bytes.extend((value.len() as u64).to_le_bytes());
        } else {
            self.bytes.push(b'=');
        }
        self.bytes.extend(value.as_bytes());
        self.bytes.push(b'\n');
    }

    fn field(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.put("MESSAGE", value),
            "message_id" => self.put("MESSAGE_ID", value),
            name => {
                let mut full = String::from("LWM2M_");
                let plain =
                    |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
                full.extend(name.chars().map(plain));
                self.put(&full, value);
            }
        }
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.field(field, &text);
    }
}

/// The longest beginning of `text` within `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Where journald listens.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";

/// Longest value of a field in bytes; a datagram of a few of them always fits.
const MAX_VALUE: usize = 8 * 1024;
const TYPICAL_RECORD: usize = 256;

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn fields_reach_the_journal_under_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal::connect(&path).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(message_id = "0a1b", server = 101, path = %"/3/0/9", "two\nlines");
            tracing::info!(result = "2.05", missing = None::<&str>, "short");
        });
        let mut buffer = [0; 1024];
        let length = journald.recv(&mut buffer).unwrap();
        let expected: &[u8] = b"PRIORITY=4\nSYSLOG_IDENTIFIER=lwm2md\n\
            MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n\
            MESSAGE_ID=0a1b\nLWM2M_SERVER=101\nLWM2M_PATH=/3/0/9\n";
        assert_eq!(sorted(&buffer[..length]), sorted(expected));
        let length = journald.recv(&mut buffer).unwrap();
        let expected: &[u8] =
            b"PRIORITY=6\nSYSLOG_IDENTIFIER=lwm2md\nMESSAGE=short\nLWM2M_RESULT=2.05\n";
        assert_eq!(sorted(&buffer[..length]), sorted(expected));
    }

    /// The order of fields is tracing's own affair.
    fn sorted(record: &[u8]) -> Vec<String> {
        let mut lines: Vec<String> =
            String::from_utf8_lossy(record).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("", 0), "");
        let mut record = Record::new(Level::INFO);
        record.put("X", &"é".repeat(MAX_VALUE));
        assert!(record.bytes.len() < MAX_VALUE + 100);
    }
}
