//! The D-Bus service `org.lwm2md.Agent1`: each method becomes a question to the
//! task that owns the engine.

use std::collections::HashMap;
use std::sync::Arc;

use lwm2m_bus::{
    AgentError, AgentStatus, Finding, MessageRecord, ObjectInfo, ServerStatus, TypedValue,
    attributes_from_bus, server_from_bus,
};
use lwm2m_engine::{LocalRequest, Monitor};
use lwm2m_model::{
    AttributeUpdate, Code, Content, ContentFormat, Entry, Operation, Path, Request, RequestError,
};
use tokio::sync::{mpsc, oneshot};
use zbus::OwnedVariant;
use zbus::message::Header;
use zbus::names::OwnedUniqueName;
use zbus::object_server::SignalEmitter;

use crate::doctor::Doctor;

/// A question to the task that owns the engine.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The state of the agent.
    Status(oneshot::Sender<AgentStatus>),
    /// The state of every server account.
    Servers(oneshot::Sender<Vec<ServerStatus>>),
    /// Objects and instances.
    Objects(oneshot::Sender<Vec<ObjectInfo>>),
    /// A request on the device.
    Request { request: LocalRequest, reply: oneshot::Sender<Result<Vec<Entry>, RequestError>> },
    /// One value as text, typed by the definition.
    WriteText { path: Path, text: String, reply: oneshot::Sender<Result<Vec<Entry>, RequestError>> },
    /// A new instance of an object, its values as text.
    Create {
        object: u16,
        instance: Option<u16>,
        values: Vec<(Path, String)>,
        reply: oneshot::Sender<Result<Vec<Entry>, RequestError>>,
    },
    /// An observation for a client of the bus.
    Observe {
        path: Path,
        attributes: AttributeUpdate,
        client: OwnedUniqueName,
        reply: oneshot::Sender<Result<u32, RequestError>>,
    },
    /// The end of an observation of the same client.
    Cancel { id: u32, client: OwnedUniqueName, reply: oneshot::Sender<Result<(), RequestError>> },
    /// An order that concerns one server, or all.
    Order { server: Option<u16>, order: Order, reply: oneshot::Sender<Result<(), RequestError>> },
    /// What servers have written is to be forgotten.
    FactoryReset(oneshot::Sender<Result<Vec<Entry>, RequestError>>),
    /// A client wants to see the conversation, or no more.
    Monitor { client: OwnedUniqueName, wish: Monitor, reply: oneshot::Sender<()> },
    /// A client has left the bus.
    Gone(OwnedUniqueName),
    /// The bus has gone, and every client with it.
    AllGone,
}

/// What the operator may want of the registration with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Update, or register.
    Update,
    /// Sleep in queue mode.
    Sleep,
    /// End the sleep.
    Wake,
}

/// The end of the channel that the interface asks through.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    asks: mpsc::Sender<Ask>,
    doctor: Arc<Doctor>,
}

