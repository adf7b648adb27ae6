//! Runs commands against one device and remembers what came of them.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::{ContentFormat, DataType, Entry, Path, Value, Version, WriteMode};

use super::command::{COMMANDS, Command, Condition, nearest};
use super::show;
use crate::{CancelBy, Error, Events, Notification, Observation, Response, Server, ServerEvent};

/// A person, or a script, at the prompt of a server.
#[derive(Debug)]
pub struct Session {
    server: Server,
    endpoint: Option<String>,
    events: Events,
    /// What happened since the last request, and was not waited for yet.
    recent: VecDeque<ServerEvent>,
    observations: BTreeMap<Path, Observation>,
    outcome: Option<Outcome>,
}

/// What came of the last command.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The device answered.
    Response(Box<Response>),
    /// It did not, or the request could not be sent.
    Failed(Error),
}

/// Whether the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next command, please.
    Continue,
    /// `quit` was said.
    Quit,
}

impl Session {
    /// A session at a running server.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn new(server: Server) -> Result<Self, Error> {
        let events = server.events()?;
        Ok(Self {
            server,
            endpoint: None,
            events,
            recent: VecDeque::new(),
            observations: BTreeMap::new(),
            outcome: None,
        })
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What came of the last command, if it was one that can fail.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Forgets what came of the last command and what happened since. A program
    /// calls it before it runs a command of its own.
    pub fn begin(&mut self) {
        self.outcome = None;
        self.recent.clear();
        while self.events.try_next().is_some() {}
    }

    /// Takes over what came of the last command of another session at the same
    /// server, and its observations.
    pub fn absorb(&mut self, other: Self) {
        self.outcome = other.outcome;
        self.observations.extend(other.observations);
    }

    /// Runs a command and writes what came of it. A request that fails is written
    /// too, and found in [`Session::outcome`].
    ///
    /// # Errors
    /// What writing gave.
    pub async fn run(&mut self, command: &Command, out: &mut impl Write) -> io::Result<Flow> {
        // A command that waits may wait for what has happened already.
        if !matches!(command, Command::Wait { .. }) {
            self.begin();
        }
        match command {
            Command::Quit => return Ok(Flow::Quit),
            Command::Help { about } => out.write_all(help(about.as_deref()).as_bytes())?,
            Command::Devices => {
                let devices = self.devices().await;
                self.note_failure(devices, out)?;
            }
            Command::Use { endpoint } => {
                let chosen = self.server.registration(endpoint).await;
                let text = chosen.map(|known| show::registration(&known));
                if self.note_failure(text, out)? {
                    self.endpoint = Some(endpoint.clone());
                }
            }
            Command::Blocks { size } => {
                let set = self.server.set_block_size(*size).await;
                self.note_failure(set.map(|()| String::new()), out)?;
            }
            Command::Wait { condition, within } => {
                let waited = self.wait(condition, within.unwrap_or(PATIENCE)).await;
                let text =
                    waited.map(|came| came.map(|n| show::notification(&n)).unwrap_or_default());
                self.note_failure(text, out)?;
            }
            Command::Read { .. }
            | Command::Discover { .. }
            | Command::Write { .. }
            | Command::WriteAttributes { .. }
            | Command::Execute { .. }
            | Command::Observe { .. }
            | Command::Cancel { .. }
            | Command::Create { .. }
            | Command::Delete { .. }
            | Command::Push { .. } => {
                let outcome = self.request(command).await;
                self.note(outcome, out)?;
            }
        }
        Ok(Flow::Continue)
    }

    /// Waits until something is so; the notification, if it was one. Cancel safe.
    ///
    /// # Errors
    /// [`Error::NotInTime`], [`Error::NotObserved`], [`Error::ObservationEnded`],
    /// [`Error::Stopped`].
    pub async fn wait(
        &mut self,
        condition: &Condition,
        within: Duration,
    ) -> Result<Option<Notification>, Error> {
        if let Condition::Notification(path) = condition {
            let observation = self.observations.get_mut(path);
            let observation = observation.ok_or_else(|| Error::NotObserved(path.clone()))?;
            return observation.next_within(within).await.map(Some);
        }
        let what = match condition {
            Condition::Registered => "a registration",
            Condition::Deregistered => "the end of the registration",
            Condition::Updated => "an Update",
            Condition::Asleep => "sleep",
            Condition::Awake => "waking",
            Condition::Notification(_) => "a notification",
        };
        let what = what.to_owned();
        match tokio::time::timeout(within, self.until(condition)).await {
            Ok(result) => result.map(|()| None),
            Err(_) => Err(Error::NotInTime { what, within }),
        }
    }

