//! The task that owns the engine and everything it talks to.
//!
//! One loop: wait for a datagram, a time-out, a word of an object, of the bus, of
//! the system or of the network; give it to the engine; do what the engine wants.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use lwm2m_engine::{
    Command, Deregister, Engine, EngineConfig, Event, Input, LocalRequest, Monitor, Output,
};
use lwm2m_model::record::Record;
use lwm2m_model::{Code, Entry, Now, Operation, Request, RequestError};
use lwm2m_objects::{ObjectHost, ObjectMessage};
use lwm2m_transport::{BootTimer, LinkEvent, LinkSecurity, LinkWatch, Links, LinksConfig, clock};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use zbus::names::OwnedUniqueName;

use crate::bus::{Bus, Signal};
use crate::convert;
use crate::events::log_event;
use crate::heard::Heard;
use crate::keeper::{Keeper, Told};
use crate::service::{Ask, Order, typed_entries, typed_entry};

/// The agent at work.
pub(crate) struct Agent {
    engine: Engine,
    links: Links,
    objects: ObjectHost,
    keeper: Keeper,
    timer: BootTimer,
    network: LinkWatch,
    /// How to secure the link of each server.
    credentials: HashMap<u16, LinkSecurity>,
    asks: mpsc::Receiver<Ask>,
    bus: Option<Bus>,
    events: Box<dyn FnMut(&Event) + Send>,
    local: Local,
    /// What the links have said since the last look.
    heard: Heard,
    /// The time of what is being done.
    now: Now,
    started: lwm2m_model::Instant,
    stopped: bool,
}

/// Requests, observations and listeners on the device itself.
#[derive(Default)]
struct Local {
    next_id: u32,
    waiting: HashMap<u64, Waiting>,
    observations: HashMap<u32, OwnedUniqueName>,
    /// How often each client has asked to see the conversation.
    monitors: HashMap<OwnedUniqueName, u32>,
}

impl Local {
    /// A name for what is asked of the engine.
    fn waits(&mut self, waiting: Waiting) -> u64 {
        self.next_id = self.next_id.wrapping_add(1);
        let id = u64::from(self.next_id);
        self.waiting.insert(id, waiting);
        id
    }

    fn is_full(&self) -> bool {
        let waiting =
            self.waiting.values().filter(|waiting| matches!(waiting, Waiting::Observation { .. }));
        self.observations.len() + waiting.count() >= MAX_LOCAL_OBSERVATIONS
    }
}

/// Who waits for the answer to a local request.
enum Waiting {
    Values(oneshot::Sender<Result<Vec<Entry>, RequestError>>),
    Observation {
        id: u32,
        client: OwnedUniqueName,
        reply: oneshot::Sender<Result<u32, RequestError>>,
    },
}

/// What an agent is made of.
pub(crate) struct Parts {
    pub(crate) engine: EngineConfig,
    pub(crate) credentials: HashMap<u16, LinkSecurity>,
    pub(crate) objects: ObjectHost,
    pub(crate) keeper: Keeper,
    /// What was stored before a restart.
    pub(crate) records: Vec<Record>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) bus: Option<Bus>,
    /// Told of every event, after the log.
    pub(crate) events: Box<dyn FnMut(&Event) + Send>,
}

impl Agent {
    /// Puts an agent together; nothing is waited for before [`Agent::run`].
    ///
    /// # Errors
    /// If the system gives no timer or no sockets.
    pub(crate) fn new(parts: Parts) -> std::io::Result<Self> {
        let now = clock::now();
        let mut engine = Engine::new(parts.engine, now);
        let mut links = Links::new(LinksConfig::default());
        for record in &parts.records {
            if let Record::Session(session) = record {
                links.restore_memory(session.server, &session.secret);
            }
        }
        engine.restore(parts.records);
        for (definition, instances, streams) in parts.objects.objects() {
            engine.handle(now, Input::Object { definition, instances, streams });
        }
        let mut agent = Self {
            engine,
            links,
            objects: parts.objects,
            keeper: parts.keeper,
            timer: BootTimer::new()?,
            network: LinkWatch::new(),
            credentials: parts.credentials,
            asks: parts.asks,
            bus: parts.bus,
            events: parts.events,
            local: Local::default(),
            heard: Heard::default(),
            now,
            started: now.boot,
            stopped: false,
        };
        agent.act();
        Ok(agent)
    }

    /// Works until it is stopped.
    ///
    /// Cancel safe: what has been taken from a source has been given to the engine.
    pub(crate) async fn run(&mut self) {
        while !self.stopped {
            self.step().await;
        }
    }

