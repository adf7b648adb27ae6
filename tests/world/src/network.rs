//! Everything between device and server: lanes that delay and lose, a NAT that
//! rebinds, links that open slowly or not at all.
//!
//! Without security a link is the socket: its continuity is whether the local
//! address is the same as before. With security a link is a session, which the
//! server ties to the address it was made from; from another address nothing can be
//! decrypted until there is a new session (no Connection ID, Transport 12.7).

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_engine::{Continuity, LinkId};
use lwm2m_model::Instant;

use crate::Dice;
use crate::story::{ms, secs};

/// Where a datagram comes from or goes to, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub u32);

/// One direction.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Least delay.
    pub least_delay: Duration,
    /// Most delay, unless a datagram is held back.
    pub most_delay: Duration,
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// Probability that it arrives twice.
    pub duplication: f64,
    /// Probability that it is held back so that later ones overtake it.
    pub reordering: f64,
    /// Larger datagrams vanish; bytes.
    pub mtu: usize,
    /// So many datagrams are lost for sure.
    pub lose_next: usize,
    /// Each datagram arrives twice.
    pub doubles: bool,
}

impl Lane {
    /// A good lane: 20 ms, nothing lost.
    pub fn good() -> Self {
        Self {
            least_delay: ms(20),
            most_delay: ms(20),
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            mtu: 1500,
            lose_next: 0,
            doubles: false,
        }
    }

    /// When a datagram arrives: never, once, or twice.
    fn arrivals(&mut self, now: Instant, dice: &mut Dice, length: usize) -> Vec<Instant> {
        // Drawn always, so that one fault does not shift the others.
        let (lost, doubled) = (dice.chance(self.loss), dice.chance(self.duplication));
        if self.lose_next > 0 {
            self.lose_next -= 1;
            return Vec::new();
        }
        if lost || length > self.mtu {
            return Vec::new();
        }
        let copies = if doubled || self.doubles { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let held_back = if dice.chance(self.reordering) { HELD_BACK } else { ms(0) };
                now + dice.span(self.least_delay, self.most_delay) + held_back
            })
            .collect()
    }
}

/// What is wrong with the network as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Everything vanishes.
    BlackHole,
    /// The device has no route: links cannot be opened.
    NoRoute,
}

/// What becomes of a link that is opening.
#[derive(Debug)]
pub(crate) enum Fate {
    Up(Continuity),
    Down(String),
    /// The handshake is still being tried.
    Later,
}

/// How links are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Plain datagrams.
    None,
    /// Sessions that can be resumed.
    Resumes,
    /// Sessions with a full handshake each time.
    FullHandshakes,
}

/// What the device remembers of its links over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The session that can be resumed, and its port.
    Kept,
    /// Nothing.
    Lost,
}

/// The network.
#[derive(Debug)]
pub struct Network {
    /// From the device to the server.
    pub up: Lane,
    /// From the server to the device.
    pub down: Lane,
    /// A NAT forgets the device after so long without a datagram.
    pub nat_idle: Option<Duration>,
    /// What is wrong.
    pub outage: Option<Outage>,
    /// How links are secured.
    pub security: Security,
    /// How long a link takes to open.
    pub open_delay: Duration,
    /// Links cannot be opened, for this reason.
    pub open_failure: Option<String>,
    /// Largest datagram that a link says it carries.
    pub max_datagram: usize,
    open: Option<LinkId>,
    /// The link that is opening, and since when.
    opening: Option<(LinkId, Instant)>,
    mapping: Option<Mapping>,
    next_address: u32,
    /// The address of the device itself.
    local: u32,
    /// The local address of the last link.
    last_local: Option<u32>,
    /// Sessions by the address they were made from.
    sessions: BTreeMap<Address, LinkId>,
    /// Both sides remember a session that could be resumed.
    session_known: bool,
}

#[derive(Debug)]
struct Mapping {
    local: u32,
    external: Address,
    used: Instant,
}

impl Network {
    /// A good network without security.
    pub fn good() -> Self {
        Self {
            up: Lane::good(),
            down: Lane::good(),
            nat_idle: None,
            outage: None,
            security: Security::None,
            open_delay: ms(10),
            open_failure: None,
            max_datagram: 1152,
            open: None,
            opening: None,
            mapping: None,
            next_address: 0,
            local: 0,
            last_local: None,
            sessions: BTreeMap::new(),
            session_known: false,
        }
    }

    /// Everything works again; the NAT is a patient one.
    pub fn heal(&mut self) {
        (self.up, self.down) = (Lane::good(), Lane::good());
        (self.nat_idle, self.outage, self.open_failure) = (None, None, None);
    }

    /// The NAT forgets the device: the next datagram comes from another port.
    pub fn rebind(&mut self) {
        self.mapping = None;
    }

    /// The device itself gets another address; gives the link that dies of it, open
    /// or not yet.
    pub(crate) fn change_address(&mut self) -> Option<LinkId> {
        self.local += 1;
        self.mapping = None;
        self.opening.take().map(|(link, _)| link).or_else(|| self.open.take())
    }

    /// The open link dies.
    pub(crate) fn lose_link(&mut self) -> Option<LinkId> {
        let link = self.open.take();
        self.sessions.retain(|_, of| Some(*of) != link);
        link
    }

    /// The device is gone, and its links with it.
    pub(crate) fn device_gone(&mut self, memory: Memory) {
        (self.open, self.opening) = (None, None);
        if memory == Memory::Lost {
            self.device_forgets();
        }
    }

