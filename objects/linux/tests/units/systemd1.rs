//! A private bus with a double of systemd on it. What a unit does when it is started is
//! the test's.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zbus::message::Header;
use zbus::names::ErrorName;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, DBusError, Message, OwnedObjectPath, interface};

/// What a started unit comes to.
pub(crate) enum Start {
    /// An error of this name.
    Refused(&'static str),
    /// Its end, told before the start is answered.
    EndsAtOnce(End),
    /// Its end, which may be long in coming.
    Runs(Pin<Box<dyn Future<Output = End> + Send>>),
}

/// How a unit has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// The result of the job.
    pub(crate) job: &'static str,
    /// The result of the service.
    pub(crate) result: &'static str,
    /// The exit code or the signal.
    pub(crate) status: i32,
}

impl End {
    /// A good one.
    pub(crate) const DONE: Self = Self { job: "done", result: "success", status: 0 };

    /// What an exit code makes of a unit.
    pub(crate) fn exit(code: i32) -> Self {
        match code {
            0 => Self::DONE,
            _ => Self { job: "failed", result: "exit-code", status: code },
        }
    }
}

/// The methods that were called with the units they were called for.
pub(crate) type Calls = Arc<Mutex<Vec<(&'static str, String)>>>;

struct Manager {
    start: Box<dyn Fn(&str) -> Start + Send + Sync>,
    calls: Calls,
    ended: Arc<Mutex<End>>,
    jobs: u32,
    has_subscriber: bool,
}

impl Manager {
    fn note(&self, method: &'static str, unit: &str) {
        self.calls.lock().unwrap().push((method, unit.to_owned()));
    }
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&mut self) -> Result<(), Refusal> {
        if self.has_subscriber {
            return Err(Refusal("org.freedesktop.systemd1.AlreadySubscribed"));
        }
        self.has_subscriber = true;
        Ok(())
    }

    async fn start_unit(
        &mut self,
        unit: String,
        mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, Refusal> {
        assert!(mode == "replace" && self.has_subscriber);
        self.note("StartUnit", &unit);
        self.jobs += 1;
        let id = self.jobs;
        let job = job(id);
        match (self.start)(&unit) {
            Start::Refused(name) => return Err(Refusal(name)),
            Start::EndsAtOnce(end) => {
                *self.ended.lock().unwrap() = end;
                // The ends of others come first, as on a machine that boots.
                let others = (0..OTHERS).map(|other| (id + 1000 + other, "canceled"));
                for (id, result) in others.chain([(id, end.job)]) {
                    Self::job_removed(&emitter, id, self::job(id), &unit, result).await.unwrap();
                }
            }
            Start::Runs(end) => {
                let (emitter, ended, job) = (emitter.to_owned(), self.ended.clone(), job.clone());
                tokio::spawn(async move {
                    let end = end.await;
                    *ended.lock().unwrap() = end;
                    // The bus may be gone by then.
                    let _ = Self::job_removed(&emitter, id, job, &unit, end.job).await;
                });
            }
        }
        Ok(job)
    }

    fn get_unit(&self, unit: &str) -> OwnedObjectPath {
        self.note("GetUnit", unit);
        OwnedObjectPath::try_from(UNIT).unwrap()
    }

    fn reset_failed_unit(&self, unit: &str) {
        self.note("ResetFailedUnit", unit);
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

struct Service(Arc<Mutex<End>>);

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> &str {
        self.0.lock().unwrap().result
    }

    #[zbus(property)]
    fn exec_main_status(&self) -> i32 {
        self.0.lock().unwrap().status
    }
}

/// An error of any name.
#[derive(Debug)]
struct Refusal(&'static str);

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&"the double says no")
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::try_from(self.0).unwrap()
    }

    fn description(&self) -> Option<&str> {
        None
    }
}

/// A bus with a client on it; it ends with the value.
pub(crate) struct Bus {
    pub(crate) daemon: lwm2m_test_bus::Bus,
    pub(crate) client: Connection,
}

impl Bus {
    async fn start() -> Option<Self> {
        let daemon = lwm2m_test_bus::Bus::start()?;
        let client = connect(daemon.address()).await;
        Some(Self { daemon, client })
    }

    /// Puts a double on the bus, until the connection is dropped.
    pub(crate) async fn systemd<F>(&self, start: F) -> (Connection, Calls)
    where
        F: Fn(&str) -> Start + Send + Sync + 'static,
    {
        let (calls, ended) = (Calls::default(), Arc::new(Mutex::new(End::DONE)));
        let manager = Manager {
            start: Box::new(start),
            calls: calls.clone(),
            ended: ended.clone(),
            jobs: 0,
            has_subscriber: false,
        };
        let service = connect(self.daemon.address()).await;
        let server = service.object_server();
        server.at("/org/freedesktop/systemd1", manager).await.unwrap();
        server.at(UNIT, Service(ended)).await.unwrap();
        service.request_name("org.freedesktop.systemd1").await.unwrap();
        (service, calls)
    }
}

/// Runs a test on a bus of its own.
pub(crate) fn on_bus(test: impl AsyncFnOnce(Bus)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(bus) = Bus::start().await else { return };
        tokio::time::timeout(LIMIT, test(bus)).await.expect("the test ends in time");
    });
}

async fn connect(address: &str) -> Connection {
    zbus::connection::Builder::address(address).build().await.unwrap()
}

fn job(id: u32) -> OwnedObjectPath {
    OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{id}")).unwrap()
}

/// More than zbus keeps for a stream by itself.
const OTHERS: u32 = 100;
const UNIT: &str = "/org/freedesktop/systemd1/unit/the_last";
const LIMIT: Duration = Duration::from_secs(20);
