//! aiocoap 0.4.17: a CoAP stack in Python, as LwM2M server and as plain client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::libcoap::{free_address, wait_pong};
use crate::program::{self, Output, Running};
use crate::setup::{Setup, source_directory, target_directory};
use crate::{Namespace, PeerError, Server};

/// An aiocoap server to start: CoAP without security, no LwM2M formats.
#[derive(Debug, Clone, Default)]
pub struct Aiocoap {
    namespace: Option<Namespace>,
    ack_timeout: Option<Duration>,
    answer_after: Duration,
    answer_bytes: usize,
    challenge: bool,
}

/// True if this machine has a Python that can make virtual environments.
pub fn available() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]);
    program::run(&mut python, CHECK_LIMIT)
        .is_ok_and(|output| output.status.is_some_and(|status| status.success()))
}

impl Aiocoap {
    /// A server that answers at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs the server in a network of its own.
    #[must_use]
    pub fn namespace(self, namespace: &Namespace) -> Self {
        Self { namespace: Some(namespace.clone()), ..self }
    }

    /// ACK_TIMEOUT of what the server sends by itself (RFC 7252 4.8); 2 s by default.
    #[must_use]
    pub fn ack_timeout(self, timeout: Duration) -> Self {
        Self { ack_timeout: Some(timeout), ..self }
    }

    /// Lets a Register wait for its answer, which is a separate one then (RFC 7252 5.2.2).
    #[must_use]
    pub fn answer_after(self, time: Duration) -> Self {
        Self { answer_after: time, ..self }
    }

    /// Gives the answer to a Register a payload of zeros, in blocks above 1024.
    #[must_use]
    pub fn answer_bytes(self, bytes: usize) -> Self {
        Self { answer_bytes: bytes, ..self }
    }

    /// Takes a Register only with the Echo that it was challenged for (RFC 9175 2).
    #[must_use]
    pub fn challenge(self) -> Self {
        Self { challenge: true, ..self }
    }

    /// Installs aiocoap if it is not installed, starts the server and waits until it listens.
    ///
    /// # Errors
    /// [`PeerError::Setup`] with the output of pip, or what starting a process can give.
    pub fn start(&self) -> Result<Server, PeerError> {
        let environment = install()?;
        let mut command =
            Namespace::command(self.namespace.as_ref(), environment.join("bin/python"));
        command.arg(source_directory().join("aiocoap/server.py"));
        if let Some(timeout) = self.ack_timeout {
            command.arg("--ack-timeout").arg(timeout.as_secs_f64().to_string());
        }
        command.arg("--answer-after").arg(self.answer_after.as_secs_f64().to_string());
        command.arg("--answer-bytes").arg(self.answer_bytes.to_string());
        if self.challenge {
            command.arg("--challenge");
        }
        Server::start("aiocoap", &mut command)
    }
}

/// Runs `aiocoap-client` with `arguments`, for at most `limit`.
///
/// # Errors
/// As [`Aiocoap::start`].
pub fn client(arguments: &[&str], limit: Duration) -> Result<Output, PeerError> {
    let mut command = Command::new(install()?.join("bin/aiocoap-client"));
    program::run(command.args(arguments), limit)
}

/// Starts aiocoap's file server, which serves the files below `root` until it is dropped.
///
/// # Errors
/// As [`Aiocoap::start`].
pub fn start_file_server(root: &Path) -> Result<(SocketAddr, Running), PeerError> {
    let address = free_address()?;
    let mut command = Command::new(install()?.join("bin/python"));
    command.args(["-m", "aiocoap.cli.fileserver", "--bind", &address.to_string()]).arg(root);
    let process = Running::start(&mut command)?;
    wait_pong(address)?;
    Ok((address, process))
}

/// The virtual environment.
fn install() -> Result<PathBuf, PeerError> {
    let environment = target_directory().join("aiocoap");
    let requirements = source_directory().join("aiocoap/requirements.txt");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&environment);
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
    Setup { name: "aiocoap", sources: &[requirements], result: &environment }
        .ensure(&mut [venv, pip])?;
    Ok(environment)
}

const CHECK_LIMIT: Duration = Duration::from_secs(20);
