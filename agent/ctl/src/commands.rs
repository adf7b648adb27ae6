//! What each command asks of the daemon and prints.

use std::io::{self, Write};

use lwm2m_bus::{
    Agent1Proxy, AgentError, BusAddress, Exit, Firmware1Proxy, Verdict, attributes_to_bus,
    server_to_bus,
};
use lwm2m_model::{Attributes, Path};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::bus::{connect, next};
use crate::cli::{self, Cli, Command, FirmwareAction};
use crate::confirmation;
use crate::error::CtlError;
use crate::follow::follow;
use crate::screen::Screen;
use crate::show::text::Colour;
use crate::show::{self, conversation, findings, firmware, objects, status, values};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Readable,
    Json,
}

/// Where results go, and how.
pub(crate) struct Output {
    to: Box<dyn Write>,
    style: Style,
    colour: Colour,
    screen: Screen,
}

impl Output {
    pub(crate) fn new(to: Box<dyn Write>, style: Style, colour: Colour, screen: Screen) -> Self {
        Self { to, style, colour, screen }
    }

    /// Prints one result; each is flushed, for the sake of pipes.
    pub(crate) fn put(
        &mut self,
        readable: impl FnOnce(Colour) -> String,
        json: impl FnOnce() -> serde_json::Value,
    ) -> io::Result<()> {
        match self.style {
            Style::Readable => self.to.write_all(readable(self.colour).as_bytes())?,
            Style::Json => writeln!(self.to, "{}", json())?,
        }
        self.to.flush()
    }

    /// How far something is: `bar`, made for a width, in place of the one before on a
    /// terminal; else `line`, unless it is the one before.
    pub(crate) fn put_progress(
        &mut self,
        bar: impl FnOnce(usize) -> String,
        line: String,
        json: impl FnOnce() -> serde_json::Value,
    ) -> io::Result<()> {
        let drawn = match self.style {
            Style::Readable => self.screen.draw(bar, line),
            Style::Json => format!("{}\n", json()),
        };
        self.to.write_all(drawn.as_bytes())?;
        self.to.flush()
    }

    /// Ends what [`Output::put_progress`] has drawn, so that something else can follow.
    pub(crate) fn end_progress(&mut self) -> io::Result<()> {
        self.to.write_all(self.screen.end().as_bytes())?;
        self.to.flush()
    }

    /// Confirms to a person that something is done; a program has the exit code.
    fn confirm(&mut self, message: &str) -> io::Result<()> {
        self.put(|_| format!("{message}\n"), || json!({"done": true}))
    }
}

/// Runs the command of `cli`.
pub(crate) async fn run(cli: &Cli, output: &mut Output) -> Result<(), CtlError> {
    // Judged before the bus is asked: wrong usage is wrong without a daemon too.
    let attributes = match &cli.command {
        Command::Observe { attributes, .. } => {
            cli::attributes(attributes).map_err(CtlError::Usage)?
        }
        _ => Attributes::default(),
    };
    if let Command::FactoryReset { yes: false } = &cli.command {
        confirmation::ask("Forget what servers have written, and register anew as configured?")?;
    }
    if let Command::Doctor = &cli.command {
        return doctor(&cli.bus, output).await;
    }
    let agent = connect(&cli.bus).await?;
    let call = |error| CtlError::from_call(error, &cli.bus);
    match &cli.command {
        // Done above, since it has something to say without a daemon too.
        Command::Doctor => {}
        Command::Status => {
            let agent_status = agent.status().await.map_err(call)?;
            let servers = agent.servers().await.map_err(call)?;
            output.put(
                |colour| status::readable(&agent_status, &servers, colour),
                || status::json(&agent_status, &servers),
            )?;
        }
        Command::Servers => {
            let servers = agent.servers().await.map_err(call)?;
            output.put(
                |colour| status::table(&servers, colour),
                || servers.iter().map(status::server_json).collect(),
            )?;
        }
        Command::Objects => {
            let list = agent.objects().await.map_err(call)?;
            output.put(|_| objects::table(&list), || objects::json(&list))?;
        }
        Command::Read { paths } => {
            let mut list = Vec::new();
            for path in paths {
                list.extend(agent.read(&path.to_string()).await.map_err(call)?);
            }
            output.put(|_| values::table(&list), || values::json(&list))?;
        }
        Command::Firmware { follow: goes_on, action } => {
            let bus = agent.inner().connection();
            let update = Firmware1Proxy::new(bus).await.map_err(|error| call(error.into()))?;
            match action {
                None if *goes_on => follow(&update, output).await.map_err(|e| e.on(cli))?,
                None => {
                    let status = update.status().await.map_err(call)?;
                    output.put(
                        |colour| firmware::readable(&status, colour),
                        || firmware::json(&status),
                    )?;
                }
                Some(FirmwareAction::Accept) => {
                    update.accept().await.map_err(call)?;
                    output.confirm("the update begins; lwm2mctl firmware --follow shows it")?;
                }
            }
        }
        Command::Write { path, value } => {
            agent.write_text(&path.to_string(), value).await.map_err(call)?;
            output.confirm(&format!("{path} is written"))?;
        }
        Command::Exec { path, arguments } => {
            agent.execute(&path.to_string(), arguments).await.map_err(call)?;
            output.confirm(&format!("{path} is executed"))?;
        }
        Command::Create { path, values } => {
            let values: Vec<(&str, &str)> =
                values.iter().map(|(resource, text)| (resource.as_str(), text.as_str())).collect();
            let made = agent.create(&path.to_string(), &values).await.map_err(call)?;
            output.put(|_| format!("{made} is created\n"), || json!({"created": made}))?;
        }
        Command::Delete { path } => {
            agent.delete(&path.to_string()).await.map_err(call)?;
            output.confirm(&format!("{path} is deleted"))?;
        }
        Command::Discover { path } => {
            let paths = agent.discover(&path.to_string()).await.map_err(call)?;
            output.put(|_| objects::paths(&paths), || json!(paths))?;
        }
        Command::Update { server } => {
            agent.update(server_to_bus(*server)).await.map_err(call)?;
            output.confirm("the Update is on its way; lwm2mctl status shows the result")?;
        }
        Command::FactoryReset { .. } => {
            agent.factory_reset().await.map_err(call)?;
            output.confirm(
                "what servers had written is removed; the device registers as configured",
            )?;
        }
        Command::Observe { path, count, .. } => {
            observe(&agent, path, &attributes, *count, output).await.map_err(|e| e.on(cli))?;
        }
        Command::Monitor { bytes, count } => {
            let bytes = if *bytes { show::Bytes::Shown } else { show::Bytes::Counted };
            monitor(&agent, bytes, *count, output).await.map_err(|e| e.on(cli))?;
        }
    }
    Ok(())
}

