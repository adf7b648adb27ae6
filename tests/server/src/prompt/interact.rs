//! The prompt at a terminal, or at a pipe: reads lines, runs them, and shows what
//! happens at the server as it happens.

use std::io::{self, BufRead, IsTerminal, Write};

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
    // Nobody sees what comes through a pipe: it is written before what came of it.
    let (prompt, back) = if io::stdin().is_terminal() { ("> ", "\r") } else { ("", "") };
    show_pending(&mut events)?;
    loop {
        write!(out, "{prompt}")?;
        out.flush()?;
        let line = loop {
            tokio::select! {
                line = lines.recv() => break line,
                _ = tokio::signal::ctrl_c() => break None,
                next = events.next() => {
                    write!(out, "{back}{}{prompt}", event(&next.map_err(stopped)?))?;
                    out.flush()?;
                }
            }
        };
        let Some(line) = line else {
            return if prompt.is_empty() { Ok(()) } else { writeln!(out) };
        };
        if prompt.is_empty() {
            writeln!(out, "> {line}")?;
        }
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
    let mut shown = Vec::new();
    let flow = {
        let mut running = std::pin::pin!(interpreter.run(command, &mut answer));
        loop {
            tokio::select! {
                flow = &mut running => break flow?,
                _ = tokio::signal::ctrl_c() => break Flow::Continue,
                next = events.next() => {
                    let text = event(&next.map_err(stopped)?);
                    write!(io::stdout(), "{text}")?;
                    shown.push(text);
                }
            }
        }
    };
    shown.extend(show_pending(events)?);
    // A notification that was waited for has been shown as it came.
    if !shown.iter().any(|text| text.as_bytes() == answer) {
        io::stdout().write_all(&answer)?;
    }
    Ok(flow)
}

/// Shows what has happened already.
fn show_pending(events: &mut Events) -> io::Result<Vec<String>> {
    let mut shown = Vec::new();
    while let Some(next) = events.try_next() {
        let text = event(&next);
        write!(io::stdout(), "{text}")?;
        shown.push(text);
    }
    Ok(shown)
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
