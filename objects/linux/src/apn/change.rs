//! Writes to profiles of NetworkManager, on trial as [`crate::trial`] has it where a
//! connection is made or the one is ended that carries the session.

use std::time::Duration;

use lwm2m_engine::{CallId, CallReply, CallResult};
use lwm2m_model::{Code, RequestError};
use tokio::sync::watch;
use tokio::time::timeout;
use zbus::{Connection, OwnedObjectPath};

use super::wanted::{Access, Wanted};
use crate::modems::Known;
use crate::sources::network_manager::mobile::{Carrier, GSM, MAX_MOBILES, Mobile};
use crate::sources::network_manager::{self as manager, CONTROL_ACTION, PROFILE_ACTION, Profile};
use crate::trial::{self, Begun, NO_BUS, Plan, Trials, Undo, Way, Work, permitted, refusal};

/// What changes are made with.
#[derive(Clone)]
pub(super) struct Changes {
    pub(super) trials: Trials,
    pub(super) known: watch::Receiver<Known>,
}

impl Changes {
    /// Writes what can be written before the answer.
    pub(super) async fn prepare(
        self,
        begun: Begun,
        call: CallId,
        mobile: Mobile,
        wanted: Wanted,
    ) -> CallResult {
        let bus = self.trials.connection()?;
        let (before, at) = {
            let known = self.known.borrow();
            let is_by = |carrier: &&Carrier| carrier.is_by(&mobile.path);
            (known.carriers.iter().find(is_by).cloned(), choose(&known, &mobile))
        };
        let (is_new, is_active) = (wanted.access != Access::default(), before.is_some());
        let to = wanted.enabled.unwrap_or(is_active);
        let carrier = match before {
            Some(carrier) if !to || is_new => carrier,
            None if to => at.ok_or_else(|| {
                let reason = "NetworkManager has no modem that could be connected";
                RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
            })?,
            // Nothing has to be connected or disconnected.
            Some(_) | None => {
                let profile = changed(&bus, &mobile, &wanted).await?;
                write(&bus, &mobile, profile.as_ref()).await?;
                complete(&bus, &mobile, &wanted, profile.as_ref()).await?;
                return Ok(CallReply::Done);
            }
        };
        permitted(&bus, CONTROL_ACTION).await?;
        let profile = changed(&bus, &mobile, &wanted).await?;
        let written = write(&bus, &mobile, profile.as_ref());
        let rest = complete(&bus, &mobile, &wanted, profile.as_ref());
        let way = way(&carrier);
        if !to && way == Way::Elsewhere {
            written.await?;
            rest.await?;
            if let Some(active) = &carrier.state.active {
                let ended = manager::deactivate(&bus, active).await;
                ended.map_err(refusal(CONTROL_ACTION))?;
            }
            return Ok(CallReply::Done);
        }
        let checkpoint = trial::below_checkpoint(&bus, &carrier.device, written, rest).await?;
        let (name, undo) = (carrier.name.clone(), Undo::RollBack(checkpoint));
        let work: Work = match to {
            true => Box::pin(self.connect(carrier, mobile.path)),
            false => Box::pin(self.disconnect(carrier)),
        };
        begun.promise(call, Plan { name, way, undo, work });
        Ok(CallReply::AfterAnswer)
    }

    async fn connect(self, carrier: Carrier, profile: String) -> Result<Way, String> {
        let failed = |error: zbus::Error| format!("it cannot be connected: {error}");
        let bus = self.trials.bus.connection().ok_or(NO_BUS)?;
        let profile = OwnedObjectPath::try_from(profile).map_err(failed)?;
        let active = manager::activate(&bus, &profile, &carrier.device).await.map_err(failed)?;
        let (known, device) = (self.known.clone(), &carrier.device);
        trial::connected(known, &active, |known| Some(&find(known, device)?.state)).await?;
        let now = find(&self.known.borrow(), device).map_or(Way::Elsewhere, way);
        Ok(now)
    }

    async fn disconnect(self, carrier: Carrier) -> Result<Way, String> {
        let bus = self.trials.bus.connection().ok_or(NO_BUS)?;
        let Some(active) = &carrier.state.active else { return Ok(Way::Elsewhere) };
        let ended = manager::deactivate(&bus, active).await;
        ended.map_err(|error| format!("it cannot be disconnected: {error}"))?;
        let is_over = |known: &Known| {
            let carrier = find(known, &carrier.device);
            carrier.is_none_or(|carrier| carrier.state.active.as_ref() != Some(active))
        };
        trial::settled(self.known, is_over).await;
        Ok(Way::Elsewhere)
    }

