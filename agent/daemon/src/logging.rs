//! Where log lines go: the journal with fields, or standard error as plain lines.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::stat::fstat;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::journal::{self, Journal};

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// journald, with fields.
    Journald,
    /// Standard error.
    Stderr,
}

/// Starts logging for the whole process; without a target, to the journal if
/// systemd has connected standard error to it, else to standard error.
///
/// # Errors
/// No journald, or logging has been started before.
pub fn init(target: Option<Target>, level: Level) -> io::Result<()> {
    let target = target.unwrap_or_else(|| match std::env::var("JOURNAL_STREAM") {
        Ok(stream) if is_stream(&stream, io::stderr()) => Target::Journald,
        _ => Target::Stderr,
    });
    let filter = LevelFilter::from_level(level);
    let started = match target {
        Target::Journald => {
            let layer = Journal::connect(Path::new(journal::SOCKET))?;
            tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()
        }
        Target::Stderr => {
            tracing_subscriber::registry().with(PlainLines.with_filter(filter)).try_init()
        }
    };
    started.map_err(io::Error::other)
}

/// True if `stream`, `DEVICE:INODE` as systemd writes it, is this file.
fn is_stream(stream: &str, file: impl AsFd) -> bool {
    let named = stream.split_once(':').and_then(|(device, inode)| {
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    });
    fstat(file).is_ok_and(|status| named == Some((status.st_dev, status.st_ino)))
}

/// `warn: server 101: ...`: the message says it all, so fields are left out.
struct PlainLines;

impl<S: Subscriber> Layer<S> for PlainLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Without standard error there is nowhere to complain.
        let _ = io::stderr().write_all(plain_line(event).as_bytes());
    }
}

fn plain_line(event: &Event<'_>) -> String {
    let level = match *event.metadata().level() {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let mut message = Message(String::new());
    event.record(&mut message);
    let mut line = format!("{level}: ");
    for c in message.0.chars() {
        // What a server says must not forge lines or move a cursor.
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line.push('\n');
    line
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_journal_stream_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let status = file.metadata().unwrap();
        assert!(is_stream(&format!("{}:{}", status.dev(), status.ino()), &file));
        for other in ["", "1", "1:2", "a:b", "1:2:3"] {
            assert!(!is_stream(other, &file), "{other}");
        }
    }

    #[test]
    fn plain_lines_are_one_line_each() {
        #[derive(Default, Clone)]
        struct Keep(Arc<Mutex<Vec<String>>>);
        impl<S: Subscriber> Layer<S> for Keep {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                self.0.lock().unwrap().push(plain_line(event));
            }
        }
        let lines = Keep::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(server = 101, "server 101: \u{1b}[2J\nforged");
            tracing::info!("fine");
        });
        assert_eq!(
            *lines.0.lock().unwrap(),
            ["warn: server 101: \\u{1b}[2J\\nforged\n", "info: fine\n"]
        );
    }
}
