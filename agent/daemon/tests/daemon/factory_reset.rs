//! `lwm2mctl factory-reset`: what servers wrote is gone, and the device goes on as it is
//! configured, in the same process (DESIGN 7.2).

use lwm2m_bus::Agent1Proxy;
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_server::{Server, ServerConfig};

use crate::support::{Bus, Daemon, ENDPOINT, LIMIT, Lab, Link, configuration, server_with, soon};

const LIFETIME: u16 = 1;
const DEFAULT_PMAX: u16 = 3;

/// A registered daemon to which its server has written, over a secure link.
struct World {
    lab: Lab,
    _bus: Bus,
    daemon: Daemon,
    server: Server,
    agent: Agent1Proxy<'static>,
}

impl World {
    async fn start() -> Option<Self> {
        let (server, address) = server_with(ServerConfig {
            coap: None,
            coaps: Some(([127, 0, 0, 1], 0).into()),
            psk: vec![(b"gateway".to_vec(), vec![7; 4])],
            ..ServerConfig::default()
        })
        .await;
        let link = Link::psk(101, address, "gateway", "hex: \"07070707\"");
        let lab = Lab::new(&configuration(&[link]));
        let bus = Bus::start(&lab)?;
        let mut daemon = lab.start_on(&Bus::address(&lab));
        daemon.shows("org.lwm2md is on").await;
        daemon.shows("server 101: registered").await;
        let agent = bus.client().await;
        let world = Self { lab, _bus: bus, daemon, server, agent };
        for (resource, value) in [(LIFETIME, 7200), (DEFAULT_PMAX, 3000)] {
            let path = Path::resource(1, 0, resource);
            let entries = [Entry::new(path.clone(), Value::Integer(value))];
            let (mode, format) = (WriteMode::Replace, ContentFormat::TEXT);
            let answer = world.server.write(ENDPOINT, &path, mode, format, &entries).await;
            assert_eq!(answer.unwrap().code, Code::CHANGED);
        }
        world.server.write_attributes(ENDPOINT, &account(), &["pmin=1"]).await.unwrap();
        Some(world)
    }

    /// What the server finds: the lifetime, and whether attributes are attached.
    async fn found(&self) -> (Option<Value>, bool) {
        let path = Path::resource(1, 0, LIFETIME);
        let read = self.server.read(ENDPOINT, &path, None).await.unwrap();
        let links = self.server.discover(ENDPOINT, &account(), None).await.unwrap();
        let links = String::from_utf8(links.payload).unwrap();
        (read.value(&path).cloned(), links.contains("pmin=1"))
    }
}

fn account() -> Path {
    Path::instance(1, 0)
}

fn as_written() -> (Option<Value>, bool) {
    (Some(Value::Integer(7200)), true)
}

fn as_configured() -> (Option<Value>, bool) {
    (Some(Value::Integer(300)), false)
}

/// DESIGN 7.2.
#[tokio::test]
async fn a_reset_daemon_goes_on_as_configured_without_a_restart() {
    let Some(mut world) = World::start().await else { return };
    let observed = Path::resource(1, 0, DEFAULT_PMAX);
    world.server.observe(ENDPOINT, &observed, &[], None).await.unwrap();
    assert_eq!(world.found().await, as_written());
    let before = world.server.registration(ENDPOINT).await.unwrap();

    soon("the reset", world.agent.factory_reset()).await.unwrap();
    world.daemon.line("factory reset: what servers have written is removed").await;
    world.daemon.line("server 101: no longer registered: the device forgets").await;
    world.daemon.line("server 101: registered with LwM2M 1.2, lifetime 5 min").await;
    let after = world.server.registration(ENDPOINT).await.unwrap();
    assert_ne!(after.location, before.location);
    assert_eq!(after.lifetime, 300);
    assert_eq!(world.found().await, as_configured());
    assert_eq!(world.agent.servers().await.unwrap()[0].observations, 0);

    // It stays so, and what is written from now on is kept.
    let log = world.daemon.stop().await;
    assert!(!log.contains("cannot be"), "{log}");
    world.daemon = world.lab.start();
    world.daemon.line("server 101: still registered").await;
    assert_eq!(world.found().await, as_configured());
    world.daemon.stop().await;
}

/// DESIGN 8.2.
#[tokio::test]
async fn a_daemon_killed_while_it_is_reset_is_as_before_or_as_new() {
    for delay in [0, 1, 2, 4, 8, 16, 32, 64] {
        let Some(mut world) = World::start().await else { return };
        let limit = std::time::Duration::from_millis(delay);
        let answered = tokio::time::timeout(limit, world.agent.factory_reset()).await;
        drop(world.daemon); // SIGKILL
        world.daemon = world.lab.start();
        world.daemon.line("registered with LwM2M").await;
        world.server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
        let found = world.found().await;
        let is_old = found == as_written() && answered.is_err();
        assert!(is_old || found == as_configured(), "after {delay} ms: {found:?}");
        world.daemon.stop().await;
    }
}
