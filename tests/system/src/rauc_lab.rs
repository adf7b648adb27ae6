//! A real RAUC service on a private bus, in the laboratory of `rauc-lab.sh`.
//!
//! The bundles are made once and kept in cargo's target directory; a laboratory with
//! them starts in a fraction of a second. It ends with the value, and by itself when
//! the test process dies.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lwm2m_interop::setup::{Setup, target_directory};
use lwm2m_interop::{program, scenario};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::LabError;

/// A laboratory at work.
#[derive(Debug)]
pub struct RaucLab {
    child: Child,
    directory: PathBuf,
    bundles: PathBuf,
    bus: String,
    has_verity: bool,
}

/// What the slots are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// Files, which grow with what is written to them.
    Files,
    /// Loop devices of 16 MiB.
    LoopDevices,
}

/// The variables of the boot loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootState(BTreeMap<String, String>);

impl RaucLab {
    /// Starts a laboratory booted from slot A, with the service idle. `None` where the
    /// machine lacks what it needs, with a line that says so on standard error and in
    /// the record of scenarios.
    ///
    /// # Errors
    /// [`LabError`] if it does not start.
    pub fn start(slots: Slots) -> Result<Option<Self>, LabError> {
        let checked = program::run(script().arg("check"), CTL_LIMIT)?;
        match checked.status.and_then(|status| status.code()) {
            Some(0) => {}
            Some(SKIPPED) => return skip(&checked.stderr),
            _ => return Err(LabError::script("rauc-lab.sh check", checked.stderr)),
        }
        let bundles = made_bundles()?;
        let mut command = script();
        command.args(["run", "--bundles"]).arg(&bundles);
        if slots == Slots::LoopDevices {
            command.env("LAB_SLOTS", "loop");
        }
        // The end of its standard input, also by the death of this process, ends it.
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| LabError::system("start bash", e))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|e| LabError::system("bash", e))?;
        }
        if line.is_empty() {
            let output = child.wait_with_output().map_err(|e| LabError::system("bash", e))?;
            return Err(LabError::script(
                "rauc-lab.sh run",
                String::from_utf8_lossy(&output.stderr),
            ));
        }
        let environment = line.trim();
        let text = fs::read_to_string(environment).map_err(|e| LabError::system(environment, e))?;
        let variable = |name: &str| {
            let start = format!("export {name}=");
            let value = text.lines().find_map(|line| line.strip_prefix(&start));
            value.unwrap_or_default().to_owned()
        };
        Ok(Some(Self {
            directory: variable("RAUC_LAB_DIR").into(),
            bus: variable("DBUS_SYSTEM_BUS_ADDRESS"),
            has_verity: variable("RAUC_LAB_VERITY") == "1",
            bundles,
            child,
        }))
    }

    /// The address of the private bus.
    pub fn bus(&self) -> &str {
        &self.bus
    }

    /// The path of a bundle, such as `good-plain`, whether it exists or not.
    pub fn bundle(&self, name: &str) -> String {
        self.bundles.join(format!("{name}.raucb")).display().to_string()
    }

    /// The directory of the bundles, made if it is not there, for a `rauc service` elsewhere.
    ///
    /// # Errors
    /// [`LabError`] if they cannot be made.
    pub fn bundles() -> Result<PathBuf, LabError> {
        made_bundles()
    }

    /// The script, of which `rauc-lab.sh device` makes a device elsewhere.
    pub fn script() -> PathBuf {
        script_path()
    }

    /// True if the kernel can install `verity` bundles.
    pub fn has_verity(&self) -> bool {
        self.has_verity
    }

    /// Lets the installation of `held-plain` go on, this one and all after it.
    ///
    /// # Errors
    /// [`LabError::System`].
    pub fn release(&self) -> Result<(), LabError> {
        let path = self.directory.join("run/release");
        File::create(&path).map(drop).map_err(|e| LabError::system(path.display(), e))
    }

    /// Boots as a boot loader with counted tries would; the slot, `A` or `B`.
    ///
    /// # Errors
    /// [`LabError::Script`] if no slot can be booted.
    pub fn reboot(&self) -> Result<String, LabError> {
        self.ctl("reboot")
    }

    /// Boots again and again without a confirmation until another slot comes up; the
    /// slot.
    ///
    /// # Errors
    /// [`LabError::Script`] if no slot can be booted.
    pub fn crash_boot(&self) -> Result<String, LabError> {
        self.ctl("crash-boot")
    }

    /// Kills the service at once with SIGKILL.
    ///
    /// # Errors
    /// [`LabError::System`] if it does not run.
    pub fn kill_service(&self) -> Result<(), LabError> {
        let path = self.directory.join("run/rauc.pid");
        let text = fs::read_to_string(&path).map_err(|e| LabError::system(path.display(), e))?;
        let no_id = |_| LabError::script("rauc-lab.sh run", format!("no process id: {text}"));
        let id = text.trim().parse().map_err(no_id)?;
        kill(Pid::from_raw(id), Signal::SIGKILL)
            .map_err(|e| LabError::system(format!("kill {id}"), e.into()))
    }

    /// Kills the service with SIGKILL after its next request of this kind to the boot
    /// loader, such as `set-state`, before it can answer for it.
    ///
    /// # Errors
    /// [`LabError::System`].
    pub fn kill_service_after(&self, request: &str) -> Result<(), LabError> {
        let path = self.directory.join("run/die-after");
        fs::write(&path, format!("{request}\n")).map_err(|e| LabError::system(path.display(), e))
    }

    /// Starts the service again in the slot that is booted.
    ///
    /// # Errors
    /// [`LabError::Script`] if it does not take its name.
    pub fn start_service(&self) -> Result<(), LabError> {
        self.ctl("start").map(drop)
    }

    /// What the boot loader has stored.
    ///
    /// # Errors
    /// [`LabError::Script`].
    pub fn boot_state(&self) -> Result<BootState, LabError> {
        let text = self.ctl("state")?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(BootState(pairs.map(|(name, value)| (name.into(), value.into())).collect()))
    }

    /// The first line of a slot's image, `a` or `b`: `LAB-IMAGE version=1.0.0` before
    /// anything was installed.
    ///
    /// # Errors
    /// [`LabError::System`].
    pub fn image(&self, slot: &str) -> Result<String, LabError> {
        let path = self.directory.join(format!("slots/{slot}.img"));
        let failed = |e| LabError::system(path.display(), e);
        let mut start = Vec::new();
        File::open(&path).map_err(failed)?.take(64).read_to_end(&mut start).map_err(failed)?;
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    /// What the service has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log/rauc.log")).unwrap_or_default()
    }

    fn ctl(&self, what: &str) -> Result<String, LabError> {
        run(script().arg("ctl").arg(&self.directory).arg(what), what)
    }
}

