//! A source of news that is open while somebody wants it.

use std::future::pending;
use std::io;

/// Whether anything is observed that a source tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    No,
}

/// A source that is open while it is wanted.
#[derive(Debug, Default)]
pub(crate) enum Source<T> {
    #[default]
    Closed,
    Open(T),
    /// Not tried again until it is wanted anew: samples must do.
    Failed,
}

impl<T> Source<T> {
    /// Opens or closes it; a failure goes to the log under `name`.
    pub(crate) fn set(&mut self, wanted: Wanted, open: impl FnOnce() -> io::Result<T>, name: &str) {
        match (&self, wanted) {
            (Self::Closed, Wanted::Yes) => {
                *self = match open() {
                    Ok(source) => Self::Open(source),
                    Err(error) => {
                        tracing::warn!(%error, "cannot open the {name}");
                        Self::Failed
                    }
                }
            }
            (_, Wanted::No) => *self = Self::Closed,
            (Self::Open(_) | Self::Failed, Wanted::Yes) => {}
        }
    }

    /// Waits for news; for ever if the source is not open. Cancel safe if `next` is.
    pub(crate) async fn wait(&mut self, next: impl AsyncFnOnce(&T) -> io::Result<()>) {
        let Self::Open(source) = self else {
            return pending().await;
        };
        if let Err(error) = next(source).await {
            tracing::warn!(%error, "a source of news failed");
            *self = Self::Failed;
        }
    }
}
