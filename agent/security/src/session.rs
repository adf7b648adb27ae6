//! Stored sessions, tagged with all they depend on.
//!
//! A session must not outlive its credentials: resumed under a new key it would
//! authenticate the old one. The tag makes that a full handshake instead.

use std::fmt;

use openssl::sha::Sha256;

use crate::{Credentials, Secret, Suite};

/// Digest of what a session was made with.
#[derive(Clone, Copy)]
pub(crate) struct Tag([u8; TAG_LEN]);

impl Tag {
    /// `suites` are those really offered.
    pub(crate) fn new(credentials: &Credentials, suites: &[Suite]) -> Self {
        let mut digest = Sha256::new();
        digest.update(FORMAT);
        // Another version may write its sessions otherwise.
        digest.update(&openssl::version::number().to_be_bytes());
        match credentials {
            Credentials::Psk(psk) => {
                digest.update(&psk.identity().len().to_be_bytes());
                digest.update(psk.identity());
                digest.update(&psk.key().len().to_be_bytes());
                digest.update(psk.key().expose());
            }
        }
        // A session of a suite that is not offered any more must not come back.
        for suite in suites {
            digest.update(&suite.code().to_be_bytes());
        }
        Self(digest.finish())
    }

    /// The session in `der` as a blob to hand out.
    pub(crate) fn seal(&self, der: &[u8]) -> Secret {
        let mut blob = Vec::with_capacity(TAG_LEN + der.len());
        blob.extend_from_slice(&self.0);
        blob.extend_from_slice(der);
        Secret::new(blob)
    }

    /// The session in a blob, if it was made with the same.
    pub(crate) fn open<'a>(&self, blob: &'a Secret) -> Option<&'a [u8]> {
        let (tag, der) = blob.expose().split_at_checked(TAG_LEN)?;
        openssl::memcmp::eq(tag, &self.0).then_some(der)
    }
}

/// A digest of a weak key is enough to find the key: not shown.
impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

const TAG_LEN: usize = 32;
const FORMAT: &[u8] = b"lwm2md DTLS session, format 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Psk;

    fn tag(identity: &str, key: &[u8], suites: &[Suite]) -> Tag {
        let psk = Psk::new(identity, Secret::new(key.to_vec())).unwrap();
        Tag::new(&Credentials::Psk(psk), suites)
    }

    #[test]
    fn a_session_opens_under_the_same_configuration_alone() {
        let blob = tag("ab", b"c", &Suite::ALL).seal(b"der");
        assert_eq!(tag("ab", b"c", &Suite::ALL).open(&blob), Some(&b"der"[..]));
        for (what, other) in [
            ("key", tag("ab", b"d", &Suite::ALL)),
            ("border of identity and key", tag("a", b"bc", &Suite::ALL)),
            ("suites", tag("ab", b"c", &[Suite::PskAes128Ccm8])),
        ] {
            assert_eq!(other.open(&blob), None, "{what}");
        }
    }

    #[test]
    fn rubbish_opens_nothing() {
        let tag = tag("ab", b"c", &Suite::ALL);
        for rubbish in [vec![], vec![0; 31], vec![0; 32], vec![1; 500]] {
            assert_eq!(tag.open(&Secret::new(rubbish)), None);
        }
    }
}
