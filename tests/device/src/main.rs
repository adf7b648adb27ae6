//! `lwm2m-test-device`: the agent as it is, with objects of any definition added.
//!
//! For tests that need more than the objects of a Linux device: it takes every option
//! of `lwm2md`, and definitions in the XML of the OMA registry.

mod objects;
mod sink;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lwm2m_bus::Exit;
use lwm2m_objects::{InMemory, Roots};
use lwm2md::cli::Cli;

use sink::Sink;

/// The agent with objects of any definition, whose values are held in memory
#[derive(Debug, Parser)]
#[command(name = "lwm2m-test-device", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Definition of an object to add, in the XML of the OMA registry; may be repeated
    #[arg(long = "object", value_name = "FILE")]
    objects: Vec<PathBuf>,

    /// Definition of an object to add that takes opaque values in blocks and keeps nothing
    #[arg(long, value_name = "FILE")]
    sink: Option<PathBuf>,

    /// Instances that each of these objects has at the start, with a value everywhere
    #[arg(long, value_name = "N", default_value_t = 1)]
    instances: u16,

    /// Look for proc, sys, etc and usr below this directory, not below /
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    #[command(flatten)]
    daemon: Cli,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sink = arguments.sink.as_deref().map(objects::definition).transpose();
    let objects = objects::read(&arguments.objects, arguments.instances);
    let (objects, sink) = match objects.and_then(|objects| Ok((objects, sink?))) {
        Ok(added) => added,
        Err(error) => {
            eprintln!("lwm2m-test-device: {error}");
            return Exit::Usage.into();
        }
    };
    if let Some(root) = arguments.root.as_ref().filter(|root| !root.is_dir()) {
        eprintln!("lwm2m-test-device: {} is no directory", root.display());
        return Exit::Usage.into();
    }
    let roots = arguments.root.as_deref().map_or_else(Roots::default, Roots::below);
    lwm2md::start(arguments.daemon, roots, |host| {
        for object in objects {
            host.add(Box::new(InMemory::new(object, host.sender())));
        }
        if let Some(definition) = sink {
            host.add(Box::new(Sink::new(definition)));
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
