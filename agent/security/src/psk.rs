//! A pre-shared key and its identity (Transport 12.2, mode 0).

use std::fmt;

use thiserror::Error;

use crate::Secret;

/// Longest PSK identity in bytes (TRN-92).
pub const MAX_IDENTITY: usize = 128;

/// Longest pre-shared key in bytes (TRN-92).
pub const MAX_PSK: usize = 64;

/// An identity and its key, lengths checked.
#[derive(Clone)]
pub struct Psk {
    identity: Vec<u8>,
    key: Secret,
}

impl Psk {
    /// Checks and takes both: the identity (`/0/x/3`) 1 to [`MAX_IDENTITY`]
    /// bytes, the key (`/0/x/5`) 1 to [`MAX_PSK`] bytes.
    ///
    /// # Errors
    ///
    /// A length outside these, or a zero byte in the identity: the library
    /// hands identities over as zero-terminated text.
    pub fn new(identity: impl Into<Vec<u8>>, key: Secret) -> Result<Self, PskError> {
        let identity = identity.into();
        if identity.is_empty() || identity.len() > MAX_IDENTITY {
            return Err(PskError::IdentityLength { len: identity.len() });
        }
        if let Some(offset) = identity.iter().position(|byte| *byte == 0) {
            return Err(PskError::IdentityZeroByte { offset });
        }
        check_key_length(&key)?;
        Ok(Self { identity, key })
    }

    /// The identity, sent in the clear.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// The key.
    pub const fn key(&self) -> &Secret {
        &self.key
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Psk")
            .field("identity", &String::from_utf8_lossy(&self.identity))
            .field("key", &self.key)
            .finish()
    }
}

/// Why an identity and a key are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PskError {
    /// The identity is empty or too long.
    #[error("the PSK identity has {len} bytes, allowed are 1 to {MAX_IDENTITY}")]
    IdentityLength {
        /// Bytes given.
        len: usize,
    },
    /// The identity has a zero byte in it.
    #[error("the PSK identity has a zero byte at position {}", offset + 1)]
    IdentityZeroByte {
        /// Bytes before it.
        offset: usize,
    },
    /// The key is empty or too long.
    #[error("the pre-shared key has {len} bytes, allowed are 1 to {MAX_PSK}")]
    KeyLength {
        /// Bytes given.
        len: usize,
    },
}

/// A key of 1 to [`MAX_PSK`] bytes.
pub(crate) fn check_key_length(key: &Secret) -> Result<(), PskError> {
    let len = key.len();
    if len == 0 || len > MAX_PSK { Err(PskError::KeyLength { len }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psk(identity: &[u8], key_len: usize) -> Result<Psk, PskError> {
        Psk::new(identity, Secret::new(vec![7; key_len]))
    }

    /// TRN-92; OBJ-31.
    #[test]
    fn lengths_at_the_limits_are_taken() {
        for (identity, key) in [(1, 1), (MAX_IDENTITY, MAX_PSK)] {
            assert!(psk(&vec![b'i'; identity], key).is_ok(), "{identity} {key}");
        }
    }

    #[test]
    fn wrong_identities_and_keys_are_refused() {
        for (identity, key, error) in [
            (vec![], 16, "the PSK identity has 0 bytes, allowed are 1 to 128"),
            (vec![b'i'; 129], 16, "the PSK identity has 129 bytes, allowed are 1 to 128"),
            (b"a\0b".to_vec(), 16, "the PSK identity has a zero byte at position 2"),
            (b"a".to_vec(), 0, "the pre-shared key has 0 bytes, allowed are 1 to 64"),
            (b"a".to_vec(), 65, "the pre-shared key has 65 bytes, allowed are 1 to 64"),
        ] {
            assert_eq!(psk(&identity, key).unwrap_err().to_string(), error);
        }
    }

    /// OBJ-30.
    #[test]
    fn debug_shows_the_identity_and_not_the_key() {
        let shown = format!("{:?}", psk(b"device-1", 3).unwrap());
        assert_eq!(shown, r#"Psk { identity: "device-1", key: <secret> }"#);
    }
}
