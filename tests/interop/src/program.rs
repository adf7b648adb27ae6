//! Foreign programs with captured output and a time limit.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::PeerError;

/// What a program that ended has printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended; `None` if it was killed at the time limit.
    pub status: Option<ExitStatus>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A program that runs until it is stopped or dropped.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// Runs `command` to its end, or kills it after `limit`.
///
/// # Errors
/// [`PeerError::System`] if it cannot be started. A program that fails is no error here.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output, PeerError> {
    Running::start(command)?.wait(limit)
}

/// The file of a program on `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

impl Running {
    /// Starts `command` without standard input.
    ///
    /// # Errors
    /// [`PeerError::System`] if it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, PeerError> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| PeerError::system(format!("start {command:?}"), e))?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Ok(Self { child, stdout, stderr })
    }

    /// Waits for the end, or kills it after `limit`.
    ///
    /// # Errors
    /// [`PeerError::System`] if the system cannot say whether it has ended.
    pub fn wait(mut self, limit: Duration) -> Result<Output, PeerError> {
        let end = Instant::now() + limit;
        let status = loop {
            let status = self.child.try_wait().map_err(|e| PeerError::system("wait", e))?;
            if status.is_some() || Instant::now() >= end {
                break status;
            }
            thread::sleep(POLL_INTERVAL);
        };
        Ok(self.finish(status))
    }

    /// Stops the program with SIGTERM, so that it can print what it has kept back, and
    /// returns what it has printed.
    pub fn stop(mut self) -> Output {
        let status = terminate(&mut self.child, STOP_LIMIT).unwrap_or_default();
        self.finish(status)
    }

    fn finish(&mut self, status: Option<ExitStatus>) -> Output {
        self.kill();
        let text = |thread: Option<JoinHandle<String>>| {
            thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
        };
        Output { status, stdout: text(self.stdout.take()), stderr: text(self.stderr.take()) }
    }

    fn kill(&mut self) {
        // Both fail only if the child has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks a child to end and waits; `None` if it had to be killed after `limit`.
pub(crate) fn terminate(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    // Fails only for a process that has ended, which the wait below tells.
    let _ = i32::try_from(child.id()).map(|id| kill(Pid::from_raw(id), Signal::SIGTERM));
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL_INTERVAL);
    }
    // Both fail only if the child has ended meanwhile.
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is all there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// For a program that is asked to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// The standard library cannot wait for a child with a limit.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
