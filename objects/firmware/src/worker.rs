//! The task that owns the machine and does what it wants, one thing after the other.
//!
//! Files are written by threads that may wait for the disk; the installer is asked by
//! tasks whose outcomes come back as events.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::{Instant, Now, firmware};
use lwm2m_objects::{BusHandle, ObjectMessage, reboot};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::storage::Storage;
use crate::{
    Action, Backend, Delivery, Event, Failure, Found, Machine, MachineConfig, Reason, Record,
    RecordStore, Running, State, Step, System, UpdateResult, resource,
};

/// What the object is made of.
pub struct Parts<B> {
    /// The program that installs.
    pub backend: B,
    /// Where the record is kept.
    pub records: Arc<dyn RecordStore>,
    /// Where the package is kept; its directory is made.
    pub package: PathBuf,
    /// For the restart after an installation.
    pub bus: BusHandle,
    /// The identifier of this boot.
    pub boot: String,
    /// The channel of the host.
    pub out: mpsc::Sender<ObjectMessage>,
    /// What the clocks show.
    pub clock: fn() -> Now,
}

/// The task.
pub(crate) struct Worker<B> {
    machine: Machine,
    backend: Arc<B>,
    records: Arc<dyn RecordStore>,
    /// Away only while a thread writes.
    storage: Option<Storage>,
    package: PathBuf,
    bus: BusHandle,
    out: mpsc::Sender<ObjectMessage>,
    shown: watch::Sender<Record>,
    tasks: JoinSet<Option<Event>>,
    clock: fn() -> Now,
}

impl<B: Backend> Worker<B> {
    /// Works until the object is gone.
    pub(crate) async fn run(
        parts: Parts<B>,
        record: Option<Record>,
        mut events: mpsc::Receiver<Event>,
        shown: watch::Sender<Record>,
    ) {
        let backend = Arc::new(parts.backend);
        let found = find(record.as_ref(), &parts.package, &parts.boot, &*backend).await;
        let config = MachineConfig { delivery: Delivery::Push, deferral: None, boot: parts.boot };
        let (machine, actions) = Machine::start(config, record, &found, &(parts.clock)());
        let mut worker = Self {
            machine,
            backend,
            records: parts.records,
            storage: Some(Storage::new(parts.package.clone())),
            package: parts.package,
            bus: parts.bus,
            out: parts.out,
            shown,
            tasks: JoinSet::new(),
            clock: parts.clock,
        };
        worker.carry_out(actions).await;
        loop {
            let next = worker.machine.next_timeout();
            let event = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
                Some(ended) = worker.tasks.join_next() => match ended {
                    Ok(Some(event)) => event,
                    Ok(None) => continue,
                    Err(error) => {
                        error!(%error, "a task of the firmware update has failed");
                        continue;
                    }
                },
                () = until(next, worker.clock) => Event::Time,
            };
            let actions = worker.machine.handle(&(worker.clock)(), event);
            worker.carry_out(actions).await;
        }
    }

    /// Does what the machine wants, in order.
    async fn carry_out(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Persist(record) => self.persist(&record).await,
                Action::Changed { resources, cause } => self.changed(&resources, cause).await,
                Action::Reply(call, result) => {
                    self.say(ObjectMessage::Reply { call, result }).await;
                }
                Action::Store { offset, bytes, last, size } => {
                    let stored = self.store(offset, bytes, last, size).await;
                    let more = self.machine.handle(&(self.clock)(), Event::Stored(stored));
                    more.into_iter().rev().for_each(|action| actions.push_front(action));
                }
                Action::Discard => self.discard().await,
                Action::Inspect(ticket) => {
                    let (backend, package) = (self.backend.clone(), self.package.clone());
                    self.tasks.spawn(async move {
                        Some(Event::Inspected(ticket, backend.inspect(&package).await))
                    });
                }
                Action::LookUp(ticket) => {
                    let backend = self.backend.clone();
                    self.tasks.spawn(async move {
                        let slot = backend.slot().await;
                        Some(Event::Running(ticket, System { slot }))
                    });
                }
                Action::Install(ticket) => {
                    let (backend, package) = (self.backend.clone(), self.package.clone());
                    self.tasks.spawn(async move {
                        Some(Event::Installed(ticket, backend.install(&package).await))
                    });
                }
                Action::Reboot => {
                    info!("the update is installed; the system restarts into it");
                    let bus = self.bus.clone();
                    self.tasks.spawn(async move {
                        sleep(REBOOT_DELAY).await;
                        reboot(&bus).await;
                        None
                    });
                }
            }
        }
    }

    async fn persist(&self, record: &Record) {
        let (records, bytes) = (self.records.clone(), record.encode());
        match spawn_blocking(move || records.save(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                error!("the record of the firmware update cannot be written: {error}");
            }
            Err(error) => error!(%error, "the record of the firmware update was not written"),
        }
    }

    /// Shows the record to readers, then tells observers and the operator.
    async fn changed(&self, resources: &[u16], cause: Option<String>) {
        let record = self.machine.record();
        self.shown.send_replace(record.clone());
        if cause.is_some() || resources.contains(&resource::STATE) {
            log(record, cause);
        }
        for id in resources {
            self.say(ObjectMessage::Changed(resource::path(*id))).await;
        }
    }

    async fn say(&self, message: ObjectMessage) {
        // Without a host nobody waits for it.
        let _ = self.out.send(message).await;
    }

    async fn store(
        &mut self,
        offset: u64,
        bytes: Vec<u8>,
        last: bool,
        size: Option<u64>,
    ) -> Result<(), Failure> {
        let mut storage = self.take_storage();
        let written = spawn_blocking(move || {
            let result = storage.store(offset, &bytes, last, size);
            (storage, result)
        });
        match written.await {
            Ok((storage, result)) => {
                self.storage = Some(storage);
                result
            }
            Err(error) => Err(Failure::new(Reason::Other, error.to_string())),
        }
    }

    async fn discard(&mut self) {
        let mut storage = self.take_storage();
        let removed = spawn_blocking(move || {
            let result = storage.discard();
            (storage, result)
        });
        if let Ok((storage, result)) = removed.await {
            if let Err(error) = result {
                warn!("cannot remove {}: {error}", storage.path().display());
            }
            self.storage = Some(storage);
        }
    }

    fn take_storage(&mut self) -> Storage {
        let package = &self.package;
        self.storage.take().unwrap_or_else(|| Storage::new(package.clone()))
    }
}

