//! What is kept, what is refused, and what a power cut leaves.

use std::fs;

use lwm2m_engine::{CallId, CallReply};
use lwm2m_model::{Entry, Value, WriteMode};
use tempfile::TempDir;

use super::*;
use crate::ObjectHost;

struct World {
    host: ObjectHost,
    /// What the object has said of its instances.
    told: Vec<Vec<u16>>,
}

impl World {
    fn portfolio(identities: &[&str], state: &TempDir) -> Self {
        let identities = identities.iter().map(ToString::to_string).collect();
        Self::of(|out| portfolio(identities, state.path(), out))
    }

    fn app_data(config: &AppDataConfig, state: &TempDir) -> Self {
        Self::of(|out| app_data(config, state.path(), out))
    }

    fn of(make: impl FnOnce(mpsc::Sender<ObjectMessage>) -> KeptObject) -> Self {
        let mut host = ObjectHost::new(Now::default);
        let object = make(host.sender());
        host.add(Box::new(object));
        Self { host, told: Vec::new() }
    }

    async fn ask(&mut self, path: &str, operation: CallOperation) -> Result<CallReply, Code> {
        let path = path.parse().unwrap();
        let call = Call { id: CallId(7), path, operation, server: Some(101) };
        let result = match self.host.call(&call) {
            Some(result) => result,
            None => loop {
                match self.host.next().await {
                    ObjectMessage::Reply { result, .. } => break result,
                    ObjectMessage::Object { instances, .. } => self.told.push(instances),
                    ObjectMessage::Changed(path) => panic!("{path}"),
                    ObjectMessage::Update => panic!("no object here asks for one"),
                }
            },
        };
        result.map_err(|error| error.code)
    }

    async fn write(&mut self, path: &str, entries: &[(&str, Value)]) -> Result<CallReply, Code> {
        let (mode, entries) = (WriteMode::Replace, list(entries));
        self.ask(path, CallOperation::Write { mode, entries }).await
    }

    async fn create(&mut self, id: u16, entries: &[(&str, Value)]) -> Result<CallReply, Code> {
        let object = self.host.objects().next().unwrap().0.id;
        let (instances, entries) = (vec![id], list(entries));
        self.ask(&format!("/{object}"), CallOperation::Create { instances, entries }).await
    }

    /// Everything that there is, `path=value`.
    async fn read(&mut self) -> Vec<String> {
        let object = self.host.objects().next().unwrap().0.id;
        let read = self.ask(&format!("/{object}"), CallOperation::Read).await;
        let Ok(CallReply::Entries(entries)) = read else { panic!("{read:?}") };
        let show = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Opaque(bytes)) => format!("{bytes:?}"),
            Some(Value::Integer(number) | Value::Time(number)) => number.to_string(),
            Some(_) => "?".into(),
            None => "empty".into(),
        };
        entries.iter().map(|entry| format!("{}={}", entry.path, show(entry.value()))).collect()
    }
}

fn list(entries: &[(&str, Value)]) -> Vec<Entry> {
    entries.iter().map(|(path, value)| Entry::new(path.parse().unwrap(), value.clone())).collect()
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

const DONE: Result<CallReply, Code> = Ok(CallReply::Done);

#[tokio::test]
async fn identities_are_as_configured_until_a_server_writes_them() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::portfolio(&["host-1", "ACME"], &state);
    assert_eq!(world.read().await, ["/16/0/0/0=host-1", "/16/0/0/1=ACME"]);
    assert!(!state.path().join("portfolio").exists(), "nothing was written");
    assert_eq!(world.write("/16/0/0/1", &[("/16/0/0/1", text("EMCA"))]).await, DONE);
    assert_eq!(world.create(3, &[("/16/3/0/0", text("of a server"))]).await, DONE);
    assert_eq!(world.told, [[0, 3]]);
    let written = ["/16/0/0/0=host-1", "/16/0/0/1=EMCA", "/16/3/0/0=of a server"];
    assert_eq!(world.read().await, written);
    let mut world = World::portfolio(&["host-1", "ACME"], &state);
    assert_eq!(world.read().await, written, "after a restart");

    // Configured anew: that wins where it was configured before.
    let mut world = World::portfolio(&["host-2"], &state);
    assert_eq!(world.read().await, ["/16/0/0/0=host-2", "/16/3/0/0=of a server"]);
    assert_eq!(world.ask("/16/3", CallOperation::Delete).await, DONE);
    assert_eq!(world.ask("/16/0", CallOperation::Delete).await, DONE);
    let mut world = World::portfolio(&["host-2"], &state);
    assert_eq!(world.read().await, [""; 0], "what is removed stays so");
}

