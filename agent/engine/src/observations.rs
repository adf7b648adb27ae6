//! The observations that are held, and how to find them: by identifier, by path, by
//! who observes, by time (Core 8.1).
//!
//! A server may hold thousands: each is kept small, and nothing here looks at all of
//! them to find one.

use std::collections::{BTreeMap, BTreeSet};

use lwm2m_coap::{CacheKey, Token};
use lwm2m_model::{Attributes, ContentFormat, Instant, Path};

use crate::evaluator::Reference;

/// Names an observation while it is held; a later one has a higher number.
pub(crate) type ObservationId = u64;

/// One observation.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) observer: Observer,
    /// What an answer in blocks goes by; a local observation needs none.
    pub(crate) key: Option<CacheKey>,
    pub(crate) path: Path,
    pub(crate) format: ContentFormat,
    /// Attributes of the Observe request; if there are any, only they count.
    pub(crate) own: Option<Box<Attributes>>,
    pub(crate) reference: Reference,
    /// Observe sequence number, 24 bits (TRN-35).
    pub(crate) sequence: u32,
    /// Numbers from here on are not reserved on the medium yet.
    pub(crate) unused: u32,
    pub(crate) last_sent: Instant,
    pub(crate) last_evaluated: Instant,
    /// When a notification was last confirmable (TRN-32).
    pub(crate) last_confirmable: Instant,
    /// A condition was met: a notification is due as soon as pmin allows.
    pub(crate) latched: bool,
    /// A read for this observation is wanted or under way.
    pub(crate) sampling: bool,
    /// The last notification asks for an ACK that has not come.
    pub(crate) is_unacknowledged: bool,
    /// Its target is gone, which the server does not know yet.
    pub(crate) is_gone: bool,
    /// It is from before a restart, and has told nothing since.
    pub(crate) is_restored: bool,
    /// When it is looked at next.
    due: Option<Instant>,
    progress: Option<Box<Progress>>,
}

/// Who observes: a server by a token, which names one observation (RFC 7641 4.1), or
/// the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Observer {
    Server { id: u16, token: Token },
    Local { id: u64 },
}

/// What is under way for an observation; most often nothing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Progress {
    /// What is said to have changed since the last evaluation.
    pub(crate) changed: Vec<Path>,
    /// What the sample under way is to judge.
    pub(crate) sample_of: Vec<Path>,
    /// An object that does not answer is asked again at this time.
    pub(crate) retry_at: Option<Instant>,
    pub(crate) failures: u32,
}

impl Observer {
    pub(crate) fn server(self) -> Option<u16> {
        match self {
            Self::Server { id, .. } => Some(id),
            Self::Local { .. } => None,
        }
    }
}

impl Observation {
    /// An observation that has just been answered with the values of `reference`.
    pub(crate) fn begun(
        now: Instant,
        observer: Observer,
        path: Path,
        format: ContentFormat,
        reference: Reference,
    ) -> Self {
        Self {
            observer,
            key: None,
            path,
            format,
            own: None,
            reference,
            sequence: FIRST_SEQUENCE,
            unused: FIRST_SEQUENCE + 1,
            last_sent: now,
            last_evaluated: now,
            last_confirmable: now,
            latched: false,
            sampling: false,
            is_unacknowledged: false,
            is_gone: false,
            is_restored: false,
            due: None,
            progress: None,
        }
    }

    /// What is said to have changed since the last evaluation.
    pub(crate) fn changed(&self) -> &[Path] {
        self.progress.as_ref().map_or(&[], |progress| &progress.changed)
    }

    /// When an object that did not answer is asked again.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.progress.as_ref().and_then(|progress| progress.retry_at)
    }

    /// What is under way, to be changed.
    pub(crate) fn progress(&mut self) -> &mut Progress {
        self.progress.get_or_insert_default()
    }

    /// Takes out what the sample under way was to judge; it has come, so nothing has
    /// failed.
    pub(crate) fn take_sampled(&mut self) -> Vec<Path> {
        let Some(progress) = &mut self.progress else { return Vec::new() };
        (progress.failures, progress.retry_at) = (0, None);
        std::mem::take(&mut progress.sample_of)
    }

    /// A sample begins: what changes from here on may not be in it.
    pub(crate) fn begin_sample(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.sample_of = std::mem::take(&mut progress.changed);
        }
    }

    /// Notes that values at `path` may differ.
    pub(crate) fn mark(&mut self, path: &Path) {
        let whole = self.path.clone();
        let changed = &mut self.progress().changed;
        if changed.iter().any(|known| known.contains(path)) {
            return;
        }
        changed.retain(|known| !path.contains(known));
        if changed.len() < MAX_MARKS {
            changed.push(path.clone());
        } else {
            *changed = vec![whole];
        }
    }

    /// Gives back the memory of what is no longer under way.
    fn tidy(&mut self) {
        self.progress.take_if(|progress| **progress == Progress::default());
    }
}

