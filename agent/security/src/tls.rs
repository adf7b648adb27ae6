//! The client of TLS 1.2 and 1.3 (Transport 12.4 for certificates and host names).
//!
//! It owns whom to trust and how to prove itself. There is no way to leave out a check:
//! who serves a package decides what the device runs.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    Error as SslError, SslConnector, SslConnectorBuilder, SslMethod, SslOptions, SslVersion,
};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509VerifyResult};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use crate::file::{self, FileError};
use crate::stream::Endless;
use crate::{Alert, Secret, SecureStream};

/// Makes [`SecureStream`]s to servers.
pub struct TlsClient {
    connector: SslConnector,
}

impl TlsClient {
    /// A client that trusts as `trust` says and shows `certificate` to a server that asks.
    ///
    /// It reads the files of `trust`, which blocks; with the store of some systems that
    /// takes tens of milliseconds and a MiB, so keep no client that is not in use.
    ///
    /// # Errors
    ///
    /// A `Trust` variant of [`TlsError`], or the library failed.
    pub fn new(trust: &Trust, certificate: Option<&ClientCertificate>) -> Result<Self, TlsError> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_options(SslOptions::NO_RENEGOTIATION);
        match trust {
            Trust::System => trust_system(&mut builder)?,
            Trust::File(path) => trust_file(&mut builder, path)?,
        }
        if let Some(ClientCertificate { leaf, chain, key }) = certificate {
            builder.set_certificate(leaf)?;
            for certificate in chain {
                builder.add_extra_chain_cert(certificate.clone())?;
            }
            builder.set_private_key(key)?;
        }
        Ok(Self { connector: builder.build() })
    }

    /// Secures `stream` to the server `host`, a name or an IP address without brackets,
    /// whose certificate must be for it. Cancelling drops the stream. There is no limit
    /// of time here.
    ///
    /// # Errors
    ///
    /// What ended the handshake; the stream is gone.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<SecureStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let ssl = self.connector.configure()?.into_ssl(host)?;
        let mut stream = SslStream::new(ssl, Endless(stream))?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(SecureStream::new(stream)),
            Err(error) => Err(explain(&error, stream.ssl().verify_result())),
        }
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

/// Who may vouch for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The authorities of the system's store.
    System,
    /// The authorities in a file of PEM certificates, and no others.
    File(PathBuf),
}

/// What this side proves itself with: a certificate, those that lead from it to an
/// authority, and the key.
#[derive(Clone)]
pub struct ClientCertificate {
    leaf: X509,
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl ClientCertificate {
    /// Reads PEM: the certificate first, then its chain; the key as PKCS#8, PKCS#1 or
    /// SEC1 without a passphrase.
    ///
    /// # Errors
    ///
    /// One of them is not PEM, or the key is not that of the certificate.
    pub fn from_pem(certificates: &[u8], key: &Secret) -> Result<Self, TlsError> {
        let mut chain = X509::stack_from_pem(certificates)
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or(TlsError::CertificatePem)?;
        let leaf = chain.remove(0);
        // Without the callback the library would ask for a passphrase on a terminal.
        let key = PKey::private_key_from_pem_callback(key.expose(), |_| Ok(0));
        let key = key.map_err(|_| TlsError::KeyPem)?;
        if !leaf.public_key()?.public_eq(&key) {
            return Err(TlsError::OtherKey);
        }
        Ok(Self { leaf, chain, key })
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("key", &"<secret>").finish_non_exhaustive()
    }
}

/// Why there is no secured stream, one line each for the operator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of authorities cannot be read.
    #[error("cannot read the authorities in {}: {cause}", path.display())]
    TrustFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// The file of authorities is a directory, device, pipe or socket.
    #[error("{} is not a regular file", .0.display())]
    TrustNotAFile(PathBuf),
    /// The file of authorities is longer than [`MAX_AUTHORITIES`].
    #[error("{} is longer than {MAX_AUTHORITIES} bytes: not a list of authorities", .0.display())]
    TrustTooLong(PathBuf),
    /// The file of authorities has none.
    #[error("{} holds no certificates in PEM", .0.display())]
    TrustPem(PathBuf),
    /// The client's certificate is not PEM.
    #[error("the client certificate is not PEM")]
    CertificatePem,
    /// The client's key is not PEM.
    #[error("the key of the client certificate is not PEM, or has a passphrase")]
    KeyPem,
    /// The client's key belongs to another certificate.
    #[error("the key is not that of the client certificate")]
    OtherKey,
    /// The server's certificate is not valid, not for the host, or vouched for by nobody
    /// who is trusted.
    #[error("the certificate of the server is not accepted: {reason}{}", clock_hint(*time))]
    Certificate {
        /// In words of the library, such as `hostname mismatch`.
        reason: &'static str,
        /// Whether it is about time: then the clock of the device may be wrong.
        time: bool,
    },
    /// The server sent a fatal alert in the handshake.
    #[error("the server refused the TLS handshake ({0})")]
    Refused(Alert),
    /// The stream below failed or ended in the handshake.
    #[error("the connection was lost in the TLS handshake: {0}")]
    Stream(String),
    /// The handshake failed here.
    #[error("the TLS handshake failed here: {0}")]
    Handshake(String),
    /// The library failed.
    #[error("TLS library error: {0}")]
    Internal(#[from] ErrorStack),
}

const fn clock_hint(time: bool) -> &'static str {
    if time { " (is the clock of this device right?)" } else { "" }
}

