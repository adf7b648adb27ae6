//! `lwm2md` as a service: from the configuration to SIGTERM.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{Bus as BusOption, Cli};
use crate::config::Installer;
use crate::doctor::Patient;
use crate::firmware::{self, Downloads};
use crate::objects::{self, Place, Settings};
use crate::sources::{Sources, Streams};
use crate::state_dir::state_dir;
use crate::systemd::{Notifier, watchdog_interval};
use lwm2m_bus::Exit;
use lwm2m_engine::Deregister;
use lwm2m_model::record::Record;
use lwm2m_objects::{BusHandle, ObjectHost, Reached, Roots};
use lwm2m_transport::clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::agent::{Agent, Parts};
use crate::bus::{Bus, Link};
use crate::keeper::{Home, Keeper};
use crate::loaded::Loaded;
use crate::reload::{Fixed, reload};
use crate::status_file::StatusFile;

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(cli: Cli, roots: Roots, objects: impl FnOnce(&mut ObjectHost)) -> ExitCode {
    let loaded = match Loaded::read(&cli.config) {
        Ok(loaded) => loaded,
        Err(errors) => {
            for error in errors {
                error!("{error}");
            }
            return Exit::Usage.into();
        }
    };
    let environment = std::env::var_os("STATE_DIRECTORY");
    let directory = match state_dir(cli.state_dir.as_deref(), environment.as_deref()) {
        Ok(directory) => directory,
        Err(error) => {
            error!("{error}");
            return Exit::Usage.into();
        }
    };
    let home = Home { directory: directory.clone(), proc: roots.proc.clone() };
    let kept = match Keeper::open(home) {
        Ok(kept) => kept,
        Err(error) => {
            error!("{error}");
            return Exit::Failed.into();
        }
    };
    match serve(&cli, loaded, &directory, kept, roots, objects).await {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            error!("{error}");
            Exit::Failed.into()
        }
    }
}

async fn serve(
    cli: &Cli,
    mut loaded: Loaded,
    state: &Path,
    (keeper, records): (Keeper, Vec<Record>),
    roots: Roots,
    add_objects: impl FnOnce(&mut ObjectHost),
) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    let notifier = Notifier::from_environment()?;
    let patience = loaded.config.downloads.patience;
    // One that is read later changes nothing.
    let sources = loaded.sources.take().unwrap_or_else(Sources::without_credentials);
    let streams = Streams::of(&loaded.config.downloads).map(Arc::new);
    let downloads = Downloads { sources, patience, streams };
    let (asks, asked) = mpsc::channel(MAX_ASKS);
    let (link, handle) = match &cli.bus {
        BusOption::None => (None, BusHandle::absent()),
        BusOption::On(address) => {
            let installer = &loaded.config.firmware.installer;
            let uses_rauc = matches!(installer, Installer::Rauc(..));
            let patient = Patient { config: cli.config.clone(), uses_rauc };
            let (link, handle) = Link::new(address.clone(), asks.clone(), patient);
            (Some(link), handle)
        }
    };
    let seed = seed()?;
    let engine = loaded.config.engine_config(loaded.endpoint.clone(), clock::boot_id(), seed);
    let mut objects = ObjectHost::new(clock::now);
    let reached = Reached::default();
    let place = Place { state, roots: &roots, bus: handle, reached: reached.clone() };
    let settings = &loaded.config.firmware;
    let firmware = firmware::add(&mut objects, settings, downloads, &place);
    let (confirmation, firmware) = firmware.unzip();
    let settings = Settings {
        device: loaded.device.clone(),
        sensors: loaded.config.sensors,
        location: loaded.config.location.clone(),
        lock_and_wipe: loaded.config.lock_and_wipe.clone(),
        portfolio: loaded.config.portfolio.clone(),
        binary_app_data: loaded.config.binary_app_data.clone(),
        event_log: loaded.config.event_log,
    };
    objects::add(&mut objects, settings, &place);
    add_objects(&mut objects);
    let bus = link.map(|link| Bus::start(link, firmware));
    let (changes, mut changed) = mpsc::channel(1);
    let events = Box::new(move |event: &lwm2m_engine::Event| {
        firmware::note(&confirmation, event);
        if firmware::is_answer(event) {
            reached.note();
        }
        if StatusFile::concerns(event) {
            // One that waits is enough: the state is looked at when it is taken.
            let _ = changes.try_send(());
        }
    });
    let credentials = loaded.credentials.clone();
    info!("lwm2md {} starts as {}", env!("CARGO_PKG_VERSION"), loaded.endpoint);
    let mut agent = Agent::new(Parts {
        engine,
        credentials,
        objects,
        keeper,
        records,
        asks: asked,
        bus,
        events,
    })?;
    let fixed = Fixed::of(&loaded);
    let mut status_file = StatusFile::from_environment();
    show(&agent, &notifier, &mut status_file);
    notifier.ready();
    let mut watchdog = Watchdog::new(watchdog_interval());
    loop {
        tokio::select! {
            biased;
            signaled = signals.next() => match signaled {
                Signaled::Stop => break,
                Signaled::Reload => {
                    notifier.reloading();
                    reload(cli, &fixed, &mut loaded, &mut agent);
                    show(&agent, &notifier, &mut status_file);
                    notifier.ready();
                }
            },
            () = watchdog.due() => notifier.watchdog(),
            Some(()) = changed.recv() => show(&agent, &notifier, &mut status_file),
            () = agent.run() => {}
        }
    }
    notifier.stopping();
    let deregister = if loaded.config.deregister_on_stop {
        info!("lwm2md stops and de-registers");
        Deregister::Yes
    } else {
        info!("lwm2md stops; registrations hold until their lifetime ends");
        Deregister::No
    };
    agent.stop(deregister).await;
    status_file.remove();
    Ok(())
}

