//! The back end for RAUC: bundles into the slots that are not in use.
//!
//! RAUC does one thing at a time, may take long, may leave the bus at any point and
//! come back knowing nothing. A question is put again; an installation is not. One whose
//! end was not heard has succeeded if the boot loader takes another slot next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_objects::BusHandle;
use rauc_dbus::{
    BootStatus, BundleAccess, Error, Event, InstallOptions, Installer, Mark, Operation, Outcome,
    SlotState, SlotStatus, Target,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use crate::sentence::{reason_of, reason_of_refusal, without_uri};
use crate::text::{cut, one_line};
use crate::{
    Backend, Failure, Installed, Package, PackageInfo, ProgressSink, Protocol, Reason, Slot,
    StreamAccess, StreamOrigins,
};

/// RAUC on the bus of the daemon.
#[derive(Debug, Clone)]
pub struct RaucBackend {
    bus: BusHandle,
    /// Where RAUC may read bundles itself, if it may.
    origins: Option<Arc<dyn StreamOrigins>>,
}

impl RaucBackend {
    /// RAUC, wherever the connection is at the time.
    pub fn new(bus: BusHandle) -> Self {
        Self { bus, origins: None }
    }

    /// Lets RAUC read bundles itself by HTTP and HTTPS, where it can.
    ///
    /// It is told of files alone, never of what proves the device by HTTP: RAUC writes
    /// the headers that it is given to its log.
    pub fn streaming(self, origins: Arc<dyn StreamOrigins>) -> Self {
        Self { origins: Some(origins), ..self }
    }

    /// How RAUC gets at a package.
    fn access(&self, package: &Package) -> Result<BundleAccess, Failure> {
        let mut access = BundleAccess::default();
        let (uri, origins) = match (package, &self.origins) {
            (Package::Stored(_), _) => return Ok(access),
            (Package::Remote(uri), Some(origins)) => (uri, origins),
            (Package::Remote(_), None) => {
                return Err(Failure::new(Reason::NotStreamed, "streaming is not configured"));
            }
        };
        let StreamAccess { ca, certificate, key } = origins.access(uri)?;
        let text = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
        access.tls_ca = text(ca);
        access.tls_cert = text(certificate);
        access.tls_key = text(key);
        Ok(access)
    }

    /// Before RAUC 1.9 nothing could be told of the origin when a bundle is inspected, and
    /// one sentence stands for every refusal.
    async fn check_streaming(&self) -> Result<(), Failure> {
        let found = self.ask(|rauc| async move { rauc.capabilities().await }).await;
        match found.map_err(|asked| unavailable(&asked.cause()))?.has_method("InspectBundle") {
            true => Ok(()),
            false => Err(Failure::new(Reason::NotStreamed, "RAUC is older than 1.9")),
        }
    }

    async fn installer(&self) -> Result<Installer, Failure> {
        match timeout(BUS_LIMIT, self.bus.connected()).await {
            Ok(connection) => Ok(Installer::new(&connection)),
            Err(_) => Err(unavailable("there is no D-Bus connection, which RAUC needs")),
        }
    }

    /// Puts a question until it is answered, within limits.
    async fn ask<T, F>(&self, question: impl Fn(Installer) -> F) -> Result<T, Asked>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (mut tries, mut was_idle) = (1, false);
        loop {
            let installer = self.installer().await.map_err(Asked::Failed)?;
            let error = match timeout(CALL_LIMIT, question(installer.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(Asked::Failed(unavailable("RAUC does not answer"))),
            };
            let most = match &error {
                Error::Busy { .. } => BUSY_TRIES,
                Error::Bus { .. } | Error::ServiceGone { .. } => GONE_TRIES,
                Error::Refused { message, .. } if reason_of(message) == Reason::Other => {
                    // It may be busy and not say so, and done before it is asked that:
                    // a refusal counts when it was idle before and after.
                    let is_idle = is_idle(&installer).await;
                    if was_idle && is_idle {
                        return Err(Asked::Refused(error));
                    }
                    was_idle = is_idle;
                    BUSY_TRIES
                }
                _ => return Err(Asked::Refused(error)),
            };
            if tries >= most {
                return Err(Asked::Failed(unavailable(&error.to_string())));
            }
            tries += 1;
            if !was_idle {
                sleep(PAUSE).await;
            }
        }
    }

    /// Marks the booted slot. Marking it twice does no harm.
    async fn mark(&self, mark: Mark) -> Result<(), String> {
        let marked = self.ask(|rauc| async move { rauc.mark(mark, &Target::Booted).await }).await;
        let marked = marked.map_err(|asked| asked.cause())?;
        debug!("RAUC: {}", marked.message);
        Ok(())
    }

    /// What an installation has come to whose end was not heard, for `cause`.
    async fn settle(&self, cause: &str) -> Result<Installed, Failure> {
        warn!("{cause}; the boot loader is asked what has become of it");
        let unknown = |asked: Asked| {
            let failure = asked.cause();
            unheard(&format!("{cause}, and what became of it is not known: {failure}"))
        };
        let begin = Instant::now();
        loop {
            let operation = self.ask(|rauc| async move { rauc.operation().await }).await;
            if operation.map_err(unknown)? == Operation::Idle {
                break;
            }
            if begin.elapsed() > SILENCE_LIMIT {
                return Err(unheard(&format!("{cause}, and RAUC works without an end")));
            }
            sleep(PAUSE).await;
        }
        let primary = self.ask(|rauc| async move { rauc.primary().await }).await;
        let primary = primary.map_err(unknown)?;
        outcome(&primary, self.slot().await, cause)
    }
}

/// RAUC itself calls this a hint: one that cannot be had says nothing.
async fn is_idle(installer: &Installer) -> bool {
    match timeout(BUS_LIMIT, installer.operation()).await {
        Ok(Ok(operation)) => operation == Operation::Idle,
        Ok(Err(_)) | Err(_) => true,
    }
}

/// RAUC makes the slot that it writes to unbootable first, and the primary one last.
fn outcome(primary: &str, booted: Slot, cause: &str) -> Result<Installed, Failure> {
    match booted {
        Slot::Booted(booted) if booted != primary => {
            Ok(Installed::NeedsReboot(Some(primary.into())))
        }
        Slot::Booted(_) | Slot::None => Err(unavailable(cause)),
        Slot::Unknown(why) => Err(unheard(&format!("{cause}; {why}"))),
    }
}

/// Why a question has no answer.
enum Asked {
    /// RAUC has said so.
    Refused(Error),
    /// Nothing is known.
    Failed(Failure),
}

impl Asked {
    fn cause(self) -> String {
        match self {
            Self::Failed(failure) => failure.cause,
            Self::Refused(error) => one_line(&error.to_string()),
        }
    }
}

/// The slot that runs.
fn booted(slots: &[(String, SlotStatus)]) -> Option<&(String, SlotStatus)> {
    slots.iter().find(|(_, slot)| slot.state == Some(SlotState::Booted))
}

/// Whether the boot loader keeps what was booted: it is good, and the one to boot next.
fn is_kept(slots: &[(String, SlotStatus)], primary: &str) -> Result<(), String> {
    let Some((name, slot)) = booted(slots) else {
        return Err("RAUC says of no slot that it was booted".into());
    };
    if slot.boot_status != Some(BootStatus::Good) {
        return Err(format!("slot {name} was marked good, and RAUC does not read it back"));
    }
    if name != primary {
        return Err(format!("slot {name} was marked good, and {primary} is booted next"));
    }
    Ok(())
}

impl Backend for RaucBackend {
    fn streams(&self) -> &[Protocol] {
        match self.origins {
            Some(_) => &[Protocol::Http, Protocol::Https],
            None => &[],
        }
    }

    async fn inspect(&self, package: &Package) -> Result<PackageInfo, Failure> {
        let access = self.access(package)?;
        if let Package::Remote(_) = package {
            self.check_streaming().await?;
        }
        let inspect = |rauc: Installer| {
            let (bundle, access) = (name(package), access.clone());
            async move { rauc.inspect(&bundle, &access).await }
        };
        let info = self.ask(inspect).await;
        let info = info.map_err(|asked| refusal(asked, package))?;
        let ours = self.ask(|rauc| async move { rauc.compatible().await }).await;
        let ours = ours.map_err(|asked| refusal(asked, package))?;
        if info.compatible != ours {
            let cause = format!("the bundle is for {}, and this is {ours}", info.compatible);
            return Err(Failure::new(Reason::Unsupported, cause));
        }
        Ok(PackageInfo {
            name: cut(info.compatible),
            version: cut(info.version.unwrap_or_default()),
        })
    }

    async fn install(&self, package: &Package, sink: &ProgressSink) -> Result<Installed, Failure> {
        let mut options = InstallOptions::default();
        options.access = self.access(package)?;
        let bundle = name(package);
        let mut tries = 1;
        let mut installation = loop {
            let installer = self.installer().await?;
            match timeout(CALL_LIMIT, installer.install(&bundle, &options)).await {
                Ok(Ok(installation)) => break installation,
                Ok(Err(Error::Busy { .. })) if tries < BUSY_TRIES => {
                    tries += 1;
                    sleep(PAUSE).await;
                }
                // It may have begun.
                Ok(Err(error @ (Error::Bus { .. } | Error::ServiceGone { .. }))) => {
                    return self.settle(&error.to_string()).await;
                }
                Ok(Err(error)) => {
                    return Err(unavailable(&without_uri(&error.to_string(), package)));
                }
                Err(_) => return self.settle("RAUC does not answer").await,
            }
        };
        loop {
            let Ok(event) = timeout(SILENCE_LIMIT, installation.next()).await else {
                return self.settle("RAUC says nothing of its installation any more").await;
            };
            match event {
                Some(Event::Progress(progress)) => {
                    debug!("RAUC: {} %, {}", progress.percent, progress.message);
                    sink.tell(progress.percent, &progress.message);
                }
                Some(Event::Finished(Outcome::Installed)) => {
                    let primary = self.ask(|rauc| async move { rauc.primary().await }).await;
                    return Ok(Installed::NeedsReboot(primary.ok()));
                }
                Some(Event::Finished(Outcome::Failed { last_error })) => {
                    let sentence = last_error.unwrap_or_else(|| "RAUC gives no reason".into());
                    let cause = one_line(&without_uri(&sentence, package));
                    return Err(Failure::new(reason_of(&sentence), cause));
                }
                Some(Event::Finished(Outcome::ServiceDied)) => {
                    return self.settle("RAUC left the bus during the installation").await;
                }
                Some(Event::Finished(_)) => {
                    return self.settle("the bus was lost during the installation").await;
                }
                None => return self.settle("the installation has no end").await,
            }
        }
    }

    async fn confirm(&self) -> Result<(), String> {
        self.mark(Mark::Good).await?;
        let slots = self.ask(|rauc| async move { rauc.slots().await }).await;
        let slots = slots.map_err(|asked| asked.cause())?;
        let primary = self.ask(|rauc| async move { rauc.primary().await }).await;
        is_kept(&slots, &primary.map_err(|asked| asked.cause())?)
    }

    async fn reject(&self) -> Result<(), String> {
        self.mark(Mark::Bad).await
    }

    async fn slot(&self) -> Slot {
        let unknown = |cause: &str| {
            Slot::Unknown(format!("the booted slot is not known: {}", one_line(cause)))
        };
        let slots = match self.ask(|rauc| async move { rauc.slots().await }).await {
            Ok(slots) => slots,
            Err(asked) => return unknown(&asked.cause()),
        };
        match booted(&slots) {
            Some((name, _)) => Slot::Booted(name.clone()),
            None => unknown("RAUC says it of none"),
        }
    }

    async fn next_boot(&self) -> Result<Option<String>, String> {
        let operation = self.ask(|rauc| async move { rauc.operation().await }).await;
        if operation.map_err(Asked::cause)? != Operation::Idle {
            return Err("RAUC is still installing".into());
        }
        let primary = self.ask(|rauc| async move { rauc.primary().await }).await;
        primary.map(Some).map_err(Asked::cause)
    }

    async fn version(&self) -> Result<Option<String>, String> {
        let slots = self.ask(|rauc| async move { rauc.slots().await }).await;
        let slots = slots.map_err(|asked| asked.cause())?;
        // What was written half says nothing, nor does a slot from the factory.
        let whole = booted(&slots).filter(|(_, slot)| slot.install_status.as_deref() == Some("ok"));
        match whole.and_then(|(_, slot)| slot.bundle.version.clone()) {
            Some(version) => Ok(Some(version)),
            None => {
                let system = self.ask(|rauc| async move { rauc.system_version().await }).await;
                system.map_err(|asked| asked.cause())
            }
        }
    }
}

/// What RAUC calls it.
fn name(package: &Package) -> String {
    match package {
        Package::Stored(path) => path.display().to_string(),
        Package::Remote(uri) => uri.clone(),
    }
}

/// What a refused bundle is.
fn refusal(asked: Asked, package: &Package) -> Failure {
    let message = match asked {
        Asked::Failed(failure) => {
            return Failure { cause: without_uri(&failure.cause, package), ..failure };
        }
        Asked::Refused(Error::Refused { message, .. }) => without_uri(&message, package),
        Asked::Refused(error) => return unavailable(&without_uri(&error.to_string(), package)),
    };
    let reason = reason_of_refusal(&message, package);
    Failure::new(reason, format!("RAUC refuses the bundle: {}", one_line(&message)))
}

fn unheard(cause: &str) -> Failure {
    Failure::new(Reason::Unknown, one_line(cause))
}

fn unavailable(cause: &str) -> Failure {
    Failure::new(Reason::Unavailable, one_line(cause))
}

/// How long the connection to the bus may be away.
const BUS_LIMIT: Duration = Duration::from_secs(30);
/// How long RAUC may take for a bundle that it reads whole.
const CALL_LIMIT: Duration = Duration::from_secs(300);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);
/// Five minutes of somebody else's installation.
const BUSY_TRIES: u32 = 150;
const GONE_TRIES: u32 = 3;
/// How long an installation may say nothing.
const SILENCE_LIMIT: Duration = Duration::from_secs(1800);

