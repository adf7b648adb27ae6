//! What the server takes for true: the registration, its observations, whether the
//! device is awake (Core 5, 8; RFC 7641 3.4).

use std::collections::BTreeMap;
use std::time::Duration;

use coap_lite::{CoapOption, MessageType, Packet};
use lwm2m_model::{Code, ContentFormat, Instant, Version};

use super::{Body, SmallServer};
use crate::{Address, message};

/// What the server believes of a registered device.
#[derive(Debug, Clone)]
pub struct Believed {
    /// Where it sends requests.
    pub peer: Address,
    /// Segments of the Location-Path.
    pub location: Vec<String>,
    /// Version that the device registered with.
    pub version: Version,
    /// Lifetime in seconds; 0 is for ever.
    pub lifetime: u32,
    /// The device sleeps.
    pub queue_mode: bool,
    /// The object list.
    pub objects: String,
    /// When Register or Update last came.
    pub refreshed: Instant,
    /// Observed paths by token.
    pub observations: BTreeMap<Vec<u8>, String>,
    /// Newest Observe number by token, and when it came.
    numbers: BTreeMap<Vec<u8>, (u32, Instant)>,
    last_heard: Instant,
}

/// What the server does with a notification that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNotice {
    /// Takes it; a confirmable one is acknowledged.
    Take,
    /// Answers nothing.
    Ignore,
    /// Answers with a Reset, which cancels the observation.
    Reset,
}

/// A notification.
#[derive(Debug, Clone)]
pub struct Notice {
    /// When it came.
    pub at: Instant,
    /// Token of the observation.
    pub token: Vec<u8>,
    /// The observed path.
    pub path: String,
    /// Result: 2.05, or why the observation is over.
    pub code: Code,
    /// It asked for an ACK.
    pub confirmable: bool,
    /// Observe number.
    pub number: Option<u32>,
    /// Format of the payload.
    pub format: Option<ContentFormat>,
    /// The payload, all blocks of it.
    pub payload: Vec<u8>,
    /// Older than one that came before (RFC 7641 3.4).
    pub is_stale: bool,
}

impl Notice {
    /// The payload of a plain-text notification.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap_or("<bytes>")
    }
}

impl Believed {
    pub(super) fn new(
        now: Instant,
        peer: Address,
        location: Vec<String>,
        version: Version,
        lifetime: u32,
        queue_mode: bool,
        objects: &str,
    ) -> Self {
        Self {
            peer,
            location,
            version,
            lifetime,
            queue_mode,
            objects: objects.to_owned(),
            refreshed: now,
            observations: BTreeMap::new(),
            numbers: BTreeMap::new(),
            last_heard: now,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// True while a request would find the device awake.
    pub fn is_awake(&self, now: Instant) -> bool {
        !self.queue_mode || now - self.last_heard < AWAKE
    }

    /// When the registration ends unless it is refreshed.
    pub fn expires(&self) -> Option<Instant> {
        let lifetime = Duration::from_secs(self.lifetime.into());
        (self.lifetime > 0).then(|| self.refreshed + lifetime)
    }

    fn is_stale(&self, now: Instant, token: &[u8], number: u32) -> bool {
        let Some((newest, at)) = self.numbers.get(token) else {
            return false;
        };
        let ahead = number.wrapping_sub(*newest) & 0x00ff_ffff;
        !(1..1 << 23).contains(&ahead) && now - *at <= NUMBERS_WRAP
    }
}

impl SmallServer {
    /// The observation that the server takes for held begins.
    pub(super) fn observes(&mut self, now: Instant, token: &[u8], path: &str, number: u32) {
        if let Some(believed) = &mut self.believed {
            believed.observations.insert(token.to_vec(), path.to_owned());
            believed.numbers.insert(token.to_vec(), (number, now));
        }
    }

    /// The server no longer wants it.
    pub(super) fn observes_no_more(&mut self, token: &[u8]) {
        if let Some(believed) = &mut self.believed {
            believed.observations.remove(token);
            believed.numbers.remove(token);
        }
    }

    /// Forgets an observation without a word: its next notification gets a Reset.
    pub fn forget_observation(&mut self, token: &[u8]) {
        self.observes_no_more(token);
    }

    /// A response that answers no request: a notification, or something stray.
    pub(super) fn notified(&mut self, now: Instant, from: Address, packet: &Packet) {
        let token = packet.get_token().to_vec();
        let id = packet.header.message_id;
        let confirmable = packet.header.get_type() == MessageType::Confirmable;
        let path = self.believed.as_ref().and_then(|known| known.observations.get(&token)).cloned();
        let on_notice = self.manner.on_notice;
        let Some(path) = path.filter(|_| on_notice != OnNotice::Reset) else {
            self.observes_no_more(&token);
            let reset = message::empty(MessageType::Reset, id);
            return self.conclude(now, from, id, Some(&reset));
        };
        if on_notice == OnNotice::Ignore {
            return;
        }
        let acknowledgement = message::empty(MessageType::Acknowledgement, id);
        self.conclude(now, from, id, confirmable.then_some(&acknowledgement));
        let number = message::number(packet, CoapOption::Observe);
        let code = message::code(packet);
        let mut is_stale = false;
        if let Some(believed) = &mut self.believed {
            believed.peer = from;
            if let Some(number) = number {
                is_stale = believed.is_stale(now, &token, number);
                if !is_stale {
                    believed.numbers.insert(token.clone(), (number, now));
                }
            }
        }
        if !code.is_success() {
            self.observes_no_more(&token);
        }
        let (format, payload): Body = (message::format(packet), packet.payload.clone());
        self.notices.push(Notice {
            at: now,
            token,
            path: path.clone(),
            code,
            confirmable,
            number,
            format,
            payload,
            is_stale,
        });
        if message::Block::of(packet, CoapOption::Block2).is_some_and(|block| block.more) {
            self.fetch_rest(now, self.notices.len() - 1, &path, packet);
        }
    }
}

/// An Observe number that comes so long after the last is newer (RFC 7641 3.4).
const NUMBERS_WRAP: Duration = Duration::from_secs(128);
/// A server counts on so much of the 93 s for which a device stays awake, since
/// what it last heard was sent a little earlier.
const AWAKE: Duration = Duration::from_secs(85);
