//! The few OpenSSL calls for DTLS that the `openssl` crate does not wrap.
//!
//! The one crate of the workspace with `unsafe`: each block says why it is
//! sound, each function that leaves here is safe. It owns no protocol rule;
//! those are in `lwm2m-security`.

// The calls below exist in libssl alone; nothing else here needs `unsafe`.
#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod cipher;
mod session;
mod timer;
mod timeval;

pub use cipher::pending_cipher;
pub use session::offer_session;
pub use timer::{
    MAX_RETRANSMISSION, MIN_RETRANSMISSION, handle_timeout, retransmission_due_in,
    set_initial_retransmission,
};
