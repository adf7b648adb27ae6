//! The host of the objects: gives each its calls one after the other.
//!
//! 1. A call to an idle object goes to it at once; one that the object answers
//!    in place is answered in place.
//! 2. While a call is out, further calls to the same object wait, first in first
//!    out, [`QUEUE_LIMIT`] at most; other objects go on.
//! 3. A call is answered [`CALL_TIME_LIMIT`] after it came at the latest.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallReply, CallResult};
use lwm2m_model::{Code, Now, ObjectDef, Path, RequestError};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Answer, Object, ObjectMessage};

/// Owns the objects and keeps their calls in order.
pub struct ObjectHost {
    objects: BTreeMap<u16, Slot>,
    clock: Box<dyn Fn() -> Now + Send>,
    /// Answers of calls that were begun from a queue, not yet taken by `next`.
    ready: VecDeque<ObjectMessage>,
    sender: mpsc::Sender<ObjectMessage>,
    receiver: mpsc::Receiver<ObjectMessage>,
    /// Rings when a call has been out for too long; perhaps set for one that is answered.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// An object and the calls it has not answered.
struct Slot {
    object: Box<dyn Object + Send>,
    running: Option<Running>,
    waiting: VecDeque<(Call, Instant)>,
}

/// The call that an object works on.
struct Running {
    id: CallId,
    deadline: Instant,
}

impl ObjectHost {
    /// A host without objects; `clock` is asked whenever a call begins.
    pub fn new(clock: impl Fn() -> Now + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(MESSAGE_LIMIT);
        Self {
            objects: BTreeMap::new(),
            clock: Box::new(clock),
            ready: VecDeque::new(),
            sender,
            receiver,
            alarm: None,
        }
    }

    /// The channel to give to an object. It is bounded: when it is full the
    /// task of the object that sends waits until [`ObjectHost::next`] has made
    /// room; nothing is dropped.
    pub fn sender(&self) -> mpsc::Sender<ObjectMessage> {
        self.sender.clone()
    }

    /// Takes over an object. One with the same Object ID is replaced; its open
    /// calls are refused with 5.03.
    pub fn add(&mut self, object: Box<dyn Object + Send>) {
        let id = object.definition().id;
        let slot = Slot { object, running: None, waiting: VecDeque::new() };
        let Some(old) = self.objects.insert(id, slot) else {
            return;
        };
        let running = old.running.map(|running| running.id);
        for call in running.into_iter().chain(old.waiting.into_iter().map(|(call, _)| call.id)) {
            self.ready.push_back(refused(call, "the object was replaced"));
        }
    }

    /// Definition, instances and streams of each object that the device supports now, in
    /// ascending order of Object ID.
    pub fn objects(&self) -> impl Iterator<Item = (Arc<ObjectDef>, Vec<u16>, Vec<u16>)> + '_ {
        let objects = self.objects.values().map(|slot| &slot.object);
        objects
            .filter(|object| object.is_supported())
            .map(|object| (object.definition(), object.instances(), object.streams()))
    }

    /// Gives a call to its object.
    ///
    /// `None`: the result comes from [`ObjectHost::next`], or no result is expected. An unknown object gives 4.04, a full queue 5.03.
    pub fn call(&mut self, call: &Call) -> Option<CallResult> {
        let slot = call.path.object_id().and_then(|id| self.objects.get_mut(&id));
        if !call.operation.expects_reply() {
            // The engine has said what is so: it neither waits nor is refused.
            if let Some(slot) = slot {
                slot.object.call(call, &(self.clock)());
            }
            return None;
        }
        let Some(slot) = slot else {
            return Some(Err(RequestError::new(Code::NOT_FOUND, "no such object")));
        };
        if slot.running.is_none() {
            return slot.begin(call, None, &(self.clock)());
        }
        if slot.waiting.len() >= QUEUE_LIMIT {
            return Some(Err(RequestError::new(
                Code::SERVICE_UNAVAILABLE,
                "too many calls wait for the object",
            )));
        }
        slot.waiting.push_back((call.clone(), Instant::now() + CALL_TIME_LIMIT));
        None
    }

