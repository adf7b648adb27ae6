//! The D-Bus service `org.lwm2md.Firmware1`: Object 5 as people on the device see it.

use std::time::Duration;

use lwm2m_bus::{AgentError, FirmwareStatus};
use lwm2m_firmware::{FirmwareHandle, NotAccepted, State, Step, UpdateProgress, UpdateStatus};
use lwm2m_model::{Instant, objects};
use lwm2m_transport::clock;
use zbus::object_server::SignalEmitter;

/// The end that the interface asks through.
#[derive(Debug, Clone)]
pub(crate) struct FirmwareService {
    firmware: Option<FirmwareHandle>,
}

impl FirmwareService {
    /// A service for the object, if there is one.
    pub(crate) fn new(firmware: Option<FirmwareHandle>) -> Self {
        Self { firmware }
    }

    fn firmware(&self) -> Result<&FirmwareHandle, AgentError> {
        self.firmware.as_ref().ok_or_else(|| {
            let id = objects::id::FIRMWARE_UPDATE;
            AgentError::NotFound(format!("object {id} does not exist on this device"))
        })
    }
}

#[zbus::interface(name = "org.lwm2md.Firmware1")]
impl FirmwareService {
    fn status(&self) -> Result<FirmwareStatus, AgentError> {
        Ok(to_bus(self.firmware()?.status(), clock::now().boot))
    }

    async fn accept(&self) -> Result<(), AgentError> {
        self.firmware()?.accept().await.map_err(|error| match error {
            NotAccepted::NothingWaits => AgentError::MethodNotAllowed(error.to_string()),
            NotAccepted::Busy => AgentError::Busy(error.to_string()),
            _ => AgentError::Failed(error.to_string()),
        })
    }

    #[zbus(signal)]
    pub(crate) async fn changed(
        emitter: &SignalEmitter<'_>,
        status: FirmwareStatus,
    ) -> zbus::Result<()>;
}

/// What there is to signal, a few times a second at most: a download changes with each
/// of its parts.
pub(crate) struct Updates {
    firmware: Option<FirmwareHandle>,
    not_before: tokio::time::Instant,
}

impl Updates {
    pub(crate) fn new(firmware: Option<FirmwareHandle>) -> Self {
        Self { firmware, not_before: tokio::time::Instant::now() }
    }

    /// The next change; never without the object.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> FirmwareStatus {
        let Some(firmware) = &mut self.firmware else { return std::future::pending().await };
        tokio::time::sleep_until(self.not_before).await;
        if !firmware.changed().await {
            return std::future::pending().await;
        }
        self.not_before = tokio::time::Instant::now() + SIGNAL_PAUSE;
        to_bus(firmware.status(), clock::now().boot)
    }
}

fn to_bus(update: UpdateStatus, now: Instant) -> FirmwareStatus {
    let UpdateStatus { record, progress, interruption, deadline } = update;
    let number = |number: i64| u32::try_from(number).unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    let package = record.package.unwrap_or_default();
    let mut status = FirmwareStatus {
        state: number(record.state.number()),
        result: number(record.result.number()),
        cause: record.cause.or(interruption),
        uri: some(record.uri),
        package_name: some(package.name),
        package_version: some(package.version),
        last_change: record.changed_at,
        severity: record.severity.into(),
        automatic: record.automatic,
        // Rounded up: it waits as long as there is something left.
        consent_within: deadline.map(|at| (at - now).as_millis().div_ceil(1000) as u64),
        step: (record.state == State::Updating).then(|| step(record.step).into()),
        ..FirmwareStatus::default()
    };
    match progress {
        Some(UpdateProgress::Download { bytes, size }) => {
            status.bytes = Some(bytes);
            status.size = size;
        }
        Some(UpdateProgress::Installation { percent, message }) => {
            status.percent = Some(percent.into());
            status.message = some(message);
        }
        None => {}
    }
    status
}

/// The word that [`FirmwareStatus::step`] has.
fn step(step: Step) -> &'static str {
    match step {
        Step::Wanted => "wanted",
        Step::Installing => "installing",
        Step::Installed => "installed",
        Step::OnTrial => "on-trial",
        Step::Confirming => "confirming",
        Step::RollingBack => "rolling-back",
    }
}

/// Between two signals.
const SIGNAL_PAUSE: Duration = Duration::from_millis(250);
