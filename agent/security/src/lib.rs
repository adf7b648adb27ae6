//! Keys, secured datagram links and secured streams of an LwM2M client (Transport 12).
//!
//! A link is a [`SecureLink`]: datagrams in, datagrams out, no socket and no
//! thread. A [`Backend`] makes links; [`OpenSsl`] is the one there is, for
//! pre-shared keys over DTLS 1.2. NoSec needs no link object. A [`SecureStream`] is TLS
//! over whatever tokio can read and write; it always proves who the server is.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod alert;
mod dtls;
mod error;
mod file;
mod key_source;
mod link;
mod openssl_backend;
mod psk;
mod queue;
mod secret;
#[cfg(feature = "server")]
mod server;
mod session;
mod sieve;
mod stream;
mod suite;
mod tls;

pub use alert::{Alert, Treatment};
pub use error::{LinkError, Silence};
pub use key_source::{KeyError, KeySource, MAX_TEXT, credential_file};
pub use link::{
    Backend, Caps, Credentials, DEFAULT_MAX_DATAGRAM, HANDSHAKE_LIMIT, INITIAL_RETRANSMISSION,
    Import, LinkConfig, LinkInfo, MAX_UNREAD, MIN_MAX_DATAGRAM, SecureLink, State, Version,
};
pub use openssl_backend::OpenSsl;
pub use psk::{MAX_IDENTITY, MAX_PSK, Psk, PskError};
pub use secret::{Secret, SecretError};
#[cfg(feature = "server")]
pub use server::{DtlsServerContext, DtlsServerLink, PskLookup, ServerConfig};
pub use stream::SecureStream;
pub use suite::Suite;
pub use tls::{ClientCertificate, MAX_AUTHORITIES, TlsClient, TlsError, Trust};
