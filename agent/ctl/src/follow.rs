//! `firmware --follow`: a download or an installation until it is over.

use lwm2m_bus::{Firmware1Proxy, FirmwareStatus};
use tokio::signal::unix::{SignalKind, signal};

use crate::bus::next;
use crate::commands::{Output, StreamError};
use crate::show::firmware;

/// Shows how far the update is until nothing is under way any more, Ctrl-C, or the
/// daemon leaves; then how it stands.
pub(crate) async fn follow(
    update: &Firmware1Proxy<'_>,
    output: &mut Output,
) -> Result<(), StreamError> {
    let mut last = None;
    let followed = until_rest(update, output, &mut last).await;
    output.end_progress()?;
    followed?;
    if let Some(status) = last {
        output.put(|colour| firmware::readable(&status, colour), || firmware::json(&status))?;
    }
    Ok(())
}

/// `last` is what is known at the end.
async fn until_rest(
    update: &Firmware1Proxy<'_>,
    output: &mut Output,
    last: &mut Option<FirmwareStatus>,
) -> Result<(), StreamError> {
    // Before the call, so that nothing is missed after it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut changes = update.receive_firmware_changed().await?;
    let mut owner = update.inner().receive_owner_changed().await?;
    let mut status = update.status().await?;
    loop {
        let before = last.replace(status.clone());
        if firmware::is_at_rest(&status) {
            return Ok(());
        }
        if before.is_some_and(|before| before.state != status.state) {
            output.end_progress()?;
        }
        output.put_progress(
            |width| firmware::bar(&status, width),
            firmware::line(&status),
            || firmware::json(&status),
        )?;
        status = tokio::select! {
            signal = next(&mut changes) => signal.ok_or(StreamError::DaemonLeft)?.args()?.status,
            change = next(&mut owner) => match change {
                Some(Some(_)) => continue,
                Some(None) | None => return Err(StreamError::DaemonLeft),
            },
            _ = interrupt.recv() => return Ok(()),
        };
    }
}
