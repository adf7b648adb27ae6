//! Notifications kept for one server that is away: bounded, newest kept, told in
//! order (Core 3.8).

use std::collections::{BTreeMap, VecDeque};

use lwm2m_model::{Entry, Instant, Node, Path, Value};

use crate::observations::ObservationId;

/// What is kept for one server.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    queues: BTreeMap<Whose, VecDeque<Stored>>,
    /// Who stored what, oldest first.
    order: BTreeMap<u64, Whose>,
    bytes: usize,
    next_number: u64,
    /// What is being told and not yet acknowledged: of whom, and up to which number.
    telling: Option<(ObservationId, u64)>,
}

/// Whose notifications they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Observation(ObservationId),
    /// Of an observation that ended with its registration: whoever observes this path
    /// next gets them.
    Former(Path),
}

/// A notification as it would have gone out.
#[derive(Debug)]
struct Stored {
    number: u64,
    at: Instant,
    entries: Box<[Entry]>,
    bytes: usize,
}

/// Notifications of one observation to tell together.
#[derive(Debug, PartialEq)]
pub(crate) struct Batch {
    pub(crate) observation: ObservationId,
    /// When, and which values; oldest first.
    pub(crate) moments: Vec<(Instant, Vec<Entry>)>,
}

impl Backlog {
    /// Keeps a notification. Beyond `most` of its observation, and beyond what is kept
    /// for a server, the oldest goes.
    pub(crate) fn store(
        &mut self,
        observation: ObservationId,
        most: usize,
        at: Instant,
        entries: &[Entry],
    ) {
        let number = self.next_number;
        self.next_number += 1;
        let bytes = size_of::<Stored>() + entries.iter().map(weight).sum::<usize>();
        let whose = Whose::Observation(observation);
        self.bytes += bytes;
        self.order.insert(number, whose.clone());
        let queue = self.queues.entry(whose.clone()).or_default();
        queue.push_back(Stored { number, at, entries: entries.into(), bytes });
        while self.queues.get(&whose).is_some_and(|queue| queue.len() > most) {
            self.drop_oldest(&whose);
        }
        while (self.order.len() > MAX_STORED || self.bytes > MAX_STORED_BYTES)
            && let Some(oldest) = self.order.first_key_value().map(|(_, whose)| whose.clone())
        {
            self.drop_oldest(&oldest);
        }
    }

    /// True if something of this observation is yet to be told.
    pub(crate) fn has(&self, observation: ObservationId) -> bool {
        self.queues.contains_key(&Whose::Observation(observation))
    }

    /// The observation that was not yet told the oldest notification.
    pub(crate) fn next(&self) -> Option<ObservationId> {
        if self.telling.is_some() {
            return None; // one after the other
        }
        self.order.values().find_map(|whose| match whose {
            Whose::Observation(id) => Some(*id),
            Whose::Former(_) => None,
        })
    }

    /// What to tell next of this observation: its oldest notification, or as many as
    /// may go together. They are kept until [`Backlog::told`].
    pub(crate) fn tell(&mut self, observation: ObservationId, together: Together) -> Batch {
        let queue = self.queues.get(&Whose::Observation(observation));
        let mut moments = Vec::new();
        let mut bytes = 0;
        for stored in queue.into_iter().flatten() {
            bytes += stored.bytes;
            let fits = together == Together::Many && bytes <= MAX_BATCH_BYTES;
            if !moments.is_empty() && !fits {
                break;
            }
            moments.push((stored.at, stored.entries.to_vec()));
            self.telling = Some((observation, stored.number));
        }
        Batch { observation, moments }
    }

