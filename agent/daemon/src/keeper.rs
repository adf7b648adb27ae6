//! The store, and the task that writes to it: the loop never waits for a disk.
//!
//! 1. Opened at the start; a damaged file is set aside and named in the log.
//! 2. The engine asks for one commit at a time. What links leave behind is written when
//!    nothing of the engine's waits; of one server only the last counts.
//! 3. A store that cannot be used lets every commit fail: the engine says 5.00 to what
//!    would be lost, and the device goes on as it is configured.
//! 4. One that cannot be opened is tried again with back-off. Once it opens, the engine
//!    gets what is in it.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use lwm2m_engine::Ticket;
use lwm2m_model::record::{Change, Record, Session};
use lwm2m_security::Secret;
use lwm2m_store::{Found, Opened, Store, StoreError};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

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

/// What a keeper has to tell.
#[derive(Debug)]
pub(crate) enum Told {
    /// A commit of the engine's is over.
    Committed(Ticket, Result<(), String>),
    /// A store that could not be opened at the start is open, with these records.
    Opened(Vec<Record>),
}

/// Which store is meant.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// The state directory.
    pub(crate) directory: PathBuf,
    /// What tells the system that runs from others on this device.
    pub(crate) system: String,
}

enum Place {
    /// Nothing is meant to survive.
    Nowhere,
    /// It is being written to.
    Busy,
    Store(Store),
    /// It could not be opened so far.
    Closed(Closed),
    /// It is gone, for this reason.
    Gone(String),
}

struct Closed {
    home: Home,
    reason: String,
    /// Between the last two attempts.
    pause: Duration,
    attempt: Attempt,
}

enum Attempt {
    At(Instant),
    UnderWay(JoinHandle<Result<Opened, StoreError>>),
}

struct Commit {
    /// `None` for what links left behind.
    ticket: Option<Ticket>,
    task: JoinHandle<(Store, Result<(), StoreError>)>,
}

impl Home {
    fn open(&self) -> Result<Opened, StoreError> {
        Store::open(&self.directory, &self.system)
    }
}

impl Keeper {
    /// Nothing survives, and that is all right.
    pub(crate) fn nowhere() -> Self {
        Self::at(Place::Nowhere)
    }

