//! One request and its answer over a stream (RFC 9112), with limits of time and size.
//!
//! The connection is driven only while something is waited for. While the taker of a
//! package is slow nothing is read, and TCP holds the server back.

use std::error::Error;
use std::fmt::Write;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lwm2m_engine::{FetchFailure, FetchFailureKind, MAX_PART};
use tokio::time::timeout;

use super::connect::Stream;

/// A connection for one request.
pub(super) struct Exchange {
    sender: SendRequest<String>,
    connection: Driven,
}

/// `None` when it has ended.
type Driven = Option<Connection<TokioIo<Box<dyn Stream>>, String>>;

impl Exchange {
    /// Sends nothing yet.
    pub(super) async fn new(stream: Box<dyn Stream>) -> Result<Self, FetchFailure> {
        let mut builder = Builder::new();
        // One buffer, as large as a part: it bounds both the head and what is read ahead.
        builder.read_buf_exact_size(Some(MAX_HEADER));
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        Ok(Self { sender, connection: Some(connection) })
    }

    /// The head of the answer, within [`HEADER_LIMIT`]. Cancelling ends the exchange.
    pub(super) async fn ask(
        &mut self,
        request: Request<String>,
    ) -> Result<Response<Incoming>, FetchFailure> {
        let answer = alongside(&mut self.connection, self.sender.send_request(request));
        match timeout(HEADER_LIMIT, answer).await {
            Ok(answer) => answer.map_err(|error| lost(&error)),
            Err(_) => Err(silent("did not answer", HEADER_LIMIT)),
        }
    }

    /// What of the body comes next, `None` at its end; more than [`BODY_SILENCE`] must not
    /// pass before. Cancelling ends the exchange.
    pub(super) async fn bytes(
        &mut self,
        body: &mut Incoming,
    ) -> Result<Option<Bytes>, FetchFailure> {
        let bytes = async {
            loop {
                let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
                match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                    Some(Ok(Ok(bytes))) if bytes.is_empty() => {}
                    Some(Ok(Ok(bytes))) => return Ok(Some(bytes)),
                    // Trailers say nothing of the package.
                    Some(Ok(Err(_trailers))) => {}
                    Some(Err(error)) => return Err(lost(&error)),
                    None => return Ok(None),
                }
            }
        };
        match timeout(BODY_SILENCE, alongside(&mut self.connection, bytes)).await {
            Ok(bytes) => bytes,
            Err(_) => Err(silent("fell silent in the middle of the package", BODY_SILENCE)),
        }
    }
}

/// Waits for `work`, with the connection doing its part of it.
async fn alongside<T>(connection: &mut Driven, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Some(driven) = connection
            && let Poll::Ready(_) = Pin::new(driven).poll(cx)
        {
            // How it ended, the work is told.
            *connection = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}

fn lost(error: &hyper::Error) -> FetchFailure {
    let what = match error.is_parse() {
        true => "the answer of the server is not HTTP as it should be",
        false => "the connection was lost",
    };
    let mut cause = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        // To write into a String cannot fail.
        let _ = write!(cause, ": {error}");
        source = error.source();
    }
    FetchFailure::new(FetchFailureKind::Lost, cause)
}

fn silent(what: &str, limit: Duration) -> FetchFailure {
    let cause = format!("the server {what} for {} s", limit.as_secs());
    FetchFailure::new(FetchFailureKind::Lost, cause)
}

/// Time from the request to the end of the head of its answer.
pub const HEADER_LIMIT: Duration = Duration::from_secs(30);

/// Time in which at least one byte of a package must come.
pub const BODY_SILENCE: Duration = Duration::from_secs(60);

/// Longest head of an answer in bytes; it has at most 100 fields.
pub const MAX_HEADER: usize = MAX_PART;
