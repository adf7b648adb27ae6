//! The command line.

use clap::{Parser, Subcommand};
use lwm2m_bus::BusAddress;
use lwm2m_model::{Arguments, AttributeUpdate, Attributes, Path};

/// Asks a running lwm2md what it does, and tells it what to do.
#[derive(Debug, Parser)]
#[command(
    name = "lwm2mctl",
    version,
    max_term_width = 80,
    after_help = "Paths are LwM2M paths: / (everything), /3 (an object), /3/0 (an instance), \
                  /3/0/9 (a resource), /3/0/7/1 (a resource instance).\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the daemon is not reachable, \
                  4 not found, 5 not allowed."
)]
pub(crate) struct Cli {
    /// Bus of the daemon: system, session, or a D-Bus address such as unix:path=/run/bus
    #[arg(long, global = true, value_name = "BUS", default_value = "system")]
    pub(crate) bus: BusAddress,

    /// Print JSON: one object or array, or one object a line where a command goes on
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the agent and each server: state, next event, last error
    Status,

    /// List the servers, one line each
    Servers,

    /// List the objects with their versions and instances
    Objects,

    /// Read values at and below paths
    Read {
        /// What to read, /3/0 or /3/0/9
        #[arg(required = true, value_name = "PATH", value_parser = any_path)]
        paths: Vec<Path>,
    },

