//! The agent as a process: its configuration in a directory of its own, its log kept.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

use crate::{Namespace, PeerError, program};

/// A configuration with one account, number 101.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    general: Map<String, Json>,
    account: Map<String, Json>,
    bus: String,
    root: Option<PathBuf>,
    objects: Vec<PathBuf>,
    instances: u16,
    namespace: Option<Namespace>,
}

/// A running agent; dropped, it is stopped with SIGTERM.
///
/// When a test fails that holds one, the log is printed.
pub struct Agent {
    child: Child,
    log: Arc<Log>,
    /// Configuration and state; removed after the process.
    _directory: TempDir,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    arrived: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    is_closed: bool,
}

impl AgentConfig {
    /// An account without security at a server that listens at `server`.
    pub fn nosec(endpoint: &str, server: SocketAddr) -> Self {
        Self::new(endpoint, &format!("coap://{server}"), json!({ "mode": "nosec" }))
    }

    /// An account with a pre-shared key.
    pub fn psk(endpoint: &str, server: SocketAddr, identity: &str, key: &[u8]) -> Self {
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let security = json!({ "mode": "psk", "identity": identity, "key": { "hex": digits } });
        Self::new(endpoint, &format!("coaps://{server}"), security)
    }

    fn new(endpoint: &str, uri: &str, security: Json) -> Self {
        let object = |json: Json| match json {
            Json::Object(map) => map,
            other => unreachable!("written as an object: {other}"),
        };
        Self {
            general: object(json!({ "endpoint": endpoint })),
            account: object(json!({ "short_server_id": 101, "uri": uri, "security": security })),
            bus: "none".to_owned(),
            root: None,
            objects: Vec::new(),
            instances: 1,
            namespace: None,
        }
    }

    /// Sets a key of the account, such as `lifetime`.
    #[must_use]
    pub fn account(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.account.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of the whole configuration, such as `deregister_on_stop`.
    #[must_use]
    pub fn general(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.general.insert(key.to_owned(), value.into());
        self
    }

    /// Lets the agent speak D-Bus at this address; by default it has no bus.
    #[must_use]
    pub fn bus(mut self, address: &str) -> Self {
        address.clone_into(&mut self.bus);
        self
    }

    /// Lets the agent look for `proc`, `sys`, `etc` and `usr` below this directory.
    #[must_use]
    pub fn root(mut self, directory: &Path) -> Self {
        self.root = Some(directory.to_owned());
        self
    }

    /// Adds an object by its definition in the XML of the OMA registry, with instance 0
    /// or as many as [`AgentConfig::instances`] says.
    #[must_use]
    pub fn object(mut self, definition: &Path) -> Self {
        self.objects.push(definition.to_owned());
        self
    }

    /// How many instances the added objects have, numbered from 0.
    #[must_use]
    pub fn instances(mut self, count: u16) -> Self {
        self.instances = count;
        self
    }

    /// Runs the agent in a network of its own.
    #[must_use]
    pub fn namespace(mut self, namespace: &Namespace) -> Self {
        self.namespace = Some(namespace.clone());
        self
    }

    /// Builds the agent if it is not built, and starts it.
    ///
    /// # Errors
    /// [`PeerError::Setup`] with the output of cargo, or what starting a process can give.
    pub fn start(&self) -> Result<Agent, PeerError> {
        let directory =
            TempDir::new().map_err(|e| PeerError::system("make a temporary directory", e))?;
        let file = directory.path().join("lwm2md.yaml");
        let mut configuration = self.general.clone();
        configuration.insert("servers".to_owned(), json!([self.account]));
        // YAML takes JSON as it is.
        fs::write(&file, Json::Object(configuration).to_string())
            .map_err(|e| PeerError::system(file.display().to_string(), e))?;
        // The daemon itself takes neither.
        let is_plain = self.root.is_none() && self.objects.is_empty();
        let program = if is_plain { lwm2md()? } else { test_device()? };
        let mut command = Namespace::command(self.namespace.as_ref(), program);
        command.args(self.objects.iter().flat_map(|file| ["--object".as_ref(), file.as_os_str()]));
        if !self.objects.is_empty() {
            command.arg("--instances").arg(self.instances.to_string());
        }
        command.args(self.root.iter().flat_map(|root| ["--root".as_ref(), root.as_os_str()]));
        command.arg("--config").arg(&file);
        command.arg("--state-dir").arg(directory.path().join("state"));
        command.args(["--bus", &self.bus, "--log", "stderr", "--log-level", "debug"]);
        for variable in SYSTEMD_VARIABLES {
            command.env_remove(variable);
        }
        Agent::start(&mut command, directory)
    }
}

impl Agent {
    fn start(command: &mut Command, directory: TempDir) -> Result<Self, PeerError> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| PeerError::system(format!("start {command:?}"), e))?;
        let log = Arc::new(Log::default());
        if let Some(pipe) = child.stderr.take() {
            let reader = Arc::clone(&log);
            // Ends with the child, whose death closes the pipe.
            thread::spawn(move || reader.fill(pipe));
        }
        Ok(Self { child, log, _directory: directory })
    }

    /// Waits until a line of the log holds `text`; at once if one does.
    ///
    /// # Errors
    /// [`PeerError::Silent`] after `limit`, or when the agent has ended.
    pub fn wait_log(&self, text: &str, limit: Duration) -> Result<String, PeerError> {
        self.wait_log_from(0, text, limit).map(|(_, line)| line)
    }

    /// As [`Agent::wait_log`], in lines from number `first` on; gives the number of
    /// the line after the one found.
    ///
    /// # Errors
    /// As [`Agent::wait_log`].
    pub fn wait_log_from(
        &self,
        first: usize,
        text: &str,
        limit: Duration,
    ) -> Result<(usize, String), PeerError> {
        let end = Instant::now() + limit;
        let mut lines = self.log.lock();
        loop {
            let mut found = lines.all.iter().enumerate().skip(first);
            if let Some((place, line)) = found.find(|(_, line)| line.contains(text)) {
                return Ok((place + 1, line.clone()));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.is_closed {
                return Err(PeerError::Silent { peer: "the agent", waited: limit });
            }
            let waited = self.log.arrived.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The lines of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().all.clone()
    }

    /// Stops the agent with SIGTERM and waits for its end, 20 s at most as systemd does.
    ///
    /// # Errors
    /// [`PeerError::Silent`] if it does not end; it is killed then.
    pub fn stop(mut self) -> Result<ExitStatus, PeerError> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<ExitStatus, PeerError> {
        let status = program::terminate(&mut self.child, STOP_LIMIT)
            .map_err(|e| PeerError::system("wait for the agent", e))?;
        status.ok_or(PeerError::Silent { peer: "the agent", waited: STOP_LIMIT })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A test that cares asks with `stop`; an ended process is not signalled again.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.terminate();
        }
        if thread::panicking() {
            eprintln!("log of the agent:\n{}", self.log().join("\n"));
        }
    }
}

