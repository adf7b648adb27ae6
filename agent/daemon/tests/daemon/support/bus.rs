//! A private message bus, and clients on it.

use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};

use futures_core::Stream;
use lwm2m_bus::Agent1Proxy;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Lab, soon};

/// A bus; it ends with the value.
pub(crate) struct Bus {
    daemon: Child,
    path: PathBuf,
}

impl Bus {
    /// Starts a bus in the directory of `lab`; `None`, with a line that says so,
    /// where there is no dbus-daemon.
    pub(crate) fn start(lab: &Lab) -> Option<Self> {
        let path = lab.path("bus");
        // What a bus that was killed has left.
        let _ = std::fs::remove_file(&path);
        let started = Command::new("dbus-daemon")
            .args(["--session", "--print-address", "--nofork", "--nopidfile"])
            .arg(format!("--address=unix:path={}", path.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut daemon) = started else {
            eprintln!("skipped: dbus-daemon is not installed");
            return None;
        };
        // It prints its address once it listens.
        BufReader::new(daemon.stdout.take()?).read_line(&mut String::new()).ok()?;
        Some(Self { daemon, path })
    }

    /// The address of the bus of `lab`, whether there is one or not.
    pub(crate) fn address(lab: &Lab) -> String {
        format!("unix:path={}", lab.path("bus").display())
    }

    /// A client of the daemon.
    pub(crate) async fn client(&self) -> Agent1Proxy<'static> {
        let address = format!("unix:path={}", self.path.display());
        let connect = async {
            let connection =
                zbus::connection::Builder::address(address.as_str()).build().await.unwrap();
            Agent1Proxy::new(&connection).await.unwrap()
        };
        soon("a connection to the bus", connect).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.daemon.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// The next item of a stream.
pub(crate) async fn next<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    let item = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    soon("a signal of the daemon", item).await.expect("the bus is there")
}
