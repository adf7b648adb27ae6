//! What has to outlive a power cut, and the requests that wait until it does (Core 6.3.5,
//! 8.1).
//!
//! 1. A deed is what a request changes for good: a written account, attached attributes,
//!    an observation. It is prepared, committed, then done and answered.
//! 2. What else a record holds is marked by its key when it changes, and written as it
//!    stands when its turn comes.
//! 3. One commit is under way at a time. The next one takes the deeds that wait, up to
//!    one that touches what another of them does, and what is marked.
//! 4. A commit fails: its deeds are refused with 5.00 and have changed nothing. What was
//!    marked is tried again later, by itself.
//!
//! To forget everything is a deed too, with a commit of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lwm2m_coap::Token;
use lwm2m_model::record::{Change, Key, Record};
use lwm2m_model::{
    AttributeUpdate, Attributes, Code, ContentFormat, Entry, Instant, Path, RequestError,
};

use crate::dispatch::{Job, Origin, Pending};
use crate::engine::Engine;
use crate::observations::Observer;
use crate::reply::Answer;
use crate::{Call, CallOperation, Event, Output, Ticket};

/// What is to be written, and what is being written.
#[derive(Debug, Default)]
pub(crate) struct Persistence {
    marked: BTreeSet<Key>,
    deeds: VecDeque<Deed>,
    under_way: Option<Commit>,
    next_ticket: u64,
    retry: Option<Retry>,
}

/// What a request changes for good.
#[derive(Debug)]
pub(crate) enum Deed {
    /// A Write of `/1`.
    Write { call: Call, job: Job },
    /// A Write-Attributes.
    Attach { server: u16, job: Job, update: AttributeUpdate },
    /// An Observe, answered with these values.
    Observe {
        job: Job,
        format: ContentFormat,
        own: Option<Attributes>,
        entries: Vec<Entry>,
        /// What is said to have changed since they were read.
        changed: Vec<Path>,
        /// The server has cancelled it, or registered anew: it is a Read after all.
        is_void: bool,
    },
    /// The factory reset that the operator has asked for by this request.
    ForgetAll { request: u64 },
}

/// What a deed comes to.
enum Prepared {
    /// This has to be on the medium first.
    Change(Change),
    /// It is so already.
    AsItIs,
    /// No more observations can be held: the Observe is a Read.
    NoRoom,
}

/// A commit whose result is awaited.
#[derive(Debug)]
struct Commit {
    ticket: Ticket,
    changes: Vec<Change>,
    deeds: Vec<Deed>,
    marked: Marked,
}

/// Whether what was marked is in a commit; where everything is removed it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marked {
    Included,
    Left,
}

/// When what is marked is tried again.
#[derive(Debug)]
struct Retry {
    at: Instant,
    failures: u32,
    reason: String,
}

impl Deed {
    /// Makes a Read of an Observe.
    fn make_void(&mut self) {
        if let Self::Observe { is_void, .. } = self {
            *is_void = true;
        }
    }
}

impl Persistence {
    /// Notes that the record of this key has changed. Where a store fails for so long that
    /// too many are marked, the record of an observation that should be gone may stay: one
    /// that a server has forgotten is ended by its Reset. There are few other keys.
    pub(crate) fn mark(&mut self, key: Key) {
        if self.marked.len() < MAX_MARKED || !matches!(key, Key::Observation(..)) {
            self.marked.insert(key);
        }
    }

    /// True while something is being written, or about to be.
    pub(crate) fn is_busy(&self) -> bool {
        let is_idle = self.deeds.is_empty() && (self.marked.is_empty() || self.retry.is_some());
        self.under_way.is_some() || !is_idle
    }

