//! What was carried since a start, from counters that may begin anew at any time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gauge::Reading;
use crate::sources::network::Traffic;

/// The sums of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counters {
    counted: Counted,
    total: Traffic,
    /// What each link said when it was last seen, by its number.
    bases: BTreeMap<u32, Base>,
}

/// Which links count: those that have hardware, or all where none had at the start, as in
/// a container. A bridge or a tunnel above the hardware would count the same twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Counted {
    Hardware,
    #[default]
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Base {
    traffic: Traffic,
    /// Whether the link was there at the last look. One that has gone may come back with
    /// the counters it had, as from another network namespace.
    is_there: bool,
}

/// Whether a look has found that a base is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bases {
    /// Who adds from the bases of before comes to the same sums.
    Hold,
    /// A link has gone or has begun anew: the sums are nowhere else now.
    Moved,
}

impl Counters {
    /// Begins at zero with what the links say now.
    pub(super) fn start(readings: &[Reading]) -> Self {
        let any = readings.iter().any(|reading| reading.is_hardware);
        let counted = if any { Counted::Hardware } else { Counted::All };
        let mut counters = Self { counted, ..Self::default() };
        for reading in readings {
            let base = Base { traffic: reading.traffic, is_there: true };
            counters.bases.insert(reading.link, base);
        }
        counters
    }

    /// Adds what was carried since the last look. A link that is new begins at zero; one
    /// whose counters went back has begun anew, and what it says counts from there.
    pub(super) fn add(&mut self, readings: &[Reading]) -> Bases {
        let mut bases = Bases::Hold;
        for (link, base) in &mut self.bases {
            if base.is_there && !readings.iter().any(|reading| reading.link == *link) {
                base.is_there = false;
                bases = Bases::Moved;
            }
        }
        for reading in readings {
            let base = Base { traffic: reading.traffic, is_there: true };
            let last = self.bases.insert(reading.link, base);
            let last = last.map(|base| base.traffic).unwrap_or_default();
            let since = reading.traffic.since(&last).unwrap_or_else(|| {
                bases = Bases::Moved;
                reading.traffic
            });
            if self.counted == Counted::All || reading.is_hardware {
                self.total = sum(&self.total, &of_ip(since, reading.header));
            }
        }
        while self.bases.len() > MAX_BASES {
            let gone = self.bases.iter().find(|(_, base)| !base.is_there).map(|(link, _)| *link);
            let Some(gone) = gone else { break };
            self.bases.remove(&gone);
        }
        bases
    }

    /// Kilobytes sent.
    pub(super) fn sent(&self) -> i64 {
        integer(self.total.sent / 1000)
    }

    /// Kilobytes received.
    pub(super) fn received(&self) -> i64 {
        integer(self.total.received / 1000)
    }

