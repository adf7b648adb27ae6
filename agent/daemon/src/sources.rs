//! Where packages are fetched from (`/5/0/1`): each protocol with what is configured for
//! its origins.

use std::collections::HashMap;
use std::path::Path;

use lwm2m_engine::{FetchFailure, Fetched, Resume};
use lwm2m_firmware::{Failure, Fetcher, Protocol, Reason, StreamAccess, StreamOrigins};
use lwm2m_security::KeySource;
use lwm2m_transport::{CoapSource, HttpFetch, LinkSecurity, Origin, PackageScheme, PackageUri};
use tokio::sync::mpsc::Sender;

use crate::config::{Config, ConfigError, DownloadSettings, PackageSource};

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

/// What an installer is told that reads packages itself.
#[derive(Debug)]
pub(crate) struct Streams(HashMap<Origin, StreamAccess>);

impl Streams {
    /// What is configured, if packages are to be streamed.
    pub(crate) fn of(settings: &DownloadSettings) -> Option<Self> {
        let access = |source: &PackageSource| {
            let certificate = source.certificate.as_ref();
            StreamAccess {
                ca: source.ca.clone(),
                certificate: certificate.map(|it| it.file.clone()),
                key: certificate.and_then(|it| match &it.key.source {
                    KeySource::File(path) => Some(path.clone()),
                    // Refused with the configuration.
                    _ => None,
                }),
            }
        };
        let of = |source: &PackageSource| (source.origin.clone(), access(source));
        settings.streaming.then(|| Self(settings.sources.iter().map(of).collect()))
    }
}

impl StreamOrigins for Streams {
    fn access(&self, uri: &str) -> Result<StreamAccess, Failure> {
        let uri = PackageUri::parse(uri);
        let uri = uri.map_err(|error| Failure::new(Reason::InvalidUri, error.to_string()))?;
        Ok(self.0.get(uri.origin()).cloned().unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// OBJ-95: what is configured for an origin goes nowhere else.
    #[test]
    fn an_installer_is_told_of_the_origin_of_the_uri_alone() {
        let ca = StreamAccess { ca: Some("/ca.pem".into()), ..StreamAccess::default() };
        let origin = Origin::parse("https://h").unwrap();
        let streams = Streams(HashMap::from([(origin, ca.clone())]));
        for (uri, access) in [
            ("https://H:443/x?y", ca),
            ("https://h:8443/x", StreamAccess::default()),
            ("http://h/x", StreamAccess::default()),
            ("https://h.example/x", StreamAccess::default()),
        ] {
            assert_eq!(streams.access(uri), Ok(access), "{uri}");
        }
        let failure = streams.access("https://u:s3cret@h/x").unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidUri);
        assert!(!failure.cause.contains("s3cret"), "{failure:?}");
        let without = DownloadSettings::default();
        assert!(Streams::of(&without).is_none());
        assert!(Streams::of(&DownloadSettings { streaming: true, ..without }).is_some());
    }
}
