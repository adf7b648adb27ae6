//! A service whose objects are data: properties that can be read, set and listed, news of
//! what the test changes, and methods that are closures.
//!
//! It serves what python-dbusmock has no template for, and says nonsense where a test
//! wants it.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_core::Stream;
use zbus::message::{Header, Type};
use zbus::{Connection, Message, MessageStream, OwnedObjectPath, OwnedVariant, Variant};

/// Properties by name.
pub type Properties = HashMap<String, OwnedVariant>;
/// Properties by interface, by path.
pub type Objects = BTreeMap<String, HashMap<String, Properties>>;

/// What a method does: it sees the call and the objects, and gives the answer or the name
/// of an error.
type Method = Box<dyn FnMut(&Message, &mut Objects) -> Result<Message, &'static str> + Send>;

/// The service; it goes with the value.
pub struct Double {
    connection: Connection,
    state: Arc<Mutex<State>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    objects: Objects,
    /// Objects below this path are those that the object manager lists.
    managed: String,
    methods: HashMap<String, Method>,
    refused: HashMap<String, &'static str>,
    guarded: HashMap<String, Guard>,
    calls: Vec<String>,
}

/// What polkit has to grant to who calls a method.
#[derive(Clone, Copy)]
struct Guard {
    action: &'static str,
    /// The name of the error for those who are not granted it.
    error: &'static str,
}

impl Double {
    /// Puts a service of this name on a bus. Its object manager lists what is below
    /// `managed`.
    ///
    /// # Panics
    /// If the bus refuses it.
    pub async fn start(address: &str, name: &str, managed: &str) -> Self {
        let connection = zbus::connection::Builder::address(address).build().await.unwrap();
        let state = State { managed: managed.into(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let calls = MessageStream::from(&connection);
        let serving = tokio::spawn(serve(connection.clone(), calls, state.clone()));
        connection.request_name(name).await.unwrap();
        Self { connection, state, serving }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds an object; of one that is managed there is news.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn add(&self, path: &str, interfaces: HashMap<String, Properties>) {
        let is_managed = {
            let mut state = self.state();
            state.objects.insert(path.into(), interfaces.clone());
            path.starts_with(&state.managed)
        };
        if is_managed {
            self.emit(OBJECTS, "InterfacesAdded", &(object_path(path), interfaces)).await;
        }
    }

    /// Takes an object away.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn remove(&self, path: &str) {
        let gone = self.state().objects.remove(path).unwrap_or_default();
        let interfaces: Vec<String> = gone.into_keys().collect();
        self.emit(OBJECTS, "InterfacesRemoved", &(object_path(path), interfaces)).await;
    }

    /// Sets a property, with news of it.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn set(
        &self,
        path: &str,
        interface: &str,
        name: &str,
        value: impl Into<Variant<'static>>,
    ) {
        let value = owned(value);
        let set = |properties: &mut Properties| drop(properties.insert(name.into(), value));
        self.change(path, interface, set).await;
    }

    /// Changes the properties of an interface, with news of them.
    ///
    /// # Panics
    /// If the bus is gone.
    pub async fn change(&self, path: &str, interface: &str, change: impl FnOnce(&mut Properties)) {
        let news = {
            let mut state = self.state();
            let before = state.objects.clone();
            if let Some(object) = state.objects.get_mut(path) {
                change(object.entry(interface.into()).or_default());
            }
            differences(&before, &state.objects)
        };
        tell(&self.connection, news).await.unwrap();
    }

    /// Gives all objects a method.
    pub fn method<F>(&self, name: &str, method: F)
    where
        F: FnMut(&Message, &mut Objects) -> Result<Message, &'static str> + Send + 'static,
    {
        self.state().methods.insert(name.into(), Box::new(method));
    }

    /// Answers a method with an error from now on; with `None` no longer.
    pub fn refuse(&self, method: &str, error: Option<&'static str>) {
        let mut state = self.state();
        match error {
            Some(error) => state.refused.insert(method.into(), error),
            None => state.refused.remove(method),
        };
    }

    /// Has the polkit of the bus decide who may call a method, as the service itself does;
    /// others are answered this error, and the method is not called.
    pub fn guard(&self, method: &str, action: &'static str, error: &'static str) {
        self.state().guarded.insert(method.into(), Guard { action, error });
    }

    /// The methods that were called, questions for properties and objects aside, each
    /// after the path and with arguments that are texts, numbers or switches.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    async fn emit<B>(&self, interface: &str, signal: &str, body: &B)
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let managed = self.state().managed.clone();
        // The manager stands above the folders of its objects.
        let path = managed.rsplit_once('/').map_or("/", |(path, _)| path);
        self.connection.emit_signal(None::<&str>, path, interface, signal, body).await.unwrap();
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(connection: Connection, mut calls: MessageStream, state: Arc<Mutex<State>>) {
    while let Some(Ok(call)) = poll_fn(|context| Pin::new(&mut calls).poll_next(context)).await {
        if call.message_type() != Type::MethodCall {
            continue;
        }
        let guard = state.lock().unwrap().guard_of(&call);
        let answer = match guard {
            Some(guard) if !is_granted(&connection, &call, guard.action).await => Err(guard.error),
            Some(_) | None => state.lock().unwrap().answer(&call),
        };
        let (answer, news) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let header = call.header();
                (Message::error(&header, error).build(&"the double says no").unwrap(), Vec::new())
            }
        };
        // Who asked, or the bus, may be gone.
        let _ = connection.send(&answer).await;
        let _ = tell(&connection, news).await;
    }
}

