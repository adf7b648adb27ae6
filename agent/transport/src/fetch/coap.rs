//! Packages over CoAP and CoAPS (RFC 7252 6, RFC 7959; `/5/0/8` 0 and 1): the machine of
//! the engine over a link of its own.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};

use lwm2m_engine::{
    CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget, FetchFailure, FetchFailureKind,
    Fetched, LinkId, Resume,
};
use tokio::sync::mpsc;

use super::reference::remove_dots;
use super::{Origin, PackageScheme, PackageUri, unwanted};
use crate::uri::percent_decoded;
use crate::{
    BootTimer, DownKind, Host, LinkEvent, LinkSecurity, Links, LinksConfig, MAX_URI, clock,
};

use FetchFailureKind::{InvalidUri, Lost, UnsupportedScheme};

/// The source of packages whose URI is of CoAP.
#[derive(Debug, Default)]
pub struct CoapSource {
    credentials: HashMap<Origin, LinkSecurity>,
    config: LinksConfig,
}

impl CoapSource {
    /// A source that proves itself to these origins of `coaps`; at others a handshake has
    /// no key to begin with.
    pub fn new(credentials: HashMap<Origin, LinkSecurity>) -> Self {
        Self { credentials, config: LinksConfig::default() }
    }

    /// One attempt to fetch the package at `uri`, from where `resume` says if its ETag is
    /// still that of the package.
    ///
    /// `out` may be as small as one; while it is full no more is asked for than two parts
    /// hold. The future may be dropped at any time, and its sockets are closed then.
    ///
    /// # Errors
    ///
    /// What went wrong. After it, what came is good: an attempt with a [`Resume`] at its
    /// end may follow if the failure is [`FetchFailureKind::Lost`]. It is that too when
    /// nobody takes what comes out.
    pub async fn fetch(
        &self,
        uri: &str,
        resume: Option<Resume>,
        out: mpsc::Sender<Fetched>,
    ) -> Result<(), FetchFailure> {
        let place = Place::read(uri)?;
        let security = self.security(&place.origin)?;
        let system = |error: io::Error| FetchFailure::new(Lost, error.to_string());
        let seed = seed().map_err(system)?;
        let mut attempt = Attempt {
            server: format!("{}", place.origin),
            security,
            links: Links::new(self.config.clone()),
            timer: BootTimer::new().map_err(system)?,
            fetch: CoapFetch::new(place.target, resume, seed),
        };
        attempt.run(&out).await
    }

    fn security(&self, origin: &Origin) -> Result<LinkSecurity, FetchFailure> {
        if origin.scheme() == PackageScheme::Coap {
            return Ok(LinkSecurity::NoSec);
        }
        self.credentials.get(origin).cloned().ok_or_else(|| {
            let cause = format!("no credentials are configured for {origin}");
            FetchFailure::new(InvalidUri, cause)
        })
    }
}

/// What a URI names: a server, and what to ask it for.
struct Place {
    origin: Origin,
    target: CoapTarget,
}

impl Place {
    fn read(uri: &str) -> Result<Self, FetchFailure> {
        let invalid = |cause: &str| FetchFailure::new(InvalidUri, cause);
        let package = PackageUri::parse(uri)?;
        let origin = package.origin().clone();
        if !matches!(origin.scheme(), PackageScheme::Coap | PackageScheme::Coaps) {
            let cause = format!("{} is not fetched over CoAP", origin.scheme().name());
            return Err(FetchFailure::new(UnsupportedScheme, cause));
        }
        // A segment has 255 bytes at most, and all have to fit a datagram (RFC 7252 5.10).
        if uri.len() > MAX_URI {
            let cause = format!("the URI has {} bytes, over CoAP {MAX_URI} are allowed", uri.len());
            return Err(FetchFailure::new(InvalidUri, cause));
        }
        // RFC 7252 6.4, step 4: there is no such thing.
        if uri.contains('#') {
            return Err(invalid("the URI has a fragment, which CoAP does not have"));
        }
        let undecodable = || invalid("the URI has a % without two hex digits, or is not UTF-8");
        let (path, query) = match package.target().split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (package.target(), None),
        };
        let decoded = |part: &str| percent_decoded(part).ok_or_else(undecodable);
        let query = query.into_iter().flat_map(|query| query.split('&')).map(decoded);
        let host = match origin.host() {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        };
        let (path, query) = (segments(path, decoded)?, query.collect::<Result<_, _>>()?);
        Ok(Self { origin, target: CoapTarget { host, path, query } })
    }
}

/// The segments of a path that begins with a slash, without `.` and `..`, which no Uri-Path
/// may be (RFC 7252 5.10.1), not even encoded. A slash alone is no segment.
fn segments(
    path: &str,
    decoded: impl Fn(&str) -> Result<String, FetchFailure>,
) -> Result<Vec<String>, FetchFailure> {
    let decoded: Result<Vec<String>, _> = path.split('/').skip(1).map(decoded).collect();
    let mut segments = remove_dots(decoded?);
    if segments.iter().all(String::is_empty) && segments.len() == 1 {
        segments.clear();
    }
    Ok(segments)
}

/// One attempt.
struct Attempt {
    /// The URI of the server alone.
    server: String,
    security: LinkSecurity,
    links: Links,
    timer: BootTimer,
    fetch: CoapFetch,
}

