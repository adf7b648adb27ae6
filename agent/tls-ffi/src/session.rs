//! Offering a stored session for resumption (RFC 5246 7.3, RFC 6347 4.2).

use openssl::error::ErrorStack;
use openssl::ssl::{SslRef, SslSession};

/// Offers the session encoded in `der` in the next handshake of `ssl`, which
/// must not have begun. A server that no longer knows the session answers with
/// a full handshake.
///
/// # Errors
///
/// `der` is not a session of this library, or it does not fit the protocol
/// version of `ssl`.
pub fn offer_session(ssl: &mut SslRef, der: &[u8]) -> Result<(), ErrorStack> {
    let session = SslSession::from_der(der)?;
    // SAFETY: the caller of `set_session` must keep a session from reaching an
    // `Ssl` of another context, because contexts cache sessions and attach data
    // to them. This one was decoded just now, belongs to no context, and is
    // reachable from `ssl` alone once this function returns.
    unsafe { ssl.set_session(&session) }
}
