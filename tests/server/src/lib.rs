//! An LwM2M server on real sockets, for tests and for the demo.
//!
//! It plays the other side of the client (Core 1): it takes registrations, sends
//! every operation of device management and information reporting, and holds its
//! requests while a device in queue mode sleeps. It shares the data model and the
//! formats with the agent, never its CoAP layer, so that a mistake there cannot
//! cancel out here.

mod block;
mod config;
mod error;
mod event;
mod message;
mod observation;
mod operations;
pub mod prompt;
mod registration;
mod response;
pub mod script;
mod server;
mod state;
mod test_object;
mod wire;

pub use coap_lite;

pub use block::{BlockSize, BlockSizeError};
pub use config::{AWAKE_TIME, ServerConfig, Timings};
pub use error::Error;
pub use event::{Changed, Events, ServerEvent, Statistics};
pub use observation::{CancelBy, Notification, Observation, ObservationKey};
pub use registration::{RegisteredLink, Registration};
pub use response::{Delivery, LinkInfo, Response, Traffic};
pub use server::{Server, Switch};
pub use test_object::test_object;
