//! Observations and the conversation: signals to those who asked, and to no others.

use std::collections::HashMap;

use lwm2m_bus::{Agent1Proxy, AgentError, MessageRecord, TypedValue, attributes_to_bus};
use lwm2m_model::{AttributeUpdate, Entry, Path, Value};
use lwm2m_test_server::Server;

use crate::support::{Bus, Daemon, ENDPOINT, Lab, Link, configuration, next, server, soon};

struct World {
    _lab: Lab,
    bus: Bus,
    daemon: Daemon,
    server: Server,
}

impl World {
    async fn start() -> Option<Self> {
        let (server, address) = server().await;
        let text = configuration(&[Link::nosec(101, address)]);
        let lab = Lab::new(&format!("{text}objects: {{device: {{manufacturer: ACME}}}}\n"));
        let bus = Bus::start(&lab)?;
        let mut daemon = lab.start_on(&Bus::address(&lab));
        daemon.shows("info: D-Bus: org.lwm2md is on").await;
        daemon.shows("info: server 101: registered").await;
        Some(Self { _lab: lab, bus, daemon, server })
    }

    /// The server reads a resource of Object 3.
    async fn server_reads(&self, resource: u16) {
        self.server.read(ENDPOINT, &Path::resource(3, 0, resource), None).await.unwrap();
    }
}

async fn observe(agent: &Agent1Proxy<'_>, path: &str, query: &str) -> Result<u32, AgentError> {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let attributes = AttributeUpdate::parse(parameters).unwrap().as_attributes().unwrap();
    agent.observe(path, attributes_to_bus(&attributes)).await
}

fn lifetime(seconds: i64) -> Vec<TypedValue> {
    vec![TypedValue::from_entry(&Entry::new(Path::resource(1, 0, 1), Value::Integer(seconds)))]
}

#[tokio::test]
async fn an_observation_gives_the_value_and_its_changes_until_it_is_cancelled() {
    let Some(world) = World::start().await else { return };
    let agent = world.bus.client().await;
    let mut notified = agent.receive_notified().await.unwrap();
    let id = observe(&agent, "/1/0/1", "").await.unwrap();
    for seconds in [300, 400, 500] {
        let signal = next(&mut notified).await;
        let arguments = signal.args().unwrap();
        assert_eq!((arguments.id, &arguments.values), (id, &lifetime(seconds)));
        agent.write_text("/1/0/1", &(seconds + 100).to_string()).await.unwrap();
    }
    agent.cancel(id).await.unwrap();
    assert!(matches!(agent.cancel(id).await, Err(AgentError::NotFound(_))), "only once");
    world.daemon.stop().await;
}

#[tokio::test]
async fn pmin_holds_back_and_pmax_repeats() {
    let Some(world) = World::start().await else { return };
    let agent = world.bus.client().await;
    let mut notified = agent.receive_notified().await.unwrap();
    observe(&agent, "/1/0/1", "pmin=2").await.unwrap();
    assert_eq!(next(&mut notified).await.args().unwrap().values, lifetime(300));
    for seconds in ["400", "500", "600"] {
        agent.write_text("/1/0/1", seconds).await.unwrap();
    }
    let held_back = next(&mut notified).await;
    assert_eq!(held_back.args().unwrap().values, lifetime(600), "the last value alone");

    let id = observe(&agent, "/1/0/1", "pmax=1").await.unwrap();
    for _ in 0..3 {
        let signal = next(&mut notified).await;
        let arguments = signal.args().unwrap();
        assert_eq!((arguments.id, &arguments.values), (id, &lifetime(600)), "nothing changed");
    }
    world.daemon.stop().await;
}

#[tokio::test]
async fn notifications_go_to_the_client_that_asked() {
    let Some(world) = World::start().await else { return };
    let (asks, hears) = (world.bus.client().await, world.bus.client().await);
    let mut overheard = hears.receive_notified().await.unwrap();
    let mut notified = asks.receive_notified().await.unwrap();
    let id = observe(&asks, "/1/0/1", "").await.unwrap();
    next(&mut notified).await;
    assert!(matches!(hears.cancel(id).await, Err(AgentError::NotFound(_))), "not its own");
    asks.write_text("/1/0/1", "400").await.unwrap();
    next(&mut notified).await;
    let own = observe(&hears, "/3/0/0", "").await.unwrap();
    assert_eq!(next(&mut overheard).await.args().unwrap().id, own, "its first signal is its own");
    world.daemon.stop().await;
}