impl Log {
    fn fill(&self, pipe: impl Read) {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            self.lock().all.push(line);
            self.arrived.notify_all();
        }
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// A test that panicked elsewhere leaves the lines whole: each change is one push.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program, built once in each test process; cargo's own lock and cache do the rest.
type Built = OnceLock<Result<PathBuf, String>>;

fn lwm2md() -> Result<PathBuf, PeerError> {
    static BUILT: Built = OnceLock::new();
    binary("lwm2md", &BUILT)
}

/// The daemon with what tests add to it.
fn test_device() -> Result<PathBuf, PeerError> {
    static BUILT: Built = OnceLock::new();
    binary("lwm2m-test-device", &BUILT)
}

fn binary(package: &str, built: &Built) -> Result<PathBuf, PeerError> {
    let built = built.get_or_init(|| build(package).map_err(|error| error.to_string()));
    built.clone().map_err(|output| PeerError::Setup { program: "cargo build".to_owned(), output })
}

/// Tests are in PROFILE/deps of a target directory; the agent is built in the same one
/// with the same profile.
fn build(package: &str) -> Result<PathBuf, PeerError> {
    let test = std::env::current_exe().map_err(|e| PeerError::system("find this program", e))?;
    let directory = test.ancestors().nth(2).unwrap_or(&test);
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    let target = directory.parent().unwrap_or(directory);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--profile", profile]);
    command.arg("--manifest-path").arg(crate::setup::source_directory().join("Cargo.toml"));
    command.arg("--target-dir").arg(target);
    let output = program::run(&mut command, BUILD_LIMIT)?;
    if output.status.is_some_and(|status| status.success()) {
        return Ok(directory.join(package));
    }
    Err(PeerError::Setup { program: "cargo build".to_owned(), output: output.stderr })
}

/// What systemd tells a service, and a test that happens to run in one must not pass on.
const SYSTEMD_VARIABLES: [&str; 7] = [
    "CREDENTIALS_DIRECTORY",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "JOURNAL_STREAM",
];
/// From nothing, on a slow machine.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// `TimeoutStopSec` of the service.
const STOP_LIMIT: Duration = Duration::from_secs(20);
