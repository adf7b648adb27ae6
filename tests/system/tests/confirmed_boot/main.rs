//! Confirmed boot with the real service of RAUC: the Firmware Update object in one slot,
//! then in the other, with a boot loader that counts tries between them.
//!
//! The object is here without the daemon, since a boot of the laboratory has no boot id of
//! the kernel.

use std::cell::Cell;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_firmware::{
    CheckUnits, Confirmation, DEFAULT_PATIENCE, FirmwareUpdate, Parts, RaucBackend, RecordFile,
    Restarter, TrialMarker, is_on_trial,
};
use lwm2m_interop::scenario;
use lwm2m_model::{Arguments, Instant, Now, Path, Value};
use lwm2m_objects::{BusHandle, ObjectHost, ObjectMessage};
use lwm2m_system_tests::{RaucLab, Slots};
use tempfile::TempDir;
use zbus::connection::Builder;

/// A machine with what outlives its boots.
struct Device {
    lab: RaucLab,
    state: TempDir,
    bus: BusHandle,
    restarts: Restarts,
    boots: u32,
}

/// The agent in one boot.
struct Agent {
    host: ObjectHost,
    confirmation: Confirmation,
    calls: u64,
}

/// Counts the restarts that are wanted; the test does them.
#[derive(Clone, Default)]
struct Restarts(Arc<AtomicU32>);

impl Restarter for Restarts {
    async fn check(&self) -> Result<(), String> {
        Ok(())
    }

    async fn restart(&self) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Runs a scenario and keeps a record of it; where RAUC cannot run it only says so.
fn with_device(name: &str, run: impl AsyncFnOnce(Device)) {
    let Some(lab) = RaucLab::start(Slots::Files).unwrap() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Builder::address(lab.bus()).build().await.unwrap();
        let (supply, bus) = BusHandle::channel();
        supply.send_replace(Some(connection));
        let state = tempfile::tempdir().unwrap();
        run(Device { lab, state, bus, restarts: Restarts::default(), boots: 0 }).await;
    });
    scenario::ran("rauc", name).unwrap();
}

impl Device {
    /// The agent in a system that the boot loader has just begun from this slot.
    fn boot(&mut self, slot: &str, trial: Duration) -> Agent {
        self.boots += 1;
        BOOTED.set(std::time::Instant::now());
        let proc = self.state.path().join("proc");
        fs::create_dir_all(&proc).unwrap();
        fs::write(proc.join("cmdline"), format!("quiet rauc.slot={slot}\n")).unwrap();
        self.restarts.0.store(0, Ordering::Relaxed);
        self.start(trial)
    }

    /// The agent once more in the same boot.
    fn start(&self, trial: Duration) -> Agent {
        let mut host = ObjectHost::new(clock);
        let state = self.state.path();
        let object = FirmwareUpdate::new(Parts {
            backend: RaucBackend::new(self.bus.clone()),
            fetcher: (),
            patience: DEFAULT_PATIENCE,
            records: Arc::new(RecordFile::new(state.join("firmware/record"))),
            package: state.join("firmware/package"),
            restarter: self.restarts.clone(),
            checks: Arc::new(CheckUnits::new(self.bus.clone(), state.join("checks.d"))),
            marker: TrialMarker::new(state, &state.join("proc")),
            trial,
            boot: Some(format!("boot-{}", self.boots)),
            deferral: None,
            out: host.sender(),
            clock,
        });
        let confirmation = object.confirmation();
        host.add(Box::new(object));
        Agent { host, confirmation, calls: 0 }
    }

    /// From a push to the restart that it asks for.
    async fn install(&self, agent: &mut Agent) {
        let bundle = fs::read(self.lab.bundle("good-plain")).unwrap();
        let count = bundle.chunks(PART).len();
        for (place, chunk) in bundle.chunks(PART).enumerate() {
            let (offset, last) = ((place * PART) as u64, place + 1 == count);
            let size = Some(bundle.len() as u64);
            let operation = CallOperation::Stream { offset, chunk: chunk.to_vec(), last, size };
            assert_eq!(agent.call(0, operation).await, Ok(CallReply::Done));
        }
        agent.until((2, 0)).await;
        let update = CallOperation::Execute(Arguments::default());
        assert_eq!(agent.call(2, update).await, Ok(CallReply::AfterAnswer));
        agent.tell(2, CallOperation::Proceed);
        self.until_restart(agent).await;
        assert_eq!(agent.numbers().await, (3, 0));
    }

