//! The store, and the task that writes to it: the loop never waits for a disk.
//!
//! 1. Opened at the start; a damaged file is set aside and named in the log.
//! 2. The engine asks for one commit at a time. What links leave behind is written when
//!    nothing of the engine's waits; of one server only the last counts.
//! 3. A store that cannot be used lets every commit fail: the engine says 5.00 to what
//!    would be lost, and the device goes on as it is configured.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::Path;

use lwm2m_engine::Ticket;
use lwm2m_model::record::{Change, Record, Session};
use lwm2m_security::Secret;
use lwm2m_store::{Found, Store, StoreError};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{debug, error, warn};

/// Where records go.
pub(crate) struct Keeper {
    place: Place,
    /// A commit of the engine's that is yet to begin.
    waiting: Option<(Ticket, Vec<Change>)>,
    /// One that is over already.
    over: Option<(Ticket, Result<(), String>)>,
    /// What links have left behind, by Short Server ID.
    sessions: BTreeMap<u16, Secret>,
    under_way: Option<Commit>,
}

enum Place {
    /// Nothing is meant to survive.
    Nowhere,
    /// It is being written to.
    Busy,
    Store(Store),
    /// It cannot be used, for this reason.
    Unusable(String),
}

struct Commit {
    /// `None` for what links left behind.
    ticket: Option<Ticket>,
    task: JoinHandle<(Store, Result<(), StoreError>)>,
}

impl Keeper {
    /// Nothing survives, and that is all right.
    pub(crate) fn nowhere() -> Self {
        Self::at(Place::Nowhere)
    }

    /// Opens the store in `directory`; gives its records.
    ///
    /// # Errors
    /// If another process works with it: two agents must not share a device.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Vec<Record>), StoreError> {
        match Store::open(directory, "") {
            Ok(opened) => {
                match &opened.found {
                    Found::Nothing | Found::Store => {}
                    Found::Damaged { kept, reason } => {
                        let (message_id, kept) = (DAMAGED, kept.display());
                        warn!(
                            message_id,
                            "the store is damaged ({reason}) and kept as {kept}: the device \
                             starts from its configuration"
                        );
                    }
                    Found::Newer { kept } => {
                        let (message_id, kept) = (NEWER, kept.display());
                        warn!(
                            message_id,
                            "the store is of a newer version and kept as {kept}: the device \
                             starts from its configuration"
                        );
                    }
                }
                Ok((Self::at(Place::Store(opened.store)), opened.records))
            }
            Err(error @ StoreError::InUse { .. }) => Err(error),
            Err(error) => {
                let message_id = UNUSABLE;
                error!(message_id, "{error}; what servers write will be refused");
                Ok((Self::at(Place::Unusable(error.to_string())), Vec::new()))
            }
        }
    }

    fn at(place: Place) -> Self {
        Self { place, waiting: None, over: None, sessions: BTreeMap::new(), under_way: None }
    }

    /// Takes a commit of the engine's; [`Keeper::next`] tells its end.
    pub(crate) fn commit(&mut self, ticket: Ticket, changes: Vec<Change>) {
        match &self.place {
            Place::Nowhere => self.over = Some((ticket, Ok(()))),
            Place::Unusable(reason) => self.over = Some((ticket, Err(reason.clone()))),
            Place::Busy | Place::Store(_) => self.waiting = Some((ticket, changes)),
        }
    }

    /// Takes what the last link to a server has left behind.
    pub(crate) fn remember(&mut self, server: u16, memory: Secret) {
        if matches!(self.place, Place::Busy | Place::Store(_)) {
            self.sessions.insert(server, memory);
        }
    }

    /// Drops what the last link to a server has left behind, if it is yet to be written.
    pub(crate) fn forget(&mut self, server: u16) {
        self.sessions.remove(&server);
    }

    /// True if everything has been written that was to be.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_none()
            && self.waiting.is_none()
            && self.sessions.is_empty()
            && self.over.is_none()
    }

    /// Waits for the end of a commit of the engine's.
    ///
    /// Cancel safe: what is under way goes on, and its end is kept.
    pub(crate) async fn next(&mut self) -> (Ticket, Result<(), String>) {
        loop {
            if let Some(over) = self.over.take() {
                return over;
            }
            self.begin();
            if self.under_way.is_none() {
                pending::<()>().await;
            }
            self.end().await;
        }
    }

    /// Waits until nothing is left to be written.
    pub(crate) async fn settle(&mut self) {
        while !self.is_idle() {
            self.over = None;
            self.begin();
            self.end().await;
        }
    }

    /// Begins the next commit, if there is one and none is under way.
    fn begin(&mut self) {
        if self.waiting.is_none() && self.sessions.is_empty() {
            return;
        }
        let mut store = match std::mem::replace(&mut self.place, Place::Busy) {
            Place::Store(store) => store,
            other => {
                self.place = other;
                return;
            }
        };
        let (ticket, changes) = match self.waiting.take() {
            Some((ticket, changes)) => (Some(ticket), changes),
            None => (None, std::mem::take(&mut self.sessions).into_iter().map(session).collect()),
        };
        let task = spawn_blocking(move || {
            let result = store.commit(&changes);
            (store, result)
        });
        self.under_way = Some(Commit { ticket, task });
    }

    /// Waits for the end of the commit that is under way.
    async fn end(&mut self) {
        let Some(commit) = &mut self.under_way else { return };
        let ended = (&mut commit.task).await;
        let ticket = commit.ticket;
        self.under_way = None;
        let result = match ended {
            Ok((store, result)) => {
                self.place = Place::Store(store);
                result.map_err(|error| error.to_string())
            }
            Err(error) => {
                let reason = format!("the store is gone: {error}");
                self.place = Place::Unusable(reason.clone());
                self.sessions.clear();
                if let Some((ticket, _)) = self.waiting.take() {
                    self.over = Some((ticket, Err(reason.clone())));
                }
                Err(reason)
            }
        };
        match (ticket, result) {
            (Some(ticket), result) => self.over = Some((ticket, result)),
            (None, Ok(())) => {}
            // It only makes the next handshake longer.
            (None, Err(reason)) => debug!("a session cannot be kept: {reason}"),
        }
    }
}

fn session((server, memory): (u16, Secret)) -> Change {
    let secret = memory.expose().to_vec();
    Change::Put(Record::Session(Session { server, secret }))
}

/// Message ids of the journal, as those of events.
const DAMAGED: &str = "9f2ecea616204bbe9976d6dc3c057f7e";
const NEWER: &str = "889aa4b223ec4dbf93ad215df1d84932";
const UNUSABLE: &str = "f5694b2728f24d5492c9c95bfa8d4ec6";
