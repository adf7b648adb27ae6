//! Virtual time: what is due next happens next, at its time and not before.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_engine::{Input, LinkId};
use lwm2m_model::Instant;

use crate::device::Wish;
use crate::network::Fate;
use crate::{Address, Device, Dice, Log, Network, Setup, SmallServer};

/// A device, a server, and the network between them.
pub struct World {
    /// The time in this world.
    pub now: Instant,
    /// The device.
    pub device: Device,
    /// The server.
    pub server: SmallServer,
    /// The network.
    pub network: Network,
    /// Chance.
    pub dice: Dice,
    /// What happened.
    pub log: Log,
    /// What is on its way, by arrival.
    coming: BTreeMap<(Instant, u64), Happening>,
    next_number: u64,
}

/// What happens at its time.
#[derive(Debug)]
enum Happening {
    ToDevice { to: Address, bytes: Vec<u8> },
    ToServer { from: Address, bytes: Vec<u8> },
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
        let server = SmallServer::new(manner, Dice::new(dice.number()));
        let device = Device::new(config, BOOT, &mut log);
        let coming = BTreeMap::new();
        let mut world =
            Self { now: BOOT, device, server, network, dice, log, coming, next_number: 0 };
        world.tell_device(Input::Time);
        world
    }

    /// Time since the story began.
    pub fn elapsed(&self) -> Duration {
        self.now - BOOT
    }

    /// Gives the engine an input and does what it wants.
    pub fn tell_device(&mut self, input: Input<'_>) {
        self.device.handle(self.now, input, &mut self.log);
        self.settle();
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
            } else if let Some((to, bytes)) = self.server.poll_datagram() {
                for at in self.network.send_down(self.now, bytes.len(), &mut self.dice) {
                    self.schedule(at, Happening::ToDevice { to, bytes: bytes.clone() });
                }
            } else {
                return;
            }
        }
    }

    /// Lets the next thing happen if it is due by `until`; false if nothing is.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
        let timeouts = [coming, self.device.next_timeout(), self.server.next_timeout()];
        let Some(next) = timeouts.into_iter().flatten().min().filter(|at| *at <= until) else {
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
        self.server.time(self.now);
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
        match happening {
            Happening::ToServer { from, bytes } if self.network.reaches_server(from) => {
                self.server.receive(self.now, from, &bytes);
            }
            Happening::ToDevice { to, bytes } => {
                if let Some(link) = self.network.reaches_device(self.now, to) {
                    self.device.datagram(self.now, link, &bytes, &mut self.log);
                }
            }
            Happening::LinkDecided { link } => self.decide(link),
            Happening::ToServer { .. } => {}
        }
    }

    fn decide(&mut self, link: LinkId) {
        let answers = !self.server.manner.is_silent;
        let input = match self.network.decide(self.now, link, answers) {
            None => return,
            Some(Fate::Up(continuity)) => {
                if let Some(address) = self.network.session_of(link) {
                    self.server.new_session(address);
                }
                let max_datagram = self.network.max_datagram;
                Input::LinkUp { link, continuity, max_datagram }
            }
            Some(Fate::Down(reason)) => Input::LinkDown { link, reason },
            Some(Fate::Later) => {
                return self.schedule(self.now + REPEATED, Happening::LinkDecided { link });
            }
        };
        self.device.handle(self.now, input, &mut self.log);
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Transmit { link, bytes } => {
                let sent = self.network.send_up(self.now, link, bytes.len(), &mut self.dice);
                let Some((from, arrivals)) = sent else { return };
                for at in arrivals {
                    self.schedule(at, Happening::ToServer { from, bytes: bytes.clone() });
                }
            }
            Wish::Open { link } => {
                let at = self.network.begin(self.now, link, &mut self.dice);
                self.schedule(at, Happening::LinkDecided { link });
            }
            Wish::Close { link } => self.network.close(link),
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
            self.schedule(at, Happening::ToDevice { to, bytes: bytes.to_vec() });
        }
    }
}

/// A story begins when the device boots.
const BOOT: Instant = Instant::ZERO;
/// Time between two flights of a handshake that nobody answers.
const REPEATED: Duration = Duration::from_secs(8);
/// Lines of the log that a failure shows.
const LINES_SHOWN: usize = 400;
