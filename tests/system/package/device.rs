//! A running container as the device, and the server outside.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_system_tests::Container;
use lwm2m_test_server::{Observation, Registration, Response, Server, ServerConfig};

pub(crate) struct Device {
    container: Arc<Container>,
    server: Server,
}

impl Device {
    /// Boots `base`, a Debian without the agent. What it prints goes to `console`.
    pub(crate) async fn start(base: &FilePath, console: &FilePath) -> Result<Self> {
        let config = ServerConfig {
            coap: None,
            coaps: Some(([127, 0, 0, 1], 0).into()),
            psk: vec![(ENDPOINT.into(), KEY.into())],
            strict_identity: true,
            ..ServerConfig::default()
        };
        let mut container = Container::unpack(base)?;
        container.boot(console)?;
        let server = Server::start(config).await?;
        Ok(Self { container: Arc::new(container), server })
    }

    /// The configuration as an operator writes it, with this lifetime.
    pub(crate) fn configuration(&self, lifetime: u32) -> Result<String> {
        let port = self.server.coaps_addr().context("no port")?.port();
        Ok(format!(
            "endpoint: {ENDPOINT}\nservers:\n  - short_server_id: 101\n    \
             uri: coaps://127.0.0.1:{port}\n    lifetime: {lifetime}\n    security:\n      \
             mode: psk\n      identity: {ENDPOINT}\n      key: {{file: /etc/lwm2md/psk}}\n"
        ))
    }

    /// Puts the key of the configuration where the installed agent may read it.
    pub(crate) async fn write_key(&self) -> Result<()> {
        let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write("/root/psk", &digits)?;
        self.run("install -m 600 -o lwm2md /root/psk /etc/lwm2md/psk").await?;
        Ok(())
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        Ok(self.container.write(path, text)?)
    }

    /// Copies a file to a place in the home of its root.
    pub(crate) fn copy(&self, file: &FilePath, name: &str) -> Result<()> {
        let place = self.container.root().join("root").join(name);
        std::fs::copy(file, &place).with_context(|| file.display().to_string())?;
        Ok(())
    }

    /// Exit code and both outputs of a shell command of root.
    pub(crate) async fn status(&self, command: &str) -> Result<(i32, String)> {
        let (container, line) = (Arc::clone(&self.container), command.to_owned());
        // The server runs in this thread.
        let run = move || container.run(&["sh", "-c", &line]);
        let output = tokio::task::spawn_blocking(run).await??;
        let code = output.status.with_context(|| format!("{command}: no end"))?.code();
        Ok((code.unwrap_or(-1), (output.stdout + &output.stderr).trim().to_owned()))
    }

    /// What a shell command of root prints; an error if it fails.
    pub(crate) async fn run(&self, command: &str) -> Result<String> {
        match self.status(command).await? {
            (0, output) => Ok(output),
            (code, output) => bail!("{command}: exit code {code}: {output}"),
        }
    }

    /// Waits for another boot than this one; its boot id.
    pub(crate) async fn booted(&self, before: &str) -> Result<()> {
        let (container, before) = (Arc::clone(&self.container), before.to_owned());
        let wait = move || container.booted(Some(&before)).map(drop);
        Ok(tokio::task::spawn_blocking(wait).await??)
    }

    /// The registration now; `None` before the first.
    pub(crate) async fn registration(&self) -> Option<Registration> {
        self.server.registration(ENDPOINT).await.ok()
    }

    /// Waits for a Register or an Update after `before`.
    pub(crate) async fn registers(&self, before: Option<Registration>) -> Result<Registration> {
        let stamp = |found: &Registration| (found.registered_at, found.updates);
        let known = before.as_ref().map(stamp);
        let is_next =
            |found: &Registration| found.endpoint == ENDPOINT && Some(stamp(found)) != known;
        match self.server.wait_for(is_next, "a Register or Update".into(), LIMIT).await {
            Ok(registration) => Ok(registration),
            Err(error) => {
                let log = self.run("journalctl --no-pager -u lwm2md -n 20").await?;
                bail!("{error}; its log:\n{log}")
            }
        }
    }

    /// What the server reads at a path.
    pub(crate) async fn read(&self, path: &Path) -> Result<Value> {
        let read = self.server.read(ENDPOINT, path, None).await?;
        read.value(path).cloned().with_context(|| format!("{path}: {:?}", read.code))
    }

    /// A value of the Device object, as the server reads it.
    pub(crate) async fn value(&self, id: u16) -> Result<Value> {
        self.read(&Path::resource(3, 0, id)).await
    }

    /// What the device answers to a Write of a resource.
    pub(crate) async fn answer(&self, path: &Path, value: Value) -> Result<Response> {
        let format = match &value {
            Value::Opaque(_) => ContentFormat::OPAQUE,
            _ => ContentFormat::TEXT,
        };
        let entry = [Entry::new(path.clone(), value)];
        Ok(self.server.write(ENDPOINT, path, WriteMode::Replace, format, &entry).await?)
    }

