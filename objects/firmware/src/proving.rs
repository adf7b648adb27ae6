//! What the task does about a system on trial: the marker, the checks, the boot loader;
//! and what the operator reads of it.

use std::io;

use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};

use crate::trial::CHECK_PAUSE;
use crate::worker::Worker;
use crate::{Backend, Checks, Failure, Fetcher, Reason, Restarter, State, Step, TrialMarker};

impl<B: Backend, R: Restarter, F: Fetcher> Worker<B, R, F> {
    /// Sees to the marker after a restart.
    pub(crate) async fn set_marker_right(&self) {
        let record = self.machine.record();
        let marker = self.marker.clone();
        let keeps = record.keeps_marker();
        let set_right = move || if keeps { marker.give_back() } else { marker.clear() };
        if let Err(error) = on_disk(set_right).await {
            warn!("the marker of an update on trial cannot be set right: {error}");
        }
        if record.state == State::Updating && record.step == Step::OnTrial {
            let until = self.trial.as_secs();
            info!(
                "the new system is on trial: a server has to answer within {until} s of the boot"
            );
        }
    }

    /// Where there is another slot, the marker comes before the installer makes it the one
    /// to boot.
    pub(crate) async fn set_marker(&self) -> Result<(), Failure> {
        let record = self.machine.record();
        if record.slot.is_none() {
            return Ok(());
        }
        let (marker, boot, trial) = (self.marker.clone(), record.boot.clone(), self.trial);
        on_disk(move || marker.set(boot.as_deref(), trial)).await.map_err(|error| {
            let cause = format!("the marker of the trial cannot be written: {error}");
            Failure::new(Reason::Other, cause)
        })
    }

    /// Nothing is on trial.
    pub(crate) async fn clear_marker(&self) {
        let marker = self.marker.clone();
        if let Err(error) = on_disk(move || marker.clear()).await {
            warn!("the marker of the trial cannot be removed: {error}");
        }
    }
}

/// Runs the checks of the operator.
pub(crate) async fn check(checks: &dyn Checks) -> Result<(), String> {
    checks.run().await.inspect_err(|cause| {
        let pause = CHECK_PAUSE.as_secs();
        warn!("a check of the new system has failed, it is run again in {pause} s: {cause}");
    })
}

/// Marks the slot good, unless the timer has begun to lead back to the old one.
pub(crate) async fn confirm<B: Backend>(backend: &B, marker: TrialMarker) -> Result<(), String> {
    let kept = match backend.confirm().await {
        Ok(()) => match on_disk(move || marker.take()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("lwm2md-trial.timer has begun to roll back".into()),
            Err(error) => Err(format!("the marker of the trial cannot be removed: {error}")),
        },
        Err(cause) => Err(cause),
    };
    match &kept {
        Ok(()) => info!("confirmed: marked good"),
        Err(cause) => warn!("the new system cannot be confirmed yet, try again: {cause}"),
    }
    kept
}

/// Marks the slot bad.
pub(crate) async fn reject<B: Backend>(backend: &B) -> Result<(), String> {
    backend.reject().await.inspect_err(|cause| {
        warn!(
            "the new system cannot be marked bad, and is left only if the boot loader counts \
             tries: {cause}"
        );
    })
}

/// What is booted next, after an installation whose end was not heard; `booted` runs.
pub(crate) async fn next_boot<B: Backend>(
    backend: &B,
    booted: Option<&str>,
) -> Result<Option<String>, String> {
    let next = backend.next_boot().await;
    match &next {
        Ok(Some(next)) if Some(next.as_str()) == booted => {
            info!(
                "the installation whose end was not heard has changed nothing about the next boot"
            );
        }
        Ok(Some(next)) => warn!(
            "the installation whose end was not heard has ended well: slot {next} is booted \
             next, and will be on trial"
        ),
        Ok(None) => warn!("the installation whose end was not heard is judged by the next boot"),
        Err(cause) => debug!("what is booted next is not known yet: {cause}"),
    }
    next
}

/// Something that may wait for the disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
