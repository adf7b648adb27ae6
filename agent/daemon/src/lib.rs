//! The parts of the `lwm2md` daemon that know neither engine loop nor sockets:
//! command line, configuration, keys, logs, and what systemd wants to hear.

pub mod check;
pub mod cli;
pub mod config;
mod credentials;
pub mod events;
mod journal;
pub mod logging;
pub mod state_dir;
pub mod systemd;
