//! A running daemon and its log.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::mpsc;

use super::{LIMIT, soon};

/// A daemon; it is killed with the value unless it has ended before.
pub(crate) struct Daemon {
    child: Child,
    coming: mpsc::UnboundedReceiver<String>,
    /// Everything printed so far.
    lines: Vec<String>,
    /// Lines that [`Daemon::line`] has gone past.
    passed: usize,
}

impl Daemon {
    /// Starts it. What it prints, on both outputs, is its log.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = command.spawn().unwrap();
        drop(command); // it holds the write ends: the log must end with the daemon
        let (lines, coming) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, coming, lines: Vec::new(), passed: 0 }
    }

    /// Waits until a line with `part` is in the log, wherever; for what happens at
    /// the same time as other things.
    pub(crate) async fn shows(&mut self, part: &str) {
        while !self.lines.iter().any(|line| line.contains(part)) {
            self.more(part).await;
        }
    }

    /// Waits for the next line with `part` in it.
    pub(crate) async fn line(&mut self, part: &str) -> String {
        loop {
            while let Some(line) = self.lines.get(self.passed) {
                self.passed += 1;
                if line.contains(part) {
                    return line.clone();
                }
            }
            self.more(part).await;
        }
    }

    /// Waits for one line more; panics if there is none.
    async fn more(&mut self, wanted: &str) {
        match tokio::time::timeout(LIMIT, self.coming.recv()).await {
            Ok(Some(line)) => self.lines.push(line),
            ended => panic!(
                "no line with {wanted:?} {}; the log is\n{}",
                if ended.is_ok() { "before the end" } else { "in time" },
                self.lines.join("\n")
            ),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end: the exit code and the whole log.
    pub(crate) async fn ended(self) -> (i32, String) {
        self.ended_within(LIMIT).await
    }

    /// The same, but sooner.
    pub(crate) async fn ended_within(mut self, limit: Duration) -> (i32, String) {
        let rest = async {
            while let Some(line) = self.coming.recv().await {
                self.lines.push(line);
            }
        };
        if tokio::time::timeout(limit, rest).await.is_err() {
            panic!("still runs after {limit:?}; the log is\n{}", self.lines.join("\n"));
        }
        // Its outputs are closed, so it has ended or is about to.
        let code = self.child.wait().unwrap().code().expect("an exit code, not a signal");
        (code, self.lines.join("\n"))
    }

    /// Stops it: the exit code must be 0; gives the whole log.
    pub(crate) async fn stop(self) -> String {
        self.signal(Signal::SIGTERM);
        let (code, log) = soon("the end of the daemon", self.ended()).await;
        assert_eq!(code, 0, "{log}");
        log
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
