//! Objects that are there to be written (16, 19), and the Event Log (20), by a server and
//! by programs on the bus.

use lwm2m_bus::{Agent1Proxy, TypedValue};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, Version, WriteMode};
use lwm2m_test_server::{Registration, Server};

use crate::support::{Bus, Daemon, ENDPOINT, LIMIT, Lab, Link, configuration, server, soon};

const OBJECTS: &str =
    "objects: {portfolio: [host-1, ACME], binary_app_data: {limit: 100}, event_log: journal}\n";

/// A registered daemon with these objects, and a program on the bus.
struct World {
    lab: Lab,
    bus: Bus,
    daemon: Daemon,
    server: Server,
    agent: Agent1Proxy<'static>,
}

impl World {
    async fn start() -> Option<Self> {
        let (server, address) = server().await;
        let lab = Lab::new(&(configuration(&[Link::nosec(101, address)]) + OBJECTS));
        let bus = Bus::start(&lab)?;
        let mut daemon = lab.start_on(&Bus::address(&lab));
        daemon.shows("org.lwm2md is on").await;
        daemon.shows("server 101: registered").await;
        let agent = bus.client().await;
        Some(Self { lab, bus, daemon, server, agent })
    }

    /// SIGKILL, and a start anew.
    async fn restart(self) -> Self {
        let Self { lab, bus, daemon, server, .. } = self;
        drop(daemon);
        let mut daemon = lab.start_on(&Bus::address(&lab));
        daemon.shows("org.lwm2md is on").await;
        daemon.shows("server 101: ").await;
        let agent = bus.client().await;
        Self { lab, bus, daemon, server, agent }
    }

    async fn value(&self, at: &str) -> Result<Value, Code> {
        let read = self.server.read(ENDPOINT, &path(at), None).await.unwrap();
        read.value(&path(at)).cloned().ok_or(read.code)
    }

    async fn write(&self, at: &str, value: Value) -> Code {
        let entries = [Entry::new(path(at), value)];
        let (mode, format) = (WriteMode::Replace, ContentFormat::SENML_CBOR);
        self.server.write(ENDPOINT, &path(at), mode, format, &entries).await.unwrap().code
    }
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Opaque(bytes.into())
}

fn has(instance: &'static str) -> impl Fn(&Registration) -> bool {
    move |known| known.links.iter().any(|link| link.path == path(instance))
}

/// OBJ-105: both sides make, write and remove instances, and each hears of the other.
#[tokio::test]
async fn a_server_and_a_program_exchange_bytes() {
    let Some(world) = World::start().await else { return };
    let made = [
        Entry::new(path("/19/4/0/0"), bytes(&[0, 0xff])),
        Entry::new(path("/19/4/5"), Value::Integer(7)),
    ];
    let format = ContentFormat::SENML_CBOR;
    let answer = world.server.create(ENDPOINT, &path("/19"), format, &made).await.unwrap();
    assert_eq!(answer.code, Code::CREATED);
    world.server.wait_for(has("/19/4"), "/19/4".into(), LIMIT).await.unwrap();
    let read = world.agent.read("/19/4/0").await.unwrap();
    let sent = TypedValue::from_entry(&Entry::new(path("/19/4/0/0"), bytes(&[0, 0xff])));
    assert_eq!(read, [sent]);

    let observed = path("/19/4/0");
    let mut observation = world.server.observe(ENDPOINT, &observed, &[], None).await.unwrap();
    let answer = TypedValue::from_entry(&Entry::new(path("/19/4/0/0"), bytes(b"answer")));
    world.agent.write("/19/4/0", &[answer]).await.unwrap();
    let notification = observation.next_within(LIMIT).await.unwrap();
    assert_eq!(notification.entries[0].value(), Some(&bytes(b"answer")));

    // One of the program's, its bytes in hexadecimal.
    let created = world.agent.create("/19", &[("0/0", "010203"), ("1", "2")]).await.unwrap();
    assert_eq!(created, "/19/0");
    world.server.wait_for(has("/19/0"), "/19/0".into(), LIMIT).await.unwrap();
    assert_eq!(world.value("/19/0/0/0").await, Ok(bytes(&[1, 2, 3])));

    assert_eq!(world.write("/19/4/0/0", bytes(&[0; 101])).await, Code::BAD_REQUEST);
    assert_eq!(world.write("/19/4/1", Value::Integer(256)).await, Code::BAD_REQUEST, "OBJ-04");
    assert_eq!(world.write("/19/4/1", Value::Integer(2)).await, Code::CHANGED);

    let world = world.restart().await;
    assert_eq!(world.value("/19/4/0/0").await, Ok(bytes(b"answer")));
    assert_eq!(world.value("/19/0/0/0").await, Ok(bytes(&[1, 2, 3])));
    let gone = world.server.delete(ENDPOINT, &path("/19/0")).await.unwrap();
    assert_eq!(gone.code, Code::DELETED);
    world.agent.delete("/19/4").await.unwrap();
    assert_eq!(world.value("/19/4/0/0").await, Err(Code::NOT_FOUND));
    world.daemon.stop().await;
}

#[tokio::test]
async fn a_portfolio_is_written_and_forgotten() {
    let Some(world) = World::start().await else { return };
    let text = |text: &str| Value::String(text.into());
    assert_eq!(world.value("/16/0/0/1").await, Ok(text("ACME")));
    assert_eq!(world.write("/16/0/0/0", text("host-2")).await, Code::CHANGED);
    let run = world.server.execute(ENDPOINT, &path("/16/0/1"), None).await.unwrap();
    assert_eq!(run.code, Code::NOT_FOUND);
    let mut world = world.restart().await;
    assert_eq!(world.value("/16/0/0/0").await, Ok(text("host-2")));

    soon("the reset", world.agent.factory_reset()).await.unwrap();
    world.daemon.line("server 101: registered").await;
    // It goes on meanwhile: the disk is waited for.
    let forgotten = async { while world.value("/16/0/0/0").await != Ok(text("host-1")) {} };
    soon("the portfolio as configured", forgotten).await;
    let world = world.restart().await;
    assert_eq!(world.value("/16/0/0/0").await, Ok(text("host-1")));
    world.daemon.stop().await;
}

/// OBJ-13: the version is told.
#[tokio::test]
async fn the_event_log_is_announced_and_asked() {
    let Some(world) = World::start().await else { return };
    let known = world.server.registration(ENDPOINT).await.unwrap();
    let log = known.links.iter().find(|link| link.path == path("/20")).unwrap();
    assert_eq!(log.version, Some(Version::new(2, 1)));
    assert_eq!(world.value("/20/0/4011").await, Err(Code::METHOD_NOT_ALLOWED));
    assert_eq!(world.value("/20/0/4016").await, Err(Code::NOT_FOUND), "it comes with Send");
    let run = async |at: &str, arguments| {
        world.server.execute(ENDPOINT, &path(at), arguments).await.unwrap().code
    };
    assert_eq!(run("/20/0/4012", Some("0='1'")).await, Code::CHANGED);
    // Nothing is collected, so that no journal is needed to say so.
    assert_eq!(world.value("/20/0/4013").await, Ok(Value::Integer(1)));
    assert_eq!(world.value("/20/0/4014").await, Ok(bytes(b"")));
    assert_eq!(run("/20/0/4011", Some("0,100")).await, Code::BAD_REQUEST);
    world.daemon.stop().await;
}
