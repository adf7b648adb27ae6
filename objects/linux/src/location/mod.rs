//! Location (6): where this machine is (Objects 8).
//!
//! 1. There is no instance before the first fix. Until then, and while somebody
//!    observes or reads, the source is open; else nothing runs.
//! 2. A Read takes a fix of the last seconds, or waits a moment for a new one.
//! 3. Without a new one the last is given with its own Timestamp (OBJ-73).

mod config;
mod fix;
mod geoclue;
mod gpsd;
mod modem;
mod nmea;
mod outage;
mod report;
mod track;
mod velocity;

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallResult};
use lwm2m_model::{Code, Now, ObjectDef, Path, RequestError, objects};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub use config::{GPSD_ADDRESS, LocationConfig, MAX_ALTITUDE, MAX_LATITUDE, MAX_LONGITUDE, Place};

use crate::content;
use crate::observed::Observed;
use crate::source::Wanted;
use crate::tasks::Tasks;
use crate::{Answer, BusHandle, Object, ObjectMessage};
use fix::Fix;
use track::{Demand, Known, Track};

/// The Location object.
pub struct Location {
    definition: Arc<ObjectDef>,
    source: Source,
    observed: Observed,
    tasks: Tasks,
}

enum Source {
    Fixed(Place),
    /// A task that measures.
    Measured {
        known: watch::Receiver<Option<Known>>,
        demand: watch::Sender<Demand>,
    },
}

impl Location {
    /// The object with its source, which may be on the bus. `out` is the channel of the
    /// host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(config: LocationConfig, bus: BusHandle, out: mpsc::Sender<ObjectMessage>) -> Self {
        let definition = Arc::new(objects::LOCATION.clone());
        let mut tasks = Tasks::new(out.clone());
        let measure = || {
            let (demand, demanded) = watch::channel(Demand::default());
            let (track, known) = Track::new(definition.clone(), demanded, out.clone());
            (Source::Measured { known, demand }, track)
        };
        let source = match config {
            LocationConfig::Fixed(place) => Source::Fixed(place),
            LocationConfig::Gpsd(address) => {
                let (source, track) = measure();
                tasks.spawn(gpsd::run(address, track));
                source
            }
            LocationConfig::GeoClue => {
                let (source, track) = measure();
                tasks.spawn(geoclue::run(bus, track));
                source
            }
            LocationConfig::ModemManager => {
                let (source, track) = measure();
                tasks.spawn(modem::run(bus, track));
                source
            }
        };
        Self { definition, source, observed: Observed::default(), tasks }
    }

    fn read(&mut self, call: CallId, path: &Path, now: &Now) -> Answer {
        let Source::Measured { known, demand } = &self.source else {
            return Answer::Now(answer(path, self.fix(now).as_ref()));
        };
        // Before the first fix there is nothing to wait for: the instance comes by itself.
        if known.borrow().as_ref().is_none_or(Known::is_fresh) {
            return Answer::Now(answer(path, self.fix(now).as_ref()));
        }
        let (mut known, demand, path) = (known.clone(), demand.clone(), path.clone());
        self.tasks.answer_later(call, async move {
            known.mark_unchanged();
            let reading = Reading::begin(demand);
            // Without a new fix the last one counts.
            let _ = timeout(FIX_TIME_LIMIT, known.changed()).await;
            drop(reading);
            let fix = known.borrow().as_ref().map(|known| known.fix.clone());
            answer(&path, fix.as_ref())
        })
    }

    /// The last fix.
    fn fix(&self, now: &Now) -> Option<Fix> {
        match &self.source {
            // It is where it is at any time, also once a wrong clock was set.
            Source::Fixed(place) => {
                Some(Fix::fixed(*place, now.wall.unwrap_or_default().div_euclid(1000)))
            }
            Source::Measured { known, .. } => known.borrow().as_ref().map(|it| it.fix.clone()),
        }
    }
}

fn answer(path: &Path, fix: Option<&Fix>) -> CallResult {
    if path.instance_id().is_some_and(|id| id != 0) {
        return Err(content::not_found(path));
    }
    content::read(path, fix.map(Fix::contents).unwrap_or_default())
}

impl Object for Location {
    fn definition(&self) -> Arc<ObjectDef> {
        self.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        match &self.source {
            Source::Measured { known, .. } if known.borrow().is_none() => Vec::new(),
            Source::Fixed(_) | Source::Measured { .. } => vec![0],
        }
    }

    fn call(&mut self, call: &Call, now: &Now) -> Answer {
        match &call.operation {
            CallOperation::Read => self.read(call.id, &call.path, now),
            CallOperation::Discover => {
                let instance = Path::instance(objects::LOCATION.id, 0);
                let fix = self.fix(now);
                let instances = fix.as_ref().map(|_| instance);
                let contents = fix.as_ref().map(Fix::contents).unwrap_or_default();
                Answer::Now(content::discover(&call.path, instances, contents))
            }
            CallOperation::Write { .. }
            | CallOperation::Execute(_)
            | CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Create { .. }
            | CallOperation::Delete => Answer::Now(Err(RequestError::new(
                Code::METHOD_NOT_ALLOWED,
                "the Location object can only be read",
            ))),
        }
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.observed.set(path, interval);
        let Source::Measured { demand, .. } = &self.source else {
            return;
        };
        let interval = self.observed.interval(&Path::object(objects::LOCATION.id));
        let observed = if interval.is_some() { Wanted::Yes } else { Wanted::No };
        demand.send_if_modified(|demand| {
            let differs = demand.observed != observed;
            demand.observed = observed;
            differs
        });
    }
}

/// A Read that waits for a fix, however it ends.
struct Reading(watch::Sender<Demand>);

impl Reading {
    fn begin(demand: watch::Sender<Demand>) -> Self {
        demand.send_modify(|demand| demand.readers += 1);
        Self(demand)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.send_modify(|demand| demand.readers -= 1);
    }
}

/// So long a Read waits for a fix.
const FIX_TIME_LIMIT: Duration = Duration::from_secs(2);
