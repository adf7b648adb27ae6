//! What happened, as lines for a person; kept only where somebody will read it.

use std::collections::VecDeque;

use lwm2m_model::Instant;

/// The last lines of a story.
#[derive(Debug, Default)]
pub struct Log {
    lines: VecDeque<String>,
    muted: bool,
}

impl Log {
    /// A log that keeps nothing: for a thousand histories nobody reads.
    pub const fn muted() -> Self {
        Self { lines: VecDeque::new(), muted: true }
    }

    /// Notes what happened at `now`.
    pub fn note(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if self.muted {
            return;
        }
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{now:?} {}", line()));
    }

    /// All lines.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

/// Lines kept.
const MAX_LINES: usize = 20_000;
