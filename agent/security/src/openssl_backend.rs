//! The back end over the system's OpenSSL.

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslSessionCacheMode};

use crate::Suite;
use crate::dtls::{Dtls, Limits, configure, internal};
use crate::session::Tag;
use crate::suite::cipher_list;
use crate::{Backend, Caps, Credentials, Import, LinkConfig, LinkError, Psk, Secret, SecureLink};

/// Pre-shared keys over DTLS 1.2 with OpenSSL.
///
/// OpenSSL times the retransmissions of a handshake by its own clock, the wall
/// clock. [`SecureLink::timeout`] says when the next is due in the time that the
/// caller gives, but a time that the caller makes up brings none about; only
/// [`LinkConfig::handshake_limit`] runs on the caller's time alone.
#[derive(Debug)]
pub struct OpenSsl {
    caps: Caps,
}

impl OpenSsl {
    /// Asks the library what it has.
    ///
    /// # Errors
    ///
    /// The library cannot be set up.
    pub fn new() -> Result<Self, LinkError> {
        let mut suites = Vec::new();
        for suite in Suite::ALL {
            let mut context = SslContext::builder(SslMethod::dtls_client()).map_err(internal)?;
            if context.set_cipher_list(&cipher_list(&[suite])).is_ok() {
                suites.push(suite);
            }
        }
        Ok(Self { caps: Caps { library: openssl::version::version(), suites } })
    }

    /// The suites to offer: those asked for, or all there are.
    fn suites<'a>(&'a self, asked: &'a [Suite]) -> Result<&'a [Suite], LinkError> {
        let library = self.caps.library;
        if self.caps.suites.is_empty() {
            return Err(LinkError::NoPsk { library });
        }
        if asked.is_empty() {
            return Ok(&self.caps.suites);
        }
        match asked.iter().find(|suite| !self.caps.suites.contains(suite)) {
            Some(suite) => Err(LinkError::NoSuite { suite: *suite, library }),
            None => Ok(asked),
        }
    }
}

impl Backend for OpenSsl {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn client(
        &self,
        config: &LinkConfig,
        import: Import,
    ) -> Result<Box<dyn SecureLink>, LinkError> {
        let suites = self.suites(&config.suites)?;
        let Credentials::Psk(psk) = &config.credentials;
        let mut context = SslContext::builder(SslMethod::dtls_client()).map_err(internal)?;
        configure(&mut context, suites, SslSessionCacheMode::OFF)?;
        let psk = psk.clone();
        context.set_psk_client_callback(move |_, _hint, identity, key| {
            Ok(hand_over(&psk, identity, key))
        });
        let mut ssl = Ssl::new(&context.build()).map_err(internal)?;
        ssl.set_connect_state();
        let tag = Tag::new(&config.credentials, suites);
        if let Import::Session(blob) = import {
            offer(&mut ssl, tag, &blob);
        }
        let limits = Limits {
            max_datagram: config.max_datagram,
            initial_retransmission: config.initial_retransmission,
            handshake: config.handshake_limit,
        };
        Ok(Box::new(Dtls::new(ssl, suites, limits, Some(tag))?))
    }
}

/// Fills the library's buffers; 0 tells it that there is no key.
fn hand_over(psk: &Psk, identity: &mut [u8], key: &mut [u8]) -> usize {
    let (id, secret) = (psk.identity(), psk.key().expose());
    // The identity needs room for the zero byte that ends it.
    let Some((place, rest)) = identity.split_at_mut_checked(id.len()) else { return 0 };
    let (Some(end), Some(room)) = (rest.first_mut(), key.get_mut(..secret.len())) else {
        return 0;
    };
    place.copy_from_slice(id);
    *end = 0;
    room.copy_from_slice(secret);
    secret.len()
}

/// Offers a stored session. One that does not fit is left out: then the
/// handshake is a full one.
fn offer(ssl: &mut Ssl, tag: Tag, blob: &Secret) {
    if let Some(der) = tag.open(blob)
        && lwm2m_tls_ffi::offer_session(ssl, der).is_err()
    {
        drop(ErrorStack::get());
    }
}
