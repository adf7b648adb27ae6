//! What is remembered of each server, and how it goes on after a restart (Core 8.1,
//! Transport 12.7).
//!
//! 1. Before the first input the records are taken over: what was written to the accounts,
//!    the registrations, and what hangs on them. What fits no more is forgotten.
//! 2. The next block of numbers of each observation is reserved.
//! 3. A link comes up: if the server knows us over it an Update goes out, also if the
//!    lifetime may be over, since Updates are not written down. Refused, a Register
//!    follows, and the server observes anew.
//! 4. The Update is answered: each observation tells its values, confirmably, since nobody
//!    knows what it told last.

use lwm2m_coap::{CacheKey, Token};
use lwm2m_model::record::{self, Change, Key, Moment, Record};
use lwm2m_model::{AttributeUpdate, Attributes, ContentFormat, Instant, Now, Path, RequestError};

use crate::dispatch::Job;
use crate::engine::Engine;
use crate::evaluator::Reference;
use crate::observations::{FIRST_SEQUENCE, MAX_SEQUENCE, Observation, ObservationId, Observer};
use crate::server::{Announced, Phase, Registration};
use crate::{Event, MAX_OBSERVATIONS, Output};

impl Engine {
    /// Goes on from what was stored before a restart. To be called once, before the
    /// first input.
    pub fn restore(&mut self, records: Vec<Record>) {
        let (first, rest): (Vec<Record>, Vec<Record>) = records
            .into_iter()
            .partition(|record| matches!(record, Record::Account(_) | Record::Registration(_)));
        // What hangs on a registration needs it to be there.
        for record in first.into_iter().chain(rest) {
            let key = record.key();
            let is_taken = match record {
                Record::Account(account) => self.restore_account(&account),
                Record::Registration(registration) => self.restore_registration(registration),
                Record::Attached(attached) => self
                    .servers
                    .get_mut(&attached.server)
                    .is_some_and(|server| server.attached.set(&attached.path, attached.attributes)),
                Record::Observation(observation) => {
                    let server = observation.server;
                    let is_taken = self.restore_observation(observation);
                    if !is_taken {
                        self.registration_void(server);
                    }
                    is_taken
                }
                // What links left behind is of use for an account that is still there.
                Record::Session(session) => self.servers.contains_key(&session.server),
                Record::Disabled(disabled) => self.restore_silence(&disabled),
            };
            if !is_taken {
                self.mark(key);
            }
        }
    }

    fn restore_registration(&mut self, record: record::Registration) -> bool {
        let now = self.now;
        let config = &self.config;
        let Some(server) = self.servers.get_mut(&record.server) else { return false };
        let is_ours = record.endpoint == config.endpoint
            && record.account == server.configured.registration_fingerprint()
            && (config.min_version..=config.version).contains(&record.version);
        if !is_ours {
            return false;
        }
        let answered = placed(record.answered, now, config.boot);
        server.version = record.version;
        server.registration = Some(Registration {
            location: record.location,
            made: answered,
            confirmed: answered,
            known: Announced {
                lifetime: record.lifetime,
                binding: record.binding,
                objects: record.objects,
            },
            is_restored: true,
        });
        // Nothing goes out before it has answered.
        server.has_missed = true;
        true
    }

    /// A reboot ends the silence: it is often made to reach the device again, and a new
    /// system has to prove that it reaches its servers.
    fn restore_silence(&mut self, record: &record::Disabled) -> bool {
        let (now, boot) = (self.now.boot, self.config.boot);
        let Some(server) = self.servers.get_mut(&record.server) else { return false };
        let until = record.until.at;
        let holds = record.until.boot == boot
            && until > now
            && record.account == server.configured.registration_fingerprint();
        if holds {
            server.phase = Phase::Disabled { until };
            let event = Event::Disabled { server: record.server, until };
            self.outputs.push_back(Output::Event(event));
        }
        holds
    }

    /// CORE-99: a server whose observation is lost has to observe anew, after a Register.
    fn registration_void(&mut self, id: u16) {
        let registration = self.servers.get_mut(&id).and_then(|it| it.registration.take());
        if registration.is_some() {
            self.mark(Key::Registration(id));
        }
    }

