//! The prompt at a terminal, or at a pipe: reads lines, runs them, and shows what
//! happens at the server as it happens.

use std::io::{self, BufRead, Write};

use tokio::sync::mpsc;

use super::{Flow, PromptError, event};
use crate::script::Interpreter;
use crate::{Error, Events};

/// Runs commands from standard input until it ends, `quit` or Ctrl-C.
///
/// # Errors
/// What standard output gave; [`Error::Stopped`] as an I/O error.
pub async fn interact<I: Interpreter>(interpreter: &mut I, mut events: Events) -> io::Result<()> {
    let mut lines = read_lines();
    let mut out = io::stdout();
    loop {
        write!(out, "> ")?;
        out.flush()?;
        let line = loop {
            tokio::select! {
                line = lines.recv() => break line,
                _ = tokio::signal::ctrl_c() => break None,
                next = events.next() => {
                    write!(out, "\r{}> ", event(&next.map_err(stopped)?))?;
                    out.flush()?;
                }
            }
        };
        let Some(line) = line else {
            writeln!(out)?;
            return Ok(());
        };
        match I::parse(&line) {
            Ok(command) => {
                if run_shown(interpreter, &command, &mut events).await? == Flow::Quit {
                    return Ok(());
                }
            }
            Err(PromptError::Empty) => {}
            Err(error) => writeln!(out, "{error}")?,
        }
    }
}

/// Runs a command; meanwhile events are shown too, since a device that sleeps may
/// keep it waiting. Ctrl-C gives it up.
async fn run_shown<I: Interpreter>(
    interpreter: &mut I,
    command: &I::Command,
    events: &mut Events,
) -> io::Result<Flow> {
    let mut answer = Vec::new();
    let flow = {
        let mut running = std::pin::pin!(interpreter.run(command, &mut answer));
        loop {
            tokio::select! {
                flow = &mut running => break flow?,
                _ = tokio::signal::ctrl_c() => break Flow::Continue,
                next = events.next() => {
                    write!(io::stdout(), "{}", event(&next.map_err(stopped)?))?;
                }
            }
        }
    };
    io::stdout().write_all(&answer)?;
    Ok(flow)
}

/// Reads standard input in a thread of its own: it can only be read blocking. The
/// thread ends with the input or with the program.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn stopped(error: Error) -> io::Error {
    io::Error::other(error)
}
