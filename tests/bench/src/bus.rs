//! A message bus of our own, so that the figures do not depend on who else is on
//! the bus of the system.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A running `dbus-daemon`; it ends with this.
pub(crate) struct Bus {
    child: Child,
    pub(crate) address: String,
}

impl Bus {
    /// Starts a bus whose socket and configuration are in `directory`.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let config = directory.join("bus.conf");
        std::fs::write(&config, configuration(&directory.join("bus")))?;
        let mut child = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdout(Stdio::piped())
            // It complains of limits that it may not raise; it needs them not.
            .stderr(Stdio::null())
            .spawn()
            .context("dbus-daemon")?;
        let mut address = String::new();
        let stdout = child.stdout.take().context("no pipe from dbus-daemon")?;
        BufReader::new(stdout).read_line(&mut address)?;
        if address.is_empty() {
            bail!("dbus-daemon does not start");
        }
        Ok(Self { child, address: address.trim().to_owned() })
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
