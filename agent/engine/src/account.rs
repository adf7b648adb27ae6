//! What the engine is configured with: the device and its server accounts
//! (Core 4.1, Objects 2 and 3).

use std::time::Duration;

use lwm2m_model::Version;
use lwm2m_model::record::{BootId, Fingerprint};

/// What is fixed when the engine is made. It has no `Debug`, which would show the seed.
#[derive(Clone, PartialEq)]
pub struct EngineConfig {
    /// Endpoint Client Name (Core 2.3).
    pub endpoint: String,
    /// Highest LwM2M version to offer.
    pub version: Version,
    /// Lowest LwM2M version to step down to after a 4.12 (CORE-20).
    pub min_version: Version,
    /// Bindings built in and enabled, as `/3/0/16` lists them (OBJ-68).
    pub bindings: String,
    /// LwM2M Server accounts, in the order of their Object 0 and 1 instances.
    pub accounts: Vec<Account>,
    /// Transmission parameters of CoAP and its limits.
    pub coap: lwm2m_coap::Config,
    /// Tells this boot of the system from others, so that a moment can be placed after
    /// a restart of the program.
    pub boot: BootId,
    /// Seed of every random choice: tokens, message ids, jitter.
    pub seed: [u8; 32],
}

/// An LwM2M Server account: an instance of Security and one of Server.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Short Server ID, 1..=65534 (`/0/x/10`, `/1/x/0`).
    pub short_server_id: u16,
    /// Server URI (`/0/x/0`).
    pub uri: String,
    /// Security Mode (`/0/x/2`).
    pub security: SecurityMode,
    /// PSK identity (`/0/x/3`); empty without one. The key never gets here.
    pub identity: String,
    /// Lifetime in seconds (`/1/x/1`); 0 is for ever.
    pub lifetime: u32,
    /// Binding (`/1/x/7`): letters of transports, without the Q of LwM2M 1.0.
    pub binding: String,
    /// Register with queue mode (Core 5.8).
    pub queue_mode: bool,
    /// Stay awake so long after the last message; `None`: MAX_TRANSMIT_WAIT of
    /// the transmission parameters, 93 s by default.
    pub awake_time: Option<Duration>,
    /// Default Minimum Period in seconds (`/1/x/2`).
    pub default_pmin: Option<u32>,
    /// Default Maximum Period in seconds (`/1/x/3`).
    pub default_pmax: Option<u32>,
    /// Disable Timeout in seconds (`/1/x/5`).
    pub disable_timeout: u32,
    /// Notification Storing When Disabled or Offline (`/1/x/6`).
    pub notification_storing: bool,
    /// Confirmable notifications unless an attribute says otherwise (`/1/x/26`).
    pub confirmable_notifications: bool,
    /// Registration retry (`/1/x/17` to 20).
    pub retry: Retry,
    /// The server may wake the device by SMS (`/1/x/21`); kept for servers to read.
    pub trigger: Option<bool>,
    /// Preferred Transport (`/1/x/22`), a binding letter; kept for servers to read.
    pub preferred_transport: Option<char>,
    /// Mute Send (`/1/x/23`); absent is true. Kept for servers to read.
    pub mute_send: Option<bool>,
}

/// How registration is tried again (Core 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in one sequence, at least 1 (`/1/x/17`).
    pub count: u32,
    /// Base of the back-off in seconds (`/1/x/18`); doubled after each attempt.
    pub timer: u32,
    /// Seconds between two sequences (`/1/x/19`).
    pub sequence_delay: u32,
    /// Sequences before the registration counts as failed (`/1/x/20`). Kept for
    /// servers to read: what follows then is bootstrap, and without a
    /// bootstrap server sequences go on for ever.
    pub sequence_count: u32,
}

impl Default for Retry {
    /// The values of Core 5.4: 5 attempts, 60 s, 86400 s, 1 sequence.
    fn default() -> Self {
        Self { count: 5, timer: 60, sequence_delay: 86_400, sequence_count: 1 }
    }
}

