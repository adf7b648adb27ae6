//! From an origin to a stream to it: each address of the host in turn, then TLS.

use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_engine::{FetchFailure, FetchFailureKind};
use lwm2m_security::{TlsClient, Trust};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::{Origin, OriginCredentials, PackageScheme};
use crate::resolve::is_no_such_name;
use crate::{reason, resolve};

/// What HTTP is spoken over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects to `origin`, in [`CONNECT_LIMIT`] altogether. Safe to cancel; a lookup or a
/// reading of files that was begun runs to its end.
pub(super) async fn connect(
    origin: &Origin,
    credentials: Option<&OriginCredentials>,
) -> Result<Box<dyn Stream>, FetchFailure> {
    let deadline = Instant::now() + CONNECT_LIMIT;
    let host = origin.host().bare();
    let found = timeout_at(deadline, resolve(&host, origin.port(), None)).await;
    let addresses = match found {
        Err(_) => return Err(lost(format!("cannot resolve {host}: no answer"))),
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            let missing = is_no_such_name(&error);
            let kind = if missing { FetchFailureKind::InvalidUri } else { FetchFailureKind::Lost };
            return Err(FetchFailure::new(kind, reason::unresolved(origin.host(), &error)));
        }
    };
    let tls = match origin.scheme() {
        PackageScheme::Https | PackageScheme::Coaps => Some(tls_client(credentials).await?),
        PackageScheme::Http | PackageScheme::Coap => None,
    };
    one_of(addresses, &host, tls.as_ref(), deadline).await
}

/// The first of `addresses` that answers; the time left is shared among them, so that one
/// that is silent does not use up that of the others.
async fn one_of(
    addresses: Vec<SocketAddr>,
    host: &str,
    tls: Option<&TlsClient>,
    deadline: Instant,
) -> Result<Box<dyn Stream>, FetchFailure> {
    let mut failures = Vec::new();
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        let failure = match timeout_at(now + share, to_address(address, host, tls)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failure)) => failure,
            Err(_) => format!("no answer from {address} in {:.0} s", share.as_secs_f64()),
        };
        failures.push((address, failure));
    }
    Err(lost(reason::all_failed(failures)))
}

async fn to_address(
    address: SocketAddr,
    host: &str,
    tls: Option<&TlsClient>,
) -> Result<Box<dyn Stream>, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| reason::unreachable(address, &error))?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => {
            let secured = tls.connect(host, stream).await;
            Ok(Box::new(secured.map_err(|error| format!("{host}: {error}"))?))
        }
    }
}

/// Made for each connection: the files are read as they are by then, and what was read
/// stays in memory only as long as a package comes.
async fn tls_client(credentials: Option<&OriginCredentials>) -> Result<TlsClient, FetchFailure> {
    let trust = credentials.map_or(Trust::System, |credentials| credentials.trust().clone());
    let certificate = credentials.and_then(|credentials| credentials.certificate().cloned());
    let client = spawn_blocking(move || TlsClient::new(&trust, certificate.as_ref())).await;
    let client = client.map_err(|error| lost(format!("TLS could not be set up: {error}")))?;
    client.map_err(|error| lost(error.to_string()))
}

fn lost(cause: String) -> FetchFailure {
    FetchFailure::new(FetchFailureKind::Lost, cause)
}

/// Time for the lookup, the connection and its TLS handshake together.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn soon() -> Instant {
        Instant::now() + CONNECT_LIMIT
    }

    #[tokio::test]
    async fn each_address_is_tried_until_one_answers() {
        let (closed, (open, there)) = (listener().await, listener().await);
        let nowhere = closed.1;
        drop(closed);
        let stream = one_of(vec![nowhere, there, nowhere], "h", None, soon()).await;
        assert!(stream.is_ok());
        open.accept().await.unwrap();
        let Err(failure) = one_of(vec![nowhere, nowhere], "h", None, soon()).await else {
            panic!("nothing listens there");
        };
        assert_eq!(failure.kind, FetchFailureKind::Lost);
        let both = format!("{nowhere}: the port is closed: nothing listens at {nowhere}");
        assert_eq!(failure.cause, format!("no address answers: {both}; {both}"));
    }

    /// The first says nothing to TLS, so half of the time is left for the second.
    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_silent_leaves_time_for_the_others() {
        let (silent, second) = (listener().await, listener().await);
        let tls = TlsClient::new(&Trust::System, None).unwrap();
        let begun = Instant::now();
        let accepted = async {
            let first = silent.0.accept().await.unwrap();
            let second = second.0.accept().await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), 15);
            (first, second)
        };
        let addresses = vec![silent.1, second.1];
        let attempt = one_of(addresses, "h", Some(&tls), begun + CONNECT_LIMIT);
        let (Err(failure), _) = tokio::join!(attempt, accepted) else {
            panic!("nobody speaks TLS");
        };
        assert_eq!(begun.elapsed().as_secs(), 30);
        assert_eq!(failure.cause.matches("in 15 s").count(), 2, "{failure}");
    }
}
