//! Packages that a server pushes, with an installer that is made up.

use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lwm2m_engine::{CallOperation, CallReply, CallResult};
use lwm2m_firmware::{
    Backend, Checks, DEFAULT_PATIENCE, Failure, Installed, NotAccepted, Package, PackageInfo,
    Parts, ProgressSink, Reason, RecordFile, RecordStore, Restarter, Slot, TrialMarker,
    UpdateProgress, is_on_trial,
};
use lwm2m_model::{Code, Instant, Path, Value};
use tempfile::TempDir;

use crate::agent::{Agent, clock};

/// An installer that does as it is told.
#[derive(Clone)]
struct Double(Arc<Mutex<Orders>>);

struct Orders {
    inspected: Result<PackageInfo, Failure>,
    /// How long a check takes.
    inspection: Duration,
    /// Checks that were begun, and the most that ran at once.
    inspections: u32,
    inspecting: [u32; 2],
    slot: Slot,
    installations: u32,
    /// How an installation ends, if not well; and what is booted next.
    failed: Option<Reason>,
    next_boot: Result<Option<String>, String>,
    restart: Result<(), &'static str>,
    restarts: u32,
    check: Result<(), String>,
    checks: u32,
    confirm: Result<(), String>,
    confirmations: u32,
    rejections: u32,
}

impl Backend for Double {
    async fn inspect(&self, _package: &Package) -> Result<PackageInfo, Failure> {
        let pause = {
            let mut orders = self.0.lock().unwrap();
            orders.inspections += 1;
            let [now, most] = orders.inspecting;
            orders.inspecting = [now + 1, most.max(now + 1)];
            orders.inspection
        };
        tokio::time::sleep(pause).await;
        let mut orders = self.0.lock().unwrap();
        orders.inspecting[0] -= 1;
        orders.inspected.clone()
    }

    async fn install(&self, package: &Package, sink: &ProgressSink) -> Result<Installed, Failure> {
        assert!(package.file().unwrap().exists());
        self.0.lock().unwrap().installations += 1;
        sink.tell(40, "Copying image");
        tokio::time::sleep(INSTALLATION).await;
        if let Some(reason) = self.0.lock().unwrap().failed {
            return Err(Failure::new(reason, "RAUC left the bus"));
        }
        Ok(Installed::NeedsReboot(Some("B".into())))
    }

    async fn confirm(&self) -> Result<(), String> {
        self.0.lock().unwrap().confirmations += 1;
        self.0.lock().unwrap().confirm.clone()
    }

    async fn reject(&self) -> Result<(), String> {
        self.0.lock().unwrap().rejections += 1;
        Err("the double has no boot loader".into())
    }

    async fn next_boot(&self) -> Result<Option<String>, String> {
        self.0.lock().unwrap().next_boot.clone()
    }

    async fn slot(&self) -> Slot {
        self.0.lock().unwrap().slot.clone()
    }
}

impl Checks for Double {
    fn run(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async {
            let mut orders = self.0.lock().unwrap();
            orders.checks += 1;
            orders.check.clone()
        })
    }
}

impl Restarter for Double {
    async fn check(&self) -> Result<(), String> {
        Ok(self.0.lock().unwrap().restart?)
    }

    async fn restart(&self) -> Result<(), String> {
        let mut orders = self.0.lock().unwrap();
        orders.restarts += 1;
        Ok(orders.restart?)
    }
}

/// A machine with its state, which outlives the agent.
struct Machine {
    folder: TempDir,
    orders: Double,
    /// Whether somebody on the device may put an update off.
    deferral: Option<Duration>,
}

impl Machine {
    fn new() -> Self {
        let orders = Orders {
            inspected: Ok(PackageInfo::default()),
            inspection: Duration::ZERO,
            inspections: 0,
            inspecting: [0; 2],
            slot: booted("A"),
            installations: 0,
            failed: None,
            next_boot: Err("RAUC is away".into()),
            restart: Ok(()),
            restarts: 0,
            check: Ok(()),
            checks: 0,
            confirm: Ok(()),
            confirmations: 0,
            rejections: 0,
        };
        let orders = Double(Arc::new(Mutex::new(orders)));
        Self { folder: tempfile::tempdir().unwrap(), orders, deferral: None }
    }