    async fn until(&mut self, condition: &Condition) -> Result<(), Error> {
        loop {
            if self.holds(condition).await? {
                return Ok(());
            }
            let event = self.events.next().await?;
            self.keep(event);
        }
    }

    async fn holds(&mut self, condition: &Condition) -> Result<bool, Error> {
        while let Some(event) = self.events.try_next() {
            self.keep(event);
        }
        let all = self.server.registrations().await?;
        let ours = all.iter().find(|known| {
            self.endpoint.as_ref().is_none_or(|endpoint| *endpoint == known.endpoint)
        });
        Ok(match condition {
            Condition::Registered => ours.is_some(),
            Condition::Deregistered => ours.is_none(),
            Condition::Asleep => ours.is_some_and(|known| !known.awake),
            Condition::Awake => ours.is_some_and(|known| known.awake),
            Condition::Updated => self.take_update(),
            Condition::Notification(_) => false,
        })
    }

    /// Takes an Update out of what happened, so that the next wait needs a new one.
    fn take_update(&mut self) -> bool {
        let ours = |endpoint: &String| self.endpoint.as_ref().is_none_or(|known| known == endpoint);
        let place = self.recent.iter().position(
            |event| matches!(event, ServerEvent::Updated { endpoint, .. } if ours(endpoint)),
        );
        place.and_then(|place| self.recent.remove(place)).is_some()
    }

    fn keep(&mut self, event: ServerEvent) {
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
    }

    async fn devices(&self) -> Result<String, Error> {
        let all = self.server.registrations().await?;
        if all.is_empty() {
            return Err(Error::NoDevice);
        }
        Ok(all.iter().map(show::registration).collect())
    }

