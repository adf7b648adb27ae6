//! The connection to D-Bus: made, lost, made again.
//!
//! One task owns it. Objects get the connection through a [`BusHandle`], signals go
//! out through a bounded channel, and a client that leaves is reported.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_bus::{BUS_NAME, BusAddress, FirmwareStatus, MessageRecord, OBJECT_PATH, TypedValue};
use lwm2m_firmware::FirmwareHandle;
use lwm2m_objects::BusHandle;
use nix::unistd::getuid;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};
use zbus::Connection;
use zbus::fdo::RequestNameFlags;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::object_server::SignalEmitter;

use crate::doctor::{Doctor, Patient};
use crate::firmware_service::{FirmwareService, Updates};
use crate::service::{Ask, Service};

/// A signal to one client.
#[derive(Debug)]
pub(crate) enum Signal {
    /// New values of an observation.
    Notified { to: OwnedUniqueName, id: u32, values: Vec<TypedValue> },
    /// A message of the conversation.
    Message { to: OwnedUniqueName, record: Box<MessageRecord> },
}

/// The task that owns the connection.
pub(crate) struct Bus {
    /// Signals to send, [`MAX_SIGNALS`] at most; who sends more drops them.
    pub(crate) signals: mpsc::Sender<Signal>,
    task: JoinHandle<()>,
}

impl Bus {
    /// Starts the task, which serves Object 5 too if there is one.
    pub(crate) fn start(link: Link, firmware: Option<FirmwareHandle>) -> Self {
        let (signals, outgoing) = mpsc::channel(MAX_SIGNALS);
        Self { signals, task: tokio::spawn(link.run(outgoing, firmware)) }
    }

    /// Ends the task and with it the connection, whatever the bus does: one that
    /// hangs must not delay a stop.
    pub(crate) async fn stop(self) {
        self.task.abort();
        match self.task.await {
            Err(error) if error.is_panic() => warn!("the task of the bus has failed: {error}"),
            Ok(()) | Err(_) => {}
        }
    }
}

/// The connection before it is made: objects get their handle before it serves them.
pub(crate) struct Link {
    address: BusAddress,
    asks: mpsc::Sender<Ask>,
    doctor: Arc<Doctor>,
    connections: watch::Sender<Option<Connection>>,
}

impl Link {
    /// A link to be made; the handle is for the objects.
    pub(crate) fn new(
        address: BusAddress,
        asks: mpsc::Sender<Ask>,
        patient: Patient,
    ) -> (Self, BusHandle) {
        let (connections, handle) = BusHandle::channel();
        let doctor = Arc::new(Doctor::new(patient, handle.clone()));
        (Self { address, asks, doctor, connections }, handle)
    }

