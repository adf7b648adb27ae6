//! What the scenarios share: peers that may be missing, an agent that is registered.

use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_interop::aiocoap::Aiocoap;
use lwm2m_interop::leshan::Leshan;
use lwm2m_interop::{Agent, AgentConfig, Registration, Response, Server, scenario};
use lwm2m_model::{Code, ContentFormat, Path, Value, WriteMode};

/// Definitions of objects.
const REGISTRY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../registry");
/// The endpoint name of every agent here.
pub(crate) const ENDPOINT: &str = "urn:dev:ops:0A1B2C-interop-1";
/// For what happens at once, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Seconds; no Update for this reason in a scenario that does not want one.
pub(crate) const LIFETIME: u32 = 3600;

/// A Leshan server that knows the agent's versions of the objects; its own are older.
pub(crate) fn leshan() -> Leshan {
    Leshan::new().models(REGISTRY)
}

/// Runs `scenario` with a Leshan server and keeps a record of it; without Java it only
/// says so.
pub(crate) fn with_leshan(name: &str, leshan: &Leshan, scenario: impl FnOnce(Server)) {
    if !lwm2m_interop::leshan::java_available() {
        return not_run(name, "leshan", "needs java, javac and mvn");
    }
    scenario(leshan.start().unwrap());
    scenario::ran("leshan", name).unwrap();
}

/// As [`with_leshan`], with an aiocoap server.
pub(crate) fn with_aiocoap(name: &str, aiocoap: &Aiocoap, scenario: impl FnOnce(Server)) {
    if !lwm2m_interop::aiocoap::available() {
        return not_run(name, "aiocoap", "needs Python with virtual environments");
    }
    scenario(aiocoap.start().unwrap());
    scenario::ran("aiocoap", name).unwrap();
}

/// Says that a scenario is left out, also to whoever reads the record.
pub(crate) fn not_run(name: &str, peer: &str, reason: &str) {
    eprintln!("not run: {name}: {reason}");
    scenario::not_run(peer, reason).unwrap();
}

/// An account without security that will not be updated soon.
pub(crate) fn nosec(server: SocketAddr) -> AgentConfig {
    AgentConfig::nosec(ENDPOINT, server).account("lifetime", LIFETIME)
}

/// An account without security, and the test object with the initial values of its
/// definition in instance 0.
pub(crate) fn with_test_object(server: SocketAddr) -> AgentConfig {
    nosec(server).object(&std::path::Path::new(REGISTRY).join("3442.xml"))
}

/// An agent that is registered at `server`.
pub(crate) fn register(server: &Server, config: &AgentConfig) -> (Agent, Registration) {
    let agent = config.start().unwrap();
    let registration = server
        .wait_registration(ENDPOINT, LIMIT)
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log().join("\n")));
    // The server knows it a moment before the agent does.
    agent.wait_log("registered with LwM2M", LIMIT).unwrap();
    (agent, registration)
}

/// An agent without security, registered.
pub(crate) fn registered(server: &Server) -> Agent {
    register(server, &nosec(server.coap_address())).0
}

pub(crate) fn path(text: &str) -> Path {
    text.parse().unwrap()
}

pub(crate) fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// Writes one resource in text.
pub(crate) fn write_text(server: &Server, at: &str, value: &Value) {
    let (mode, format) = (WriteMode::Replace, Some(ContentFormat::TEXT));
    let answer = server.write(ENDPOINT, &path(at), mode, format, value).unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED), "{at}: {answer:?}");
}

/// Reads a resource in text, as the device has it.
pub(crate) fn read_text(server: &Server, at: &str) -> String {
    let answer = server.read(ENDPOINT, &path(at), Some(ContentFormat::TEXT)).unwrap();
    assert_eq!(answer.code, Some(Code::CONTENT), "{at}: {answer:?}");
    String::from_utf8(answer.payload).unwrap()
}

#[track_caller]
pub(crate) fn assert_code(answer: &Response, code: Code) {
    assert_eq!(answer.code, Some(code), "{answer:?}");
}
