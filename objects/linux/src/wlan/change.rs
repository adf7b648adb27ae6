//! Writes: what NetworkManager does for the agent, on trial as [`crate::trial`] has it.

use lwm2m_engine::{CallId, CallReply, CallResult};
use lwm2m_model::RequestError;
use tokio::sync::watch;
use zbus::{Connection, OwnedObjectPath};

use super::wanted::{Network, Wanted};
use super::watcher::Wlans;
use crate::sources::network_manager::{
    self as manager, ACTIVATED, CONTROL_ACTION, EAP, PROFILE_ACTION, Profile, RADIO_ACTION,
    SECURITY, Wlan,
};
use crate::trial::{self, Begun, NO_BUS, Plan, Trials, Undo, Way, Work, permitted, refusal};

/// What changes are made with.
#[derive(Clone)]
pub(super) struct Changes {
    pub(super) trials: Trials,
    pub(super) wlans: watch::Receiver<Wlans>,
}

enum By {
    Profile(OwnedObjectPath),
    New(Profile),
}

impl Changes {
    /// Writes what can be written before the answer.
    pub(super) async fn prepare(
        &self,
        begun: Begun,
        call: CallId,
        wlan: Wlan,
        wanted: Wanted,
    ) -> CallResult {
        let bus = self.trials.connection()?;
        let (name, way) = (wlan.name.clone(), Way::of(&wlan.name));
        let (undo, work): (_, Work) = if wanted.network != Network::default() {
            let (checkpoint, by) = connect(&bus, &wlan, &wanted).await?;
            (Undo::RollBack(checkpoint), Box::pin(self.clone().connect(wlan, by)))
        } else if wanted.radio == Some(false) && way == Way::Through {
            permitted(&bus, RADIO_ACTION).await?;
            (Undo::SwitchOn, Box::pin(self.clone().switch_off(wlan.name)))
        } else {
            if let Some(is_on) = wanted.radio {
                manager::set_radio(&bus, is_on).await.map_err(refusal(RADIO_ACTION))?;
            }
            return Ok(CallReply::Done);
        };
        begun.promise(call, Plan { name, way, undo, work });
        Ok(CallReply::AfterAnswer)
    }

    async fn switch_off(self, name: String) -> Result<Way, String> {
        let failed = |error: zbus::Error| format!("cannot switch off the radio: {error}");
        let bus = self.trials.bus.connection().ok_or(NO_BUS)?;
        manager::set_radio(&bus, false).await.map_err(failed)?;
        let is_off =
            |wlans: &Wlans| find(wlans, &name).is_none_or(|wlan| wlan.state.state != ACTIVATED);
        trial::settled(self.wlans, is_off).await;
        Ok(Way::Elsewhere)
    }

    async fn connect(self, wlan: Wlan, by: By) -> Result<Way, String> {
        let bus = self.trials.bus.connection().ok_or(NO_BUS)?;
        let active = match &by {
            By::Profile(profile) => manager::activate(&bus, profile, &wlan.device).await,
            By::New(profile) => manager::add_and_activate(&bus, profile, &wlan.device).await,
        };
        let active = active.map_err(|error| format!("it cannot be connected: {error}"))?;
        let name = &wlan.name;
        trial::connected(self.wlans, &active, |wlans| Some(&find(wlans, name)?.state)).await?;
        Ok(Way::of(name))
    }
}

fn find<'a>(wlans: &'a Wlans, name: &str) -> Option<&'a Wlan> {
    wlans.iter().map(|(_, wlan)| wlan).find(|wlan| wlan.name == name)
}

/// Makes the checkpoint and writes the profile.
async fn connect(
    bus: &Connection,
    wlan: &Wlan,
    wanted: &Wanted,
) -> Result<(OwnedObjectPath, By), RequestError> {
    permitted(bus, CONTROL_ACTION).await?;
    let by = match &wlan.state.profile {
        None => By::New(wanted.network.profile(&wlan.name)?),
        Some(path) => By::Profile(path.clone()),
    };
    let changed = match &by {
        By::New(_) => {
            permitted(bus, PROFILE_ACTION).await?;
            None
        }
        By::Profile(path) => {
            let profile = manager::profile(bus, path.as_str(), &[SECURITY, EAP]).await;
            let mut profile = profile.map_err(refusal(PROFILE_ACTION))?;
            wanted.network.change(&mut profile)?;
            Some((path, profile))
        }
    };
    let written = async {
        let Some((path, profile)) = &changed else { return Ok(()) };
        manager::update(bus, path.as_str(), profile).await.map_err(refusal(PROFILE_ACTION))
    };
    let radio = async {
        if wanted.radio != Some(true) || wlan.radio {
            return Ok(());
        }
        manager::set_radio(bus, true).await.map_err(refusal(RADIO_ACTION))
    };
    let checkpoint = trial::below_checkpoint(bus, &wlan.device, written, radio).await?;
    Ok((checkpoint, by))
}
