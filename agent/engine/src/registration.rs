//! From an account to a registration, and keeping it (Core 5).
//!
//! 1. Wait: at once at the start, with back-off after a failure.
//! 2. Connect: the rim opens a link (resolves, handshakes).
//! 3. Register, or Update if the server still knows us over this link.
//! 4. 4.12: the next lower version, at once.
//! 5. Registered: Update before the lifetime ends and when something changes.
//! 6. An Update refused: Register anew over the same link.
//! 7. No answer, or the link ends: back to 2, then to 1.
//! 8. De-register: on Disable, and on an orderly stop if asked to.

use std::time::Duration;

use lwm2m_coap::{Draft, Message, RequestId, method, option};
use lwm2m_model::record::{Fingerprint, Key};
use lwm2m_model::{Code, ContentFormat, Instant, Path, Version};

use crate::engine::Engine;
use crate::server::{Announced, OwnOperation, Phase, Registration, Server, Then};
use crate::{
    Continuity, Deregister, Direction, Event, LinkId, MessageRecord, Output, Reason, object_list,
};

impl Engine {
    // 1, 2: waiting and connecting.

    /// What time has brought for one server.
    pub(crate) fn server_time(&mut self, id: u16) {
        let now = self.now.boot;
        let Some(server) = self.servers.get(&id) else { return };
        if Self::server_deadline(server).is_none_or(|at| at > now) {
            return;
        }
        match server.phase {
            Phase::Waiting { .. } | Phase::Disabled { .. } => self.open_link(id),
            Phase::Registered { .. } => self.send_update(id),
            Phase::Deregistering { then, .. } => self.farewell_over(id, then),
            Phase::Connecting | Phase::Registering { .. } | Phase::Stopped => {}
        }
    }

    /// When [`Engine::server_time`] has something to do.
    pub(crate) fn server_deadline(server: &Server) -> Option<Instant> {
        match server.phase {
            Phase::Waiting { until } | Phase::Disabled { until } => Some(until),
            Phase::Deregistering { until, .. } => Some(until),
            Phase::Registered { update: None, .. } => server.next_update(),
            Phase::Registered { .. }
            | Phase::Connecting
            | Phase::Registering { .. }
            | Phase::Stopped => None,
        }
    }

    /// Opens a link, closing the one there is.
    pub(crate) fn open_link(&mut self, id: u16) {
        self.close_link(id);
        let link = LinkId(self.next_link);
        self.next_link = self.next_link.wrapping_add(1);
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.link = Some(link);
        server.phase = Phase::Connecting;
        self.outputs.push_back(Output::OpenLink {
            link,
            server: id,
            uri: server.account.uri.clone(),
        });
    }

    /// Closes the link of a server, if there is one.
    pub(crate) fn close_link(&mut self, id: u16) {
        self.drain_endpoint(id);
        let Some(server) = self.servers.get_mut(&id) else { return };
        let link = server.link.take();
        if server.drop_endpoint() {
            self.notifications_cut_off(id);
        }
        if let Some(link) = link {
            self.outputs.push_back(Output::CloseLink { link });
        }
    }

    /// A link is open: register, or tell the server that we are back.
    pub(crate) fn link_up(&mut self, link: LinkId, continuity: Continuity, max_datagram: usize) {
        let Some(id) = self.server_of(link) else { return };
        let random = lwm2m_coap::Random::from_seed(self.random.seed());
        let config = lwm2m_coap::Config { max_datagram, ..self.config.coap.clone() };
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.begin_session(continuity, config, random);
        let known = server.registration.is_some()
            && match continuity {
                Continuity::Kept => true,
                // Transport 12.7: since 1.2.1 a new security context needs no Register,
                // a new address without security does (CORE-98).
                Continuity::New => server.is_secure() && server.version >= Version::V1_2,
            };
        if known {
            server.phase = Phase::Registered { update: None, asleep: false };
            self.send_update(id);
        } else {
            self.send_register(id);
        }
    }

    /// A link has not come up, or has ended.
    pub(crate) fn link_down(&mut self, link: LinkId, reason: String) {
        let Some(id) = self.server_of(link) else { return };
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.link = None;
        if server.drop_endpoint() {
            self.notifications_cut_off(id);
        }
        let Some(server) = self.servers.get(&id) else { return };
        match server.phase {
            Phase::Deregistering { then, .. } => self.farewell_over(id, then),
            Phase::Stopped | Phase::Disabled { .. } | Phase::Waiting { .. } => {}
            // In the sleep of queue mode nothing is sent; waking opens a new link.
            Phase::Registered { asleep: true, .. } => {}
            // A link that has served for a while is opened anew at once.
            Phase::Registered { update: None, .. } if server.has_served(self.now.boot) => {
                self.attempt_failed(id, reason.into(), Pause::None);
            }
            Phase::Registered { .. } | Phase::Connecting | Phase::Registering { .. } => {
                self.attempt_failed(id, reason.into(), Pause::BackOff);
            }
        }
    }

