//! The task that knows all sensors: it lists them, looks at them, and answers for all
//! objects of sensors.
//!
//! 1. The kernel's news of hwmon, thermal or IIO, a sensor that is gone, and a call
//!    that concerns a whole object lead to a new list.
//! 2. An object whose instances differ after that is told of.
//! 3. While a measured resource is observed, its sensor is sampled at the interval
//!    asked for; an instance that differs is told of. Otherwise no timer runs.
//! 4. Looks at files go to a thread of their own: a chip on a slow bus, or a disk that
//!    is asleep, must not hold up the agent.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{CallId, CallReply, CallResult};
use lwm2m_model::Path;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::resource::{MEASURED, QUANTITIES, RESET, definition};
use super::tracked::Tracked;
use crate::content::{self, Content};
use crate::observed::{Observed, at};
use crate::slots::Slots;
use crate::source::{Source, Wanted};
use crate::sources::clock;
use crate::sources::sensor::{self, Reading, Sensor};
use crate::sources::uevent::UeventSocket;
use crate::{ObjectMessage, Roots};

/// A call that the task answers.
pub(super) struct Request {
    pub(super) call: CallId,
    pub(super) path: Path,
    pub(super) question: Question,
    /// Unix time in milliseconds, if the clock is set.
    pub(super) wall: Option<i64>,
}

/// What is asked.
pub(super) enum Question {
    Read,
    Discover,
    /// Reset Min and Max Measured Values (5605).
    Reset,
}

/// The instances of each object, ascending.
pub(super) type Instances = BTreeMap<u16, Vec<u16>>;

/// Object and instance.
type Place = (u16, u16);

/// What the task knows.
pub(super) struct Survey {
    roots: Roots,
    tracked: BTreeMap<Place, Tracked>,
    slots: BTreeMap<u16, Slots>,
    instances: watch::Sender<Instances>,
    observed: watch::Receiver<Observed>,
    out: mpsc::Sender<ObjectMessage>,
    /// When there is to be a new list.
    list_at: Option<Instant>,
}

/// The host is gone.
type Ended = SendError<ObjectMessage>;

impl Survey {
    /// With the sensors that are there now.
    pub(super) fn new(
        roots: Roots,
        observed: watch::Receiver<Observed>,
        out: mpsc::Sender<ObjectMessage>,
    ) -> (Self, watch::Receiver<Instances>) {
        let (instances, seen) = watch::channel(Instances::new());
        let (tracked, slots) = (BTreeMap::new(), BTreeMap::new());
        let mut survey = Self { roots, tracked, slots, instances, observed, out, list_at: None };
        survey.assign(&sensor::list(&survey.roots.sys));
        (survey, seen)
    }

    /// Answers until the objects or the host are gone.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut news = Source::default();
        news.set(Wanted::Yes, UeventSocket::open, "uevent socket");
        loop {
            self.plan();
            let next_sample = self.tracked.values().filter_map(|tracked| tracked.due).min();
            let done = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => return,
                },
                changed = self.observed.changed() => match changed {
                    Ok(()) => Ok(()),
                    Err(_) => return,
                },
                () = news.wait(async |socket: &UeventSocket| socket.changed(&SUBSYSTEMS).await) => {
                    // One driver brings several; and labels may come after the device.
                    self.list_at.get_or_insert_with(|| Instant::now() + SETTLING_TIME);
                    Ok(())
                }
                () = at(self.list_at) => self.list().await,
                () = at(next_sample) => self.sample().await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Sets when each sensor is to be sampled next.
    fn plan(&mut self) {
        let observed = self.observed.borrow_and_update();
        for (place, tracked) in &mut self.tracked {
            let (object, instance) = *place;
            let intervals = MEASURED
                .iter()
                .filter_map(|id| observed.interval(&Path::resource(object, instance, *id)));
            tracked.plan(intervals.min());
        }
    }

    async fn answer(&mut self, request: Request) -> Result<(), Ended> {
        let Request { call, path, question, wall } = request;
        if path.instance_id().is_none() {
            self.list().await?;
        }
        let places: Vec<Place> = self.tracked.keys().copied().collect();
        let concerned = |(object, instance): &Place| {
            let at = Path::instance(*object, *instance);
            path.contains(&at) || at.contains(&path)
        };
        let places: Vec<Place> = places.into_iter().filter(concerned).collect();
        if path.resource_id().is_none_or(|id| id == RESET || MEASURED.contains(&id)) {
            self.look(&places, wall).await;
        }
        let result = match question {
            Question::Read => content::read(&path, self.contents(&places)),
            Question::Discover => {
                let instances = places.iter().map(|(object, id)| Path::instance(*object, *id));
                content::discover(&path, instances, self.contents(&places))
            }
            Question::Reset => self.reset(&path, &places).await?,
        };
        self.out.send(ObjectMessage::Reply { call, result }).await
    }