    async fn until_restart(&self, agent: &mut Agent) {
        let wanted = async {
            while self.restarts.0.load(Ordering::Relaxed) == 0 {
                agent.pass().await;
            }
        };
        tokio::time::timeout(LIMIT, wanted).await.expect("a restart");
    }

    fn boot_state(&self, name: &str) -> String {
        self.lab.boot_state().unwrap().get(name).to_owned()
    }

    fn is_on_trial(&self) -> bool {
        is_on_trial(self.state.path(), &self.state.path().join("proc"))
    }
}

impl Agent {
    async fn call(&mut self, resource: u16, operation: CallOperation) -> CallResult {
        self.calls += 1;
        let id = CallId(self.calls);
        let path = Path::resource(5, 0, resource);
        if let Some(result) = self.host.call(&Call { id, path, operation, server: Some(101) }) {
            return result;
        }
        loop {
            match self.host.next().await {
                ObjectMessage::Reply { call, result } if call == id => return result,
                _ => {}
            }
        }
    }

    fn tell(&mut self, resource: u16, operation: CallOperation) {
        let path = Path::resource(5, 0, resource);
        self.host.call(&Call { id: CallId(0), path, operation, server: Some(101) });
    }

    /// Takes its messages, as the daemon does.
    async fn pass(&mut self) {
        let _ = tokio::time::timeout(Duration::from_millis(50), self.host.next()).await;
    }