    /// Links that wait are tried now: the network is another one.
    pub(crate) fn network_changed(&mut self) {
        for server in self.servers.values_mut() {
            if let Phase::Waiting { until } = &mut server.phase {
                *until = self.now.boot;
                server.attempts = 0;
            }
        }
    }

    // 3, 4: Register.

    pub(crate) fn send_register(&mut self, id: u16) {
        let now = self.now.boot;
        let Some(told) = self.announced(id) else { return };
        let endpoint_name = self.config.endpoint.clone();
        let objects = self.object_list(id);
        let Some(server) = self.servers.get_mut(&id) else { return };
        let mut query = vec![
            format!("ep={endpoint_name}"),
            format!("lt={}", told.lifetime),
            format!("lwm2m={}", server.version),
        ];
        query.push(format!("b={}", server.binding_mode(&self.config.bindings)));
        if server.account.queue_mode && server.version >= Version::V1_1 {
            query.push("Q".into());
        }
        let draft =
            server.base_path().chain(["rd"]).fold(Draft::new(method::POST), |draft, segment| {
                draft.option(option::URI_PATH, segment.as_bytes())
            });
        let draft = query
            .iter()
            .fold(draft, |draft, parameter| draft.option(option::URI_QUERY, parameter.as_bytes()))
            .content(ContentFormat::LINK, objects.clone().into_bytes());
        let Some(endpoint) = &mut server.endpoint else { return };
        let request = endpoint.request(now, draft);
        server.phase = Phase::Registering { request };
        server.update_at = None;
        server.sleepy = false;
        server.registration = None;
        server.told = Some(told);
        let format = Some(ContentFormat::LINK);
        self.record_sent(id, OwnOperation::Register, query.join("&"), format, || {
            objects.into_bytes()
        });
    }

    fn register_answered(&mut self, id: u16, message: &Message<'_>) {
        match message.code {
            Code::CREATED => {
                let location: Vec<String> = message
                    .texts(option::LOCATION_PATH)
                    .filter_map(Result::ok)
                    .map(str::to_owned)
                    .collect();
                if location.is_empty() {
                    let reason = "the server answered Register without a Location-Path";
                    return self.attempt_failed(id, reason.into(), Pause::BackOff);
                }
                self.registered(id, location);
            }
            Code::PRECONDITION_FAILED => self.step_down(id),
            code => {
                let why = std::str::from_utf8(&message.payload).unwrap_or_default().trim();
                let why: String =
                    why.chars().filter(|c| !c.is_control()).take(MAX_DIAGNOSTIC).collect();
                let colon = if why.is_empty() { "" } else { ": " };
                let reason = format!("Register refused with {code} {}{colon}{why}", code.name());
                self.attempt_failed(id, reason.into(), Pause::BackOff);
            }
        }
    }

    fn registered(&mut self, id: u16, location: Vec<String>) {
        let now = self.now.boot;
        self.leave_observations_of(id, "the server observes anew after a Register");
        let Some(server) = self.servers.get_mut(&id) else { return };
        let event = Event::Registered {
            server: id,
            version: server.version,
            lifetime: server.account.lifetime,
            location: format!("/{}", location.join("/")),
        };
        server.registration = server.told.take().map(|known| Registration {
            location,
            made: now,
            confirmed: now,
            known,
            is_restored: false,
        });
        server.phase = Phase::Registered { update: None, asleep: false };
        self.mark(Key::Registration(id));
        self.tell_what_changed(id);
        self.succeeded(id);
        self.outputs.push_back(Output::Event(event));
    }

    /// Registers with the next lower version; below the lowest the attempt has failed,
    /// and the next one begins with the highest again.
    fn step_down(&mut self, id: u16) {
        let lower = self.lower_version(id);
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.version = lower.unwrap_or(self.config.version);
        match lower {
            Some(version) => {
                self.outputs.push_back(Output::Event(Event::SteppedDown { server: id, version }));
                self.send_register(id);
            }
            None => {
                let min = self.config.min_version;
                let reason =
                    format!("the server refuses LwM2M {min}, the lowest configured (4.12)");
                self.attempt_failed(id, reason.into(), Pause::BackOff);
            }
        }
    }

