//! The server end of a DTLS 1.2 PSK link, for test servers.
//!
//! It shares the record layer with the client and nothing above. There is no
//! cookie exchange: a test server has nobody to be protected from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openssl::ssl::{Ssl, SslContext, SslMethod, SslSessionCacheMode};

use crate::dtls::{Dtls, Limits, configure, internal};
use crate::{
    DEFAULT_MAX_DATAGRAM, HANDSHAKE_LIMIT, INITIAL_RETRANSMISSION, LinkError, Secret, SecureLink,
    Suite,
};

/// A link in the role of the server. Nothing happens before its first datagram;
/// [`LinkInfo::peer_identity`](crate::LinkInfo::peer_identity) says who the client
/// is, after a resumption too.
pub type DtlsServerLink = Box<dyn SecureLink>;

/// Finds the key of an identity.
pub type PskLookup = Arc<dyn Fn(&[u8]) -> Option<Secret> + Send + Sync>;

/// What all links of a server share: keys, suites, and the sessions that can be
/// resumed, kept in memory.
pub struct DtlsServerContext {
    context: SslContext,
    config: ServerConfig,
}

impl DtlsServerContext {
    /// A server with the default [`ServerConfig`].
    ///
    /// # Errors
    ///
    /// The library failed.
    pub fn new(lookup: PskLookup) -> Result<Self, LinkError> {
        Self::with_config(lookup, ServerConfig::default())
    }

    /// A server as configured.
    ///
    /// # Errors
    ///
    /// The configuration asks for what is not there, or the library failed.
    pub fn with_config(lookup: PskLookup, config: ServerConfig) -> Result<Self, LinkError> {
        let mut context = SslContext::builder(SslMethod::dtls_server()).map_err(internal)?;
        configure(&mut context, &config.suites, SslSessionCacheMode::SERVER)?;
        context.set_session_id_context(b"lwm2m").map_err(internal)?;
        context.set_psk_server_callback(move |_, identity, room| {
            // 0 means unknown: the library then sends alert 115.
            let key = identity.and_then(|identity| lookup(identity));
            Ok(key.map_or(0, |key| hand_over(&key, room)))
        });
        Ok(Self { context: context.build(), config })
    }

    /// A link for a client from which a datagram came; hand that datagram to it
    /// first.
    ///
    /// # Errors
    ///
    /// The library failed.
    pub fn accept(&self) -> Result<DtlsServerLink, LinkError> {
        let mut ssl = Ssl::new(&self.context).map_err(internal)?;
        ssl.set_accept_state();
        let limits = Limits {
            max_datagram: self.config.max_datagram,
            initial_retransmission: self.config.initial_retransmission,
            handshake: self.config.handshake_limit,
        };
        Ok(Box::new(Dtls::new(ssl, &self.config.suites, limits, None)?))
    }
}

impl fmt::Debug for DtlsServerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsServerContext").field("config", &self.config).finish_non_exhaustive()
    }
}

/// How a server makes its links.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Suites accepted.
    pub suites: Vec<Suite>,
    /// Largest UDP payload in bytes, at least [`crate::MIN_MAX_DATAGRAM`].
    pub max_datagram: usize,
    /// Time to the first retransmission in the handshake.
    pub initial_retransmission: Duration,
    /// Time that a handshake may take.
    pub handshake_limit: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            suites: Suite::ALL.to_vec(),
            max_datagram: DEFAULT_MAX_DATAGRAM,
            initial_retransmission: INITIAL_RETRANSMISSION,
            handshake_limit: HANDSHAKE_LIMIT,
        }
    }
}

/// Copies the key; 0 if it does not fit.
fn hand_over(key: &Secret, room: &mut [u8]) -> usize {
    let Some(room) = room.get_mut(..key.len()) else { return 0 };
    room.copy_from_slice(key.expose());
    key.len()
}
