//! Numbers that need no quality: losses that a seed repeats, and identifiers that
//! differ from run to run.

use std::hash::{BuildHasher, Hasher, RandomState};

/// SplitMix64: small, and good enough to lose datagrams with.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Repeats with the same seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Differs in each run. A server that started anew on the same port with the
    /// message IDs of its last run would be taken for its own duplicate.
    pub(crate) fn from_entropy() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0.0 to just below 1.0.
    pub(crate) fn fraction(&mut self) -> f64 {
        // 53 bits fill the mantissa exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn message_id(&mut self) -> u16 {
        self.next().to_le_bytes()[..2].iter().fold(0, |id, byte| (id << 8) | u16::from(*byte))
    }

    /// A Request-Tag (RFC 9175 3.2).
    pub(crate) fn tag(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    pub(crate) fn token(&mut self) -> Vec<u8> {
        self.next().to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_fractions_are_spread() {
        let draw = || {
            let mut random = Random::seeded(7);
            (0..1000).map(|_| random.fraction()).collect::<Vec<_>>()
        };
        let fractions = draw();
        assert_eq!(fractions, draw());
        let low = fractions.iter().filter(|fraction| **fraction < 0.2).count();
        assert!((150..250).contains(&low), "{low} of 1000 below 0.2");
        assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)));
    }
}
