//! The store, and the task that writes to it: the loop never waits for a disk.
//!
//! 1. Opened at the start; a damaged file is set aside and named in the log.
//! 2. The engine asks for one commit at a time. What links leave behind is written when
//!    nothing of the engine's waits; of one server only the last counts.
//! 3. A store that cannot be used lets every commit fail: the engine says 5.00 to what
//!    would be lost, and the device goes on as it is configured.
//! 4. One that cannot be opened is tried again with back-off. Once it opens, the engine
//!    gets what is in it.
//! 5. A system on trial after an update works on a copy. Once it is confirmed the copy
//!    becomes the store: before the next update makes its own copy.

mod home;

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use lwm2m_engine::Ticket;
use lwm2m_model::record::{Change, Record, Session};
use lwm2m_security::Secret;
use lwm2m_store::{Opened, Store, StoreError};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

pub(crate) use home::Home;
use home::{Closed, Looked, Standing, gone, report};

/// Where records go.
pub(crate) struct Keeper {
    place: Place,
    /// A commit of the engine's that is yet to begin.
    waiting: Option<(Ticket, Vec<Change>)>,
    /// One that is over already.
    over: Option<(Ticket, Result<(), String>)>,
    /// What links have left behind, by Short Server ID.
    sessions: BTreeMap<u16, Secret>,
    under_way: Option<UnderWay>,
    /// What is written to is the copy of a system on trial.
    trial: Option<Trial>,
}

/// What a keeper has to tell.
#[derive(Debug)]
pub(crate) enum Told {
    /// A commit of the engine's is over.
    Committed(Ticket, Result<(), String>),
    /// A store that could not be opened at the start is open, with these records.
    Opened(Vec<Record>),
}

struct Trial {
    home: Home,
    /// When the standing is looked at next.
    look_at: Instant,
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

enum UnderWay {
    /// `None` for what links left behind.
    Commit(Option<Ticket>, JoinHandle<(Store, Result<(), StoreError>)>),
    Look(JoinHandle<Looked>),
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
            Ok((opened, standing)) => {
                let mut keeper = Self::at(Place::Busy);
                let records = keeper.take(opened, standing, home);
                Ok((keeper, records))
            }
            Err(error @ StoreError::InUse { .. }) => Err(error),
            Err(error) => Ok((Self::at(Place::Closed(Closed::new(home, &error))), Vec::new())),
        }
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            waiting: None,
            over: None,
            sessions: BTreeMap::new(),
            under_way: None,
            trial: None,
        }
    }

    /// Writes to this store from now on; gives its records.
    fn take(&mut self, opened: Opened, standing: Standing, home: Home) -> Vec<Record> {
        report(&opened.found);
        if standing == Standing::OnTrial {
            info!("the system is on trial: until it is confirmed, a copy of the store is used");
            self.trial = Some(Trial { home, look_at: Instant::now() + LOOK_EVERY });
        }
        self.place = Place::Store(opened.store);
        opened.records
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
                let (opened, standing) = closed.opened().await;
                let home = closed.home.clone();
                return Told::Opened(self.take(opened, standing, home));
            } else if let Some(trial) = &self.trial {
                sleep_until(trial.look_at).await;
            } else {
                pending::<()>().await;
            }
        }
    }

    /// Waits until nothing is left to be written.
    pub(crate) async fn settle(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.look_at = Instant::now();
        }
        loop {
            self.over = None;
            self.begin();
            if self.under_way.is_none() {
                return;
            }
            self.end().await;
        }
    }

    /// Begins what is to be done next, if there is something and nothing is under way.
    fn begin(&mut self) {
        let now = Instant::now();
        let trial = self.trial.as_mut().filter(|trial| trial.look_at <= now);
        if trial.is_none() && self.waiting.is_none() && self.sessions.is_empty() {
            return;
        }
        let mut store = match std::mem::replace(&mut self.place, Place::Busy) {
            Place::Store(store) => store,
            other => {
                self.place = other;
                return;
            }
        };
        if let Some(trial) = trial {
            trial.look_at = now + LOOK_EVERY;
            let home = trial.home.clone();
            self.under_way = Some(UnderWay::Look(spawn_blocking(move || home.look(store))));
            return;
        }
        let (ticket, changes) = match self.waiting.take() {
            Some((ticket, changes)) => (Some(ticket), changes),
            None => (None, std::mem::take(&mut self.sessions).into_iter().map(session).collect()),
        };
        let task = spawn_blocking(move || {
            let result = store.commit(&changes);
            (store, result)
        });
        self.under_way = Some(UnderWay::Commit(ticket, task));
    }

    /// Waits for the end of what is under way.
    async fn end(&mut self) {
        match &mut self.under_way {
            None => {}
            Some(UnderWay::Commit(ticket, task)) => {
                let (ticket, ended) = (*ticket, task.await);
                self.under_way = None;
                self.committed(ticket, ended);
            }
            Some(UnderWay::Look(task)) => {
                let ended = task.await;
                self.under_way = None;
                self.looked(ended);
            }
        }
    }

    fn looked(&mut self, ended: Result<Looked, JoinError>) {
        match ended {
            Ok(Looked::OnTrial(store)) => self.place = Place::Store(store),
            Ok(Looked::Confirmed(Ok(store))) => {
                info!("the system is confirmed: the copy of the store is the store now");
                self.trial = None;
                self.place = Place::Store(store);
            }
            Ok(Looked::Confirmed(Err(error))) => {
                if let Some(Trial { home, .. }) = self.trial.take() {
                    self.lose(Place::Closed(Closed::new(home, &error)), &error.to_string());
                }
            }
            Err(error) => {
                let reason = gone(&error);
                self.lose(Place::Gone(reason.clone()), &reason);
            }
        }
    }

    /// There is no store to write to any more.
    fn lose(&mut self, place: Place, reason: &str) {
        self.place = place;
        self.trial = None;
        self.sessions.clear();
        if let Some((ticket, _)) = self.waiting.take() {
            self.over = Some((ticket, Err(reason.to_owned())));
        }
    }

    fn committed(
        &mut self,
        ticket: Option<Ticket>,
        ended: Result<(Store, Result<(), StoreError>), JoinError>,
    ) {
        let result = match ended {
            Ok((store, result)) => {
                self.place = Place::Store(store);
                result.map_err(|error| error.to_string())
            }
            Err(error) => {
                let reason = gone(&error);
                self.lose(Place::Gone(reason.clone()), &reason);
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

/// How often the standing of a system on trial is looked at: no update is downloaded,
/// installed and booted into within this time.
const LOOK_EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
