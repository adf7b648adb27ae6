//! Packages that the object fetches from a source that follows a script.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use lwm2m_engine::{CallOperation, CallReply, FetchFailure, FetchFailureKind, Fetched, Resume};
use lwm2m_firmware::{
    CheckUnits, DEFAULT_PATIENCE, Fetcher, FileBackend, Parts, Protocol, Record, RecordFile,
    TrialMarker, UpdateProgress,
};
use lwm2m_model::{Entry, Path, Value};
use lwm2m_objects::BusHandle;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::agent::{Agent, clock};

const MIB: u64 = 1024 * 1024;
const PART: u64 = 16 * 1024;
const SIZE: u64 = 6 * MIB + 7;
const NAMES: [Protocol; 2] = [Protocol::Coap, Protocol::Https];

/// What the source does in one attempt, after it has begun.
#[derive(Clone, Copy)]
enum Attempt {
    /// Everything.
    Whole,
    /// So many bytes, then it is cut.
    Cut(u64),
    /// So many bytes, then nothing more.
    Stalls(u64),
    /// No answer at all.
    Away,
}

/// A source with one package, whose ETag is `etag`.
#[derive(Clone)]
struct Source(Arc<Mutex<Script>>);

struct Script {
    etag: Option<Vec<u8>>,
    attempts: VecDeque<Attempt>,
    /// What was asked for, and how many bytes of it were taken.
    asked: Vec<(Option<Resume>, u64)>,
    running: u32,
}

impl Fetcher for Source {
    fn protocols(&self) -> &[Protocol] {
        &NAMES
    }

    async fn fetch(
        &self,
        uri: &str,
        resume: Option<Resume>,
        out: mpsc::Sender<Fetched>,
    ) -> Result<(), FetchFailure> {
        assert_eq!(uri, "https://h/x");
        let _running = Running::begin(self);
        let lost = || Err(FetchFailure::new(FetchFailureKind::Lost, "cut"));
        let (etag, attempt) = {
            let mut script = self.0.lock().unwrap();
            script.asked.push((resume.clone(), 0));
            (script.etag.clone(), script.attempts.pop_front().unwrap_or(Attempt::Away))
        };
        let known = resume.filter(|resume| Some(&resume.etag) == etag.as_ref());
        let offset = known.map_or(0, |resume| resume.offset);
        let end = match attempt {
            Attempt::Whole => SIZE,
            Attempt::Cut(bytes) | Attempt::Stalls(bytes) => (offset + bytes).min(SIZE),
            Attempt::Away => return lost(),
        };
        let begin = Fetched::Begin { offset, size: Some(SIZE), etag };
        let mut at = offset;
        let mut next = Some(begin);
        while let Some(fetched) = next {
            if out.send(fetched).await.is_err() {
                return lost();
            }
            let part = content()[at as usize..end.min(at + PART) as usize].to_vec();
            at += part.len() as u64;
            self.0.lock().unwrap().asked.last_mut().unwrap().1 = at - offset;
            next = (!part.is_empty()).then_some(Fetched::Part(part));
        }
        match attempt {
            Attempt::Whole => Ok(()),
            Attempt::Stalls(_) => std::future::pending().await,
            Attempt::Cut(_) | Attempt::Away => lost(),
        }
    }
}

/// No two parts of it are alike.
fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| (0..SIZE).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect())
}

/// An attempt that has not ended.
struct Running(Source);

