//! A device in a virtual machine, made by `vm-lab.sh`: a boot loader, two root slots,
//! and power that can be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lwm2m_interop::program;
use lwm2m_interop::setup::{Setup, target_directory};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;

use crate::LabError;

/// What a machine is made of, prepared once and kept below cargo's target directory.
#[derive(Debug, Clone)]
pub struct VmLab {
    directory: PathBuf,
}

impl VmLab {
    /// Makes the disk and the bundles, unless they are newer than everything that they
    /// are made of. The first time takes minutes. The programs of the agent are those
    /// of the profile `image`, which have been built.
    ///
    /// # Errors
    /// [`LabError::Script`] with the reason where the machine lacks what it needs.
    pub fn prepare() -> Result<Self, LabError> {
        let checked = program::run(script().arg("check"), CHECK_LIMIT)?;
        if !checked.status.is_some_and(|status| status.success()) {
            return Err(LabError::script("vm-lab.sh check", checked.stderr));
        }
        let target = target_directory();
        let programs = target.with_file_name("image");
        let directory = target.join("vm-device");
        let base = target.join("vm-base.tar");
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd");
        let sources = [script_path(), units, programs.join("lwm2md"), programs.join("lwm2mctl")];
        let mut fetch = script();
        fetch.arg("base").arg(&base);
        let mut make = script();
        make.arg("device").arg(&base).arg(&programs).arg(&directory);
        Setup { name: "vm-device", sources: &sources, result: &directory }
            .ensure(&mut [fetch, make])?;
        Ok(Self { directory })
    }

    /// A bundle, by its name in `vm-lab.sh`.
    ///
    /// # Errors
    /// [`LabError::System`].
    pub fn bundle(&self, name: &str) -> Result<Vec<u8>, LabError> {
        let path = self.directory.join(format!("bundles/{name}.raucb"));
        fs::read(&path).map_err(|e| LabError::system(path.display(), e))
    }

    /// Starts a machine as it leaves the factory, with `configuration` in a file of its
    /// own among those of the agent. What it says on its console goes to `console`.
    ///
    /// # Errors
    /// [`LabError`] if QEMU does not start.
    pub async fn start(&self, configuration: &str, console: &Path) -> Result<Machine, LabError> {
        let directory =
            TempDir::new().map_err(|e| LabError::system("make a temporary directory", e))?;
        let path = |name: &str| directory.path().join(name);
        let file = path("factory.yaml");
        fs::write(&file, configuration).map_err(|e| LabError::system(file.display(), e))?;
        let made = program::run(script().arg("data").arg(path("")).arg(&file), CHECK_LIMIT)?;
        if !made.status.is_some_and(|status| status.success()) {
            return Err(LabError::script("vm-lab.sh data", made.stderr));
        }
        File::create(console).map_err(|e| LabError::system(console.display(), e))?;
        let mut command = script();
        command.arg("run").arg(self.directory.join("disk.img")).arg(path("data.img"));
        // The end of its standard input, also by the death of this process, ends it.
        let child = command
            .arg(path(""))
            .arg(console)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| LabError::system("start bash", e))?;
        let mut starting = Starting(child);
        let shell = starting.connect(&path("shell")).await?;
        let qemu = starting.connect(&path("qmp")).await?;
        Ok(Machine {
            shell: Mutex::new(Shell::new(shell)),
            qemu: Mutex::new(Qemu::new(qemu).await?),
            console: console.to_owned(),
            _process: starting,
            _directory: directory,
        })
    }
}

/// A running machine; its power is off when it is dropped.
pub struct Machine {
    shell: Mutex<Shell>,
    qemu: Mutex<Qemu>,
    console: PathBuf,
    _process: Starting,
    _directory: TempDir,
}

impl Machine {
    /// Waits until the shell of a boot other than `before` is there; its boot id.
    ///
    /// # Errors
    /// [`LabError::Machine`] after [`BOOT_LIMIT`].
    pub async fn booted(&self, before: Option<&str>) -> Result<String, LabError> {
        let mut boots = self.shell.lock().await.boots.clone();
        let other = |boot: &String| !boot.is_empty() && Some(boot.as_str()) != before;
        let booted = timeout(BOOT_LIMIT, boots.wait_for(other)).await;
        let booted = booted.map_err(|_| LabError::machine("it does not boot"))?;
        let booted = booted.map_err(|_| LabError::machine("it has ended"))?;
        Ok(booted.clone())
    }

    /// What a command of root prints on both of its outputs; empty output if it fails
    /// without a word.
    ///
    /// # Errors
    /// [`LabError::Machine`] with the output if it fails, or if there is no answer: the
    /// machine may have been restarted meanwhile.
    pub async fn run(&self, command: &str) -> Result<String, LabError> {
        let mut shell = self.shell.lock().await;
        let (status, output) = timeout(COMMAND_LIMIT, shell.run(command))
            .await
            .map_err(|_| LabError::machine(format!("no answer to {command}")))??;
        if status == "0" {
            return Ok(output);
        }
        Err(LabError::machine(format!("{command}: exit status {status}: {output}")))
    }

