//! Every method of `org.lwm2md.Agent1`, with its errors.

use lwm2m_bus::{Agent1Proxy, AgentError, BUS_NAME, OBJECT_PATH, TypedValue};
use lwm2m_model::{Entry, Path, Value};
use lwm2m_test_server::{Server, ServerEvent};

use crate::support::{
    Bus, Daemon, ENDPOINT, LIMIT, Lab, Link, closed_port, configuration, server, soon,
};

const DEVICE: &str = "objects: {device: {manufacturer: ACME, model: GW-100, serial: \"4711\"}}\n";

/// A registered daemon on a bus, and a client.
struct World {
    _lab: Lab,
    bus: Bus,
    daemon: Daemon,
    server: Server,
    agent: Agent1Proxy<'static>,
}

impl World {
    async fn start() -> Option<Self> {
        let (server, address) = server().await;
        let text = configuration(&[Link::nosec(101, address), Link::nosec(102, closed_port())]);
        let lab = Lab::new(&format!("{text}{DEVICE}"));
        let bus = Bus::start(&lab)?;
        let mut daemon = lab.start_on(&Bus::address(&lab));
        daemon.shows("info: D-Bus: org.lwm2md is on").await;
        daemon.shows("info: server 101: registered").await;
        let agent = bus.client().await;
        Some(Self { _lab: lab, bus, daemon, server, agent })
    }
}

fn integer(path: &str, number: i64) -> TypedValue {
    TypedValue::from_entry(&Entry::new(path.parse().unwrap(), Value::Integer(number)))
}

fn text(path: &str, text: &str) -> TypedValue {
    TypedValue::from_entry(&Entry::new(path.parse().unwrap(), Value::String(text.into())))
}

#[tokio::test]
async fn state_is_shown() {
    let Some(world) = World::start().await else { return };
    let World { agent, daemon, .. } = world;
    let status = agent.status().await.unwrap();
    assert_eq!((status.endpoint.as_str(), status.objects), (ENDPOINT, 5));
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));

    let servers = agent.servers().await.unwrap();
    assert_eq!(servers.len(), 2);
    let server = &servers[0];
    assert_eq!((server.short_server_id, server.state.as_str()), (101, "registered"));
    assert_eq!((server.security.as_str(), server.version.as_str()), ("nosec", "1.2"));
    assert_eq!((server.lifetime, server.failures, &server.last_error), (300, 0, &None));
    assert!(server.location.is_some() && server.next_in.is_some_and(|next| next <= 300));
    assert_eq!((server.counters["Sent"], server.counters["Received"]), (1, 1));

    let objects = agent.objects().await.unwrap();
    let shown: Vec<_> = objects.iter().map(|object| (object.id, &object.instances[..])).collect();
    assert_eq!(shown, [(0, &[0, 1][..]), (1, &[0, 1]), (3, &[0]), (4, &[0]), (7, &[0])]);
    daemon.stop().await;
}

#[tokio::test]
async fn values_are_read_and_written() {
    let Some(world) = World::start().await else { return };
    let World { agent, daemon, server, .. } = world;
    assert_eq!(agent.read("/3/0/0").await.unwrap(), [text("/3/0/0", "ACME")]);
    let device = agent.read("/3/0").await.unwrap();
    assert!(device.contains(&text("/3/0/1", "GW-100")) && device.contains(&text("/3/0/2", "4711")));
    let everything = agent.read("/").await.unwrap();
    for known in ["/0/0/0", "/1/1/0", "/3/0/0"] {
        assert!(everything.iter().any(|value| value.path == known), "{known}");
    }

    agent.write_text("/1/0/2", "7").await.unwrap();
    agent.write("/1/0", &[integer("/1/0/1", 600), integer("/1/0/3", 60)]).await.unwrap();
    for (path, number) in [("/1/0/1", 600), ("/1/0/2", 7), ("/1/0/3", 60)] {
        assert_eq!(agent.read(path).await.unwrap(), [integer(path, number)]);
    }
    let has_it = |known: &lwm2m_test_server::Registration| known.lifetime == 600;
    server.wait_for(has_it, "an Update with the lifetime".into(), LIMIT).await.unwrap();

    agent.execute("/3/0/12", "").await.unwrap();
    let paths = agent.discover("/3/0").await.unwrap();
    assert!(paths.contains(&"/3/0/0".into()) && paths.contains(&"/3/0/12".into()), "{paths:?}");
    let paths = agent.discover("/").await.unwrap();
    assert!(paths.contains(&"/1/1/0".into()) && paths.contains(&"/3/0/0".into()), "{paths:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn orders_reach_the_server() {
    let Some(world) = World::start().await else { return };
    let World { agent, daemon, server, .. } = world;
    let mut events = server.events().unwrap();
    for order in 0..3 {
        match order {
            0 => agent.update(101).await.unwrap(),
            1 => agent.update(0).await.unwrap(),
            _ => agent.wake(101).await.unwrap(),
        }
        let update =
            async { while !matches!(events.next().await.unwrap(), ServerEvent::Updated { .. }) {} };
        soon("an Update", update).await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn queue_mode_sleeps_and_wakes_when_told() {
    let (_server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address).with("queue_mode: true")]));
    let Some(bus) = Bus::start(&lab) else { return };
    let mut command = lab.command_with(&Bus::address(&lab), "state");
    command.args(["--log-level", "debug"]);
    let mut daemon = Daemon::spawn(command);
    daemon.shows("info: D-Bus: org.lwm2md is on").await;
    daemon.shows("info: server 101: registered").await;
    let agent = bus.client().await;
    agent.sleep(0).await.unwrap();
    daemon.line("debug: server 101: asleep").await;
    assert_eq!(agent.servers().await.unwrap()[0].state, "asleep");
    agent.wake(0).await.unwrap();
    daemon.line("debug: server 101: awake").await;
    daemon.line("debug: server 101: registration updated").await;
    assert_eq!(agent.servers().await.unwrap()[0].state, "registered");
    daemon.stop().await;
}