    /// Does what follows from the next thing that happens.
    async fn step(&mut self) {
        let happened = self.happened().await;
        self.now = clock::now();
        match happened {
            Happened::Heard => self.hear(),
            Happened::Noticed => {}
            Happened::Time => self.time(),
            Happened::Stored(Told::Committed(ticket, result)) => {
                self.engine.handle(self.now, Input::Persisted { ticket, result });
            }
            Happened::Stored(Told::Opened(records)) => {
                self.engine.handle(self.now, Input::Command(Command::Recall(records)));
            }
            Happened::Object(message) => self.object(message),
            Happened::Asked(ask) => self.asked(ask),
        }
        self.act();
    }

    /// Waits for the next thing to happen.
    async fn happened(&mut self) -> Happened {
        let Self { links, objects, keeper, timer, network, asks, heard, .. } = self;
        let mut on_link = |event: LinkEvent<'_>| heard.note(event);
        let mut message = pin!(objects.next());
        let mut stored = pin!(keeper.next());
        let mut woken = false;
        poll_fn(|cx| {
            // Most often it is a link that wakes the task, and then nothing else needs
            // a look. Before that the others come first: links that never fall silent
            // must not keep them waiting.
            if woken && links.poll_next(cx, &mut on_link).is_ready() {
                return Poll::Ready(Happened::Heard);
            }
            if timer.poll_fired(cx).is_ready() {
                return Poll::Ready(Happened::Time);
            }
            if let Poll::Ready(told) = stored.as_mut().poll(cx) {
                return Poll::Ready(Happened::Stored(told));
            }
            if let Poll::Ready(message) = message.as_mut().poll(cx) {
                return Poll::Ready(Happened::Object(message));
            }
            if let Poll::Ready(Some(ask)) = asks.poll_recv(cx) {
                return Poll::Ready(Happened::Asked(ask));
            }
            if network.poll_next(cx).is_ready() {
                return Poll::Ready(Happened::Noticed);
            }
            if !woken && links.poll_next(cx, &mut on_link).is_ready() {
                return Poll::Ready(Happened::Heard);
            }
            woken = true;
            Poll::Pending
        })
        .await
    }

    /// Tells the engine what the links have said. Each request is through before
    /// the next comes: a burst is no reason to find an object busy.
    fn hear(&mut self) {
        let mut heard = std::mem::take(&mut self.heard);
        heard.tell(|input| {
            self.engine.handle(self.now, input);
            self.carry_out();
        });
        self.heard = heard;
    }

    fn time(&mut self) {
        let now = self.now;
        self.links.handle_timeout(now.boot);
        let input = if self.network.handle_timeout(now.boot) {
            self.links.check_addresses();
            Input::NetworkChanged
        } else {
            Input::Time
        };
        self.engine.handle(now, input);
    }

    /// Takes an order of the program around the agent.
    pub(crate) fn command(&mut self, command: Command) {
        self.now = clock::now();
        self.engine.handle(self.now, Input::Command(command));
        self.act();
    }

    /// Accounts and keys of a configuration that was read again. Servers of
    /// `changed` that are not reached yet are tried now: what has changed may be what was
    /// wrong.
    pub(crate) fn reconfigure(
        &mut self,
        accounts: Vec<lwm2m_engine::Account>,
        credentials: HashMap<u16, LinkSecurity>,
        changed: &[u16],
    ) {
        self.credentials = credentials;
        self.command(Command::Accounts(accounts));
        for server in changed {
            self.command(Command::Retry { server: *server });
        }
    }

    /// Stops in an orderly way: at most [`STOP_LIMIT`].
    pub(crate) async fn stop(mut self, deregister: Deregister) {
        self.command(Command::Stop { deregister });
        if tokio::time::timeout(STOP_LIMIT, self.run()).await.is_err() {
            warn!("stopping takes too long: a server or the disk has not answered in time");
        }
        if tokio::time::timeout(STORE_LIMIT, self.keeper.settle()).await.is_err() {
            warn!("the disk takes too long: the last changes may be lost");
        }
        if let Some(bus) = self.bus.take() {
            bus.stop().await;
        }
    }

    /// The state of the engine.
    pub(crate) fn status(&self) -> lwm2m_engine::Status {
        self.engine.status()
    }

    /// Does what the engine wants, sends what that came to, and sets the timer.
    fn act(&mut self) {
        self.carry_out();
        self.links.flush();
        for (server, memory) in self.links.changed_memory() {
            self.keeper.remember(server, memory);
        }
        let next =
            [self.engine.next_timeout(), self.links.next_timeout(), self.network.next_timeout()];
        self.timer.arm(next.into_iter().flatten().min());
    }

