//! TLS alerts and what they mean to an LwM2M client (Transport 12.8).

use std::fmt;

use openssl::error::ErrorStack;

use Treatment::{Fail, Ignore, Retry};

/// The description byte of an alert received (RFC 5246 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(u8);

impl Alert {
    /// The peer said goodbye.
    pub const CLOSE_NOTIFY: Self = Self(0);

    /// The alert with this number.
    pub const fn new(code: u8) -> Self {
        Self(code)
    }

    /// The alert received that libssl reports in its errors, if one is among them.
    pub(crate) fn reported(errors: &ErrorStack) -> Option<Self> {
        let own = errors.errors().iter().filter(|error| error.library_code() == ERR_LIB_SSL);
        let code = |error: &openssl::error::Error| error.reason_code() - ALERT_REASON_OFFSET;
        own.filter_map(|error| u8::try_from(code(error)).ok()).map(Self).next()
    }

    /// The number, as `/1/x/11` reports it.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The name in the IANA registry; `unknown` for a number without one.
    pub fn name(self) -> &'static str {
        self.row().map_or("unknown", |row| row.1)
    }

    /// Whether to try again.
    pub fn treatment(self) -> Treatment {
        self.row().map_or(Retry, |row| row.2)
    }

    /// The likely reason, in words for an operator.
    pub fn likely_cause(self) -> Option<&'static str> {
        self.row().map(|row| row.3).filter(|cause| !cause.is_empty())
    }

    fn row(self) -> Option<&'static Row> {
        ALERTS.iter().find(|row| row.0 == self.0)
    }
}

/// `alert 51 decrypt_error`.
impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alert {} {}", self.0, self.name())
    }
}

/// What to do about an alert. In each case the back-off of the Server Object
/// applies: an alert in the handshake is not authenticated and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Treatment {
    /// It may pass by itself.
    Retry,
    /// The client cannot recover by itself.
    Fail,
    /// Should never occur.
    Ignore,
}

/// Number, name, treatment, likely cause.
type Row = (u8, &'static str, Treatment, &'static str);

/// `ERR_LIB_SSL` of libssl's headers.
pub(crate) const ERR_LIB_SSL: i32 = 20;

/// `SSL_AD_REASON_OFFSET`: the library reports alert N as reason 1000 + N.
const ALERT_REASON_OFFSET: i32 = 1000;

const WRONG_KEY: &str = "most likely the key is wrong";
const CERTIFICATE: &str = "the server does not accept the certificate";

/// Transport 12.8; 80, 109, 116 and 120 are not in its table. It prints 86 as
/// internal_error, which is 80: both are worth a retry.
const ALERTS: [Row; 34] = [
    (0, "close_notify", Retry, ""),
    (10, "unexpected_message", Retry, ""),
    (20, "bad_record_mac", Retry, WRONG_KEY),
    (21, "decryption_failed", Retry, WRONG_KEY),
    (22, "record_overflow", Retry, ""),
    (30, "decompression_failure", Ignore, ""),
    (
        40,
        "handshake_failure",
        Retry,
        "no cipher suite in common, or the server does not know the identity",
    ),
    (41, "no_certificate", Ignore, ""),
    (42, "bad_certificate", Fail, CERTIFICATE),
    (43, "unsupported_certificate", Fail, CERTIFICATE),
    (44, "certificate_revoked", Fail, CERTIFICATE),
    (45, "certificate_expired", Fail, CERTIFICATE),
    (46, "certificate_unknown", Fail, CERTIFICATE),
    (47, "illegal_parameter", Retry, ""),
    (48, "unknown_ca", Fail, CERTIFICATE),
    (49, "access_denied", Fail, "the server does not admit this client"),
    (50, "decode_error", Retry, ""),
    (51, "decrypt_error", Retry, WRONG_KEY),
    (60, "export_restriction", Ignore, ""),
    (70, "protocol_version", Retry, "the server does not speak our version of DTLS or TLS"),
    (71, "insufficient_security", Retry, "the server demands stronger cipher suites"),
    (80, "internal_error", Retry, "the server has a problem of its own"),
    (86, "inappropriate_fallback", Retry, ""),
    (90, "user_canceled", Retry, ""),
    (100, "no_renegotiation", Retry, ""),
    (109, "missing_extension", Retry, ""),
    (110, "unsupported_extension", Ignore, ""),
    (111, "certificate_unobtainable", Retry, ""),
    (112, "unrecognized_name", Fail, "the server does not go by this host name"),
    (113, "bad_certificate_status_response", Fail, ""),
    (114, "bad_certificate_hash_value", Fail, ""),
    (115, "unknown_psk_identity", Fail, "the server does not know the identity"),
    (116, "certificate_required", Fail, "the server demands a certificate"),
    (120, "no_application_protocol", Fail, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists of Transport 12.8, as numbers.
    const RETRY: [u8; 15] = [0, 10, 20, 21, 22, 40, 47, 50, 51, 70, 71, 86, 90, 100, 111];
    const FAIL: [u8; 11] = [42, 43, 44, 45, 46, 48, 49, 112, 113, 114, 115];
    const IGNORE: [u8; 4] = [30, 41, 60, 110];

    #[test]
    fn treatments_are_those_of_the_table() {
        for (codes, treatment) in [
            (RETRY.as_slice(), Retry),
            (&FAIL, Fail),
            (&IGNORE, Ignore),
            (&[80, 109], Retry),
            (&[116, 120], Fail),
        ] {
            for code in codes {
                assert_eq!(Alert::new(*code).treatment(), treatment, "{code}");
            }
        }
        assert_eq!(ALERTS.len(), RETRY.len() + FAIL.len() + IGNORE.len() + 4);
    }

    #[test]
    fn an_alert_without_a_name_is_worth_a_retry() {
        let alert = Alert::new(199);
        assert_eq!(alert.to_string(), "alert 199 unknown");
        assert_eq!(alert.treatment(), Retry);
        assert_eq!(alert.likely_cause(), None);
    }
}