    /// The server has acknowledged what was told of this observation last; false if
    /// that was nothing from here.
    pub(crate) fn told(&mut self, observation: ObservationId) -> bool {
        let Some((_, last)) = self.telling.take_if(|(of, _)| *of == observation) else {
            return false;
        };
        let whose = Whose::Observation(observation);
        let front = |queues: &BTreeMap<Whose, VecDeque<Stored>>| {
            queues.get(&whose).and_then(|queue| queue.front()).map(|stored| stored.number)
        };
        while front(&self.queues).is_some_and(|number| number <= last) {
            self.drop_oldest(&whose);
        }
        true
    }

    /// What was being told of this observation was not heard; false if that was
    /// nothing from here.
    pub(crate) fn not_told(&mut self, observation: ObservationId) -> bool {
        self.telling.take_if(|(of, _)| *of == observation).is_some()
    }

    /// Nothing is being told any more.
    pub(crate) fn interrupted(&mut self) {
        self.telling = None;
    }

    /// The observation has ended, and nobody is to be told.
    pub(crate) fn forget(&mut self, observation: ObservationId) {
        self.not_told(observation);
        let whose = Whose::Observation(observation);
        while self.queues.contains_key(&whose) {
            self.drop_oldest(&whose);
        }
    }

    /// What nobody has claimed since the last registration goes.
    pub(crate) fn forget_former(&mut self) {
        while let Some(whose) =
            self.queues.keys().find(|whose| matches!(whose, Whose::Former(_))).cloned()
        {
            self.drop_oldest(&whose);
        }
    }

    /// The observation ends with its registration; what is kept waits for whoever
    /// observes `path` next. Of several observations of a path the first counts.
    pub(crate) fn make_former(&mut self, observation: ObservationId, path: &Path) {
        self.not_told(observation);
        let former = Whose::Former(path.clone());
        if !self.queues.contains_key(&former) {
            self.rename(&Whose::Observation(observation), former);
        }
    }

    /// What a former observation of `path` left is this one's.
    pub(crate) fn claim(&mut self, observation: ObservationId, path: &Path) {
        self.rename(&Whose::Former(path.clone()), Whose::Observation(observation));
    }

    fn rename(&mut self, from: &Whose, to: Whose) {
        let Some(queue) = self.queues.remove(from) else { return };
        for stored in &queue {
            self.order.insert(stored.number, to.clone());
        }
        self.queues.insert(to, queue);
    }

    fn drop_oldest(&mut self, whose: &Whose) {
        let Some(queue) = self.queues.get_mut(whose) else { return };
        if let Some(stored) = queue.pop_front() {
            self.order.remove(&stored.number);
            self.bytes -= stored.bytes;
        }
        if queue.is_empty() {
            self.queues.remove(whose);
        }
    }
}

/// How many notifications may go in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Together {
    One,
    Many,
}

/// What an entry takes in memory.
fn weight(entry: &Entry) -> usize {
    let heap = match &entry.node {
        Node::Value(Value::String(text) | Value::Corelnk(text)) => text.len(),
        Node::Value(Value::Opaque(bytes)) => bytes.len(),
        Node::Value(_) | Node::Empty => 0,
    };
    size_of::<Entry>() + heap
}