#[tokio::test]
async fn what_was_written_is_forgotten_for_good() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::portfolio(&["host-1"], &state);
    assert_eq!(world.write("/16/0/0/0", &[("/16/0/0/0", text("other"))]).await, DONE);
    assert_eq!(world.create(3, &[("/16/3/0/0", text("of a server"))]).await, DONE);
    world.host.forget();
    let ObjectMessage::Object { instances, .. } = world.host.next().await else { panic!() };
    assert_eq!(instances, [0]);
    assert_eq!(world.host.next().await, ObjectMessage::Changed(Path::object(16)));
    assert_eq!(world.read().await, ["/16/0/0/0=host-1"]);
    let mut world = World::portfolio(&["host-1"], &state);
    assert_eq!(world.read().await, ["/16/0/0/0=host-1"]);
}

#[tokio::test]
async fn there_is_no_authentication_in_a_portfolio() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::portfolio(&["host-1"], &state);
    let found = world.ask("/16/0", CallOperation::Discover).await;
    let paths = ["/16/0", "/16/0/0", "/16/0/0/0"].map(|path| path.parse().unwrap());
    assert_eq!(found, Ok(CallReply::Paths(paths.into())));
    let run = world.ask("/16/0/1", CallOperation::Execute(Default::default())).await;
    assert_eq!(run, Err(Code::NOT_FOUND));
    let ids: Vec<u16> =
        world.host.objects().next().unwrap().0.resources.iter().map(|it| it.id).collect();
    assert_eq!(ids, [0]);
}

/// OBJ-105.
#[tokio::test]
async fn any_bytes_survive_a_restart_and_none_where_they_are_not_to() {
    let config = AppDataConfig { limit: 300, ..AppDataConfig::default() };
    let state = tempfile::tempdir().unwrap();
    let mut world = World::app_data(&config, &state);
    assert_eq!(world.read().await, [""; 0]);
    let all: Vec<u8> = (0..=255).collect();
    let made = [
        ("/19/4/0/0", Value::Opaque(all.clone())),
        ("/19/4/0/9", Value::Opaque(vec![])),
        ("/19/4/1", Value::Integer(2)),
        ("/19/4/2", Value::Time(-5)),
        ("/19/4/3", text("µ \"\n")),
        ("/19/4/5", Value::Integer(65535)),
    ];
    assert_eq!(world.create(4, &made).await, DONE);
    assert_eq!(world.create(7, &[("/19/7/0/0", Value::Opaque(vec![1]))]).await, DONE);
    assert_eq!(world.ask("/19/7/0/0", CallOperation::Delete).await, DONE);
    let before = world.read().await;
    assert!(before.contains(&format!("/19/4/0/0={all:?}")) && before.len() == 7, "{before:?}");
    assert!(before.contains(&"/19/7/0=empty".into()), "{before:?}");
    let mut world = World::app_data(&config, &state);
    assert_eq!(world.read().await, before);
    // Less is allowed now: nothing that is there goes, and nothing more comes.
    let smaller = AppDataConfig { limit: 10, ..config.clone() };
    let mut world = World::app_data(&smaller, &state);
    assert_eq!(world.read().await, before);
    let more = [("/19/4/0/9", Value::Opaque(vec![0; 11]))];
    assert_eq!(world.write("/19/4/0/9", &more).await, Err(Code::BAD_REQUEST));

    let (config, state) =
        (AppDataConfig { keeping: Keeping::Memory, ..config }, tempfile::tempdir().unwrap());
    let mut world = World::app_data(&config, &state);
    assert_eq!(world.create(4, &made).await, DONE);
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
    let mut world = World::app_data(&config, &state);
    assert_eq!(world.read().await, [""; 0]);
}

