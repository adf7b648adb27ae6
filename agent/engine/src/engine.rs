//! The engine: inputs in, outputs out, nothing in between that waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lwm2m_coap::{Event as CoapEvent, Incoming, Message, Random};
use lwm2m_model::record::Key;
use lwm2m_model::{Instant, Now, ObjectDef, Path, Request, objects};

use crate::dispatch::{Job, OpenCall, Origin};
use crate::observations::Observations;
use crate::persistence::{Deed, Persistence};
use crate::server::{Phase, Server, Then};
use crate::stream::{Part, Streams, streamable};
use crate::{
    Account, Command, EngineConfig, Event, Input, LinkId, LocalRequest, MessageRecord, Monitor,
    ObjectStatus, Output, Status,
};

/// The LwM2M client of one device.
///
/// The contract: give it each input with [`Engine::handle`], then take outputs
/// with [`Engine::poll_output`] until there is none, then wait for the next input
/// or for [`Engine::next_timeout`], whichever comes first. Answering an
/// [`Output::Call`] at once, between two outputs, is an input like any other.
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) now: Now,
    pub(crate) random: Random,
    /// By Short Server ID.
    pub(crate) servers: BTreeMap<u16, Server>,
    pub(crate) objects: ObjectTable,
    pub(crate) observations: Observations,
    /// Calls of objects that are not answered yet.
    pub(crate) calls: BTreeMap<crate::CallId, Box<OpenCall>>,
    pub(crate) next_call: u64,
    pub(crate) streams: Streams,
    pub(crate) next_link: u32,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) stopping: bool,
    /// Promised actions that wait for their answer to be on the wire.
    pub(crate) promised: Vec<Promise>,
    pub(crate) monitor: bool,
    pub(crate) persistence: Persistence,
}

/// Objects by Object ID.
pub(crate) type ObjectTable = BTreeMap<u16, ObjectEntry>;

/// An object and the instances it has.
#[derive(Debug, Clone)]
pub(crate) struct ObjectEntry {
    pub(crate) definition: Arc<ObjectDef>,
    /// Ascending.
    pub(crate) instances: Vec<u16>,
    /// Resources whose opaque values it takes chunk by chunk.
    pub(crate) streams: Vec<u16>,
}

impl ObjectEntry {
    /// True if it has this instance. There may be ten thousand.
    pub(crate) fn has(&self, instance: u16) -> bool {
        self.instances.binary_search(&instance).is_ok()
    }
}

/// An action that is done when its answer has had time to arrive.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(crate) at: Instant,
    pub(crate) call: crate::CallId,
    pub(crate) path: Path,
    pub(crate) server: Option<u16>,
}

impl Engine {
    /// An engine whose accounts register at once: they wait for the first input.
    /// Accounts beyond [`MAX_SERVERS`] are left out.
    pub fn new(config: EngineConfig, now: Now) -> Self {
        let mut engine = Self {
            random: Random::from_seed(config.seed),
            config,
            now,
            servers: BTreeMap::new(),
            objects: BTreeMap::new(),
            observations: Observations::default(),
            calls: BTreeMap::new(),
            next_call: 0,
            streams: Streams::new(),
            next_link: 0,
            outputs: VecDeque::new(),
            stopping: false,
            promised: Vec::new(),
            monitor: false,
            persistence: Persistence::default(),
        };
        for account in std::mem::take(&mut engine.config.accounts) {
            engine.add_server(account);
        }
        engine.list_accounts();
        engine
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        debug_assert!(now.boot >= self.now.boot, "time since boot never goes back");
        self.now = now;
        match input {
            Input::Time => {}
            Input::Datagram { link, bytes } => self.datagram(link, bytes),
            Input::LinkUp { link, continuity, max_datagram } => {
                self.link_up(link, continuity, max_datagram);
                self.set_streams();
            }
            Input::LinkDown { link, reason } => self.link_down(link, reason),
            Input::Reply { call, result } => self.reply(call, result),
            Input::Changed(path) => self.changed(&path),
            Input::Object { definition, instances, streams } => {
                self.object(definition, instances, streams);
            }
            Input::Persisted { ticket, result } => self.persisted(ticket, result),
            Input::NetworkChanged => self.network_changed(),
            Input::Command(command) => self.command(command),
        }
        self.settle();
    }