impl Attempt {
    async fn run(&mut self, out: &mpsc::Sender<Fetched>) -> Result<(), FetchFailure> {
        let mut handing_out = None;
        loop {
            if let Some(end) = self.carry_out(&mut handing_out) {
                return end;
            }
            let Self { links, timer, fetch, .. } = self;
            timer.arm(links.next_timeout().into_iter().chain(fetch.next_timeout()).min());
            let mut on = |event: LinkEvent<'_>| fetch.handle(clock::boot(), input(event));
            tokio::select! {
                () = links.next(&mut on) => {}
                () = timer.fired() => {
                    let now = clock::boot();
                    links.handle_timeout(now);
                    fetch.handle(now, CoapFetchInput::Time);
                }
                permit = out.reserve(), if handing_out.is_some() => {
                    let (Ok(permit), Some(fetched)) = (permit, handing_out.take()) else {
                        return Err(unwanted());
                    };
                    permit.send(fetched);
                    fetch.handle(clock::boot(), CoapFetchInput::Taken);
                }
                () = out.closed(), if handing_out.is_none() => return Err(unwanted()),
            }
        }
    }

    /// Does what the machine wants done; gives how the attempt ends, if it does.
    fn carry_out(&mut self, handing_out: &mut Option<Fetched>) -> Option<Result<(), FetchFailure>> {
        while let Some(output) = self.fetch.poll_output() {
            match output {
                CoapFetchOutput::OpenLink => {
                    self.links.open(LINK, NO_ACCOUNT, &self.server, self.security.clone());
                }
                CoapFetchOutput::Transmit(bytes) => self.links.send(LINK, bytes),
                CoapFetchOutput::Fetched(fetched) => *handing_out = Some(fetched),
                CoapFetchOutput::End(end) => {
                    self.links.flush();
                    self.links.close(LINK);
                    return Some(end);
                }
            }
        }
        self.links.flush();
        None
    }
}

fn input(event: LinkEvent<'_>) -> CoapFetchInput<'_> {
    match event {
        LinkEvent::Up { max_datagram, .. } => CoapFetchInput::LinkUp { max_datagram },
        LinkEvent::Datagram { bytes, .. } => CoapFetchInput::Datagram(bytes),
        LinkEvent::Down { kind, reason, .. } => {
            let kind = match kind {
                DownKind::NoSuchName => InvalidUri,
                DownKind::Failed => Lost,
            };
            CoapFetchInput::LinkDown(FetchFailure::new(kind, reason))
        }
    }
}

/// Tokens must not be guessed (RFC 7252 5.3.1).
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// The only link of an attempt.
const LINK: LinkId = LinkId(1);

/// Its server has no account; the number only names it in the memory of the links.
const NO_ACCOUNT: u16 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7252 6.4; TRN-121.
    #[test]
    fn a_uri_becomes_a_server_and_options() {
        for (uri, server, host, path, query) in [
            ("coap://h", "coap://h", Some("h"), &[][..], &[][..]),
            ("coap://H/", "coap://h", Some("h"), &[], &[]),
            ("coap://192.0.2.1:99/fw", "coap://192.0.2.1:99", None, &["fw"], &[]),
            ("coaps://[::1]/a/b/", "coaps://[::1]", None, &["a", "b", ""], &[]),
            ("coap://h:5683/a//b", "coap://h", Some("h"), &["a", "", "b"], &[]),
            ("coap://h//", "coap://h", Some("h"), &["", ""], &[]),
            ("coap://h/%7Efw/%C3%9F%2F", "coap://h", Some("h"), &["~fw", "ß/"], &[]),
            ("coap://h/a/./b/../c", "coap://h", Some("h"), &["a", "c"], &[]),
            ("coap://h/a/%2e%2E/..", "coap://h", Some("h"), &[], &[]),
            ("coap://h/a/b/..", "coap://h", Some("h"), &["a", ""], &[]),
            ("coap://h?a=1&b", "coap://h", Some("h"), &[], &["a=1", "b"]),
            ("coap://h/x?%26&?/&", "coap://h", Some("h"), &["x"], &["&", "?/", ""]),
        ] {
            let place = Place::read(uri).unwrap();
            assert_eq!(place.origin.to_string(), server, "{uri}");
            assert_eq!(place.target.host.as_deref(), host, "{uri}");
            assert_eq!(place.target.path, path, "{uri}");
            assert_eq!(place.target.query, query, "{uri}");
        }
    }

    #[test]
    fn a_uri_that_is_none_of_coap_is_refused() {
        let long = format!("coap://h/{}", "a".repeat(247));
        for (uri, kind, cause) in [
            ("http://h/x", UnsupportedScheme, "http is not fetched over CoAP"),
            ("ftp://h/x", UnsupportedScheme, "the URI scheme \"ftp\" is not supported"),
            ("coap://h/x#y", InvalidUri, "the URI has a fragment, which CoAP does not have"),
            ("coap://h/%4", InvalidUri, "the URI has a % without two hex digits, or is not UTF-8"),
            ("coap://h/?%FF", InvalidUri, "the URI has a % without two hex digits"),
            ("coap:///x", InvalidUri, "the URI names no host"),
            (&long, InvalidUri, "the URI has 256 bytes, over CoAP 255 are allowed"),
        ] {
            let failure = Place::read(uri).err().unwrap();
            assert_eq!(failure.kind, kind, "{uri}");
            assert!(failure.cause.starts_with(cause), "{uri}: {failure}");
        }
    }

    #[test]
    fn the_future_may_go_to_another_thread() {
        fn is_send(_: impl Send) {}
        let source = CoapSource::default();
        is_send(source.fetch("coap://h", None, mpsc::channel(1).0));
    }
}
