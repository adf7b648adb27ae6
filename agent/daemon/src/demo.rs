//! `lwm2md demo`: a server and the agent on the loopback interface, and a prompt.
//!
//! The agent is the real one, over real sockets and DTLS. It has no bus, so that
//! nothing typed here can restart the machine. Beside the objects of the agent it has
//! the test object (3442) of the registry, and a package that is pushed goes to a
//! directory that ends with the demo.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::DemoArgs;
use crate::config::{self, EventLogSource, FirmwareSettings, Installer, Sensors};
use crate::firmware::{self, Downloads};
use crate::objects::{self, Place, Settings};
use crate::sources::Sources;
use lwm2m_bus::Exit;
use lwm2m_engine::{Account, Deregister, EngineConfig, Event, Retry, SecurityMode};
use lwm2m_firmware::DEFAULT_PATIENCE;
use lwm2m_model::Version;
use lwm2m_objects::{BusHandle, DeviceConfig, InMemory, MemoryObject, ObjectHost, Reached, Roots};
use lwm2m_security::{Psk, Secret};
use lwm2m_test_server::prompt::{self, Condition, Flow, PATIENCE, PromptError, Session};
use lwm2m_test_server::script::{Interpreter, Script, ScriptError};
use lwm2m_test_server::{AWAKE_TIME, Server, ServerConfig, Timings};
use lwm2m_transport::{LinkSecurity, clock};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::agent::{Agent, Parts};
use crate::keeper::Keeper;
use crate::program::machine;
use crate::run::{MAX_ASKS, seed};
use crate::service::{Ask, Order};

/// Runs the demo to its end.
pub(crate) async fn run(arguments: &DemoArgs) -> ExitCode {
    let script = match arguments.script.as_deref().map(read_script).transpose() {
        Ok(script) => script,
        Err(error) => {
            eprintln!("lwm2md demo: {error}");
            return Exit::Usage.into();
        }
    };
    match play(arguments, script).await {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            eprintln!("lwm2md demo: {error}");
            Exit::Failed.into()
        }
    }
}