    /// Cuts the power, and gives it back at once.
    ///
    /// # Errors
    /// [`LabError::Machine`] if QEMU does not do it.
    pub async fn cut_power(&self) -> Result<(), LabError> {
        self.qemu.lock().await.execute("system_reset").await
    }

    /// All that the boot loader, the kernel and the journal have said since the start.
    ///
    /// # Errors
    /// [`LabError::System`].
    pub fn console(&self) -> Result<String, LabError> {
        let bytes = fs::read(&self.console);
        let bytes = bytes.map_err(|e| LabError::system(self.console.display(), e))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The shell of root. Its lines come from whatever boot there is.
struct Shell {
    input: OwnedWriteHalf,
    lines: mpsc::UnboundedReceiver<String>,
    boots: watch::Receiver<String>,
    commands: u32,
}

impl Shell {
    fn new(stream: UnixStream) -> Self {
        let (output, input) = stream.into_split();
        let (told, boots) = watch::channel(String::new());
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            // Ends with the machine.
            while let Ok(Some(line)) = output.next_line().await {
                if let Some((_, boot)) = line.split_once("lab: ready ") {
                    told.send_replace(boot.to_owned());
                } else if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { input, lines, boots, commands: 0 }
    }

    /// Exit status and output.
    async fn run(&mut self, command: &str) -> Result<(String, String), LabError> {
        self.commands += 1;
        let end = format!("lab: end {} ", self.commands);
        let line = format!("{{ {command}\n}} </dev/null 2>&1; echo; echo \"{end}$?\"\n");
        let written = self.input.write_all(line.as_bytes()).await;
        written.map_err(|e| LabError::system("the shell of the machine", e))?;
        self.boots.mark_unchanged();
        let mut output = Vec::new();
        loop {
            let line = tokio::select! {
                line = self.lines.recv() => line,
                _ = self.boots.changed() => {
                    return Err(LabError::machine(format!("restarted during {command}")));
                }
            };
            let line = line.ok_or_else(|| LabError::machine("it has ended"))?;
            if let Some(status) = line.strip_prefix(&end) {
                return Ok((status.to_owned(), output.join("\n").trim_end().to_owned()));
            }
            // Of a command whose answer was not waited for.
            if line.starts_with("lab: end ") {
                output.clear();
            } else {
                output.push(line);
            }
        }
    }
}

/// QEMU's own control.
struct Qemu {
    input: OwnedWriteHalf,
    lines: Lines<BufReader<OwnedReadHalf>>,
}

impl Qemu {
    async fn new(stream: UnixStream) -> Result<Self, LabError> {
        let (output, input) = stream.into_split();
        let mut qemu = Self { input, lines: BufReader::new(output).lines() };
        qemu.execute("qmp_capabilities").await?;
        Ok(qemu)
    }

    async fn execute(&mut self, command: &str) -> Result<(), LabError> {
        let failed = |e| LabError::system("the control of QEMU", e);
        let line = format!("{{\"execute\": \"{command}\"}}\n");
        self.input.write_all(line.as_bytes()).await.map_err(failed)?;
        while let Some(line) = self.lines.next_line().await.map_err(failed)? {
            if line.starts_with("{\"return\"") {
                return Ok(());
            }
            if line.starts_with("{\"error\"") {
                return Err(LabError::machine(format!("QEMU, {command}: {line}")));
            }
        }
        Err(LabError::machine("QEMU has ended"))
    }
}

/// The process; stopped when dropped.
struct Starting(Child);

impl Starting {
    async fn connect(&mut self, socket: &Path) -> Result<UnixStream, LabError> {
        let connected = timeout(START_LIMIT, async {
            loop {
                match UnixStream::connect(socket).await {
                    Ok(stream) => return Ok(stream),
                    Err(_) if matches!(self.0.try_wait(), Ok(None)) => {
                        tokio::time::sleep(POLL_INTERVAL).await;
                    }
                    Err(error) => return Err(LabError::system("QEMU", error)),
                }
            }
        });
        connected.await.map_err(|_| LabError::machine("QEMU does not start"))?
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It fails only if the process cannot be waited for, and then it is gone.
        let _ = self.0.wait();
    }
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(script_path());
    command
}

fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vm-lab.sh")
}

const CHECK_LIMIT: Duration = Duration::from_secs(60);
const START_LIMIT: Duration = Duration::from_secs(20);
/// From the boot loader to the shell, with a boot that fails before it, on a busy
/// machine without KVM.
const BOOT_LIMIT: Duration = Duration::from_secs(400);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
