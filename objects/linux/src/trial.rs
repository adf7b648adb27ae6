//! Changes that NetworkManager makes for the agent, on trial where the way to the servers
//! may be lost by them.
//!
//! 1. A checkpoint of the device is made and its profile written; what polkit refuses is
//!    refused. Then the Write is answered.
//! 2. When the answer is out the change is made.
//! 3. It is kept once it is there and, where the device carried the way to the servers or
//!    carries it now, a server has answered an Update or a Register since.
//! 4. Else NetworkManager goes back to the checkpoint, also if the agent is gone:
//!    [`TRIAL`] after it was made, or as soon as the change has failed. A radio that was
//!    switched off has no checkpoint: the agent switches it on again.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lwm2m_engine::CallId;
use lwm2m_model::{Code, RequestError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use zbus::{Connection, OwnedObjectPath};

use crate::ObjectMessage;
use crate::bus::{self, BusHandle};
use crate::sources::network::Network;
use crate::sources::network_manager::{
    self as manager, ACTIVATED, CHECKPOINT_ACTION, FAILED, NAME, State,
};

/// Tells objects that a server has answered a Register or an Update, and lets them make
/// one change after the other: an answer says nothing of two at once.
#[derive(Debug, Clone, Default)]
pub struct Reached(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    answers: watch::Sender<()>,
    phase: Mutex<Phase>,
}

/// How far the one change is that is under way, if any.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// Its Write is judged.
    Begun,
    /// Its Write is answered; it is forgotten at `until` unless the engine says that the
    /// answer is out.
    Promised { call: CallId, plan: Plan, until: Instant },
    /// On trial.
    Trial,
}

/// What is done after the answer.
pub(crate) struct Plan {
    /// What the log calls it.
    pub(crate) name: String,
    /// Of the device before.
    pub(crate) way: Way,
    pub(crate) undo: Undo,
    pub(crate) work: Work,
}

/// Makes the change and waits until it is there; the way of the device since.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Way, String>> + Send>>;

/// How a change is taken back.
#[derive(Debug)]
pub(crate) enum Undo {
    /// By the checkpoint below which it was made.
    RollBack(OwnedObjectPath),
    /// By the radio of all WLANs.
    SwitchOn,
}

/// Whether the way to the servers leads through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Through,
    Elsewhere,
}

impl Way {
    /// Where the best default route leads, seen from the link `name`; where nothing is
    /// known, the worse of both.
    pub(crate) fn of(name: &str) -> Self {
        let network = Network::read().unwrap_or_default();
        let link = network.routes.first().and_then(|route| network.link(route.link));
        match link {
            Some(link) if link.name != name => Self::Elsewhere,
            Some(_) | None => Self::Through,
        }
    }
}

impl Reached {
    /// A server has answered.
    pub fn note(&self) {
        self.0.answers.send_replace(());
    }

