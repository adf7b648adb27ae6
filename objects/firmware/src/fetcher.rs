//! What the object asks of the one that fetches packages by their URI (Objects 7).

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, Resume};
use tokio::sync::mpsc;

/// Gets packages from where a URI says.
pub trait Fetcher: Send + Sync + 'static {
    /// The protocols that work here; without any, packages can only be pushed.
    fn protocols(&self) -> &[Protocol];

    /// One attempt at a package. What is found goes to `out`, which holds it back until
    /// it is stored; nothing follows an error.
    ///
    /// A source that falls silent is an error after a while, not for ever. The future may
    /// be dropped half-way, when nobody wants the package any more.
    fn fetch(
        &self,
        uri: &str,
        resume: Option<Resume>,
        out: mpsc::Sender<Fetched>,
    ) -> impl Future<Output = Result<(), FetchFailure>> + Send;
}

/// A device without sources: packages are pushed.
impl Fetcher for () {
    fn protocols(&self) -> &[Protocol] {
        &[]
    }

    async fn fetch(
        &self,
        _uri: &str,
        _resume: Option<Resume>,
        _out: mpsc::Sender<Fetched>,
    ) -> Result<(), FetchFailure> {
        let cause = "packages can only be pushed";
        Err(FetchFailure::new(FetchFailureKind::UnsupportedScheme, cause))
    }
}

/// What a package can be fetched with (`/5/0/8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// CoAP with Block2.
    Coap,
    /// CoAP over DTLS with Block2.
    Coaps,
    /// HTTP 1.1
    Http,
    /// HTTP 1.1 over TLS
    Https,
}

impl Protocol {
    /// The number of the registry.
    pub const fn number(self) -> i64 {
        match self {
            Self::Coap => 0,
            Self::Coaps => 1,
            Self::Http => 2,
            Self::Https => 3,
        }
    }

    /// The scheme of its URIs.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Coap => "coap",
            Self::Coaps => "coaps",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
