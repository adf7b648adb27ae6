//! The server's half of the protocol, without sockets and clock: datagrams and
//! commands in, datagrams, answers and events out.
//!
//! `conversation` is the message layer towards one address, `links` the DTLS below
//! it; `directory` takes registrations, `exchange` sends requests, `observe` takes
//! notifications, `device` knows who sleeps and what waits for it. `gathering` has the
//! blocks of requests that come, `upload` those of requests that go.

mod conversation;
mod device;
mod directory;
mod exchange;
mod gathering;
mod links;
mod observe;
mod random;
mod upload;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use coap_lite::{MessageType, Packet};
use lwm2m_model::{Code, Instant};
use tokio::sync::{broadcast, oneshot};

use crate::event::Statistics;
use crate::message::{self, Kind};
use crate::{BlockSize, Registration, ServerConfig, ServerEvent, Switch};

use conversation::{Conversation, Transmission};
use device::Device;
use exchange::Exchange;
use gathering::Gathering;
use observe::Observed;

pub(crate) use exchange::{Answer, Job, MAX_SENT, Observe, Then};
pub(crate) use links::Links;
pub(crate) use random::Random;

/// The other end of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) secure: bool,
}

/// Everything the server knows.
pub(crate) struct State {
    config: ServerConfig,
    pub(crate) statistics: Statistics,
    events: broadcast::Sender<ServerEvent>,
    random: Random,
    links: Option<Links>,
    conversations: HashMap<Peer, Conversation>,
    devices: BTreeMap<String, Device>,
    exchanges: Vec<Exchange>,
    observations: HashMap<Vec<u8>, Observed>,
    gathering: Gathering,
    /// Separate responses to a Register that wait for their acknowledgement.
    separate: Vec<(String, Transmission)>,
    faults: Faults,
    outbox: VecDeque<(Peer, Vec<u8>)>,
}

/// Faults that a test switches on.
#[derive(Debug, Default)]
struct Faults {
    refuse_next_register: Option<Code>,
    separate_register: bool,
    duplicate_requests: bool,
}

/// What a handle asks of the state.
pub(crate) enum Command {
    Registrations(oneshot::Sender<Vec<Registration>>),
    Statistics(oneshot::Sender<Statistics>),
    Request {
        endpoint: String,
        job: Box<Job>,
    },
    /// From now on its notifications are answered with RST.
    ForgetObservation {
        token: Vec<u8>,
    },
    Forget {
        endpoint: String,
    },
    PresumeAsleep {
        endpoint: String,
    },
    RefuseNextRegister(Code),
    SeparateRegister(Switch),
    DuplicateRequests(Switch),
    BlockSize(BlockSize),
}

impl State {
    pub(crate) fn new(
        config: ServerConfig,
        links: Option<Links>,
        events: broadcast::Sender<ServerEvent>,
    ) -> Self {
        Self {
            config,
            statistics: Statistics::default(),
            events,
            random: Random::from_entropy(),
            links,
            conversations: HashMap::new(),
            devices: BTreeMap::new(),
            exchanges: Vec::new(),
            observations: HashMap::new(),
            gathering: Gathering::default(),
            separate: Vec::new(),
            faults: Faults::default(),
            outbox: VecDeque::new(),
        }
    }

    /// Takes a datagram.
    pub(crate) fn receive(&mut self, now: Instant, peer: Peer, datagram: &[u8]) {
        if !peer.secure {
            self.receive_message(now, peer, datagram, datagram.len());
            return;
        }
        let Some(links) = &mut self.links else { return };
        let received = links.receive(now, peer.address, datagram);
        self.take_from_links(now, received, datagram.len());
    }

    /// The next datagram to send.
    pub(crate) fn poll_datagram(&mut self) -> Option<(Peer, Vec<u8>)> {
        self.outbox.pop_front()
    }

    /// When [`State::handle_timeout`] wants to be called.
    pub(crate) fn next_timeout(&mut self) -> Option<Instant> {
        let links = self.links.as_mut().and_then(Links::next_timeout);
        let exchanges = self.exchanges.iter().map(Exchange::due);
        let separate = self.separate.iter().map(|(_, transmission)| transmission.due);
        let devices = self.devices.values().filter_map(|device| {
            device
                .next_timeout(self.config.awake_time, self.is_asked(&device.registration.endpoint))
        });
        exchanges.chain(separate).chain(devices).chain(links).min()
    }

