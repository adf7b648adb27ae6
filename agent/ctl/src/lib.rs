//! `lwm2mctl`: what an operator asks of a running lwm2md, over D-Bus alone.
//!
//! Results go to standard output, errors to standard error as one line
//! `lwm2mctl: ...`. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the daemon is
//! not reachable, 4 not found, 5 not allowed.

mod bus;
mod cli;
mod commands;
mod confirmation;
mod error;
mod follow;
mod screen;
mod show;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::Cli;
use crate::commands::{Output, Style};
use crate::error::CtlError;
use crate::screen::Screen;
use crate::show::text::{Colour, printable};

/// The command line, for its manual page and for completions of shells.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The whole program: does what its arguments say, and gives its exit code.
pub fn start() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return lwm2m_bus::Exit::Failed.into();
        }
    };
    let style = if cli.json { Style::Json } else { Style::Readable };
    let mut output = Output::new(Box::new(io::stdout()), style, colour(), Screen::of_stdout());
    match runtime.block_on(commands::run(&cli, &mut output)) {
        Ok(()) => ExitCode::SUCCESS,
        // `lwm2mctl monitor | head`: nobody reads any more, which is no failure.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(CtlError::Told(exit)) => exit.into(),
        Err(error) => {
            complain(&error.to_string());
            error.exit().into()
        }
    }
}

fn complain(message: &str) {
    // If standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "lwm2mctl: {}", printable(message));
}

/// Colour on a terminal only, and not where NO_COLOR or a dumb terminal forbids it.
fn colour() -> Colour {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if io::stdout().is_terminal() && !forbidden { Colour::Yes } else { Colour::No }
}
