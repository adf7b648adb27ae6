//! Where packages are fetched from (`/5/0/1`): each protocol with what is configured for
//! its origins.

use std::collections::HashMap;
use std::path::Path;

use lwm2m_engine::{FetchFailure, Fetched, Resume};
use lwm2m_firmware::{Fetcher, Protocol};
use lwm2m_transport::{CoapSource, HttpFetch, LinkSecurity, Origin, PackageScheme, PackageUri};
use tokio::sync::mpsc::Sender;

use crate::config::{Config, ConfigError};

/// All sources of this build.
#[derive(Debug)]
pub(crate) struct Sources {
    protocols: Vec<Protocol>,
    coap: CoapSource,
    http: HttpFetch,
}

impl Sources {
    /// Without credentials for any origin.
    pub(crate) fn without_credentials() -> Self {
        Self::new(HashMap::new(), HttpFetch::default())
    }

    /// With the keys that the configuration names.
    ///
    /// # Errors
    /// Every key that cannot be had; content is never quoted.
    pub(crate) fn load(
        config: &Config,
        directory: Option<&Path>,
    ) -> Result<Self, Vec<ConfigError>> {
        let (mut coaps, mut http, mut errors) = (HashMap::new(), Vec::new(), Vec::new());
        for server in &config.servers {
            // The errors of a server's key are told where the accounts are.
            if let (Ok(origin), Ok(Some(psk))) =
                (origin_of(&server.account.uri), server.credentials(directory))
            {
                // Of two accounts at one server any will do.
                coaps.entry(origin).or_insert(LinkSecurity::Psk(psk));
            }
        }
        for source in &config.downloads.sources {
            if let Some(psk) = &source.psk {
                match psk.load(directory) {
                    Ok(psk) => drop(coaps.insert(source.origin.clone(), LinkSecurity::Psk(psk))),
                    Err(error) => errors.push(error),
                }
            }
            match source.http(directory) {
                Ok(credentials) => http.extend(credentials),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Each origin is configured once.
        Ok(Self::new(coaps, HttpFetch::new(http).unwrap_or_default()))
    }

    fn new(coaps: HashMap<Origin, LinkSecurity>, http: HttpFetch) -> Self {
        Self { protocols: protocols(!coaps.is_empty()), coap: CoapSource::new(coaps), http }
    }
}

impl Fetcher for Sources {
    fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    async fn fetch(
        &self,
        uri: &str,
        resume: Option<Resume>,
        out: Sender<Fetched>,
    ) -> Result<(), FetchFailure> {
        match PackageUri::parse(uri)?.origin().scheme() {
            PackageScheme::Coap | PackageScheme::Coaps => self.coap.fetch(uri, resume, out).await,
            PackageScheme::Http | PackageScheme::Https => self.http.fetch(uri, resume, out).await,
        }
    }
}

/// Whether packages may come from where a key is: `coaps` works with a key alone.
pub(crate) fn protocols(has_coaps: bool) -> Vec<Protocol> {
    let all = [Protocol::Coap, Protocol::Coaps, Protocol::Http, Protocol::Https];
    all.into_iter().filter(|protocol| has_coaps || *protocol != Protocol::Coaps).collect()
}

fn origin_of(server: &str) -> Result<Origin, FetchFailure> {
    Ok(PackageUri::parse(server)?.origin().clone())
}
