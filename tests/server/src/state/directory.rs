//! The registration interface (Core 5, Transport 2.4): Register, Update,
//! De-register.
//!
//! 1. `POST /rd?ep&lt&lwm2m&b&Q` with an object list: 2.01 and a location.
//! 2. `POST /rd/ID?lt&b&Q`, perhaps with a list: 2.04.
//! 3. `DELETE /rd/ID`: 2.02.
//!
//! Each may come in blocks. Whatever is wrong is refused with its code and a reason as
//! diagnostic payload.

use std::collections::VecDeque;
use std::time::SystemTime;

use coap_lite::{CoapOption, MessageType, Packet};
use lwm2m_model::{Code, ContentFormat, Instant, RequestError, Version};

use super::conversation::Transmission;
use super::device::Device;
use super::gathering::MAX_BODY;
use super::{Peer, State};
use crate::block::Block;
use crate::message;
use crate::registration::{ObjectList, Parameters, bad};
use crate::{Changed, Registration, ServerEvent};

impl State {
    /// Serves a request of a device; the reply, or an empty acknowledgement if the
    /// response comes separately.
    pub(super) fn serve(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &Packet,
        bytes: usize,
    ) -> Option<Packet> {
        let served = match message::unknown_critical(request) {
            Some(number) => {
                Err(RequestError::new(Code::BAD_OPTION, format!("unknown option {number}")))
            }
            None => self.gather(now, peer, request, bytes),
        };
        let id = self.conversation(now, peer).new_id();
        let separate =
            matches!(served, Ok(Served::Created { .. })) && self.faults.separate_register;
        let mut reply = match &served {
            Ok(served) => served.reply(request, id),
            Err(error) => {
                self.tell(ServerEvent::Refused {
                    peer: peer.address,
                    code: error.code,
                    reason: error.reason.to_string(),
                });
                let mut reply = message::reply(request, error.code, id);
                reply.payload = error.reason.as_bytes().to_vec();
                if error.code == Code::REQUEST_ENTITY_TOO_LARGE {
                    message::set_number(&mut reply, CoapOption::Size1, MAX_BODY as u32);
                }
                reply
            }
        };
        if let (Ok(_), Ok(Some(block))) = (&served, Block::of(request, CoapOption::Block1)) {
            let size = block.size.min(self.config.block_size);
            Block { size, ..block }.put(CoapOption::Block1, &mut reply);
        }
        match served {
            Ok(Served::Created { endpoint, .. })
                if separate && message::is_confirmable(request) =>
            {
                reply.header.set_type(MessageType::Confirmable);
                reply.header.message_id = id;
                self.answer_separately(now, peer, endpoint, &reply);
                Some(message::empty(MessageType::Acknowledgement, request.header.message_id))
            }
            Ok(_) | Err(_) => Some(reply),
        }
    }

    /// Lets a request through that is whole, or becomes whole by this block of it.
    fn gather(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &Packet,
        bytes: usize,
    ) -> Result<Served, RequestError> {
        match Block::of(request, CoapOption::Block1).map_err(bad)? {
            None => self.route(now, peer, request, bytes),
            Some(block) => match self.gathering.add(now, peer, request, block, bytes)? {
                Some(whole) => self.route(now, peer, &whole.request, whole.bytes),
                None => Ok(Served::Continue),
            },
        }
    }

    fn route(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &Packet,
        bytes: usize,
    ) -> Result<Served, RequestError> {
        let path = message::texts(request, CoapOption::UriPath)
            .ok_or_else(|| bad("a path segment is not UTF-8"))?;
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        match (u8::from(request.header.code), segments.as_slice()) {
            (message::POST, ["rd"]) => self.register(now, peer, request, bytes),
            (message::POST, ["rd", id]) => self.update(now, peer, id, request, bytes),
            (message::DELETE, ["rd", id]) => self.deregister(peer, id),
            (_, ["rd"] | ["rd", _]) => {
                Err(RequestError::new(Code::METHOD_NOT_ALLOWED, "not a method of this resource"))
            }
            _ => Err(RequestError::new(Code::NOT_FOUND, format!("no /{}", path.join("/")))),
        }
    }