    /// The machine boots this slot.
    fn boot(&self, slot: &str) -> Agent {
        self.order(|orders| orders.slot = booted(slot));
        let boot = format!("boot-of-{slot}");
        let proc = self.folder.path().join("proc/sys/kernel/random");
        fs::create_dir_all(&proc).unwrap();
        fs::write(proc.join("boot_id"), &boot).unwrap();
        fs::write(self.folder.path().join("proc/cmdline"), format!("rauc.slot={slot}")).unwrap();
        self.start(&boot)
    }

    fn is_on_trial(&self) -> bool {
        is_on_trial(self.folder.path(), &self.folder.path().join("proc"))
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders.0.lock().unwrap());
    }

    fn start(&self, boot: &str) -> Agent {
        Agent::start(|out| Parts {
            backend: self.orders.clone(),
            fetcher: (),
            patience: DEFAULT_PATIENCE,
            records: Arc::new(RecordFile::new(self.path("record"))),
            package: self.path("package"),
            restarter: self.orders.clone(),
            checks: Arc::new(self.orders.clone()),
            marker: TrialMarker::new(self.folder.path(), &self.folder.path().join("proc")),
            trial: TRIAL,
            boot: Some(boot.into()),
            deferral: self.deferral,
            out,
            clock,
        })
    }

    /// Runs of the checks, marks good, marks bad.
    fn counts(&self) -> [u32; 3] {
        let orders = self.orders.0.lock().unwrap();
        [orders.checks, orders.confirmations, orders.rejections]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("firmware").join(name)
    }

    fn package(&self) -> Option<Vec<u8>> {
        fs::read(self.path("package")).ok()
    }

    /// What is of no use any more goes just after the State is shown.
    async fn package_goes(&self) {
        self.goes("package").await;
    }

    async fn marker_goes(&self) {
        self.goes("trial").await;
    }

    async fn goes(&self, name: &str) {
        for _ in 0..1000 {
            if !self.path(name).exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} stays");
    }
}

/// Pushes a part of a package.
async fn push(agent: &mut Agent, offset: u64, chunk: &[u8], last: bool) -> CallResult {
    let size = (offset == 0).then_some(PACKAGE);
    let chunk = chunk.to_vec();
    let operation = CallOperation::Stream { offset, chunk, last, size };
    agent.call(Path::resource(5, 0, 0), operation).await
}

/// From the boot, which was 100 s before the test.
const TRIAL: Duration = Duration::from_secs(900);

fn booted(slot: &str) -> Slot {
    Slot::Booted(slot.into())
}

/// Bytes of the package that [`pushed`] pushes.
const PACKAGE: u64 = 67;
/// What an installation takes.
const INSTALLATION: Duration = Duration::from_millis(500);

/// Pushes up to State Downloaded.
async fn pushed(machine: &Machine) -> Agent {
    let mut agent = machine.boot("A");
    // OBJ-95: pushed alone.
    let method = agent.read(Path::resource(5, 0, 9)).await;
    assert_eq!(method[0].value(), Some(&Value::Integer(1)));
    assert_eq!(push(&mut agent, 0, &[7; 64], false).await, Ok(CallReply::Done));
    assert_eq!(agent.numbers().await, (1, 0));
    assert_eq!(push(&mut agent, 64, b"end", true).await, Ok(CallReply::Done));
    assert_eq!(agent.numbers().await, (2, 0));
    assert_eq!(machine.package().unwrap().len() as u64, PACKAGE);
    agent
}

/// Pushes, and installs up to the restart.
async fn installed(machine: &Machine) {
    let mut agent = pushed(machine).await;
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
    let mut agent = machine.boot("B");
    for _ in 0..20 {
        assert_eq!(agent.numbers().await, (3, 0));
        let _ = tokio::time::timeout(Duration::from_millis(100), agent.host.next()).await;
    }
    assert!(machine.is_on_trial());
    assert_eq!(machine.counts(), [0; 3]);
    agent.confirmation.registered();
    agent.until((0, 1)).await;
    machine.package_goes().await;
    assert_eq!(machine.counts(), [1, 1, 0]);
    assert!(!machine.is_on_trial());
}

