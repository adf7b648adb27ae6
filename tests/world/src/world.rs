//! Virtual time: what is due next happens next, at its time and not before.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_engine::{Input, LinkId};
use lwm2m_model::Instant;

use crate::device::Wish;
use crate::network::Fate;
use crate::{Address, Cut, Device, Dice, Log, Memory, Network, Setup, SmallServer};

/// A device, a server, and the network between them; more servers, each with a
/// network of its own, if the device has more accounts.
pub struct World {
    /// The time in this world.
    pub now: Instant,
    /// The device.
    pub device: Device,
    /// The server in view: that of the first account, until [`World::turn_to`].
    pub server: SmallServer,
    /// The network between the device and the server in view.
    pub network: Network,
    /// The other servers and their networks, by Short Server ID.
    others: BTreeMap<u16, (SmallServer, Network)>,
    /// Where links lead.
    links: BTreeMap<LinkId, u16>,
    /// Chance.
    pub dice: Dice,
    /// What happened.
    pub log: Log,
    /// What is on its way, by arrival.
    coming: BTreeMap<(Instant, u64), Happening>,
    next_number: u64,
    /// What a device that dies by itself remembers of its links.
    pub memory: Memory,
    /// What becomes of its commit.
    pub cut: Cut,
}

/// What happens at its time.
#[derive(Debug)]
enum Happening {
    ToDevice { server: u16, to: Address, session: Option<LinkId>, bytes: Vec<u8> },
    ToServer { server: u16, from: Address, link: LinkId, bytes: Vec<u8> },
    LinkDecided { link: LinkId },
}

impl World {
    /// A world before its first moment; `change` adapts what it starts from.
    pub fn new(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::seeded(1);
        change(&mut setup);
        let Setup { seed, mut config, network, manner, keeps_log } = setup;
        let mut dice = Dice::new(seed);
        for byte in &mut config.seed {
            *byte = dice.number() as u8;
        }
        let mut log = if keeps_log { Log::default() } else { Log::muted() };
        let server = SmallServer::new(manner.clone(), Dice::new(dice.number()));
        let mut others = BTreeMap::new();
        for account in config.accounts.iter().skip(1) {
            let other = SmallServer::new(manner.clone(), Dice::new(dice.number()));
            others.insert(account.short_server_id, (other, Network::good()));
        }
        let mut world = Self {
            now: BOOT,
            device: Device::new(config, BOOT, &mut log),
            server,
            network,
            others,
            links: BTreeMap::new(),
            dice,
            log,
            coming: BTreeMap::new(),
            next_number: 0,
            memory: Memory::Kept,
            cut: Cut::Before,
        };
        world.tell_device(Input::Time);
        world
    }

    /// Time since the story began.
    pub fn elapsed(&self) -> Duration {
        self.now - BOOT
    }

    /// Brings another server into view: what a story does next it does with this one.
    pub fn turn_to(&mut self, server: u16) {
        let before = std::mem::replace(&mut self.device.in_view, server);
        if before != server
            && let Some((other, network)) = self.others.remove(&server)
        {
            let other = std::mem::replace(&mut self.server, other);
            let network = std::mem::replace(&mut self.network, network);
            self.others.insert(before, (other, network));
        }
    }

    /// A server, the network to it, and the dice that decide what that does.
    fn far(&mut self, server: u16) -> Option<(&mut SmallServer, &mut Network, &mut Dice)> {
        if server == self.device.in_view {
            return Some((&mut self.server, &mut self.network, &mut self.dice));
        }
        let (server, network) = self.others.get_mut(&server)?;
        Some((server, network, &mut self.dice))
    }

    fn servers(&self) -> impl Iterator<Item = u16> + use<> {
        let others = self.others.keys().copied().collect::<Vec<_>>();
        std::iter::once(self.device.in_view).chain(others)
    }

    /// Gives the engine an input and does what it wants.
    pub fn tell_device(&mut self, input: Input<'_>) {
        self.device.handle(self.now, input, &mut self.log);
        self.settle();
    }

    /// The device loses its power, or is killed.
    pub fn kill(&mut self, cut: Cut, memory: Memory) {
        self.device.die(self.now, cut, &mut self.log);
        for server in self.servers() {
            if let Some((_, network, _)) = self.far(server) {
                network.device_gone(memory);
            }
        }
    }

    /// The device starts again.
    pub fn start(&mut self) {
        let mut seed = [0; 32];
        for byte in &mut seed {
            *byte = self.dice.number() as u8;
        }
        self.device.start(self.now, seed, &mut self.log);
        self.tell_device(Input::Time);
    }

    /// Lets something happen to the device, the server, or both.
    pub(crate) fn settle(&mut self) {
        loop {
            let wish = match self.device.next_wish(self.now, &mut self.log) {
                Ok(wish) => wish,
                Err(violation) => self.fail(&violation),
            };
            if let Some(wish) = wish {
                self.grant(wish);
            } else if !self.servers().any(|server| self.deliver_of(server)) {
                return;
            }
        }
    }

