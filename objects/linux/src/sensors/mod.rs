//! The sensors of the kernel (hwmon, thermal zones, IIO) as objects of IPSO:
//! Illuminance (3301), Temperature (3303), Humidity (3304), Barometer (3315), Voltage
//! (3316), Current (3317) and Power (3328), each sensor an instance.
//!
//! A sensor that measures nothing, or nonsense, has no Sensor Value (5700). A sensor
//! keeps its instance as long as the kernel lists it. All objects share one task.

mod resource;
mod survey;
mod tracked;

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation};
use lwm2m_model::{Arguments, Code, Now, ObjectDef, Path, RequestError};
use tokio::sync::{mpsc, watch};

use crate::observed::Observed;
use crate::tasks::Tasks;
use crate::{Answer, Object, ObjectMessage, Roots, content};
use resource::{QUANTITIES, RESET, definition};
use survey::{Instances, Question, Request, Survey};

/// The objects of the sensors of this machine, or of the made-up one below `roots`: one
/// for each quantity, with as many instances as there are sensors of it.
///
/// `out` is the channel of the host. The sensors are listed here.
///
/// # Panics
/// Outside a tokio runtime, which the task of the objects needs.
pub fn sensors(
    roots: &Roots,
    out: &mpsc::Sender<ObjectMessage>,
) -> impl Iterator<Item = Box<dyn Object + Send>> {
    let (observed, observed_seen) = watch::channel(Observed::default());
    let (requests, to_answer) = mpsc::channel(MAX_REQUESTS);
    let (survey, instances) = Survey::new(roots.clone(), observed_seen, out.clone());
    let mut tasks = Tasks::new(out.clone());
    tasks.spawn(survey.run(to_answer));
    let shared = Arc::new(Shared { requests, observed, instances, _tasks: tasks });
    QUANTITIES.into_iter().map(move |quantity| {
        let definition = Arc::new(definition(quantity).clone());
        Box::new(Sensors { definition, shared: shared.clone() }) as Box<dyn Object + Send>
    })
}

/// The object of one quantity.
struct Sensors {
    definition: Arc<ObjectDef>,
    shared: Arc<Shared>,
}

/// What the objects have in common; the task ends with it.
struct Shared {
    requests: mpsc::Sender<Request>,
    observed: watch::Sender<Observed>,
    instances: watch::Receiver<Instances>,
    _tasks: Tasks,
}

impl Sensors {
    fn ask(&self, call: &Call, question: Question, now: &Now) -> Answer {
        let request = Request { call: call.id, path: call.path.clone(), question, wall: now.wall };
        match self.shared.requests.try_send(request) {
            Ok(()) => Answer::Later,
            Err(_) => Answer::Now(Err(RequestError::new(
                Code::SERVICE_UNAVAILABLE,
                "too many calls wait for slow sensors",
            ))),
        }
    }

    fn execute(&self, call: &Call, arguments: &Arguments, now: &Now) -> Answer {
        match call.path.ids() {
            [_, _, RESET] if !arguments.is_empty() => {
                refuse(Code::BAD_REQUEST, format!("{} takes no argument", call.path))
            }
            [_, _, RESET] => self.ask(call, Question::Reset, now),
            _ => Answer::Now(Err(content::not_found(&call.path))),
        }
    }
}

impl Object for Sensors {
    fn definition(&self) -> Arc<ObjectDef> {
        self.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        self.shared.instances.borrow().get(&self.definition.id).cloned().unwrap_or_default()
    }

    fn call(&mut self, call: &Call, now: &Now) -> Answer {
        match &call.operation {
            CallOperation::Read => self.ask(call, Question::Read, now),
            CallOperation::Discover => self.ask(call, Question::Discover, now),
            CallOperation::Execute(arguments) => self.execute(call, arguments, now),
            CallOperation::Write { .. } => refuse(
                Code::METHOD_NOT_ALLOWED,
                "the name of a sensor comes from the system, and nothing else can be written",
            ),
            CallOperation::Create { .. } | CallOperation::Delete => {
                refuse(Code::METHOD_NOT_ALLOWED, "the instances are the sensors of the system")
            }
            CallOperation::Stream { .. } | CallOperation::StreamEnd | CallOperation::Proceed => {
                refuse(Code::METHOD_NOT_ALLOWED, "nothing streams here")
            }
        }
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.shared.observed.send_if_modified(|observed| {
            let before = observed.clone();
            observed.set(path, interval);
            *observed != before
        });
    }
}

fn refuse(code: Code, reason: impl Into<std::borrow::Cow<'static, str>>) -> Answer {
    Answer::Now(Err(RequestError::new(code, reason)))
}

/// Calls that wait for the task. Each object has one out, and a few that were given up.
const MAX_REQUESTS: usize = 32;
