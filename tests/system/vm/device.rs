//! The device under test and the server outside that it is registered at.

use std::path::Path as FilePath;
use std::time::{Duration, Instant, SystemTime};

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_system_tests::{LabError, Machine, VmLab};
use lwm2m_test_server::{Error, Registration, Server, ServerConfig, Switch, Timings};
use serde_json::json;

use crate::web::Web;

/// A machine and its server, and another with bundles.
pub(crate) struct Device {
    lab: VmLab,
    machine: Machine,
    server: Server,
    pub(crate) web: Web,
}

/// Why a scenario failed, in one line.
#[derive(Debug)]
pub(crate) struct Fault(String);

/// How an update stands, and what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: i64,
    pub(crate) result: i64,
    pub(crate) slot: String,
    pub(crate) version: String,
}

/// What is known of the last boot and the last registration, to tell the next ones.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    /// How often the boot loader has chosen a slot.
    boots: usize,
    /// Where the console was.
    console: usize,
}

impl Device {
    /// A device as it leaves the factory; returns when it is registered.
    pub(crate) async fn start(lab: &VmLab, console: &FilePath) -> Result<Self, Fault> {
        let config = ServerConfig {
            coap: None,
            coaps: Some(([127, 0, 0, 1], 0).into()),
            psk: vec![(ENDPOINT.into(), KEY.into())],
            strict_identity: true,
            timings: Timings { max_retransmit: 3, ..Timings::default() },
            ..ServerConfig::default()
        };
        let server = Server::start(config).await?;
        let port = server.coaps_addr().map_or(0, |address| address.port());
        let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        let account = json!({
            "endpoint": ENDPOINT,
            "servers": [{
                "short_server_id": 101,
                "uri": format!("coaps://{HOST}:{port}"),
                "lifetime": 120,
                "retry": { "count": 5, "timer": 5, "sequence_delay": 15, "sequence_count": 100 },
                "security": { "mode": "psk", "identity": ENDPOINT, "key": { "hex": digits } },
            }],
        });
        // YAML takes JSON as it is.
        let machine = lab.start(&account.to_string(), console).await?;
        machine.booted(None).await?;
        server.wait_registered(ENDPOINT, REGISTER_LIMIT).await?;
        Ok(Self { lab: lab.clone(), machine, server, web: Web::start(lab).await? })
    }

    /// Pushes a bundle; how many bytes.
    pub(crate) async fn push(&self, bundle: &str) -> Result<usize, Fault> {
        let bytes = self.lab.bundle(bundle)?;
        let size = bytes.len();
        let package = [Entry::new(resource(0), Value::Opaque(bytes))];
        let (path, format) = (resource(0), ContentFormat::OPAQUE);
        let written = self.server.write(ENDPOINT, &path, WriteMode::Replace, format, &package);
        changed("the push", written.await?.code)?;
        Ok(size)
    }

    /// Names a bundle to fetch.
    pub(crate) async fn name(&self, bundle: &str) -> Result<(), Fault> {
        if self.numbers().await?.0 == 2 {
            // Of an update before; this takes it away.
            self.write_uri(String::new()).await?;
        }
        self.write_uri(format!("http://{HOST}:{}/{bundle}.raucb", self.web.port())).await
    }

    async fn write_uri(&self, uri: String) -> Result<(), Fault> {
        let uri = [Entry::new(resource(1), Value::String(uri))];
        let (path, format) = (resource(1), ContentFormat::TEXT);
        let written = self.server.write(ENDPOINT, &path, WriteMode::Replace, format, &uri);
        changed("the URI", written.await?.code)
    }

    /// Lets the device fetch a bundle.
    pub(crate) async fn fetch(&self, bundle: &str) -> Result<(), Fault> {
        self.name(bundle).await?;
        self.has_package().await
    }

    /// Waits until a package counts as downloaded.
    pub(crate) async fn has_package(&self) -> Result<(), Fault> {
        let numbers = self.numbers_unless(|(state, _)| state == 1).await?;
        is("State and Result of the package", numbers, (2, 0))
    }