impl BootState {
    /// The value of `primary`, `current`, `A.state`, `A.tries`, `B.state` or `B.tries`;
    /// empty for anything else.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Drop for RaucLab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("log of RAUC:\n{}", self.log());
        }
        drop(self.child.stdin.take());
        let end = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(POLL_INTERVAL);
        }
        // Both fail only if it has ended, as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory of the bundles, made if it is not there or older than the script.
fn made_bundles() -> Result<PathBuf, LabError> {
    let result = target_directory().join("rauc-bundles");
    let mut make = script();
    make.arg("bundles").arg(&result);
    let setup = Setup { name: "rauc-bundles", sources: &[script_path()], result: &result };
    setup.ensure(&mut [make])?;
    Ok(result)
}

fn skip(output: &str) -> Result<Option<RaucLab>, LabError> {
    let reason = output.trim().trim_start_matches("rauc-lab: skip: ");
    // Not `eprintln`, which the test harness keeps for itself when a test passes.
    let _ = writeln!(std::io::stderr(), "not run: a test with RAUC: {reason}");
    scenario::not_run("rauc", reason)?;
    Ok(None)
}

fn run(command: &mut Command, request: &str) -> Result<String, LabError> {
    let output = program::run(command, CTL_LIMIT)?;
    if output.status.is_some_and(|status| status.success()) {
        return Ok(output.stdout.trim().to_owned());
    }
    Err(LabError::script(&format!("rauc-lab.sh {request}"), output.stdout + &output.stderr))
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(script_path());
    command
}

fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rauc-lab.sh")
}

/// The exit status with which the script says that the machine lacks something.
const SKIPPED: i32 = 77;
/// The script gives a service 5 s to start and 3 s to stop.
const CTL_LIMIT: Duration = Duration::from_secs(20);
/// The script gives the service and the bus 3 s each.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
