//! An installation under way, followed by the signals of the service.
//!
//! 1. Subscribed: signals of the one process that will be called, and its leaving.
//! 2. Started: that process has answered the call. A `Completed` from before belongs
//!    to somebody else's installation and is dropped.
//! 3. Progress, as often as the service tells it.
//! 4. `Completed`, or the process or the bus is gone: finished.

use std::collections::HashMap;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use zbus::match_rule::Builder;
use zbus::message::{Sequence, Type};
use zbus::names::OwnedUniqueName;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant};

use crate::error::{Error, Result};
use crate::installer::{INTERFACE, LAST_ERROR, PATH, PROPERTIES, last_error_of};
use crate::status::Progress;
use crate::value::{sentence, text};

/// An installation that RAUC has started.
///
/// Poll it with [`Installation::next`] until it ends: the connection stalls once 512
/// signals wait here, several times what an installation sends. Dropping it stops the
/// watching, not RAUC.
#[derive(Debug)]
pub struct Installation {
    connection: Connection,
    owner: OwnedUniqueName,
    signals: MessageStream,
    departures: MessageStream,
    /// The process is gone, but what it said before is read first.
    is_owner_gone: bool,
    /// When the service answered the call.
    start: Sequence,
    /// What the signals have told of `LastError`.
    last_error: Option<String>,
    /// `Completed` has come, with success or not.
    completed: Option<bool>,
    is_finished: bool,
    left_out: Vec<&'static str>,
}

/// What an installation tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// It has ended; nothing follows.
    Finished(Outcome),
}

/// How an installation has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The slots are written and, unless RAUC is configured otherwise, the next to boot.
    Installed,
    /// It failed. The slots that were to be written may be unusable; the running
    /// system is untouched.
    Failed {
        /// The sentence of RAUC, at most 4 KiB, for the log.
        last_error: Option<String>,
    },
    /// The service left the bus before it said how it went. The slots that were being
    /// written are in an unknown state; a service that returns knows nothing of it.
    ServiceDied,
    /// Our connection to the bus has ended. The service may go on or not.
    BusLost,
}

impl Installation {
    /// The next event; `None` after [`Event::Finished`].
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        while !self.is_finished {
            if let Some(is_success) = self.completed {
                let outcome = match is_success {
                    true => Outcome::Installed,
                    false => Outcome::Failed { last_error: self.cause().await },
                };
                return Some(self.finish(outcome));
            }
            match poll_fn(|context| self.poll_news(context)).await {
                News::Signal(message) => {
                    if let Some(progress) = self.take(&message) {
                        return Some(Event::Progress(progress));
                    }
                }
                News::OwnerGone => return Some(self.finish(Outcome::ServiceDied)),
                News::BusLost => return Some(self.finish(Outcome::BusLost)),
            }
        }
        None
    }

    /// Waits for the end and passes over the progress.
    ///
    /// Cancel safe: call it again, or [`Installation::next`]. After the end it gives
    /// `None`.
    pub async fn outcome(&mut self) -> Option<Outcome> {
        while let Some(event) = self.next().await {
            if let Event::Finished(outcome) = event {
                return Some(outcome);
            }
        }
        None
    }

    /// The keys of [`InstallOptions`](crate::InstallOptions) that were left out since
    /// this version of RAUC does not know them.
    pub fn left_out(&self) -> &[&'static str] {
        &self.left_out
    }

    /// Subscribes; to be called before the installation is started.
    pub(crate) async fn watch(connection: &Connection, owner: OwnedUniqueName) -> Result<Self> {
        let failed = |source| Error::Bus { member: "AddMatch", source };
        // One stream for all signals keeps their order.
        let signals = signals_of(owner.as_str()).path(PATH).build().map_err(failed)?;
        let departures = signals_of(BUS)
            .interface(BUS)
            .member("NameOwnerChanged")
            .arg(0, owner.as_str())
            .build()
            .map_err(failed)?;
        Ok(Self {
            connection: connection.clone(),
            signals: MessageStream::for_match_rule(signals, connection, QUEUE)
                .await
                .map_err(failed)?,
            departures: MessageStream::for_match_rule(departures, connection, None)
                .await
                .map_err(failed)?,
            owner,
            is_owner_gone: false,
            start: Sequence::default(),
            last_error: None,
            completed: None,
            is_finished: false,
            left_out: Vec::new(),
        })
    }

    /// The service has answered with `reply`. It answers before it can end, since both
    /// happen in its main loop.
    pub(crate) fn started(self, reply: &Message, left_out: Vec<&'static str>) -> Self {
        Self { start: reply.recv_position(), left_out, ..self }
    }

    fn finish(&mut self, outcome: Outcome) -> Event {
        self.is_finished = true;
        Event::Finished(outcome)
    }

    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<News> {
        if let Poll::Ready(news) = self.poll_signal(context) {
            return Poll::Ready(news);
        }
        if !self.is_owner_gone {
            match Pin::new(&mut self.departures).poll_next(context) {
                Poll::Ready(Some(Ok(_))) => self.is_owner_gone = true,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(News::BusLost),
                Poll::Pending => return Poll::Pending,
            }
        }
        // What the bus delivered before the departure is in the other stream by now,
        // also if it was not a moment ago.
        match self.poll_signal(context) {
            Poll::Pending => Poll::Ready(News::OwnerGone),
            ready => ready,
        }
    }

    fn poll_signal(&mut self, context: &mut Context<'_>) -> Poll<News> {
        Pin::new(&mut self.signals).poll_next(context).map(|item| match item {
            Some(Ok(message)) => News::Signal(message),
            Some(Err(_)) | None => News::BusLost,
        })
    }

    /// Takes notice of a signal; progress is passed on.
    fn take(&mut self, message: &Message) -> Option<Progress> {
        let header = message.header();
        let interface = header.interface()?.as_str();
        let member = header.member()?.as_str();
        if interface == INTERFACE && member == "Completed" {
            if message.recv_position() > self.start {
                // Anything but a clear success is none.
                self.completed = Some(message.body().deserialize::<i32>().is_ok_and(|r| r == 0));
            }
            return None;
        }
        if interface != PROPERTIES || member != "PropertiesChanged" {
            return None;
        }
        let body = message.body();
        let (of, changed, _): (String, HashMap<String, OwnedVariant>, Vec<String>) =
            body.deserialize().ok()?;
        if of != INTERFACE {
            return None;
        }
        if let Some(value) = changed.get(LAST_ERROR) {
            self.last_error = text(value).as_deref().map(sentence);
        }
        changed.get("Progress").and_then(|value| Progress::of(value))
    }

    /// Why it failed. The signals tell it in order with the end, so another client's
    /// next installation cannot have emptied it yet; but a sentence that is the same
    /// as before may have caused no signal.
    async fn cause(&self) -> Option<String> {
        match &self.last_error {
            Some(sentence) => Some(sentence.clone()),
            // It may be gone by now; then there is nothing more to learn.
            None => last_error_of(&self.connection, &self.owner).await.ok().flatten(),
        }
    }
}

fn signals_of(sender: &str) -> Builder<'_> {
    MatchRule::builder().msg_type(Type::Signal).sender(sender)
}

#[derive(Debug)]
enum News {
    Signal(Message),
    OwnerGone,
    BusLost,
}

/// Signals that may wait to be read. An installation sends 20 (RAUC 1.8) to 100.
const QUEUE: Option<NonZeroUsize> = NonZeroUsize::new(512);
const BUS: &str = "org.freedesktop.DBus";