    fn restore_observation(&mut self, record: record::Observation) -> bool {
        let now = self.now.boot;
        let server = self.servers.get(&record.server);
        let is_registered = server.is_some_and(|server| server.registration.is_some());
        let Some(token) = Token::new(&record.token).filter(|_| is_registered) else {
            return false;
        };
        let observer = Observer::Server { id: record.server, token };
        if self.observations.len() >= MAX_OBSERVATIONS
            || self.observations.of_observer(observer).is_some()
        {
            return false;
        }
        let key = Key::Observation(record.server, record.token);
        let path = record.path;
        let reference = Reference::default();
        let mut observation =
            Observation::begun(now, observer, path.clone(), record.format, reference);
        observation.key = Some(CacheKey::without_request(record.block_szx));
        observation.own = record.own.map(Box::new);
        observation.unused = record.unused_sequence & MAX_SEQUENCE;
        observation.sequence = observation.unused.wrapping_sub(1) & MAX_SEQUENCE;
        (observation.is_restored, observation.latched) = (true, true);
        observation.mark(&path);
        let id = self.observations.insert(observation);
        self.arm(id);
        self.mark(key);
        true
    }

    /// An object is there for the first time: observations from before a restart have
    /// waited for it.
    pub(crate) fn object_appeared(&mut self, object: u16) {
        let path = Path::object(object);
        let paths: Vec<Path> = self
            .observations
            .below(&path)
            .filter_map(|id| self.observations.get(id).map(|held| held.path.clone()))
            .collect();
        for observed in &paths {
            self.watch(observed);
        }
        self.changed(&path);
    }

    // A store that comes late.

    /// Takes over what servers wrote before, from a store that could not be read at the
    /// start. Nothing was written to accounts meanwhile, since every commit has failed.
    /// Registrations and what hangs on them have begun anew.
    pub(crate) fn recall(&mut self, records: Vec<Record>) {
        for record in records {
            let key = record.key();
            let is_taken = match record {
                Record::Account(account) => {
                    let is_taken = self.restore_account(&account);
                    self.account_differs(account.server);
                    is_taken
                }
                Record::Attached(attached) => {
                    let id = attached.server;
                    let server = self.servers.get_mut(&id);
                    let is_taken = server.is_some_and(|server| {
                        server.attached.set(&attached.path, attached.attributes)
                    });
                    self.attributes_changed(Some(id), &attached.path);
                    is_taken
                }
                Record::Registration(_)
                | Record::Observation(_)
                | Record::Session(_)
                | Record::Disabled(_) => false,
            };
            if !is_taken {
                self.mark(key);
            }
        }
        self.retry_commit();
    }

    // Records of what is so.

    /// What the record of a key has to be.
    pub(crate) fn change_of(&self, key: &Key) -> Change {
        let record = match key {
            Key::Account(id) => self.account_record(*id),
            Key::Attached(id, path) => {
                let attached = self.servers.get(id).map(|server| server.attached.at(path));
                let attributes = attached.filter(|attributes| !attributes.is_empty());
                attributes.map(|attributes| attached_record(*id, path, attributes))
            }
            Key::Observation(id, token) => self.observation_record(*id, token),
            Key::Registration(id) => self.registration_record(*id),
            Key::Session(_) => None,
            Key::Disabled(id) => self.silence_record(*id),
        };
        record.map_or_else(|| Change::Remove(key.clone()), Change::Put)
    }

    /// What a Write-Attributes changes on the medium; `None` if that is so already.
    ///
    /// # Errors
    /// What it is refused with.
    pub(crate) fn attached_change(
        &self,
        id: u16,
        path: &Path,
        update: &AttributeUpdate,
    ) -> Result<Option<Change>, RequestError> {
        let Some(server) = self.servers.get(&id) else { return Ok(None) };
        let attributes = server.attached.after(path, update)?;
        if attributes == server.attached.at(path) {
            return Ok(None);
        }
        Ok(Some(if attributes.is_empty() {
            Change::Remove(Key::Attached(id, path.clone()))
        } else {
            Change::Put(attached_record(id, path, attributes))
        }))
    }

    /// True if no observation of this observer can begin after `begun` others.
    pub(crate) fn has_no_room(&self, observer: Observer, begun: usize) -> bool {
        self.observations.of_observer(observer).is_none()
            && self.observations.len() + begun >= MAX_OBSERVATIONS
    }

    /// What an Observe changes on the medium; `None` if that is so already.
    pub(crate) fn observation_change(
        &self,
        observer: Observer,
        job: &Job,
        format: ContentFormat,
        own: &Option<Attributes>,
    ) -> Option<Change> {
        let Observer::Server { id: server, token } = observer else { return None };
        let held = self.observations.of_observer(observer);
        let held = held.and_then(|id| self.observations.get(id));
        let block_szx = job.block_szx();
        let is_same = |held: &&Observation| {
            let known = held.own.as_deref();
            held.path == job.path
                && held.format == format
                && known == own.as_ref()
                && held.block_szx() == block_szx
                && held.numbers_left() > 0
        };
        if held.filter(is_same).is_some() {
            return None;
        }
        let next = held.map_or(FIRST_SEQUENCE, |held| held.sequence + 1);
        Some(Change::Put(Record::Observation(record::Observation {
            server,
            token: token.as_bytes().to_vec(),
            path: job.path.clone(),
            format,
            own: *own,
            block_szx,
            unused_sequence: (next + SEQUENCE_BLOCK) & MAX_SEQUENCE,
        })))
    }