/// Tells systemd and `status.json` how things stand.
fn show(agent: &Agent, notifier: &Notifier, status_file: &mut StatusFile) {
    let status = agent.status();
    status_file.write(&status, clock::now().boot);
    notifier.status(&summary(&status));
}

/// One line for `systemctl status`.
fn summary(status: &lwm2m_engine::Status) -> String {
    let servers: Vec<String> = status
        .servers
        .iter()
        .map(|server| {
            let reason = server.last_error.as_ref().map(|error| format!(" ({error})"));
            let (id, state) = (server.short_server_id, server.state.name());
            format!("server {id} {state}{}", reason.unwrap_or_default())
        })
        .collect();
    servers.join(", ")
}

/// Randomness of the system, from which all of the engine's comes.
pub(crate) fn seed() -> std::io::Result<[u8; 32]> {
    use std::io::Read;
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// What a signal asks for.
enum Signaled {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals of a service. They are waited for in a task of their own: to look at
/// three of them each time the agent wakes would be a tenth of the work for a Read.
struct Signals {
    signaled: mpsc::Receiver<Signaled>,
    _task: JoinSet<()>,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (out, signaled) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let signaled = tokio::select! {
                    biased;
                    _ = terminate.recv() => Signaled::Stop,
                    _ = interrupt.recv() => Signaled::Stop,
                    _ = hangup.recv() => Signaled::Reload,
                };
                if out.send(signaled).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { signaled, _task: task })
    }

    /// Cancel safe.
    async fn next(&mut self) -> Signaled {
        match self.signaled.recv().await {
            Some(signaled) => signaled,
            // The task ends with us, or with the runtime; then nobody signals any more.
            None => std::future::pending().await,
        }
    }
}

/// When systemd wants to hear that the loop goes round; never without systemd.
struct Watchdog(Option<tokio::time::Interval>);

impl Watchdog {
    fn new(interval: Option<Duration>) -> Self {
        Self(interval.map(tokio::time::interval))
    }

    /// Cancel safe.
    async fn due(&mut self) {
        match &mut self.0 {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }
}

/// Questions of the bus that may wait; then the askers wait.
pub(crate) const MAX_ASKS: usize = 64;
