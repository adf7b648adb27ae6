//! Link Utilization: how much of what the link can carry it has carried since the look
//! before (Objects 6).

use std::time::Duration;

use crate::observed::SHORTEST_INTERVAL;
use crate::sources::ethernet::{Duplex, Speed};
use crate::sources::network::{Link, Traffic};

/// The use of the link, over the looks at its counters.
#[derive(Debug, Default)]
pub(super) struct Utilization {
    last: Option<Look>,
    percent: Option<i64>,
}

/// A look at the counters.
#[derive(Debug, Clone, Copy)]
struct Look {
    link: u32,
    traffic: Traffic,
    /// Since boot.
    at: Duration,
}

impl Utilization {
    /// In percent; absent at the first look at a link, where its counters have begun
    /// anew, and without a speed. Looks that follow within a second give the same.
    pub(super) fn of(&mut self, link: &Link, speed: Option<Speed>, now: Duration) -> Option<i64> {
        let look = |traffic| Look { link: link.index, traffic, at: now };
        let Some((speed, now)) = speed.zip(link.traffic.map(look)) else {
            *self = Self::default();
            return None;
        };
        let last = self.last.filter(|last| last.link == now.link);
        if last.is_some_and(|last| now.at.saturating_sub(last.at) < SHORTEST_INTERVAL) {
            return self.percent;
        }
        self.last = Some(now);
        self.percent = last.and_then(|last| {
            let traffic = now.traffic.since(&last.traffic)?;
            percent(&traffic, speed, now.at.saturating_sub(last.at))
        });
        self.percent
    }
}

/// What `traffic` is of what the speed allows in `time`, rounded down.
fn percent(traffic: &Traffic, speed: Speed, time: Duration) -> Option<i64> {
    let on_the_wire = |bytes: u64, packets: u64| {
        u128::from(bytes) + u128::from(packets) * u128::from(AROUND_A_PACKET)
    };
    let sent = on_the_wire(traffic.sent, traffic.packets_sent);
    let received = on_the_wire(traffic.received, traffic.packets_received);
    let bytes = match speed.duplex {
        Duplex::Full => sent.max(received),
        Duplex::Half => sent + received,
    };
    // A megabit per second is a bit per microsecond.
    let possible = u128::from(speed.megabits).checked_mul(time.as_micros())?;
    let percent = (bytes * 8 * 100).checked_div(possible)?;
    i64::try_from(percent.min(100)).ok()
}

/// Bytes that a wire is busy around the bytes that are counted of a packet: preamble,
/// check sequence and gap of Ethernet.
const AROUND_A_PACKET: u64 = 8 + 4 + 12;

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkLayerType;

    use super::*;

    fn link(index: u32, sent: u64, received: u64) -> Link {
        let traffic = Traffic { sent, received, ..Traffic::default() };
        Link {
            index,
            name: format!("eth{index}"),
            layer: LinkLayerType::Ether,
            carries: true,
            traffic: Some(traffic),
            addresses: Vec::new(),
        }
    }

    #[test]
    fn the_busier_direction_counts_on_a_full_duplex_link_and_both_on_another() {
        let speed = |duplex| Some(Speed { megabits: 100, duplex });
        let (full, half) = (speed(Duplex::Full), speed(Duplex::Half));
        // 100 Mbit/s are 12.5 MB/s.
        for (speed, sent, received, seconds, expected) in [
            (full, 0, 0, 10, Some(0)),
            (full, 62_500_000, 12_500_000, 10, Some(50)),
            (full, 12_500_000, 31_250_000, 10, Some(25)),
            (half, 62_500_000, 12_500_000, 10, Some(60)),
            (full, 1_249_999, 0, 10, Some(0)),
            (full, u64::MAX / 2, 0, 1, Some(100)),
            (None, 62_500_000, 0, 10, None),
        ] {
            let mut utilization = Utilization::default();
            let begin = Duration::from_secs(1000);
            assert_eq!(utilization.of(&link(2, 500, 500), speed, begin), None, "first look");
            let then = link(2, 500 + sent, 500 + received);
            let seen = utilization.of(&then, speed, begin + Duration::from_secs(seconds));
            assert_eq!(seen, expected, "{speed:?} {sent} {received}");
        }
    }

    #[test]
    fn small_packets_keep_a_wire_busy() {
        let traffic = Traffic { sent: 60_000, packets_sent: 1_000, ..Traffic::default() };
        let speed = Speed { megabits: 1, duplex: Duplex::Full };
        assert_eq!(percent(&traffic, speed, Duration::from_secs(1)), Some(67));
        assert_eq!(percent(&traffic, speed, Duration::ZERO), None);
    }

    #[test]
    fn a_value_is_of_one_link_and_of_a_second_at_least() {
        let speed = Some(Speed { megabits: 100, duplex: Duplex::Full });
        let mut utilization = Utilization::default();
        for (what, link, milliseconds, expected) in [
            ("first look", link(2, 0, 0), 0, None),
            ("too soon", link(2, 6_250_000, 0), 999, None),
            ("a second", link(2, 6_250_000, 0), 1000, Some(50)),
            ("too soon, and the same", link(2, 12_500_000, 0), 1500, Some(50)),
            ("a second more", link(2, 18_750_000, 0), 2000, Some(100)),
            ("counters anew", link(2, 6_250_000, 0), 3000, None),
            ("and on", link(2, 12_500_000, 0), 4000, Some(50)),
            ("another link", link(3, 90_000_000, 0), 5000, None),
            ("the first again", link(2, 12_500_000, 0), 9000, None),
        ] {
            let now = Duration::from_millis(milliseconds);
            assert_eq!(utilization.of(&link, speed, now), expected, "{what}");
        }
    }
}
