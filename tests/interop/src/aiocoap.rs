//! aiocoap 0.4.17: a CoAP stack in Python, as LwM2M server and as plain client.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::program::{self, Output};
use crate::setup::{Setup, source_directory, target_directory};
use crate::{PeerError, Server};

/// An aiocoap server to start: CoAP without security, no LwM2M formats.
#[derive(Debug, Clone, Copy, Default)]
pub struct Aiocoap;

/// True if this machine has a Python that can make virtual environments.
pub fn available() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]);
    program::run(&mut python, CHECK_LIMIT)
        .is_ok_and(|output| output.status.is_some_and(|status| status.success()))
}

impl Aiocoap {
    /// Installs aiocoap if it is not installed, starts the server and waits until it listens.
    ///
    /// # Errors
    /// [`PeerError::Setup`] with the output of pip, or what starting a process can give.
    pub fn start(self) -> Result<Server, PeerError> {
        let environment = install()?;
        let mut command = Command::new(environment.join("bin/python"));
        command.arg(source_directory().join("aiocoap/server.py"));
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