/// Notifications kept for one server.
pub const MAX_STORED: usize = 1024;
/// Notifications kept for one observation without `hqmax`.
pub const MAX_STORED_OF_OBSERVATION: usize = 64;
/// Bytes of the notifications kept for one server.
pub const MAX_STORED_BYTES: usize = 256 * 1024;
/// Bytes of the notifications that go in one message, as they are kept.
const MAX_BATCH_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const A: ObservationId = 1;
    const B: ObservationId = 2;

    fn at(second: u64) -> Instant {
        Instant::from_boot(std::time::Duration::from_secs(second))
    }

    fn values(second: u64) -> Vec<Entry> {
        vec![Entry::new(Path::resource(3303, 0, 5700), Value::Unsigned(second))]
    }

    fn filled(observations: &[(ObservationId, u64)], most: usize) -> Backlog {
        let mut backlog = Backlog::default();
        for (observation, second) in observations {
            backlog.store(*observation, most, at(*second), &values(*second));
        }
        backlog
    }

    /// What is told, each acknowledged before the next: of whom, and of which seconds.
    fn told(backlog: &mut Backlog, together: Together) -> Vec<(ObservationId, Vec<u64>)> {
        let mut told = Vec::new();
        while let Some(id) = backlog.next() {
            let batch = backlog.tell(id, together);
            assert_eq!(backlog.next(), None, "one after the other");
            let seconds = batch.moments.iter().map(|(at, _)| at.since_boot().as_secs()).collect();
            told.push((id, seconds));
            assert!(backlog.told(id));
        }
        assert_eq!((backlog.bytes, backlog.order.len(), backlog.queues.len()), (0, 0, 0));
        told
    }

    #[test]
    fn the_oldest_is_told_first_and_batches_take_what_is_of_one() {
        let of = [(A, 1), (B, 2), (A, 3), (B, 4), (A, 5)];
        let one = told(&mut filled(&of, 9), Together::One);
        assert_eq!(one, of.map(|(id, second)| (id, vec![second])));
        let many = told(&mut filled(&of, 9), Together::Many);
        assert_eq!(many, [(A, vec![1, 3, 5]), (B, vec![2, 4])]);
    }

    /// CORE-50.
    #[test]
    fn the_newest_are_kept_of_an_observation_and_of_a_server() {
        let of: Vec<_> = (0..10).map(|second| (A, second)).collect();
        assert_eq!(told(&mut filled(&of, 3), Together::Many), [(A, vec![7, 8, 9])]);
        assert_eq!(told(&mut filled(&of, 0), Together::Many), []);
        let stored = MAX_STORED as u64;
        let of: Vec<_> = (0..stored + 5).map(|second| (second, second)).collect();
        let told = told(&mut filled(&of, 3), Together::One);
        assert_eq!((told.len(), told[0].0), (MAX_STORED, 5));
    }

    #[test]
    fn long_values_are_kept_within_bounds() {
        let mut backlog = Backlog::default();
        let long = vec![Entry::new(Path::resource(3, 0, 0), Value::String("x".repeat(10_000)))];
        for second in 0..100 {
            backlog.store(A, usize::MAX, at(second), &long);
            assert!(backlog.bytes <= MAX_STORED_BYTES);
        }
        assert!(backlog.order.len() > 20);
        let batch = backlog.tell(A, Together::Many);
        assert_eq!(batch.moments.len(), 1, "a message is not endless either");
        backlog.store(A, usize::MAX, at(100), &[&long[..]; 30].concat());
        assert_eq!(backlog.bytes, 0, "what is too long by itself is not kept");
    }

    #[test]
    fn what_was_not_heard_is_told_again() {
        let mut backlog = filled(&[(A, 1), (A, 2)], 9);
        let first = backlog.tell(A, Together::One);
        assert!(!backlog.not_told(B) && backlog.not_told(A));
        assert_eq!(backlog.tell(A, Together::One), first);
        // Meanwhile it has made room for a newer one.
        backlog.store(A, 1, at(3), &values(3));
        assert!(backlog.told(A) && backlog.has(A));
        assert_eq!(told(&mut backlog, Together::Many), [(A, vec![3])]);
    }

    #[test]
    fn the_next_observation_of_a_path_claims_what_a_former_left() {
        let path = Path::resource(3303, 0, 5700);
        let mut backlog = filled(&[(A, 1), (B, 2)], 9);
        backlog.make_former(A, &path);
        backlog.make_former(B, &path);
        backlog.forget(B);
        assert_eq!(backlog.next(), None, "nobody can be told");
        backlog.claim(7, &path);
        assert_eq!(told(&mut backlog, Together::Many), [(7, vec![1])]);
        let mut backlog = filled(&[(A, 1)], 9);
        backlog.make_former(A, &path);
        backlog.forget_former();
        assert_eq!((backlog.bytes, backlog.order.len()), (0, 0));
    }
}
