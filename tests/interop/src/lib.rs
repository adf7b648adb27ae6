//! Foreign peers for the agent: Leshan, aiocoap and libcoap, started and driven by tests.
//!
//! [`Leshan`](leshan::Leshan), [`Aiocoap`](aiocoap::Aiocoap) and
//! [`LibcoapRs`](libcoap_rs::LibcoapRs) start LwM2M servers that are driven through a
//! [`Server`]; [`libcoap`] runs a CoAP server that takes registrations and a CoAP client
//! that can speak from that server's port. Each has an `available()` that says whether
//! this machine can run it. [`Agent`] runs the agent itself against them, in a
//! [`Namespace`] with loss if need be, and on a [`Bus`] with doubles of services; a
//! [`Receiver`] is what gpsd listens to.
//! `README.md` says what works.

mod agent;
pub mod aiocoap;
mod bus;
mod error;
mod json_process;
pub mod leshan;
pub mod libcoap;
pub mod libcoap_rs;
mod message;
mod namespace;
pub mod program;
mod receiver;
pub mod scenario;
mod server;
pub mod setup;

pub use agent::{Agent, AgentConfig};
pub use bus::{Bus, Double};
pub use error::{PeerError, Refusal};
pub use message::{Event, Link, Registration, Response};
pub use namespace::{Disturbance, Disturbed, Namespace};
pub use receiver::Receiver;
pub use server::{CancelBy, Server};
