//! One attempt at a package that is fetched: the task of the source, and what it has
//! found, of which one part waits.

use std::sync::Arc;

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, Resume};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{Event, Fetcher, Ticket};

/// An attempt that ends with this value at the latest.
pub(crate) struct Attempt {
    ticket: Ticket,
    found: mpsc::Receiver<Fetched>,
    /// The one task.
    source: JoinSet<Result<(), FetchFailure>>,
}

impl Attempt {
    pub(crate) fn begin<F: Fetcher>(
        fetcher: Arc<F>,
        ticket: Ticket,
        uri: String,
        resume: Option<Resume>,
    ) -> Self {
        // One part waits for the disk, and the source holds the next one.
        let (out, found) = mpsc::channel(1);
        let mut source = JoinSet::new();
        source.spawn(async move { fetcher.fetch(&uri, resume, out).await });
        Self { ticket, found, source }
    }

    /// What comes next; for ever nothing where there is no attempt, or after its end.
    /// Nothing is lost if it is dropped half-way.
    pub(crate) async fn next(attempt: &mut Option<Self>) -> Event {
        let Some(Self { ticket, found, source }) = attempt else {
            return std::future::pending().await;
        };
        // The end comes after all that was found.
        if let Some(fetched) = found.recv().await {
            return Event::Fetched(*ticket, fetched);
        }
        let result = match source.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(FetchFailure::new(FetchFailureKind::Lost, error.to_string())),
            None => return std::future::pending().await,
        };
        Event::FetchEnded(*ticket, result)
    }
}
