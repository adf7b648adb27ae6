//! The configurations of the ETS (its annex C), and an agent that runs with one.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use lwm2m_interop::{Agent, AgentConfig};
use serde_json::json;

use crate::{Judge, Message};

/// An agent that is registered at a judge. The judge's methods are those of the lab.
pub struct Lab {
    /// The agent.
    pub agent: Agent,
    /// The judge.
    pub judge: Judge,
    /// The Register.
    pub register: Message,
}

impl Lab {
    /// Starts an agent with a configuration for a plain judge, up to the 2.01.
    #[track_caller]
    pub fn start(configuration: impl FnOnce(SocketAddr) -> AgentConfig) -> Self {
        let judge = Judge::plain();
        let configuration = configuration(judge.address());
        Self::with(judge, &configuration)
    }

    /// The same with a judge that is there.
    #[track_caller]
    pub fn with(mut judge: Judge, configuration: &AgentConfig) -> Self {
        let agent = configuration.start().expect("the agent starts");
        let register = judge.register();
        Self { agent, judge, register }
    }
}

impl Deref for Lab {
    type Target = Judge;

    fn deref(&self) -> &Judge {
        &self.judge
    }
}

impl DerefMut for Lab {
    fn deref_mut(&mut self) -> &mut Judge {
        &mut self.judge
    }
}

/// C.1 without security: SRV-MIN and DEV-MIN.
pub fn c1(server: SocketAddr) -> AgentConfig {
    minimal(AgentConfig::nosec(endpoint(), server))
}

/// C.1 as the ETS has it, with a pre-shared key.
pub fn c1_psk(server: SocketAddr, identity: &str, key: &[u8]) -> AgentConfig {
    minimal(AgentConfig::psk(endpoint(), server, identity, key))
}

/// C.3 without security: C.1 and the defaults of the server.
pub fn c3(server: SocketAddr) -> AgentConfig {
    c1(server)
        .account("default_pmin", 1)
        .account("default_pmax", 10)
        .account("disable_timeout", 86_400)
}

/// What C.1 has beside the way to the server.
fn minimal(config: AgentConfig) -> AgentConfig {
    config
        .account("short_server_id", 1)
        .account("lifetime", 86_400)
        .account("notification_storing", false)
        .account("binding", "U")
        .general(
            "objects",
            json!({ "device": { "manufacturer": "ACME", "model": "GW-100", "serial": "4711" } }),
        )
}

/// The endpoint name of every agent here.
pub fn endpoint() -> &'static str {
    "urn:dev:ops:0A1B2C-GW100-4711"
}
