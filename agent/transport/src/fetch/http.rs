//! Packages over HTTP/1.1 and HTTPS (RFC 9110, RFC 9112; `/5/0/8` 2 and 3).
//!
//! 1. A GET of the URI; for the rest alone if something is stored (Range, If-Range).
//! 2. A redirect is followed, with the credentials of its own origin and no others.
//! 3. The answer is judged; one that cannot be gone on with is asked for as a whole.
//! 4. The body is handed over part by part, as fast as it is taken.

use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HOST, IF_RANGE, RANGE, USER_AGENT,
};
use hyper::{Request, Response};
use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, MAX_PART, Resume};
use tokio::sync::mpsc;

use super::answer::{Answer, Package, is_strong, judge};
use super::connect::connect;
use super::exchange::Exchange;
use super::{
    CredentialsError, OriginCredentials, PackageScheme, PackageUri, PackageUriError, unwanted,
};

use FetchFailureKind::{Damaged, InvalidUri, Lost};

/// The source of packages whose URI is of HTTP.
#[derive(Debug, Default)]
pub struct HttpFetch {
    credentials: Vec<OriginCredentials>,
}

impl HttpFetch {
    /// A source that proves itself to these origins; all others get nothing and are
    /// trusted by the system's store.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Twice`].
    pub fn new(credentials: Vec<OriginCredentials>) -> Result<Self, CredentialsError> {
        for (at, one) in credentials.iter().enumerate() {
            if credentials.iter().take(at).any(|other| other.origin() == one.origin()) {
                return Err(CredentialsError::Twice(one.origin().clone()));
            }
        }
        Ok(Self { credentials })
    }

    /// One attempt to fetch the package at `uri`, from where `resume` says if its ETag is
    /// strong and still that of the package.
    ///
    /// A package of which nothing is missing begins at its end: [`Fetched::Begin`] comes,
    /// and no part. `out` may be as small as one; while it is full nothing is read. The
    /// future may be dropped at any time, and ends the connection then.
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
        let mut resume = resume.filter(|resume| resume.offset > 0 && is_strong(&resume.etag));
        let mut at = over_http(PackageUri::parse(uri)?)?;
        let mut redirects = 0;
        loop {
            match self.ask(&at, resume.as_ref(), &out).await? {
                Next::Done => return Ok(()),
                // It follows once at most: nothing is resumed after it.
                Next::Anew => resume = None,
                Next::Redirect(location) => {
                    redirects += 1;
                    if redirects > MAX_REDIRECTS {
                        let cause = format!("more than {MAX_REDIRECTS} redirects");
                        return Err(FetchFailure::new(InvalidUri, cause));
                    }
                    at = redirected(&at, &location)?;
                }
            }
        }
    }

    /// One request.
    async fn ask(
        &self,
        uri: &PackageUri,
        resume: Option<&Resume>,
        out: &mpsc::Sender<Fetched>,
    ) -> Result<Next, FetchFailure> {
        let origin = uri.origin();
        let credentials = self.credentials.iter().find(|known| known.origin() == origin);
        let request = request(uri, resume, credentials)?;
        let mut exchange = Exchange::new(connect(origin, credentials).await?).await?;
        let (head, body) = exchange.ask(request).await.map(Response::into_parts)?;
        let length = body.size_hint().exact();
        match judge(head.status, &head.headers, length, resume)? {
            Answer::Redirect(location) => Ok(Next::Redirect(location)),
            Answer::Anew => Ok(Next::Anew),
            Answer::Complete(size) => {
                let etag = resume.map(|resume| resume.etag.clone());
                give(out, Fetched::Begin { offset: size, size: Some(size), etag }).await?;
                Ok(Next::Done)
            }
            Answer::Package(package) => {
                hand_over(exchange, body, package, out).await?;
                Ok(Next::Done)
            }
        }
    }
}

/// What follows a request.
enum Next {
    Done,
    Redirect(String),
    Anew,
}

/// Gives the body out, and judges by the end whether it was all.
async fn hand_over(
    mut exchange: Exchange,
    mut body: Incoming,
    package: Package,
    out: &mpsc::Sender<Fetched>,
) -> Result<(), FetchFailure> {
    let Package { offset, size, etag, length } = package;
    give(out, Fetched::Begin { offset, size, etag }).await?;
    let mut received: u64 = 0;
    while let Some(bytes) = exchange.bytes(&mut body).await? {
        received = received.saturating_add(bytes.len() as u64);
        if length.is_some_and(|length| received > length) {
            let cause = "the server sends more of the package than it said";
            return Err(FetchFailure::new(Damaged, cause));
        }
        for part in bytes.chunks(MAX_PART) {
            give(out, Fetched::Part(part.to_vec())).await?;
        }
    }
    let end = offset.saturating_add(received);
    match size {
        _ if end == 0 => Err(FetchFailure::new(Damaged, "the package is empty")),
        Some(size) if end < size => {
            let cause = format!("the server ended after {end} of {size} bytes");
            Err(FetchFailure::new(Lost, cause))
        }
        Some(_) | None => Ok(()),
    }
}

async fn give(out: &mpsc::Sender<Fetched>, fetched: Fetched) -> Result<(), FetchFailure> {
    let given = out.send(fetched).await;
    given.map_err(|_| unwanted())
}

fn request(
    uri: &PackageUri,
    resume: Option<&Resume>,
    credentials: Option<&OriginCredentials>,
) -> Result<Request<String>, FetchFailure> {
    let mut request = Request::get(uri.target())
        .header(HOST, uri.origin().authority())
        .header(USER_AGENT, concat!("lwm2md/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close");
    if let Some(Resume { offset, etag }) = resume {
        request = request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, &**etag);
    }
    if let Some(authorization) = credentials.and_then(OriginCredentials::authorization) {
        request = request.header(AUTHORIZATION, authorization);
    }
    request.body(String::new()).map_err(|error| {
        FetchFailure::new(InvalidUri, format!("{uri} cannot be asked for: {error}"))
    })
}

fn redirected(from: &PackageUri, location: &str) -> Result<PackageUri, FetchFailure> {
    let to = from.join(location).map_err(|error| {
        let FetchFailure { kind, cause } = error.into();
        FetchFailure::new(kind, format!("{from} redirects to what cannot be fetched: {cause}"))
    })?;
    let to = over_http(to)?;
    match (from.origin().scheme(), to.origin().scheme()) {
        (PackageScheme::Https, PackageScheme::Http) => Err(FetchFailure::new(
            InvalidUri,
            format!("{from} redirects to {to}, which is not secured"),
        )),
        _ => Ok(to),
    }
}

/// The URI, if this source can ask for it.
fn over_http(uri: PackageUri) -> Result<PackageUri, FetchFailure> {
    match uri.origin().scheme() {
        PackageScheme::Http | PackageScheme::Https => Ok(uri),
        other @ (PackageScheme::Coap | PackageScheme::Coaps) => {
            Err(PackageUriError::Scheme(other.name().to_owned()).into())
        }
    }
}

/// Redirects that are followed.
pub const MAX_REDIRECTS: usize = 5;