    async fn run(self, outgoing: mpsc::Receiver<Signal>, firmware: Option<FirmwareHandle>) {
        let service = FirmwareService::new(firmware.clone());
        let mut sources = Sources { outgoing, updates: Updates::new(firmware) };
        let mut pause = FIRST_PAUSE;
        let mut complained = false;
        loop {
            match self.connect(service.clone()).await {
                Ok((connection, owners)) => {
                    info!("D-Bus: {BUS_NAME} is on {}", self.address);
                    pause = FIRST_PAUSE;
                    complained = false;
                    self.connections.send_replace(Some(connection.clone()));
                    let ended = self.serve(&connection, owners, &mut sources).await;
                    self.connections.send_replace(None);
                    // No client survives its bus, and the next bus gives out the same
                    // names again.
                    let told = self.asks.send(Ask::AllGone).await;
                    if ended == Ended::Stopped || told.is_err() {
                        return;
                    }
                    warn!("D-Bus: the connection is lost; it will be made again");
                }
                Err(error) if !complained => {
                    let reason = in_words(&error);
                    warn!("D-Bus: cannot serve {BUS_NAME} on {}: {reason}", self.address);
                    complained = true;
                }
                Err(error) => debug!("D-Bus: {error}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects, and asks for the name last: who finds us by it finds us complete.
    async fn connect(&self, firmware: FirmwareService) -> zbus::Result<(Connection, Owners)> {
        let service = Service::new(self.asks.clone(), Arc::clone(&self.doctor));
        let builder = self.address.builder().serve_at(OBJECT_PATH, service);
        let connection = builder.serve_at(OBJECT_PATH, firmware).build().await?;
        let owners = Owners::subscribe(&connection).await?;
        // Neither in a queue nor instead of another daemon.
        let flags = RequestNameFlags::DO_NOT_QUEUE;
        connection.request_name_with_flags(BUS_NAME, flags).await?;
        Ok((connection, owners))
    }

    async fn serve(
        &self,
        connection: &Connection,
        mut owners: Owners,
        sources: &mut Sources,
    ) -> Ended {
        loop {
            let sent = tokio::select! {
                signal = sources.outgoing.recv() => match signal {
                    Some(signal) => emit(connection, signal).await,
                    None => return Ended::Stopped,
                },
                status = sources.updates.next() => tell_update(connection, status).await,
                gone = owners.next_gone() => match gone {
                    Some(client) => {
                        if self.asks.send(Ask::Gone(client)).await.is_err() {
                            return Ended::Stopped;
                        }
                        Ok(())
                    }
                    None => return Ended::Lost,
                },
            };
            if let Err(error) = sent {
                debug!("D-Bus: a signal was not sent: {error}");
            }
        }
    }
}

/// Why there is no connection, for the operator.
fn in_words(error: &zbus::Error) -> String {
    match error {
        zbus::Error::InputOutput(cause) if cause.kind() == ErrorKind::BrokenPipe => {
            format!("it ended the connection at once; does it know user {}?", getuid())
        }
        zbus::Error::MethodError(_, Some(reason), _) => reason.clone(),
        zbus::Error::FDO(error) => match error.as_ref() {
            zbus::fdo::Error::AccessDenied(reason) => {
                format!("{reason} (is the D-Bus policy of lwm2md installed?)")
            }
            other => other.to_string(),
        },
        zbus::Error::NameTaken => "the name is taken; does another lwm2md run?".into(),
        other => other.to_string(),
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    Stopped,
    Lost,
}

/// Where signals come from.
struct Sources {
    outgoing: mpsc::Receiver<Signal>,
    updates: Updates,
}

async fn tell_update(connection: &Connection, status: FirmwareStatus) -> zbus::Result<()> {
    FirmwareService::changed(&SignalEmitter::new(connection, OBJECT_PATH)?, status).await
}

async fn emit(connection: &Connection, signal: Signal) -> zbus::Result<()> {
    let emitter = SignalEmitter::new(connection, OBJECT_PATH)?;
    match signal {
        Signal::Notified { to, id, values } => {
            let emitter = emitter.set_destination(BusName::Unique(to.into_inner()));
            Service::notified(&emitter, id, values).await
        }
        Signal::Message { to, record } => {
            let emitter = emitter.set_destination(BusName::Unique(to.into_inner()));
            Service::message(&emitter, *record).await
        }
    }
}

/// Clients that come and go.
struct Owners(zbus::fdo::NameOwnerChangedStream);

impl Owners {
    async fn subscribe(connection: &Connection) -> zbus::Result<Self> {
        let proxy = zbus::fdo::DBusProxy::new(connection).await?;
        Ok(Self(proxy.receive_name_owner_changed().await?))
    }

    /// The next client that has left; `None` when the connection is gone.
    async fn next_gone(&mut self) -> Option<OwnedUniqueName> {
        use std::future::poll_fn;
        use std::pin::Pin;

        use futures_core::Stream;
        loop {
            let signal = poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await?;
            let Ok(arguments) = signal.args() else { continue };
            if let (BusName::Unique(name), None) =
                (arguments.name(), arguments.new_owner().as_ref())
            {
                return Some(name.to_owned().into());
            }
        }
    }
}

/// Signals that wait for the bus.
const MAX_SIGNALS: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
