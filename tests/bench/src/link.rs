//! A slow link that loses packets, made in this program: the kernel here has no queueing
//! discipline that would delay.
//!
//! A network namespace with one interface (TUN) whose far end is this program. What the
//! kernel sends to the peer comes here as IP packets; they wait, are lost or not, and go
//! back into the kernel with their addresses exchanged. So a program that connects to
//! the peer meets a server of the same namespace, and both think that the other is far
//! away. Checksums stay right, since a sum does not mind the order of what is added; TCP
//! is that of the kernel, with its own answer to loss.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::time::TimeSpec;
use tappers::{AddAddressV4, Tun};

/// What a link is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Bits a second in each direction, IP headers included.
    pub(crate) rate: f64,
    /// What a packet and its answer take, besides what the rate makes them wait.
    pub(crate) round_trip: Duration,
    /// Share of the packets that are lost, in each direction.
    pub(crate) loss: f64,
    /// Of the generator that picks them.
    pub(crate) seed: u64,
}

/// The interface of a namespace that nobody else is in.
pub(crate) struct Interface(Tun);

impl Interface {
    /// Takes this thread, and those that it starts from now on, into a namespace of
    /// their own.
    pub(crate) fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("no network namespace")?;
        let mut tun = Tun::new().context("no TUN interface")?;
        let mut address = AddAddressV4::new(HERE);
        address.set_destination(PEER);
        tun.add_addr(address).context("no address for the TUN interface")?;
        tun.set_nonblocking(true)?;
        tun.set_up().context("the TUN interface does not come up")?;
        Ok(Self(tun))
    }

    /// Is the link until `over` is set.
    pub(crate) fn carry(&self, link: &Link, over: &AtomicBool) -> Result<()> {
        let mut ways = [Way::default(), Way::default()];
        let mut random = Random(link.seed);
        let mut buffer = [0; MAX_PACKET];
        while !over.load(Ordering::Relaxed) {
            let now = Instant::now();
            for way in &mut ways {
                while let Some(packet) = way.due(now) {
                    // A queue of the kernel that is full loses packets too.
                    let _ = self.0.send(&packet);
                }
            }
            let next = ways.iter().filter_map(Way::next_due).min();
            let wait = next.map_or(LOOK_UP, |due| due.saturating_duration_since(now).min(LOOK_UP));
            let mut readable = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            ppoll(&mut readable, Some(TimeSpec::from_duration(wait)), None)?;
            loop {
                let length = match self.0.recv(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("read from the TUN interface"),
                };
                let Some((packet, to_server)) = turned_back(&buffer[..length]) else { continue };
                if random.next() >= link.loss {
                    ways[usize::from(to_server)].enter(packet, link, Instant::now());
                }
            }
        }
        Ok(())
    }
}

/// Packets on their way in one direction.
#[derive(Default)]
struct Way {
    /// When they arrive, in this order.
    packets: VecDeque<(Instant, Vec<u8>)>,
    /// When the last one has left the queue.
    free: Option<Instant>,
}

impl Way {
    fn enter(&mut self, packet: Vec<u8>, link: &Link, now: Instant) {
        let takes = |bytes: usize| Duration::from_secs_f64(bytes as f64 * 8.0 / link.rate);
        let start = self.free.map_or(now, |free| free.max(now));
        if start - now > takes(QUEUE) {
            return; // the queue is full
        }
        let left = start + takes(packet.len());
        self.free = Some(left);
        self.packets.push_back((left + link.round_trip / 2, packet));
    }

    fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let arrived = self.next_due().is_some_and(|due| due <= now);
        arrived.then(|| self.packets.pop_front()).flatten().map(|(_, packet)| packet)
    }

    fn next_due(&self) -> Option<Instant> {
        self.packets.front().map(|(due, _)| *due)
    }
}

/// The packet with its addresses exchanged, and whether it goes to a server; `None` for
/// what is not TCP or UDP over IPv4.
fn turned_back(packet: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (first, protocol) = (packet.first()?, packet.get(9)?);
    if first >> 4 != 4 || ![TCP, UDP].contains(protocol) {
        return None;
    }
    let ports = usize::from(first & 0x0f) * 4;
    let source = u16::from_be_bytes(packet.get(ports..ports + 2)?.try_into().ok()?);
    let mut turned = packet.to_vec();
    turned[12..20].rotate_left(4);
    Some((turned, source >= FIRST_OF_CLIENTS))
}

/// SplitMix64: the same losses for the same seed.
struct Random(u64);

impl Random {
    /// From 0 to 1, without 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Where servers listen.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Where clients find them, over the link.
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// Bytes that wait for the link in each direction; what comes then is lost.
pub(crate) const QUEUE: usize = 64 * 1024;
/// More than a packet of the interface has.
const MAX_PACKET: usize = 2048;
/// How long nothing may happen before `over` is looked at.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Servers have ports below those that Linux gives to clients.
const FIRST_OF_CLIENTS: u16 = 32768;
const TCP: u8 = 6;
const UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link =
        Link { rate: 8e6, round_trip: Duration::from_millis(50), loss: 0.01, seed: 1 };

    #[test]
    fn packets_wait_for_those_before_and_are_dropped_from_a_full_queue() {
        let (mut way, now) = (Way::default(), Instant::now());
        // A byte takes a microsecond.
        (0..100).for_each(|_| way.enter(vec![0; 1000], &LINK, now));
        assert_eq!(way.packets.len(), 66);
        let due = |n: u64| now + Duration::from_millis(25 + n);
        assert_eq!(way.next_due(), Some(due(1)));
        assert_eq!(way.due(due(0)), None);
        assert_eq!(way.due(due(1)), Some(vec![0; 1000]));
        assert_eq!(way.next_due(), Some(due(2)));
        way.enter(vec![1; 1000], &LINK, now + Duration::from_secs(9));
        assert_eq!(way.packets.back().unwrap().0, due(1) + Duration::from_secs(9));
    }

    #[test]
    fn a_packet_comes_back_with_its_addresses_exchanged() {
        let mut packet = vec![0; 28];
        (packet[0], packet[9], packet[20]) = (0x45, UDP, 0x16);
        packet[12..16].copy_from_slice(&HERE.octets());
        packet[16..20].copy_from_slice(&PEER.octets());
        let (turned, to_server) = turned_back(&packet).unwrap();
        assert_eq!(turned[12..16], PEER.octets());
        assert_eq!(turned[16..20], HERE.octets());
        assert!(!to_server);
        packet[20] = 0x80;
        assert!(turned_back(&packet).unwrap().1);
        for (at, value) in [(0, 0x65), (9, 1)] {
            let mut other = packet.clone();
            other[at] = value;
            assert_eq!(turned_back(&other), None);
        }
        assert_eq!(turned_back(&packet[..20]), None);
    }

    #[test]
    fn as_many_are_lost_as_shall_be_and_the_same_each_time() {
        let lost = |seed| {
            let mut random = Random(seed);
            (0..100_000).filter(|_| random.next() < LINK.loss).count()
        };
        assert_eq!(lost(7), lost(7));
        assert!((900..1100).contains(&lost(7)), "{}", lost(7));
    }
}