/// The connector has asked for the library's own paths; those of a library that was
/// built in are not the system's.
fn trust_system(builder: &mut SslConnectorBuilder) -> Result<(), TlsError> {
    let elsewhere = BUNDLES.iter().map(Path::new).find(|path| path.exists());
    match elsewhere {
        Some(path) if cfg!(feature = "vendored-openssl") => trust_file(builder, path),
        _ => Ok(()),
    }
}

fn trust_file(builder: &mut SslConnectorBuilder, path: &Path) -> Result<(), TlsError> {
    let failed = |cause| TlsError::TrustFile { path: path.to_owned(), cause };
    let file = file::open(path, 0).map_err(|error| match error {
        FileError::System(cause) => failed(cause),
        FileError::NotAFile | FileError::Mode(_) => TlsError::TrustNotAFile(path.to_owned()),
    })?;
    let mut pem = Vec::new();
    file.take(MAX_AUTHORITIES as u64 + 1).read_to_end(&mut pem).map_err(failed)?;
    if pem.len() > MAX_AUTHORITIES {
        return Err(TlsError::TrustTooLong(path.to_owned()));
    }
    let authorities = X509::stack_from_pem(&pem)
        .ok()
        .filter(|authorities| !authorities.is_empty())
        .ok_or_else(|| TlsError::TrustPem(path.to_owned()))?;
    // A store of its own: what the system trusts is not trusted here.
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        store.add_cert(authority)?;
    }
    builder.set_cert_store(store.build());
    Ok(())
}

fn explain(error: &SslError, verified: X509VerifyResult) -> TlsError {
    if verified != X509VerifyResult::OK {
        let time = TIME_REASONS.contains(&verified.as_raw());
        return TlsError::Certificate { reason: verified.error_string(), time };
    }
    if let Some(errors) = error.ssl_error() {
        return match Alert::reported(errors) {
            Some(alert) => TlsError::Refused(alert),
            None => {
                let reason = errors.errors().first().and_then(|error| error.reason());
                TlsError::Handshake(reason.map_or_else(|| errors.to_string(), str::to_owned))
            }
        };
    }
    let cause = error.io_error().map(ToString::to_string);
    TlsError::Stream(cause.unwrap_or_else(|| "it was closed".to_owned()))
}

/// `X509_V_ERR_CERT_NOT_YET_VALID` and `X509_V_ERR_CERT_HAS_EXPIRED`.
const TIME_REASONS: [i32; 2] = [9, 10];

/// Most bytes of a file of authorities; those that browsers trust are 220 KiB.
pub const MAX_AUTHORITIES: usize = 1024 * 1024;

/// Where distributions keep all authorities in one file.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