/// Prints what keeps the device from its servers; without a daemon, what can be seen
/// without one.
async fn doctor(bus: &BusAddress, output: &mut Output) -> Result<(), CtlError> {
    let found = match connect(bus).await {
        Ok(agent) => agent.diagnose().await.map_err(|error| CtlError::from_call(error, bus)),
        Err(error) => Err(error),
    };
    let (found, exit) = match found {
        Ok(found) => {
            let has_failed = found.iter().any(|it| it.verdict() == Verdict::Failed);
            (found, if has_failed { Exit::Failed } else { Exit::Done })
        }
        Err(error) if error.exit() == Exit::Unreachable => {
            (findings::without_daemon(&error), Exit::Unreachable)
        }
        Err(error) => return Err(error),
    };
    output.put(|colour| findings::readable(&found, colour), || findings::json(&found))?;
    if exit == Exit::Done { Ok(()) } else { Err(CtlError::Told(exit)) }
}

/// Prints notifications until Ctrl-C, `count`, or the daemon leaves.
async fn observe(
    agent: &Agent1Proxy<'_>,
    path: &Path,
    attributes: &Attributes,
    count: Option<u64>,
    output: &mut Output,
) -> Result<(), StreamError> {
    // Before the call: the first notification may come before its answer, and
    // Ctrl-C before the first notification.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut notifications = agent.receive_notified().await?;
    let mut owner = agent.inner().receive_owner_changed().await?;
    let id = agent.observe(&path.to_string(), attributes_to_bus(attributes)).await?;
    let mut left = count;
    while left != Some(0) {
        tokio::select! {
            signal = next(&mut notifications) => {
                let signal = signal.ok_or(StreamError::DaemonLeft)?;
                let arguments = signal.args()?;
                if arguments.id != id {
                    continue;
                }
                let list = &arguments.values;
                output.put(|_| values::notification(list), || json!({
                    "id": id,
                    "values": values::json(list),
                }))?;
                left = left.map(|left| left - 1);
            }
            change = next(&mut owner) => match change {
                Some(Some(_)) => {}
                Some(None) | None => return Err(StreamError::DaemonLeft),
            },
            _ = interrupt.recv() => break,
        }
    }
    agent.cancel(id).await?;
    Ok(())
}

/// Prints the conversation until Ctrl-C, `count`, or the daemon leaves.
async fn monitor(
    agent: &Agent1Proxy<'_>,
    bytes: show::Bytes,
    count: Option<u64>,
    output: &mut Output,
) -> Result<(), StreamError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut messages = agent.receive_message().await?;
    let mut owner = agent.inner().receive_owner_changed().await?;
    agent.monitor(true).await?;
    let mut left = count;
    while left != Some(0) {
        tokio::select! {
            signal = next(&mut messages) => {
                let signal = signal.ok_or(StreamError::DaemonLeft)?;
                let record = signal.args()?.record;
                output.put(
                    |_| conversation::readable(&record, bytes),
                    || conversation::json(&record),
                )?;
                left = left.map(|left| left - 1);
            }
            change = next(&mut owner) => match change {
                Some(Some(_)) => {}
                Some(None) | None => return Err(StreamError::DaemonLeft),
            },
            _ = interrupt.recv() => break,
        }
    }
    agent.monitor(false).await?;
    Ok(())
}

/// What can end a stream.
pub(crate) enum StreamError {
    Agent(AgentError),
    Output(io::Error),
    DaemonLeft,
}

impl StreamError {
    fn on(self, cli: &Cli) -> CtlError {
        match self {
            Self::Agent(error) => CtlError::from_call(error, &cli.bus),
            Self::Output(error) => CtlError::Output(error),
            Self::DaemonLeft => CtlError::DaemonLeft,
        }
    }
}

impl From<AgentError> for StreamError {
    fn from(error: AgentError) -> Self {
        Self::Agent(error)
    }
}

impl From<zbus::Error> for StreamError {
    fn from(error: zbus::Error) -> Self {
        Self::Agent(AgentError::ZBus(error))
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
