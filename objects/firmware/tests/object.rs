//! The object in its host with an installer that is made up: what servers see of it,
//! through restarts of the agent and the machine.

use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_firmware::{
    Backend, Confirmation, Failure, FirmwareUpdate, Installed, PackageInfo, Parts, Reason,
    RecordFile,
};
use lwm2m_model::{Arguments, Code, Instant, Now, Path, Value};
use lwm2m_objects::{BusHandle, ObjectHost, ObjectMessage};
use tempfile::TempDir;

/// An installer that does as it is told.
#[derive(Clone)]
struct Double(Arc<Mutex<Orders>>);

struct Orders {
    inspected: Result<PackageInfo, Failure>,
    slot: &'static str,
}

impl Backend for Double {
    async fn inspect(&self, _package: &FilePath) -> Result<PackageInfo, Failure> {
        self.0.lock().unwrap().inspected.clone()
    }

    async fn install(&self, package: &FilePath) -> Result<Installed, Failure> {
        assert!(package.exists());
        Ok(Installed::NeedsReboot)
    }

    async fn slot(&self) -> Option<String> {
        Some(self.0.lock().unwrap().slot.into())
    }
}

/// A machine with its state, which outlives the agent.
struct Machine {
    folder: TempDir,
    orders: Double,
}

/// The agent at work.
struct Agent {
    host: ObjectHost,
    confirmation: Confirmation,
    next: u64,
}

impl Machine {
    fn new() -> Self {
        let orders = Orders { inspected: Ok(PackageInfo::default()), slot: "A" };
        let orders = Double(Arc::new(Mutex::new(orders)));
        Self { folder: tempfile::tempdir().unwrap(), orders }
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders.0.lock().unwrap());
    }

    fn start(&self, boot: &str) -> Agent {
        let mut host = ObjectHost::new(clock);
        let object = FirmwareUpdate::new(Parts {
            backend: self.orders.clone(),
            records: Arc::new(RecordFile::new(self.folder.path().join("firmware/record"))),
            package: self.folder.path().join("firmware/package"),
            bus: BusHandle::absent(),
            boot: boot.into(),
            out: host.sender(),
            clock,
        });
        let confirmation = object.confirmation();
        host.add(Box::new(object));
        Agent { host, confirmation, next: 0 }
    }

    fn package(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join("firmware/package")).ok()
    }

    /// What is of no use any more goes just after the State is shown.
    async fn package_goes(&self) {
        for _ in 0..1000 {
            if self.package().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the package stays");
    }
}

impl Agent {
    async fn call(&mut self, path: Path, operation: CallOperation) -> CallResult {
        self.next += 1;
        let call = Call { id: CallId(self.next), path, operation, server: Some(101) };
        if let Some(result) = self.host.call(&call) {
            return result;
        }
        loop {
            match self.host.next().await {
                ObjectMessage::Reply { call: id, result } if id == call.id => return result,
                _ => {}
            }
        }
    }

    async fn push(&mut self, offset: u64, chunk: &[u8], last: bool) -> CallResult {
        let chunk = chunk.to_vec();
        let operation = CallOperation::Stream { offset, chunk, last, size: None };
        self.call(Path::resource(5, 0, 0), operation).await
    }

    async fn update(&mut self) {
        let path = Path::resource(5, 0, 2);
        let result = self.call(path.clone(), CallOperation::Execute(Arguments::default())).await;
        assert_eq!(result, Ok(CallReply::AfterAnswer));
        let (id, operation) = (CallId(0), CallOperation::Proceed);
        self.host.call(&Call { id, path, operation, server: Some(101) });
    }

    /// State and Update Result.
    async fn numbers(&mut self) -> (i64, i64) {
        let read = self.call(Path::instance(5, 0), CallOperation::Read).await;
        let Ok(CallReply::Entries(entries)) = read else { panic!("{read:?}") };
        let number = |id| {
            let entry = entries.iter().find(|entry| entry.path == Path::resource(5, 0, id));
            match entry.and_then(|entry| entry.value()) {
                Some(Value::Integer(number)) => *number,
                other => panic!("{other:?} at /5/0/{id}"),
            }
        };
        // OBJ-95: pushed alone.
        assert_eq!(number(9), 1);
        (number(3), number(5))
    }

