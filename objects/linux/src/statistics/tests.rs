//! The object with a made-up kernel, in tokio's virtual time.

use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Arguments, Code, Entry, Now, Path, Value, WriteMode};
use tokio::time::{Instant, advance, timeout};

use super::collection::Collection;
use super::gauge::{Gauge, Reading};
use super::record::Keeper;
use super::{COUNTED, ConnectivityStatistics, resource};
use crate::sources::network::{NetworkWatch, Traffic};
use crate::{ObjectHost, ObjectMessage, Roots};

/// One link of a kernel that never has news.
struct MadeUp {
    bytes: AtomicU64,
    fails: AtomicBool,
    boot: Instant,
}

impl MadeUp {
    fn new(bytes: u64) -> Arc<Self> {
        let (bytes, fails) = (AtomicU64::new(bytes), AtomicBool::new(false));
        Arc::new(Self { bytes, fails, boot: Instant::now() })
    }

    fn carry(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Gauge for MadeUp {
    fn readings(&self) -> io::Result<Vec<Reading>> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("no descriptor left"));
        }
        let sent = self.bytes.load(Ordering::Relaxed);
        let traffic = Traffic { sent, ..Traffic::default() };
        Ok(vec![Reading { link: 2, is_hardware: true, traffic, header: 0 }])
    }

    fn news(&self) -> io::Result<NetworkWatch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn since_boot(&self) -> Duration {
        self.boot.elapsed()
    }
}

/// A state directory in a boot that has a name.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/sys/kernel/random");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("boot_id"), "one\n").unwrap();
        Self { root }
    }

    fn keeper(&self) -> Keeper {
        let path: &FilePath = self.root.path();
        Keeper::new(path, &Roots::below(path))
    }

    /// An agent that begins to run.
    fn agent(&self, kernel: &Arc<MadeUp>) -> ObjectHost {
        let mut host = ObjectHost::new(Now::default);
        let gauge: Arc<dyn Gauge> = kernel.clone();
        let out = host.sender();
        host.add(Box::new(ConnectivityStatistics::measured_by(gauge, self.keeper(), out)));
        host
    }
}

async fn answer(host: &mut ObjectHost, path: &str, operation: CallOperation) -> CallResult {
    let call = Call { id: CallId(1), path: path.parse().unwrap(), operation, server: Some(101) };
    if let Some(result) = host.call(&call) {
        return result;
    }
    loop {
        if let ObjectMessage::Reply { result, .. } = host.next().await {
            return result;
        }
    }
}

async fn execute(host: &mut ObjectHost, path: &str) -> CallResult {
    answer(host, path, CallOperation::Execute(Arguments::default())).await
}

async fn set_period(host: &mut ObjectHost, seconds: i64) -> CallResult {
    let path = "/7/0/8";
    let entries = vec![Entry::new(path.parse().unwrap(), Value::Integer(seconds))];
    answer(host, path, CallOperation::Write { mode: WriteMode::Replace, entries }).await
}

async fn integer(host: &mut ObjectHost, path: &str) -> i64 {
    match answer(host, path, CallOperation::Read).await {
        Ok(CallReply::Entries(entries)) => match entries[0].value() {
            Some(Value::Integer(value)) => *value,
            other => panic!("{path}: {other:?}"),
        },
        other => panic!("{path}: {other:?}"),
    }
}

/// Lets `seconds` pass; the paths that were said to have changed.
async fn pass(host: &mut ObjectHost, seconds: u64) -> Vec<Path> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut paths = Vec::new();
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
        if let Ok(ObjectMessage::Changed(path)) = timeout(left, host.next()).await {
            paths.push(path);
        }
    }
    paths
}