#[test]
fn integers_have_the_ranges_of_their_bytes() {
    let state = tempfile::tempdir().unwrap();
    let (out, _in) = mpsc::channel(1);
    let definition = app_data(&AppDataConfig::default(), state.path(), out).definition();
    let fits = |id: u16, number: i64| {
        definition.resource(id).unwrap().range.check(&Value::Integer(number)).is_ok()
    };
    assert_eq!([-1, 0, 254, 255].map(|number| fits(1, number)), [false, true, true, false]);
    assert_eq!([-1, 0, 65535, 65536].map(|number| fits(5, number)), [false, true, true, false]);
}

#[tokio::test]
async fn what_may_be_kept_has_a_limit() {
    let state = tempfile::tempdir().unwrap();
    let config = AppDataConfig { limit: MAX_APP_DATA, keeping: Keeping::Memory };
    let mut world = World::app_data(&config, &state);
    let data = |id: u16, length: usize| (format!("/19/{id}/0/0"), Value::Opaque(vec![0; length]));
    let mut made = 0;
    loop {
        let (path, value) = data(made, MAX_APP_DATA);
        match world.create(made, &[(&path, value)]).await {
            Ok(_) => made += 1,
            Err(code) => break assert_eq!(code, Code::INTERNAL_SERVER_ERROR),
        }
    }
    assert_eq!(made, 4, "of 60 KiB in 256");
    for id in made..64 {
        let (path, value) = data(id, 1);
        assert_eq!(world.create(id, &[(&path, value)]).await, DONE);
    }
    let (path, value) = data(64, 1);
    assert_eq!(world.create(64, &[(&path, value)]).await, Err(Code::INTERNAL_SERVER_ERROR));
    assert_eq!(world.ask("/19/9", CallOperation::Delete).await, DONE);
    let (path, value) = data(64, 1);
    assert_eq!(world.create(64, &[(&path, value)]).await, DONE);

    let mut world = World::portfolio(&["x"], &state);
    let long = [("/16/0/0/0", text(&"x".repeat(256)))];
    assert_eq!(world.write("/16/0/0/0", &long).await, Err(Code::BAD_REQUEST));
    let many: Vec<String> = (0..=MAX_IDENTITIES).map(|id| format!("/16/0/0/{id}")).collect();
    let many: Vec<(&str, Value)> = many.iter().map(|path| (path.as_str(), text("x"))).collect();
    assert_eq!(world.write("/16/0/0", &many).await, Err(Code::UNAUTHORIZED));
    assert_eq!(world.read().await, ["/16/0/0/0=x"]);
}

#[tokio::test]
async fn what_cannot_be_made_durable_is_not_done() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::portfolio(&["host-1"], &state);
    fs::create_dir(state.path().join("portfolio.new")).unwrap();
    let write = world.write("/16/0/0/0", &[("/16/0/0/0", text("other"))]).await;
    assert_eq!(write, Err(Code::INTERNAL_SERVER_ERROR));
    assert_eq!(
        world.create(1, &[("/16/1/0/0", text("x"))]).await,
        Err(Code::INTERNAL_SERVER_ERROR)
    );
    assert_eq!(world.read().await, ["/16/0/0/0=host-1"]);
    assert!(world.told.is_empty());
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_set_aside() {
    let data: &[&[u8]] = &[
        b"",
        b"{",
        b"\xff\xff",
        br#"{"format":2,"configured":[],"instances":[],"values":[]}"#,
        &[b'['; 200_000],
    ];
    for bytes in data {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("portfolio"), bytes).unwrap();
        let mut world = World::portfolio(&["host-1"], &state);
        assert_eq!(world.read().await, ["/16/0/0/0=host-1"]);
        assert_eq!(fs::read(state.path().join("portfolio.damaged")).unwrap(), *bytes);
    }
    // What does not fit is left out, and the rest counts.
    let state = tempfile::tempdir().unwrap();
    let stored = r#"{"format":1,"configured":["host-1"],"instances":[0],"values":[
        ["/16/0/0/0","kept"],["/3/0/0/0","x"],["/16/9/0/0","x"],["/16/0/0","x"],
        ["/16/0/7","x"],["16","x"],["/16/0/0/3",null],["/16/0",null]]}"#;
    fs::write(state.path().join("portfolio"), stored).unwrap();
    let mut world = World::portfolio(&["host-1"], &state);
    assert_eq!(world.read().await, ["/16/0/0/0=kept"]);
}
