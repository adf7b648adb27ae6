//! A message bus of our own, so that the figures do not depend on who else is on
//! the bus of the system.

use std::path::Path;

use anyhow::{Context, Result};
use lwm2m_test_bus::Bus;

/// Starts a bus whose socket and configuration are in `directory`.
pub(crate) fn start(directory: &Path) -> Result<Bus> {
    let config = directory.join("bus.conf");
    std::fs::write(&config, configuration(&directory.join("bus")))?;
    Bus::start_with(&config).context("no dbus-daemon")
}

/// Everything is allowed, and no service is started.
fn configuration(socket: &Path) -> String {
    format!(
        "<busconfig><type>custom</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
         <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
        socket.display()
    )
}
