//! The configurations of the ETS (its annex C), and an agent that runs with one.

use std::fs;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use lwm2m_interop::{Agent, AgentConfig};
use serde_json::json;
use tempfile::TempDir;

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

/// C.4 without security: C.3 on a machine with two batteries.
pub fn c4(server: SocketAddr, machine: &Machine) -> AgentConfig {
    c3(server).root(machine.0.path())
}

/// C.12 without security: C.3 and the Portfolio object.
pub fn c12(server: SocketAddr) -> AgentConfig {
    c3(server).object(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../registry/16.xml")))
}

/// A made-up machine, which the agent takes for the one that it runs on.
pub struct Machine(TempDir);

impl Machine {
    /// One with an internal battery and an external one, as C.4 has them.
    pub fn with_two_batteries() -> Self {
        let machine = Self(TempDir::new().expect("a temporary directory"));
        for (name, kind) in [("BAT0", "Battery"), ("UPS", "UPS")] {
            let supply = machine.0.path().join("sys/class/power_supply").join(name);
            fs::create_dir_all(&supply).expect("a directory of its own");
            let content = [
                ("type", kind),
                ("present", "1"),
                ("status", "Charging"),
                ("capacity", "0"),
                ("voltage_now", "0"),
                ("current_now", "0"),
            ];
            for (file, text) in content {
                fs::write(supply.join(file), text).expect("a file of its own");
            }
        }
        machine
    }
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
