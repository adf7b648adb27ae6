//! Cellular Connectivity (10): the modems as one radio (Objects 13).
//!
//! It is there as soon as there is a modem, and has an instance while there is one. Timers
//! of the network and power saving (PSM, eDRX) have no interface at ModemManager, only
//! commands of the maker of the modem, so that they are absent.

mod rest;

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Entry, Now, ObjectDef, ObjectLink, Path, RequestError, Value, objects};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use crate::content::{self, Content};
use crate::follow::{Followed, View};
use crate::modems::{Known, Modems};
use crate::sources::modem_manager::{self, CONTROL_ACTION, Modem};
use crate::{Answer, BusHandle, Object, ObjectMessage, bus};
use rest::{Keeper, Record, Rest};

/// The Cellular Connectivity object.
pub struct CellularConnectivity {
    followed: Followed<Radio>,
    bus: BusHandle,
    record: Record,
    rest: watch::Sender<Option<Rest>>,
}

impl CellularConnectivity {
    /// The object of `modems`, which are on this bus; `state` is the state directory,
    /// where a rest of the radio is recorded, and `out` the channel of the host.
    ///
    /// # Panics
    /// Outside a tokio runtime, which its tasks need.
    pub fn new(
        state: &FilePath,
        bus: BusHandle,
        modems: &Modems,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let record = Record::new(state);
        let rest = watch::Sender::new(record.load());
        let view = Radio(rest.subscribe());
        let definition = &objects::CELLULAR_CONNECTIVITY;
        let mut followed = Followed::new(definition, view, modems, out.clone());
        let keeper = Keeper {
            bus: bus.clone(),
            modems: modems.known(),
            record: record.clone(),
            rest: rest.clone(),
            path: path(REST),
            out,
        };
        followed.tasks.spawn(keeper.run());
        Self { followed, bus, record, rest }
    }

    fn write(&mut self, call: CallId, path: &Path, entries: &[Entry]) -> Answer {
        if !self.is_supported() || path.instance_id().is_some_and(|id| id != 0) {
            return Answer::Now(Err(content::not_found(path)));
        }
        let mut minutes = None;
        for entry in entries {
            match (entry.path.resource_id(), entry.value()) {
                (Some(REST), Some(Value::Integer(value))) => minutes = u32::try_from(*value).ok(),
                _ => {
                    let reason = format!("{}: no modem here takes it", entry.path);
                    return Answer::Now(Err(refused(reason)));
                }
            }
        }
        let before = self.rest.borrow().clone();
        let Some(minutes) = minutes.filter(|minutes| *minutes > 0 || before.is_some()) else {
            return Answer::Now(Ok(CallReply::Done));
        };
        let Some(bus) = self.bus.connection() else {
            return Answer::Now(Err(bus::no_bus(modem_manager::NAME)));
        };
        let modems = self.followed.known.borrow().modems.clone();
        if before.is_none() && !modems.iter().any(|modem| modem.is_on) {
            return Answer::Now(Err(refused("no modem is on".to_owned())));
        }
        let (record, rest, out) =
            (self.record.clone(), self.rest.clone(), self.followed.tasks.out());
        self.followed.tasks.answer_later(call, async move {
            let wanted = Rest::new(minutes, &modems, before);
            begin(&bus, &modems, wanted, record, &rest).await?;
            let _ = out.send(ObjectMessage::Changed(self::path(REST))).await;
            Ok(CallReply::Done)
        })
    }
}

/// Sees whether the modems may be switched, and records the rest.
async fn begin(
    bus: &zbus::Connection,
    modems: &[Modem],
    wanted: Rest,
    record: Record,
    rest: &watch::Sender<Option<Rest>>,
) -> CallResult {
    for modem in modems.iter().filter(|modem| modem.is_on) {
        // It is on already: all that this can do is to be denied.
        modem_manager::enable(bus, modem, true)
            .await
            .map_err(|error| bus::refusal(&error, modem_manager::NAME, CONTROL_ACTION))?;
    }
    let recorded = wanted.clone();
    let written = spawn_blocking(move || record.write(&recorded)).await;
    if let Err(error) = written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        tracing::error!(%error, "a rest of the radio cannot be recorded");
        let reason = "the rest cannot be recorded, and a restart would forget its end";
        return Err(RequestError::new(Code::INTERNAL_SERVER_ERROR, reason));
    }
    rest.send_replace(Some(wanted));
    Ok(CallReply::Done)
}

/// What the object makes of the modems.
#[derive(Clone)]
struct Radio(watch::Receiver<Option<Rest>>);

impl View for Radio {
    fn instances(&self, known: &Known) -> Vec<u16> {
        if known.modems.is_empty() { Vec::new() } else { vec![0] }
    }

    fn contents(&self, known: &Known) -> Vec<(Path, Content)> {
        if known.modems.is_empty() {
            return Vec::new();
        }
        let minutes = self.0.borrow().as_ref().map_or(0, |rest| rest.minutes);
        let profile = |number| ObjectLink::new(objects::APN_CONNECTION_PROFILE.id, number);
        let connected = known.modems.iter().flat_map(Modem::connected);
        let mut numbers: Vec<u16> = connected.filter_map(|bearer| bearer.number).collect();
        numbers.sort_unstable();
        let links = numbers.into_iter().map(|number| Value::Objlnk(profile(number)));
        vec![
            (path(REST), Content::Single(Value::Integer(minutes.into()))),
            (path(ACTIVE_PROFILES), Content::Multiple((0..).zip(links).collect())),
        ]
    }
}

impl Object for CellularConnectivity {
    fn definition(&self) -> Arc<ObjectDef> {
        self.followed.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        self.followed.instances()
    }

    fn is_supported(&self) -> bool {
        !self.followed.known.borrow().modems.is_empty()
    }

    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        match &call.operation {
            CallOperation::Read => Answer::Now(self.followed.read(&call.path)),
            CallOperation::Discover => Answer::Now(self.followed.discover(&call.path)),
            // A Write that replaces does the same: what it leaves out cannot go.
            CallOperation::Write { mode: _, entries } => self.write(call.id, &call.path, entries),
            CallOperation::Execute(_)
            | CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Create { .. }
            | CallOperation::Delete => {
                Answer::Now(Err(refused("there is one radio, and it is the device's".to_owned())))
            }
        }
    }

    fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.followed.watch(path, interval);
    }
}

fn refused(reason: String) -> RequestError {
    RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
}

fn path(resource: u16) -> Path {
    Path::resource(objects::CELLULAR_CONNECTIVITY.id, 0, resource)
}

/// Disable radio period.
const REST: u16 = 1;
const ACTIVE_PROFILES: u16 = 11;
