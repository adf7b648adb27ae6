//! Reboot (4): permission first, the answer next, the restart last (OBJ-64).
//!
//! 1. Execute: ask logind whether this user may; refuse with the reason if not.
//! 2. The server gets its answer.
//! 3. Proceed: reboot.

use lwm2m_engine::{CallReply, CallResult};
use lwm2m_model::{Code, RequestError};
use tokio::time::timeout;
use zbus::Connection;

use crate::BusHandle;
use crate::bus::{self, WORK_TIME_LIMIT, is_service_missing};
use crate::sources::login1::{self, CanReboot};
use crate::sources::{properties, systemd1};

/// Step 1.
pub(super) async fn check(bus: Option<Connection>) -> CallResult {
    let bus = bus.ok_or_else(|| bus::no_bus(login1::NAME))?;
    match login1::can_reboot(&bus).await {
        Ok(CanReboot::Yes) => Ok(CallReply::AfterAnswer),
        Ok(CanReboot::Challenge | CanReboot::No) => {
            Err(bus::not_granted(login1::NAME, login1::ACTIONS))
        }
        Ok(CanReboot::NotAvailable) => Err(RequestError::new(
            Code::METHOD_NOT_ALLOWED,
            format!("{} says that this machine cannot reboot", login1::NAME),
        )),
        Err(error) if is_service_missing(&error) && may_ask_systemd(&bus).await => {
            Ok(CallReply::AfterAnswer)
        }
        Err(error) => Err(bus::refusal(&error, login1::NAME, login1::ACTIONS)),
    }
}

/// Whether [`reboot`] would be granted now.
///
/// # Errors
/// What forbids it, or that nobody can be asked.
pub async fn can_reboot(bus: &BusHandle) -> Result<(), RequestError> {
    let checked = timeout(WORK_TIME_LIMIT, check(bus.connection())).await;
    checked.map_err(|_| slow())?.map(drop)
}

/// Restarts the machine through logind, or systemd where there is none.
///
/// # Errors
/// What forbids it, or that nobody can be asked. If there was no answer in time it may
/// happen nevertheless.
pub async fn reboot(bus: &BusHandle) -> Result<(), RequestError> {
    let bus = bus.connection().ok_or_else(|| bus::no_bus(login1::NAME))?;
    let result = timeout(WORK_TIME_LIMIT, async {
        match login1::reboot(&bus).await {
            Err(error) if is_service_missing(&error) => systemd1::reboot(&bus).await,
            result => result,
        }
    });
    let result = result.await.map_err(|_| slow())?;
    result.map_err(|error| bus::refusal(&error, login1::NAME, login1::ACTIONS))?;
    tracing::info!("the system reboots on behalf of a server");
    Ok(())
}

/// Step 3. The server has its answer, so only the operator learns of a failure.
pub(super) async fn perform(bus: BusHandle) {
    if let Err(error) = reboot(&bus).await {
        tracing::error!("cannot reboot: {}", error.reason);
    }
}

fn slow() -> RequestError {
    RequestError::new(Code::SERVICE_UNAVAILABLE, format!("{} does not answer", login1::NAME))
}

/// Without logind only root may reboot, through systemd itself.
async fn may_ask_systemd(bus: &Connection) -> bool {
    nix::unistd::geteuid().is_root()
        && properties::has_owner(bus, systemd1::NAME).await.is_ok_and(|runs| runs)
}
