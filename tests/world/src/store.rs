//! The store of the device: it remembers what has reached the medium, and loses at once
//! what has not.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_engine::Ticket;
use lwm2m_model::Instant;
use lwm2m_model::record::{Change, Key, Record};

/// What survives the device.
#[derive(Debug, Default)]
pub struct Store {
    on_medium: BTreeMap<Key, Record>,
    /// How long a commit takes; zero is done in place.
    pub pace: Duration,
    /// Commits fail.
    pub fails: bool,
    /// Every commit that was asked for, with its time.
    pub commits: Vec<(Instant, Vec<Change>)>,
    writing: Option<(Instant, Ticket, Vec<Change>)>,
}

/// A commit that is over, and what came of it.
pub(crate) type Ended = (Ticket, Result<(), String>);

/// What becomes of a commit that is under way when the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing of it is there.
    Before,
    /// All of it is there, which nobody was told.
    After,
}

impl Store {
    /// The record of this key.
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.on_medium.get(key)
    }

    /// All records.
    pub fn records(&self) -> Vec<Record> {
        self.on_medium.values().cloned().collect()
    }

    /// Puts a record there that the device has not written.
    pub fn put(&mut self, record: Record) {
        self.on_medium.insert(record.key(), record);
    }

    /// Everything is gone, as when a damaged store was set aside.
    pub fn lose(&mut self) {
        self.on_medium.clear();
    }

    /// A commit begins; gives its end if that is now.
    ///
    /// # Errors
    /// If another one is under way.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        ticket: Ticket,
        changes: Vec<Change>,
    ) -> Result<Option<Ended>, String> {
        if self.writing.is_some() {
            return Err("a commit while another one is under way".into());
        }
        self.commits.push((now, changes.clone()));
        self.writing = Some((now + self.pace, ticket, changes));
        Ok(self.end(now))
    }

    /// When the commit that is under way is over.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.writing.as_ref().map(|(at, ..)| *at)
    }

    /// The end of a commit, if it is due.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Ended> {
        let (_, ticket, changes) = self.writing.take_if(|(at, ..)| *at <= now)?;
        if self.fails {
            return Some((ticket, Err("no space left on device".into())));
        }
        self.apply(changes);
        Some((ticket, Ok(())))
    }

    pub(crate) fn cut(&mut self, cut: Cut) {
        if let Some((_, _, changes)) = self.writing.take()
            && cut == Cut::After
            && !self.fails
        {
            self.apply(changes);
        }
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(record) => drop(self.on_medium.insert(record.key(), record)),
                Change::Remove(key) => drop(self.on_medium.remove(&key)),
                Change::RemoveAll => self.on_medium.clear(),
            }
        }
    }
}
