//! What a story starts from.

use lwm2m_engine::{Account, EngineConfig, Retry, SecurityMode};
use lwm2m_model::Version;
use lwm2m_model::record::BootId;

use crate::{Manner, Network, Security};

/// What a story starts from; the default is a device without security or queue mode,
/// a good network, and a server that accepts every version.
pub struct Setup {
    /// Seed of every chance.
    pub seed: u64,
    /// The configuration of the engine; its first account is the server's, and each
    /// other one has a server in a good network.
    pub config: EngineConfig,
    /// The network.
    pub network: Network,
    /// How the server behaves.
    pub manner: Manner,
    /// Whether a log is kept, which costs time.
    pub keeps_log: bool,
}

impl Setup {
    /// The usual start, with this seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            config: EngineConfig {
                endpoint: ENDPOINT.into(),
                version: Version::V1_2,
                min_version: Version::V1_0,
                bindings: "U".into(),
                boot: BootId([1; 16]),
                accounts: vec![Account::new(SERVER_ID, "coap://server.example")],
                coap: lwm2m_coap::Config::default(),
                seed: [0; 32],
            },
            network: Network::good(),
            manner: Manner::default(),
            keeps_log: true,
        }
    }

    /// The account.
    pub fn account(&mut self) -> &mut Account {
        &mut self.config.accounts[0]
    }

    /// The device sleeps.
    pub fn queue_mode(&mut self) {
        self.account().queue_mode = true;
    }

    /// Links are secured.
    pub fn secured(&mut self, security: Security) {
        self.network.security = security;
        let account = self.account();
        account.security = SecurityMode::Psk;
        account.uri = "coaps://server.example".into();
    }
}

/// Retries that fit into a story of hours: 3 attempts from 60 s on, then 600 s.
pub const fn short_retry() -> Retry {
    Retry { count: 3, timer: 60, sequence_delay: 600, sequence_count: 1 }
}

pub(crate) const ENDPOINT: &str = "urn:dev:ops:0A1B2C-GW100-4711";
pub(crate) const SERVER_ID: u16 = 101;
