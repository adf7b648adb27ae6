//! The Device object on made-up machines and on a private bus.

mod bus;
mod machines;
mod support;
