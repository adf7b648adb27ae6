//! A private bus and connections to it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rauc_dbus::Installer;
use tempfile::TempDir;
use zbus::Connection;

use crate::service::Double;

/// A bus with a client on it; it ends with the value.
pub(crate) struct Bus {
    daemon: Child,
    address: String,
    pub(crate) client: Connection,
    /// Holds the socket.
    _folder: TempDir,
}

impl Bus {
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("unix:path={}", folder.path().join("bus").display());
        let started = Command::new("dbus-daemon")
            .args(["--session", "--print-address", "--nofork", "--nopidfile"])
            .arg(format!("--address={address}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut daemon) = started else {
            // Not `eprintln`, which the test harness keeps when a test passes.
            let _ = writeln!(std::io::stderr(), "not run: dbus-daemon is not installed");
            return None;
        };
        // It prints its address once it listens.
        let stdout = daemon.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut String::new()).unwrap();
        let client = connect(&address).await;
        Some(Self { daemon, address, client, _folder: folder })
    }

    /// Another program on the bus.
    pub(crate) async fn connect(&self) -> Connection {
        connect(&self.address).await
    }

    /// The client of RAUC that is tested.
    pub(crate) fn rauc(&self) -> Installer {
        Installer::new(&self.client)
    }

    /// Puts a double on the bus.
    pub(crate) async fn serve(&self, double: Double) -> Connection {
        let service = self.connect().await;
        service.object_server().at("/", double).await.unwrap();
        service.request_name("de.pengutronix.rauc").await.unwrap();
        service
    }

    /// Ends the bus as if it had crashed.
    pub(crate) fn kill(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Both fail only if it was killed before.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Runs a test on a bus of its own.
pub(crate) fn on_bus(test: impl AsyncFnOnce(Bus)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(bus) = Bus::start().await else { return };
        tokio::time::timeout(LIMIT, test(bus)).await.expect("the test ends in time");
    });
}

async fn connect(address: &str) -> Connection {
    zbus::connection::Builder::address(address).build().await.unwrap()
}

const LIMIT: Duration = Duration::from_secs(20);
