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
//!
//! `update` has 5 and 6, `deregister` has 8.

mod deregister;
mod update;

use std::time::Duration;

use lwm2m_coap::{Draft, Message, RequestId, method, option};
use lwm2m_model::record::Key;
use lwm2m_model::{Code, ContentFormat, Instant, Version};

use crate::engine::Engine;
use crate::server::{OwnOperation, Phase, Registration, Server, Then};
use crate::{Continuity, Direction, Event, LinkId, MessageRecord, Output, Reason};

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
            Phase::Waiting { .. } => self.open_link(id),
            Phase::Disabled { .. } => {
                self.open_link(id);
                self.mark(Key::Disabled(id));
            }
            Phase::Registered { .. } => self.send_update(id),
            Phase::Deregistering { then, .. } => self.farewell_over(id, then),
            Phase::Registering { .. } => self.stop_at_once(id),
            Phase::Connecting | Phase::Stopped => {}
        }
    }

    /// When [`Engine::server_time`] has something to do.
    pub(crate) fn server_deadline(server: &Server) -> Option<Instant> {
        match server.phase {
            Phase::Waiting { until } | Phase::Disabled { until } => Some(until),
            Phase::Deregistering { until, .. } => Some(until),
            Phase::Registered { update: None, .. } => server.next_update(),
            Phase::Registering { .. } => server.leave_by,
            Phase::Registered { .. } | Phase::Connecting | Phase::Stopped => None,
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
        if self.servers.get(&id).is_some_and(|server| server.leave_by.is_some()) {
            self.send_deregister(id, Then::Stop);
        }
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
        server.phase = match server.leave_by {
            None => Phase::Waiting { until },
            Some(_) => Phase::Stopped,
        };
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
/// Characters of a server's diagnostic text that we repeat.
const MAX_DIAGNOSTIC: usize = 120;