    /// Adds a profile.
    pub(super) async fn create(mut self, profile: Profile) -> CallResult {
        if self.known.borrow().profiles.len() >= MAX_MOBILES {
            let reason = format!("there are {MAX_MOBILES} profiles already");
            return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
        }
        let bus = self.trials.connection()?;
        let path = manager::add(&bus, &profile).await.map_err(refusal(PROFILE_ACTION))?;
        let is_there = |known: &Known| has(known, path.as_str());
        // What a server makes next with it finds it.
        let _ = timeout(NEWS_TIME_LIMIT, self.known.wait_for(is_there)).await;
        Ok(CallReply::Done)
    }

    /// Removes a profile that does not carry the session.
    pub(super) async fn delete(mut self, mobile: Mobile) -> CallResult {
        let is_through = {
            let known = self.known.borrow();
            let mut carriers = known.carriers.iter();
            carriers.any(|it| it.is_by(&mobile.path) && way(it) == Way::Through)
        };
        if is_through {
            let reason = format!("/11/{} carries the session", mobile.number);
            return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
        }
        let bus = self.trials.connection()?;
        manager::delete(&bus, &mobile.path).await.map_err(refusal(PROFILE_ACTION))?;
        let is_gone = |known: &Known| !has(known, &mobile.path);
        let _ = timeout(NEWS_TIME_LIMIT, self.known.wait_for(is_gone)).await;
        Ok(CallReply::Done)
    }
}

/// The profile as it is to be; `None` if all it says stands already.
async fn changed(
    bus: &Connection,
    mobile: &Mobile,
    wanted: &Wanted,
) -> Result<Option<Profile>, RequestError> {
    let is_same = wanted.enabled.is_none_or(|to| to == mobile.autoconnect);
    if wanted.name.is_none() && is_same && wanted.access == Access::default() {
        return Ok(None);
    }
    let profile = manager::profile(bus, &mobile.path, &[GSM]).await;
    let mut profile = profile.map_err(refusal(PROFILE_ACTION))?;
    wanted.change(&mut profile)?;
    Ok(Some(profile))
}

async fn write(
    bus: &Connection,
    mobile: &Mobile,
    profile: Option<&Profile>,
) -> Result<(), RequestError> {
    let Some(profile) = profile else { return Ok(()) };
    manager::update(bus, &mobile.path, profile).await.map_err(refusal(PROFILE_ACTION))
}

/// A secret that was left out is put back, and with it the choice of the device taken away
/// (NetworkManager 1.42); when it is written once more there is none.
async fn complete(
    bus: &Connection,
    mobile: &Mobile,
    wanted: &Wanted,
    profile: Option<&Profile>,
) -> Result<(), RequestError> {
    if !wanted.access.is_automatic() {
        return Ok(());
    }
    write(bus, mobile, profile).await
}

/// The modem that is to be connected by a profile: the one that is, else one that is free,
/// else another.
fn choose(known: &Known, mobile: &Mobile) -> Option<Carrier> {
    let own = known.carriers.iter().find(|carrier| carrier.is_by(&mobile.path));
    let free = || known.carriers.iter().find(|carrier| carrier.state.active.is_none());
    own.or_else(free).or_else(|| known.carriers.first()).cloned()
}

fn find<'a>(known: &'a Known, device: &OwnedObjectPath) -> Option<&'a Carrier> {
    known.carriers.iter().find(|carrier| carrier.device == *device)
}

fn has(known: &Known, profile: &str) -> bool {
    known.profiles.iter().any(|mobile| mobile.path == profile)
}

/// Whether the way to the servers leads through a modem.
fn way(carrier: &Carrier) -> Way {
    match &carrier.link {
        Some(link) => Way::of(link),
        // It may be connected in a way that NetworkManager does not tell.
        None if carrier.state.active.is_some() => Way::Through,
        None => Way::Elsewhere,
    }
}

/// So long an answer waits for news of what it says.
const NEWS_TIME_LIMIT: Duration = Duration::from_secs(3);
