//! Tokens, which tie an answer to its request (RFC 7252 5.3.1).

use std::fmt;

/// A token of 0..=8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Token {
    /// Unused places hold 0, so that the derived comparisons are right.
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl Token {
    /// Longest token; token lengths 9..=15 are reserved.
    pub const MAX_LEN: usize = 8;

    /// A token of these bytes; `None` if there are more than eight.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self { bytes: [0; Self::MAX_LEN], len: u8::try_from(bytes.len()).ok()? };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    /// A token of full length, as our requests have it.
    pub(crate) const fn full(bytes: [u8; Self::MAX_LEN]) -> Self {
        Self { bytes, len: Self::MAX_LEN as u8 }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

impl fmt::Debug for Token {
    /// Hexadecimal, as packet dissectors show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
