//! What was answered, for messages that come again (RFC 7252 4.5).
//!
//! Two rings: one of entries, one of the bytes they stand for. The oldest goes
//! first, so a full cache costs no search and no allocation.

use std::collections::VecDeque;

use lwm2m_model::Instant;

use crate::Config;

/// Answers by message id of the peer.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    entries: VecDeque<Answer>,
    bytes: VecDeque<u8>,
}

#[derive(Debug)]
struct Answer {
    id: u16,
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
            let oldest = self.entries.pop_front().map_or(0, |oldest| oldest.len);
            self.bytes.drain(..oldest.min(self.bytes.len()));
        }
        self.entries.push_back(Answer { id: answer.id, until: answer.until, len: datagram.len() });
        self.bytes.extend(datagram);
    }

    /// What answered the message with this id; `None` if it is new, empty if
    /// there is nothing to repeat.
    pub(crate) fn find(&self, id: u16, now: Instant) -> Option<Vec<u8>> {
        let mut end = self.bytes.len();
        for answer in self.entries.iter().rev() {
            let start = end.saturating_sub(answer.len);
            if answer.id == id && answer.until > now {
                return Some(self.bytes.range(start..end).copied().collect());
            }
            end = start;
        }
        None
    }

    pub(crate) fn clear(&mut self) {
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
