//! The cipher suite of a handshake that is not over.

use foreign_types::ForeignTypeRef;
use openssl::ssl::{SslCipherRef, SslRef};

/// IANA code of the suite that the server chose and that is not in use yet;
/// `None` before the choice.
pub fn pending_cipher(ssl: &SslRef) -> Option<u16> {
    // SAFETY: the pointer is of a live `SSL`, the call reads a field of it.
    let cipher = unsafe { SSL_get_pending_cipher(ssl.as_ptr()) };
    if cipher.is_null() {
        return None;
    }
    // SAFETY: not null, and suites are in tables that live as long as the
    // library; nobody writes to them.
    let cipher = unsafe { SslCipherRef::from_ptr(cipher.cast_mut()) };
    Some(u16::from_be_bytes(cipher.protocol_id()))
}

unsafe extern "C" {
    /// libssl 1.1.1 and later.
    fn SSL_get_pending_cipher(ssl: *const openssl_sys::SSL) -> *const openssl_sys::SSL_CIPHER;
}

#[cfg(test)]
mod tests {
    use openssl::ssl::{Ssl, SslContext, SslMethod};

    use super::*;

    #[test]
    fn nothing_is_agreed_upon_before_the_handshake() {
        let context = SslContext::builder(SslMethod::dtls_client()).unwrap().build();
        assert_eq!(pending_cipher(&Ssl::new(&context).unwrap()), None);
    }
}