/// OBJ-72: with a period the collection stops by itself, whether or not anybody reads.
#[tokio::test(start_paused = true)]
async fn the_end_of_the_period_stops_the_collection() {
    let (place, kernel) = (Place::new(), MadeUp::new(5_000));
    let mut host = place.agent(&kernel);
    assert_eq!(set_period(&mut host, 60).await, Ok(CallReply::Done));
    assert_eq!(execute(&mut host, "/7/0/6").await, Ok(CallReply::Done));
    kernel.carry(3_000);
    pass(&mut host, 59).await;
    assert!(place.keeper().load().running.is_some());
    kernel.carry(1_000);
    pass(&mut host, 2).await;
    kernel.carry(90_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 4);
    let kept = place.keeper().load();
    assert_eq!((kept.running, kept.counters.sent()), (None, 4));

    // Begun anew in the middle, it has the whole period again.
    execute(&mut host, "/7/0/6").await.unwrap();
    pass(&mut host, 40).await;
    kernel.carry(1_000);
    execute(&mut host, "/7/0/6").await.unwrap();
    pass(&mut host, 40).await;
    kernel.carry(2_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 2);
    pass(&mut host, 21).await;
    kernel.carry(1_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_sampled_while_it_is_observed() {
    let (place, kernel) = (Place::new(), MadeUp::new(5_000));
    let mut host = place.agent(&kernel);
    let tx_data = resource(COUNTED[0]);
    let minute = Some(Duration::from_secs(60));
    host.watch(&tx_data, minute);
    kernel.carry(9_000);
    assert_eq!(pass(&mut host, 600).await, [], "not started");
    execute(&mut host, "/7/0/6").await.unwrap();
    kernel.carry(2_000);
    assert_eq!(pass(&mut host, 59).await, []);
    assert_eq!(pass(&mut host, 2).await, [resource(COUNTED[0])]);
    assert_eq!(pass(&mut host, 600).await, [], "nothing came");
    kernel.carry(999);
    assert_eq!(pass(&mut host, 600).await, [], "less than a kilobyte");
    host.watch(&tx_data, None);
    kernel.carry(9_000);
    assert_eq!(pass(&mut host, 600).await, [], "not observed");
    // What came meanwhile is there when somebody looks again.
    assert_eq!(integer(&mut host, "/7/0/2").await, 11);
}

#[tokio::test(start_paused = true)]
async fn a_collection_outlives_the_agent() {
    let (place, kernel) = (Place::new(), MadeUp::new(5_000));
    let mut host = place.agent(&kernel);
    set_period(&mut host, 60).await.unwrap();
    execute(&mut host, "/7/0/6").await.unwrap();
    kernel.carry(2_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 2);
    drop(host);
    kernel.carry(3_000);
    advance(Duration::from_secs(30)).await;
    let mut host = place.agent(&kernel);
    assert_eq!(integer(&mut host, "/7/0/8").await, 60);
    assert_eq!(integer(&mut host, "/7/0/2").await, 5);
    // Its end is where it was to be; what came while nobody looked counts.
    drop(host);
    kernel.carry(1_000);
    advance(Duration::from_secs(600)).await;
    let mut host = place.agent(&kernel);
    pass(&mut host, 1).await;
    kernel.carry(9_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 6);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_does_not_answer_is_not_a_kernel_without_traffic() {
    let (place, kernel) = (Place::new(), MadeUp::new(900_000));
    let mut host = place.agent(&kernel);
    execute(&mut host, "/7/0/6").await.unwrap();
    kernel.carry(2_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 2);
    kernel.fails.store(true, Ordering::Relaxed);
    assert_eq!(integer(&mut host, "/7/0/2").await, 2);
    let refused = execute(&mut host, "/7/0/6").await;
    assert_eq!(refused.unwrap_err().code, Code::INTERNAL_SERVER_ERROR);
    kernel.fails.store(false, Ordering::Relaxed);
    kernel.carry(1_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_factory_reset_leaves_nothing_of_a_collection() {
    let (place, kernel) = (Place::new(), MadeUp::new(5_000));
    let mut host = place.agent(&kernel);
    set_period(&mut host, 60).await.unwrap();
    execute(&mut host, "/7/0/6").await.unwrap();
    kernel.carry(3_000);
    assert_eq!(integer(&mut host, "/7/0/2").await, 3);
    host.forget();
    pass(&mut host, 1).await;
    kernel.carry(3_000);
    assert_eq!((integer(&mut host, "/7/0/2").await, integer(&mut host, "/7/0/8").await), (0, 0));
    assert_eq!(place.keeper().load(), Collection::default());
}
