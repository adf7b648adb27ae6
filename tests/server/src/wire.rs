//! The task that owns the sockets. It moves datagrams and commands in and out of
//! [`State`], loses datagrams where it is told to, and sleeps until the next
//! time-out. All rules of the protocol are in `state`.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Instant as Clock;

use lwm2m_model::Instant;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::state::{Command, Peer, Random, State};
use crate::{ServerConfig, Switch};

pub(crate) struct Wire {
    coap: Option<UdpSocket>,
    coaps: Option<UdpSocket>,
    state: State,
    commands: mpsc::Receiver<Order>,
    losses: Losses,
    started: Clock,
}

/// What a handle asks of the task.
pub(crate) enum Order {
    /// Something for the protocol.
    State(Command),
    /// Lose datagrams.
    Lose(Direction, u32),
    /// Neither hear nor answer.
    Silent(Switch),
    /// End the task.
    Stop,
}

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Incoming,
    Outgoing,
}

impl Wire {
    pub(crate) fn new(
        coap: Option<UdpSocket>,
        coaps: Option<UdpSocket>,
        config: &ServerConfig,
        state: State,
        commands: mpsc::Receiver<Order>,
    ) -> Self {
        let losses = Losses {
            probability: config.loss,
            random: Random::seeded(config.seed),
            next_incoming: 0,
            next_outgoing: 0,
            silent: false,
        };
        Self { coap, coaps, state, commands, losses, started: Clock::now() }
    }

    /// Runs until the last handle is gone or one says stop.
    pub(crate) async fn run(mut self) {
        let mut plain = vec![0; MAX_DATAGRAM];
        let mut secure = vec![0; MAX_DATAGRAM];
        loop {
            self.flush().await;
            let due = self.state.next_timeout();
            let (started, coap, coaps) = (self.started, &self.coap, &self.coaps);
            tokio::select! {
                order = self.commands.recv() => match order {
                    Some(Order::Stop) | None => break,
                    Some(order) => self.obey(order),
                },
                received = receive(coap.as_ref(), &mut plain) => {
                    if let Ok((length, address)) = received {
                        let peer = Peer { address, secure: false };
                        self.receive(peer, plain.get(..length).unwrap_or_default());
                    }
                }
                received = receive(coaps.as_ref(), &mut secure) => {
                    if let Ok((length, address)) = received {
                        let peer = Peer { address, secure: true };
                        self.receive(peer, secure.get(..length).unwrap_or_default());
                    }
                }
                () = sleep_until(started, due) => {}
            }
            self.state.handle_timeout(self.now());
        }
        self.state.stop();
        self.flush().await;
    }

    fn now(&self) -> Instant {
        Instant::from_boot(self.started.elapsed())
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::State(command) => self.state.command(self.now(), command),
            Order::Lose(Direction::Incoming, count) => self.losses.next_incoming = count,
            Order::Lose(Direction::Outgoing, count) => self.losses.next_outgoing = count,
            Order::Silent(switch) => self.losses.silent = switch == Switch::On,
            Order::Stop => {}
        }
    }

    fn receive(&mut self, peer: Peer, datagram: &[u8]) {
        if self.losses.takes(Direction::Incoming) {
            self.state.statistics.lost += 1;
            return;
        }
        self.state.statistics.received += 1;
        self.state.receive(self.now(), peer, datagram);
    }

    async fn flush(&mut self) {
        while let Some((peer, datagram)) = self.state.poll_datagram() {
            if self.losses.takes(Direction::Outgoing) {
                self.state.statistics.lost += 1;
                continue;
            }
            let socket = if peer.secure { &self.coaps } else { &self.coap };
            if let Some(socket) = socket {
                // A datagram that the system refuses is lost like any other.
                let sent = socket.send_to(&datagram, peer.address).await;
                self.state.statistics.sent += u64::from(sent.is_ok());
            }
        }
    }
}

/// Losses by chance and on demand.
struct Losses {
    probability: f64,
    random: Random,
    next_incoming: u32,
    next_outgoing: u32,
    silent: bool,
}

impl Losses {
    fn takes(&mut self, direction: Direction) -> bool {
        // Drawn always, so that losses on demand do not shift those by chance.
        let chance = self.random.fraction() < self.probability;
        let next = match direction {
            Direction::Incoming => &mut self.next_incoming,
            Direction::Outgoing => &mut self.next_outgoing,
        };
        let demanded = *next > 0;
        *next -= u32::from(demanded);
        chance || demanded || self.silent
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => pending().await,
    }
}

async fn sleep_until(started: Clock, due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until((started + due.since_boot()).into()).await,
        None => pending().await,
    }
}

/// Largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;
