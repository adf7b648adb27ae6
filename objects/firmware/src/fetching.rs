//! A package is fetched by its URI (Objects 7.2, the rows of a pull).
//!
//! 1. The URI is recorded, then an attempt begins, where the last one left off if its
//!    ETag is known.
//! 2. The source says where it begins; that is recorded, then the file is cut to it.
//! 3. Parts are stored one at a time. What a power cut leaves is recorded as it grows,
//!    not with each part.
//! 4. After the end all of it is durable, and recorded so; then it is checked.
//! 5. An attempt that was cut off is followed by another, after a pause that grows, until
//!    nothing new has come for as long as the patience of the configuration.
//!
//! State stays Downloading meanwhile, also through restarts.

use std::time::Duration;

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, MAX_ETAG, Resume};
use lwm2m_model::{Instant, Now};

use crate::event::{Action, Failure, Ticket};
use crate::machine::{Machine, Phase};
use crate::record::{Progress, UpdateResult};
use crate::restart::{Found, Running};
use crate::rules::{is_supported, result_of};
use crate::text::one_line;

/// The attempts at one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetching {
    stage: Stage,
    /// Bytes that are stored, durable or not.
    stored: u64,
    /// The most that ever were: less is no progress, since a source without an ETag, or
    /// with another each time, begins anew for ever.
    farthest: u64,
    /// When there was progress, or the agent was started.
    since: Instant,
    /// How long there had been none before.
    waited_before: Duration,
    /// Before the next attempt.
    pause: Duration,
    /// Why the last attempt failed.
    cause: String,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The source has been asked.
    Asked(Ticket),
    /// The file is made, or cut to what counts.
    Opening(Ticket),
    /// Parts come in.
    Receiving(Ticket),
    /// So many bytes are being stored.
    Storing(Ticket, u64),
    /// All has come, and is made durable.
    Ending,
    /// The next attempt is due then.
    Paused(Instant),
}

impl Fetching {
    /// When the next attempt is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Paused(at) => Some(at),
            Stage::Asked(_)
            | Stage::Opening(_)
            | Stage::Receiving(_)
            | Stage::Storing(..)
            | Stage::Ending => None,
        }
    }

    /// The attempt that is under way.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        match self.stage {
            Stage::Asked(ticket)
            | Stage::Opening(ticket)
            | Stage::Receiving(ticket)
            | Stage::Storing(ticket, _) => Some(ticket),
            Stage::Ending | Stage::Paused(_) => None,
        }
    }
}

impl Machine {
    /// Fetches what the record says, of which `stored` bytes are there.
    pub(crate) fn fetch(&mut self, now: &Now, stored: u64, out: &mut Vec<Action>) {
        let waited = self.record.fetch.as_ref().map_or(0, |progress| progress.waited);
        self.attempt(
            Fetching {
                stage: Stage::Paused(now.boot),
                stored,
                farthest: stored,
                since: now.boot,
                waited_before: Duration::from_secs(waited),
                pause: FIRST_PAUSE,
                cause: String::new(),
            },
            out,
        );
    }

    /// Goes on after a restart.
    pub(crate) fn resume_fetch(&mut self, found: &Found, now: &Now, out: &mut Vec<Action>) {
        let Some(progress) = self.record.fetch.clone() else { return };
        let durable = if found.package { progress.offset } else { 0 };
        if durable > 0 && progress.size == Some(durable) {
            self.check_fetched(out);
        } else if is_supported(&self.record.uri, &self.config.protocols) {
            self.fetch(now, durable, out);
        } else {
            // Not the URI itself: it may hold what proves the device to the source.
            let cause = "Package URI can no longer be fetched from here".into();
            self.end(now, UpdateResult::UnsupportedScheme, Some(cause), out);
        }
    }

    /// A package that was to be streamed goes on after a restart.
    pub(crate) fn resume_stream(&mut self, now: &Now, out: &mut Vec<Action>) {
        if is_supported(&self.record.uri, &self.config.streams) {
            self.check_fetched(out);
        } else {
            self.fetch_instead(now, None, out);
        }
    }

    /// The installer cannot read the package from where it is.
    pub(crate) fn fetch_instead(
        &mut self,
        now: &Now,
        cause: Option<String>,
        out: &mut Vec<Action>,
    ) {
        self.commit(now, None, out, |record| {
            record.streamed = false;
            record.fetch = Some(Progress::default());
        });
        let cause = cause.map(|cause| format!("the package is fetched, not streamed: {cause}"));
        out.extend(
            cause.map(|cause| Action::Changed {
                resources: Vec::new(),
                cause: Some(one_line(&cause)),
            }),
        );
        self.resume_fetch(&Found { package: false, running: Running::Same }, now, out);
    }

