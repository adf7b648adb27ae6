//! Every object of the agent under its unit and by its own user, with what the package
//! installs and nothing more: polkit, the D-Bus policies of others and the sandbox have to
//! let it do what servers ask for. Services that need hardware are doubles on the real
//! system bus, which ask the real polkit.

mod firmware;
mod kept;
mod lock;
mod log;
mod modem;
mod network;

use std::path::Path;

use anyhow::{Result, ensure};
use lwm2m_interop::setup::target_directory;

use crate::device::{APT, CONFIGURATION, Device, WORST_SCORE};
use crate::passed;

pub(crate) async fn test(base: &Path, deb: &Path) -> Result<()> {
    // Before the container boots: it shares our network.
    let _link = network::Link::new()?;
    let console = target_directory().with_file_name("features-console.log");
    let device = Device::start(base, &console).await?;
    device.copy(deb, "lwm2md.deb")?;
    network::prepare(&device).await?;
    modem::prepare(&device).await?;
    firmware::prepare(&device).await?;
    let services = "polkitd network-manager modemmanager rauc rauc-service squashfs-tools";
    device.run(&format!("{APT} install /root/lwm2md.deb {services}")).await?;
    device.write_key().await?;
    device.write(CONFIGURATION, &(device.configuration(300)? + OBJECTS))?;
    device.run("lwm2md --check && systemctl start lwm2md").await?;
    device.registers(None).await?;
    passed("registered over DTLS, with every object switched on");

    network::network_manager(&device).await?;
    modem::modem_manager(&device).await?;
    network::wlan(&device).await?;
    modem::modem(&device).await?;
    log::test(&device).await?;
    lock::test(&device).await?;
    kept::killed(&device).await?;
    kept::statistics(&device).await?;
    kept::sensors(&device).await?;
    exposure(&device).await?;
    firmware::test(&device).await?;

    let warnings = device.run("journalctl --no-pager -u lwm2md -p warning -o cat").await?;
    ensure!(!warnings.contains("panicked"), "its log:\n{warnings}");
    Ok(())
}

/// The unit with the drop-ins that the objects take.
async fn exposure(device: &Device) -> Result<()> {
    let drop_ins = device.run("systemctl show lwm2md --value -p DropInPaths").await?;
    ensure!(drop_ins.contains("journal.conf"), "drop-ins: {drop_ins}");
    let score = device.exposure().await?;
    ensure!(score <= WORST_SCORE, "systemd-analyze security: {score}");
    passed(&format!("systemd-analyze security: {score}, with the drop-in for the journal"));
    Ok(())
}

/// Runs a command as the user of the agent, without its sandbox; exit code and output.
async fn as_agent(device: &Device, command: &str) -> Result<(i32, String)> {
    device
        .status(&format!("systemd-run --quiet --wait --pipe --collect --uid=lwm2md {command}"))
        .await
}

/// Takes a rule of polkit away for as long as `run` takes.
async fn without_rule(
    device: &Device,
    rule: &str,
    run: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let place = format!("/usr/share/polkit-1/rules.d/{rule}");
    // polkit notices by itself, some time later.
    device.run(&format!("mv {place} /root && systemctl restart polkit")).await?;
    run().await?;
    device.run(&format!("mv /root/{rule} {place} && systemctl restart polkit")).await?;
    Ok(())
}

/// What the configuration has of objects.
const OBJECTS: &str = "\
objects:
  location: {source: modemmanager}
  event_log: journal
  lock_and_wipe: {lock: [lab], wipe: [lab]}
  portfolio: [lab-4711, ACME, GW-100, \"1.0\"]
  binary_app_data: {limit: 4096}
  sensors: true
  firmware: {backend: rauc}
";
