//! The task that owns the machine and does what it wants, one thing after the other.
//!
//! Files are written by threads that may wait for the disk; the installer is asked by
//! tasks whose outcomes come back as events.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::{Instant, Now};
use lwm2m_objects::ObjectMessage;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinSet, spawn_blocking};
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::attempt::Attempt;
use crate::log::log;
use crate::proving::{check, confirm, next_boot, reject};
use crate::rules::is_supported;
use crate::storage::Storage;
use crate::{
    Action, Backend, Checks, Event, Failure, Fetcher, Found, Machine, MachineConfig, Package,
    ProgressSink, Reason, Record, RecordStore, Restarter, Running, Slot, State, Step, System,
    Ticket, TrialMarker, UpdateStatus, resource,
};

/// What the object is made of.
pub struct Parts<B, R, F> {
    /// The program that installs.
    pub backend: B,
    /// Gets packages that a server names.
    pub fetcher: F,
    /// For how long nothing new comes before a package is given up that is fetched:
    /// [`crate::DEFAULT_PATIENCE`].
    pub patience: Duration,
    /// Where the record is kept.
    pub records: Arc<dyn RecordStore>,
    /// Where the package is kept; its directory is made.
    pub package: PathBuf,
    /// For the restart after an installation.
    pub restarter: R,
    /// What the operator wants to know of a new system before it is kept.
    pub checks: Arc<dyn Checks>,
    /// What tells others that a new system is on trial.
    pub marker: TrialMarker,
    /// How long a new system has to prove itself, from its boot.
    pub trial: Duration,
    /// The identifier of this boot; `None` if it is not known.
    pub boot: Option<String>,
    /// As in [`MachineConfig::deferral`].
    pub deferral: Option<Duration>,
    /// The channel of the host.
    pub out: mpsc::Sender<ObjectMessage>,
    /// What the clocks show.
    pub clock: fn() -> Now,
}

/// The task.
pub(crate) struct Worker<B, R, F> {
    pub(crate) machine: Machine,
    backend: Arc<B>,
    fetcher: Arc<F>,
    /// At a package that is fetched.
    attempt: Option<Attempt>,
    /// The check of a package that is under way, and the one that is to follow it.
    inspections: Option<(Id, Option<Ticket>)>,
    records: Arc<dyn RecordStore>,
    /// Away only while a thread writes.
    storage: Option<Storage>,
    package: PathBuf,
    restarter: Arc<R>,
    checks: Arc<dyn Checks>,
    pub(crate) marker: TrialMarker,
    pub(crate) trial: Duration,
    /// When to try again to write the record, if that has failed.
    unsaved: Option<Instant>,
    out: mpsc::Sender<ObjectMessage>,
    shown: watch::Sender<UpdateStatus>,
    tasks: JoinSet<Option<Event>>,
    clock: fn() -> Now,
}