    /// The device forgets what its links left behind.
    pub(crate) fn device_forgets(&mut self) {
        // Another port is another address for the server.
        (self.mapping, self.last_local, self.session_known) = (None, None, false);
    }

    /// The server has lost its sessions.
    pub fn forget_sessions(&mut self) {
        self.sessions.clear();
        self.session_known = false;
    }

    /// A link begins to open; gives when its fate is known.
    pub(crate) fn begin(&mut self, now: Instant, link: LinkId, dice: &mut Dice) -> Instant {
        self.opening = Some((link, now));
        self.open = None;
        let unreachable = self.outage == Some(Outage::NoRoute) || self.open_failure.is_some();
        let handshake = match self.security {
            Security::None => ms(0),
            Security::Resumes | Security::FullHandshakes => {
                let flights = [&self.up, &self.down, &self.up, &self.down];
                flights.into_iter().map(|lane| flight(lane, dice)).sum()
            }
        };
        if unreachable { now + self.open_delay } else { now + self.open_delay + handshake }
    }

    /// What becomes of a link; `None` if nobody waits for it any more.
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        link: LinkId,
        server_answers: bool,
    ) -> Option<Fate> {
        let (_, since) = self.opening.filter(|(opening, _)| *opening == link)?;
        let failure = match (&self.open_failure, self.outage, self.security) {
            (Some(reason), _, _) => Some(reason.clone()),
            (None, Some(Outage::NoRoute), _) => Some("no route to host".into()),
            (None, _, Security::None) => None,
            (None, None, _) if server_answers => None,
            (None, _, _) if now - since < HANDSHAKE_LIMIT => return Some(Fate::Later),
            (None, _, _) => Some("the handshake timed out".into()),
        };
        self.opening = None;
        if let Some(reason) = failure {
            return Some(Fate::Down(reason));
        }
        self.open = Some(link);
        let same_address = self.last_local.replace(self.local) == Some(self.local);
        let kept = match self.security {
            Security::None => same_address,
            Security::FullHandshakes => false,
            Security::Resumes => self.session_known,
        };
        if self.security != Security::None {
            let address = self.outside(now);
            self.sessions.insert(address, link);
            self.session_known = true;
        }
        Some(Fate::Up(if kept { Continuity::Kept } else { Continuity::New }))
    }

    /// Where the session of this link is, if it is one.
    pub(crate) fn session_of(&self, link: LinkId) -> Option<Address> {
        self.sessions.iter().find(|(_, of)| **of == link).map(|(address, _)| *address)
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        self.open.take_if(|open| *open == link);
        self.opening.take_if(|(opening, _)| *opening == link);
        self.sessions.retain(|_, of| *of != link);
    }

    /// A datagram of the device sets out: where it seems to come from, and when it
    /// arrives.
    pub(crate) fn send_up(
        &mut self,
        now: Instant,
        link: LinkId,
        length: usize,
        dice: &mut Dice,
    ) -> Option<(Address, Vec<Instant>)> {
        let arrivals = self.up.arrivals(now, dice, length);
        if self.open != Some(link) || self.outage.is_some() {
            return None;
        }
        let from = self.outside(now);
        Some((from, arrivals))
    }

    /// The session that a datagram for this address is protected by.
    pub(crate) fn session_at(&self, address: Address) -> Option<LinkId> {
        self.sessions.get(&address).copied()
    }

    /// A datagram of the server sets out.
    pub(crate) fn send_down(
        &mut self,
        now: Instant,
        length: usize,
        dice: &mut Dice,
    ) -> Vec<Instant> {
        self.down.arrivals(now, dice, length)
    }

    /// True if the server can read what comes from `from` and was sent over `link`.
    pub(crate) fn reaches_server(&self, from: Address, link: LinkId) -> bool {
        self.outage.is_none()
            && (self.security == Security::None || self.session_at(from) == Some(link))
    }

    /// The link that a datagram for `to` arrives at, if it can be read there: it set out
    /// under this session.
    pub(crate) fn reaches_device(
        &mut self,
        now: Instant,
        to: Address,
        session: Option<LinkId>,
    ) -> Option<LinkId> {
        if self.outage.is_some() {
            return None;
        }
        let nat_idle = self.nat_idle;
        let mapping = self.mapping.as_mut().filter(|mapping| {
            mapping.external == to && nat_idle.is_none_or(|idle| now - mapping.used <= idle)
        })?;
        mapping.used = now;
        let link = self.open?;
        let is_protected = self.security != Security::None;
        (!is_protected || session == Some(link)).then_some(link)
    }

    /// The address of the device as the world outside sees it now.
    fn outside(&mut self, now: Instant) -> Address {
        let nat_idle = self.nat_idle;
        let kept = self.mapping.as_mut().filter(|mapping| {
            mapping.local == self.local && nat_idle.is_none_or(|idle| now - mapping.used <= idle)
        });
        if let Some(mapping) = kept {
            mapping.used = now;
            return mapping.external;
        }
        self.next_address += 1;
        let external = Address(self.next_address);
        self.mapping = Some(Mapping { local: self.local, external, used: now });
        external
    }
}

/// How long one flight of a handshake takes, with its repetitions.
fn flight(lane: &Lane, dice: &mut Dice) -> Duration {
    let mut waited = dice.span(lane.least_delay, lane.most_delay);
    let mut timeout = secs(1);
    while dice.chance(lane.loss) && timeout < LAST_TIMEOUT {
        waited += timeout;
        timeout *= 2;
    }
    waited
}

const HELD_BACK: Duration = Duration::from_millis(1500);
/// A handshake that nobody answers is given up after so long.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);
const LAST_TIMEOUT: Duration = Duration::from_secs(32);
