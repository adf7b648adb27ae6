//! The daemon as it is installed: its binary against real servers on loopback, a
//! private bus and the service manager's socket, one file per theme.

mod blocks;
mod bus_methods;
mod bus_signals;
mod connectivity;
mod demo;
mod doctor;
mod factory_reset;
mod firmware;
mod firmware_bus;
mod keys;
mod links;
mod location;
mod modem;
mod pull;
mod reload;
mod restart;
mod start;
mod status;
mod stop;
mod support;
mod written;