impl<B: Backend, R: Restarter, F: Fetcher> Worker<B, R, F> {
    /// Works until the object is gone.
    pub(crate) async fn run(
        parts: Parts<B, R, F>,
        record: Option<Record>,
        mut events: mpsc::Receiver<Event>,
        registered: Arc<Notify>,
        shown: watch::Sender<UpdateStatus>,
    ) {
        let backend = Arc::new(parts.backend);
        let found = find(record.as_ref(), &parts.package, parts.boot.as_deref(), &*backend).await;
        let config = MachineConfig {
            protocols: parts.fetcher.protocols().to_vec(),
            streams: backend.streams().to_vec(),
            patience: parts.patience,
            deferral: parts.deferral,
            boot: parts.boot,
            trial: parts.trial,
        };
        let (machine, actions) = Machine::start(config, record, &found, &(parts.clock)());
        let mut worker = Self {
            machine,
            backend,
            fetcher: Arc::new(parts.fetcher),
            attempt: None,
            inspections: None,
            records: parts.records,
            storage: Some(Storage::new(parts.package.clone())),
            package: parts.package,
            restarter: Arc::new(parts.restarter),
            trial: parts.trial,
            checks: parts.checks,
            marker: parts.marker,
            unsaved: None,
            out: parts.out,
            shown,
            tasks: JoinSet::new(),
            clock: parts.clock,
        };
        worker.carry_out(actions).await;
        worker.set_marker_right().await;
        loop {
            let next = worker.machine.next_timeout().into_iter().chain(worker.unsaved).min();
            let event = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
                Some(ended) = worker.tasks.join_next_with_id() => match ended {
                    Ok((id, event)) => {
                        worker.inspect_next(id);
                        match event {
                            Some(event) => event,
                            None => continue,
                        }
                    }
                    Err(error) => {
                        worker.inspect_next(error.id());
                        error!(%error, "a task of the firmware update has failed");
                        continue;
                    }
                },
                () = registered.notified() => Event::Registered,
                event = Attempt::next(&mut worker.attempt) => event,
                () = until(next, worker.clock) => Event::Time,
            };
            let now = (worker.clock)();
            let actions = worker.machine.handle(&now, event);
            worker.carry_out(actions).await;
            if worker.unsaved.is_some_and(|at| at <= now.boot) {
                // Nothing waits for it: what it had to come before was not done.
                let _ = worker.persist(worker.machine.record().clone()).await;
            }
        }
    }

    /// Does what the machine wants, in order.
    async fn carry_out(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Persist(record) => {
                    if let Err(cause) = self.persist(*record).await {
                        let planned = actions.len();
                        actions.retain(|action| !action.follows_record());
                        let step_left_out = actions.len() < planned;
                        let event = Event::NotRecorded { cause, step_left_out };
                        self.handle_first(event, &mut actions);
                    }
                }
                Action::Changed { resources, cause } => self.changed(&resources, cause).await,
                Action::Reply(call, result) => {
                    self.say(ObjectMessage::Reply { call, result }).await;
                }
                Action::Open { offset, size } => {
                    let opened = self.with_storage(move |it| it.open(offset, size)).await;
                    if opened.is_ok() {
                        self.tell_stored(offset, 0, size);
                    }
                    self.handle_first(Event::Stored(opened), &mut actions);
                }
                Action::Store { offset, bytes, last, size } => {
                    let len = bytes.len() as u64;
                    let stored = self.store(offset, bytes, last, size).await;
                    if stored.is_ok() {
                        self.tell_stored(offset, len, size);
                    }
                    self.handle_first(Event::Stored(stored), &mut actions);
                }
                Action::Fetch { ticket, uri, resume } => {
                    // One that is still there ends first.
                    self.attempt = None;
                    let fetcher = self.fetcher.clone();
                    self.attempt = Some(Attempt::begin(fetcher, ticket, uri, resume));
                }
                Action::StopFetch => self.attempt = None,
                Action::Discard => self.discard().await,
                Action::Inspect(ticket) => match &mut self.inspections {
                    // Of those that wait only the newest is of use to the machine.
                    Some((_, next)) => *next = Some(ticket),
                    None => self.inspect(ticket),
                },
                Action::LookUp(ticket) => {
                    let (backend, restarter) = (self.backend.clone(), self.restarter.clone());
                    self.tasks.spawn(async move {
                        Some(Event::Running(ticket, look_up(&*backend, &*restarter).await))
                    });
                }
                Action::Install(ticket) => {
                    let (backend, package) = (self.backend.clone(), self.package());
                    let sink = ProgressSink::new(self.shown.clone());
                    let marked = self.set_marker().await;
                    self.tasks.spawn(async move {
                        let result = match marked {
                            Ok(()) => backend.install(&package, &sink).await,
                            Err(failure) => Err(failure),
                        };
                        Some(Event::Installed(ticket, result))
                    });
                }
                Action::Check(ticket) => {
                    let checks = self.checks.clone();
                    self.tasks
                        .spawn(async move { Some(Event::Checked(ticket, check(&*checks).await)) });
                }
                Action::MarkGood(ticket) => {
                    let (backend, marker) = (self.backend.clone(), self.marker.clone());
                    self.tasks.spawn(async move {
                        Some(Event::Marked(ticket, confirm(&*backend, marker).await))
                    });
                }
                Action::Reject(ticket) => {
                    let cause = self.machine.record().cause.as_deref();
                    warn!("rolling back: {}", cause.unwrap_or_default());
                    let backend = self.backend.clone();
                    self.tasks.spawn(async move {
                        Some(Event::Rejected(ticket, reject(&*backend).await))
                    });
                }
                Action::AskNextBoot(ticket) => {
                    let backend = self.backend.clone();
                    let booted = self.machine.record().slot.clone();
                    self.tasks.spawn(async move {
                        let next = next_boot(&*backend, booted.as_deref()).await;
                        Some(Event::NextBoot(ticket, next))
                    });
                }
                Action::Reboot => {
                    match self.machine.record().step {
                        Step::RollingBack => info!("the system restarts into the old one"),
                        _ => info!("the update is installed; the system restarts into it"),
                    }
                    let restarter = self.restarter.clone();
                    self.tasks.spawn(async move {
                        restart(&*restarter).await;
                        None
                    });
                }
            }
        }
        self.show();
    }

    /// Begins to check the package. An installer that takes long does not have one check
    /// after the other given to it: it could not be told to stop.
    fn inspect(&mut self, ticket: Ticket) {
        let (backend, package) = (self.backend.clone(), self.package());
        let task = self
            .tasks
            .spawn(async move { Some(Event::Inspected(ticket, backend.inspect(&package).await)) });
        self.inspections = Some((task.id(), None));
    }

    /// A task has ended, perhaps that of a check.
    fn inspect_next(&mut self, task: Id) {
        if let Some((_, next)) = self.inspections.take_if(|(id, _)| *id == task)
            && let Some(ticket) = next
        {
            self.inspect(ticket);
        }
    }

    /// Handles an event whose actions come before those that are left.
    fn handle_first(&mut self, event: Event, actions: &mut VecDeque<Action>) {
        let more = self.machine.handle(&(self.clock)(), event);
        more.into_iter().rev().for_each(|action| actions.push_front(action));
    }

    /// Makes a record durable; the error is for the operator. What failed is tried again
    /// later, since it may hold what a server was told.
    async fn persist(&mut self, record: Record) -> Result<(), String> {
        let (records, bytes) = (self.records.clone(), record.encode());
        let saved = match spawn_blocking(move || records.save(&bytes)).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match saved {
            Ok(()) => {
                if !record.keeps_marker() {
                    self.clear_marker().await;
                }
                if self.unsaved.take().is_some() && record.state == State::Idle {
                    // That the package is of no use is recorded at last.
                    self.discard().await;
                }
                Ok(())
            }
            Err(error) => {
                let cause = format!("the record of the update cannot be written: {error}");
                error!("{cause}");
                self.unsaved = Some((self.clock)().boot + RECORD_PAUSE);
                Err(cause)
            }
        }
    }

    /// Shows the record to readers, then tells observers and the operator.
    async fn changed(&self, resources: &[u16], cause: Option<String>) {
        self.show();
        let is_told = |id: &u16| [resource::STATE, resource::UPDATE_RESULT].contains(id);
        if cause.is_some() || resources.iter().any(is_told) {
            log(self.machine.record(), cause.as_deref());
        }
        for id in resources {
            self.say(ObjectMessage::Changed(resource::path(*id))).await;
        }
    }

    fn show(&self) {
        let (record, deadline) = (self.machine.record(), self.machine.deadline());
        let interruption = self.machine.interruption();
        self.shown.send_if_modified(|status| status.follow(record, deadline, interruption));
    }

    /// So much of a package is there. Of one that is fetched the record has the size.
    fn tell_stored(&self, offset: u64, len: u64, size: Option<u64>) {
        let of_record = || self.machine.record().fetch.as_ref()?.size;
        let size = size.or_else(of_record);
        self.shown.send_modify(|status| status.stored(offset, len, size));
    }

    async fn say(&self, message: ObjectMessage) {
        // Without a host nobody waits for it.
        let _ = self.out.send(message).await;
    }

    /// Does something with the storage in a thread that may wait for the disk.
    async fn with_storage<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Storage) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut storage = self.take_storage();
        let acting = spawn_blocking(move || {
            let result = act(&mut storage);
            (storage, result)
        });
        match acting.await {
            Ok((storage, result)) => {
                self.storage = Some(storage);
                result
            }
            Err(error) => Err(Failure::new(Reason::Other, error.to_string())),
        }
    }

    async fn store(
        &mut self,
        offset: u64,
        bytes: Vec<u8>,
        last: bool,
        size: Option<u64>,
    ) -> Result<u64, Failure> {
        let gathered = match &mut self.storage {
            Some(storage) if !last => storage.gather(offset, &bytes),
            Some(_) | None => None,
        };
        match gathered {
            Some(durable) => Ok(durable),
            None => self.with_storage(move |it| it.store(offset, &bytes, last, size)).await,
        }
    }

    async fn discard(&mut self) {
        if let Err(failure) = self.with_storage(Storage::discard).await {
            warn!("cannot remove the package: {}", failure.cause);
        }
    }

    /// What is recorded of where the package is.
    fn package(&self) -> Package {
        let record = self.machine.record();
        match record.streamed {
            true => Package::Remote(record.uri.clone()),
            false => Package::Stored(self.package.clone()),
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

/// Whether something can be installed, and what runs before it is.
async fn look_up<B: Backend, R: Restarter>(backend: &B, restarter: &R) -> Result<System, Failure> {
    let slot = match backend.slot().await {
        Slot::None => return Ok(System { slot: None }),
        // Nobody could tell afterwards whether the new system runs.
        Slot::Unknown(cause) => return Err(Failure::new(Reason::Unavailable, cause)),
        Slot::Booted(slot) => slot,
    };
    match restarter.check().await {
        Ok(()) => Ok(System { slot: Some(slot) }),
        Err(cause) => {
            let cause = format!("the machine could not be restarted: {cause}");
            Err(Failure::new(Reason::Unavailable, cause))
        }
    }
}

/// Restarts the machine, for as long as it has not gone down.
async fn restart<R: Restarter>(restarter: &R) {
    let mut pause = RESTART_PAUSE;
    sleep(RESTART_DELAY).await;
    loop {
        match restarter.restart().await {
            // Something may hold it up, or it was called off.
            Ok(()) => pause = MAX_RESTART_PAUSE,
            Err(cause) => error!(
                "cannot restart into the update, try again in {} s: {cause}",
                pause.as_secs()
            ),
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_RESTART_PAUSE);
    }
}

/// What there is after a restart.
async fn find<B: Backend>(
    record: Option<&Record>,
    package: &Path,
    boot: Option<&str>,
    backend: &B,
) -> Found {
    let package = match record {
        Some(record) if record.streamed => is_supported(&record.uri, backend.streams()),
        Some(_) | None => is_there(record, package).await,
    };
    let begun = record.filter(|it| it.is_begun() || it.unsettled.is_some());
    let running = match begun {
        None => Running::Same,
        Some(record) => {
            let mut slot = backend.slot().await;
            // What has become of the update is not guessed.
            while let (Some(_), Slot::Unknown(cause)) = (&record.slot, &slot) {
                warn!("what has become of the update is not known yet: {cause}");
                sleep(SLOT_PAUSE).await;
                slot = backend.slot().await;
            }
            let boots = record.boot.as_deref().zip(boot);
            match (&record.slot, &slot) {
                (Some(before), Slot::Booted(now)) if before != now => match &record.target {
                    Some(target) if target != now => Running::Other(now.clone()),
                    Some(_) | None => Running::New,
                },
                _ if record.is_begun() && record.step == Step::Installing => Running::Same,
                // One that is not known may be the same, or not.
                _ if boots.is_some_and(|(before, now)| before != now) => Running::Old,
                _ => Running::Same,
            }
        }
    };
    Found { package, running }
}

/// Whether what is recorded of a package is there.
async fn is_there(record: Option<&Record>, package: &Path) -> bool {
    let path = package.to_owned();
    let len = spawn_blocking(move || std::fs::metadata(path).map(|facts| facts.len())).await;
    let recorded = record.and_then(|record| record.fetch.as_ref()).map_or(0, |it| it.offset);
    len.is_ok_and(|len| len.is_ok_and(|len| len >= recorded))
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
const RESTART_DELAY: Duration = Duration::from_secs(2);
/// Between the first tries to restart; then ever longer.
const RESTART_PAUSE: Duration = Duration::from_secs(10);
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(600);
/// Before a record that could not be written is written again.
const RECORD_PAUSE: Duration = Duration::from_secs(10);
