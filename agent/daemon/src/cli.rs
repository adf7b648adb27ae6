//! The command line of `lwm2md`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lwm2m_bus::{BusAddress, BusAddressError};
use tracing::Level;

use crate::logging::Target;

/// Makes this device manageable by LwM2M servers.
///
/// Runs in the foreground until SIGTERM; SIGHUP reads the configuration again. The
/// service is asked and told things with lwm2mctl.
#[derive(Debug, Parser)]
#[command(
    name = "lwm2md",
    version, max_term_width = 80,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.",
    after_long_help = AFTER_LONG_HELP
)]
pub struct Cli {
    /// Configuration file
    ///
    /// The files conf.d/*.yaml in the same directory are merged over it in the order
    /// of their names: mappings key by key, lists and single values as a whole.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,

    /// Directory for what must survive a restart
    ///
    /// Without this option it is the one that systemd names in STATE_DIRECTORY, and
    /// without that /var/lib/lwm2md. It is made if it is missing, and refused if
    /// others than its owner may write to it.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Message bus to serve org.lwm2md on: system, session, an address, or none
    ///
    /// Without a bus lwm2mctl cannot reach the daemon, and objects that ask other
    /// services for their values leave them out.
    #[arg(long, value_name = "BUS", default_value = "system", value_parser = bus)]
    pub bus: Bus,

    /// Where log lines go [default: journald under systemd, else stderr]
    #[arg(long, value_name = "TARGET")]
    pub log: Option<LogTarget>,

    /// How much is logged: error, warn, info, debug or trace
    ///
    /// info is meant for the operator, some ten lines a day; debug for the
    /// integrator; trace shows bytes.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub log_level: Level,

    /// Validate the configuration, print what would happen, and exit
    ///
    /// Exits with 0 if the configuration is valid and its keys can be read, else
    /// with 2 and one line for each fault: FILE:LINE:COLUMN: KEY: what is wrong.
    #[arg(long, conflicts_with = "schema")]
    pub check: bool,

    /// Print the JSON schema of the configuration and exit
    #[arg(long)]
    pub schema: bool,

    /// What to do instead of running as a service
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done instead of running as a service.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Show everything on this machine alone: a server, the agent, and a prompt
    ///
    /// An LwM2M server and the agent come up on the loopback interface, the agent
    /// registers over DTLS, and a prompt reads, writes, observes and executes. It
    /// needs no configuration and no root.
    Demo(DemoArgs),
}

/// Options of `lwm2md demo`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DemoArgs {
    /// Run the steps of a file instead of prompting; exit 0 if each gave what it expects
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,

    /// Let the server lose so many of a hundred datagrams, both ways
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
          value_parser = clap::value_parser!(u8).range(0..=90))]
    pub loss: u8,

    /// Log level of the agent, on standard error: info shows why it refuses something
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub log_level: Level,
}

/// The bus to serve on, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    /// Serve on none.
    None,
    /// Serve on this one.
    On(BusAddress),
}

/// `--log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogTarget {
    /// The journal, with fields.
    Journald,
    /// Standard error, one line each.
    Stderr,
}

impl From<LogTarget> for Target {
    fn from(target: LogTarget) -> Self {
        match target {
            LogTarget::Journald => Self::Journald,
            LogTarget::Stderr => Self::Stderr,
        }
    }
}

fn bus(text: &str) -> Result<Bus, String> {
    match text {
        "none" => Ok(Bus::None),
        text => {
            text.parse().map(Bus::On).map_err(|error: BusAddressError| format!("{error}, or none"))
        }
    }
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err("expected error, warn, info, debug or trace".into()),
    }
}

/// Where the configuration is unless said otherwise.
const DEFAULT_CONFIG: &str = "/etc/lwm2md/lwm2md.yaml";

const AFTER_LONG_HELP: &str = "\
Files:
  /etc/lwm2md/lwm2md.yaml    the configuration
  /etc/lwm2md/conf.d/*.yaml  merged over it
  /var/lib/lwm2md            what survives a restart

Environment, set by systemd:
  CREDENTIALS_DIRECTORY      keys that the configuration names as credentials
  STATE_DIRECTORY            the state directory
  NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, JOURNAL_STREAM

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &str) -> Result<Cli, String> {
        let arguments = arguments.split(' ').filter(|word| !word.is_empty());
        Cli::try_parse_from(std::iter::once("lwm2md").chain(arguments))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_a_service() {
        let cli = parse("").unwrap();
        assert_eq!(cli.config, PathBuf::from("/etc/lwm2md/lwm2md.yaml"));
        assert_eq!(cli.bus, Bus::On(BusAddress::System));
        assert_eq!((cli.state_dir, cli.log, cli.log_level), (None, None, Level::INFO));
        assert!(!cli.check && !cli.schema && cli.command.is_none());
    }

    #[test]
    fn every_option_is_taken() {
        let cli = parse(
            "--config a.yaml --state-dir s --bus unix:path=/b --log stderr --log-level debug --check",
        )
        .unwrap();
        assert_eq!(cli.bus, Bus::On(BusAddress::Address("unix:path=/b".into())));
        assert_eq!(cli.log, Some(LogTarget::Stderr));
        assert_eq!(cli.log_level, Level::DEBUG);
        assert!(cli.check);
        assert_eq!(parse("--bus none").unwrap().bus, Bus::None);
        let Some(Command::Demo(demo)) = parse("demo --script s.txt --loss 20").unwrap().command
        else {
            panic!("no demo")
        };
        assert_eq!((demo.script, demo.loss), (Some("s.txt".into()), 20));
    }

    #[test]
    fn wrong_usage_says_what_is_right() {
        for (arguments, message) in [
            ("--bus sesion", "such as unix:path=/run/bus, or none"),
            ("--log journal", "a similar value exists: 'journald'"),
            ("--log-level loud", "expected error, warn, info, debug or trace"),
            ("--chek", "a similar argument exists: '--check'"),
            ("--check --schema", "cannot be used with"),
            ("dmeo", "unrecognized subcommand 'dmeo'"),
            ("demo --loss 101", "101 is not in 0..=90"),
            ("--check demo", "cannot be used with"),
            ("--config", "a value is required"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(message), "{arguments}: {error}");
        }
    }
}
