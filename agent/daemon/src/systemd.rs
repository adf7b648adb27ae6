//! What systemd wants to hear of a `Type=notify` service (sd_notify(3)), and the
//! watchdog. Without systemd everything here does nothing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The first directory of `STATE_DIRECTORY`, `RUNTIME_DIRECTORY` and their like:
/// systemd separates several with colons, the first is ours.
pub fn first_directory(directories: &OsStr) -> Option<&Path> {
    let first = directories.as_bytes().split(|byte| *byte == b':').next()?;
    (!first.is_empty()).then(|| Path::new(OsStr::from_bytes(first)))
}

/// The connection to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// Connects to the socket that systemd names in `NOTIFY_SOCKET`.
    ///
    /// # Errors
    /// The socket is named but cannot be reached.
    pub fn from_environment() -> io::Result<Self> {
        Self::new(std::env::var_os("NOTIFY_SOCKET").as_deref())
    }

    fn new(name: Option<&OsStr>) -> io::Result<Self> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self { socket: None });
        };
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                let message = format!("NOTIFY_SOCKET={name:?} is neither a path nor abstract");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A service manager that does not listen must not stop the daemon.
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some(socket) })
    }

    /// Configuration and state are loaded and the sockets exist: the start is over.
    /// Not after registration, since a device without a network has started too.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.send(&format!("STATUS={line}"));
    }

    /// The configuration is read again; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        // Type=notify-reload wants to know since when.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// An orderly stop has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The main loop is alive; due every [`watchdog_interval`].
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message.as_bytes())
        {
            tracing::debug!("cannot notify systemd: {error}");
        }
    }
}

/// How often [`Notifier::watchdog`] is due: half the time after which systemd takes
/// this process for stuck. `None` if it does not watch this process.
pub fn watchdog_interval() -> Option<Duration> {
    interval(
        std::env::var_os("WATCHDOG_USEC"),
        std::env::var_os("WATCHDOG_PID"),
        std::process::id(),
    )
}

fn interval(micros: Option<OsString>, pid: Option<OsString>, own: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    let micros = number(micros?).filter(|micros| *micros > 0)?;
    // The variables are inherited: they may be meant for the process that started us.
    let meant_for_us = pid.is_none_or(|pid| number(pid) == Some(own.into()));
    meant_for_us.then(|| Duration::from_micros(micros) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_of_a_list_is_ours() {
        for (list, first) in [("/a", Some("/a")), ("/a:/b", Some("/a")), ("", None), (":/b", None)]
        {
            assert_eq!(first_directory(OsStr::new(list)), first.map(Path::new), "{list}");
        }
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn messages_reach_a_socket_with_a_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str())).unwrap();
        notifier.ready();
        notifier.status("registered at server 101\nREADY=0");
        notifier.reloading();
        notifier.stopping();
        notifier.watchdog();
        assert_eq!(receive(&systemd), "READY=1");
        assert_eq!(receive(&systemd), "STATUS=registered at server 101 READY=0");
        let reloading = receive(&systemd);
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
        assert_eq!(receive(&systemd), "STOPPING=1");
        assert_eq!(receive(&systemd), "WATCHDOG=1");
    }

    #[test]
    fn messages_reach_an_abstract_socket() {
        let name = format!("lwm2md-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::new(Some(OsStr::new(&format!("@{name}")))).unwrap();
        notifier.ready();
        assert_eq!(receive(&systemd), "READY=1");
    }

    #[test]
    fn without_systemd_nothing_happens() {
        for name in [None, Some(OsStr::new(""))] {
            Notifier::new(name).unwrap().ready();
        }
        for name in ["vsock:2:1234", "/nowhere/notify", "relative"] {
            assert!(Notifier::new(Some(OsStr::new(name))).is_err(), "{name}");
        }
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        let cases = [
            (None, None, None),
            (Some("300000000"), None, Some(150)),
            (Some("300000000"), Some("7"), Some(150)),
            (Some("300000000"), Some("8"), None),
            (Some("300000000"), Some("x"), None),
            (Some("0"), Some("7"), None),
            (Some("-1"), None, None),
        ];
        for (micros, pid, seconds) in cases {
            assert_eq!(
                interval(micros.map(Into::into), pid.map(Into::into), 7),
                seconds.map(Duration::from_secs),
                "{micros:?} {pid:?}"
            );
        }
    }
}