    /// Asks the source; the pause before it is over.
    pub(crate) fn attempt(&mut self, fetching: Fetching, out: &mut Vec<Action>) {
        let ticket = self.next_ticket();
        let etag = self.record.fetch.as_ref().and_then(|progress| progress.etag.clone());
        let resume = match etag {
            Some(etag) if fetching.stored > 0 => Some(Resume { offset: fetching.stored, etag }),
            Some(_) | None => None,
        };
        self.phase = Phase::Fetching(Fetching { stage: Stage::Asked(ticket), ..fetching });
        out.push(Action::Fetch { ticket, uri: self.record.uri.clone(), resume });
    }

    pub(crate) fn fetched(
        &mut self,
        now: &Now,
        ticket: Ticket,
        fetched: Fetched,
        out: &mut Vec<Action>,
    ) {
        let Phase::Fetching(fetching) = &mut self.phase else { return };
        match (fetching.stage, fetched) {
            // A package that has changed half-way begins a second time.
            (Stage::Asked(own) | Stage::Receiving(own), Fetched::Begin { offset, size, etag })
                if own == ticket =>
            {
                self.source_begins(now, ticket, offset, size, etag, out);
            }
            (Stage::Receiving(own), Fetched::Part(bytes)) if own == ticket => {
                let (offset, len) = (fetching.stored, bytes.len() as u64);
                let size = self.record.fetch.as_ref().and_then(|progress| progress.size);
                if size.is_some_and(|size| offset + len > size) {
                    return self.damaged(now, "the source sends more than it said", out);
                }
                fetching.stage = Stage::Storing(ticket, len);
                out.push(Action::Store { offset, bytes, last: false, size: None });
            }
            (stage, _) if fetching.ticket() == Some(ticket) => {
                let cause = format!("the source is out of turn in {stage:?}");
                self.damaged(now, &cause, out);
            }
            // Of an attempt that is over.
            _ => {}
        }
    }

    fn source_begins(
        &mut self,
        now: &Now,
        ticket: Ticket,
        offset: u64,
        size: Option<u64>,
        etag: Option<Vec<u8>>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Fetching(fetching) = &mut self.phase else { return };
        if offset != 0 && offset != fetching.stored {
            return self.damaged(now, "the source begins where it was not asked to", out);
        }
        let known = self.record.fetch.as_ref().and_then(|progress| progress.size);
        if offset > 0 && known.zip(size).is_some_and(|(known, size)| known != size) {
            return self.damaged(now, "the rest is of a package with another size", out);
        }
        fetching.stored = offset;
        fetching.stage = Stage::Opening(ticket);
        let etag = etag.filter(|etag| etag.len() <= MAX_ETAG);
        self.commit(now, None, out, |record| {
            let waited = record.fetch.as_ref().map_or(0, |before| before.waited);
            let before = record.fetch.take().filter(|_| offset > 0).unwrap_or_default();
            record.fetch = Some(Progress {
                offset: before.offset,
                etag: etag.or(before.etag),
                size: size.or(before.size),
                waited,
            });
        });
        let size = self.record.fetch.as_ref().and_then(|progress| progress.size);
        out.push(Action::Open { offset, size });
    }

    /// A part is stored, or the file opened or closed; a power cut leaves `durable` bytes.
    pub(crate) fn fetched_is_stored(
        &mut self,
        now: &Now,
        result: Result<u64, Failure>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Fetching(fetching) = &mut self.phase else { return };
        let durable = match result {
            Ok(durable) => durable,
            Err(failure) => {
                return self.end(now, result_of(failure.reason), Some(failure.cause), out);
            }
        };
        let is_over = match fetching.stage {
            Stage::Opening(ticket) => {
                fetching.stage = Stage::Receiving(ticket);
                false
            }
            Stage::Storing(ticket, len) => {
                fetching.stored += len;
                fetching.stage = Stage::Receiving(ticket);
                false
            }
            Stage::Ending => true,
            Stage::Asked(_) | Stage::Receiving(_) | Stage::Paused(_) => return,
        };
        let stored = fetching.stored;
        let is_progress = stored > fetching.farthest;
        if is_progress {
            fetching.farthest = stored;
            (fetching.since, fetching.waited_before) = (now.boot, Duration::ZERO);
            fetching.pause = FIRST_PAUSE;
        }
        self.change_progress(now, out, |progress| {
            // Without an ETag what is there cannot be added to.
            if is_over || progress.etag.is_some() {
                progress.offset = durable;
            }
            if is_over {
                progress.size = Some(stored);
            }
            if is_progress {
                progress.waited = 0;
            }
        });
        if is_over {
            self.check_fetched(out);
        }
    }