    /// Waits until so many bytes of a package are there.
    pub(crate) async fn has_bytes(&self, least: u64) -> Result<(), Fault> {
        let has_part = async || {
            let size = self.run("stat -c %s /var/lib/lwm2md/firmware/package || :").await?;
            Ok(size.parse().is_ok_and(|size: u64| size > least))
        };
        self.until(RESTART_LIMIT, "a part of the package", has_part).await
    }

    /// Executes Update.
    pub(crate) async fn update(&self) -> Result<(), Fault> {
        let executed = self.server.execute(ENDPOINT, &resource(2), None).await?;
        changed("Update", executed.code)
    }

    /// Lets the server hear and say nothing, or again.
    pub(crate) async fn silence(&self, switch: Switch) -> Result<(), Fault> {
        Ok(self.server.silent(switch).await?)
    }

    pub(crate) fn before(&self) -> Result<Before, Fault> {
        let console = self.machine.console()?;
        Ok(Before { boots: console.matches(BOOT_LOADER).count(), console: console.len() })
    }

    /// Waits until the boot loader has been at work so many times.
    pub(crate) async fn restarts(&self, before: &Before, times: usize) -> Result<(), Fault> {
        self.until(RESTART_LIMIT, "a restart", async || {
            Ok(self.machine.console()?.matches(BOOT_LOADER).count() >= before.boots + times)
        })
        .await
    }

    /// Waits for a line on the console.
    pub(crate) async fn says(&self, before: &Before, text: &str) -> Result<(), Fault> {
        self.until(RESTART_LIMIT, &format!("\"{text}\" on the console"), async || {
            Ok(self.said(before)?.contains(text))
        })
        .await
    }

    fn said(&self, before: &Before) -> Result<String, Fault> {
        Ok(self.machine.console()?.get(before.console..).unwrap_or_default().to_owned())
    }

    /// Waits for the next Register or Update, of a machine that has gone down.
    pub(crate) async fn registers(&self) -> Result<(), Fault> {
        let known = self.server.registration(ENDPOINT).await.ok().as_ref().map(stamp);
        let is_next =
            |found: &Registration| found.endpoint == ENDPOINT && Some(stamp(found)) != known;
        let what = "the registration after the restart".to_owned();
        self.server.wait_for(is_next, what, REGISTER_LIMIT).await?;
        Ok(())
    }

    pub(crate) async fn cut_power(&self) -> Result<(), Fault> {
        Ok(self.machine.cut_power().await?)
    }

    /// Waits for the shell of another boot; the machine has gone down before.
    pub(crate) async fn boots(&self, before: Option<&str>) -> Result<String, Fault> {
        Ok(self.machine.booted(before).await?)
    }

    /// What a command of root prints.
    pub(crate) async fn run(&self, command: &str) -> Result<String, Fault> {
        Ok(self.machine.run(command).await?)
    }

    pub(crate) async fn boot_id(&self) -> Result<String, Fault> {
        self.run("cat /proc/sys/kernel/random/boot_id").await
    }

    /// How the update has ended, once nothing is under way; judged against what runs.
    pub(crate) async fn end(&self, before: &Before, old: &Standing) -> Result<Standing, Fault> {
        let (state, result) = self.numbers_unless(|(state, _)| state == 1 || state == 3).await?;
        let standing = self.standing(state, result).await?;
        let is_other = standing.slot != old.slot;
        match (state, result, is_other) {
            (0, 1, true) => self.is_confirmed(&standing.slot).await?,
            (2, 8, false) => drop(self.run("test -s /var/lib/lwm2md/firmware/package").await?),
            (0, 4, false) | (2, 0, false) => {}
            _ => return Err(Fault::new(format!("not true: {standing:?} after {old:?}"))),
        }
        self.is_whole(before, &standing).await?;
        Ok(standing)
    }

    /// What runs, and how the update stands.
    pub(crate) async fn now(&self) -> Result<Standing, Fault> {
        let (state, result) = self.numbers().await?;
        self.standing(state, result).await
    }

    async fn standing(&self, state: i64, result: i64) -> Result<Standing, Fault> {
        let slot = self.run("sed -n 's/.*rauc.slot=\\([AB]\\).*/\\1/p' /proc/cmdline").await?;
        let version = self.run("sed -n 's/^IMAGE_VERSION=//p' /usr/lib/os-release").await?;
        Ok(Standing { state, result, slot, version })
    }