    /// Bytes of an average packet; 0 without any.
    pub(super) fn average(&self) -> i64 {
        let bytes = self.total.sent.saturating_add(self.total.received);
        let packets = self.total.packets_sent.saturating_add(self.total.packets_received);
        integer(bytes.checked_div(packets).unwrap_or(0))
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn sum(one: &Traffic, other: &Traffic) -> Traffic {
    Traffic {
        sent: one.sent.saturating_add(other.sent),
        received: one.received.saturating_add(other.received),
        packets_sent: one.packets_sent.saturating_add(other.packets_sent),
        packets_received: one.packets_received.saturating_add(other.packets_received),
    }
}

/// The bytes of IP alone, which are what the object counts (Objects 9). Of a difference,
/// since the counters of bytes and packets need not be of the same moment.
fn of_ip(mut traffic: Traffic, header: u64) -> Traffic {
    let headers = |packets: u64| packets.saturating_mul(header);
    traffic.sent = traffic.sent.saturating_sub(headers(traffic.packets_sent));
    traffic.received = traffic.received.saturating_sub(headers(traffic.packets_received));
    traffic
}

/// Links that are remembered. Of more, those that have gone are forgotten, the lowest
/// number first: the kernel gives out ascending ones.
const MAX_BASES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// Link, hardware or not, bytes sent (twice as many received), packets each way.
    fn readings(links: &[(u32, bool, u64, u64)]) -> Vec<Reading> {
        let reading = |&(link, is_hardware, bytes, packets): &(u32, bool, u64, u64)| Reading {
            link,
            is_hardware,
            traffic: Traffic {
                sent: bytes,
                received: 2 * bytes,
                packets_sent: packets,
                packets_received: packets,
            },
            header: 0,
        };
        links.iter().map(reading).collect()
    }

    #[test]
    fn counters_that_go_back_or_vanish_never_make_a_sum_smaller() {
        let mut counters = Counters::start(&readings(&[(2, true, 50_000, 10)]));
        assert_eq!((counters.sent(), counters.received(), counters.average()), (0, 0, 0));
        for (what, links, sent, bases) in [
            ("more", &[(2, true, 60_000, 20)][..], 10, Bases::Hold),
            ("another link", &[(2, true, 60_000, 20), (3, true, 5_000, 5)], 15, Bases::Hold),
            ("begun anew", &[(2, true, 1_000, 1), (3, true, 5_000, 5)], 16, Bases::Moved),
            ("gone", &[(3, true, 5_000, 5)], 16, Bases::Moved),
            ("still gone", &[(3, true, 5_000, 5)], 16, Bases::Hold),
            ("all gone", &[], 16, Bases::Moved),
            ("back where they were", &[(2, true, 1_000, 1), (3, true, 5_000, 5)], 16, Bases::Hold),
            ("gone again", &[(2, true, 1_000, 1)], 16, Bases::Moved),
            ("back anew", &[(2, true, 1_000, 1), (3, true, 2_000, 2)], 18, Bases::Moved),
        ] {
            assert_eq!(counters.add(&readings(links)), bases, "{what}");
            assert_eq!((counters.sent(), counters.received()), (sent, 2 * sent), "{what}");
        }
    }

    #[test]
    fn the_header_below_ip_is_not_counted() {
        let mut counters = Counters::start(&[]);
        let mut now = readings(&[(2, true, 114_000, 1000)]);
        now[0].header = 14;
        counters.add(&now);
        assert_eq!((counters.sent(), counters.received()), (100, 214));
        assert_eq!(counters.average(), 157);
        // A packet is counted before its bytes.
        now[0].traffic.packets_sent += 1;
        counters.add(&now);
        assert_eq!(counters.sent(), 100);
    }

    #[test]
    fn which_links_count_is_settled_at_the_start() {
        let with_hardware = [(2, true, 1_000, 1), (9, false, 1_000, 1)];
        let mut counters = Counters::start(&readings(&with_hardware));
        for (what, links, sent) in [
            ("the hardware", &[(2, true, 8_000, 2), (9, false, 8_000, 2)][..], 7),
            ("no hardware left", &[(9, false, 90_000, 9)], 7),
            ("hardware again", &[(2, true, 9_000, 3), (9, false, 90_000, 9)], 8),
        ] {
            counters.add(&readings(links));
            assert_eq!(counters.sent(), sent, "{what}");
        }
        let mut counters = Counters::start(&readings(&[(9, false, 1_000, 1)]));
        counters.add(&readings(&[(9, false, 8_000, 1)]));
        assert_eq!(counters.sent(), 7, "none has hardware");
    }

    #[test]
    fn links_that_come_and_go_for_ever_are_forgotten() {
        let mut counters = Counters::start(&readings(&[(1, true, 1_000, 1)]));
        for link in 2..2_000 {
            counters.add(&readings(&[(1, true, 1_000, 1), (link, true, 1_000, 1)]));
        }
        assert_eq!(counters.bases.len(), MAX_BASES);
        assert_eq!(counters.sent(), 1_998);
    }
}
