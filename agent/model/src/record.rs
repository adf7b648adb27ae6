//! What survives a restart of the agent, as typed records.
//!
//! The engine and the objects fill and take them, the store keeps them; neither knows
//! the other. How a record looks on disk is the store's affair alone.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Attributes, ContentFormat, Instant, Path, Value, Version};

/// One thing that is remembered. There is one record per [`Key`].
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// What a server wrote to its account.
    Account(Account),
    /// What a server attached to a path by Write-Attributes.
    Attached(Attached),
    /// An observation of a server.
    Observation(Observation),
    /// A registration that a server has acknowledged.
    Registration(Registration),
    /// A DTLS session that can be resumed.
    Session(Session),
    /// A server that wants silence.
    Disabled(Disabled),
}

/// What names a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// By Short Server ID.
    Account(u16),
    /// By Short Server ID and path.
    Attached(u16, Path),
    /// By Short Server ID and token.
    Observation(u16, Vec<u8>),
    /// By Short Server ID.
    Registration(u16),
    /// By Short Server ID.
    Session(u16),
    /// By Short Server ID.
    Disabled(u16),
}

/// A change of what is remembered.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Remember this, in place of what had the same key.
    Put(Record),
    /// Forget this; it need not be there.
    Remove(Key),
    /// Forget everything.
    RemoveAll,
}

/// The values of `/1/x` that a server wrote (Objects 3). They count as long as the
/// configuration has the account over which they were written.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Short Server ID.
    pub server: u16,
    /// The configured account that was written over.
    pub configured: Fingerprint,
    /// Values that differ from the configuration, by Resource ID.
    pub values: BTreeMap<u16, Value>,
}

/// Attributes that a server has attached to a path (Core 3.3, 6.3.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// Short Server ID.
    pub server: u16,
    /// Exactly this path; inheritance is worked out anew.
    pub path: Path,
    /// The attributes.
    pub attributes: Attributes,
}

/// An observation, without what it last reported (Core 8.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Short Server ID.
    pub server: u16,
    /// Token of the Observe request.
    pub token: Vec<u8>,
    /// The observed path.
    pub path: Path,
    /// The format of notifications.
    pub format: ContentFormat,
    /// Attributes of the Observe request, if it had any.
    pub own: Option<Attributes>,
    /// Size exponent of the blocks that the request asked for, 0..=6 (RFC 7959 2.2).
    pub block_szx: Option<u8>,
    /// Observe sequence numbers from here on, modulo 2^24, have not been sent
    /// (RFC 7641 4.4): those of a block are reserved before the first is used.
    pub unused_sequence: u32,
}

/// A registration (Core 5.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// Short Server ID.
    pub server: u16,
    /// Location-Path, every segment.
    pub location: Vec<String>,
    /// The LwM2M version in use.
    pub version: Version,
    /// Endpoint Client Name.
    pub endpoint: String,
    /// The account as far as only a Register tells it: URI, security, queue mode.
    pub account: Fingerprint,
    /// The lifetime that the server knows, seconds.
    pub lifetime: u32,
    /// The binding that the server knows.
    pub binding: String,
    /// The object list that the server knows.
    pub objects: Fingerprint,
    /// When the server answered. Updates are not written down, so its last answer
    /// may be younger.
    pub answered: Moment,
}

/// A moment that can be placed after a restart; after a reboot it counts as the start of
/// that boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The boot that `at` counts from.
    pub boot: BootId,
    /// Time since that boot.
    pub at: Instant,
}

/// A server that has disabled itself (Core 5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// Short Server ID.
    pub server: u16,
    /// The account as far as only a Register tells it: URI, security, queue mode.
    pub account: Fingerprint,
    /// Nothing is sent before; a reboot ends the silence.
    pub until: Moment,
}

/// What tells one boot of the system from another (`/proc/sys/kernel/random/boot_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

/// A DTLS session that can be resumed (Transport 12.7).
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Short Server ID.
    pub server: u16,
    /// The session as the security layer wrote it: as secret as a key.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("server", &self.server)
            .field("secret", &format_args!("<secret>"))
            .finish()
    }
}

impl Record {
    /// What names this record.
    pub fn key(&self) -> Key {
        match self {
            Self::Account(account) => Key::Account(account.server),
            Self::Attached(attached) => Key::Attached(attached.server, attached.path.clone()),
            Self::Observation(held) => Key::Observation(held.server, held.token.clone()),
            Self::Registration(registration) => Key::Registration(registration.server),
            Self::Session(session) => Key::Session(session.server),
            Self::Disabled(disabled) => Key::Disabled(disabled.server),
        }
    }
}

impl fmt::Display for Key {
    /// For people: `observation of server 101`. Tokens are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(server) => write!(f, "account of server {server}"),
            Self::Attached(server, path) => write!(f, "attributes of server {server} at {path}"),
            Self::Observation(server, _) => write!(f, "observation of server {server}"),
            Self::Registration(server) => write!(f, "registration of server {server}"),
            Self::Session(server) => write!(f, "session of server {server}"),
            Self::Disabled(server) => write!(f, "silence of server {server}"),
        }
    }
}

/// A digest by which a change is noticed: 64 bits of FNV-1a, the same in every build.
/// A changed byte always shows; nobody is kept from making two inputs collide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The digest of these fields; where one ends and the next begins counts.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = OFFSET_BASIS;
        let mut mix = |bytes: &[u8]| {
            for byte in bytes {
                digest = (digest ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        };
        for field in fields {
            mix(&(field.len() as u64).to_be_bytes());
            mix(field);
        }
        Self(digest)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_not_shown() {
        let session = Session { server: 101, secret: b"topsecret".to_vec() };
        let shown = format!("{:?}", Change::Put(Record::Session(session)));
        assert_eq!(shown, "Put(Session(Session { server: 101, secret: <secret> }))");
    }

    #[test]
    fn a_fingerprint_is_the_same_everywhere() {
        assert_eq!(Fingerprint::of([]).0, OFFSET_BASIS);
        // FNV-1a of 00 00 00 00 00 00 00 01 61, worked out apart.
        assert_eq!(Fingerprint::of([&b"a"[..]]).0, 0xe601_7d3a_248d_eb69);
    }

    #[test]
    fn borders_of_fields_and_every_byte_count() {
        let of = |fields: &[&[u8]]| Fingerprint::of(fields.iter().copied()).0;
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab"]), of(&[b"ab", b""]));
        for flipped in 1..=255 {
            assert_ne!(of(&[b"abc"]), of(&[&[b'a', b'b' ^ flipped, b'c']]));
        }
    }
}