    /// The next thing to do; `None` when there is nothing left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Time`] is due at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        let servers = self.servers.values().flat_map(|server| {
            let endpoint = server.endpoint.as_ref().and_then(|endpoint| endpoint.next_timeout());
            [endpoint, Self::server_deadline(server), self.sleep_deadline(server)]
        });
        let promised = self.promised.iter().map(|promise| Some(promise.at));
        let overdue = self.calls.first_key_value().map(|(_, open)| open.until);
        let own = [
            overdue,
            self.observations.next_deadline(),
            self.persistence.next_deadline(),
            self.next_stream_end(),
        ];
        servers.chain(promised).chain(own).flatten().min()
    }

    /// A copy of the state, for people.
    pub fn status(&self) -> Status {
        Status {
            endpoint: self.config.endpoint.clone(),
            not_persisted: self.persistence.failure().map(str::to_owned),
            servers: self.servers.values().map(|server| self.server_status(server)).collect(),
            objects: self
                .objects
                .values()
                .map(|object| ObjectStatus {
                    definition: Arc::clone(&object.definition),
                    instances: object.instances.clone(),
                })
                .collect(),
        }
    }

    /// Everything that follows from an input: due timers, samples, datagrams.
    fn settle(&mut self) {
        let ids = self.server_ids();
        for id in ids.clone() {
            self.endpoint_time(id);
            self.server_time(id);
        }
        self.calls_overdue();
        self.streams_due();
        self.promises_due();
        self.commit();
        self.start_samples();
        for id in ids {
            self.tell_stored(id);
            self.drain_endpoint(id);
            self.sleep_if_due(id);
        }
        self.commit(); // what has been marked meanwhile
        let all_stopped = || self.servers.values().all(|server| server.phase == Phase::Stopped);
        if self.stopping && all_stopped() && !self.persistence.is_busy() {
            self.stopping = false;
            self.outputs.push_back(Output::Stopped);
        }
    }

    fn datagram(&mut self, link: LinkId, bytes: &[u8]) {
        let now = self.now.boot;
        let Some(id) = self.server_of(link) else { return };
        let Some(server) = self.servers.get_mut(&id) else { return };
        if server.is_asleep() {
            return; // the radio is off (Core 5.8)
        }
        let (registered, session) = (server.is_registered(), server.session);
        let Some(endpoint) = &mut server.endpoint else { return };
        if !registered && Message::decode(bytes).is_ok_and(|message| message.is_incomplete()) {
            // CORE-01: a block that others follow would be answered below.
            return;
        }
        match endpoint.handle_datagram(now, bytes) {
            Some(Incoming::Request { exchange, .. } | Incoming::Block { exchange, .. })
                if !registered =>
            {
                // CORE-01: nothing is served before Register is answered.
                endpoint.ignore(exchange);
            }
            Some(Incoming::Request { exchange, key, message }) => {
                let token = message.token;
                let origin = Origin::Server { id, session, exchange, key, token };
                self.server_request(origin, message, None);
            }
            Some(Incoming::Block { exchange, key, upload, message, offset, more, announced }) => {
                let token = message.token;
                let origin = Origin::Server { id, session, exchange, key, token };
                let part = Part { upload, offset, more, announced };
                self.server_request(origin, message, Some(part));
            }
            Some(Incoming::Response { request, message }) => self.response(id, request, &message),
            Some(Incoming::RequestReset { request }) => {
                self.request_failed(id, request, "the server answered with a Reset");
            }
            Some(Incoming::ResponseUnusable { request, reason }) => {
                self.request_failed(id, request, reason);
            }
            Some(Incoming::NotificationReset { token }) => {
                self.end_observation_of_token(id, token, "the server answered with a Reset");
            }
            Some(Incoming::NotificationAcknowledged { token }) => {
                self.notification_acknowledged(id, token);
            }
            None => {}
        }
    }

    fn endpoint_time(&mut self, id: u16) {
        let now = self.now.boot;
        let Some(endpoint) = self.servers.get_mut(&id).and_then(|server| server.endpoint.as_mut())
        else {
            return;
        };
        if endpoint.next_timeout().is_some_and(|at| at <= now) {
            endpoint.handle_timeout(now);
        }
        while let Some(event) = self
            .servers
            .get_mut(&id)
            .and_then(|server| server.endpoint.as_mut())
            .and_then(|endpoint| endpoint.poll_event())
        {
            match event {
                CoapEvent::RequestTimedOut { request } => {
                    self.request_failed(id, request, "the server does not answer");
                }
                CoapEvent::NotificationTimedOut { token } => self.notification_lost(id, token),
            }
        }
    }

    pub(crate) fn drain_endpoint(&mut self, id: u16) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let (Some(link), Some(endpoint)) = (server.link, &mut server.endpoint) else { return };
        while let Some(bytes) = endpoint.poll_transmit() {
            self.outputs.push_back(Output::Transmit { link, bytes });
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Request { id, request } => self.local_request(id, request),
            Command::CancelLocal { id } => self.end_local_observation(id),
            Command::Update { server } => self.for_each(server, Self::update_now),
            Command::Retry { server } => self.retry_now(server),
            Command::Sleep { server } => self.for_each(server, Self::sleep_soon),
            Command::Wake { server } => self.for_each(server, Self::wake_up),
            Command::Stop { deregister } => self.stop(deregister),
            Command::Accounts(accounts) => self.accounts(accounts),
            Command::FactoryReset { id } => self.promise(Deed::ForgetAll { request: id }),
            Command::Recall(records) => self.recall(records),
            Command::Monitor(monitor) => self.monitor = monitor == Monitor::On,
        }
    }

    fn local_request(&mut self, id: u64, request: LocalRequest) {
        let origin = Origin::Local { id };
        let job = match request {
            LocalRequest::Plain(request) => Job::from_request(origin, request),
            LocalRequest::Write { path, entries } => Job::write(origin, path, entries),
            LocalRequest::Create { object, instance, entries } => {
                Job::create(origin, object, instance, entries)
            }
        };
        self.dispatch(job);
    }

    fn for_each(&mut self, server: Option<u16>, action: fn(&mut Self, u16)) {
        for id in self.server_ids().filter(|id| server.is_none_or(|only| only == *id)) {
            action(self, id);
        }
    }

    // Accounts and objects.

    /// Adds an account under the lowest instance that is free: a configuration that is
    /// read again and again uses up none.
    fn add_server(&mut self, account: Account) {
        if self.servers.len() >= MAX_SERVERS {
            return;
        }
        let Some(instance) = (0..u16::MAX).find(|id| self.server_at(*id).is_none()) else {
            return;
        };
        let id = account.short_server_id;
        let server = Server::new(account, instance, self.config.version, self.now.boot);
        self.servers.insert(id, server);
    }

    /// Takes over accounts of a configuration read again. An account that has not
    /// changed keeps what its server has written to it.
    fn accounts(&mut self, accounts: Vec<Account>) {
        let gone: Vec<u16> = self
            .servers
            .keys()
            .copied()
            .filter(|id| accounts.iter().all(|account| account.short_server_id != *id))
            .collect();
        for id in gone {
            self.wake(id);
            self.send_deregister(id, Then::Remove);
        }
        for account in accounts {
            let id = account.short_server_id;
            let now = self.now.boot;
            match self.servers.get_mut(&id) {
                Some(server) if server.configured == account && !server.is_leaving() => {}
                Some(server) => {
                    let goes_on =
                        server.configured.keeps_registration(&account) && !server.is_leaving();
                    self.persistence.mark(Key::Account(id));
                    self.persistence.mark(Key::Registration(id));
                    server.configured = account.clone();
                    server.account = account;
                    let instance = Path::instance(objects::id::SERVER, server.instance);
                    if goes_on {
                        self.update_due(id, now);
                        self.rearm_observations_of(id);
                        self.changed(&instance);
                    } else {
                        server.registration = None;
                        server.version = self.config.version;
                        server.phase = Phase::Waiting { until: now };
                        self.end_observations_of(id, "the account was changed");
                        self.close_link(id);
                    }
                }
                None => self.add_server(account),
            }
        }
        self.list_accounts();
    }

    /// Objects 0 and 1 have an instance an account; servers are told if what they know
    /// of them has changed.
    pub(crate) fn list_accounts(&mut self) {
        let instances: Vec<u16> = self.servers.values().map(|server| server.instance).collect();
        for definition in [&objects::SECURITY, &objects::SERVER] {
            self.object(Arc::new(definition.clone()), instances.clone(), Vec::new());
        }
    }

    fn object(&mut self, definition: Arc<ObjectDef>, mut instances: Vec<u16>, streams: Vec<u16>) {
        instances.sort_unstable();
        instances.dedup();
        let id = definition.id;
        let streams = streamable(&definition, streams);
        let before = self.objects.insert(id, ObjectEntry { definition, instances, streams });
        self.set_streams();
        match before {
            Some(before) => self.instances_changed(id, before.instances),
            None => self.object_appeared(id),
        }
        self.object_list_changed();
    }

    // Look-ups.

    pub(crate) fn server_of(&self, link: LinkId) -> Option<u16> {
        self.servers.iter().find(|(_, server)| server.link == Some(link)).map(|(id, _)| *id)
    }

    /// The server whose account is this instance of Objects 0 and 1.
    pub(crate) fn server_at(&self, instance: u16) -> Option<u16> {
        self.servers.iter().find(|(_, server)| server.instance == instance).map(|(id, _)| *id)
    }

    /// The servers as they are now, without an allocation: this is asked for with
    /// every input.
    fn server_ids(&self) -> impl Iterator<Item = u16> + Clone + use<> {
        let mut ids = [None; MAX_SERVERS];
        for (place, id) in ids.iter_mut().zip(self.servers.keys()) {
            *place = Some(*id);
        }
        ids.into_iter().map_while(|id| id)
    }

    fn server_request(&mut self, origin: Origin, message: Message<'_>, part: Option<Part>) {
        let request = match crate::binding::coap::to_request(message) {
            Ok(request) => request,
            Err(refused) => {
                let job = Job::refused(origin, refused.like, refused.path);
                return self.answer(&job, Err(refused.error));
            }
        };
        self.record_request(&origin, &request);
        match self.job(origin, request, part) {
            Ok(job) => self.dispatch(job),
            Err(refused) => {
                let (job, error) = *refused;
                self.answer(&job, Err(error));
            }
        }
    }

    // The conversation, for those who listen.

    /// Reports a message if anybody listens.
    pub(crate) fn record(&mut self, message: impl FnOnce() -> MessageRecord) {
        if self.monitor {
            self.outputs.push_back(Output::Event(Event::Message(Box::new(message()))));
        }
    }

    fn record_request(&mut self, origin: &Origin, request: &Request) {
        if let Origin::Server { id, .. } = origin {
            let server = *id;
            self.record(|| MessageRecord::of_request(server, request));
        }
    }

    fn server_status(&self, server: &Server) -> crate::ServerStatus {
        let id = server.account.short_server_id;
        crate::ServerStatus {
            short_server_id: id,
            uri: server.account.uri.clone(),
            security: server.account.security,
            state: server.state(),
            version: server.version,
            location: server
                .registration
                .as_ref()
                .map(|registration| format!("/{}", registration.location.join("/"))),
            lifetime: server.account.lifetime,
            queue_mode: server.account.queue_mode,
            registered_at: server.registration.as_ref().map(|registration| registration.made),
            last_update: server.registration.as_ref().map(|registration| registration.confirmed),
            next: Self::server_deadline(server),
            last_error: server.last_error.clone(),
            failures: server.failures,
            observations: self.observations.of_server(id).count(),
            counters: server.counters(),
        }
    }
}