impl Service {
    /// A service that asks through `asks`.
    pub(crate) fn new(asks: mpsc::Sender<Ask>, doctor: Arc<Doctor>) -> Self {
        Self { asks, doctor }
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, AgentError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(make(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }

    async fn request(&self, request: LocalRequest) -> Result<Vec<Entry>, AgentError> {
        Ok(self.ask(|reply| Ask::Request { request, reply }).await??)
    }

    /// What a path stands for: the root for every object.
    async fn targets(&self, path: &str) -> Result<Vec<Path>, AgentError> {
        let path = parse(path)?;
        if path.depth() > 0 || path.prefix().is_some() {
            return Ok(vec![path]);
        }
        let objects = self.ask(Ask::Objects).await?;
        Ok(objects.iter().map(|object| Path::object(object.id)).collect())
    }

    async fn order(&self, server: u16, order: Order) -> Result<(), AgentError> {
        let server = server_from_bus(server)?;
        Ok(self.ask(|reply| Ask::Order { server, order, reply }).await??)
    }
}

#[zbus::interface(name = "org.lwm2md.Agent1")]
impl Service {
    async fn status(&self) -> Result<AgentStatus, AgentError> {
        self.ask(Ask::Status).await
    }

    async fn servers(&self) -> Result<Vec<ServerStatus>, AgentError> {
        self.ask(Ask::Servers).await
    }

    async fn objects(&self) -> Result<Vec<ObjectInfo>, AgentError> {
        self.ask(Ask::Objects).await
    }

    async fn read(&self, path: &str) -> Result<Vec<TypedValue>, AgentError> {
        let mut values = Vec::new();
        for target in self.targets(path).await? {
            let entries = self.request(plain(Operation::Read, target, None)).await?;
            values.extend(entries.iter().map(TypedValue::from_entry));
        }
        Ok(values)
    }

    async fn write(&self, path: &str, values: Vec<TypedValue>) -> Result<(), AgentError> {
        let path = parse(path)?;
        let entries: Result<Vec<Entry>, _> = values.iter().map(TypedValue::to_entry).collect();
        let entries = entries.map_err(|error| AgentError::BadRequest(error.to_string()))?;
        if let Some(outside) = entries.iter().find(|entry| !path.contains(&entry.path)) {
            let reason = format!("{} does not lie below {path}", outside.path);
            return Err(AgentError::BadRequest(reason));
        }
        self.request(LocalRequest::Write { path, entries }).await.map(drop)
    }

    async fn write_text(&self, path: &str, text: &str) -> Result<(), AgentError> {
        let path = parse(path)?;
        let text = text.to_owned();
        self.ask(|reply| Ask::WriteText { path, text, reply }).await??;
        Ok(())
    }

    async fn execute(&self, path: &str, arguments: &str) -> Result<(), AgentError> {
        let content = (!arguments.is_empty())
            .then(|| Content::new(ContentFormat::TEXT, arguments.as_bytes().to_vec()));
        self.request(plain(Operation::Execute, parse(path)?, content)).await.map(drop)
    }

    async fn create(
        &self,
        path: &str,
        values: Vec<(String, String)>,
    ) -> Result<String, AgentError> {
        let (object, instance) = match *parse(path)?.ids() {
            [object] => (object, None),
            [object, instance] => (object, Some(instance)),
            _ => {
                let reason = format!("{path} is no object, and no instance to be made");
                return Err(AgentError::BadRequest(reason));
            }
        };
        // They move to the instance, whichever it is.
        let below = |(resource, text): (String, String)| {
            parse(&format!("/{object}/0/{resource}")).map(|path| (path, text))
        };
        let values = values.into_iter().map(below).collect::<Result<_, _>>()?;
        let made = self.ask(|reply| Ask::Create { object, instance, values, reply }).await??;
        Ok(made.iter().map(|entry| entry.path.to_string()).collect())
    }

    async fn delete(&self, path: &str) -> Result<(), AgentError> {
        self.request(plain(Operation::Delete, parse(path)?, None)).await.map(drop)
    }

    async fn discover(&self, path: &str) -> Result<Vec<String>, AgentError> {
        let mut paths = Vec::new();
        for target in self.targets(path).await? {
            let operation = Operation::Discover { depth: None };
            let entries = self.request(plain(operation, target, None)).await?;
            paths.extend(entries.iter().map(|entry| entry.path.to_string()));
        }
        Ok(paths)
    }

    async fn observe(
        &self,
        path: &str,
        attributes: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<u32, AgentError> {
        let path = parse(path)?;
        let attributes = attributes_from_bus(&attributes)?;
        let client = sender(&header)?;
        Ok(self.ask(|reply| Ask::Observe { path, attributes, client, reply }).await??)
    }

    async fn cancel(&self, id: u32, #[zbus(header)] header: Header<'_>) -> Result<(), AgentError> {
        let client = sender(&header)?;
        Ok(self.ask(|reply| Ask::Cancel { id, client, reply }).await??)
    }

    async fn update(&self, server: u16) -> Result<(), AgentError> {
        self.order(server, Order::Update).await
    }

    async fn sleep(&self, server: u16) -> Result<(), AgentError> {
        self.order(server, Order::Sleep).await
    }

    async fn wake(&self, server: u16) -> Result<(), AgentError> {
        self.order(server, Order::Wake).await
    }

    async fn factory_reset(&self) -> Result<(), AgentError> {
        self.ask(Ask::FactoryReset).await??;
        Ok(())
    }

    async fn diagnose(&self) -> Result<Vec<Finding>, AgentError> {
        let agent = self.ask(Ask::Status).await?;
        let servers = self.ask(Ask::Servers).await?;
        Ok(self.doctor.examine(&agent, &servers).await)
    }

    async fn monitor(
        &self,
        on: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), AgentError> {
        let client = sender(&header)?;
        // Answered when it holds: what happens after the answer is reported.
        let wish = if on { Monitor::On } else { Monitor::Off };
        self.ask(|reply| Ask::Monitor { client, wish, reply }).await
    }

    #[zbus(signal)]
    pub(crate) async fn notified(
        emitter: &SignalEmitter<'_>,
        id: u32,
        values: Vec<TypedValue>,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(crate) async fn message(
        emitter: &SignalEmitter<'_>,
        record: MessageRecord,
    ) -> zbus::Result<()>;
}

/// Reads a value that a person typed for a resource (`WriteText`); `None` for one that
/// cannot be written.
///
/// # Errors
/// 4.04 for a resource that no definition has, 4.00 for text of another type.
pub(crate) fn typed_entry(
    objects: &[lwm2m_engine::ObjectStatus],
    path: &Path,
    text: &str,
) -> Result<Option<Entry>, RequestError> {
    let unknown =
        || RequestError::new(Code::NOT_FOUND, format!("{path} is no resource of this device"));
    let resource = path
        .object_id()
        .and_then(|id| objects.iter().find(|object| object.definition.id == id))
        .zip(path.resource_id())
        .and_then(|(object, id)| object.definition.resource(id))
        .ok_or_else(unknown)?;
    // What holds no value cannot be written; the engine says so better than a type
    // error would.
    if !resource.operations.writable() {
        return Ok(None);
    }
    let value = lwm2m_model::Value::parse(resource.data_type, text)
        .map_err(|error| RequestError::new(Code::BAD_REQUEST, format!("write {path}: {error}")))?;
    Ok(Some(Entry::new(path.clone(), value)))
}

/// Reads the values that a person typed for a new instance (`Create`).
///
/// # Errors
/// As [`typed_entry`], and 4.05 for what only the device sets.
pub(crate) fn typed_entries(
    objects: &[lwm2m_engine::ObjectStatus],
    values: &[(Path, String)],
) -> Result<Vec<Entry>, RequestError> {
    let typed = values.iter().map(|(path, text)| {
        typed_entry(objects, path, text)?.ok_or_else(|| {
            let id = path.resource_id().unwrap_or_default();
            let reason = format!("resource {id} cannot be written");
            RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
        })
    });
    typed.collect()
}

fn plain(operation: Operation, path: Path, content: Option<Content>) -> LocalRequest {
    LocalRequest::Plain(Request { operation, path, accept: None, content })
}

fn parse(path: &str) -> Result<Path, AgentError> {
    path.parse().map_err(|error| AgentError::BadRequest(format!("path \"{path}\": {error}")))
}

fn sender(header: &Header<'_>) -> Result<OwnedUniqueName, AgentError> {
    header
        .sender()
        .map(|name| name.to_owned().into())
        .ok_or_else(|| AgentError::Failed("the caller has no name on the bus".into()))
}

fn stopping() -> AgentError {
    AgentError::Failed("the agent is stopping".into())
}
