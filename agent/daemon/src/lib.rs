//! The `lwm2md` daemon: configuration, wiring, D-Bus service, systemd.
//!
//! [`start`] is the whole program; a program of its own adds objects through it. The
//! engine, its objects and its transports are crates of their own.

mod agent;
mod bus;
pub mod check;
pub mod cli;
pub mod config;
mod convert;
mod credentials;
mod demo;
mod doctor;
pub mod events;
mod firmware;
mod firmware_service;
mod heard;
mod journal;
mod keeper;
mod loaded;
pub mod logging;
mod objects;
mod program;
mod reload;
mod run;
mod service;
pub mod service_user;
mod sources;
pub mod state_dir;
mod status_file;
pub mod systemd;

pub use program::start;