/// OBJ-92: nothing is lost of what is said while the slot is not known yet.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_before_the_slot_is_known_counts() {
    let machine = Machine::new();
    installed(&machine).await;
    let mut agent = machine.boot("B");
    machine.order(|orders| orders.slot = Slot::Unknown("RAUC is away".into()));
    agent.confirmation.registered();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(agent.numbers().await, (3, 0));
    machine.order(|orders| orders.slot = booted("B"));
    agent.until((0, 1)).await;
}

/// OBJ-92
#[tokio::test(start_paused = true)]
async fn a_check_that_fails_leads_back_when_the_trial_is_over() {
    let machine = Machine::new();
    installed(&machine).await;
    machine.order(|orders| orders.check = Err("check net: exit code 1".into()));
    let mut agent = machine.boot("B");
    let restarts = machine.orders.0.lock().unwrap().restarts;
    agent.confirmation.registered();
    while clock().boot < Instant::from_boot(TRIAL + Duration::from_secs(5)) {
        assert_eq!(agent.numbers().await, (3, 0));
        let _ = tokio::time::timeout(Duration::from_secs(1), agent.host.next()).await;
    }
    let [checks, confirmations, rejections] = machine.counts();
    assert!((20..=30).contains(&checks), "{checks}");
    assert_eq!((confirmations, rejections), (0, 1));
    // Marking it bad has failed.
    assert!(machine.orders.0.lock().unwrap().restarts > restarts);
    assert!(machine.is_on_trial());
    drop(agent);
    let mut agent = machine.boot("A");
    agent.until((2, 8)).await;
    assert!(!machine.is_on_trial());
    assert!(!machine.path("trial").exists());
}

/// OBJ-92: what is not read back is no success, whoever has begun to go back.
#[tokio::test(start_paused = true)]
async fn a_system_that_cannot_be_marked_good_is_not_reported_as_a_success() {
    let machine = Machine::new();
    installed(&machine).await;
    let text = fs::read_to_string(machine.path("trial")).unwrap();
    assert_eq!(text, "system=rauc.slot=A\nboot=boot-of-A\nlimit=900\n");
    machine.order(|orders| orders.confirm = Err("RAUC is away".into()));
    let mut agent = machine.boot("B");
    agent.confirmation.registered();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(agent.numbers().await, (3, 0));
    // RAUC is back, but the timer was first.
    let taken = machine.path("trial.taken-boot-of-B");
    fs::rename(machine.path("trial"), &taken).unwrap();
    machine.order(|orders| orders.confirm = Ok(()));
    tokio::time::sleep(Duration::from_secs(2000)).await;
    assert_eq!(agent.numbers().await, (3, 0));
    assert!(machine.counts()[1] > 5);
    // It has not led back: another boot of the new system is a new chance.
    drop(agent);
    fs::rename(&taken, machine.path("trial.taken-another-boot")).unwrap();
    let mut agent = machine.boot("B");
    agent.until((0, 1)).await;
    assert!(!machine.path("trial").exists());
    assert!(!machine.path("trial.taken-another-boot").exists());
}

/// Up to an installation whose end was not heard.
async fn unsettled(machine: &Machine) -> Agent {
    machine.order(|orders| orders.failed = Some(Reason::Unknown));
    let mut agent = pushed(machine).await;
    agent.update().await;
    agent.until((3, 0)).await;
    agent.until((2, 8)).await;
    assert!(machine.path("trial").exists());
    agent
}