    fn observation_record(&self, server: u16, token: &[u8]) -> Option<Record> {
        let observer = Observer::Server { id: server, token: Token::new(token)? };
        let held = self.observations.get(self.observations.of_observer(observer)?)?;
        Some(Record::Observation(record::Observation {
            server,
            token: token.to_vec(),
            path: held.path.clone(),
            format: held.format,
            own: held.own.as_deref().copied(),
            block_szx: held.block_szx(),
            unused_sequence: (held.sequence + 1 + SEQUENCE_BLOCK) & MAX_SEQUENCE,
        }))
    }

    fn registration_record(&self, id: u16) -> Option<Record> {
        let server = self.servers.get(&id)?;
        let registration = server.registration.as_ref().filter(|_| !server.begins_anew())?;
        Some(Record::Registration(record::Registration {
            server: id,
            location: registration.location.clone(),
            version: server.version,
            endpoint: self.config.endpoint.clone(),
            account: server.configured.registration_fingerprint(),
            lifetime: registration.known.lifetime,
            binding: registration.known.binding.clone(),
            objects: registration.known.objects,
            answered: Moment { boot: self.config.boot, at: registration.confirmed },
        }))
    }

    fn silence_record(&self, id: u16) -> Option<Record> {
        let server = self.servers.get(&id)?;
        let Phase::Disabled { until } = server.phase else { return None };
        Some(Record::Disabled(record::Disabled {
            server: id,
            account: server.configured.registration_fingerprint(),
            until: Moment { boot: self.config.boot, at: until },
        }))
    }

    // Numbers of observations.

    /// The numbers of an observation below those of a stored record may be used.
    pub(crate) fn numbers_reserved(&mut self, record: &record::Observation) {
        let Some(token) = Token::new(&record.token) else { return };
        let observer = Observer::Server { id: record.server, token };
        let held = self.observations.of_observer(observer);
        if let Some(held) = held.and_then(|id| self.observations.get_mut(id)) {
            held.unused = record.unused_sequence;
        }
    }

    /// True if the next number of an observation may be used: it is reserved, or
    /// reserving it has failed. A device that cannot store any more goes on reporting.
    pub(crate) fn has_number(&self, id: ObservationId) -> bool {
        let Some(held) = self.observations.get(id) else { return true };
        held.numbers_left() > 0
            || held.record_key().is_none_or(|key| !self.persistence.is_writing(&key))
    }

    /// A number has been used: the next block is reserved before this one is used up.
    pub(crate) fn number_used(&mut self, id: ObservationId) {
        let held = self.observations.get(id).filter(|held| held.numbers_left() <= RESERVE_AT);
        if let Some(key) = held.and_then(Observation::record_key) {
            self.mark(key);
        }
    }
}

impl Observation {
    /// Numbers that are reserved and not yet used.
    pub(crate) fn numbers_left(&self) -> u32 {
        let left = self.unused.wrapping_sub(self.sequence + 1) & MAX_SEQUENCE;
        // More than a block is a number that has passed the end.
        if left > SEQUENCE_BLOCK { 0 } else { left }
    }

    /// The size exponent of blocks that the Observe asked for.
    fn block_szx(&self) -> Option<u8> {
        self.key.and_then(CacheKey::block_szx)
    }

    /// What its record goes by; the operator's have none.
    pub(crate) fn record_key(&self) -> Option<Key> {
        match self.observer {
            Observer::Server { id, token } => Some(Key::Observation(id, token.as_bytes().to_vec())),
            Observer::Local { .. } => None,
        }
    }
}

fn attached_record(server: u16, path: &Path, attributes: Attributes) -> Record {
    Record::Attached(record::Attached { server, path: path.clone(), attributes })
}

/// A moment from before a restart; the start of this boot if it was before that.
fn placed(moment: Moment, now: Now, boot: record::BootId) -> Instant {
    if moment.boot == boot { moment.at.min(now.boot) } else { Instant::ZERO }
}

/// Numbers that are reserved at once: one write to the medium for so many notifications.
pub(crate) const SEQUENCE_BLOCK: u32 = 4096;
/// With so few left the next block is reserved.
const RESERVE_AT: u32 = SEQUENCE_BLOCK / 2;
