//! The object on journals made by systemd-journal-remote. Not run where it is missing.

use super::*;
use crate::ObjectHost;
use crate::sources::journal::tests::System;

const START: u64 = 1_768_478_400_000_000;

/// The agent on a system with a journal; its clock is an argument.
struct World {
    system: System,
    host: ObjectHost,
    clock: watch::Sender<Option<i64>>,
}

impl World {
    /// An entry every second from [`START`] on; `None` where no journal can be made.
    fn new(entries: &[&str]) -> Option<Self> {
        let system = System::new();
        let entries =
            entries.iter().zip(0..).map(|(fields, second)| (at(second), (*fields).to_owned()));
        system.file_of("system.journal", &entries.collect::<Vec<_>>(), &["--compress=no"])?;
        Some(Self::on(system))
    }

    fn on(system: System) -> Self {
        let (clock, seen) = watch::channel(Some(0));
        clock.send_replace(Some(millis(1000)));
        let mut host = ObjectHost::new(move || Now { wall: *seen.borrow(), ..Now::default() });
        let log = EventLog::new(system.roots.clone(), system.folder.path(), host.sender());
        host.add(Box::new(log));
        Self { system, host, clock }
    }

    /// The agent begins anew.
    fn restart(self) -> Self {
        Self::on(self.system)
    }

    async fn ask(&mut self, path: &str, operation: CallOperation) -> CallResult {
        let path = path.parse().unwrap();
        let call = Call { id: CallId(7), path, operation, server: Some(101) };
        if let Some(result) = self.host.call(&call) {
            return result;
        }
        loop {
            if let ObjectMessage::Reply { result, .. } = self.host.next().await {
                return result;
            }
        }
    }

    async fn execute(&mut self, path: &str, arguments: &str) -> Result<CallReply, Code> {
        let arguments = Arguments::parse(arguments).unwrap();
        self.ask(path, CallOperation::Execute(arguments)).await.map_err(|error| error.code)
    }

    async fn write(&mut self, path: &str, value: i64) -> Result<CallReply, Code> {
        let entries = vec![Entry::new(path.parse().unwrap(), Value::Integer(value))];
        let write = CallOperation::Write { mode: WriteMode::Replace, entries };
        self.ask(path, write).await.map_err(|error| error.code)
    }

    /// LogData and LogStatus.
    async fn read(&mut self) -> (String, i64) {
        let Ok(CallReply::Entries(entries)) = self.ask("/20/0", CallOperation::Read).await else {
            panic!("no entries");
        };
        let value = |id| entries.iter().find(|entry| entry.path == path(id)).unwrap().value();
        let (Some(Value::Opaque(log)), Some(Value::Integer(status))) =
            (value(resource::DATA), value(resource::STATUS))
        else {
            panic!("{entries:?}");
        };
        (String::from_utf8(log.clone()).unwrap(), *status)
    }

    /// The messages alone.
    async fn messages(&mut self) -> Vec<String> {
        let (log, _) = self.read().await;
        log.lines().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
    }
}

fn at(second: u64) -> u64 {
    START + second * 1_000_000
}

fn millis(second: u64) -> i64 {
    i64::try_from(at(second) / 1000).unwrap()
}

const ENTRIES: [&str; 6] = [
    "PRIORITY=6\nSYSLOG_IDENTIFIER=kernel\n_TRANSPORT=kernel\nMESSAGE=booted",
    "PRIORITY=4\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=sshd\n_PID=12\nMESSAGE=who is that?",
    "PRIORITY=2\n_COMM=fand\n_PID=3\nMESSAGE=the fan burns",
    "PRIORITY=6\nSYSLOG_IDENTIFIER=lwm2md\n_PID=5\nMESSAGE=server 101: registered",
    "PRIORITY=7\nSYSLOG_IDENTIFIER=app\nMESSAGE=x = 1",
    "MESSAGE=\u{1b}[2J of nobody",
];

/// OBJ-107: what servers get of a journal that nobody has touched.
#[tokio::test]
async fn the_log_is_the_journal_as_lines() {
    let Some(mut world) = World::new(&ENTRIES) else { return };
    let (log, status) = world.read().await;
    assert_eq!(
        log,
        "2026-01-15T12:00:00.000Z info kernel: booted\n\
         2026-01-15T12:00:01.000Z warning sshd[12]: who is that?\n\
         2026-01-15T12:00:02.000Z crit fand[3]: the fan burns\n\
         2026-01-15T12:00:03.000Z info lwm2md[5]: server 101: registered\n\
         2026-01-15T12:00:04.000Z debug app: x = 1\n\
         2026-01-15T12:00:05.000Z - -: \\u{1b}[2J of nobody\n"
    );
    assert_eq!(status, resource::VALID);
    let status = world.ask("/20/0/4013", CallOperation::Read).await;
    let entry = Entry::new(path(resource::STATUS), Value::Integer(resource::VALID));
    assert_eq!(status, Ok(CallReply::Entries(vec![entry])));
}