/// All observations.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    by_id: BTreeMap<ObservationId, Box<Observation>>,
    by_path: BTreeMap<Path, Observed>,
    by_observer: BTreeMap<Observer, ObservationId>,
    by_time: BTreeSet<(Instant, ObservationId)>,
    next_id: ObservationId,
    /// Those that want a sample, by what one call reads.
    wanted: BTreeMap<Path, Vec<ObservationId>>,
    /// What calls under way read.
    sampling: BTreeSet<Path>,
}

/// What there is to know of an observed path.
#[derive(Debug, Default)]
struct Observed {
    /// Its observations, ascending.
    ids: Box<[ObservationId]>,
    /// Seconds between two samples that its object has been asked for.
    every: Option<u32>,
}

impl Observations {
    pub(crate) fn get(&self, id: ObservationId) -> Option<&Observation> {
        self.by_id.get(&id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: ObservationId) -> Option<&mut Observation> {
        self.by_id.get_mut(&id).map(Box::as_mut)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Holds an observation; one of the same observer must have been removed.
    pub(crate) fn insert(&mut self, observation: Observation) -> ObservationId {
        let id = self.next_id;
        self.next_id += 1;
        let observed = self.by_path.entry(observation.path.clone()).or_default();
        observed.ids = observed.ids.iter().copied().chain([id]).collect();
        self.by_observer.insert(observation.observer, id);
        self.by_id.insert(id, Box::new(observation));
        id
    }

    /// Begins an observation of the same path by the same observer anew.
    pub(crate) fn renew(&mut self, id: ObservationId, observation: Observation) {
        self.set_timer(id, None);
        if let Some(held) = self.by_id.get_mut(&id) {
            let sampling = held.sampling;
            **held = Observation { sampling, ..observation };
        }
    }

    pub(crate) fn remove(&mut self, id: ObservationId) -> Option<Observation> {
        self.set_timer(id, None);
        let observation = self.by_id.remove(&id)?;
        if let Some(observed) = self.by_path.get_mut(&observation.path) {
            observed.ids = observed.ids.iter().copied().filter(|other| *other != id).collect();
            if observed.ids.is_empty() {
                self.by_path.remove(&observation.path);
            }
        }
        self.by_observer.remove(&observation.observer);
        let instance = observation.path.truncated(INSTANCE_DEPTH);
        if let Some(wanting) = self.wanted.get_mut(&instance).filter(|_| observation.sampling) {
            wanting.retain(|other| *other != id);
            if wanting.is_empty() {
                self.wanted.remove(&instance);
            }
        }
        Some(*observation)
    }

    // By observer.

    pub(crate) fn of_observer(&self, observer: Observer) -> Option<ObservationId> {
        self.by_observer.get(&observer).copied()
    }

    /// The observations of a server.
    pub(crate) fn of_server(&self, server: u16) -> impl Iterator<Item = ObservationId> {
        let first = Observer::Server { id: server, token: Token::default() };
        let from_here = self.by_observer.range(first..);
        from_here.take_while(move |(by, _)| by.server() == Some(server)).map(|(_, id)| *id)
    }

    // By path.

    /// The observations of exactly this path.
    pub(crate) fn at(&self, path: &Path) -> impl Iterator<Item = (ObservationId, &Observation)> {
        let ids = self.by_path.get(path).into_iter().flat_map(|observed| &observed.ids);
        ids.filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// The observations of this path and of what it holds.
    pub(crate) fn below(&self, path: &Path) -> impl Iterator<Item = ObservationId> {
        self.by_path
            .range(path.clone()..)
            .take_while(move |(at, _)| path.contains(at))
            .flat_map(|(_, observed)| observed.ids.iter().copied())
    }

    /// The observations that a change at `path` concerns: of the path, of what holds
    /// it, and of what it holds.
    pub(crate) fn touching(&self, path: &Path) -> Vec<ObservationId> {
        let mut ids = Vec::new();
        for depth in 0..path.depth() {
            ids.extend(self.at(&path.truncated(depth)).map(|(id, _)| id));
        }
        ids.extend(self.below(path));
        ids
    }

    // By time.

    /// Sets when an observation is looked at next; `None`: only when something happens.
    pub(crate) fn set_timer(&mut self, id: ObservationId, at: Option<Instant>) {
        let Some(observation) = self.by_id.get_mut(&id) else { return };
        observation.tidy();
        let before = std::mem::replace(&mut observation.due, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, id));
        }
        if let Some(at) = at {
            self.by_time.insert((at, id));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Those whose time has come want a sample.
    pub(crate) fn want_due(&mut self, now: Instant) {
        while let Some((_, id)) = self.by_time.first().copied().filter(|(at, _)| *at <= now) {
            self.set_timer(id, None);
            let Some(observation) = self.by_id.get_mut(&id) else { continue };
            observation.sampling = true;
            let instance = observation.path.truncated(INSTANCE_DEPTH);
            self.wanted.entry(instance).or_default().push(id);
        }
    }

    // Samples.

    /// Takes out observations that want a sample of one instance, with the path that
    /// serves all of them; never of an instance that a call under way reads.
    pub(crate) fn begin_sample(&mut self) -> Option<(Path, Vec<ObservationId>)> {
        let free = self.wanted.keys().find(|instance| !self.sampling.contains(*instance))?.clone();
        let ids = self.wanted.remove(&free)?;
        let mut paths = ids.iter().filter_map(|id| Some(&self.get(*id)?.path));
        let path = match paths.next() {
            Some(one) if paths.all(|path| path == one) => one.clone(),
            _ => free.clone(),
        };
        for id in &ids {
            if let Some(observation) = self.get_mut(*id) {
                observation.begin_sample();
            }
        }
        self.sampling.insert(free);
        Some((path, ids))
    }

    /// A call that read `path` is over.
    pub(crate) fn end_sample(&mut self, path: &Path) {
        self.sampling.remove(&path.truncated(INSTANCE_DEPTH));
    }

    // What objects sample.

    /// Seconds between two samples that the object of this path has been asked for.
    pub(crate) fn sampled_every(&self, path: &Path) -> Option<u32> {
        self.by_path.get(path).and_then(|observed| observed.every)
    }

    pub(crate) fn set_sampled_every(&mut self, path: &Path, seconds: u32) {
        if let Some(observed) = self.by_path.get_mut(path) {
            observed.every = Some(seconds);
        }
    }
}

/// Depth of an object instance: what one call reads.
const INSTANCE_DEPTH: usize = 2;
/// Paths remembered as changed, per observation; beyond, all of it counts as changed.
const MAX_MARKS: usize = 8;
/// Observe numbers have 24 bits (RFC 7641 3.4).
pub(crate) const MAX_SEQUENCE: u32 = 0x00ff_ffff;
/// Sequence number of the answer to Observe.
pub(crate) const FIRST_SEQUENCE: u32 = 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lwm2m_model::{Entry, Value};

    use super::*;

    fn observation(path: &str, token: u8) -> Observation {
        let token = Token::new(&[token]).unwrap();
        let path: Path = path.parse().unwrap();
        let mut reference = Reference::default();
        reference.sent(vec![Entry::new(path.clone(), Value::Integer(1))]);
        let observer = Observer::Server { id: 101, token };
        Observation::begun(Instant::ZERO, observer, path, ContentFormat::TEXT, reference)
    }

    #[test]
    fn a_change_concerns_what_is_observed_above_at_and_below_it() {
        let mut held = Observations::default();
        for (token, path) in ["/3", "/3/0", "/3/0/7", "/3/0/7/1", "/3/0/8", "/4"].iter().enumerate()
        {
            held.insert(observation(path, token as u8));
        }
        let touching = |path: &str| held.touching(&path.parse().unwrap());
        assert_eq!(touching("/3/0/7"), [0, 1, 2, 3]);
        assert_eq!(touching("/3/0/7/0"), [0, 1, 2]);
        assert_eq!(touching("/3"), [0, 1, 2, 3, 4]);
        assert_eq!(touching("/5"), []);
    }

    #[test]
    fn the_earliest_comes_first_and_a_new_deadline_replaces_the_old() {
        let at = |seconds| Instant::from_boot(Duration::from_secs(seconds));
        let mut held = Observations::default();
        let (a, b) = (held.insert(observation("/3", 0)), held.insert(observation("/4", 1)));
        held.set_timer(a, Some(at(5)));
        held.set_timer(b, Some(at(3)));
        held.set_timer(b, Some(at(9)));
        assert_eq!(held.next_deadline(), Some(at(5)));
        held.want_due(at(4));
        assert_eq!(held.begin_sample(), None);
        held.want_due(at(5));
        assert_eq!(held.begin_sample(), Some((Path::object(3), vec![a])));
        held.set_timer(b, None);
        assert_eq!(held.next_deadline(), None);
    }

    #[test]
    fn an_instance_is_read_once_at_a_time_for_all_that_want_it() {
        let mut held = Observations::default();
        let ids: Vec<_> = [("/3/0/1", 0), ("/3/0/2", 1), ("/4/0/1", 2)]
            .map(|(path, token)| held.insert(observation(path, token)))
            .into();
        let due = |held: &mut Observations, id| {
            held.set_timer(id, Some(Instant::ZERO));
            held.want_due(Instant::ZERO);
        };
        ids.iter().for_each(|id| due(&mut held, *id));
        assert_eq!(held.begin_sample(), Some((Path::instance(3, 0), vec![ids[0], ids[1]])));
        assert_eq!(held.begin_sample(), Some((Path::resource(4, 0, 1), vec![ids[2]])));
        due(&mut held, ids[0]);
        assert_eq!(held.begin_sample(), None, "it is being read");
        held.end_sample(&Path::instance(3, 0));
        assert_eq!(held.begin_sample(), Some((Path::resource(3, 0, 1), vec![ids[0]])));
    }

    /// What an observation of one resource takes, without what the allocator adds.
    #[test]
    fn an_observation_is_small() {
        let held = size_of::<Observation>() + size_of::<Entry>();
        let found_by = size_of::<(ObservationId, Box<Observation>)>()
            + size_of::<(Path, Observed)>()
            + size_of::<(Observer, ObservationId)>()
            + size_of::<(Instant, ObservationId)>();
        assert!(held <= 256 && held + found_by <= 360, "{held} {found_by}");
    }
}