    /// Puts a datagram of a server on its way; false if it has none.
    fn deliver_of(&mut self, server: u16) -> bool {
        let now = self.now;
        let Some((peer, network, dice)) = self.far(server) else { return false };
        let Some((to, bytes)) = peer.poll_datagram() else { return false };
        let (session, arrivals) =
            (network.session_at(to), network.send_down(now, bytes.len(), dice));
        for at in arrivals {
            let bytes = bytes.clone();
            self.schedule(at, Happening::ToDevice { server, to, session, bytes });
        }
        true
    }

    /// Lets the next thing happen if it is due by `until`; false if nothing is.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
        let timeouts = [coming, self.device.next_timeout(), self.server.next_timeout()];
        let others = self.others.values().map(|(server, _)| server.next_timeout());
        let Some(next) =
            timeouts.into_iter().chain(others).flatten().min().filter(|at| *at <= until)
        else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        if coming.is_some_and(|at| at <= self.now)
            && let Some((_, happening)) = self.coming.pop_first()
        {
            self.happen(happening);
        }
        self.device.time(self.now, &mut self.log);
        let now = self.now;
        self.server.time(now);
        self.others.values_mut().for_each(|(server, _)| server.time(now));
        self.settle();
        true
    }

    /// The story ends here: says why, with the log.
    pub fn fail(&self, why: &str) -> ! {
        let log = self.log.text();
        let lines: Vec<&str> = log.lines().collect();
        let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
        panic!("{shown}\nat {:?}: {why}", self.now);
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::ToServer { server, from, link, bytes } => {
                if let Some((peer, network, _)) = self.far(server)
                    && network.reaches_server(from, link)
                {
                    peer.receive(now, from, &bytes);
                }
            }
            Happening::ToDevice { server, to, session, bytes } => {
                let far = self.far(server);
                let link = far.and_then(|(_, network, _)| network.reaches_device(now, to, session));
                if let Some(link) = link {
                    self.device.datagram(now, link, &bytes, &mut self.log);
                }
            }
            Happening::LinkDecided { link } => self.decide(link),
        }
    }

    fn decide(&mut self, link: LinkId) {
        let now = self.now;
        let inside = self.device.inside(link);
        let Some((peer, network, _)) = self.links.get(&link).copied().and_then(|id| self.far(id))
        else {
            return;
        };
        let input = match network.decide(now, link, !peer.manner.is_silent) {
            None => return,
            Some(Fate::Up(continuity)) => {
                if let Some(address) = network.session_of(link) {
                    peer.new_session(address);
                }
                Input::LinkUp { link: inside, continuity, max_datagram: network.max_datagram }
            }
            Some(Fate::Down(reason)) => Input::LinkDown { link: inside, reason },
            Some(Fate::Later) => {
                return self.schedule(now + REPEATED, Happening::LinkDecided { link });
            }
        };
        self.device.handle(now, input, &mut self.log);
    }

    fn grant(&mut self, wish: Wish) {
        let now = self.now;
        let link = match &wish {
            Wish::Die => return self.kill(self.cut, self.memory),
            Wish::Forget { server } => {
                if let Some((_, network, _)) = self.far(*server) {
                    network.device_forgets();
                }
                return;
            }
            Wish::Open { link, server } => {
                self.links.insert(*link, *server);
                *link
            }
            Wish::Transmit { link, .. } | Wish::Close { link } => *link,
        };
        let Some(server) = self.links.get(&link).copied() else { return };
        let Some((_, network, dice)) = self.far(server) else { return };
        match wish {
            Wish::Die | Wish::Forget { .. } => {}
            Wish::Transmit { link, bytes } => {
                let sent = network.send_up(now, link, bytes.len(), dice);
                let Some((from, arrivals)) = sent else { return };
                for at in arrivals {
                    let bytes = bytes.clone();
                    self.schedule(at, Happening::ToServer { server, from, link, bytes });
                }
            }
            Wish::Open { link, .. } => {
                let at = network.begin(now, link, dice);
                self.schedule(at, Happening::LinkDecided { link });
            }
            Wish::Close { link } => {
                network.close(link);
                self.links.remove(&link);
            }
        }
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.next_number += 1;
        self.coming.insert((at, self.next_number), happening);
    }

    /// Puts bytes on the way to the device as if the server had sent them.
    pub fn inject(&mut self, bytes: &[u8]) {
        if let Some(to) = self.server.believed().map(|believed| believed.peer) {
            let at = self.now + self.network.down.least_delay;
            let (server, session) = (self.device.in_view, self.network.session_at(to));
            let bytes = bytes.to_vec();
            self.schedule(at, Happening::ToDevice { server, to, session, bytes });
        }
    }
}

/// A story begins when the device boots.
const BOOT: Instant = Instant::ZERO;
/// Time between two flights of a handshake that nobody answers.
const REPEATED: Duration = Duration::from_secs(8);
/// Lines of the log that a failure shows.
const LINES_SHOWN: usize = 400;