    /// The highest version below the one refused, if it may be tried (CORE-20).
    fn lower_version(&self, id: u16) -> Option<Version> {
        let refused = self.servers.get(&id)?.version;
        [Version::V1_1, Version::V1_0]
            .into_iter()
            .find(|version| *version < refused && *version >= self.config.min_version)
    }

    // 5, 6: Update.

    /// Something that the server knows has changed: an Update is due at `at`.
    pub(crate) fn update_due(&mut self, id: u16, at: Instant) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.update_at = Some(server.update_at.map_or(at, |before| before.min(at)));
        }
    }

    /// The operator wants an Update: now, or an attempt now if there is no
    /// registration to update.
    pub(crate) fn update_now(&mut self, id: u16) {
        let now = self.now.boot;
        self.update_due(id, now);
        if let Some(Server { phase: Phase::Waiting { until }, .. }) = self.servers.get_mut(&id) {
            *until = now;
        }
    }

    /// Sends an Update with what has changed and nothing else (CORE-101).
    pub(crate) fn send_update(&mut self, id: u16) {
        let now = self.now.boot;
        self.wake(id);
        let Some(told) = self.announced(id) else { return };
        let Some(server) = self.servers.get_mut(&id) else { return };
        if server.endpoint.is_none() {
            return self.open_link(id); // lost during sleep; the Update follows
        }
        let objects = object_list::write(&self.objects, server.version);
        let binding = server.binding_mode(&self.config.bindings);
        let (Some(registration), Some(endpoint)) = (&server.registration, &mut server.endpoint)
        else {
            return;
        };
        let mut draft =
            registration.location.iter().fold(Draft::new(method::POST), |draft, segment| {
                draft.option(option::URI_PATH, segment.as_bytes())
            });
        let mut query = Vec::new();
        if told.lifetime != registration.known.lifetime {
            query.push(format!("lt={}", told.lifetime));
        }
        if told.binding != registration.known.binding {
            query.push(format!("b={binding}"));
        }
        for parameter in &query {
            draft = draft.option(option::URI_QUERY, parameter.as_bytes());
        }
        let objects = (told.objects != registration.known.objects).then_some(objects);
        if let Some(objects) = &objects {
            draft = draft.content(ContentFormat::LINK, objects.clone().into_bytes());
        }
        server.told = Some(told);
        let request = endpoint.request(now, draft);
        server.phase = Phase::Registered { update: Some(request), asleep: false };
        server.update_at = None;
        let format = objects.is_some().then_some(ContentFormat::LINK);
        self.record_sent(id, OwnOperation::Update, query.join("&"), format, || {
            objects.unwrap_or_default().into_bytes()
        });
    }

    fn update_answered(&mut self, id: u16, message: &Message<'_>) {
        let now = self.now.boot;
        if message.code == Code::CHANGED {
            let Some(server) = self.servers.get_mut(&id) else { return };
            server.phase = Phase::Registered { update: None, asleep: false };
            let mut event = Event::Updated { server: id };
            if let Some(registration) = &mut server.registration {
                registration.confirmed = now;
                if std::mem::take(&mut registration.is_restored) {
                    event = Event::Resumed {
                        server: id,
                        version: server.version,
                        lifetime: server.account.lifetime,
                        location: format!("/{}", registration.location.join("/")),
                    };
                }
                if let Some(told) = server.told.take().filter(|told| *told != registration.known) {
                    registration.known = told;
                    self.persistence.mark(Key::Registration(id));
                }
            }
            self.tell_what_changed(id);
            self.succeeded(id);
            self.outputs.push_back(Output::Event(event));
        } else {
            // TRN-10: whatever the refusal, a full Register before anything else.
            let reason = format!("Update refused with {} {}", message.code, message.code.name());
            self.outputs.push_back(Output::Event(Event::AttemptFailed {
                server: id,
                reason: reason.into(),
                next: None,
            }));
            self.send_register(id);
        }
    }

    /// What the server does not know yet is told next.
    pub(crate) fn tell_what_changed(&mut self, id: u16) {
        let current = self.announced(id);
        let known = self.servers.get(&id).and_then(|server| server.registration.as_ref());
        if known.is_some_and(|known| Some(&known.known) != current.as_ref()) {
            self.update_due(id, self.now.boot);
        }
    }

    fn object_list(&self, id: u16) -> String {
        let server = self.servers.get(&id);
        server.map_or_else(String::new, |it| object_list::write(&self.objects, it.version))
    }

    /// What the server has to know now.
    fn announced(&self, id: u16) -> Option<Announced> {
        let server = self.servers.get(&id)?;
        Some(Announced {
            lifetime: server.account.lifetime,
            binding: server.account.binding_text(server.version),
            objects: Fingerprint::of([self.object_list(id).as_bytes()]),
        })
    }

    /// Server accounts or object instances are others than before: one Update
    /// tells every server, shortly, so that changes that come together go together.
    pub(crate) fn object_list_changed(&mut self) {
        let at = self.now.boot + OBJECT_LIST_SETTLES;
        let ids: Vec<u16> = self.servers.keys().copied().collect();
        for id in ids {
            let current = self.announced(id);
            let known = self.servers.get(&id).and_then(|server| server.registration.as_ref());
            if known.is_some_and(|known| Some(&known.known) != current.as_ref()) {
                self.update_due(id, at);
            }
        }
    }

    // 7: answers and failures.

    /// A response to Register, Update or De-register.
    pub(crate) fn response(&mut self, id: u16, request: RequestId, message: &Message<'_>) {
        let Some(operation) = self.awaited(id, request) else { return };
        self.record_response(id, operation, message);
        match operation {
            OwnOperation::Register => self.register_answered(id, message),
            OwnOperation::Update => self.update_answered(id, message),
            OwnOperation::Deregister(then) => self.farewell_over(id, then),
        }
    }

    /// A request of ours has had no answer, or a Reset.
    pub(crate) fn request_failed(&mut self, id: u16, request: RequestId, reason: &'static str) {
        let Some(operation) = self.awaited(id, request) else { return };
        let reason = format!("{}: {reason}", operation.name()).into();
        match operation {
            OwnOperation::Register => self.attempt_failed(id, reason, Pause::BackOff),
            // Without an answer the server may know nothing of us: a new link, and
            // a Register over it (Core 5.6).
            OwnOperation::Update => {
                if let Some(server) = self.servers.get_mut(&id) {
                    server.registration = None;
                }
                self.attempt_failed(id, reason, Pause::None);
            }
            OwnOperation::Deregister(then) => self.farewell_over(id, then),
        }
    }

    fn awaited(&self, id: u16, request: RequestId) -> Option<OwnOperation> {
        self.servers.get(&id)?.phase.awaits(request)
    }

    /// Closes the link and plans the next attempt (Core 5.4).
    fn attempt_failed(&mut self, id: u16, reason: Reason, pause: Pause) {
        self.close_link(id);
        let delay = match pause {
            Pause::None => Duration::ZERO,
            Pause::BackOff => self.back_off(id),
        };
        let until = self.now.boot + delay;
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.failures = server.failures.saturating_add(1);
        server.last_error = Some(reason.to_string());
        server.phase = Phase::Waiting { until };
        let next = (pause == Pause::BackOff).then_some(until);
        self.outputs.push_back(Output::Event(Event::AttemptFailed { server: id, reason, next }));
    }

    /// Time to the next attempt: the timer doubled with each attempt of a
    /// sequence, the sequence delay after the last, and up to a tenth more, so
    /// that a thousand devices do not come back together.
    fn back_off(&mut self, id: u16) -> Duration {
        let jitter = self.random.fraction() * MAX_JITTER;
        let Some(server) = self.servers.get_mut(&id) else {
            return Duration::ZERO;
        };
        let retry = server.account.retry;
        server.attempts += 1;
        let seconds = if server.attempts < retry.count {
            let doublings = (server.attempts - 1).min(u32::BITS - 1);
            u64::from(retry.timer) << doublings
        } else {
            server.attempts = 0;
            u64::from(retry.sequence_delay)
        };
        Duration::from_secs(seconds.max(1)).mul_f64(1.0 + jitter)
    }

    /// Register or Update was accepted: the next failure starts from nothing.
    fn succeeded(&mut self, id: u16) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.attempts = 0;
        server.failures = 0;
        server.last_error = None;
        self.resume_observations_of(id);
    }

    // 8: De-register.

    /// De-registers and then keeps silent, or stops.
    pub(crate) fn send_deregister(&mut self, id: u16, then: Then) {
        let now = self.now.boot;
        let Some(server) = self.servers.get_mut(&id) else { return };
        let (Some(registration), Some(endpoint)) = (&server.registration, &mut server.endpoint)
        else {
            return self.farewell_over(id, then);
        };
        let draft =
            registration.location.iter().fold(Draft::new(method::DELETE), |draft, segment| {
                draft.option(option::URI_PATH, segment.as_bytes())
            });
        let request = endpoint.request(now, draft);
        server.phase = Phase::Deregistering { request, until: now + FAREWELL_LIMIT, then };
        let operation = OwnOperation::Deregister(then);
        self.record_sent(id, operation, String::new(), None, Vec::new);
    }

    fn farewell_over(&mut self, id: u16, then: Then) {
        let storing =
            self.servers.get(&id).is_some_and(|server| server.account.notification_storing);
        // Their tokens are void, but what they would tell is kept (OBJ-43).
        if then != Then::Disable || !storing {
            self.end_observations_of(id, "the registration is over");
        }
        self.close_link(id);
        let Some(server) = self.servers.get_mut(&id) else { return };
        let had_registration = server.registration.take().is_some();
        let attached = server.attached.below(&Path::root()).cloned().collect::<Vec<_>>();
        let reason = match then {
            Then::Stop => {
                server.phase = Phase::Stopped;
                "the agent stops"
            }
            Then::Remove => {
                self.servers.remove(&id);
                for path in attached {
                    self.mark(Key::Attached(id, path));
                }
                self.mark(Key::Account(id));
                self.mark(Key::Session(id));
                self.list_accounts();
                "the account was removed"
            }
            Then::Disable => {
                let timeout = Duration::from_secs(u64::from(server.account.disable_timeout));
                let until = self.now.boot + timeout;
                server.phase = Phase::Disabled { until };
                self.outputs.push_back(Output::Event(Event::Disabled { server: id, until }));
                "the server disabled itself"
            }
            Then::BeginAnew => {
                server.begin_anew(self.config.version, self.now.boot);
                if self.stopping {
                    server.phase = Phase::Stopped;
                }
                self.outputs.push_back(Output::ForgetLinks { server: id });
                self.mark(Key::Session(id));
                "the device forgets what the server wrote"
            }
        };
        if had_registration {
            self.mark(Key::Registration(id));
            let event = Event::Deregistered { server: id, reason: reason.into() };
            self.outputs.push_back(Output::Event(event));
        }
    }

    /// An orderly stop of all accounts.
    pub(crate) fn stop(&mut self, deregister: Deregister) {
        self.stopping = true;
        let ids: Vec<u16> = self.servers.keys().copied().collect();
        for id in ids {
            let registered = self.servers.get(&id).is_some_and(Server::is_registered);
            if deregister == Deregister::Yes && registered {
                self.wake(id);
                self.send_deregister(id, Then::Stop);
            } else if let Some(server) = self.servers.get_mut(&id) {
                server.phase = Phase::Stopped;
                if server.registration.is_some() {
                    // The status shows when it was last answered, also after a restart.
                    self.persistence.mark(Key::Registration(id));
                }
                self.close_link(id);
            }
        }
    }

    // The conversation, for those who listen.

    fn record_sent(
        &mut self,
        id: u16,
        operation: OwnOperation,
        detail: String,
        format: Option<ContentFormat>,
        payload: impl FnOnce() -> Vec<u8>,
    ) {
        self.record(|| MessageRecord {
            server: id,
            direction: Direction::Sent,
            operation: operation.name(),
            path: None,
            detail,
            code: None,
            format,
            payload: payload(),
        });
    }

    fn record_response(&mut self, id: u16, operation: OwnOperation, message: &Message<'_>) {
        let location: String = message
            .texts(option::LOCATION_PATH)
            .filter_map(Result::ok)
            .flat_map(|segment| ["/", segment])
            .collect();
        self.record(|| MessageRecord {
            server: id,
            direction: Direction::Received,
            operation: operation.name(),
            path: None,
            detail: location,
            code: Some(message.code),
            format: message.content_format(),
            payload: message.payload.to_vec(),
        });
    }
}

/// Whether the next attempt waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// It follows at once.
    None,
    /// It waits as Core 5.4 says.
    BackOff,
}

/// A back-off is lengthened by up to this share.
const MAX_JITTER: f64 = 0.1;
/// A De-register that is not answered so long is over all the same.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
/// Changes of the object list within this time are one Update.
const OBJECT_LIST_SETTLES: Duration = Duration::from_secs(1);
/// Characters of a server's diagnostic text that we repeat.
const MAX_DIAGNOSTIC: usize = 120;
