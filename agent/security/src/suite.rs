//! The cipher suites of pre-shared keys (Transport 12.3).

use std::fmt;

/// A DTLS 1.2 suite this crate can offer. None uses CBC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// TLS_PSK_WITH_AES_128_CCM_8, the one every LwM2M server has (TRN-92).
    PskAes128Ccm8,
    /// TLS_PSK_WITH_AES_128_CCM.
    PskAes128Ccm,
    /// TLS_PSK_WITH_AES_128_GCM_SHA256.
    PskAes128Gcm,
}

impl Suite {
    /// Every suite, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::PskAes128Ccm8, Self::PskAes128Ccm, Self::PskAes128Gcm];

    /// The two IANA bytes as one number, as in `/0/x/16`.
    pub const fn code(self) -> u16 {
        match self {
            Self::PskAes128Ccm8 => 0xC0A8,
            Self::PskAes128Ccm => 0xC0A4,
            Self::PskAes128Gcm => 0x00A8,
        }
    }

    /// The suite with these IANA bytes.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.code() == code)
    }

    /// The name in the IANA registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PskAes128Ccm8 => "TLS_PSK_WITH_AES_128_CCM_8",
            Self::PskAes128Ccm => "TLS_PSK_WITH_AES_128_CCM",
            Self::PskAes128Gcm => "TLS_PSK_WITH_AES_128_GCM_SHA256",
        }
    }

    /// The name in OpenSSL's lists.
    pub(crate) const fn openssl_name(self) -> &'static str {
        match self {
            Self::PskAes128Ccm8 => "PSK-AES128-CCM8",
            Self::PskAes128Ccm => "PSK-AES128-CCM",
            Self::PskAes128Gcm => "PSK-AES128-GCM-SHA256",
        }
    }

    /// Bytes that protection adds to a fragment: explicit nonce and tag
    /// (RFC 6655 3, RFC 5288 3).
    pub(crate) const fn overhead(self) -> usize {
        let tag = match self {
            Self::PskAes128Ccm8 => 8,
            Self::PskAes128Ccm | Self::PskAes128Gcm => 16,
        };
        EXPLICIT_NONCE + tag
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `suites` as OpenSSL wants them.
///
/// At its default level 3.2 and later hides CCM8, whose tag is short. Level 0
/// lifts that; since every suite is named, nothing else weak comes in.
pub(crate) fn cipher_list(suites: &[Suite]) -> String {
    let names: Vec<_> = suites.iter().map(|suite| suite.openssl_name()).collect();
    format!("{}:@SECLEVEL=0", names.join(":"))
}

const EXPLICIT_NONCE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_registry() {
        for (code, name) in [
            (49_320, "TLS_PSK_WITH_AES_128_CCM_8"),
            (0xC0A4, "TLS_PSK_WITH_AES_128_CCM"),
            (0x00A8, "TLS_PSK_WITH_AES_128_GCM_SHA256"),
        ] {
            assert_eq!(Suite::from_code(code).unwrap().to_string(), name);
        }
        assert_eq!(Suite::from_code(0x00AE), None, "CBC");
    }

    #[test]
    fn the_list_names_each_suite_in_order() {
        assert_eq!(
            cipher_list(&Suite::ALL),
            "PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES128-GCM-SHA256:@SECLEVEL=0"
        );
    }
}
