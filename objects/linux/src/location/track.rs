//! What the task of a source and the object share: who wants fixes, the last one,
//! and the news of it.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::ObjectDef;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::fix::Fix;
use crate::ObjectMessage;
use crate::observed::{SHORTEST_INTERVAL, at};
use crate::source::Wanted;

/// Who wants fixes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    pub(super) observed: Wanted,
    /// Reads that wait for one.
    pub(super) readers: usize,
}

impl Default for Demand {
    fn default() -> Self {
        Self { observed: Wanted::No, readers: 0 }
    }
}

/// The last fix.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) fix: Fix,
    taken: Instant,
}

impl Known {
    /// True if it need not be asked for again.
    pub(super) fn is_fresh(&self) -> bool {
        self.taken.elapsed() < FRESH
    }
}

/// The side of the task.
pub(super) struct Track {
    definition: Arc<ObjectDef>,
    known: watch::Sender<Option<Known>>,
    demand: watch::Receiver<Demand>,
    out: mpsc::Sender<ObjectMessage>,
    /// The fix of the last news.
    told: Option<Fix>,
    /// When there may be news again; not set if none wait.
    due: Option<Instant>,
    last_news: Option<Instant>,
}

/// Nobody needs the task any more.
#[derive(Debug)]
pub(super) struct Gone;

impl Track {
    pub(super) fn new(
        definition: Arc<ObjectDef>,
        demand: watch::Receiver<Demand>,
        out: mpsc::Sender<ObjectMessage>,
    ) -> (Self, watch::Receiver<Option<Known>>) {
        let (known, seen) = watch::channel(None);
        let track = Self { definition, known, demand, out, told: None, due: None, last_news: None };
        (track, seen)
    }

    /// Whether the source has to be open: always before the first fix, without which
    /// there is no instance that somebody could observe.
    pub(super) fn wanted(&self) -> Wanted {
        let demand = *self.demand.borrow();
        let is_wanted = demand.observed == Wanted::Yes
            || demand.readers > 0
            || self.known.borrow().is_none()
            || self.due.is_some();
        if is_wanted { Wanted::Yes } else { Wanted::No }
    }

    /// Takes a fix. News of it follow by [`Track::changed`].
    pub(super) fn put(&mut self, fix: Fix) {
        let now = Instant::now();
        let differs = self.told.as_ref() != Some(&fix);
        self.known.send_replace(Some(Known { fix, taken: now }));
        if differs && self.due.is_none() {
            let soonest = self.last_news.map(|last| last + SHORTEST_INTERVAL);
            self.due = Some(soonest.map_or(now, |soonest| soonest.max(now)));
        }
    }

    /// Waits until somebody else wants fixes than before, telling news meanwhile.
    ///
    /// # Errors
    /// [`Gone`]. Cancel safe: news are told again if in doubt.
    pub(super) async fn changed(&mut self) -> Result<(), Gone> {
        loop {
            tokio::select! {
                changed = self.demand.changed() => return changed.map_err(|_| Gone),
                () = at(self.due) => self.tell().await?,
            }
            if self.wanted() == Wanted::No {
                return Ok(());
            }
        }
    }

    async fn tell(&mut self) -> Result<(), Gone> {
        let fix = self.known.borrow().as_ref().map(|known| known.fix.clone());
        if let Some(fix) = fix {
            if self.told.is_none() {
                let (definition, streams) = (self.definition.clone(), Vec::new());
                let instances = vec![0];
                let news = ObjectMessage::Object { definition, instances, streams };
                self.out.send(news).await.map_err(|_| Gone)?;
            }
            if self.demand.borrow().observed == Wanted::Yes {
                for path in fix.differences(self.told.as_ref()) {
                    self.out.send(ObjectMessage::Changed(path)).await.map_err(|_| Gone)?;
                }
            }
            self.told = Some(fix);
        }
        self.last_news = Some(Instant::now());
        self.due = None;
        Ok(())
    }
}

/// A fix of this age is still of now.
const FRESH: Duration = Duration::from_secs(3);
