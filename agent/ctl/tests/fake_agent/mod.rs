//! A daemon that says what a test wants, on a private bus.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use lwm2m_bus::{
    AgentError, AgentStatus, FirmwareStatus, MessageRecord, OBJECT_PATH, ObjectInfo, ServerStatus,
    TypedValue, attributes_from_bus,
};
use lwm2m_model::{Code, Entry, Path, RequestError, Value};
pub(crate) use lwm2m_test_bus::Bus;
use zbus::OwnedVariant;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

/// What the fake daemon was asked, in order.
pub(crate) type Calls = Arc<Mutex<Vec<String>>>;

/// The daemon on the bus, run by a thread of its own until the value is dropped.
pub(crate) struct FakeAgent {
    pub(crate) calls: Calls,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeAgent {
    /// Its firmware update stands like the first of `firmware`, and then like the others
    /// in turn; without any there is no Object 5.
    pub(crate) fn start_with(bus: &Bus, firmware: Vec<FirmwareStatus>) -> Self {
        let calls = Calls::default();
        let service = Service { calls: Arc::clone(&calls) };
        let firmware = Firmware { calls: Arc::clone(&calls), statuses: firmware };
        let address = bus.address().to_owned();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let _connection = zbus::connection::Builder::address(address.as_str())
                    .name(lwm2m_bus::BUS_NAME)
                    .serve_at(OBJECT_PATH, service)
                    .serve_at(OBJECT_PATH, firmware)
                    .build()
                    .await
                    .unwrap();
                ready.send(()).unwrap();
                let _ = stopped.await;
            });
        });
        is_ready.recv().unwrap();
        Self { calls, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn start(bus: &Bus) -> Self {
        Self::start_with(bus, Vec::new())
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

struct Service {
    calls: Calls,
}

impl Service {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

fn battery(level: i64) -> Vec<TypedValue> {
    vec![TypedValue::from_entry(&Entry::new(Path::resource(3, 0, 9), Value::Integer(level)))]
}

fn refuse<T>(code: Code, reason: &'static str) -> Result<T, AgentError> {
    Err(RequestError::new(code, reason).into())
}

#[zbus::interface(name = "org.lwm2md.Agent1")]
impl Service {
    fn status(&self) -> AgentStatus {
        AgentStatus {
            endpoint: "urn:dev:ops:0A1B2C-GW100-4711".into(),
            version: "0.1.0".into(),
            uptime: 90,
            objects: 3,
            store_error: None,
        }
    }

    fn servers(&self) -> Vec<ServerStatus> {
        vec![ServerStatus {
            short_server_id: 101,
            uri: "coaps://lwm2m.example.org".into(),
            security: "psk".into(),
            state: "waiting".into(),
            version: "1.1".into(),
            location: None,
            lifetime: 300,
            queue_mode: false,
            registered_for: None,
            last_update: None,
            next_in: Some(60),
            last_error: Some("no answer to the DTLS handshake in 60 s".into()),
            failures: 1,
            observations: 0,
            counters: BTreeMap::new(),
        }]
    }

    fn objects(&self) -> Vec<ObjectInfo> {
        vec![
            ObjectInfo {
                id: 1,
                name: "LwM2M Server".into(),
                version: "1.2".into(),
                instances: vec![0],
            },
            ObjectInfo {
                id: 3303,
                name: "Temperature".into(),
                version: "1.1".into(),
                instances: vec![],
            },
        ]
    }

    fn read(&self, path: &str) -> Result<Vec<TypedValue>, AgentError> {
        self.note(format!("read {path}"));
        match path {
            "/3/0/9" => Ok(battery(87)),
            "/0" => refuse(Code::UNAUTHORIZED, "keys are never shown"),
            "/3/0/10" => refuse(Code::SERVICE_UNAVAILABLE, "the object is busy"),
            _ => refuse(Code::NOT_FOUND, "there is no such resource"),
        }
    }

    fn write_text(&self, path: &str, text: &str) -> Result<(), AgentError> {
        self.note(format!("write {path} {text}"));
        match text {
            "now" => refuse(Code::BAD_REQUEST, "write /3/0/13: expected Time, got text \"now\""),
            _ => Ok(()),
        }
    }

    fn execute(&self, path: &str, arguments: &str) -> Result<(), AgentError> {
        self.note(format!("execute {path} {arguments}"));
        match path {
            "/3/0/4" => refuse(Code::METHOD_NOT_ALLOWED, "polkit refuses the reboot"),
            _ => Ok(()),
        }
    }

    fn create(&self, path: &str, values: Vec<(String, String)>) -> Result<String, AgentError> {
        let values: Vec<String> =
            values.iter().map(|(resource, text)| format!(" {resource}={text}")).collect();
        self.note(format!("create {path}{}", values.concat()));
        match path {
            "/3" => refuse(Code::METHOD_NOT_ALLOWED, "instances of Device are not made"),
            "/3442" => Ok("/3442/2".into()),
            _ => Ok(path.into()),
        }
    }

    fn delete(&self, path: &str) -> Result<(), AgentError> {
        self.note(format!("delete {path}"));
        match path {
            "/3442/9" => refuse(Code::NOT_FOUND, "there is no instance /3442/9"),
            _ => Ok(()),
        }
    }

    fn discover(&self, path: &str) -> Vec<String> {
        self.note(format!("discover {path}"));
        vec!["/3".into(), "/3/0".into(), "/3/0/9".into()]
    }

    /// The first notification goes out before the answer, as it may.
    async fn observe(
        &self,
        path: &str,
        attributes: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u32, AgentError> {
        let attributes = attributes_from_bus(&attributes)?.as_attributes().unwrap();
        self.note(format!("observe {path} {attributes}"));
        let emitter = emitter.set_destination(header.sender().unwrap().clone().into());
        emitter.notified(6, battery(1)).await?; // of another observation
        emitter.notified(7, battery(87)).await?;
        emitter.notified(7, battery(86)).await?;
        Ok(7)
    }

    fn cancel(&self, id: u32) -> Result<(), AgentError> {
        self.note(format!("cancel {id}"));
        Ok(())
    }

    fn update(&self, server: u16) -> Result<(), AgentError> {
        self.note(format!("update {server}"));
        match server {
            0 | 101 => Ok(()),
            _ => refuse(Code::NOT_FOUND, "there is no server 7"),
        }
    }

    fn factory_reset(&self) {
        self.note("factory reset".into());
    }

    async fn monitor(
        &self,
        on: bool,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), AgentError> {
        self.note(format!("monitor {on}"));
        if !on {
            return Ok(());
        }
        let request = MessageRecord {
            server: 101,
            direction: "received".into(),
            operation: "Read".into(),
            path: Some("/3/0/9".into()),
            detail: String::new(),
            code: None,
            format: None,
            values: vec![],
            payload: vec![],
        };
        let answer = MessageRecord {
            direction: "sent".into(),
            code: Some("2.05".into()),
            format: Some("text".into()),
            values: battery(87),
            payload: b"87".to_vec(),
            ..request.clone()
        };
        emitter.message(request).await?;
        emitter.message(answer).await?;
        Ok(())
    }

    #[zbus(signal)]
    async fn notified(
        emitter: &SignalEmitter<'_>,
        id: u32,
        values: Vec<TypedValue>,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn message(emitter: &SignalEmitter<'_>, record: MessageRecord) -> zbus::Result<()>;
}

/// A firmware update that goes through its statuses once it is asked for the first.
struct Firmware {
    calls: Calls,
    statuses: Vec<FirmwareStatus>,
}

#[zbus::interface(name = "org.lwm2md.Firmware1")]
impl Firmware {
    /// What follows goes out before the answer, as it may.
    async fn status(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<FirmwareStatus, AgentError> {
        let Some((first, later)) = self.statuses.split_first() else {
            return refuse(Code::NOT_FOUND, "object 5 does not exist on this device");
        };
        for status in later {
            emitter.changed(status.clone()).await?;
        }
        Ok(first.clone())
    }

    fn accept(&self) -> Result<(), AgentError> {
        self.calls.lock().unwrap().push("accept".into());
        match self.statuses.first().map(|status| status.consent_within) {
            Some(Some(_)) => Ok(()),
            Some(None) => refuse(Code::METHOD_NOT_ALLOWED, "no update waits for consent"),
            None => refuse(Code::NOT_FOUND, "object 5 does not exist on this device"),
        }
    }

    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, status: FirmwareStatus) -> zbus::Result<()>;
}