    /// Does what time asks for.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(links) = &mut self.links {
            let received = links.handle_timeout(now);
            self.take_from_links(now, received, 0);
        }
        self.retransmit_requests(now);
        self.retransmit_separate(now);
        self.expire(now);
        self.put_to_sleep(now);
        let lifetime = self.config.timings.exchange_lifetime;
        self.gathering.forget_before(now, lifetime);
        self.conversations
            .values_mut()
            .for_each(|conversation| conversation.forget_before(now, lifetime));
    }

    /// Says goodbye on every link.
    pub(crate) fn stop(&mut self) {
        if let Some(links) = &mut self.links {
            self.outbox.extend(links.close());
        }
    }

    /// Does what a handle asks for. An answer nobody waits for is dropped.
    pub(crate) fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Registrations(reply) => {
                let all = self.devices.values().map(|device| device.registration.clone());
                let _ = reply.send(all.collect());
            }
            Command::Statistics(reply) => {
                let _ = reply.send(self.statistics);
            }
            Command::Request { endpoint, job } => self.request(now, &endpoint, *job),
            Command::ForgetObservation { token } => {
                self.observations.remove(&token);
            }
            Command::Forget { endpoint } => self.drop_device(&endpoint),
            Command::PresumeAsleep { endpoint } => self.take_to_sleep(&endpoint),
            Command::RefuseNextRegister(code) => self.faults.refuse_next_register = Some(code),
            Command::SeparateRegister(switch) => {
                self.faults.separate_register = switch == Switch::On
            }
            Command::DuplicateRequests(switch) => {
                self.faults.duplicate_requests = switch == Switch::On
            }
            Command::BlockSize(size) => self.config.block_size = size,
        }
    }

    fn take_from_links(&mut self, now: Instant, received: links::Received, bytes: usize) {
        self.outbox.extend(received.datagrams);
        received.events.into_iter().for_each(|event| self.tell(event));
        for (address, message) in received.messages {
            self.receive_message(now, Peer { address, secure: true }, &message, bytes);
        }
    }

    /// Takes a CoAP message that came in a datagram of `bytes`.
    fn receive_message(&mut self, now: Instant, peer: Peer, message: &[u8], bytes: usize) {
        let Some(packet) = message::parse(message) else {
            self.statistics.malformed += 1;
            return;
        };
        self.conversation(now, peer).heard = now;
        match packet.header.get_type() {
            MessageType::Acknowledgement => self.acknowledged(now, peer, &packet, bytes),
            MessageType::Reset => self.reset(now, peer, &packet),
            MessageType::Confirmable | MessageType::NonConfirmable => {
                self.take(now, peer, &packet, bytes);
            }
        }
        self.heard(now, peer);
    }

    /// Takes a message that started at the other end, unless it came before.
    fn take(&mut self, now: Instant, peer: Peer, packet: &Packet, bytes: usize) {
        let id = packet.header.message_id;
        if let Some(reply) = self.conversation(now, peer).reply_to(id) {
            self.statistics.duplicates += 1;
            if let Some(reply) = reply {
                self.send_bytes(now, peer, &reply);
            }
            return;
        }
        let confirmable = message::is_confirmable(packet);
        let reset = || confirmable.then(|| message::empty(MessageType::Reset, id));
        let reply = match message::kind(packet) {
            Kind::Request => self.serve(now, peer, packet, bytes),
            Kind::Response => self.respond(now, peer, packet, bytes),
            // An empty confirmable message is a ping (RFC 7252 4.3).
            Kind::Empty | Kind::Reserved => reset(),
        };
        let reply = reply.and_then(|reply| reply.to_bytes_unlimited().ok());
        self.conversation(now, peer).remember(now, id, reply.clone());
        if let Some(reply) = reply {
            self.send_bytes(now, peer, &reply);
        }
    }

    /// Sends a message and says how many bytes of datagram it made.
    fn send(&mut self, now: Instant, peer: Peer, packet: &Packet) -> usize {
        let bytes = packet.to_bytes_unlimited().unwrap_or_default();
        self.send_bytes(now, peer, &bytes)
    }

    fn send_bytes(&mut self, now: Instant, peer: Peer, bytes: &[u8]) -> usize {
        if !peer.secure {
            self.outbox.push_back((peer, bytes.to_vec()));
            return bytes.len();
        }
        // A link that is gone loses the message, as an address that is gone would.
        let Some(links) = &mut self.links else { return 0 };
        let received = links.send(now, peer.address, bytes);
        let sent = received.datagrams.iter().map(|(_, datagram)| datagram.len()).sum();
        self.take_from_links(now, received, 0);
        sent
    }

    fn conversation(&mut self, now: Instant, peer: Peer) -> &mut Conversation {
        if !self.conversations.contains_key(&peer) && self.conversations.len() >= MAX_PEERS {
            let oldest = self.conversations.iter().min_by_key(|(_, known)| known.heard);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.conversations.remove(&oldest);
            }
        }
        let first_id = self.random.message_id();
        self.conversations.entry(peer).or_insert_with(|| Conversation::new(now, first_id))
    }

    fn tell(&self, event: ServerEvent) {
        // Without subscribers there is nobody to tell.
        let _ = self.events.send(event);
    }
}

/// Addresses whose message IDs we remember; beyond, the most silent one goes.
const MAX_PEERS: usize = 1024;