#[cfg(test)]
mod tests {
    use super::*;

    /// OBJ-91
    #[test]
    fn an_installation_whose_end_was_not_heard_is_judged_by_the_boot_loader() {
        let booted = || Slot::Booted("rootfs.0".into());
        let reboot = Installed::NeedsReboot(Some("rootfs.1".into()));
        assert_eq!(outcome("rootfs.1", booted(), "why"), Ok(reboot));
        for (booted, reason) in [
            (booted(), Reason::Unavailable),
            (Slot::None, Reason::Unavailable),
            (Slot::Unknown("nobody says".into()), Reason::Unknown),
        ] {
            let failure = outcome("rootfs.0", booted, "why").unwrap_err();
            assert_eq!(failure.reason, reason);
            assert!(failure.cause.starts_with("why"), "{}", failure.cause);
        }
    }

    /// OBJ-92
    #[test]
    fn a_slot_is_kept_if_it_reads_back_as_good_and_as_the_next_to_boot() {
        let slot = |state: &str, boot_status: Option<BootStatus>| {
            let mut slot = SlotStatus::default();
            slot.state = Some(state.to_owned().into());
            slot.boot_status = boot_status;
            slot
        };
        let good = || Some(BootStatus::Good);
        for (booted, primary, kept) in [
            (slot("booted", good()), "rootfs.1", Ok(())),
            (
                slot("booted", Some(BootStatus::Bad)),
                "rootfs.1",
                Err("slot rootfs.1 was marked good, and RAUC does not read it back"),
            ),
            (
                slot("booted", None),
                "rootfs.1",
                Err("slot rootfs.1 was marked good, and RAUC does not read it back"),
            ),
            (
                slot("booted", good()),
                "rootfs.0",
                Err("slot rootfs.1 was marked good, and rootfs.0 is booted next"),
            ),
            (slot("inactive", good()), "rootfs.1", Err("RAUC says of no slot that it was booted")),
        ] {
            let slots =
                [("rootfs.0".into(), slot("inactive", good())), ("rootfs.1".into(), booted)];
            assert_eq!(is_kept(&slots, primary), kept.map_err(str::to_owned));
        }
    }
}