    fn register(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &Packet,
        bytes: usize,
    ) -> Result<Served, RequestError> {
        if let Some(code) = self.faults.refuse_next_register.take() {
            return Err(RequestError::new(code, "refused on request of the test"));
        }
        let parameters = parameters(request)?;
        let identity = self.identity(peer);
        let version = self.accepted_version(&parameters)?;
        let endpoint = self.checked_endpoint(&parameters, identity.as_deref())?;
        let lifetime = parameters.lifetime.ok_or_else(|| bad("the lifetime lt is missing"))?;
        let list = object_list(request)?.ok_or_else(|| {
            let reason =
                if parameters.profile { "the profile ID is not known" } else { "no object list" };
            RequestError::new(Code::CONFLICT, reason)
        })?;
        let registration = Registration {
            endpoint: endpoint.clone(),
            lifetime,
            version,
            binding: parameters.binding.unwrap_or_else(|| "U".to_owned()),
            queue: parameters.queue,
            links: list.links,
            formats: list.formats,
            root: list.root,
            location: format!("/rd/{:08x}", self.random.next() >> 32),
            peer: peer.address,
            identity,
            updates: 0,
            awake: true,
            registered_at: SystemTime::now(),
        };
        self.enrol(now, peer, registration.clone());
        let location = registration.location.clone();
        self.tell(ServerEvent::Registered { registration: Box::new(registration), bytes });
        Ok(Served::Created { endpoint, location })
    }

    /// Puts a registration in the place of an older one. Observations end with the
    /// older one (Core 8.1); what waits for the device goes on waiting.
    fn enrol(&mut self, now: Instant, peer: Peer, registration: Registration) {
        let endpoint = registration.endpoint.clone();
        let expires = registration.holds_for().map(|span| now + span + self.config.grace);
        let old = self.devices.remove(&endpoint);
        let old_peer = old.as_ref().map(|device| device.peer);
        let waiting = old.map_or_else(VecDeque::new, |device| device.waiting);
        let device = Device { registration, peer, heard: now, expires, ready: true, waiting };
        self.devices.insert(endpoint.clone(), device);
        self.separate.retain(|(known, _)| *known != endpoint);
        self.end_observations(&endpoint);
        if let Some(old_peer) = old_peer.filter(|old_peer| *old_peer != peer) {
            self.leave_address(&endpoint, old_peer);
        }
    }

    fn update(
        &mut self,
        now: Instant,
        peer: Peer,
        id: &str,
        request: &Packet,
        bytes: usize,
    ) -> Result<Served, RequestError> {
        let parameters = parameters(request)?;
        let grace = self.config.grace;
        let list = object_list(request)?;
        let device = self.located(peer, id)?;
        for (name, comes) in
            [("ep", parameters.endpoint.is_some()), ("lwm2m", parameters.version.is_some())]
        {
            if comes {
                return Err(bad(format!("{name} has no place in an Update")));
            }
        }
        let old_peer = device.peer;
        let changed = Changed {
            lifetime: parameters.lifetime.is_some(),
            binding: parameters.binding.is_some(),
            queue: parameters.queue,
            links: list.is_some(),
            address: old_peer != peer,
        };
        let registration = &mut device.registration;
        registration.lifetime = parameters.lifetime.unwrap_or(registration.lifetime);
        registration.queue |= parameters.queue;
        if let Some(binding) = parameters.binding {
            registration.binding = binding;
        }
        if let Some(list) = list {
            registration.links = list.links;
            registration.formats = list.formats;
            registration.root = list.root;
        }
        registration.peer = peer.address;
        registration.updates += 1;
        device.expires = device.registration.holds_for().map(|span| now + span + grace);
        device.peer = peer;
        let endpoint = device.registration.endpoint.clone();
        if changed.address {
            self.leave_address(&endpoint, old_peer);
        }
        self.tell(ServerEvent::Updated { endpoint, changed, bytes });
        Ok(Served::Changed)
    }

    fn deregister(&mut self, peer: Peer, id: &str) -> Result<Served, RequestError> {
        let endpoint = self.located(peer, id)?.registration.endpoint.clone();
        self.drop_device(&endpoint);
        self.tell(ServerEvent::Deregistered { endpoint });
        Ok(Served::Deleted)
    }

    /// The device of a location, if this peer may speak for it.
    fn located(&mut self, peer: Peer, id: &str) -> Result<&mut Device, RequestError> {
        let identity = self.identity(peer);
        self.devices
            .values_mut()
            .find(|device| device.registration.location.strip_prefix("/rd/") == Some(id))
            .filter(|device| device.registration.identity == identity)
            .ok_or_else(|| RequestError::new(Code::NOT_FOUND, "no such registration"))
    }

