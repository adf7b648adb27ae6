//! The task that looks while a collection runs. It has a timer only for the end of the
//! period, and for samples while somebody observes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::collection::{Collection, Kept, Running};
use super::gauge::Gauge;
use super::record::Keeper;
use super::{COUNTED, resource};
use crate::ObjectMessage;
use crate::observed::at;
use crate::source::{Source, Wanted};
use crate::sources::network::NetworkWatch;

/// What the object and its tasks share.
pub(super) struct Shared {
    pub(super) gauge: Arc<dyn Gauge>,
    /// Says when a call has changed it.
    pub(super) collection: watch::Sender<Collection>,
    /// Of two writes the second has the newer collection.
    keeper: Mutex<Keeper>,
}

impl Shared {
    pub(super) fn new(gauge: Arc<dyn Gauge>, keeper: Keeper) -> Self {
        let collection = watch::Sender::new(keeper.load());
        Self { gauge, collection, keeper: Mutex::new(keeper) }
    }

    /// Adds what came since the last look; the collector has no need to know.
    pub(super) fn look(&self) -> Kept {
        let mut kept = Kept::Good;
        self.collection.send_if_modified(|collection| {
            if collection.running.is_some() {
                // Read with the collection in hand: what is older than the last look
                // would pass for counters that began anew.
                let readings = self.gauge.readings().inspect_err(|error| {
                    tracing::debug!(%error, "cannot look at the network");
                });
                kept = collection.look(readings.as_deref().ok(), self.gauge.since_boot());
            }
            false
        });
        kept
    }

    /// Writes the collection as it is now, durable when it returns. A directory that
    /// cannot be written costs what a restart leaves of it, not the collection.
    pub(super) async fn keep(&self) {
        let keeper = self.keeper.lock().await;
        let (own, collection) = (keeper.clone(), self.collection.borrow().clone());
        let saved = spawn_blocking(move || own.save(collection)).await;
        if let Err(error) = saved.unwrap_or_else(|error| Err(error.into())) {
            tracing::warn!(%error, "connectivity statistics cannot be kept for a restart");
        }
    }
}

/// The task.
pub(super) struct Collector {
    shared: Arc<Shared>,
    changed: watch::Receiver<Collection>,
    interval: watch::Receiver<Option<Duration>>,
    out: mpsc::Sender<ObjectMessage>,
}

impl Collector {
    /// `interval` is that of the shortest observation, `out` the channel of the host.
    pub(super) fn new(
        shared: Arc<Shared>,
        interval: watch::Receiver<Option<Duration>>,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let changed = shared.collection.subscribe();
        Self { shared, changed, interval, out }
    }

    /// Looks until the object is gone.
    pub(super) async fn run(mut self) {
        let mut news: Source<NetworkWatch> = Source::default();
        let mut told = [0; COUNTED.len()];
        let mut next: Option<Instant> = None;
        loop {
            let running = self.changed.borrow_and_update().running;
            let interval = *self.interval.borrow_and_update();
            // A link that goes takes its counters along: look before others follow.
            let wanted = if running.is_some() { Wanted::Yes } else { Wanted::No };
            news.set(wanted, || self.shared.gauge.news(), "watch of the network");
            let sample = interval.filter(|_| running.is_some());
            next = sample.map(|interval| {
                let planned = Instant::now() + interval;
                next.map_or(planned, |next| next.min(planned))
            });
            let end = running.and_then(|running| self.end(running));
            tokio::select! {
                Ok(()) = self.changed.changed() => {}
                more = self.interval.changed() => match more {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = news.wait(async |news| news.changed().await) => {}
                () = at(next) => next = None,
                () = at(end) => {}
            }
            if self.shared.look() == Kept::Old {
                self.shared.keep().await;
            }
            let now = {
                let collection = self.shared.collection.borrow();
                let counters = &collection.counters;
                [counters.sent(), counters.received(), counters.average()]
            };
            let before = std::mem::replace(&mut told, now);
            let values = COUNTED.into_iter().zip(before.into_iter().zip(now));
            for (id, _) in values.filter(|(_, (before, now))| interval.is_some() && before != now) {
                if self.out.send(ObjectMessage::Changed(resource(id))).await.is_err() {
                    return;
                }
            }
        }
    }

    /// When the period is over; later by what the machine is suspended meanwhile.
    fn end(&self, running: Running) -> Option<Instant> {
        let left = running.until?.saturating_sub(self.shared.gauge.since_boot());
        Some(Instant::now() + left)
    }
}