impl Running {
    fn begin(source: &Source) -> Self {
        source.0.lock().unwrap().running += 1;
        Self(source.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().running -= 1;
    }
}

/// A machine with its state, which outlives the agent, and the source.
struct World {
    folder: TempDir,
    source: Source,
}

impl World {
    fn new(attempts: &[Attempt]) -> Self {
        let attempts = attempts.iter().copied().collect();
        let script =
            Script { etag: Some(b"\"v1\"".to_vec()), attempts, asked: Vec::new(), running: 0 };
        let source = Source(Arc::new(Mutex::new(script)));
        Self { folder: tempfile::tempdir().unwrap(), source }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Agent {
        Agent::start(|out| Parts {
            backend: FileBackend::new(self.path("image")),
            fetcher: self.source.clone(),
            patience: DEFAULT_PATIENCE,
            records: Arc::new(RecordFile::new(self.path("firmware/record"))),
            package: self.path("firmware/package"),
            restarter: BusHandle::absent(),
            checks: Arc::new(CheckUnits::new(BusHandle::absent(), self.path("checks.d"))),
            marker: TrialMarker::new(self.folder.path(), &self.path("proc")),
            trial: Duration::from_secs(900),
            boot: Some("boot-1".into()),
            deferral: None,
            out,
            clock,
        })
    }

    fn asked(&self) -> Vec<(Option<Resume>, u64)> {
        self.source.0.lock().unwrap().asked.clone()
    }

    fn record(&self) -> Record {
        Record::decode(&fs::read(self.path("firmware/record")).unwrap()).unwrap()
    }

    /// The offsets that the attempts went on from.
    fn offsets(&self) -> Vec<u64> {
        self.asked().iter().map(|(resume, _)| resume.as_ref().map_or(0, |it| it.offset)).collect()
    }

    fn check_package(&self) {
        assert!(fs::read(self.path("firmware/package")).unwrap() == content());
    }
}

/// Nothing more comes from the source, and all that did is stored.
async fn settle(agent: &mut Agent) {
    for _ in 0..200 {
        let _ = tokio::time::timeout(Duration::from_millis(10), agent.host.next()).await;
        // Threads write meanwhile.
        std::thread::yield_now();
    }
}

/// OBJ-95
#[tokio::test(start_paused = true)]
async fn what_can_be_fetched_is_what_a_server_reads() {
    let mut agent = World::new(&[]).start();
    let entry = |id, value| Entry::new(Path::resource_instance(5, 0, 8, id), Value::Integer(value));
    let protocols = agent.read(Path::resource(5, 0, 8)).await;
    assert_eq!(protocols, [entry(0, 0), entry(1, 3)]);
    assert_eq!(agent.read(Path::resource_instance(5, 0, 8, 1)).await, [entry(1, 3)]);
    let method = Entry::new(Path::resource(5, 0, 9), Value::Integer(2));
    assert!(agent.read(Path::instance(5, 0)).await.contains(&method));
    let found = agent.call(Path::resource(5, 0, 8), CallOperation::Discover).await;
    let paths = [0, 1].map(|id| Path::resource_instance(5, 0, 8, id));
    let all = [vec![Path::resource(5, 0, 8)], paths.to_vec()].concat();
    assert_eq!(found, Ok(CallReply::Paths(all)));
}

/// OBJ-94: over cuts, pauses and silence of the source each byte comes once.
#[tokio::test(start_paused = true)]
async fn a_package_comes_whole_through_cuts() {
    let attempts =
        [Attempt::Away, Attempt::Cut(5 * MIB), Attempt::Cut(10), Attempt::Away, Attempt::Whole];
    let world = World::new(&attempts);
    let mut agent = world.start();
    assert_eq!(agent.write_uri("https://h/x").await, Ok(CallReply::Done));
    agent.until((1, 0)).await;
    agent.until((2, 0)).await;
    world.check_package();
    let cut = 5 * MIB;
    assert_eq!(world.offsets(), [0, 0, cut, cut + 10, cut + 10]);
    let all: u64 = world.asked().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(all, SIZE);
    let uri = Entry::new(Path::resource(5, 0, 1), Value::String("https://h/x".into()));
    assert_eq!(agent.read(Path::resource(5, 0, 1)).await, [uri]);
}

/// People on the device see how far it is, and why nothing comes.
#[tokio::test(start_paused = true)]
async fn progress_and_interruptions_are_told() {
    let world = World::new(&[Attempt::Cut(PART), Attempt::Away, Attempt::Stalls(MIB)]);
    let mut agent = world.start();
    agent.write_uri("https://h/x").await.unwrap();
    let mut told = Vec::new();
    let progress = |bytes| Some(UpdateProgress::Download { bytes, size: Some(SIZE) });
    while agent.handle.status().progress != progress(PART + MIB) {
        let _ = tokio::time::timeout(Duration::from_millis(10), agent.host.next()).await;
        let status = agent.handle.status();
        assert_eq!(status.record.cause, None);
        told.extend(status.interruption.map(|why| (why, status.progress)));
    }
    told.dedup();
    assert_eq!(told, [("to be tried again until it works: cut".into(), progress(PART))]);
    assert_eq!(agent.handle.status().interruption, None);
    agent.execute(10).await.unwrap();
    assert_eq!(agent.handle.status().progress, None);
}

/// OBJ-94: what was synced is not fetched again, what was not is.
#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_from_what_is_durable() {
    let world = World::new(&[Attempt::Stalls(5 * MIB), Attempt::Whole]);
    let mut agent = world.start();
    agent.write_uri("https://h/x").await.unwrap();
    while fs::metadata(world.path("firmware/package")).map_or(0, |it| it.len()) < 5 * MIB {
        settle(&mut agent).await;
    }
    settle(&mut agent).await;
    drop(agent);
    // A power cut leaves the name and the length, but not the bytes.
    let durable = world.record().fetch.unwrap().offset;
    assert_eq!(durable, 4 * MIB);
    let path = world.path("firmware/package");
    let mut bytes = fs::read(&path).unwrap();
    bytes[durable as usize..].fill(0);
    fs::write(&path, bytes).unwrap();
    world.start().until((2, 0)).await;
    world.check_package();
    assert_eq!(world.offsets(), [0, durable]);
    let known = Resume { offset: durable, etag: b"\"v1\"".to_vec() };
    assert_eq!(world.asked()[1], (Some(known), SIZE - durable));
}

/// Nothing of another version gets into the package, nor of a file that is too short.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_relied_on_is_fetched_anew() {
    type Change = fn(&World);
    let changes: [(&str, Change); 3] = [
        ("another version", |world| world.source.0.lock().unwrap().etag = Some(b"v2".to_vec())),
        ("no version", |world| world.source.0.lock().unwrap().etag = None),
        ("a shorter file", |world| fs::write(world.path("firmware/package"), b"short").unwrap()),
    ];
    for (row, change) in changes {
        let world = World::new(&[Attempt::Cut(5 * MIB), Attempt::Whole]);
        let mut agent = world.start();
        agent.write_uri("https://h/x").await.unwrap();
        while world.asked().is_empty() || world.asked()[0].1 < 5 * MIB {
            settle(&mut agent).await;
        }
        drop(agent);
        change(&world);
        world.start().until((2, 0)).await;
        world.check_package();
        assert_eq!(world.asked()[1].1, SIZE, "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stays_away_is_given_up_after_a_day() {
    let world = World::new(&[Attempt::Cut(100)]);
    let mut agent = world.start();
    agent.write_uri("https://h/x").await.unwrap();
    agent.until((0, 4)).await;
    // Every five minutes.
    assert!((280..320).contains(&world.asked().len()), "{}", world.asked().len());
    settle(&mut agent).await;
    assert!(!world.path("firmware/package").exists());
}

/// Cancel, the empty URI: the task of the source ends, and another may begin.
#[tokio::test(start_paused = true)]
async fn whoever_cancels_stops_the_source() {
    let world = World::new(&[Attempt::Stalls(100), Attempt::Stalls(100), Attempt::Whole]);
    let mut agent = world.start();
    for by_uri in [true, false] {
        agent.write_uri("https://h/x").await.unwrap();
        settle(&mut agent).await;
        assert_eq!(agent.numbers().await, (1, 0));
        assert_eq!(world.source.0.lock().unwrap().running, 1);
        let result = if by_uri { agent.write_uri("").await } else { agent.execute(10).await };
        assert_eq!(result, Ok(CallReply::Done));
        assert_eq!(agent.numbers().await, (0, if by_uri { 0 } else { 10 }));
        settle(&mut agent).await;
        assert_eq!(world.source.0.lock().unwrap().running, 0);
        assert!(!world.path("firmware/package").exists());
    }
    agent.write_uri("https://h/x").await.unwrap();
    agent.until((2, 0)).await;
    world.check_package();
}