/// The record, or none where it is of no use; the operator is told.
pub(crate) fn load(records: &dyn RecordStore) -> Option<Record> {
    let bytes = records
        .load()
        .map_err(|error| error!("the record of the firmware update cannot be read: {error}"))
        .ok()??;
    let error = match Record::decode(&bytes) {
        Ok(record) => return Some(record),
        Err(error) => error,
    };
    match records.set_aside() {
        Ok(name) => error!("the record of the firmware update is {error}; it is kept as {name}"),
        Err(failure) => {
            error!("the record of the firmware update is {error}, and stays: {failure}");
        }
    }
    None
}

/// What there is after a restart.
async fn find<B: Backend>(
    record: Option<&Record>,
    package: &std::path::Path,
    boot: &str,
    backend: &B,
) -> Found {
    let package = package.exists();
    let begun = record.filter(|it| it.state == State::Updating && it.step != Step::Wanted);
    let running = match begun {
        None => Running::Same,
        Some(record) => {
            let mut slot = backend.slot().await;
            // What has become of the update is not guessed.
            while record.slot.is_some() && slot.is_none() {
                sleep(SLOT_PAUSE).await;
                slot = backend.slot().await;
            }
            match (&record.slot, &slot) {
                (Some(before), Some(now)) if before != now => Running::New,
                _ if record.boot != boot && record.step != Step::Installing => Running::Old,
                _ => Running::Same,
            }
        }
    };
    Found { package, running }
}

/// One line for the operator.
fn log(record: &Record, cause: Option<String>) {
    let result = record.result;
    let (state, number) = (record.state.number(), result.number());
    let state = firmware::state_name(state).unwrap_or_default();
    let meaning = firmware::result_meaning(number).unwrap_or_default();
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("firmware update: {state}, result {number} ({meaning}){cause}");
    match result {
        UpdateResult::Initial
        | UpdateResult::Success
        | UpdateResult::Cancelled
        | UpdateResult::Deferred => info!("{text}"),
        UpdateResult::NoSpace
        | UpdateResult::OutOfMemory
        | UpdateResult::ConnectionLost
        | UpdateResult::Integrity
        | UpdateResult::UnsupportedPackage
        | UpdateResult::InvalidUri
        | UpdateResult::Failed
        | UpdateResult::UnsupportedScheme => warn!("{text}"),
    }
}

/// Waits for a time; for ever without one.
async fn until(time: Option<Instant>, clock: fn() -> Now) {
    match time {
        Some(time) => sleep(time - clock().boot).await,
        None => std::future::pending().await,
    }
}

/// Before the installer is asked again which slot was booted.
const SLOT_PAUSE: Duration = Duration::from_secs(10);
/// From the end of an installation to the restart, so that what was said is heard.
const REBOOT_DELAY: Duration = Duration::from_secs(2);