    fn contents(&self, places: &[Place]) -> Vec<(Path, Content)> {
        let tracked = places.iter().filter_map(|place| Some((place, self.tracked.get(place)?)));
        tracked
            .flat_map(|((object, id), tracked)| tracked.contents(&Path::instance(*object, *id)))
            .collect()
    }

    async fn reset(&mut self, path: &Path, places: &[Place]) -> Result<CallResult, Ended> {
        for place in places {
            if let Some(tracked) = self.tracked.get_mut(place) {
                tracked.reset();
            }
            self.tell_changed(*place).await?;
        }
        let is_there = !places.is_empty();
        Ok(if is_there { Ok(CallReply::Done) } else { Err(content::not_found(path)) })
    }

    /// Looks at the sensors that are due and tells which differ.
    async fn sample(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let mut places = Vec::new();
        for (place, tracked) in &mut self.tracked {
            if tracked.due.take_if(|due| *due <= now).is_some() {
                places.push(*place);
            }
        }
        self.look(&places, clock::now().wall).await;
        for place in places {
            if self.tracked.get_mut(&place).is_some_and(Tracked::sample) {
                self.tell_changed(place).await?;
            }
        }
        Ok(())
    }

    /// Looks at some sensors.
    async fn look(&mut self, places: &[Place], wall: Option<i64>) {
        let sensors: Vec<(Place, Arc<Sensor>)> = places
            .iter()
            .filter_map(|place| Some((*place, self.tracked.get(place)?.sensor.clone())))
            .collect();
        let readings = aside(move || {
            sensors.into_iter().map(|(place, sensor)| (place, sensor.read())).collect::<Vec<_>>()
        });
        for (place, reading) in readings.await.unwrap_or_default() {
            let value = match reading {
                Reading::Value(value) => Some(value),
                Reading::Absent => None,
                Reading::Gone => {
                    self.list_at = Some(Instant::now());
                    None
                }
            };
            if let Some(tracked) = self.tracked.get_mut(&place) {
                tracked.take(value, wall);
            }
        }
    }

    /// Makes a new list and tells of the objects whose instances differ.
    async fn list(&mut self) -> Result<(), Ended> {
        self.list_at = None;
        let sys = self.roots.sys.clone();
        let Some(sensors) = aside(move || sensor::list(FilePath::new(&sys))).await else {
            return Ok(());
        };
        let before = self.instances.borrow().clone();
        let other = self.assign(&sensors);
        for quantity in QUANTITIES {
            let definition = definition(quantity);
            let instances = self.instances.borrow().get(&definition.id).cloned();
            if before.get(&definition.id) == instances.as_ref() {
                continue;
            }
            let message = ObjectMessage::Object {
                definition: Arc::new(definition.clone()),
                instances: instances.unwrap_or_default(),
                streams: Vec::new(),
            };
            self.out.send(message).await?;
        }
        for place in other {
            self.tell_changed(place).await?;
        }
        Ok(())
    }

    /// Gives each sensor its instance; names the instances that hold another sensor
    /// than before, or one of another name.
    fn assign(&mut self, sensors: &[Sensor]) -> Vec<Place> {
        let mut before = std::mem::take(&mut self.tracked);
        let mut other = Vec::new();
        let mut instances = Instances::new();
        for quantity in QUANTITIES {
            let object = definition(quantity).id;
            let of_object: Vec<Sensor> =
                sensors.iter().filter(|sensor| sensor.quantity == quantity).cloned().collect();
            let slots = self.slots.entry(object).or_default();
            for (id, sensor) in slots.assign(&of_object, |sensor| &sensor.key) {
                let place = (object, id);
                let mut tracked = match before.remove(&place) {
                    Some(tracked) if tracked.sensor.key == sensor.key => tracked,
                    Some(_) => {
                        other.push(place);
                        Tracked::new(sensor.clone())
                    }
                    None => Tracked::new(sensor.clone()),
                };
                if *tracked.sensor != *sensor {
                    other.push(place);
                    tracked.sensor = Arc::new(sensor.clone());
                }
                self.tracked.insert(place, tracked);
                instances.entry(object).or_default().push(id);
            }
        }
        self.instances.send_replace(instances);
        other
    }

    async fn tell_changed(&self, (object, instance): Place) -> Result<(), Ended> {
        self.out.send(ObjectMessage::Changed(Path::instance(object, instance))).await
    }
}

/// Does what may wait for a device in a thread of its own; `None` if that failed.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// The subsystems of the kernel that have sensors.
const SUBSYSTEMS: [&str; 3] = ["hwmon", "thermal", "iio"];
/// From the kernel's news to the new list.
const SETTLING_TIME: Duration = Duration::from_secs(1);