    /// Tells the objects below `path` that it is observed, or no longer is.
    pub fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        for (id, slot) in &mut self.objects {
            if path.object_id().is_none_or(|object| object == *id) {
                slot.object.watch(path, interval);
            }
        }
    }

    /// Has all objects forget what servers have written.
    pub fn forget(&mut self) {
        self.objects.values_mut().for_each(|slot| slot.object.forget());
    }

    /// Waits for the next message: the answer to a call, or news of an object.
    ///
    /// Cancel safe: a message is taken only when it is returned.
    pub async fn next(&mut self) -> ObjectMessage {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return message;
            }
            let deadline = self.earliest_deadline();
            tokio::select! {
                // The host holds a sender itself, so the channel never ends.
                Some(message) = self.receiver.recv() => self.take(message),
                () = ring(&mut self.alarm, deadline) => self.expire(Instant::now()),
            }
        }
    }

    fn earliest_deadline(&self) -> Option<Instant> {
        // Calls of one object expire in the order in which they came.
        self.objects
            .values()
            .filter_map(|slot| slot.running.as_ref().map(|running| running.deadline))
            .min()
    }

    /// Passes a message on, unless it answers a call that is no longer open.
    fn take(&mut self, message: ObjectMessage) {
        let ObjectMessage::Reply { call, .. } = &message else {
            self.ready.push_back(message);
            return;
        };
        let is_running =
            |slot: &&mut Slot| slot.running.as_ref().is_some_and(|running| running.id == *call);
        let Some(slot) = self.objects.values_mut().find(is_running) else {
            tracing::debug!(call = call.0, "an object answered too late");
            return;
        };
        slot.running = None;
        self.ready.push_back(message);
        slot.begin_waiting(&(self.clock)(), &mut self.ready);
    }

    fn expire(&mut self, now: Instant) {
        for slot in self.objects.values_mut() {
            let Some(running) = slot.running.take_if(|running| running.deadline <= now) else {
                continue;
            };
            self.ready.push_back(refused(running.id, SLOW));
            while slot.waiting.front().is_some_and(|(_, deadline)| *deadline <= now) {
                let late = slot.waiting.pop_front();
                self.ready.extend(late.map(|(call, _)| refused(call.id, SLOW)));
            }
            slot.begin_waiting(&(self.clock)(), &mut self.ready);
        }
    }
}

impl Slot {
    /// Begins a call; without a `deadline` it has come just now. Most calls are
    /// answered in place and need none.
    fn begin(&mut self, call: &Call, deadline: Option<Instant>, now: &Now) -> Option<CallResult> {
        match self.object.call(call, now) {
            Answer::Now(result) => Some(result),
            Answer::Later => {
                let deadline = deadline.unwrap_or_else(|| Instant::now() + CALL_TIME_LIMIT);
                self.running = Some(Running { id: call.id, deadline });
                None
            }
        }
    }

    /// Begins waiting calls until one is out again.
    fn begin_waiting(&mut self, now: &Now, ready: &mut VecDeque<ObjectMessage>) {
        while self.running.is_none() {
            let Some((call, deadline)) = self.waiting.pop_front() else {
                return;
            };
            if let Some(result) = self.begin(&call, Some(deadline), now) {
                ready.push_back(ObjectMessage::Reply { call: call.id, result });
            }
        }
    }
}

/// Waits for `deadline`. The alarm stays set when it is not waited for any more: to put it
/// off costs nothing, to set one anew for each block of a package wakes the reactor.
async fn ring(alarm: &mut Option<Pin<Box<Sleep>>>, deadline: Option<Instant>) {
    let Some(deadline) = deadline else { return pending().await };
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if alarm.deadline() != deadline {
        alarm.as_mut().reset(deadline);
    }
    alarm.await;
}

fn refused(call: CallId, reason: &'static str) -> ObjectMessage {
    let result: Result<CallReply, _> = Err(RequestError::new(Code::SERVICE_UNAVAILABLE, reason));
    ObjectMessage::Reply { call, result }
}

/// Calls that wait for one object; a further one is refused with 5.03.
pub const QUEUE_LIMIT: usize = 32;
/// After this a call is refused with 5.03; the time in the queue counts.
pub const CALL_TIME_LIMIT: Duration = Duration::from_secs(10);

const SLOW: &str = "the object did not answer in time";
/// Messages of objects that wait for the host.
const MESSAGE_LIMIT: usize = 64;