    /// The device that requests go to: the chosen one, or the only one.
    async fn device(&self) -> Result<String, Error> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        let mut endpoints: Vec<String> =
            self.server.registrations().await?.into_iter().map(|known| known.endpoint).collect();
        match (endpoints.pop(), endpoints.is_empty()) {
            (None, _) => Err(Error::NoDevice),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                endpoints.push(last);
                Err(Error::SeveralDevices(endpoints))
            }
        }
    }

    /// Sends a request; `None` if there is no answer to wait for.
    async fn request(&mut self, command: &Command) -> Result<Option<Response>, Error> {
        let device = self.device().await?;
        let server = self.server.clone();
        match command {
            Command::Read { path, format } => answer(server.read(&device, path, *format)).await,
            Command::Discover { path, depth } => {
                answer(server.discover(&device, path, *depth)).await
            }
            Command::Write { path, mode, format, entries } => {
                let format = self.format(&device, path, *format, entries).await?;
                answer(server.write(&device, path, *mode, format, entries)).await
            }
            Command::WriteAttributes { path, query } => {
                let query: Vec<&str> = query.iter().map(String::as_str).collect();
                answer(server.write_attributes(&device, path, &query)).await
            }
            Command::Execute { path, arguments } => {
                answer(server.execute(&device, path, arguments.as_deref())).await
            }
            Command::Observe { path, query, format } => {
                let query: Vec<&str> = query.iter().map(String::as_str).collect();
                self.observe(&device, path, &query, *format).await.map(Some)
            }
            Command::Cancel { path, by } => self.cancel(path, *by).await,
            Command::Create { path, format, entries } => {
                let object = path.truncated(1);
                if *path == object {
                    return answer(server.create_unnamed(&device, path, entries)).await;
                }
                let format = self.format(&device, &object, *format, entries).await?;
                answer(server.create(&device, &object, format, entries)).await
            }
            Command::Delete { path } => answer(server.delete(&device, path)).await,
            Command::Push { file } => {
                let bytes = std::fs::read(file)
                    .map_err(|cause| Error::File { path: file.clone(), cause: Arc::new(cause) })?;
                let path = Path::resource(5, 0, 0);
                let package = [Entry::new(path.clone(), Value::Opaque(bytes))];
                let (mode, format) = (WriteMode::Replace, ContentFormat::OPAQUE);
                answer(server.write(&device, &path, mode, format, &package)).await
            }
            Command::Devices
            | Command::Use { .. }
            | Command::Blocks { .. }
            | Command::Wait { .. }
            | Command::Help { .. }
            | Command::Quit => Ok(None),
        }
    }

    async fn observe(
        &mut self,
        device: &str,
        path: &Path,
        query: &[&str],
        format: Option<ContentFormat>,
    ) -> Result<Response, Error> {
        match self.server.observe(device, path, query, format).await {
            Ok(observation) => {
                let first = observation.first.clone();
                // A second observation of a path takes the place of the first, which
                // would go on unseen.
                if let Some(old) = self.observations.insert(path.clone(), observation) {
                    self.server.cancel(&old, CancelBy::Reset).await?;
                }
                Ok(first)
            }
            Err(Error::NoObservation(response)) if !response.code.is_success() => Ok(*response),
            Err(error) => Err(error),
        }
    }

    async fn cancel(&mut self, path: &Path, by: CancelBy) -> Result<Option<Response>, Error> {
        let observation = self.observations.get(path);
        let observation = observation.ok_or_else(|| Error::NotObserved(path.clone()))?;
        let response = self.server.cancel(observation, by).await?;
        self.observations.remove(path);
        Ok(response)
    }

    /// The format of a payload: as asked for, or plain for one value, or the best
    /// that the device announced or must know (Core 10.2).
    async fn format(
        &self,
        device: &str,
        path: &Path,
        wanted: Option<ContentFormat>,
        entries: &[Entry],
    ) -> Result<ContentFormat, Error> {
        if let Some(format) = wanted {
            return Ok(format);
        }
        if let [entry] = entries
            && entry.path == *path
        {
            let opaque = entry.value().is_some_and(|v| v.data_type() == DataType::Opaque);
            return Ok(if opaque { ContentFormat::OPAQUE } else { ContentFormat::TEXT });
        }
        let known = self.server.registration(device).await?;
        let announced = PREFERRED.into_iter().find(|format| known.formats.contains(format));
        let by_version = || match known.version {
            Version::V1_0 => ContentFormat::TLV,
            _ => ContentFormat::SENML_CBOR,
        };
        Ok(announced.unwrap_or_else(by_version))
    }

    fn note(
        &mut self,
        outcome: Result<Option<Response>, Error>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let response = match outcome {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(()),
            Err(error) => return self.note_failure(Err(error), out).map(|_| ()),
        };
        out.write_all(show::response(&response).as_bytes())?;
        self.outcome = Some(Outcome::Response(Box::new(response)));
        Ok(())
    }

    /// Writes text or failure; true if it was text.
    fn note_failure(
        &mut self,
        text: Result<String, Error>,
        out: &mut impl Write,
    ) -> io::Result<bool> {
        match text {
            Ok(text) => {
                out.write_all(text.as_bytes())?;
                Ok(true)
            }
            Err(error) => {
                writeln!(out, "{error}")?;
                self.outcome = Some(Outcome::Failed(error));
                Ok(false)
            }
        }
    }
}

async fn answer(
    request: impl Future<Output = Result<Response, Error>>,
) -> Result<Option<Response>, Error> {
    request.await.map(Some)
}

fn help(about: Option<&str>) -> String {
    let width = COMMANDS.iter().map(|known| known.line.len()).filter(|width| *width < 60).max();
    let width = width.unwrap_or(0);
    let line = |known: &super::Usage| format!("  {:width$}  {}\n", known.line, known.about);
    match about {
        None => COMMANDS.iter().map(line).collect(),
        Some(name) => match COMMANDS.iter().find(|known| known.name == name) {
            Some(known) => line(known),
            None => match nearest(name, COMMANDS.iter().map(|known| known.name)) {
                Some(near) => format!("no command \"{name}\", did you mean {near}?\n"),
                None => format!("no command \"{name}\"\n"),
            },
        },
    }
}

/// Formats of several values, the one to use first.
const PREFERRED: [ContentFormat; 4] = [
    ContentFormat::SENML_CBOR,
    ContentFormat::LWM2M_CBOR,
    ContentFormat::SENML_JSON,
    ContentFormat::TLV,
];
/// How long a wait lasts that says nothing of it.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Events kept for a wait; beyond, the oldest is forgotten.
const MAX_RECENT: usize = 256;