    /// Why the last commit failed, until one is done.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.retry.as_ref().map(|retry| retry.reason.as_str())
    }

    /// When [`Engine::commit`] has something to do by itself.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waits = self.under_way.is_none() && !self.marked.is_empty();
        self.retry.as_ref().filter(|_| waits).map(|retry| retry.at)
    }

    /// True if a new record of this key is on its way to the medium.
    pub(crate) fn is_writing(&self, key: &Key) -> bool {
        let is_of_key = |change: &Change| matches!(change, Change::Put(it) if it.key() == *key);
        let is_coming = self.retry.is_none() && self.marked.contains(key);
        is_coming || self.under_way.iter().any(|commit| commit.changes.iter().any(is_of_key))
    }

    /// Values at `path` may differ from those that an Observe will be answered with.
    pub(crate) fn note_changed(&mut self, path: &Path) {
        for deed in self.all_deeds() {
            if let Deed::Observe { job, changed, .. } = deed
                && (job.path.contains(path) || path.contains(&job.path))
                && !changed.contains(path)
            {
                if changed.len() >= MAX_CHANGED {
                    *changed = vec![job.path.clone()];
                } else {
                    changed.push(path.clone());
                }
            }
        }
    }

    fn all_deeds(&mut self) -> impl Iterator<Item = &mut Deed> {
        let under_way = self.under_way.iter_mut().flat_map(|commit| &mut commit.deeds);
        under_way.chain(&mut self.deeds)
    }

    fn failed(&mut self, now: Instant, reason: String) {
        let failures = self.retry.as_ref().map_or(0, |retry| retry.failures).saturating_add(1);
        let pause = RETRY_COMMIT * 2u32.pow(failures.min(MAX_DOUBLINGS) - 1);
        self.retry = Some(Retry { at: now + pause, failures, reason });
    }

    /// A commit was done: one of what was marked proves that trying again is over.
    fn succeeded(&mut self, now: Instant, commit: &Commit) {
        if commit.marked == Marked::Included || self.marked.is_empty() {
            self.retry = None;
        } else if let Some(retry) = &mut self.retry {
            retry.at = now;
        }
    }
}

impl Engine {
    /// Does this once it is on the medium.
    pub(crate) fn promise(&mut self, deed: Deed) {
        if self.persistence.deeds.len() < MAX_WAITING_TO_PERSIST {
            return self.persistence.deeds.push_back(deed);
        }
        let reason = "too many requests wait to be stored";
        self.refuse(deed, RequestError::new(Code::SERVICE_UNAVAILABLE, reason));
    }

    /// The record of this key has changed.
    pub(crate) fn mark(&mut self, key: Key) {
        self.persistence.mark(key);
    }

    /// Observations of a server that have yet to begin are not wanted any more: those that
    /// wait to be stored, and those whose values an object is still asked for.
    pub(crate) fn void_observations(&mut self, server: u16, wanted: impl Fn(&Job) -> bool) {
        let is_meant = |job: &Job| job.origin.server() == Some(server) && wanted(job);
        for deed in self.persistence.all_deeds() {
            if matches!(deed, Deed::Observe { job, .. } if is_meant(job)) {
                deed.make_void();
            }
        }
        for open in self.calls.values_mut() {
            if let Pending::Observe { job, format, .. } = &open.pending
                && is_meant(job)
            {
                open.pending = Pending::Read { job: job.clone(), format: *format };
            }
        }
    }

    /// Begins the next commit if none is under way.
    pub(crate) fn commit(&mut self) {
        if self.persistence.under_way.is_some() {
            return;
        }
        let mut changes: BTreeMap<Key, Change> = BTreeMap::new();
        let mut deeds = Vec::new();
        while let Some(mut deed) = self.persistence.deeds.pop_front() {
            let Some(key) = self.key_of(&deed) else {
                if deeds.is_empty() {
                    return self.begin_commit(
                        vec![Change::RemoveAll],
                        vec![deed],
                        Marked::Included,
                    );
                }
                self.persistence.deeds.push_front(deed);
                break;
            };
            if changes.keys().any(|other| touches(other, &key)) {
                self.persistence.deeds.push_front(deed);
                break;
            }
            let begun = deeds.iter().filter(|deed| matches!(deed, Deed::Observe { .. })).count();
            match self.prepare(&deed, begun) {
                Ok(Prepared::Change(change)) => {
                    self.persistence.marked.remove(&key);
                    changes.insert(key, change);
                    deeds.push(deed);
                }
                Ok(Prepared::AsItIs) => self.carry_out(deed),
                Ok(Prepared::NoRoom) => {
                    deed.make_void();
                    self.carry_out(deed);
                }
                Err(error) => self.refuse(deed, error),
            }
        }
        let now = self.now.boot;
        let is_due = |retry: &Retry| deeds.is_empty() && retry.at <= now;
        let is_time = self.persistence.retry.as_ref().is_none_or(is_due);
        let marked = if is_time { Marked::Included } else { Marked::Left };
        while marked == Marked::Included
            && changes.len() < MAX_CHANGES
            && let Some(key) = self.persistence.marked.pop_first()
        {
            let change = self.change_of(&key);
            changes.insert(key, change);
        }
        if changes.is_empty() {
            return;
        }
        self.begin_commit(changes.into_values().collect(), deeds, marked);
    }

