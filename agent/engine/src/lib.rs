//! The LwM2M client as a state machine: sans-IO, and it knows no clock.
//!
//! [`Engine`] holds all of it. Time, datagrams, answers of objects and orders of
//! the operator go in as [`Input`]; datagrams to send, calls of objects and events
//! come out as [`Output`]. It never calls a clock, a socket, a disk or a source of
//! randomness, so every situation is a test that runs in milliseconds.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod account;
mod attributes;
mod backlog;
mod binding;
mod call;
mod create;
mod discover;
mod dispatch;
mod engine;
mod evaluator;
mod event;
mod fetch;
mod io;
mod notify;
mod object_links;
mod object_list;
mod observations;
mod observe;
mod persistence;
mod queue_mode;
mod registration;
mod reply;
mod reset;
mod restore;
mod server;
mod server_object;
mod status;
mod storing;
mod stream;
mod values;

pub use account::{
    Account, DEFAULT_DISABLE_TIMEOUT, DEFAULT_LIFETIME, EngineConfig, Retry, SecurityMode,
};
pub use backlog::{MAX_STORED, MAX_STORED_BYTES, MAX_STORED_OF_OBSERVATION};
pub use call::{Call, CallId, CallOperation, CallReply, CallResult};
pub use engine::{Engine, MAX_SERVERS};
pub use event::{Direction, Event, MessageRecord};
pub use fetch::{
    CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget, FetchFailure, FetchFailureKind,
    Fetched, MAX_ETAG, MAX_PART, Resume,
};
pub use io::{
    Command, Continuity, Deregister, Input, LinkId, LocalRequest, Monitor, Output, Reason, Ticket,
};
pub use observe::MAX_OBSERVATIONS;
pub use persistence::MAX_WAITING_TO_PERSIST;
pub use status::{ObjectStatus, ServerState, ServerStatus, Status};
