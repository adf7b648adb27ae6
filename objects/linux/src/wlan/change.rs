//! Writes: what NetworkManager does for the agent, on trial where the way to the servers
//! may be lost by it.
//!
//! 1. A checkpoint of the device is made and its profile written; what polkit refuses is
//!    refused. Then the Write is answered.
//! 2. When the answer is out the device connects by the profile.
//! 3. It is kept once the device is connected and, where it carries the way to the
//!    servers, a server has answered an Update or a Register since.
//! 4. Else NetworkManager goes back to the checkpoint, also if the agent is gone:
//!    [`TRIAL`] after it was made, or as soon as the device cannot connect. A radio that
//!    was switched off has no checkpoint: the agent switches it on again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lwm2m_engine::{CallId, CallReply, CallResult};
use lwm2m_model::{Code, RequestError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use zbus::{Connection, OwnedObjectPath};

use super::wanted::{Network, Wanted};
use super::watcher::Wlans;
use crate::ObjectMessage;
use crate::bus::{self, BusHandle};
use crate::sources::network::Network as Routes;
use crate::sources::network_manager::{
    self as manager, ACTIVATED, CHECKPOINT_ACTION, CONTROL_ACTION, FAILED, NAME, PROFILE_ACTION,
    Profile, RADIO_ACTION, Wlan,
};

/// Tells objects that a server has answered a Register or an Update.
#[derive(Debug, Clone, Default)]
pub struct Reached(Arc<watch::Sender<()>>);

impl Reached {
    /// A server has answered.
    pub fn note(&self) {
        self.0.send_replace(());
    }

    /// Waits for the next answer from now on.
    fn since_now(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// The one change that is under way, if any.
pub(super) struct Changes {
    pub(super) bus: BusHandle,
    pub(super) reached: Reached,
    pub(super) wlans: watch::Receiver<Wlans>,
    pub(super) out: mpsc::Sender<ObjectMessage>,
    pub(super) phase: Mutex<Phase>,
}

/// How far a change is.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Idle,
    /// Its Write is judged.
    Begun,
    /// Its Write is answered; it is forgotten at `until` unless the engine says that the
    /// answer is out.
    Promised { call: CallId, plan: Box<Plan>, until: Instant },
    /// On trial.
    Trial,
}

/// What is done after the answer.
#[derive(Debug)]
pub(super) struct Plan {
    wlan: Wlan,
    step: Step,
    way: Way,
}

#[derive(Debug)]
enum Step {
    SwitchOff,
    Connect { checkpoint: OwnedObjectPath, by: By },
}

#[derive(Debug)]
enum By {
    Profile(OwnedObjectPath),
    New(Profile),
}

/// Whether the way to the servers leads through the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Through,
    Elsewhere,
}

impl Changes {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        // Whoever panicked with it in hand has left it whole.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of the one change.
    pub(super) fn begin(&self) -> Result<(), RequestError> {
        let mut phase = self.phase();
        let is_free = match &*phase {
            Phase::Idle => true,
            Phase::Promised { until, .. } => *until <= Instant::now(),
            Phase::Begun | Phase::Trial => false,
        };
        if !is_free {
            let reason = "the change before is still on trial";
            return Err(RequestError::new(Code::SERVICE_UNAVAILABLE, reason));
        }
        *phase = Phase::Begun;
        Ok(())
    }

    /// Step 1. Given up half-way, it leaves the place to the next.
    pub(super) async fn prepare(&self, call: CallId, wlan: Wlan, wanted: Wanted) -> CallResult {
        let begun = Begun(self);
        let bus = self.bus.connection().ok_or_else(|| bus::no_bus(NAME))?;
        let way = way(&wlan.name);
        let step = if wanted.network != Network::default() {
            let (checkpoint, by) = connect(&bus, &wlan, &wanted).await?;
            Step::Connect { checkpoint, by }
        } else if wanted.radio == Some(false) && way == Way::Through {
            permitted(&bus, RADIO_ACTION).await?;
            Step::SwitchOff
        } else {
            if let Some(is_on) = wanted.radio {
                manager::set_radio(&bus, is_on).await.map_err(refusal(RADIO_ACTION))?;
            }
            return Ok(CallReply::Done);
        };
        let plan = Box::new(Plan { wlan, step, way });
        begun.promise(Phase::Promised { call, plan, until: Instant::now() + TRIAL });
        Ok(CallReply::AfterAnswer)
    }

    /// Steps 2 to 4, if the change is that of `call`.
    pub(super) fn promised(
        self: &Arc<Self>,
        call: CallId,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let mut phase = self.phase();
        match std::mem::replace(&mut *phase, Phase::Trial) {
            Phase::Promised { call: known, plan, .. } if known == call => {
                let changes = self.clone();
                Some(async move {
                    changes.carry_out(*plan).await;
                    *changes.phase() = Phase::Idle;
                })
            }
            other => {
                *phase = other;
                None
            }
        }
    }

    async fn carry_out(&self, Plan { wlan, step, way }: Plan) {
        let name = &wlan.name;
        let is_kept = match step {
            Step::SwitchOff => self.switch_off(name).await,
            Step::Connect { checkpoint, by } => {
                self.try_connection(&wlan, &checkpoint, by, way).await
            }
        };
        match is_kept {
            Ok(()) => tracing::info!("{name}: the change has shown that it works, and is kept"),
            Err(reason) => {
                tracing::warn!("{name}: the change is taken back: {reason}");
                self.ask_servers().await;
            }
        }
    }

    async fn switch_off(&self, name: &str) -> Result<(), String> {
        let failed = |error: zbus::Error| format!("cannot switch off the radio: {error}");
        let bus = self.bus.connection().ok_or("there is no D-Bus connection")?;
        manager::set_radio(&bus, false).await.map_err(failed)?;
        let proof = async {
            self.settled(name, |wlan| wlan.is_none_or(|wlan| wlan.state != ACTIVATED)).await;
            self.answered().await;
        };
        if timeout(TRIAL, proof).await.is_ok() {
            return Ok(());
        }
        if let Some(bus) = self.bus.connection()
            && let Err(error) = manager::set_radio(&bus, true).await
        {
            tracing::error!(%error, "cannot switch on the radio");
        }
        Err("no server was reached without the radio".into())
    }

    async fn try_connection(
        &self,
        wlan: &Wlan,
        checkpoint: &OwnedObjectPath,
        by: By,
        way: Way,
    ) -> Result<(), String> {
        let bus = self.bus.connection().ok_or("there is no D-Bus connection")?;
        let active = match &by {
            By::Profile(profile) => manager::activate(&bus, profile, &wlan.device).await,
            By::New(profile) => manager::add_and_activate(&bus, profile, &wlan.device).await,
        };
        let proof = async {
            let active = active.map_err(|error| format!("it cannot be connected: {error}"))?;
            self.connected(&wlan.name, &active).await?;
            if way == Way::Through {
                self.answered().await;
            }
            Ok(())
        };
        match timeout(TRIAL, proof).await {
            Ok(Ok(())) => {
                let kept = manager::keep(&bus, checkpoint).await;
                kept.map_err(|error| format!("NetworkManager does not keep it: {error}"))
            }
            Ok(Err(reason)) => {
                if let Err(error) = manager::roll_back(&bus, checkpoint).await {
                    tracing::warn!(%error, "NetworkManager goes back only when its time is over");
                }
                Err(reason)
            }
            // NetworkManager has seen it by itself.
            Err(_) => Err("no server was reached by it in time".into()),
        }
    }

    /// Waits until the connection is active; fails as soon as it cannot be any more.
    async fn connected(&self, name: &str, active: &OwnedObjectPath) -> Result<(), String> {
        let (mut was_there, mut is_active) = (false, false);
        self.settled(name, |wlan| {
            let here = wlan.filter(|wlan| wlan.active.as_ref() == Some(active));
            is_active = here.is_some_and(|wlan| wlan.state == ACTIVATED);
            let has_failed = here.map_or(was_there, |wlan| wlan.state == FAILED);
            was_there |= here.is_some();
            is_active || has_failed
        })
        .await;
        if is_active { Ok(()) } else { Err("it cannot be connected".into()) }
    }

    /// Waits until what NetworkManager says of a WLAN is enough.
    async fn settled(&self, name: &str, mut is_enough: impl FnMut(Option<&Wlan>) -> bool) {
        let mut wlans = self.wlans.clone();
        let find = |wlans: &Wlans| {
            let wlan = wlans.iter().find(|(_, wlan)| wlan.name == name);
            is_enough(wlan.map(|(_, wlan)| wlan))
        };
        // It fails only when the object is gone, and its tasks with it.
        let _ = wlans.wait_for(find).await;
    }

    /// Asks the servers for an answer, and waits for one.
    async fn answered(&self) {
        let mut answers = self.reached.since_now();
        self.ask_servers().await;
        // Nobody holds the other end any more: then there is no answer either.
        if answers.changed().await.is_err() {
            std::future::pending().await
        }
    }

    async fn ask_servers(&self) {
        // Without a host there is nobody to ask.
        let _ = self.out.send(ObjectMessage::Update).await;
    }
}

/// The place of the one change while its Write is judged; given back when dropped.
struct Begun<'a>(&'a Changes);