/// Asks polkit about who calls, without a question to anybody.
async fn is_granted(connection: &Connection, call: &Message, action: &str) -> bool {
    let header = call.header();
    let Some(sender) = header.sender() else { return false };
    let name = HashMap::from([("name", Variant::from(sender.as_str()))]);
    let (details, no_cancellation) = (HashMap::<&str, &str>::new(), "");
    let body = (("system-bus-name", name), action, details, 0_u32, no_cancellation);
    let interface = Some("org.freedesktop.PolicyKit1.Authority");
    let path = "/org/freedesktop/PolicyKit1/Authority";
    let asked = connection.call_method(Some(POLKIT), path, interface, "CheckAuthorization", &body);
    let reply = asked.await;
    let reply = reply.unwrap_or_else(|error| panic!("polkit is asked for {action}: {error}"));
    let result: ((bool, bool, HashMap<String, String>),) = reply.body().deserialize().unwrap();
    result.0.0
}

async fn tell(connection: &Connection, news: News) -> zbus::Result<()> {
    for (path, interface, properties) in news {
        let body = (interface, properties, Vec::<String>::new());
        connection.emit_signal(None::<&str>, path, PROPERTIES, CHANGED, &body).await?;
    }
    Ok(())
}

/// Path, interface and properties that a method has changed.
type News = Vec<(String, String, Properties)>;

impl State {
    fn guard_of(&self, call: &Message) -> Option<Guard> {
        self.guarded.get(call.header().member()?.as_str()).copied()
    }

    fn answer(&mut self, call: &Message) -> Result<(Message, News), &'static str> {
        let header = call.header();
        let path = header.path().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let member = header.member().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let standard = match header.interface().map(|name| name.as_str()) {
            Some(PROPERTIES) => self.property(call, &header, &path, &member)?,
            Some(OBJECTS) => Some(reply(&header, &self.managed())),
            _ => None,
        };
        if let Some(answer) = standard {
            return Ok((answer, News::new()));
        }
        self.calls.push(format!("{path} {member}{}", arguments(call)));
        if let Some(error) = self.refused.get(&member) {
            return Err(error);
        }
        if !self.objects.contains_key(&path) {
            return Err("org.freedesktop.DBus.Error.UnknownObject");
        }
        let method = self.methods.get_mut(&member);
        let method = method.ok_or("org.freedesktop.DBus.Error.UnknownMethod")?;
        let before = self.objects.clone();
        let answer = method(call, &mut self.objects)?;
        Ok((answer, differences(&before, &self.objects)))
    }

    fn property(
        &mut self,
        call: &Message,
        header: &Header<'_>,
        path: &str,
        member: &str,
    ) -> Result<Option<Message>, &'static str> {
        if let Some(error) = self.refused.get(member) {
            return Err(error);
        }
        let object = self.objects.get_mut(path);
        let object = object.ok_or("org.freedesktop.DBus.Error.UnknownObject")?;
        let body = call.body();
        Ok(match member {
            "GetAll" => {
                let interface: String = body.deserialize().unwrap();
                let properties = object.get(&interface).cloned().unwrap_or_default();
                Some(reply(header, &properties))
            }
            "Get" => {
                let (interface, name): (String, String) = body.deserialize().unwrap();
                let value = object.get(&interface).and_then(|all| all.get(&name));
                let value = value.ok_or("org.freedesktop.DBus.Error.UnknownProperty")?;
                Some(reply(header, value))
            }
            _ => None,
        })
    }

    fn managed(&self) -> HashMap<OwnedObjectPath, HashMap<String, Properties>> {
        let objects = self.objects.iter().filter(|(path, _)| path.starts_with(&self.managed));
        objects.map(|(path, object)| (object_path(path), object.clone())).collect()
    }
}

fn differences(before: &Objects, after: &Objects) -> News {
    let mut news = News::new();
    for (path, interfaces) in after {
        for (interface, properties) in interfaces {
            let old = before.get(path).and_then(|interfaces| interfaces.get(interface));
            let differs = |name: &String, value: &OwnedVariant| {
                old.and_then(|old| old.get(name)) != Some(value)
            };
            let new = properties.iter().filter(|(name, value)| differs(name, value));
            let new: Properties = new.map(|(name, value)| (name.clone(), value.clone())).collect();
            if !new.is_empty() {
                news.push((path.clone(), interface.clone(), new));
            }
        }
    }
    news
}

/// The arguments of a call, for the list of calls; of the simple kinds alone.
fn arguments(call: &Message) -> String {
    let body = call.body();
    let shown = match body.signature().to_string().trim_matches(['(', ')']) {
        "b" => body.deserialize::<bool>().map(|it| it.to_string()),
        "u" => body.deserialize::<u32>().map(|it| it.to_string()),
        "s" => body.deserialize::<String>(),
        "ub" => {
            body.deserialize().map(|(number, switch): (u32, bool)| format!("{number} {switch}"))
        }
        _ => return String::new(),
    };
    shown.map(|shown| format!(" {shown}")).unwrap_or_default()
}

fn reply<B: serde::Serialize + zbus::DynamicType>(header: &Header<'_>, body: &B) -> Message {
    Message::method_return(header).build(body).unwrap()
}

/// Properties from a table.
pub fn properties<const N: usize>(table: [(&str, Variant<'static>); N]) -> Properties {
    table.into_iter().map(|(name, value)| (name.to_owned(), owned(value))).collect()
}

fn owned(value: impl Into<Variant<'static>>) -> OwnedVariant {
    OwnedVariant::try_from(value.into()).unwrap()
}

fn object_path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path.to_owned()).unwrap()
}

const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const CHANGED: &str = "PropertiesChanged";
const POLKIT: &str = "org.freedesktop.PolicyKit1";