    /// Write one resource
    #[command(after_help = "The type comes from the definition of the resource: true or false, \
                      numbers, text as it stands, bytes in hexadecimal, a time in seconds since \
                      1970 (UTC), an object link as 66:0.\n\nExample: lwm2mctl write /3/0/15 \
                      Europe/Berlin")]
    Write {
        /// The resource, /3/0/15
        #[arg(value_parser = value_path)]
        path: Path,
        /// Its new value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },

    /// Execute a resource
    #[command(after_help = "Arguments are a list of digits, each with or without a quoted \
                      value.\n\nExample: lwm2mctl exec /3/0/12\nExample: lwm2mctl exec /5/0/2 \
                      \"0='now',3\"")]
    Exec {
        /// The resource, /3/0/12
        #[arg(value_parser = resource_path)]
        path: Path,
        /// Arguments, 0='U',3
        #[arg(default_value = "", hide_default_value = true, value_parser = arguments)]
        arguments: String,
    },

    /// Create an instance of an object
    #[command(after_help = "Without an instance the lowest number that is free is taken. Values \
                      are typed as for write; what is left out gets the default of the object, \
                      or is not there.\n\nExample: lwm2mctl create /3442/7 110=text \
                      1120/0=5\nExample: lwm2mctl create /3442")]
    Create {
        /// The new instance, /3442/7, or the object, /3442
        #[arg(value_parser = new_path)]
        path: Path,
        /// Values, 110=text or 1120/0=5
        #[arg(value_name = "RESOURCE=VALUE", value_parser = assignment)]
        values: Vec<(String, String)>,
    },

    /// Delete an instance or a resource instance
    #[command(after_help = "Example: lwm2mctl delete /3442/7\nExample: lwm2mctl delete \
                      /3442/0/1120/5")]
    Delete {
        /// What to delete, /3442/7
        #[arg(value_parser = deletable_path)]
        path: Path,
    },

    /// List what exists at and below a path
    Discover {
        /// Where to look, /3
        #[arg(value_parser = any_path)]
        path: Path,
    },

    /// Show the values of a path each time they change, until Ctrl-C
    #[command(after_help = "Attributes: pmin, pmax, gt, lt, st, epmin, epmax, edge, con, \
                      hqmax.\n\nExample: lwm2mctl observe /3/0/10 pmin=1 pmax=10")]
    Observe {
        /// What to observe, /3/0/10
        #[arg(value_parser = object_path)]
        path: Path,
        /// Conditions, pmin=1 pmax=10
        #[arg(value_name = "ATTRIBUTE=VALUE")]
        attributes: Vec<String>,
        /// Stop after so many notifications
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },

    /// Send an Update now, or register if there is no registration
    Update {
        /// Short Server ID; without one every server
        #[arg(value_name = "SERVER", value_parser = clap::value_parser!(u16).range(1..=65534))]
        server: Option<u16>,
    },

    /// Show how the firmware update stands, or agree to one that was put off
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Example: lwm2mctl firmware\nExample: lwm2mctl firmware --follow\nExample: \
                      lwm2mctl firmware accept"
    )]
    Firmware {
        /// Go on while something is under way: a bar on a terminal, else a line a step
        #[arg(long)]
        follow: bool,
        #[command(subcommand)]
        action: Option<FirmwareAction>,
    },

    /// Look for what keeps the device from its servers, and say what to fix first
    #[command(after_help = "One line an area: configuration, keys, clock, store; DNS, route, \
                      port, handshake and registration of each server; D-Bus rights. No server \
                      is sent anything. Exit code: 0 if nothing has failed, 1 if something has, 3 \
                      if the daemon is not reachable.")]
    Doctor,

    /// Forget what servers have written, and register anew as configured
    #[command(
        name = "factory-reset",
        after_help = "What servers have written goes: to their accounts (/1), attributes, \
                      observations, registrations, sessions. A server that is registered with is \
                      told first that the device leaves. The configuration in /etc stays, and so \
                      does the firmware: the running one, an update that is under way, a package \
                      that was received. If it fails nothing has changed. While an update is on \
                      trial it counts for the new system alone.\n\nExample: lwm2mctl \
                      factory-reset --yes"
    )]
    FactoryReset {
        /// Do not ask on the terminal
        #[arg(long)]
        yes: bool,
    },

    /// Show the LwM2M conversation live, decoded, until Ctrl-C
    Monitor {
        /// Show the bytes of each payload too
        #[arg(long)]
        bytes: bool,
        /// Stop after so many messages
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum FirmwareAction {
    /// Agree to the update that was put off: it begins now
    Accept,
}

/// Checks the attributes of `observe` together, since they can contradict each other.
pub(crate) fn attributes(parameters: &[String]) -> Result<Attributes, String> {
    let update = AttributeUpdate::parse(parameters.iter().map(String::as_str))
        .map_err(|error| error.to_string())?;
    update.as_attributes().ok_or_else(|| {
        let bare = parameters.iter().find(|text| !text.contains('=')).map_or("", String::as_str);
        format!("{bare} needs a value: {bare}=...")
    })
}

fn any_path(text: &str) -> Result<Path, String> {
    text.parse().map_err(|error: lwm2m_model::PathError| error.to_string())
}

fn object_path(text: &str) -> Result<Path, String> {
    let path = any_path(text)?;
    if path.depth() == 0 {
        return Err("expected an object or something below it, such as /3/0/9".into());
    }
    Ok(path)
}

fn value_path(text: &str) -> Result<Path, String> {
    let path = any_path(text)?;
    if path.depth() < 3 {
        return Err("expected a resource such as /3/0/15".into());
    }
    Ok(path)
}

fn new_path(text: &str) -> Result<Path, String> {
    let path = any_path(text)?;
    if !(1..=2).contains(&path.depth()) {
        return Err("expected an instance such as /3442/7, or an object such as /3442".into());
    }
    Ok(path)
}

fn deletable_path(text: &str) -> Result<Path, String> {
    let path = any_path(text)?;
    if path.depth() != 2 && path.depth() != 4 {
        return Err("expected an instance such as /3442/7, or a resource instance".into());
    }
    Ok(path)
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let wrong = || "expected RESOURCE=VALUE such as 110=text or 1120/0=5".to_owned();
    let (resource, value) = text.split_once('=').ok_or_else(wrong)?;
    let path: Path = format!("/0/0/{resource}").parse().map_err(|_| wrong())?;
    if path.depth() < 3 || resource.ends_with('/') {
        return Err(wrong());
    }
    Ok((resource.to_owned(), value.to_owned()))
}

fn resource_path(text: &str) -> Result<Path, String> {
    let path = any_path(text)?;
    if path.depth() != 3 {
        return Err("expected a resource such as /3/0/12".into());
    }
    Ok(path)
}

fn arguments(text: &str) -> Result<String, String> {
    match Arguments::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn attributes_are_judged_together() {
        let parse =
            |text: &str| attributes(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("pmin=1 pmax=10").unwrap().to_string(), "pmin=1&pmax=10");
        assert_eq!(attributes(&[]).unwrap(), Attributes::default());
        for (text, message) in [
            ("pmin", "pmin needs a value: pmin=..."),
            ("pmn=1", "\"pmn\" is no attribute that can be written"),
            ("pmin=x", "bad value of pmin: \"x\""),
            ("lt=5 gt=5", "lt, gt and st contradict each other"),
        ] {
            assert_eq!(parse(text), Err(message.into()));
        }
    }
}