fn read_script(path: &Path) -> anyhow::Result<Script<Line>> {
    let text = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
    Script::parse::<Player>(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

async fn play(arguments: &DemoArgs, script: Option<Script<Line>>) -> anyhow::Result<()> {
    let key = Secret::new(seed()?.to_vec());
    let loss = f64::from(arguments.loss) / 100.0;
    let server = Server::start(ServerConfig {
        coap: None,
        coaps: Some((Ipv4Addr::LOCALHOST, 0).into()),
        psk: vec![(IDENTITY.into(), key.expose().to_vec())],
        loss,
        timings: if arguments.loss > 0 { Timings::persistent() } else { Timings::default() },
        awake_time: AWAKE_TIME,
        ..ServerConfig::default()
    })
    .await?;
    let Some(address) = server.coaps_addr() else { anyhow::bail!("the server has no address") };
    let uri = format!("coaps://{address}");
    let (asks, asked) = mpsc::channel(MAX_ASKS);
    let (sleeps, asleep) = watch::channel(false);
    let psk = Psk::new(IDENTITY, key)?;
    let state = Folder::new()?;
    let mut agent = agent(&uri, psk, arguments.loss, &state.0, asked, sleeps)?;
    println(&format!("a server listens at {uri}; the agent registers there over DTLS"))?;
    println("type help for what can be asked, quit to end")?;
    let mut player =
        Player { session: Session::new(server.clone())?, agent: asks, asleep, held: None };
    let events = server.events()?;
    let played = async {
        match &script {
            Some(script) => script.run(&mut player, &mut io::stdout()).await,
            None => {
                // What comes through a pipe has to find the device.
                let registered = player.session.wait(&Condition::Registered, PATIENCE).await;
                if let Err(error) = registered {
                    println(&error.to_string())?;
                }
                prompt::interact(&mut player, events).await.map_err(ScriptError::from)
            }
        }
    };
    let result = tokio::select! {
        result = played => result,
        () = agent.run() => Ok(()),
    };
    agent.stop(Deregister::Yes).await;
    drop(player);
    server.stop().await;
    result?;
    if script.is_some() {
        println("every step of the script gave what it expects")?;
    }
    Ok(())
}

fn agent(
    uri: &str,
    psk: Psk,
    loss: u8,
    state: &Path,
    asks: mpsc::Receiver<Ask>,
    sleeps: watch::Sender<bool>,
) -> anyhow::Result<Agent> {
    let account = Account {
        security: SecurityMode::Psk,
        identity: IDENTITY.into(),
        lifetime: LIFETIME,
        queue_mode: true,
        awake_time: Some(AWAKE_TIME),
        retry: Retry { timer: 1, sequence_delay: 5, ..Retry::default() },
        ..Account::new(SERVER, uri)
    };
    let mut coap = lwm2m_coap::Config::default();
    if loss > 0 {
        // As the server does: soon again, and often.
        coap.ack_timeout = Duration::from_millis(500);
        coap.max_retransmit = 8;
    }
    let engine = EngineConfig {
        endpoint: config::endpoint_of(machine().unwrap_or_default()),
        version: Version::V1_2,
        min_version: Version::V1_1,
        bindings: config::BINDINGS.into(),
        accounts: vec![account],
        coap,
        boot: clock::boot_id(),
        seed: seed()?,
    };
    let mut objects = ObjectHost::new(clock::now);
    let device = DeviceConfig::new(config::BINDINGS);
    let (roots, bus) = (Roots::default(), BusHandle::absent());
    // Without a bus nothing waits for it.
    let place = Place { state, roots: &roots, bus, reached: Reached::default() };
    let settings = Settings {
        device,
        sensors: Sensors::default(),
        location: None,
        lock_and_wipe: None,
        portfolio: Vec::new(),
        binary_app_data: None,
        event_log: EventLogSource::None,
    };
    objects::add(&mut objects, settings, &place);
    let installer = Installer::File(state.join("installed"));
    let firmware = FirmwareSettings { installer, ..FirmwareSettings::default() };
    let sources = Sources::without_credentials();
    let downloads = Downloads { sources, patience: DEFAULT_PATIENCE, streams: None };
    let firmware = firmware::add(&mut objects, &firmware, downloads, &place);
    let confirmation = firmware.map(|(confirmation, _)| confirmation);
    let mut tested = MemoryObject::new(Arc::new(lwm2m_test_server::test_object().clone()));
    tested.fill(0);
    objects.add(Box::new(InMemory::new(tested, objects.sender())));
    let events = Box::new(move |event: &Event| {
        firmware::note(&confirmation, event);
        match event {
            Event::Asleep { .. } => drop(sleeps.send_replace(true)),
            Event::Awake { .. } | Event::Deregistered { .. } => drop(sleeps.send_replace(false)),
            _ => {}
        }
    });
    let credentials = HashMap::from([(SERVER, LinkSecurity::Psk(psk))]);
    Ok(Agent::new(Parts {
        engine,
        credentials,
        objects,
        // Nothing of a demo survives it.
        keeper: Keeper::nowhere(),
        records: Vec::new(),
        asks,
        bus: None,
        events,
    })?)
}

/// A line of the prompt: the server's, or one of the demo's own.
#[derive(Debug, Clone)]
enum Line {
    Server(prompt::Command),
    /// The device sleeps now instead of when its awake time is over.
    Sleep,
    /// It wakes and says so.
    Wake,
}

/// Plays the server, and tells the device when to sleep and to wake.
struct Player {
    session: Session,
    agent: mpsc::Sender<Ask>,
    asleep: watch::Receiver<bool>,
    /// A request that the server holds until the device wakes.
    held: Option<JoinHandle<io::Result<Held>>>,
}

/// What came of a request that was held.
struct Held {
    text: Vec<u8>,
    session: Session,
}

impl Interpreter for Player {
    type Command = Line;

    fn parse(line: &str) -> Result<Line, PromptError> {
        match line.trim() {
            "sleep" => Ok(Line::Sleep),
            "wake" => Ok(Line::Wake),
            line => prompt::parse(line).map(Line::Server),
        }
    }

    async fn run<W: Write>(&mut self, line: &Line, out: &mut W) -> io::Result<Flow> {
        match line {
            Line::Sleep => self.sleep(out).await?,
            Line::Wake => self.wake(out).await?,
            Line::Server(command @ prompt::Command::Help { about }) => {
                self.session.run(command, out).await?;
                if about.is_none() {
                    out.write_all(OWN_HELP.as_bytes())?;
                }
            }
            Line::Server(command) if command.is_request() && self.sleeps().await => {
                self.hold(command.clone(), out)?;
            }
            Line::Server(command) => return self.session.run(command, out).await,
        }
        Ok(Flow::Continue)
    }

    fn session(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Player {
    async fn sleep(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.session.begin();
        if self.endpoint().await.is_none() {
            return writeln!(out, "no device is registered");
        }
        self.order(Order::Sleep).await;
        // It sleeps as soon as nothing is under way.
        let sleep = self.asleep.wait_for(|asleep| *asleep);
        let slept = tokio::time::timeout(PATIENCE, sleep).await.is_ok();
        match self.endpoint().await {
            Some(endpoint) if slept => {
                let server = self.session.server();
                server.presume_asleep(&endpoint).await.map_err(io::Error::other)?;
                writeln!(out, "the device sleeps: the server holds requests until it wakes")
            }
            _ => writeln!(out, "the device does not fall asleep"),
        }
    }

    async fn wake(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.session.begin();
        self.order(Order::Wake).await;
        if let Err(error) = self.session.wait(&Condition::Awake, PATIENCE).await {
            return writeln!(out, "{error}");
        }
        writeln!(out, "the device is awake")?;
        if let Some(held) = self.held.take() {
            let Held { text, session } = held.await.map_err(io::Error::other)??;
            writeln!(out, "the answer to the request that was held:")?;
            out.write_all(&text)?;
            self.session.absorb(session);
        }
        Ok(())
    }

    /// Lets the server hold a request; its answer is shown after the waking.
    fn hold(&mut self, command: prompt::Command, out: &mut impl Write) -> io::Result<()> {
        self.session.begin();
        if self.held.is_some() {
            return writeln!(out, "a request is held already; type wake");
        }
        let server = self.session.server().clone();
        let mut session = Session::new(server).map_err(io::Error::other)?;
        self.held = Some(tokio::spawn(async move {
            let mut text = Vec::new();
            session.run(&command, &mut text).await?;
            Ok(Held { text, session })
        }));
        writeln!(out, "the device sleeps: the server holds the request; type wake")
    }

    async fn sleeps(&self) -> bool {
        let known = self.session.server().registrations().await.unwrap_or_default();
        known.first().is_some_and(|registration| !registration.awake)
    }

    async fn endpoint(&self) -> Option<String> {
        let known = self.session.server().registrations().await.unwrap_or_default();
        known.first().map(|registration| registration.endpoint.clone())
    }

    async fn order(&self, order: Order) {
        let (reply, done) = oneshot::channel();
        // The agent lives as long as the prompt; what becomes of the order is seen
        // at the server.
        let _ = self.agent.send(Ask::Order { server: None, order, reply }).await;
        let _ = done.await;
    }
}

/// A directory for the firmware update, which ends with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let name: String = seed()?.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("lwm2md-demo-{name}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the directory of such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn println(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

const SERVER: u16 = 101;
const IDENTITY: &str = "demo";
/// Seconds.
const LIFETIME: u32 = 300;
const OWN_HELP: &str = "
  sleep   the device sleeps now, instead of when its awake time is over
  wake    it wakes and says so by an Update; held requests are answered
";
