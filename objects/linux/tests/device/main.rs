//! The Device object on made-up machines and on a private bus, and the sensors of such
//! machines.

mod bus;
mod machines;
mod sensors;
mod support;
