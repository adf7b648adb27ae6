//! Services that come and go, and change what they say, while the agent of the .deb is
//! registered: the server has to be told. Each of them is the real one.

mod bus;
mod network;
mod position;
mod system;
mod watch;

use std::path::Path;

use anyhow::{Result, ensure};
use lwm2m_interop::setup::target_directory;

use crate::device::{APT, CONFIGURATION, Device, MAIN_PROCESS};
use crate::passed;
use network::Links;
use position::Position;

pub(crate) async fn test(base: &Path, deb: &Path) -> Result<()> {
    // Before the container boots: it shares our network.
    let _links = Links::new()?;
    let position = Position::new()?;
    let console = target_directory().with_file_name("services-console.log");
    let device = Device::start(base, &console).await?;
    device.copy(deb, "lwm2md.deb")?;
    device.run(&format!("{APT} install /root/lwm2md.deb polkitd gpsd")).await?;
    position.prepare(&device).await?;
    device.write_key().await?;
    let configuration = device.configuration(300)? + position::OBJECTS;
    device.write(CONFIGURATION, &configuration)?;
    device.run("lwm2md --check").await?;
    device.run("systemctl start lwm2md").await?;
    let first = device.registers(None).await?;
    let process = device.run(MAIN_PROCESS).await?;
    passed("registered over DTLS");

    network::networkd(&device).await?;
    network::network_manager(&device).await?;
    system::zone(&device).await?;
    system::failed_unit(&device).await?;
    position.test(&device).await?;
    bus::test(&device).await?;

    let now = device.registration().await;
    let registered_at = now.map(|now| now.registered_at);
    ensure!(registered_at == Some(first.registered_at), "it has registered anew meanwhile");
    ensure!(device.run(MAIN_PROCESS).await? == process, "it was started anew meanwhile");
    let warnings = device.run("journalctl --no-pager -u lwm2md -p warning -o cat").await?;
    ensure!(!warnings.contains("panicked"), "its log:\n{warnings}");
    passed("one process and one registration all the while");
    Ok(())
}
