//! A Debian in a container with its own systemd, made by `package-lab.sh`. It shares the
//! loopback interface with this process, which the script has to run as well.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lwm2m_interop::program::{self, Output};
use tempfile::TempDir;

use crate::LabError;

/// A system that is unpacked and may be running. It is stopped and removed with the value.
pub struct Container {
    root: PathBuf,
    boot: Option<Child>,
    _directory: TempDir,
}

impl Container {
    /// A system as it comes from Debian, of what `package-lab.sh base` has made.
    ///
    /// # Errors
    /// [`LabError::Script`] with the reason where the machine lacks what it needs.
    pub fn unpack(base: &Path) -> Result<Self, LabError> {
        let checked = program::run(script().arg("check"), UNPACK_LIMIT)?;
        if !checked.status.is_some_and(|status| status.success()) {
            return Err(LabError::script("package-lab.sh check", checked.stderr));
        }
        let directory =
            TempDir::new().map_err(|e| LabError::system("make a temporary directory", e))?;
        let root = directory.path().join("root");
        let unpacked = program::run(script().arg("root").arg(base).arg(&root), UNPACK_LIMIT)?;
        if !unpacked.status.is_some_and(|status| status.success()) {
            return Err(LabError::script("package-lab.sh root", unpacked.stderr));
        }
        Ok(Self { root, boot: None, _directory: directory })
    }

    /// Where its files are, as this machine sees them.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Starts its systemd; what it prints goes to `console`.
    ///
    /// # Errors
    /// [`LabError`] if the script does not start, or if nothing answers in time.
    pub fn boot(&mut self, console: &Path) -> Result<(), LabError> {
        File::create(console).map_err(|e| LabError::system(console.display(), e))?;
        // The end of its standard input, also by the death of this process, ends it.
        let boot = script()
            .arg("boot")
            .arg(&self.root)
            .arg(console)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| LabError::system("start bash", e))?;
        self.boot = Some(boot);
        self.booted(None)?;
        Ok(())
    }

    /// Waits until a boot other than `before` has settled; its boot id.
    ///
    /// # Errors
    /// [`LabError::Machine`] after [`BOOT_LIMIT`].
    pub fn booted(&self, before: Option<&str>) -> Result<String, LabError> {
        let end = Instant::now() + BOOT_LIMIT;
        let boot_id = ["cat", "/proc/sys/kernel/random/boot_id"];
        let waits = ["systemctl", "is-system-running", "--wait"];
        while Instant::now() < end {
            let boot = self.run(&boot_id)?;
            let boot = boot.stdout.trim();
            // A system that is about to stop runs, too.
            if !boot.is_empty() && Some(boot) != before {
                let state = self.run(&waits)?;
                if matches!(state.stdout.trim(), "running" | "degraded") {
                    return Ok(boot.to_owned());
                }
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(LabError::machine("the container does not boot"))
    }

    /// What a command of root does in the running system.
    ///
    /// # Errors
    /// [`LabError::Program`] if it cannot be started. One that fails is no error here.
    pub fn run(&self, command: &[&str]) -> Result<Output, LabError> {
        Ok(program::run(script().arg("exec").arg(&self.root).args(command), COMMAND_LIMIT)?)
    }

    /// The address of the system bus of the running system, for this process.
    ///
    /// # Errors
    /// [`LabError::Script`] if it does not run.
    pub fn bus(&self) -> Result<String, LabError> {
        let leader = program::run(script().arg("leader").arg(&self.root), COMMAND_LIMIT)?;
        if !leader.status.is_some_and(|status| status.success()) {
            return Err(LabError::script("package-lab.sh leader", leader.stderr));
        }
        let leader = leader.stdout.trim();
        Ok(format!("unix:path=/proc/{leader}/root/run/dbus/system_bus_socket"))
    }

    /// Writes a file of root into the system.
    ///
    /// # Errors
    /// [`LabError::System`].
    pub fn write(&self, path: &str, text: &str) -> Result<(), LabError> {
        let path = self.root.join(path.trim_start_matches('/'));
        fs::write(&path, text).map_err(|e| LabError::system(path.display(), e))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(mut boot) = self.boot.take() {
            drop(boot.stdin.take());
            // It fails only if the process cannot be waited for, and then it is gone.
            let _ = boot.wait();
        }
    }
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(script_path());
    command
}

fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("package-lab.sh")
}

const UNPACK_LIMIT: Duration = Duration::from_secs(60);
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// An installation with what it depends on, on a busy machine.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
