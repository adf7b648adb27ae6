//! The agent under measurement: its set-ups, its start and its end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lwm2m_security::{DtlsServerContext, Secret};
use lwm2m_test_bus::Bus;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::bus;
use crate::process::Process;
use crate::server::{Greeting, Server};

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

/// Whether it takes packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// It has no Firmware Update object.
    No,
    /// It puts them into a file.
    ToFile,
}

/// What the configuration says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) setup: Setup,
    pub(crate) queue: Queue,
    /// Of the registration, in seconds.
    pub(crate) lifetime: u32,
    pub(crate) firmware: Firmware,
    /// With it there are sensors and a position too.
    pub(crate) gpsd: Option<SocketAddr>,
}

/// An object that is added to those of the agent, by its definition in XML.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Added {
    /// Its values are held in memory.
    InMemory { definition: &'static str, instances: u16 },
    /// Its opaque values are taken chunk by chunk and thrown away.
    Sink { definition: &'static str },
}

/// Where an agent is at home: what stays when it is started again.
struct Home {
    settings: Settings,
    /// Configuration and state.
    directory: TempDir,
    /// Where its server listens.
    port: u16,
    /// What its server keeps of sessions.
    dtls: Option<DtlsServerContext>,
    bus: Option<Bus>,
}

/// An agent that is registered, and its server.
pub(crate) struct Agent {
    child: Child,
    pub(crate) server: Server,
    /// From the start of its process to its first message at the server.
    pub(crate) start: Duration,
    home: Rc<Home>,
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

impl Settings {
    pub(crate) const fn new(setup: Setup, queue: Queue) -> Self {
        Self { setup, queue, lifetime: 86_400, firmware: Firmware::No, gpsd: None }
    }

    /// The Device object has fixed texts, so that sizes do not depend on the machine.
    fn configuration(self, port: u16, package: &Path) -> String {
        let (scheme, security) = match self.setup {
            Setup::Bare | Setup::Bus => ("coap", "{mode: nosec}".to_owned()),
            Setup::BusAndDtls => {
                let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
                ("coaps", format!("{{mode: psk, identity: {IDENTITY}, key: {{hex: {key:?}}}}}"))
            }
        };
        let queue = match self.queue {
            Queue::Off => "queue_mode: false",
            Queue::On => "queue_mode: true\n    awake_time: 1",
        };
        let firmware = match self.firmware {
            Firmware::No => String::new(),
            Firmware::ToFile => {
                format!(
                    "  firmware: {{backend: file, path: {:?}}}\n",
                    package.display().to_string()
                )
            }
        };
        let more = self.gpsd.map_or_else(String::new, |address| {
            format!(
                "  sensors: true\n  location: {{source: gpsd, address: {:?}}}\n",
                address.to_string()
            )
        });
        let lifetime = self.lifetime;
        format!(
            "endpoint: urn:dev:ops:0A1B2C-BENCH-1\n\
             servers:\n  - short_server_id: 101\n    uri: {scheme}://127.0.0.1:{port}\n    \
             lifetime: {lifetime}\n    {queue}\n    security: {security}\n\
             objects:\n  device: {{manufacturer: ACME, model: GW-100, serial: \"4711\"}}\n{firmware}{more}"
        )
    }
}

impl Home {
    fn new(settings: Settings, directory: TempDir) -> Result<Self> {
        let bus = settings.setup.has_bus().then(|| bus::start(directory.path())).transpose()?;
        // The port is free again now, and bound anew for each start: a server that has
        // taken a client hears nobody else.
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let dtls = settings.setup.dtls()?;
        let home = Self { settings, directory, port, dtls, bus };
        let configuration = settings.configuration(port, &home.file("package"));
        fs::write(home.file(CONFIGURATION), configuration)?;
        Ok(home)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Agent {
    /// Starts `lwm2md` and waits until it is registered.
    pub(crate) fn start(lwm2md: &Path, setup: Setup, queue: Queue) -> Result<Self> {
        Self::start_as(lwm2md, Settings::new(setup, queue))
    }

    /// Starts `lwm2md` with other settings than usual.
    pub(crate) fn start_as(lwm2md: &Path, settings: Settings) -> Result<Self> {
        let home = Rc::new(Home::new(settings, tempfile::tempdir()?)?);
        Self::launch(Command::new(lwm2md), home, Greeting::Register)
    }

    /// Starts the agent with an object more, without bus and security.
    pub(crate) fn start_with(device: &Path, object: Added) -> Result<Self> {
        let home = Home::new(Settings::new(Setup::Bare, Queue::Off), tempfile::tempdir()?)?;
        let file = home.file("object.xml");
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
        Self::launch(command, Rc::new(home), Greeting::Register)
    }

    /// Stops it and starts it again where it was; it is registered still, so that what
    /// its server hears first is an Update.
    pub(crate) fn restart(self, lwm2md: &Path) -> Result<Self> {
        let home = self.home.clone();
        self.stop()?;
        Self::launch(Command::new(lwm2md), home, Greeting::Update)
    }

    fn launch(mut command: Command, home: Rc<Home>, greeting: Greeting) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, home.port))?;
        let started = Instant::now();
        let mut child = command
            .arg("--config")
            .arg(home.file(CONFIGURATION))
            .arg("--state-dir")
            .arg(home.file("state"))
            .arg("--bus")
            .arg(home.bus.as_ref().map_or("none", |bus| bus.address()))
            .args(["--log", "stderr", "--log-level", "error"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{:?}", command.get_program()))?;
        match Server::accept(&socket, home.dtls.as_ref(), greeting) {
            Ok(server) => {
                let start = server.greeted - started;
                Ok(Self { child, server, start, home })
            }
            Err(error) => {
                // It may have ended by itself, and that is the fault.
                let _ = child.kill();
                let _ = child.wait();
                let setup = home.settings.setup.name();
                Err(error.context(format!("{:?} with {setup}", command.get_program())))
            }
        }
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// A directory on the disk that its state is on.
    pub(crate) fn directory(&self) -> &Path {
        self.home.directory.path()
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

const IDENTITY: &str = "bench";
const KEY: [u8; 16] = *b"0123456789abcdef";
const CONFIGURATION: &str = "lwm2md.yaml";