    /// Does what the engine wants until it wants nothing more.
    fn carry_out(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit { link, bytes } => self.links.send(link, bytes),
                Output::OpenLink { link, server, uri } => {
                    let security = self.credentials.get(&server).cloned();
                    self.links.open(link, server, &uri, security.unwrap_or(LinkSecurity::NoSec));
                }
                Output::CloseLink { link } => self.links.close(link),
                Output::ForgetLinks { server } => {
                    self.links.forget_memory(server);
                    self.keeper.forget(server);
                }
                Output::Call(call) => {
                    if let Some(result) = self.objects.call(&call) {
                        let reply = Input::Reply { call: call.id, result };
                        self.engine.handle(self.now, reply);
                    }
                }
                Output::Watch { path, interval } => self.objects.watch(&path, interval),
                Output::LocalReply { id, result } => self.local_reply(id, result),
                Output::LocalNotify { id, entries } => self.local_notify(id, &entries),
                Output::Event(event) => self.event(&event),
                Output::Persist { ticket, changes } => self.keeper.commit(ticket, changes),
                Output::Stopped => self.stopped = true,
            }
        }
    }

    fn object(&mut self, message: ObjectMessage) {
        let input = match message {
            ObjectMessage::Reply { call, result } => Input::Reply { call, result },
            ObjectMessage::Changed(path) => Input::Changed(path),
            ObjectMessage::Object { definition, instances, streams } => {
                Input::Object { definition, instances, streams }
            }
            ObjectMessage::Update => Input::Command(Command::Update { server: None }),
        };
        self.engine.handle(self.now, input);
    }

    fn event(&mut self, event: &Event) {
        if let Event::Message(record) = event {
            if let Some(bus) = &self.bus {
                let record = convert::message(record);
                for client in self.local.monitors.keys() {
                    let record = Box::new(record.clone());
                    // A listener that is too slow misses messages; the agent does not wait.
                    let _ = bus.signals.try_send(Signal::Message { to: client.clone(), record });
                }
            }
        } else {
            log_event(event, self.now.boot);
        }
        if matches!(event, Event::FactoryReset) {
            self.objects.forget();
        }
        (self.events)(event);
    }

    fn asked(&mut self, ask: Ask) {
        let now = clock::now();
        match ask {
            // An asker that has gone needs no answer.
            Ask::Status(reply) => {
                let _ = reply.send(convert::agent(&self.status(), now.boot - self.started));
            }
            Ask::Servers(reply) => {
                let _ = reply.send(convert::servers(&self.status(), now.boot));
            }
            Ask::Objects(reply) => {
                let _ = reply.send(convert::objects(&self.status()));
            }
            Ask::Request { request, reply } => self.local_request(request, Waiting::Values(reply)),
            Ask::WriteText { path, text, reply } => {
                let entry = typed_entry(&self.status().objects, &path, &text);
                let request = entry.map(|entry| LocalRequest::Write {
                    path,
                    entries: entry.into_iter().collect(),
                });
                self.typed_request(request, reply);
            }
            Ask::Create { object, instance, values, reply } => {
                let entries = typed_entries(&self.status().objects, &values);
                let request =
                    entries.map(|entries| LocalRequest::Create { object, instance, entries });
                self.typed_request(request, reply);
            }
            Ask::Observe { reply, .. } if self.local.is_full() => {
                let reason = format!("{MAX_LOCAL_OBSERVATIONS} observations are held already");
                let _ = reply.send(Err(RequestError::new(Code::SERVICE_UNAVAILABLE, reason)));
            }
            Ask::Observe { path, attributes, client, reply } => {
                let operation = Operation::Observe(attributes);
                let request = Request { operation, path, accept: None, content: None };
                let id = self.local.next_id.wrapping_add(1);
                let waiting = Waiting::Observation { id, client, reply };
                self.local_request(LocalRequest::Plain(request), waiting);
            }
            Ask::Cancel { id, client, reply } => {
                let _ = reply.send(self.cancel(id, &client));
            }
            Ask::Order { server, order, reply } => {
                let _ = reply.send(self.order(server, order));
            }
            Ask::FactoryReset(reply) => {
                let id = self.local.waits(Waiting::Values(reply));
                self.command(Command::FactoryReset { id });
            }
            Ask::Monitor { client, wish, reply } => {
                self.monitor(client, wish);
                let _ = reply.send(());
            }
            Ask::Gone(client) => self.clients_gone(|gone| *gone == client),
            Ask::AllGone => self.clients_gone(|_| true),
        }
    }

    fn cancel(&mut self, id: u32, client: &OwnedUniqueName) -> Result<(), RequestError> {
        if self.local.observations.get(&id) != Some(client) {
            let reason = format!("there is no observation {id} of yours");
            return Err(RequestError::new(Code::NOT_FOUND, reason));
        }
        self.end_observation(id);
        Ok(())
    }

    fn order(&mut self, server: Option<u16>, order: Order) -> Result<(), RequestError> {
        let known = self.status().servers;
        let mut meant =
            known.iter().filter(|known| server.is_none_or(|id| id == known.short_server_id));
        if let (Some(id), None) = (server, meant.clone().next()) {
            return Err(RequestError::new(Code::NOT_FOUND, format!("there is no server {id}")));
        }
        if order == Order::Sleep && !meant.any(|known| known.queue_mode) {
            let reason = "only a server with queue_mode lets the agent sleep";
            return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
        }
        self.command(match order {
            Order::Update => Command::Update { server },
            Order::Sleep => Command::Sleep { server },
            Order::Wake => Command::Wake { server },
        });
        Ok(())
    }

    /// A request whose values were typed, if they could be read.
    fn typed_request(
        &mut self,
        request: Result<LocalRequest, RequestError>,
        reply: oneshot::Sender<Result<Vec<Entry>, RequestError>>,
    ) {
        match request {
            Ok(request) => self.local_request(request, Waiting::Values(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    fn local_request(&mut self, request: LocalRequest, waiting: Waiting) {
        let id = self.local.waits(waiting);
        self.command(Command::Request { id, request });
    }

    fn local_reply(&mut self, id: u64, result: Result<Vec<Entry>, RequestError>) {
        match self.local.waiting.remove(&id) {
            Some(Waiting::Values(reply)) => {
                let _ = reply.send(result);
            }
            Some(Waiting::Observation { id, client, reply }) => match result {
                Ok(entries) => {
                    self.local.observations.insert(id, client);
                    if reply.send(Ok(id)).is_err() {
                        return self.end_observation(id);
                    }
                    self.local_notify(u64::from(id), &entries);
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            // Its client left before the answer came.
            None => self.command(Command::CancelLocal { id }),
        }
    }

    fn local_notify(&self, id: u64, entries: &[Entry]) {
        let Ok(id) = u32::try_from(id) else { return };
        let (Some(client), Some(bus)) = (self.local.observations.get(&id), &self.bus) else {
            return;
        };
        let values = entries.iter().map(lwm2m_bus::TypedValue::from_entry).collect();
        // A client that is too slow misses values; the agent does not wait.
        let _ = bus.signals.try_send(Signal::Notified { to: client.clone(), id, values });
    }

    fn end_observation(&mut self, id: u32) {
        self.local.observations.remove(&id);
        self.command(Command::CancelLocal { id: id.into() });
    }

    /// Counts how often a client has asked for the conversation.
    fn monitor(&mut self, client: OwnedUniqueName, wish: Monitor) {
        let monitors = &mut self.local.monitors;
        match (wish, monitors.get_mut(&client)) {
            (Monitor::On, _) => {
                let count = monitors.entry(client).or_default();
                *count = count.saturating_add(1);
            }
            (Monitor::Off, Some(count)) if *count > 1 => *count -= 1,
            (Monitor::Off, _) => drop(monitors.remove(&client)),
        }
        self.set_monitor();
    }

    /// Ends what clients that left the bus had asked for.
    fn clients_gone(&mut self, is_gone: impl Fn(&OwnedUniqueName) -> bool) {
        let local = &mut self.local;
        local.monitors.retain(|client, _| !is_gone(client));
        local.waiting.retain(|_, waiting| match waiting {
            Waiting::Values(_) => true,
            Waiting::Observation { client, .. } => !is_gone(client),
        });
        let left: Vec<u32> = local
            .observations
            .iter()
            .filter(|(_, owner)| is_gone(owner))
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            self.end_observation(id);
        }
        self.set_monitor();
    }

    fn set_monitor(&mut self) {
        let on = if self.local.monitors.is_empty() { Monitor::Off } else { Monitor::On };
        self.command(Command::Monitor(on));
    }
}

/// What has ended the wait of the loop.
enum Happened {
    /// Links have said something.
    Heard,
    /// The network has, which moves a time-out.
    Noticed,
    Time,
    /// The store has something to tell.
    Stored(Told),
    Object(ObjectMessage),
    Asked(Ask),
}

/// A stop is over after this at the latest; systemd waits 20 s.
const STOP_LIMIT: Duration = Duration::from_secs(4);
/// What links have left behind gets so long to be written.
const STORE_LIMIT: Duration = Duration::from_millis(500);
/// Observations that clients of the bus hold or wait for, all of them together;
/// more are refused. The engine's table is for servers first.
const MAX_LOCAL_OBSERVATIONS: usize = 256;