/// Security Mode (Transport 12.2); the numbers are those of `/0/x/2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityMode {
    /// Pre-shared key.
    Psk,
    /// No security on this link.
    NoSec,
}

impl SecurityMode {
    /// The number in `/0/x/2`.
    pub const fn number(self) -> i64 {
        match self {
            Self::Psk => 0,
            Self::NoSec => 3,
        }
    }
}

impl Account {
    /// True if a registration under this account is one under `changed` too: the same
    /// server, and what only a Register tells to servers of every version.
    pub(crate) fn keeps_registration(&self, changed: &Self) -> bool {
        self.uri == changed.uri
            && self.security == changed.security
            && self.identity == changed.identity
            && self.queue_mode == changed.queue_mode
    }

    /// What tells this account from another one in the same place of the configuration.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let Self {
            short_server_id,
            uri,
            security,
            identity,
            lifetime,
            binding,
            queue_mode,
            awake_time,
            default_pmin,
            default_pmax,
            disable_timeout,
            notification_storing,
            confirmable_notifications,
            retry: Retry { count, timer, sequence_delay, sequence_count },
            trigger,
            preferred_transport,
            mute_send,
        } = self;
        let awake = awake_time.map(|time| time.as_millis());
        // A field that is added later must add nothing while it has its default: what
        // servers wrote outlives a new version of the agent.
        let numbers = format!(
            "{short_server_id} {} {lifetime} {queue_mode} {awake:?} {default_pmin:?} \
             {default_pmax:?} {disable_timeout} {notification_storing} \
             {confirmable_notifications} {count} {timer} {sequence_delay} {sequence_count} \
             {trigger:?} {preferred_transport:?} {mute_send:?}",
            security.number()
        );
        let fields = [uri.as_str(), identity, binding, &numbers];
        Fingerprint::of(fields.map(str::as_bytes))
    }

    /// The same for what [`Account::keeps_registration`] compares.
    pub(crate) fn registration_fingerprint(&self) -> Fingerprint {
        let numbers = format!("{} {}", self.security.number(), self.queue_mode);
        let fields = [self.uri.as_str(), self.identity.as_str(), &numbers];
        Fingerprint::of(fields.map(str::as_bytes))
    }

    /// An account with every optional resource at its default.
    pub fn new(short_server_id: u16, uri: impl Into<String>) -> Self {
        Self {
            short_server_id,
            uri: uri.into(),
            security: SecurityMode::NoSec,
            identity: String::new(),
            lifetime: DEFAULT_LIFETIME,
            binding: "U".into(),
            queue_mode: false,
            awake_time: None,
            default_pmin: None,
            default_pmax: None,
            disable_timeout: DEFAULT_DISABLE_TIMEOUT,
            notification_storing: true,
            confirmable_notifications: false,
            retry: Retry::default(),
            trigger: None,
            preferred_transport: None,
            mute_send: None,
        }
    }

    /// What `/1/x/7` says to a server of this version: 1.0 has queue mode in it.
    pub(crate) fn binding_text(&self, version: Version) -> String {
        with_queue_mode(self.binding.clone(), self.queue_mode && version < Version::V1_1)
    }
}

/// Binding letters as LwM2M 1.0 has them with queue mode: `U` is `UQ`, `US` is `UQS`.
pub(crate) fn with_queue_mode(mut letters: String, queue_mode: bool) -> String {
    if queue_mode {
        let second = letters.char_indices().nth(1).map_or(letters.len(), |(at, _)| at);
        letters.insert(second, 'Q');
    }
    letters
}

/// Lifetime where a server names none, seconds (Core 5.1).
pub const DEFAULT_LIFETIME: u32 = 86_400;
/// `/1/x/5` where it is absent, seconds (Objects 3).
pub const DEFAULT_DISABLE_TIMEOUT: u32 = 86_400;