/// OBJ-91, OBJ-92: what servers do meanwhile changes nothing about it, nor does a restart
/// of the agent.
#[tokio::test(start_paused = true)]
async fn a_system_that_is_booted_although_its_update_failed_is_on_trial() {
    for proves_itself in [true, false] {
        let machine = Machine::new();
        let mut agent = unsettled(&machine).await;
        assert_eq!(agent.execute(10).await, Ok(CallReply::Done));
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(agent);
        let mut agent = machine.start("boot-of-A");
        agent.until((0, 10)).await;
        assert!(machine.path("trial").exists());
        drop(agent);
        let mut agent = machine.boot("B");
        agent.until((3, 0)).await;
        assert!(machine.is_on_trial());
        if proves_itself {
            agent.confirmation.registered();
            agent.until((0, 1)).await;
            assert_eq!(machine.counts(), [1, 1, 0]);
        } else {
            while machine.counts() != [0, 0, 1] {
                agent.until((3, 0)).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            drop(agent);
            // The package was called off before.
            machine.boot("A").until((0, 8)).await;
        }
        machine.marker_goes().await;
    }
}

/// OBJ-91: the marker goes once RAUC, which was away, says that nothing has come of it.
#[tokio::test(start_paused = true)]
async fn an_installation_whose_end_was_not_heard_is_settled_when_rauc_is_back() {
    for (next, stays) in [("A", false), ("B", true)] {
        let machine = Machine::new();
        let mut agent = unsettled(&machine).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(machine.path("trial").exists());
        machine.order(|orders| orders.next_boot = Ok(Some(next.into())));
        tokio::time::sleep(Duration::from_secs(700)).await;
        assert_eq!(machine.path("trial").exists(), stays);
        agent.until((2, 8)).await;
        // The other one was not booted in the end.
        drop(agent);
        let mut agent = machine.start("boot-2");
        machine.marker_goes().await;
        agent.until((2, 8)).await;
    }
}

/// OBJ-91: nobody could come back from a system that is not known to be on trial.
#[tokio::test(start_paused = true)]
async fn without_a_marker_nothing_is_installed() {
    let machine = Machine::new();
    let mut agent = pushed(&machine).await;
    fs::create_dir(machine.path("trial.new")).unwrap();
    agent.update().await;
    agent.until((2, 8)).await;
    assert_eq!(machine.orders.0.lock().unwrap().installations, 0);
}

/// OBJ-91: the same package again is an update like any other.
#[tokio::test(start_paused = true)]
async fn the_version_that_runs_is_installed_all_the_same() {
    let machine = Machine::new();
    for installations in 1..=2 {
        installed(&machine).await;
        let mut agent = machine.boot("B");
        agent.confirmation.registered();
        agent.until((0, 1)).await;
        assert_eq!(machine.orders.0.lock().unwrap().installations, installations);
    }
}

/// OBJ-91
#[tokio::test(start_paused = true)]
async fn the_old_slot_after_the_restart_is_a_failed_update() {
    let machine = Machine::new();
    installed(&machine).await;
    assert!(machine.path("trial").exists());
    assert!(!machine.is_on_trial());
    let mut agent = machine.start("boot-2");
    agent.until((2, 8)).await;
    assert!(!machine.path("trial").exists());
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
    push(&mut agent, 0, &[7; 64], false).await.unwrap();
    drop(agent);
    let mut agent = machine.start("boot-1");
    agent.until((0, 4)).await;
    machine.package_goes().await;
    let refused = push(&mut agent, 64, &[7; 64], false).await.unwrap_err();
    assert_eq!(refused.code, Code::REQUEST_ENTITY_INCOMPLETE);
}

/// The note below the table of Objects 7.2.
#[tokio::test(start_paused = true)]
async fn a_package_that_is_refused_is_gone_when_its_write_is_answered() {
    let machine = Machine::new();
    machine.order(|orders| orders.inspected = Err(Failure::new(Reason::Integrity, "why")));
    let mut agent = machine.start("boot-1");
    assert_eq!(push(&mut agent, 0, &[7; 64], true).await, Ok(CallReply::Done));
    assert_eq!(agent.numbers().await, (0, 5));
    assert_eq!(machine.package(), None);
}

/// A server that cancels and pushes again and again piles nothing up: of the checks that
/// wait one is left, that of the package that is there.
#[tokio::test(start_paused = true)]
async fn checks_of_packages_that_are_gone_do_not_pile_up() {
    let machine = Machine::new();
    machine.order(|orders| orders.inspection = Duration::from_secs(300));
    let mut agent = machine.start("boot-1");
    for _ in 0..20 {
        assert_eq!(push(&mut agent, 0, b"package", true).await, Ok(CallReply::Done));
        assert_eq!(agent.numbers().await, (1, 0));
        assert_eq!(agent.execute(10).await, Ok(CallReply::Done));
    }
    push(&mut agent, 0, b"package", true).await.unwrap();
    agent.until((2, 0)).await;
    let orders = machine.orders.0.lock().unwrap();
    assert_eq!((orders.inspections, orders.inspecting), (2, [0, 1]));
}

/// OBJ-91: what cannot be recorded is not done, and once it can be, the record follows.
#[tokio::test(start_paused = true)]
async fn without_a_record_nothing_is_installed() {
    // The record of the Update, or that of the call of the installer a second later.
    for fails_at_once in [true, false] {
        let machine = Machine::new();
        let mut agent = pushed(&machine).await;
        // No file can be made where a directory is.
        let fail = || fs::create_dir(machine.path("record.new")).unwrap();
        if fails_at_once {
            fail();
            agent.update().await;
        } else {
            agent.update().await;
            assert_eq!(agent.numbers().await, (3, 0));
            fail();
        }
        agent.until((2, 8)).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(machine.orders.0.lock().unwrap().installations, 0);
        fs::remove_dir(machine.path("record.new")).unwrap();
        for _ in 0..200 {
            let _ = tokio::time::timeout(Duration::from_millis(100), agent.host.next()).await;
        }
        drop(agent);
        machine.start("boot-1").until((2, 8)).await;
    }
}

/// OBJ-91: the new system could never be booted, or not be told from the old one.
#[tokio::test(start_paused = true)]
async fn nothing_is_installed_that_could_not_be_booted_into() {
    let machine = Machine::new();
    let mut agent = pushed(&machine).await;
    machine.order(|orders| orders.restart = Err("not granted"));
    agent.update().await;
    agent.until((2, 8)).await;
    machine.order(|orders| orders.restart = Ok(()));
    machine.order(|orders| orders.slot = Slot::Unknown("nobody says".into()));
    agent.update().await;
    agent.until((2, 8)).await;
    assert_eq!(machine.orders.0.lock().unwrap().installations, 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_fails_is_tried_until_it_is_done() {
    let machine = Machine::new();
    let mut agent = pushed(&machine).await;
    agent.update().await;
    agent.until((3, 0)).await;
    while machine.orders.0.lock().unwrap().installations == 0 {
        let _ = tokio::time::timeout(Duration::from_millis(100), agent.host.next()).await;
    }
    machine.order(|orders| orders.restart = Err("the bus is away"));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let first = machine.orders.0.lock().unwrap().restarts;
    assert!((8..20).contains(&first), "{first}");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(machine.orders.0.lock().unwrap().restarts > first);
    assert_eq!(agent.numbers().await, (3, 0));
}

/// A newer version of the agent may want it again.
#[tokio::test(start_paused = true)]
async fn a_record_of_no_use_is_set_aside_and_the_package_kept() {
    let machine = Machine::new();
    drop(pushed(&machine).await);
    let newer = br#"{"format":2}"#;
    RecordFile::new(machine.path("record")).save(newer).unwrap();
    let mut agent = machine.start("boot-1");
    agent.until((0, 0)).await;
    assert_eq!(fs::read(machine.path("record.damaged-1")).unwrap(), newer);
    assert_eq!(machine.package().unwrap().len(), 67);
    // Another takes its place.
    push(&mut agent, 0, b"another", true).await.unwrap();
    assert_eq!(machine.package().unwrap(), b"another");
}

/// Execute Update; somebody on the device may put it off.
async fn deferred(agent: &mut Agent) {
    assert_eq!(agent.execute(2).await, Ok(CallReply::Done));
    assert_eq!(agent.numbers().await, (2, 11));
}

/// How long the update waits still.
fn left(agent: &Agent) -> Option<Duration> {
    agent.handle.status().deadline.map(|deadline| deadline - clock().boot)
}

/// OBJ-86
#[tokio::test(start_paused = true)]
async fn an_update_that_was_put_off_waits_for_consent() {
    let mut machine = Machine::new();
    machine.deferral = Some(Duration::from_secs(3600));
    let mut agent = pushed(&machine).await;
    assert_eq!(agent.handle.accept().await, Err(NotAccepted::NothingWaits));
    deferred(&mut agent).await;
    assert!(left(&agent).is_some_and(|left| left.as_secs() >= 3590), "{:?}", left(&agent));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(agent.numbers().await, (2, 11));

    assert_eq!(agent.handle.accept().await, Ok(()));
    assert_eq!(agent.numbers().await, (3, 0));
    assert_eq!(left(&agent), None);
    assert_eq!(agent.handle.accept().await, Err(NotAccepted::NothingWaits));
    agent.until((3, 0)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(machine.orders.0.lock().unwrap().installations, 1);
}

/// OBJ-86: the period of the server counts before that of the configuration, also
/// after a restart, and at its end nobody is asked any more.
#[tokio::test(start_paused = true)]
async fn an_update_begins_by_itself_at_the_end_of_the_period() {
    let mut machine = Machine::new();
    machine.deferral = Some(Duration::from_secs(3600));
    let mut agent = pushed(&machine).await;
    agent.write(13, Value::Unsigned(120)).await.unwrap();
    deferred(&mut agent).await;
    drop(agent);
    let mut agent = machine.start("boot-1");
    agent.until((2, 11)).await;
    while left(&agent).is_none() {
        assert!(agent.handle.changed().await);
    }
    assert!(left(&agent).is_some_and(|left| left.as_secs() <= 120), "{:?}", left(&agent));
    tokio::time::sleep(Duration::from_secs(121)).await;
    assert_eq!(agent.numbers().await, (3, 0));
}

/// OBJ-86
#[tokio::test(start_paused = true)]
async fn without_a_deferral_nobody_is_asked() {
    let machine = Machine::new();
    let mut agent = pushed(&machine).await;
    agent.update().await;
    assert_eq!(agent.numbers().await, (3, 0));
    assert_eq!(agent.handle.status().deadline, None);
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_while_something_is_under_way() {
    let machine = Machine::new();
    let mut agent = machine.start("boot-1");
    let mut told = agent.handle.clone();
    push(&mut agent, 0, &[7; 64], false).await.unwrap();
    assert!(told.changed().await);
    let stored = UpdateProgress::Download { bytes: 64, size: Some(PACKAGE) };
    assert_eq!(told.status().progress, Some(stored));
    push(&mut agent, 64, b"end", true).await.unwrap();
    assert_eq!(agent.numbers().await, (2, 0));
    assert_eq!(told.status().progress, None);

    agent.update().await;
    let installs = UpdateProgress::Installation { percent: 40, message: "Copying image".into() };
    while told.status().progress.as_ref() != Some(&installs) {
        assert!(told.changed().await);
    }
    drop(agent);
    while told.changed().await {}
    assert_eq!(told.accept().await, Err(NotAccepted::NothingWaits));
}

/// Update Result says that an update failed (Objects 7.1); why, the operator can ask
/// until another begins.
#[tokio::test(start_paused = true)]
async fn the_cause_of_a_failure_is_kept_until_something_new_begins() {
    let machine = Machine::new();
    machine.order(|orders| {
        let cause = "the signature\nis \u{1b}[2Jwrong".to_owned() + &"!".repeat(300);
        orders.inspected = Err(Failure::new(Reason::Integrity, cause));
    });
    let mut agent = machine.start("boot-1");
    push(&mut agent, 0, &[7; 64], true).await.unwrap();
    assert_eq!(agent.numbers().await, (0, 5));
    let cause = agent.handle.status().record.cause.unwrap();
    assert!(cause.starts_with("the signature is [2Jwrong!!"), "{cause:?}");
    assert_eq!(cause.len(), 255);
    drop(agent);

    let mut agent = machine.start("boot-1");
    agent.until((0, 5)).await;
    assert_eq!(agent.handle.status().record.cause.as_ref(), Some(&cause));
    push(&mut agent, 0, &[7; 64], false).await.unwrap();
    assert_eq!(agent.numbers().await, (1, 0));
    assert_eq!(agent.handle.status().record.cause, None);
}
