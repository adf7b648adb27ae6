//! A private message bus, so that no test asks the services of the machine it runs on.
//! Clients connect with what they test; doubles that need no program of the test's own
//! are those of python-dbusmock, or a [`Double`] whose objects are data.

mod double;
mod modem;
pub mod network_manager;

use std::io::{BufRead, BufReader, Write, stderr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub use double::{Double, Objects, Properties, properties};
pub use modem::ModemManager;
pub use network_manager::NetworkManager;

/// A running dbus-daemon; it is killed with the value.
#[derive(Debug)]
pub struct Bus {
    daemon: Child,
    address: String,
    /// Holds the socket, unless the caller said where.
    _folder: Option<TempDir>,
}

impl Bus {
    /// A bus like that of a session, on which everything is allowed; `None`, with a line
    /// `not run:` on standard error, where there is no dbus-daemon.
    ///
    /// # Panics
    /// If dbus-daemon is there but does not listen, as do all that start one.
    #[must_use]
    pub fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut bus = Self::start_at(&folder.path().join("bus"))?;
        bus._folder = Some(folder);
        Some(bus)
    }

    /// The same for doubles of services: `None` also where python3-dbusmock is missing.
    #[must_use]
    pub fn start_for_mocks() -> Option<Self> {
        let mut mocks = Command::new(PYTHON);
        mocks.args(["-c", "import dbusmock"]).stderr(Stdio::null());
        if mocks.status().is_ok_and(|status| status.success()) {
            Self::start()
        } else {
            not_run("python3-dbusmock")
        }
    }

    /// The same with its socket at this path, in the place of what a killed bus has left.
    #[must_use]
    pub fn start_at(socket: &Path) -> Option<Self> {
        // Fails if nothing is there, which is as well.
        let _ = std::fs::remove_file(socket);
        let address = format!("--address=unix:path={}", socket.display());
        Self::run(&["--session", &address])
    }

    /// A bus with a configuration file of the test's, which says where it listens.
    #[must_use]
    pub fn start_with(configuration: &Path) -> Option<Self> {
        Self::run(&[&format!("--config-file={}", configuration.display())])
    }

    fn run(arguments: &[&str]) -> Option<Self> {
        let started = Command::new("dbus-daemon")
            .args(arguments)
            .args(["--print-address", "--nofork", "--nopidfile"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It complains of limits that it may not raise; it needs them not.
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut daemon) = started else { return not_run("dbus-daemon") };
        let stdout = daemon.stdout.take().expect("standard output is a pipe");
        let mut bus = Self { daemon, address: String::new(), _folder: None };
        // It prints its address once it listens.
        let line = BufReader::new(stdout).lines().next();
        bus.address = line.and_then(Result::ok).expect("dbus-daemon listens");
        Some(bus)
    }

    /// Its address, for `--bus` and `DBUS_SYSTEM_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process, for signals.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Ends the bus as if it had crashed.
    pub fn kill(&mut self) {
        // Both fail only if it has ended before.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }

    /// python-dbusmock on this bus, as that of the system and of the session; without its
    /// arguments.
    #[must_use]
    pub fn mock(&self) -> Command {
        let mut mock = Command::new(PYTHON);
        mock.args(["-m", "dbusmock"]);
        mock.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        mock.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        mock
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.kill();
    }
}

fn not_run(missing: &str) -> Option<Bus> {
    // Not `eprintln`, which the test harness keeps when a test passes.
    let _ = writeln!(stderr(), "not run: {missing} is not installed");
    None
}

/// The system's own Python, which sees Debian's packages.
const PYTHON: &str = "/usr/bin/python3";