#[tokio::test]
async fn observations_are_bounded_and_end_when_their_client_leaves() {
    let Some(world) = World::start().await else { return };
    let (leaves, stays) = (world.bus.client().await, world.bus.client().await);
    let mut taken = 0;
    let refusal = loop {
        match leaves.observe("/3/0/0", HashMap::new()).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(taken, 256);
    assert!(matches!(refusal, AgentError::Busy(_)), "{refusal:?}");
    assert!(matches!(observe(&stays, "/3/0/0", "").await, Err(AgentError::Busy(_))));
    drop(leaves);
    let until_there_is_room = async {
        while let Err(error) = observe(&stays, "/3/0/0", "").await {
            assert!(matches!(error, AgentError::Busy(_)), "{error:?}");
        }
    };
    soon("room for an observation", until_there_is_room).await;
    world.daemon.stop().await;
}

/// The next message of a conversation.
macro_rules! message {
    ($messages:expr) => {{
        let record: MessageRecord = next(&mut $messages).await.args().unwrap().record;
        record
    }};
}

#[tokio::test]
async fn the_conversation_is_shown_decoded() {
    let Some(world) = World::start().await else { return };
    let agent = world.bus.client().await;
    let mut messages = agent.receive_message().await.unwrap();
    agent.monitor(true).await.unwrap();
    world.server_reads(0).await;
    let request = message!(messages);
    assert_eq!((request.server, request.direction.as_str()), (101, "received"));
    assert_eq!((request.operation.as_str(), request.path.as_deref()), ("Read", Some("/3/0/0")));
    assert_eq!((request.code, request.values), (None, vec![]));
    let answer = message!(messages);
    assert_eq!((answer.operation.as_str(), answer.direction.as_str()), ("Read", "sent"));
    assert_eq!(answer.code.as_deref(), Some("2.05"));
    let maker = Entry::new(Path::resource(3, 0, 0), Value::String("ACME".into()));
    assert_eq!(answer.values, [TypedValue::from_entry(&maker)]);
    assert!(!answer.payload.is_empty() && answer.format.is_some());

    agent.write_text("/1/0/1", "400").await.unwrap();
    let update = message!(messages);
    assert_eq!((update.operation.as_str(), update.detail.as_str()), ("Update", "lt=400"));
    let answer = message!(messages);
    assert_eq!((answer.direction.as_str(), answer.code.as_deref()), ("received", Some("2.04")));
    world.daemon.stop().await;
}

#[tokio::test]
async fn only_those_who_asked_see_the_conversation() {
    let Some(world) = World::start().await else { return };
    let (asks, hears) = (world.bus.client().await, world.bus.client().await);
    let mut messages = asks.receive_message().await.unwrap();
    let mut overheard = hears.receive_message().await.unwrap();
    // Counted: it takes as many ends as beginnings.
    asks.monitor(true).await.unwrap();
    asks.monitor(true).await.unwrap();
    asks.monitor(false).await.unwrap();
    world.server_reads(0).await;
    assert_eq!(message!(messages).path.as_deref(), Some("/3/0/0"));
    assert_eq!(message!(messages).code.as_deref(), Some("2.05"));

    asks.monitor(false).await.unwrap();
    asks.monitor(false).await.unwrap();
    hears.monitor(true).await.unwrap();
    world.server_reads(1).await;
    assert_eq!(message!(overheard).path.as_deref(), Some("/3/0/1"), "its first message");
    asks.monitor(true).await.unwrap();
    world.server_reads(16).await;
    assert_eq!(message!(messages).path.as_deref(), Some("/3/0/16"), "nothing of its pause");
    world.daemon.stop().await;
}
