//! `lwm2m-bench`: what a read, a registration and a second of idling cost the
//! release build of `lwm2md`, beside a floor and the budgets.
//!
//! Everything it starts runs on one core with it: what one side does, the other
//! waits for, so that the figures hold for a device with a single core.

mod agent;
#[path = "../../../agent/security/tests/authority/mod.rs"]
mod authority;
mod blocks;
mod bus;
mod channel;
mod device;
mod firmware;
mod floor;
mod link;
mod load;
mod measure;
mod notifications;
mod process;
mod pull;
mod push;
mod request;
mod restart;
mod scale;
mod series;
mod server;
mod sources;
mod syscalls;
mod table;
mod wear;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use measure::{Part, Plan, Programs};

/// Measures lwm2md on the loopback interface.
#[derive(Debug, Parser)]
#[command(name = "lwm2m-bench", version, args_conflicts_with_subcommands = true)]
struct Cli {
    /// A smoke run: few reads, one round; its figures mean little
    #[arg(long)]
    quick: bool,

    /// Measure only this; may be said more than once
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,

    /// The agent to measure [default: lwm2md in the directory of this program]
    #[arg(long, value_name = "PROGRAM")]
    lwm2md: Option<PathBuf>,

    /// The agent with objects in memory [default: lwm2m-test-device beside the agent]
    #[arg(long, value_name = "PROGRAM")]
    device: Option<PathBuf>,

    /// The core to run on [default: the last one that this process may use]
    #[arg(long, value_name = "NUMBER")]
    core: Option<usize>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the floor: answer each request with the bytes given on standard input
    #[command(hide = true)]
    Floor,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(Command::Floor) = cli.command {
        return floor::serve();
    }
    let lwm2md = match cli.lwm2md {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("lwm2md"),
    };
    let device = cli.device.unwrap_or_else(|| lwm2md.with_file_name("lwm2m-test-device"));
    let core = pin(cli.core)?;
    let plan = if cli.quick { Plan::QUICK } else { Plan::FULL };
    let mut out = std::io::stdout();
    writeln!(out, "{}", table::machine(core))?;
    let table = measure::run(&Programs { lwm2md, device }, &plan, &cli.only)?;
    writeln!(out, "\n{table}")?;
    Ok(())
}

/// Ties this process, and with it all that it starts, to one core.
fn pin(core: Option<usize>) -> Result<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("read the affinity")?;
    let last = || (0..CpuSet::count()).rev().find(|core| allowed.is_set(*core).unwrap_or(false));
    let core = core.or_else(last).context("this process may run on no core")?;
    let mut one = CpuSet::new();
    one.set(core).with_context(|| format!("core {core}"))?;
    sched_setaffinity(this, &one).with_context(|| format!("run on core {core}"))?;
    Ok(core)
}