impl Begun<'_> {
    fn promise(self, promised: Phase) {
        *self.0.phase() = promised;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut phase = self.0.phase();
        if matches!(*phase, Phase::Begun) {
            *phase = Phase::Idle;
        }
    }
}

/// Makes the checkpoint and writes the profile.
async fn connect(
    bus: &Connection,
    wlan: &Wlan,
    wanted: &Wanted,
) -> Result<(OwnedObjectPath, By), RequestError> {
    permitted(bus, CONTROL_ACTION).await?;
    let by = match &wlan.profile {
        None => By::New(wanted.network.profile(&wlan.name)?),
        Some(path) => By::Profile(path.clone()),
    };
    let changed = match &by {
        By::New(_) => {
            permitted(bus, PROFILE_ACTION).await?;
            None
        }
        By::Profile(path) => {
            let profile = manager::profile(bus, path).await;
            let mut profile = profile.map_err(refusal(PROFILE_ACTION))?;
            wanted.network.change(&mut profile)?;
            Some((path, profile))
        }
    };
    let checkpoint = manager::checkpoint(bus, &wlan.device, TRIAL.as_secs() as u32).await;
    let checkpoint = checkpoint.map_err(refusal(CHECKPOINT_ACTION))?;
    let written = async {
        if let Some((path, profile)) = &changed {
            manager::update(bus, path, profile).await.map_err(refusal(PROFILE_ACTION))?;
        }
        if wanted.radio == Some(true) && !wlan.radio {
            manager::set_radio(bus, true).await.map_err(refusal(RADIO_ACTION))?;
        }
        Ok(())
    };
    if let Err(error) = written.await {
        if let Err(error) = manager::roll_back(bus, &checkpoint).await {
            tracing::warn!(%error, "NetworkManager goes back only when its time is over");
        }
        return Err(error);
    }
    Ok((checkpoint, by))
}

async fn permitted(bus: &Connection, action: &'static str) -> Result<(), RequestError> {
    if manager::is_permitted(bus, action).await.map_err(refusal(action))? {
        return Ok(());
    }
    Err(bus::not_granted(NAME, action))
}

fn refusal(action: &'static str) -> impl Fn(zbus::Error) -> RequestError {
    move |error| bus::refusal(&error, NAME, action)
}

/// Where the best default route leads; where nothing is known, the worse of both.
fn way(name: &str) -> Way {
    let routes = Routes::read().unwrap_or_default();
    let link = routes.routes.first().and_then(|route| routes.link(route.link));
    match link {
        Some(link) if link.name != name => Way::Elsewhere,
        Some(_) | None => Way::Through,
    }
}

/// A change that has not shown by then that it works is taken back: time for a
/// retransmitted Update to fail (93 s), a handshake (60 s) and a Register.
const TRIAL: Duration = Duration::from_secs(300);
