//! The seeded generator behind message ids, tokens and jitter.
//!
//! Tokens must not be guessed (RFC 7252 5.3.1), so the seed comes from the
//! operating system and the generator is a cipher. The same seed gives the same
//! numbers, which makes a simulated year repeatable.

use std::fmt;

use rand_chacha::rand_core::{Rng, SeedableRng};

/// A seeded generator: message ids, tokens, jitter.
pub struct Random(rand_chacha::ChaCha12Rng);

impl Random {
    /// A generator that starts from `seed`, which has to be secret in production.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(rand_chacha::ChaCha12Rng::from_seed(seed))
    }

    /// Any number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number in 0.0..1.0.
    pub fn fraction(&mut self) -> f64 {
        // 53 bits are what an f64 holds exactly, so 1.0 is never reached.
        (self.u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A seed for another generator.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        seed
    }
}

impl fmt::Debug for Random {
    /// The state tells every token to come, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(<secret>)")
    }
}
