//! A judge for the OMA interoperability cases (ETS INT 1.2): the server's side of a
//! case, down to the bytes on the wire.
//!
//! [`Judge`] is a socket, plain or with DTLS, that a test drives step by step. What it
//! sends and takes apart it does with coap-lite and the few lines of [`payload`], not
//! with the agent's own crates, so that a mistake does not cancel itself out. It panics
//! where the agent does not do what a case wants: that is what fails the test.

mod judge;
mod lab;
mod message;
pub mod payload;
mod secure;

pub use judge::{Judge, LIMIT};
pub use lab::{Lab, Machine, c1, c1_psk, c3, c4, c12, endpoint};
pub use message::{Ask, Message};
pub use secure::Secure;
