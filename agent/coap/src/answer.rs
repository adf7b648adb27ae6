//! What was answered, for messages that come again (RFC 7252 4.5).
//!
//! Three rings: one of message ids, one of what else there is to know of them, one of
//! the bytes they stand for. The oldest goes first, so a full cache costs no search and
//! no allocation; each request is looked for among the ids, and most are new.

use std::collections::VecDeque;

use lwm2m_model::Instant;

use crate::Config;

/// Answers by message id of the peer.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    ids: VecDeque<u16>,
    /// As many as there are ids, in the same order.
    entries: VecDeque<Answer>,
    bytes: VecDeque<u8>,
}

#[derive(Debug)]
struct Answer {
    until: Instant,
    /// Bytes in the ring that are this answer; 0 if there is none to repeat.
    len: usize,
}

impl Answers {
    /// Remembers a message id with the datagram that answered it, which may be empty.
    pub(crate) fn insert(&mut self, now: Instant, answer: Finished<'_>, config: &Config) {
        let fits = answer.datagram.len() <= config.answer_cache_bytes;
        let datagram = if fits { answer.datagram } else { &[] };
        let room = config.answer_cache_bytes - datagram.len();
        while self.entries.front().is_some_and(|oldest| {
            oldest.until <= now
                || self.entries.len() >= config.answer_cache_entries.max(1)
                || self.bytes.len() > room
        }) {
            self.ids.pop_front();
            let oldest = self.entries.pop_front().map_or(0, |oldest| oldest.len);
            self.bytes.drain(..oldest.min(self.bytes.len()));
        }
        self.ids.push_back(answer.id);
        self.entries.push_back(Answer { until: answer.until, len: datagram.len() });
        self.bytes.extend(datagram);
    }

    /// What answered the message with this id; `None` if it is new, empty if
    /// there is nothing to repeat.
    pub(crate) fn find(&self, id: u16, now: Instant) -> Option<Vec<u8>> {
        // Slices are searched many at a time.
        let (older, newer) = self.ids.as_slices();
        if !older.contains(&id) && !newer.contains(&id) {
            return None;
        }
        let mut end = self.bytes.len();
        for (known, answer) in self.ids.iter().zip(&self.entries).rev() {
            let start = end.saturating_sub(answer.len);
            if *known == id && answer.until > now {
                return Some(self.bytes.range(start..end).copied().collect());
            }
            end = start;
        }
        None
    }

    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.entries.clear();
        self.bytes.clear();
    }
}

/// A message of the peer that is done with.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    /// Its message id.
    pub(crate) id: u16,
    /// The end of the message id's life.
    pub(crate) until: Instant,
    /// What answered it.
    pub(crate) datagram: &'a [u8],
}