    fn identity(&self, peer: Peer) -> Option<Vec<u8>> {
        let links = self.links.as_ref().filter(|_| peer.secure)?;
        links.identity(peer.address)
    }

    fn accepted_version(&self, parameters: &Parameters) -> Result<Version, RequestError> {
        let text = parameters.version.as_deref();
        let text = text.ok_or_else(|| bad("the version lwm2m is missing"))?;
        let version: Version = text.parse().map_err(|_| bad(format!("bad version \"{text}\"")))?;
        if !self.config.versions.contains(&version) {
            let reason = format!("LwM2M {version} is not accepted");
            return Err(RequestError::new(Code::PRECONDITION_FAILED, reason));
        }
        Ok(version)
    }

    /// The endpoint name, which the identity can stand for (Core 2.3).
    fn checked_endpoint(
        &self,
        parameters: &Parameters,
        identity: Option<&[u8]>,
    ) -> Result<String, RequestError> {
        let name = match (&parameters.endpoint, identity) {
            (Some(name), _) => name.clone(),
            (None, Some(identity)) => String::from_utf8(identity.to_vec())
                .map_err(|_| bad("the endpoint name ep is missing, and the identity is no text"))?,
            (None, None) => return Err(bad("the endpoint name ep is missing")),
        };
        let strict = self.config.strict_identity;
        if strict && identity.is_some_and(|identity| identity != name.as_bytes()) {
            return Err(bad(format!("{name} is not the identity of the DTLS session")));
        }
        Ok(name)
    }

    fn answer_separately(&mut self, now: Instant, peer: Peer, endpoint: String, reply: &Packet) {
        let Ok(bytes) = reply.to_bytes_unlimited() else { return };
        if let Some(device) = self.devices.get_mut(&endpoint) {
            device.ready = false;
        }
        let id = reply.header.message_id;
        let timings = self.config.timings;
        // Due at once, but not sent here: the empty acknowledgement leaves first.
        let transmission = Transmission::new(now, peer, id, bytes, &timings, &mut self.random);
        self.separate.push((endpoint, transmission.unsent(now)));
    }

    pub(super) fn retransmit_separate(&mut self, now: Instant) {
        let timings = self.config.timings;
        let mut due = Vec::new();
        self.separate.retain_mut(|(_, transmission)| {
            if now < transmission.due {
                return true;
            }
            let again = transmission.again(now, &timings);
            if again {
                due.push((transmission.peer, transmission.bytes.clone(), transmission.count));
            }
            again
        });
        for (peer, bytes, count) in due {
            self.statistics.retransmissions += u64::from(count > 1);
            self.send_bytes(now, peer, &bytes);
        }
    }

    /// The device has taken, or refused, the separate response to its Register.
    pub(super) fn separate_acknowledged(&mut self, peer: Peer, id: u16) {
        let done = self.separate.extract_if(.., |(_, sent)| sent.is_for(peer, id)).next();
        if let Some(device) = done.and_then(|(endpoint, _)| self.devices.get_mut(&endpoint)) {
            device.ready = true;
        }
    }
}

/// A request that succeeded, so far.
enum Served {
    /// Not yet: this was a block of it.
    Continue,
    Created {
        endpoint: String,
        location: String,
    },
    Changed,
    Deleted,
}

impl Served {
    fn reply(&self, request: &Packet, id: u16) -> Packet {
        match self {
            Self::Created { location, .. } => {
                let mut reply = message::reply(request, Code::CREATED, id);
                for segment in location.split('/').filter(|segment| !segment.is_empty()) {
                    reply.add_option(CoapOption::LocationPath, segment.as_bytes().to_vec());
                }
                reply
            }
            Self::Continue => message::reply(request, Code::CONTINUE, id),
            Self::Changed => message::reply(request, Code::CHANGED, id),
            Self::Deleted => message::reply(request, Code::DELETED, id),
        }
    }
}

fn parameters(request: &Packet) -> Result<Parameters, RequestError> {
    let queries = message::texts(request, CoapOption::UriQuery)
        .ok_or_else(|| bad("a query parameter is not UTF-8"))?;
    Parameters::parse(&queries)
}

fn object_list(request: &Packet) -> Result<Option<ObjectList>, RequestError> {
    if request.payload.is_empty() {
        return Ok(None);
    }
    match message::content_format(request) {
        Some(ContentFormat::LINK) => ObjectList::parse(&request.payload).map(Some),
        Some(format) => Err(bad(format!("an object list in format {format}, not link-format"))),
        None => Err(bad("the object list has no Content-Format")),
    }
}