#[tokio::test]
async fn a_class_shows_what_belongs_to_it() {
    let Some(mut world) = World::new(&ENTRIES) else { return };
    for (class, expected) in [
        (1, "booted"),
        (2, "who is that?"),
        (3, "server 101: registered"),
        (4, "x = 1"),
        (5, "the fan burns"),
    ] {
        assert_eq!(world.write("/20/0/4010", class).await, Ok(CallReply::Done));
        assert_eq!(world.messages().await, [expected], "{class}");
    }
    for class in [-1, 6, 7, 100, 255, 256] {
        assert_eq!(world.write("/20/0/4010", class).await, Err(Code::BAD_REQUEST));
    }
    assert_eq!(world.write("/20/0/4015", 0).await, Ok(CallReply::Done));
    assert_eq!(world.write("/20/0/4015", 1).await, Err(Code::BAD_REQUEST));
    let mut world = world.restart();
    assert_eq!(world.messages().await, ["the fan burns"], "kept");
    world.host.forget();
    assert_eq!(world.host.next().await, ObjectMessage::Changed(Path::instance(20, 0)));
    let mut world = world.restart();
    assert_eq!(world.messages().await.len(), ENTRIES.len(), "forgotten");
}

/// OBJ-107.
#[tokio::test]
async fn start_and_stop_say_from_when_to_when() {
    let Some(mut world) = World::new(&ENTRIES) else { return };
    let done = Ok(CallReply::Done);
    world.clock.send_replace(Some(millis(1)));
    assert_eq!(world.execute("/20/0/4011", "").await, done);
    world.clock.send_replace(Some(millis(3)));
    assert_eq!(world.execute("/20/0/4012", "").await, done);
    assert_eq!(world.read().await.1, resource::STOPPED | resource::VALID);
    assert_eq!(world.messages().await, ["who is that?", "the fan burns"]);
    world.clock.send_replace(Some(millis(4)));
    assert_eq!(world.execute("/20/0/4011", "0='1',1='1'").await, done);
    let mut world = world.restart();
    world.clock.send_replace(Some(millis(4)));
    assert_eq!(world.read().await.1, resource::VALID, "it runs, and nobody forgot it");
    world.clock.send_replace(Some(millis(9)));
    assert_eq!(world.messages().await, ["who is that?", "the fan burns", "x = 1"]);
    assert_eq!(world.read().await.1, resource::STOPPED | resource::VALID, "by itself");
    assert_eq!(world.execute("/20/0/4011", "0='0'").await, done);
    assert_eq!(world.read().await, (String::new(), 0));
    assert_eq!(world.execute("/20/0/4012", "0='1'").await, done);
    assert_eq!(world.read().await, (String::new(), resource::STOPPED));

    for arguments in ["0", "0='2'", "1", "1='0'", "1='x'", "1='-1'", "2='1'", "0='1',3"] {
        assert_eq!(world.execute("/20/0/4011", arguments).await, Err(Code::BAD_REQUEST));
    }
    assert_eq!(world.execute("/20/0/4012", "1='5'").await, Err(Code::BAD_REQUEST));
    world.clock.send_replace(None);
    assert_eq!(world.execute("/20/0/4011", "").await, Err(Code::SERVICE_UNAVAILABLE));
}

#[tokio::test]
async fn the_newest_lines_are_kept_when_there_are_too_many() {
    let texts: Vec<String> =
        (0..2000).map(|number| format!("MESSAGE={number:4} {}", "y".repeat(60))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Some(mut world) = World::new(&texts) else { return };
    let (log, _) = world.read().await;
    assert!(log.len() <= MAX_LOG_DATA && log.len() > MAX_LOG_DATA - 200, "{}", log.len());
    assert!(log.starts_with("2026-01-15T12:") && log.trim_end().ends_with('y'));
    let last = log.lines().last().unwrap();
    assert!(last.contains(": 1999 "), "{last}");
}

#[tokio::test]
async fn without_a_journal_the_error_bit_is_set() {
    let mut world = World::on(System::new());
    assert_eq!(world.read().await, (String::new(), resource::ERROR));
    // Where nothing can be kept nothing changes.
    std::fs::create_dir(world.system.folder.path().join("event-log.new")).unwrap();
    assert_eq!(world.execute("/20/0/4012", "").await, Err(Code::INTERNAL_SERVER_ERROR));
    assert_eq!(world.read().await.1, resource::ERROR);
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_of_new_entries() {
    let Some(mut world) = World::new(&ENTRIES) else { return };
    world.host.watch(&path(resource::DATA), Some(Duration::from_secs(10)));
    // The paused clock runs on while nothing else happens, as it would for nothing.
    let quiet = tokio::time::timeout(Duration::from_secs(60), world.host.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let more = [(at(100), "one more")];
    world.system.file("system@1-2-3.journal", &more, &["--compress=no"]).unwrap();
    let changed = world.host.next().await;
    assert_eq!(changed, ObjectMessage::Changed(Path::instance(20, 0)));
    world.host.watch(&path(resource::DATA), None);
    let quiet = tokio::time::timeout(Duration::from_secs(60), world.host.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}