/// The name of an error and a part of its reason.
fn told<T: std::fmt::Debug>(result: Result<T, AgentError>) -> (&'static str, String) {
    let error = result.expect_err("a refusal");
    let name = match &error {
        AgentError::NotFound(_) => "NotFound",
        AgentError::MethodNotAllowed(_) => "MethodNotAllowed",
        AgentError::BadRequest(_) => "BadRequest",
        other => panic!("{other:?}"),
    };
    (name, error.reason())
}

#[tokio::test]
async fn each_wrong_call_is_refused_with_its_reason() {
    let Some(world) = World::start().await else { return };
    let World { agent, daemon, .. } = world;
    let none = std::collections::HashMap::new;
    let attribute =
        |name: &str, value: u32| std::collections::HashMap::from([(name.to_owned(), value.into())]);
    let wrong_type = TypedValue { data_type: "Integer".into(), ..text("/1/0/1", "600") };
    let no_type = TypedValue { data_type: "Number".into(), ..integer("/1/0/1", 600) };
    for (refusal, name, reason) in [
        (told(agent.read("3/0").await), "BadRequest", "path \"3/0\": "),
        (told(agent.read("/3/0/x").await), "BadRequest", "path \"/3/0/x\": "),
        (told(agent.read("/65535").await), "BadRequest", "path \"/65535\": "),
        (told(agent.read("/9").await), "NotFound", "there is no object /9"),
        (told(agent.read("/3/1").await), "NotFound", "there is no instance /3/1"),
        (told(agent.read("/3/0/99").await), "NotFound", "object 3 has no resource 99"),
        (told(agent.read("/3/0/4").await), "MethodNotAllowed", "/3/0/4"),
        (told(agent.write_text("/3/0/0", "x").await), "MethodNotAllowed", "/3/0/0"),
        (told(agent.write_text("/3/0/12", "x").await), "MethodNotAllowed", "/3/0/12"),
        (told(agent.write_text("/0/0/0", "x").await), "MethodNotAllowed", "configuration"),
        (told(agent.write_text("/9/0/0", "x").await), "NotFound", "/9/0/0"),
        (told(agent.write_text("/3/0", "x").await), "NotFound", "/3/0"),
        (told(agent.write_text("/3/0/13", "now").await), "BadRequest", "write /3/0/13: "),
        (told(agent.write_text("/1/0/1", "-5").await), "BadRequest", ""),
        (told(agent.create("/3/0/1", &[]).await.map(drop)), "BadRequest", "/3/0/1 is no object"),
        (told(agent.create("/", &[]).await.map(drop)), "BadRequest", "/ is no object"),
        (told(agent.create("/9", &[]).await.map(drop)), "NotFound", "there is no object /9"),
        (told(agent.create("/3", &[]).await.map(drop)), "MethodNotAllowed", "Device"),
        (told(agent.create("/1", &[("1", "60")]).await.map(drop)), "MethodNotAllowed", "Server"),
        (told(agent.create("/1", &[("x", "60")]).await.map(drop)), "BadRequest", "/1/0/x"),
        (told(agent.create("/1", &[("99", "60")]).await.map(drop)), "NotFound", "/1/0/99"),
        (told(agent.create("/1", &[("1", "soon")]).await.map(drop)), "BadRequest", "Integer"),
        (told(agent.create("/3", &[("0", "x")]).await.map(drop)), "MethodNotAllowed", "resource 0"),
        (told(agent.delete("/3/0").await), "MethodNotAllowed", "Device"),
        (told(agent.delete("/1/0").await), "MethodNotAllowed", "Server"),
        (told(agent.delete("/3/0/0").await), "MethodNotAllowed", "/3/0/0"),
        (told(agent.delete("/3/1").await), "NotFound", "there is no instance /3/1"),
        (told(agent.write("/1/0", &[wrong_type]).await), "BadRequest", "cannot be a D-Bus s"),
        (told(agent.write("/1/0", &[no_type]).await), "BadRequest", "unknown type \"Number\""),
        (
            told(agent.write("/1/0", &[integer("/1/1/1", 9)]).await),
            "BadRequest",
            "/1/1/1 does not lie below /1/0",
        ),
        (told(agent.execute("/3/0/0", "").await), "MethodNotAllowed", "/3/0/0"),
        (told(agent.execute("/3/0", "").await), "MethodNotAllowed", ""),
        (told(agent.execute("/3/0/12", "0='").await), "BadRequest", ""),
        (told(agent.discover("/3/9").await), "NotFound", "there is no instance /3/9"),
        (told(agent.observe("/9", none()).await), "NotFound", "there is no object /9"),
        (
            told(agent.observe("/", none()).await),
            "MethodNotAllowed",
            "Observe is not possible at /",
        ),
        (told(agent.observe("/3/0/13", attribute("pmim", 1)).await), "BadRequest", "pmim"),
        (told(agent.observe("/3/0/0", attribute("gt", 1)).await), "BadRequest", "gt"),
        (told(agent.cancel(77).await), "NotFound", "there is no observation 77 of yours"),
        (told(agent.update(999).await), "NotFound", "there is no server 999"),
        (told(agent.update(65535).await), "BadRequest", "65535 is no Short Server ID"),
        (told(agent.sleep(101).await), "MethodNotAllowed", "queue_mode"),
        (told(agent.wake(7).await), "NotFound", "there is no server 7"),
    ] {
        assert_eq!(refusal.0, name, "{}", refusal.1);
        assert!(refusal.1.contains(reason), "{reason:?} is not in {:?}", refusal.1);
    }
    // None of it has changed anything.
    assert_eq!(agent.read("/1/0/1").await.unwrap(), [integer("/1/0/1", 300)]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_hundred_bad_calls_hurt_nothing() {
    let Some(world) = World::start().await else { return };
    let World { agent, daemon, server, .. } = world;
    let connection = agent.inner().connection().clone();
    let call = async |method: &str, body: u64| {
        let interface = Some("org.lwm2md.Agent1");
        connection.call_method(Some(BUS_NAME), OBJECT_PATH, interface, method, &body).await
    };
    for number in 0..100 {
        // Methods there are with a body of another type, and one that there is not.
        let method = ["Read", "Write", "Observe", "Cancel", "Monitor", "Explode"][number % 6];
        let refusal = call(method, u64::MAX).await.unwrap_err();
        let is_answer = matches!(refusal, zbus::Error::MethodError(..) | zbus::Error::FDO(_));
        assert!(is_answer, "{method}: {refusal:?}");
    }
    let long = "/3".repeat(10_000);
    assert!(matches!(agent.read(&long).await, Err(AgentError::BadRequest(_))));
    assert_eq!(agent.read("/3/0/0").await.unwrap(), [text("/3/0/0", "ACME")]);
    let answer = server.read(ENDPOINT, &Path::resource(3, 0, 0), None).await.unwrap();
    assert_eq!(answer.entries[0].value(), Some(&Value::String("ACME".into())));
    let log = daemon.stop().await;
    assert!(!log.contains("panic"), "{log}");
}

#[tokio::test]
async fn many_clients_are_served() {
    let Some(world) = World::start().await else { return };
    let World { bus, daemon, .. } = world;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(bus.client().await);
    }
    let mut calls = tokio::task::JoinSet::new();
    for agent in clients {
        calls.spawn(async move {
            for _ in 0..10 {
                assert_eq!(agent.read("/3/0/0").await.unwrap(), [text("/3/0/0", "ACME")]);
            }
        });
    }
    soon("200 answers", calls.join_all()).await;
    daemon.stop().await;
}
