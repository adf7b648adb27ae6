//! Says `Changed` for what is observed: at news of the kernel and of ModemManager; the
//! signal of a WLAN and the use of the link, of which there is no news, from samples.
//!
//! While nothing is observed no source is open and no timer runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::measure::Contents;
use super::{Looks, resource};
use crate::ObjectMessage;
use crate::modems::Known;
use crate::observed::at;
use crate::source::{Source, Wanted};
use crate::sources::network::NetworkWatch;

/// What of the object is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Watched {
    /// Whether anything is.
    pub(super) any: bool,
    /// How often to look at what there is no news of.
    pub(super) sampled: Option<Duration>,
}

/// The task that watches.
pub(super) struct Watcher {
    pub(super) looks: Arc<Looks>,
    pub(super) modems: watch::Receiver<Known>,
    pub(super) watched: watch::Receiver<Watched>,
    pub(super) out: mpsc::Sender<ObjectMessage>,
}

impl Watcher {
    /// Watches until the object is gone.
    pub(super) async fn run(mut self) {
        let mut news: Source<NetworkWatch> = Source::default();
        let mut last: Option<Contents> = None;
        let mut next: Option<Instant> = None;
        // Whoever looks next hears of the use of the link since now.
        self.look();
        loop {
            let watched = *self.watched.borrow_and_update();
            let wanted = if watched.any { Wanted::Yes } else { Wanted::No };
            news.set(wanted, NetworkWatch::open, "watch of the network");
            if !watched.any {
                (last, next) = (None, None);
            } else if last.is_none() {
                // What changed between the answer to the Observe and the opening of the
                // watch nobody has told: the first look names all.
                (last, next) = (Some(Contents::new()), Some(Instant::now()));
            }
            let sample = watched.sampled.map(|interval| Instant::now() + interval);
            next = [next, sample].into_iter().flatten().min();
            tokio::select! {
                more = self.watched.changed() => match more {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = news.wait(async |news| news.changed().await) => {
                    let settled = Instant::now() + SETTLE_TIME;
                    next = Some(next.map_or(settled, |next| next.min(settled)));
                    continue;
                }
                Ok(()) = self.modems.changed() => {}
                () = at(next) => {}
            }
            next = None;
            let Some(before) = last.take() else { continue };
            let now = self.look();
            let mut ids: Vec<u16> = before.keys().chain(now.keys()).copied().collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids.into_iter().filter(|id| before.get(id) != now.get(id)) {
                let path = resource::path(id);
                if self.out.send(ObjectMessage::Changed(path)).await.is_err() {
                    return;
                }
            }
            last = Some(now);
        }
    }

    fn look(&mut self) -> Contents {
        let modems = self.modems.borrow_and_update().modems.clone();
        self.looks.contents(&modems)
    }
}

/// Changes of this time are one: a cable that is plugged in brings a carrier, an address
/// and a route.
const SETTLE_TIME: Duration = Duration::from_millis(200);