    /// State and Update Result.
    async fn numbers(&mut self) -> (i64, i64) {
        let mut numbers = [0; 2];
        for (number, id) in numbers.iter_mut().zip([3, 5]) {
            match self.call(id, CallOperation::Read).await {
                Ok(CallReply::Entries(entries)) => match entries[0].value() {
                    Some(Value::Integer(value)) => *number = *value,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        numbers.into()
    }

    async fn until(&mut self, wanted: (i64, i64)) {
        let reached = async {
            while self.numbers().await != wanted {
                self.pass().await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, reached).await;
        in_time.unwrap_or_else(|_| panic!("never {wanted:?}"));
    }
}

thread_local! {
    static BOOTED: Cell<std::time::Instant> = Cell::new(std::time::Instant::now());
}

/// Time since the last boot of the laboratory.
fn clock() -> Now {
    let boot = Instant::from_boot(BOOTED.get().elapsed());
    Now { boot, wall: Some(1_800_000_000_000) }
}

/// OBJ-90, OBJ-92: up to the mark of the boot loader; then the same bundle once more.
#[test]
fn a_system_that_a_server_has_answered_is_kept_and_the_same_bundle_installs_again() {
    with_device("confirmed boot", async |mut device| {
        let mut agent = device.boot("A", LONG);
        for (slot, before) in [("B", "A"), ("A", "B")] {
            device.install(&mut agent).await;
            assert!(!device.is_on_trial());
            drop(agent);
            assert_eq!(device.lab.reboot().unwrap(), slot);
            agent = device.boot(slot, LONG);
            for _ in 0..10 {
                agent.pass().await;
            }
            assert_eq!(agent.numbers().await, (3, 0));
            assert!(device.is_on_trial());
            // One try is gone, and only a mark brings it back.
            assert_eq!(device.boot_state(&format!("{slot}.tries")), "2");
            agent.confirmation.registered();
            agent.until((0, 1)).await;
            assert_eq!(device.boot_state(&format!("{slot}.tries")), "3");
            assert_eq!(device.boot_state(&format!("{slot}.state")), "good");
            assert_eq!(device.boot_state("primary"), slot);
            assert_ne!(slot, before);
            assert!(!device.is_on_trial());
        }
    });
}

/// OBJ-91, OBJ-92: RAUC dies after the boot loader has the mark, or before that is read
/// back; the agent too. Result 1 comes after both are done.
#[test]
fn a_mark_that_was_not_read_back_is_made_again() {
    for request in ["set-state", "get-state"] {
        with_device(&format!("killed after {request}"), async |mut device| {
            let mut agent = device.boot("A", LONG);
            device.install(&mut agent).await;
            drop(agent);
            assert_eq!(device.lab.reboot().unwrap(), "B");
            let mut agent = device.boot("B", LONG);
            for _ in 0..10 {
                agent.pass().await;
            }
            assert_eq!(agent.numbers().await, (3, 0));
            device.lab.kill_service_after(request).unwrap();
            agent.confirmation.registered();
            while device.boot_state("B.tries") != "3" {
                agent.pass().await;
            }
            // Longer than RAUC is waited for.
            for _ in 0..140 {
                agent.pass().await;
            }
            assert_eq!(agent.numbers().await, (3, 0));
            drop(agent);
            device.lab.start_service().unwrap();
            // No server has to answer again.
            let mut agent = device.start(LONG);
            agent.until((0, 1)).await;
            assert_eq!(device.boot_state("primary"), "B");
        });
    }
}

/// OBJ-92
#[test]
fn a_system_that_no_server_answers_is_marked_bad_and_left() {
    with_device("no registration", async |mut device| {
        let mut agent = device.boot("A", LONG);
        device.install(&mut agent).await;
        // To the old system; it proves nothing.
        agent.confirmation.registered();
        agent.pass().await;
        drop(agent);
        assert_eq!(device.lab.reboot().unwrap(), "B");
        let mut agent = device.boot("B", SHORT);
        device.until_restart(&mut agent).await;
        assert_eq!(agent.numbers().await, (3, 0));
        assert_eq!(device.boot_state("B.state"), "bad");
        drop(agent);
        assert_eq!(device.lab.reboot().unwrap(), "A");
        let mut agent = device.boot("A", LONG);
        agent.until((2, 8)).await;
        assert!(!device.state.path().join("firmware/trial").exists());
    });
}

/// OBJ-92: nobody is there to be asked to mark it bad.
#[test]
fn a_system_with_a_dead_rauc_is_left_by_the_tries_of_the_boot_loader() {
    with_device("dead RAUC", async |mut device| {
        let mut agent = device.boot("A", LONG);
        device.install(&mut agent).await;
        drop(agent);
        assert_eq!(device.lab.reboot().unwrap(), "B");
        let mut agent = device.boot("B", Duration::from_secs(3));
        agent.pass().await;
        assert_eq!(agent.numbers().await, (3, 0));
        tokio::time::sleep(Duration::from_secs(1)).await;
        device.lab.kill_service().unwrap();
        device.until_restart(&mut agent).await;
        assert_eq!(device.boot_state("B.state"), "good");
        drop(agent);
        assert_eq!(device.lab.crash_boot().unwrap(), "A");
        device.boot("A", LONG).until((2, 8)).await;
    });
}

/// OBJ-91: the new system never came so far as to start the agent.
#[test]
fn a_boot_loader_that_falls_back_by_itself_is_a_failed_update() {
    with_device("boot loader falls back", async |mut device| {
        let mut agent = device.boot("A", LONG);
        device.install(&mut agent).await;
        drop(agent);
        assert_eq!(device.lab.crash_boot().unwrap(), "A");
        let mut agent = device.boot("A", LONG);
        agent.until((2, 8)).await;
        // What is there can be tried again.
        let update = CallOperation::Execute(Arguments::default());
        assert_eq!(agent.call(2, update).await, Ok(CallReply::AfterAnswer));
    });
}

const PART: usize = 1024 * 1024;
const LONG: Duration = Duration::from_secs(900);
/// A trial that is over soon.
const SHORT: Duration = Duration::from_secs(2);
/// For anything here, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