    pub(crate) fn fetch_ended(
        &mut self,
        now: &Now,
        ticket: Ticket,
        result: Result<(), FetchFailure>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Fetching(fetching) = &mut self.phase else { return };
        if fetching.ticket() != Some(ticket) {
            return;
        }
        let stored = fetching.stored;
        match result {
            Ok(()) => {
                let size = self.record.fetch.as_ref().and_then(|progress| progress.size);
                if !matches!(fetching.stage, Stage::Receiving(_)) || stored == 0 {
                    return self.damaged(now, "the package is empty", out);
                }
                if size.is_some_and(|size| size != stored) {
                    return self.damaged(now, "the source sends less than it said", out);
                }
                fetching.stage = Stage::Ending;
                let (offset, bytes) = (stored, Vec::new());
                out.push(Action::Store { offset, bytes, last: true, size: None });
            }
            Err(FetchFailure { kind: FetchFailureKind::Lost, cause }) => self.lost(now, cause, out),
            Err(FetchFailure { kind, cause }) => {
                let result = match kind {
                    FetchFailureKind::InvalidUri => UpdateResult::InvalidUri,
                    FetchFailureKind::UnsupportedScheme => UpdateResult::UnsupportedScheme,
                    FetchFailureKind::Damaged => UpdateResult::Integrity,
                    FetchFailureKind::Lost => UpdateResult::ConnectionLost,
                };
                self.end(now, result, Some(cause), out);
            }
        }
    }

    /// An attempt was cut off: there will be another, or it was the last.
    fn lost(&mut self, now: &Now, cause: String, out: &mut Vec<Action>) {
        let Phase::Fetching(fetching) = &mut self.phase else { return };
        let waited = fetching.waited_before + (now.boot - fetching.since);
        let patience = self.config.patience;
        if waited >= patience {
            let cause = format!("nothing new has come for {} s: {cause}", waited.as_secs());
            return self.end(now, UpdateResult::ConnectionLost, Some(cause), out);
        }
        let pause = fetching.pause;
        fetching.stage = Stage::Paused(now.boot + pause);
        fetching.pause = (pause * 2).min(MAX_PAUSE);
        // Once is enough for the operator, however often it is tried.
        let is_news = fetching.cause != cause;
        fetching.cause.clone_from(&cause);
        let waited = waited.as_secs();
        self.change_progress(now, out, |progress| {
            if waited >= progress.waited + WAIT_STEP.as_secs() {
                progress.waited = waited;
            }
        });
        if is_news {
            let cause = self.interruption();
            out.push(Action::Changed { resources: Vec::new(), cause });
        }
    }

    /// Why the last attempt was cut off, until the next one has begun.
    pub(crate) fn interruption(&self) -> Option<String> {
        let Phase::Fetching(Fetching { stage, cause, .. }) = &self.phase else { return None };
        let is_away = matches!(stage, Stage::Paused(_) | Stage::Asked(_)) && !cause.is_empty();
        is_away.then(|| one_line(&format!("to be tried again until it works: {cause}")))
    }

    fn damaged(&mut self, now: &Now, cause: &str, out: &mut Vec<Action>) {
        self.end(now, UpdateResult::Integrity, Some(cause.into()), out);
    }

    /// All of it is there, or can be read from where it is; nobody waits for an answer.
    pub(crate) fn check_fetched(&mut self, out: &mut Vec<Action>) {
        let ticket = self.next_ticket();
        self.phase = Phase::Checking { server: None, ticket, answer: None };
        out.push(Action::Inspect(ticket));
    }

    fn change_progress(
        &mut self,
        now: &Now,
        out: &mut Vec<Action>,
        change: impl FnOnce(&mut Progress),
    ) {
        self.commit(now, None, out, |record| {
            if let Some(progress) = &mut record.fetch {
                change(progress);
            }
        });
    }
}

/// Between the first attempts at a package; twice as long after each that brought
/// nothing new.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
pub const MAX_PAUSE: Duration = Duration::from_secs(300);
/// For how long nothing new comes before a package is given up, where nothing else is
/// configured: a night without network costs no download.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Time without progress is recorded in steps of this length, so that waiting writes
/// little. What a restart finds of it is less by up to a step: an agent that is restarted
/// more often than that waits for ever.
const WAIT_STEP: Duration = Duration::from_secs(3600);