    fn begin_commit(&mut self, changes: Vec<Change>, deeds: Vec<Deed>, marked: Marked) {
        let ticket = Ticket(self.persistence.next_ticket);
        self.persistence.next_ticket += 1;
        self.outputs.push_back(Output::Persist { ticket, changes: changes.clone() });
        self.persistence.under_way = Some(Commit { ticket, changes, deeds, marked });
    }

    /// What came of a commit.
    pub(crate) fn persisted(&mut self, ticket: Ticket, result: Result<(), String>) {
        let is_awaited = |commit: &mut Commit| commit.ticket == ticket;
        let Some(mut commit) = self.persistence.under_way.take_if(is_awaited) else { return };
        let now = self.now.boot;
        let deeds = std::mem::take(&mut commit.deeds);
        match result {
            Ok(()) => {
                self.persistence.succeeded(now, &commit);
                for deed in deeds {
                    self.carry_out(deed);
                }
                for change in &commit.changes {
                    if let Change::Put(Record::Observation(record)) = change {
                        self.numbers_reserved(record);
                    }
                }
            }
            Err(reason) => {
                self.persistence.failed(now, reason.clone());
                for change in commit.changes {
                    // Perhaps it did reach the medium: what is so is written over it.
                    match change {
                        Change::Put(record) => self.mark(record.key()),
                        Change::Remove(key) => self.mark(key),
                        Change::RemoveAll => self.mark_all(),
                    }
                }
                for deed in deeds {
                    let why = format!("it could not be stored: {reason}");
                    self.refuse(deed, RequestError::new(Code::INTERNAL_SERVER_ERROR, why));
                }
                self.outputs.push_back(Output::Event(Event::NotPersisted { reason }));
            }
        }
    }

    /// The record that a deed changes; `None` for all of them.
    fn key_of(&self, deed: &Deed) -> Option<Key> {
        Some(match deed {
            Deed::Write { call, .. } => {
                // One that is gone is refused when it is prepared.
                Key::Account(self.account_at(&call.path).unwrap_or_default())
            }
            Deed::Attach { server, job, .. } => Key::Attached(*server, job.path.clone()),
            Deed::Observe { job, .. } => {
                let (server, token) = observer_of(job);
                Key::Observation(server, token.as_bytes().to_vec())
            }
            Deed::ForgetAll { .. } => return None,
        })
    }

    /// What a deed changes on the medium, with `begun` observations about to begin.
    fn prepare(&self, deed: &Deed, begun: usize) -> Result<Prepared, RequestError> {
        let change = match deed {
            Deed::Write { call, .. } => match &call.operation {
                CallOperation::Write { entries, .. } => self.account_change(&call.path, entries)?,
                _ => None,
            },
            Deed::Attach { server, job, update } => {
                self.attached_change(*server, &job.path, update)?
            }
            Deed::ForgetAll { .. } => Some(Change::RemoveAll),
            Deed::Observe { is_void: true, .. } => None,
            Deed::Observe { job, format, own, .. } => {
                let (id, token) = observer_of(job);
                let observer = Observer::Server { id, token };
                if self.has_no_room(observer, begun) {
                    return Ok(Prepared::NoRoom);
                }
                self.observation_change(observer, job, *format, own)
            }
        };
        Ok(change.map_or(Prepared::AsItIs, Prepared::Change))
    }