/// Server accounts that one device may have.
pub const MAX_SERVERS: usize = 16;

#[cfg(test)]
mod tests {
    use lwm2m_model::Version;
    use lwm2m_model::record::BootId;

    use super::*;

    fn instances(engine: &Engine) -> Vec<u16> {
        let objects = engine.status().objects;
        let server = objects.into_iter().find(|object| object.definition.id == objects::id::SERVER);
        server.map(|server| server.instances).unwrap_or_default()
    }

    #[test]
    fn instances_of_removed_accounts_are_used_again() {
        let accounts = |ids: &[u16]| -> Vec<Account> {
            ids.iter().map(|id| Account::new(*id, "coap://server.example")).collect()
        };
        let config = EngineConfig {
            endpoint: "urn:dev:ops:0A1B2C-GW100-4711".into(),
            version: Version::V1_2,
            min_version: Version::V1_0,
            bindings: "U".into(),
            boot: BootId([0; 16]),
            accounts: accounts(&[101, 102]),
            coap: lwm2m_coap::Config::default(),
            seed: [0; 32],
        };
        let mut engine = Engine::new(config, Now::default());
        for (ids, expected) in [(&[102][..], &[1][..]), (&[102, 103], &[0, 1]), (&[104], &[0])] {
            engine.handle(Now::default(), Input::Command(Command::Accounts(accounts(ids))));
            assert_eq!(instances(&engine), expected, "{ids:?}");
        }
        let many: Vec<u16> = (1..=20).collect();
        engine.handle(Now::default(), Input::Command(Command::Accounts(accounts(&many))));
        assert_eq!(instances(&engine).len(), MAX_SERVERS, "the others are left out");
    }
}
