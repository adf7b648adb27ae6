//! The agent under measurement: its set-ups, its start and its end.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lwm2m_security::{DtlsServerContext, Secret};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::bus::Bus;
use crate::process::Process;
use crate::server::Server;

/// What an agent is run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// NoSec, no bus.
    Bare,
    /// NoSec, on a bus of its own.
    Bus,
    /// DTLS with a pre-shared key, on a bus of its own.
    BusAndDtls,
}

/// Whether the agent sleeps between exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// It listens always.
    Off,
    /// It sleeps a second after the last message.
    On,
}

/// An object that is added to those of the agent, by its definition in XML.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Added {
    /// Its values are held in memory.
    InMemory { definition: &'static str, instances: u16 },
    /// Its opaque values are taken chunk by chunk and thrown away.
    Sink { definition: &'static str },
}

/// An agent that has registered, and its server.
pub(crate) struct Agent {
    child: Child,
    pub(crate) server: Server,
    /// From the start of its process to the Register at the server.
    pub(crate) start: Duration,
    _bus: Option<Bus>,
    _directory: TempDir,
}

impl Setup {
    pub(crate) const ALL: [Self; 3] = [Self::Bare, Self::Bus, Self::BusAndDtls];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "no bus, no TLS",
            Self::Bus => "D-Bus",
            Self::BusAndDtls => "D-Bus and DTLS",
        }
    }

    const fn has_bus(self) -> bool {
        match self {
            Self::Bare => false,
            Self::Bus | Self::BusAndDtls => true,
        }
    }

    fn dtls(self) -> Result<Option<DtlsServerContext>> {
        Ok(match self {
            Self::Bare | Self::Bus => None,
            Self::BusAndDtls => {
                let key = |identity: &[u8]| {
                    (identity == IDENTITY.as_bytes()).then(|| Secret::new(KEY.to_vec()))
                };
                Some(DtlsServerContext::new(Arc::new(key))?)
            }
        })
    }
}

impl Agent {
    /// Starts `lwm2md` and waits until it is registered.
    pub(crate) fn start(lwm2md: &Path, setup: Setup, queue: Queue) -> Result<Self> {
        Self::launch(Command::new(lwm2md), tempfile::tempdir()?, setup, queue)
    }

    /// Starts the agent with an object more, without bus and security.
    pub(crate) fn start_with(device: &Path, object: Added) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("object.xml");
        let mut command = Command::new(device);
        let definition = match object {
            Added::InMemory { definition, instances } => {
                command.args(["--instances", &instances.to_string(), "--object"]);
                definition
            }
            Added::Sink { definition } => {
                command.arg("--sink");
                definition
            }
        };
        fs::write(&file, definition)?;
        command.arg(&file);
        Self::launch(command, directory, Setup::Bare, Queue::Off)
    }

    fn launch(
        mut command: Command,
        directory: TempDir,
        setup: Setup,
        queue: Queue,
    ) -> Result<Self> {
        let bus = setup.has_bus().then(|| Bus::start(directory.path())).transpose()?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let port = socket.local_addr()?.port();
        let config = directory.path().join("lwm2md.yaml");
        fs::write(&config, configuration(setup, queue, port))?;
        let state = directory.path().join("state");

        let started = Instant::now();
        let mut child = command
            .arg("--config")
            .arg(&config)
            .arg("--state-dir")
            .arg(&state)
            .arg("--bus")
            .arg(bus.as_ref().map_or("none", |bus| &bus.address))
            .args(["--log", "stderr", "--log-level", "error"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{:?}", command.get_program()))?;
        match Server::accept(&socket, setup.dtls()?.as_ref()) {
            Ok(server) => {
                let start = server.registered - started;
                Ok(Self { child, server, start, _bus: bus, _directory: directory })
            }
            Err(error) => {
                // It may have ended by itself, and that is the fault.
                let _ = child.kill();
                let _ = child.wait();
                Err(error.context(format!("{:?} with {}", command.get_program(), setup.name())))
            }
        }
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Stops the agent as systemd would, and sees whether it ends well.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("lwm2md ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // After `stop` it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Device object has fixed texts, so that sizes do not depend on the machine.
fn configuration(setup: Setup, queue: Queue, port: u16) -> String {
    let (scheme, security) = match setup {
        Setup::Bare | Setup::Bus => ("coap", "{mode: nosec}".to_owned()),
        Setup::BusAndDtls => {
            let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
            ("coaps", format!("{{mode: psk, identity: {IDENTITY}, key: {{hex: {key:?}}}}}"))
        }
    };
    let queue = match queue {
        Queue::Off => "queue_mode: false",
        Queue::On => "queue_mode: true\n    awake_time: 1",
    };
    format!(
        "endpoint: urn:dev:ops:0A1B2C-BENCH-1\n\
         servers:\n  - short_server_id: 101\n    uri: {scheme}://127.0.0.1:{port}\n    \
         lifetime: 86400\n    {queue}\n    security: {security}\n\
         objects:\n  device: {{manufacturer: ACME, model: GW-100, serial: \"4711\"}}\n"
    )
}

const IDENTITY: &str = "bench";
const KEY: [u8; 16] = *b"0123456789abcdef";