    /// Does a deed that is on the medium, and answers.
    fn carry_out(&mut self, deed: Deed) {
        let key = self.key_of(&deed);
        let again = |engine: &mut Self| key.into_iter().for_each(|key| engine.mark(key));
        match deed {
            Deed::Write { call, job } => {
                let result = self.server_object(&call);
                self.complete(call.id, Pending::Act { job }, result);
            }
            Deed::Attach { server, job, update } => {
                // It may have been deleted meanwhile.
                let outcome = self.target(&job.path).and_then(|_| {
                    if let Some(server) = self.servers.get_mut(&server) {
                        server.attached.update(&job.path, &update)?;
                    }
                    Ok(Answer::Code(Code::CHANGED))
                });
                match outcome {
                    Ok(_) => self.attributes_changed(Some(server), &job.path),
                    Err(_) => again(self),
                }
                self.answer(&job, outcome);
            }
            Deed::Observe { job, format, own, entries, changed, is_void } => {
                let outcome = self.target(&job.path).map(|_| {
                    let begins = !is_void;
                    let observe = begins
                        .then(|| self.begin_observation(&job, format, own, &entries))
                        .flatten();
                    Answer::Values { entries, format, observe }
                });
                if !matches!(outcome, Ok(Answer::Values { observe: Some(_), .. })) {
                    again(self);
                }
                self.answer(&job, outcome);
                for path in &changed {
                    self.changed(path);
                }
            }
            Deed::ForgetAll { request } => {
                self.forget_all();
                self.outputs.push_back(Output::LocalReply { id: request, result: Ok(Vec::new()) });
            }
        }
    }

    /// Refuses what waits to be stored, but for another reset.
    pub(crate) fn refuse_waiting(&mut self, error: &RequestError) {
        let is_reset = |deed: &Deed| matches!(deed, Deed::ForgetAll { .. });
        let waiting = std::mem::take(&mut self.persistence.deeds);
        let (resets, refused): (VecDeque<_>, VecDeque<_>) = waiting.into_iter().partition(is_reset);
        self.persistence.deeds = resets;
        for deed in refused {
            self.refuse(deed, error.clone());
        }
    }

    /// What is marked is tried at once: the store is another one.
    pub(crate) fn retry_commit(&mut self) {
        if let Some(retry) = &mut self.persistence.retry {
            retry.at = self.now.boot;
        }
    }

    fn refuse(&mut self, deed: Deed, error: RequestError) {
        match deed {
            Deed::Write { call, job } => self.complete(call.id, Pending::Act { job }, Err(error)),
            Deed::Attach { job, .. } | Deed::Observe { job, .. } => self.answer(&job, Err(error)),
            Deed::ForgetAll { request: id } => {
                self.outputs.push_back(Output::LocalReply { id, result: Err(error) });
            }
        }
    }
}

/// True if a deed that changes one record must not be prepared before one that changes
/// the other is done. Attributes of a server count together: their number is limited.
fn touches(one: &Key, other: &Key) -> bool {
    match (one, other) {
        (Key::Attached(one, _), Key::Attached(other, _)) => one == other,
        _ => one == other,
    }
}

/// Who observes. Only what a server observes is stored.
fn observer_of(job: &Job) -> (u16, Token) {
    match job.origin {
        Origin::Server { id, token, .. } => (id, token),
        Origin::Local { .. } => (0, Token::default()),
    }
}

/// Requests that wait to be stored; more are answered 5.03.
pub const MAX_WAITING_TO_PERSIST: usize = 64;
/// Keys that wait to be written: every observation that comes and goes twice.
const MAX_MARKED: usize = 2 * crate::MAX_OBSERVATIONS;
/// Changes in one commit; the others follow in the next.
const MAX_CHANGES: usize = 256;
/// Changed paths remembered of an Observe that waits.
const MAX_CHANGED: usize = 8;
/// First pause after a commit has failed; doubled with each failure.
const RETRY_COMMIT: Duration = Duration::from_secs(10);
/// It grows to 2^8 times the first, 43 minutes.
const MAX_DOUBLINGS: u32 = 9;
