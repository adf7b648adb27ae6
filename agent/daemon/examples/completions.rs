//! Writes the completions of shells for `lwm2md` and `lwm2mctl`, for the package:
//! `cargo run --package lwm2md --example completions -- DIRECTORY`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("completions: into which directory?");
        return ExitCode::from(2);
    };
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("completions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &OsString) -> std::io::Result<()> {
    for mut command in [lwm2md::cli::Cli::command(), lwm2mctl::command()] {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            generate_to(shell, &mut command, &name, directory)?;
        }
    }
    Ok(())
}