    /// The boot loader takes this slot next, and again after that.
    async fn is_confirmed(&self, slot: &str) -> Result<(), Fault> {
        let variables = self.run("grub-editenv /boot/env/grub/grubenv list").await?;
        let has = |line: String| variables.lines().any(|found| found.starts_with(&line));
        let all = [format!("ORDER={slot}"), format!("{slot}_OK=1"), format!("{slot}_TRY=0")];
        if all.into_iter().all(has) {
            return Ok(());
        }
        Err(Fault::new(format!("slot {slot} is not good: {}", variables.replace('\n', " "))))
    }

    /// The agent has read what it stored, and says the same as the server was told.
    async fn is_whole(&self, before: &Before, standing: &Standing) -> Result<(), Fault> {
        let said = self.said(before)?;
        for word in DAMAGE {
            if let Some(line) = said.lines().find(|line| line.contains(word)) {
                return Err(Fault::new(format!("the agent says: {line}")));
            }
        }
        let status = self.run("lwm2mctl status").await?;
        if !status.contains("registered") {
            return Err(Fault::new(format!("status: {}", status.replace('\n', "; "))));
        }
        let told = self.run("lwm2mctl --json firmware").await?;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        let told = (told["state"].as_i64(), told["result"].as_i64());
        is("lwm2mctl firmware", told, (Some(standing.state), Some(standing.result)))
    }

    /// State and Update Result, once they are not `busy`. The device may restart
    /// meanwhile.
    async fn numbers_unless(&self, busy: impl Fn((i64, i64)) -> bool) -> Result<(i64, i64), Fault> {
        let end = Instant::now() + END_LIMIT;
        loop {
            let numbers = self.numbers().await;
            match numbers {
                Ok(numbers) if !busy(numbers) => return Ok(numbers),
                Ok(_) | Err(_) if Instant::now() < end => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Ok(numbers) => return Err(Fault::new(format!("never more than {numbers:?}"))),
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn numbers(&self) -> Result<(i64, i64), Fault> {
        Ok((self.number(3).await?, self.number(5).await?))
    }

    async fn number(&self, id: u16) -> Result<i64, Fault> {
        let read = self.server.read(ENDPOINT, &resource(id), None).await?;
        match read.value(&resource(id)) {
            Some(Value::Integer(number)) => Ok(*number),
            other => Err(Fault::new(format!("/5/0/{id} is {other:?}"))),
        }
    }

    pub(crate) async fn until(
        &self,
        limit: Duration,
        what: &str,
        is_so: impl AsyncFn() -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let end = Instant::now() + limit;
        while !is_so().await? {
            if Instant::now() > end {
                return Err(Fault::new(format!("never {what}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<LabError> for Fault {
    fn from(error: LabError) -> Self {
        Self(error.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(format!("the server: {error}"))
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

pub(crate) fn is<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    wanted: T,
) -> Result<(), Fault> {
    if found == wanted {
        return Ok(());
    }
    Err(Fault::new(format!("{what}: {found:?}, not {wanted:?}")))
}

fn changed(what: &str, code: Code) -> Result<(), Fault> {
    is(what, code, Code::CHANGED)
}

fn stamp(registration: &Registration) -> (SystemTime, u64) {
    (registration.registered_at, registration.updates)
}

fn resource(id: u16) -> Path {
    Path::resource(5, 0, id)
}

const ENDPOINT: &str = "vm-device";
const KEY: &[u8; 16] = b"a key of the lab";
/// This machine's loopback, as QEMU shows it to the guest.
const HOST: &str = "10.0.2.2";
const BOOT_LOADER: &str = "lab: slot ";
/// Words of the agent for something stored that it could not use.
const DAMAGE: [&str; 3] = ["set aside", "damaged", "cannot be read"];
/// From a restart to the registration, with a trial that fails between.
const REGISTER_LIMIT: Duration = Duration::from_secs(600);
/// For an installation and the restart after it.
const RESTART_LIMIT: Duration = Duration::from_secs(600);
const END_LIMIT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