    /// Waits for the next answer from now on.
    fn since_now(&self) -> watch::Receiver<()> {
        self.0.answers.subscribe()
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        // Whoever panicked with it in hand has left it whole.
        self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The changes of an object.
#[derive(Clone)]
pub(crate) struct Trials {
    pub(crate) bus: BusHandle,
    pub(crate) reached: Reached,
    pub(crate) out: mpsc::Sender<ObjectMessage>,
}

impl Trials {
    /// Takes the place of the one change.
    ///
    /// # Errors
    /// 5.03 while there is another.
    pub(crate) fn begin(&self) -> Result<Begun, RequestError> {
        let mut phase = self.reached.phase();
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
        Ok(Begun(self.reached.clone()))
    }

    /// The bus.
    ///
    /// # Errors
    /// 4.05 without one.
    pub(crate) fn connection(&self) -> Result<Connection, RequestError> {
        self.bus.connection().ok_or_else(|| bus::no_bus(NAME))
    }

    /// Steps 2 to 4, if the change is that of `call`.
    pub(crate) fn promised(&self, call: CallId) -> Option<impl Future<Output = ()> + use<>> {
        let mut phase = self.reached.phase();
        match std::mem::replace(&mut *phase, Phase::Trial) {
            Phase::Promised { call: known, plan, .. } if known == call => {
                let (trials, trial) = (self.clone(), OnTrial(self.reached.clone()));
                Some(async move {
                    trials.carry_out(plan).await;
                    drop(trial);
                })
            }
            other => {
                *phase = other;
                None
            }
        }
    }

    async fn carry_out(&self, Plan { name, way, undo, work }: Plan) {
        let proof = async {
            if [way, work.await?].contains(&Way::Through) {
                self.answered().await;
            }
            Ok(())
        };
        let result = match timeout(TRIAL, proof).await {
            Ok(Ok(())) => self.keep(&undo).await,
            Ok(Err(reason)) => {
                self.take_back(&undo).await;
                Err(reason)
            }
            Err(_) => {
                // NetworkManager has seen it by itself.
                if let Undo::SwitchOn = undo {
                    self.take_back(&undo).await;
                }
                Err("no server was reached in time".into())
            }
        };
        match result {
            Ok(()) => tracing::info!("{name}: the change has shown that it works, and is kept"),
            Err(reason) => {
                tracing::warn!("{name}: the change is taken back: {reason}");
                self.ask_servers().await;
            }
        }
    }

    async fn keep(&self, undo: &Undo) -> Result<(), String> {
        let Undo::RollBack(checkpoint) = undo else { return Ok(()) };
        let bus = self.bus.connection().ok_or(NO_BUS)?;
        let kept = manager::keep(&bus, checkpoint).await;
        kept.map_err(|error| format!("NetworkManager does not keep it: {error}"))
    }

    async fn take_back(&self, undo: &Undo) {
        let Some(bus) = self.bus.connection() else { return };
        match undo {
            Undo::RollBack(checkpoint) => roll_back(&bus, checkpoint).await,
            Undo::SwitchOn => {
                if let Err(error) = manager::set_radio(&bus, true).await {
                    tracing::error!(%error, "cannot switch on the radio");
                }
            }
        }
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
pub(crate) struct Begun(Reached);

impl Begun {
    /// The change is made when the answer to `call` is out.
    pub(crate) fn promise(self, call: CallId, plan: Plan) {
        *self.0.phase() = Phase::Promised { call, plan, until: Instant::now() + TRIAL };
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut phase = self.0.phase();
        if matches!(*phase, Phase::Begun) {
            *phase = Phase::Idle;
        }
    }
}

/// The place of the one change while it is on trial; given back when dropped.
struct OnTrial(Reached);

impl Drop for OnTrial {
    fn drop(&mut self) {
        *self.0.phase() = Phase::Idle;
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Writes a profile below a new checkpoint of a device, and what belongs to it. If the
/// profile is refused nothing has changed, and going back would only disconnect the device
/// for a while.
pub(crate) async fn below_checkpoint(
    bus: &Connection,
    device: &OwnedObjectPath,
    profile: impl Future<Output = Result<(), RequestError>>,
    rest: impl Future<Output = Result<(), RequestError>>,
) -> Result<OwnedObjectPath, RequestError> {
    let checkpoint = manager::checkpoint(bus, device, TRIAL.as_secs() as u32).await;
    let checkpoint = checkpoint.map_err(refusal(CHECKPOINT_ACTION))?;
    if let Err(error) = profile.await {
        if let Err(error) = manager::keep(bus, &checkpoint).await {
            tracing::warn!(%error, "NetworkManager goes back without need when its time is over");
        }
        return Err(error);
    }
    if let Err(error) = rest.await {
        roll_back(bus, &checkpoint).await;
        return Err(error);
    }
    Ok(checkpoint)
}

async fn roll_back(bus: &Connection, checkpoint: &OwnedObjectPath) {
    if let Err(error) = manager::roll_back(bus, checkpoint).await {
        tracing::warn!(%error, "NetworkManager goes back only when its time is over");
    }
}

/// Waits until a device is connected by `active`; fails as soon as it cannot be any more.
/// `look` finds the device.
pub(crate) async fn connected<T>(
    known: watch::Receiver<T>,
    active: &OwnedObjectPath,
    look: impl Fn(&T) -> Option<&State>,
) -> Result<(), String> {
    let (mut was_there, mut is_active) = (false, false);
    settled(known, |known| {
        let here = look(known).filter(|state| state.active.as_ref() == Some(active));
        is_active = here.is_some_and(|state| state.state == ACTIVATED);
        let has_failed = here.map_or(was_there, |state| state.state == FAILED);
        was_there |= here.is_some();
        is_active || has_failed
    })
    .await;
    if is_active { Ok(()) } else { Err("it cannot be connected".into()) }
}

/// Waits until what NetworkManager says is enough.
pub(crate) async fn settled<T>(mut known: watch::Receiver<T>, is_enough: impl FnMut(&T) -> bool) {
    // It fails only when the object is gone, and its tasks with it.
    let _ = known.wait_for(is_enough).await;
}

/// Asks whether an action of NetworkManager needs nobody's consent.
///
/// # Errors
/// 4.05 with its name if it does.
pub(crate) async fn permitted(bus: &Connection, action: &'static str) -> Result<(), RequestError> {
    if manager::is_permitted(bus, action).await.map_err(refusal(action))? {
        return Ok(());
    }
    Err(bus::not_granted(NAME, action))
}

/// What a server is told when NetworkManager answers a call that takes `action` with an
/// error.
pub(crate) fn refusal(action: &'static str) -> impl Fn(zbus::Error) -> RequestError {
    move |error| bus::refusal(&error, NAME, action)
}

/// Why a change fails without the bus.
pub(crate) const NO_BUS: &str = "there is no D-Bus connection";
/// A change that has not shown by then that it works is taken back: time for a
/// retransmitted Update to fail (93 s), a handshake (60 s) and a Register.
const TRIAL: Duration = Duration::from_secs(300);
