//! A directory with the configuration and the state of one daemon.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::Daemon;

/// The endpoint name in every configuration here.
pub(crate) const ENDPOINT: &str = "gateway";

/// The directory; it ends with the value.
pub(crate) struct Lab {
    directory: TempDir,
}

impl Lab {
    /// A directory with `configuration` in it.
    pub(crate) fn new(configuration: &str) -> Self {
        let lab = Self { directory: tempfile::tempdir().unwrap() };
        lab.write("lwm2md.yaml", configuration);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file for its owner alone.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// `text` with the directory written as `DIR`.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.directory.path().display().to_string(), "DIR")
    }

    /// The command line of a daemon here, without a bus, with an empty environment.
    pub(crate) fn command(&self) -> Command {
        self.command_with("none", "state")
    }

    /// The same with a bus, and a state directory of this name.
    pub(crate) fn command_with(&self, bus: &str, state: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lwm2md"));
        command
            .env_clear()
            .arg("--config")
            .arg(self.path("lwm2md.yaml"))
            .arg("--state-dir")
            .arg(self.path(state))
            .args(["--bus", bus]);
        command
    }

    /// A daemon at work, without a bus.
    pub(crate) fn start(&self) -> Daemon {
        Daemon::spawn(self.command())
    }

    /// A daemon at work on a bus.
    pub(crate) fn start_on(&self, bus: &str) -> Daemon {
        Daemon::spawn(self.command_with(bus, "state"))
    }

    /// Runs `command` to its end: exit code, standard output, standard error.
    pub(crate) fn run(&self, mut command: Command) -> (i32, String, String) {
        let output = command.output().unwrap();
        let text = |bytes| self.plain(&String::from_utf8(bytes).unwrap());
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

/// A server account of a configuration.
pub(crate) struct Link {
    pub(crate) id: u16,
    pub(crate) uri: String,
    pub(crate) security: String,
    /// Other keys of the account, one a line.
    pub(crate) more: Vec<String>,
}

impl Link {
    /// An account without security.
    pub(crate) fn nosec(id: u16, address: SocketAddr) -> Self {
        let (uri, security) = (format!("coap://{address}"), "{mode: nosec}".into());
        Self { id, uri, security, more: vec!["lifetime: 300".into()] }
    }

    /// An account with a key, `hex: 00112233`.
    pub(crate) fn psk(id: u16, address: SocketAddr, identity: &str, key: &str) -> Self {
        let security = format!("{{mode: psk, identity: {identity}, key: {{{key}}}}}");
        Self { security, uri: format!("coaps://{address}"), ..Self::nosec(id, address) }
    }

    /// The same with one key more.
    pub(crate) fn with(mut self, line: &str) -> Self {
        let name = line.split(':').next().unwrap_or_default();
        self.more.retain(|known| known.split(':').next() != Some(name));
        self.more.push(line.to_owned());
        self
    }
}

/// A configuration with these accounts.
pub(crate) fn configuration(links: &[Link]) -> String {
    let mut text = format!("endpoint: {ENDPOINT}\nservers:\n");
    for link in links {
        text += &format!("  - short_server_id: {}\n    uri: {}\n", link.id, link.uri);
        text += &format!("    security: {}\n", link.security);
        for line in &link.more {
            text += &format!("    {line}\n");
        }
    }
    text
}
