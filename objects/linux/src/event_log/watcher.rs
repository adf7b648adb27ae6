//! Says `Changed` when the journal has grown, while somebody observes the log.
//!
//! journald tells nobody that it has written, so its files are looked at now and then.

use std::time::Duration;

use lwm2m_model::Path;
use lwm2m_model::objects::EVENT_LOG;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::observed::at;
use crate::sources::journal;
use crate::{ObjectMessage, Roots};

/// Watches until the object is gone. While nothing is observed no timer runs.
pub(super) async fn run(
    roots: Roots,
    mut interval: watch::Receiver<Option<Duration>>,
    out: mpsc::Sender<ObjectMessage>,
) {
    let mut last = None;
    loop {
        let wanted = *interval.borrow_and_update();
        let mark = match wanted {
            Some(_) => {
                let roots = roots.clone();
                // One that cannot be read is as good as one without news.
                spawn_blocking(move || journal::mark(&roots).ok()).await.unwrap_or_default()
            }
            None => None,
        };
        if last.is_some() && mark.is_some() && mark != last {
            let changed = ObjectMessage::Changed(Path::instance(EVENT_LOG.id, 0));
            if out.send(changed).await.is_err() {
                return;
            }
        }
        last = mark;
        tokio::select! {
            more = interval.changed() => match more {
                Ok(()) => {}
                Err(_) => return,
            },
            () = at(wanted.map(|interval| Instant::now() + interval)) => {}
        }
    }
}
