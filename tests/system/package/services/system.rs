//! The Device object (3) while timedated and systemd change what it shows.

use anyhow::Result;
use lwm2m_model::Path;

use super::watch::{Watch, after, span};
use crate::device::Device;
use crate::passed;

/// The time zone, by an operator and by the server.
pub(super) async fn zone(device: &Device) -> Result<()> {
    let mut zone = Watch::new(device, Path::resource(3, 0, ZONE)).await?;
    let mut offset = Watch::new(device, Path::resource(3, 0, OFFSET)).await?;
    let mut told = Vec::new();
    // No summer time in any of them.
    for (name, hours) in [("Asia/Tokyo", "+09:00"), ("America/Bogota", "-05:00")] {
        let command = format!("timedatectl set-timezone {name}");
        let watches = &mut [(&mut zone, (ZONE, name)), (&mut offset, (OFFSET, hours))];
        told.push(after(device, &command, watches).await?);
    }
    device.set_text(ZONE, "Asia/Kolkata").await?;
    zone.until(&[(ZONE, "Asia/Kolkata")]).await?;
    offset.until(&[(OFFSET, "+05:30")]).await?;
    passed(&format!("timedated: time zone and offset are told, {}", span(&told)));
    Ok(())
}

/// OBJ-61: a unit that fails is an error of the device, until somebody resets it.
pub(super) async fn failed_unit(device: &Device) -> Result<()> {
    device.write("/etc/systemd/system/broken.service", BROKEN)?;
    device.run("systemctl daemon-reload").await?;
    let mut errors = Watch::new(device, Path::resource(3, 0, ERRORS)).await?;
    errors.until(&[(ERRORS, NO_ERROR)]).await?;
    let mut told = Vec::new();
    for (command, held) in [(FAIL, MALFUNCTION), (RESET, NO_ERROR)] {
        told.push(after(device, command, &mut [(&mut errors, (ERRORS, held))]).await?);
    }
    passed(&format!("systemd: the error of a failed unit comes and goes, {}", span(&told)));
    Ok(())
}

pub(super) const ZONE: u16 = 15;
pub(super) const ERRORS: u16 = 11;
pub(super) const NO_ERROR: &str = "0";
pub(super) const MALFUNCTION: &str = "8";
/// Makes a unit fail, once [`failed_unit`] has written it.
pub(super) const FAIL: &str = "systemctl start broken || true";
pub(super) const RESET: &str = "systemctl reset-failed";
const OFFSET: u16 = 14;
const BROKEN: &str = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
