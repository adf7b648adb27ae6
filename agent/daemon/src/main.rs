//! `lwm2md`: makes this device manageable by LwM2M servers.

use std::process::ExitCode;

use clap::Parser;
use lwm2m_objects::Roots;
use lwm2md::cli::Cli;

fn main() -> ExitCode {
    lwm2md::start(Cli::parse(), Roots::default(), |_| {})
}