    async fn until(&mut self, wanted: (i64, i64)) {
        for _ in 0..1000 {
            if self.numbers().await == wanted {
                return;
            }
            // Its messages are taken meanwhile, as the daemon does.
            let _ = tokio::time::timeout(Duration::from_millis(100), self.host.next()).await;
        }
        panic!("never {wanted:?}, but {:?}", self.numbers().await);
    }
}

/// Follows the time of the test, which passes when nothing else happens.
fn clock() -> Now {
    thread_local! {
        static START: tokio::time::Instant = tokio::time::Instant::now();
    }
    let boot = START.with(|start| start.elapsed()) + Duration::from_secs(100);
    Now { boot: Instant::from_boot(boot), wall: Some(1_800_000_000_000) }
}

/// Pushes, and installs up to the restart.
async fn installed(machine: &Machine) {
    let mut agent = machine.start("boot-1");
    assert_eq!(agent.push(0, &[7; 64], false).await, Ok(CallReply::Done));
    assert_eq!(agent.numbers().await, (1, 0));
    assert_eq!(agent.push(64, b"end", true).await, Ok(CallReply::Done));
    assert_eq!(agent.numbers().await, (2, 0));
    assert_eq!(machine.package().unwrap().len(), 67);
    agent.update().await;
    // The installer is called a second after the answer, the restart two later.
    for _ in 0..50 {
        assert_eq!(agent.numbers().await, (3, 0));
        let _ = tokio::time::timeout(Duration::from_millis(100), agent.host.next()).await;
    }
}

/// OBJ-92, OBJ-91
#[tokio::test(start_paused = true)]
async fn the_new_slot_counts_once_a_server_has_answered() {
    let machine = Machine::new();
    installed(&machine).await;
    machine.order(|orders| orders.slot = "B");
    let mut agent = machine.start("boot-2");
    for _ in 0..20 {
        assert_eq!(agent.numbers().await, (3, 0));
        let _ = tokio::time::timeout(Duration::from_millis(100), agent.host.next()).await;
    }
    agent.confirmation.registered();
    agent.until((0, 1)).await;
    machine.package_goes().await;
}

/// OBJ-91
#[tokio::test(start_paused = true)]
async fn the_old_slot_after_the_restart_is_a_failed_update() {
    let machine = Machine::new();
    installed(&machine).await;
    let mut agent = machine.start("boot-2");
    agent.until((2, 8)).await;
    assert_eq!(machine.package().unwrap().len(), 67);
    // Nothing is on trial.
    agent.confirmation.registered();
    agent.until((2, 8)).await;
}

/// OBJ-91: a push cannot go on.
#[tokio::test(start_paused = true)]
async fn a_push_that_a_restart_cut_off_is_dropped() {
    let machine = Machine::new();
    let mut agent = machine.start("boot-1");
    agent.push(0, &[7; 64], false).await.unwrap();
    drop(agent);
    let mut agent = machine.start("boot-1");
    agent.until((0, 4)).await;
    machine.package_goes().await;
    let refused = agent.push(64, &[7; 64], false).await.unwrap_err();
    assert_eq!(refused.code, Code::REQUEST_ENTITY_INCOMPLETE);
}

/// The note below the table of Objects 7.2.
#[tokio::test(start_paused = true)]
async fn a_package_that_is_refused_is_gone_when_its_write_is_answered() {
    let machine = Machine::new();
    machine.order(|orders| orders.inspected = Err(Failure::new(Reason::Integrity, "why")));
    let mut agent = machine.start("boot-1");
    assert_eq!(agent.push(0, &[7; 64], true).await, Ok(CallReply::Done));
    assert_eq!(agent.numbers().await, (0, 5));
    assert_eq!(machine.package(), None);
}
