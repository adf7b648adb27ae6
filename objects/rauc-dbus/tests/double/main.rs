//! The client against a double of a RAUC newer than the one that distributions ship,
//! and against one that misbehaves, on a private bus. Not run, with a line that says
//! so, where there is no dbus-daemon.

mod bus;
mod following;
mod members;
mod service;