    /// Opens the store; gives its records.
    ///
    /// # Errors
    /// If another process works with it: two agents must not share a device.
    pub(crate) fn open(home: Home) -> Result<(Self, Vec<Record>), StoreError> {
        match home.open() {
            Ok(opened) => {
                report(&opened.found);
                Ok((Self::at(Place::Store(opened.store)), opened.records))
            }
            Err(error @ StoreError::InUse { .. }) => Err(error),
            Err(error) => {
                let message_id = UNUSABLE;
                let reason = error.to_string();
                error!(message_id, "{reason}; what servers write will be refused until it opens");
                let attempt = Attempt::At(Instant::now() + FIRST_PAUSE);
                let closed = Closed { home, reason, pause: FIRST_PAUSE, attempt };
                Ok((Self::at(Place::Closed(closed)), Vec::new()))
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
            Place::Closed(Closed { reason, .. }) | Place::Gone(reason) => {
                self.over = Some((ticket, Err(reason.clone())));
            }
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

    /// Waits for something to tell.
    ///
    /// Cancel safe: what is under way goes on, and its end is kept.
    pub(crate) async fn next(&mut self) -> Told {
        loop {
            if let Some((ticket, result)) = self.over.take() {
                return Told::Committed(ticket, result);
            }
            self.begin();
            if self.under_way.is_some() {
                self.end().await;
            } else if let Place::Closed(closed) = &mut self.place {
                let opened = closed.opened().await;
                self.place = Place::Store(opened.store);
                return Told::Opened(opened.records);
            } else {
                pending::<()>().await;
            }
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
                let reason = gone(&error);
                self.place = Place::Gone(reason.clone());
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

impl Closed {
    /// Tries again and again; cancel safe.
    async fn opened(&mut self) -> Opened {
        loop {
            let reason = match &mut self.attempt {
                Attempt::At(at) => {
                    sleep_until(*at).await;
                    let home = self.home.clone();
                    self.attempt = Attempt::UnderWay(spawn_blocking(move || home.open()));
                    continue;
                }
                Attempt::UnderWay(task) => match task.await {
                    Ok(Ok(opened)) => {
                        report(&opened.found);
                        let message_id = USABLE;
                        info!(
                            message_id,
                            "store {}: can be used again",
                            opened.store.path().display()
                        );
                        return opened;
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => gone(&error),
                },
            };
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            debug!("{reason}; the next attempt is in {} s", self.pause.as_secs());
            self.reason = reason;
            self.attempt = Attempt::At(Instant::now() + self.pause);
        }
    }
}

/// Names what was not taken over.
fn report(found: &Found) {
    match found {
        Found::Nothing | Found::Store => {}
        Found::Damaged { kept, reason } => {
            let (message_id, kept) = (DAMAGED, kept.display());
            warn!(
                message_id,
                "the store is damaged ({reason}) and kept as {kept}: the device starts from its \
                 configuration"
            );
        }
        Found::Newer { kept } => {
            let (message_id, kept) = (NEWER, kept.display());
            warn!(
                message_id,
                "the store is of a newer version and kept as {kept}: the device starts from its \
                 configuration"
            );
        }
    }
}

fn gone(error: &JoinError) -> String {
    format!("the store is gone: {error}")
}

fn session((server, memory): (u16, Secret)) -> Change {
    let secret = memory.expose().to_vec();
    Change::Put(Record::Session(Session { server, secret }))
}

/// A store that cannot be opened is tried again after this, then after twice as long each
/// time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Message ids of the journal, as those of events.
const DAMAGED: &str = "9f2ecea616204bbe9976d6dc3c057f7e";
const NEWER: &str = "889aa4b223ec4dbf93ad215df1d84932";
const UNUSABLE: &str = "f5694b2728f24d5492c9c95bfa8d4ec6";
const USABLE: &str = "098d8e05a26441068c9a150bd3e6fd5b";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A store with one record, out of reach: no file can be opened where a directory is.
    fn out_of_reach(directory: &Path) -> Home {
        let home = Home { directory: directory.to_owned(), system: String::new() };
        let mut store = home.open().unwrap().store;
        store.commit(&[session((101, Secret::new(vec![1])))]).unwrap();
        drop(store);
        fs::rename(directory.join(NAME), directory.join("away")).unwrap();
        fs::create_dir(directory.join(NAME)).unwrap();
        home
    }

    fn bring_back(directory: &Path) {
        fs::remove_dir(directory.join(NAME)).unwrap();
        fs::rename(directory.join("away"), directory.join(NAME)).unwrap();
    }

    /// What is told within so many seconds.
    async fn told(keeper: &mut Keeper, seconds: u64) -> Option<Told> {
        tokio::time::timeout(Duration::from_secs(seconds), keeper.next()).await.ok()
    }

    /// DESIGN 4.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_cannot_be_opened_is_tried_again_with_back_off() {
        let directory = tempfile::tempdir().unwrap();
        let (mut keeper, records) = Keeper::open(out_of_reach(directory.path())).unwrap();
        assert_eq!(records, []);
        // After 10, 30, 70, 150, 310, 630 s, then every 600 s.
        assert!(told(&mut keeper, 629).await.is_none());
        keeper.commit(Ticket(1), Vec::new());
        match keeper.next().await {
            Told::Committed(Ticket(1), Err(reason)) => assert!(reason.contains(NAME), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert!(told(&mut keeper, 2).await.is_none());
        bring_back(directory.path());
        assert!(told(&mut keeper, 595).await.is_none(), "not sooner");
        match told(&mut keeper, 10).await {
            Some(Told::Opened(records)) => assert_eq!(records.len(), 1),
            other => panic!("{other:?}"),
        }
        keeper.commit(Ticket(2), vec![Change::RemoveAll]);
        assert!(matches!(keeper.next().await, Told::Committed(Ticket(2), Ok(()))));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_store_can_be_cancelled_at_any_time() {
        let directory = tempfile::tempdir().unwrap();
        let (mut keeper, _) = Keeper::open(out_of_reach(directory.path())).unwrap();
        bring_back(directory.path());
        for _ in 0..11 {
            match told(&mut keeper, 1).await {
                None => {}
                Some(Told::Opened(records)) => return assert_eq!(records.len(), 1),
                other => panic!("{other:?}"),
            }
        }
        panic!("it was not opened after 10 s");
    }

    #[tokio::test]
    async fn what_a_link_left_behind_is_forgotten_if_it_is_not_written_yet() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home { directory: directory.path().to_owned(), system: String::new() };
        let (mut keeper, _) = Keeper::open(home.clone()).unwrap();
        keeper.remember(101, Secret::new(vec![1]));
        keeper.remember(102, Secret::new(vec![2]));
        keeper.forget(101);
        keeper.settle().await;
        drop(keeper);
        let (_, records) = Keeper::open(home).unwrap();
        assert_eq!(records, [Record::Session(Session { server: 102, secret: vec![2] })]);
    }

    const NAME: &str = "lwm2md.db";
}