    /// Writes a resource.
    pub(crate) async fn set(&self, path: &Path, value: Value) -> Result<()> {
        let code = self.answer(path, value).await?.code;
        ensure!(code == Code::CHANGED, "write {path}: {code:?}");
        Ok(())
    }

    /// Writes some of an instance, or of a resource.
    pub(crate) async fn set_some(&self, path: &Path, values: &[(Path, Value)]) -> Result<Response> {
        let entry = |(path, value): &(Path, Value)| Entry::new(path.clone(), value.clone());
        let entries: Vec<Entry> = values.iter().map(entry).collect();
        let (mode, format) = (WriteMode::Partial, ContentFormat::TLV);
        Ok(self.server.write(ENDPOINT, path, mode, format, &entries).await?)
    }

    /// Makes an instance of an object.
    pub(crate) async fn create(&self, instance: &Path, values: &[(Path, Value)]) -> Result<()> {
        let entry = |(path, value): &(Path, Value)| Entry::new(path.clone(), value.clone());
        let entries: Vec<Entry> = values.iter().map(entry).collect();
        let object = Path::object(instance.object_id().context("no object")?);
        let made = self.server.create(ENDPOINT, &object, ContentFormat::TLV, &entries).await?;
        ensure!(made.code == Code::CREATED, "create {instance}: {:?}", made.code);
        Ok(())
    }

    pub(crate) async fn set_text(&self, id: u16, text: &str) -> Result<()> {
        self.set(&Path::resource(3, 0, id), Value::String(text.to_owned())).await
    }

    /// Writes a value of the Device object that is to be refused; the last line of the log.
    pub(crate) async fn refused_text(&self, id: u16, text: &str) -> Result<String> {
        self.refused(&Path::resource(3, 0, id), Value::String(text.to_owned())).await
    }

    /// Writes a value that is to be refused; the last line of the log.
    pub(crate) async fn refused(&self, path: &Path, value: Value) -> Result<String> {
        let answer = self.answer(path, value).await?;
        ensure!(answer.code == Code::METHOD_NOT_ALLOWED, "write {path}: {:?}", answer.code);
        self.run("journalctl --no-pager -u lwm2md -n 1 -o cat").await
    }

    /// Waits until the object list says that an object or instance is there, or is not.
    pub(crate) async fn lists(&self, path: &Path, is_there: bool) -> Result<()> {
        let holds =
            |known: &Registration| known.endpoint == ENDPOINT && known.has(path) == is_there;
        let what = format!("{path} {} the object list", if is_there { "in" } else { "out of" });
        match self.server.wait_for(holds, what, LIMIT).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let log = self.run(LOG).await?;
                bail!("{error}; its log:\n{log}")
            }
        }
    }

    /// Reads a value until it is this one.
    pub(crate) async fn reads(&self, path: &Path, expected: &Value) -> Result<()> {
        let end = Instant::now() + LIMIT;
        loop {
            let told = self.read(path).await;
            match told {
                Ok(told) if told == *expected => return Ok(()),
                told if Instant::now() > end => {
                    let log = self.run(LOG).await?;
                    bail!("{path}: {told:?}, not {expected:?}; its log:\n{log}")
                }
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// What systemd thinks of the running unit, 0 to 10.
    pub(crate) async fn exposure(&self) -> Result<f32> {
        let judged = self.run("systemd-analyze security lwm2md.service --no-pager").await?;
        let overall = judged.lines().find(|line| line.contains("Overall exposure level"));
        let score = overall.and_then(|line| line.rsplit(": ").next()).context("no score")?;
        Ok(score.split(' ').next().unwrap_or_default().parse()?)
    }

    /// The address of its system bus, for this process.
    pub(crate) async fn bus(&self) -> Result<String> {
        let container = Arc::clone(&self.container);
        Ok(tokio::task::spawn_blocking(move || container.bus()).await??)
    }

    /// Observes with these attributes.
    pub(crate) async fn observe(&self, path: &Path, query: &[&str]) -> Result<Observation> {
        Ok(self.server.observe(ENDPOINT, path, query, None).await?)
    }

    pub(crate) async fn execute(&self, id: u16) -> Result<()> {
        self.execute_at(&Path::resource(3, 0, id)).await
    }

    /// Executes a resource without arguments.
    pub(crate) async fn execute_at(&self, path: &Path) -> Result<()> {
        let code = self.server.execute(ENDPOINT, path, None).await?.code;
        ensure!(code == Code::CHANGED, "execute {path}: {code:?}");
        Ok(())
    }
}

pub(crate) const APT: &str = "DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends";
pub(crate) const CONFIGURATION: &str = "/etc/lwm2md/lwm2md.yaml";
/// A command that prints the agent's process.
pub(crate) const MAIN_PROCESS: &str = "systemctl show lwm2md --value -p MainPID";
/// The most that [`Device::exposure`] may be.
pub(crate) const WORST_SCORE: f32 = 1.3;
/// A command that prints what the services have said last.
const LOG: &str = "journalctl --no-pager --lines 40 --output short-monotonic";
const ENDPOINT: &str = "package-device";
const KEY: &[u8; 16] = b"a key of the lab";
const LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
