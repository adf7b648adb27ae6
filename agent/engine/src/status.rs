//! The state of the engine for `lwm2mctl status`: a copy, nothing refers back.

use std::sync::Arc;

use lwm2m_model::{Instant, ObjectDef, Version};

use crate::SecurityMode;

/// The state of the engine at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Endpoint Client Name.
    pub endpoint: String,
    /// Why nothing can be stored now; `None` if the last commit was done.
    pub not_persisted: Option<String>,
    /// One entry a server account.
    pub servers: Vec<ServerStatus>,
    /// Objects served, ascending, Security and Server included.
    pub objects: Vec<ObjectStatus>,
}

/// The state of one server account.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerStatus {
    /// Short Server ID.
    pub short_server_id: u16,
    /// Server URI.
    pub uri: String,
    /// Security Mode.
    pub security: SecurityMode,
    /// What it does now.
    pub state: ServerState,
    /// Version agreed on, or tried.
    pub version: Version,
    /// Location-Path of the registration.
    pub location: Option<String>,
    /// Lifetime in seconds; 0 is for ever.
    pub lifetime: u32,
    /// Registered with queue mode.
    pub queue_mode: bool,
    /// When the registration was made.
    pub registered_at: Option<Instant>,
    /// When Register or Update was last answered.
    pub last_update: Option<Instant>,
    /// When the next Update, attempt or waking is due.
    pub next: Option<Instant>,
    /// Why the last attempt failed; `None` after a success.
    pub last_error: Option<String>,
    /// Attempts since the last success.
    pub failures: u32,
    /// Observations held.
    pub observations: usize,
    /// Datagrams and CoAP events of the current link.
    pub counters: lwm2m_coap::Counters,
}

/// What a server account does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// Waits for its next attempt.
    Waiting,
    /// Opens a link.
    Connecting,
    /// Has sent Register.
    Registering,
    /// Registered and reachable.
    Registered,
    /// Registered, asleep in queue mode.
    Asleep,
    /// Has sent De-register.
    Deregistering,
    /// Disabled by its server (`/1/x/4`).
    Disabled,
    /// Stopped.
    Stopped,
}

impl ServerState {
    /// One word for people and scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Registering => "registering",
            Self::Registered => "registered",
            Self::Asleep => "asleep",
            Self::Deregistering => "de-registering",
            Self::Disabled => "disabled",
            Self::Stopped => "stopped",
        }
    }
}

/// An object and its instances.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectStatus {
    /// Definition.
    pub definition: Arc<ObjectDef>,
    /// Instances, ascending.
    pub instances: Vec<u16>,
}
