//! Objects whose instances and values are those of the modems: what they tell when
//! ModemManager has news.

use std::sync::Arc;

use lwm2m_model::{ObjectDef, Path};
use tokio::sync::{mpsc, watch};

use crate::ObjectMessage;
use crate::content::Content;
use crate::source::Wanted;
use crate::sources::modem_manager::Modem;

/// What an object makes of the modems.
pub(crate) trait View: Send + 'static {
    /// Its instances, ascending.
    fn instances(&self, modems: &[Modem]) -> Vec<u16>;

    /// What stands in its resources, ascending.
    fn contents(&self, modems: &[Modem]) -> Vec<(Path, Content)>;
}

/// The task that tells the news of an object.
pub(crate) struct Follower<V> {
    pub(crate) definition: Arc<ObjectDef>,
    pub(crate) view: V,
    pub(crate) modems: watch::Receiver<Vec<Modem>>,
    /// Whether anything of the object is observed.
    pub(crate) observed: watch::Receiver<Wanted>,
    pub(crate) out: mpsc::Sender<ObjectMessage>,
}

impl<V: View> Follower<V> {
    /// Follows until the object is gone.
    pub(crate) async fn run(mut self) {
        // Of what is there already there was no news either.
        let mut before = (Vec::new(), Vec::new());
        while self.modems.changed().await.is_ok() {
            let now = self.look();
            if now.0 != before.0 {
                let (definition, instances) = (self.definition.clone(), now.0.clone());
                let streams = Vec::new();
                let news = ObjectMessage::Object { definition, instances, streams };
                if self.out.send(news).await.is_err() {
                    return;
                }
            }
            if *self.observed.borrow() == Wanted::Yes {
                for path in differences(&before.1, &now.1) {
                    if self.out.send(ObjectMessage::Changed(path)).await.is_err() {
                        return;
                    }
                }
            }
            before = now;
        }
    }

    fn look(&mut self) -> (Vec<u16>, Vec<(Path, Content)>) {
        let modems = self.modems.borrow_and_update();
        (self.view.instances(&modems), self.view.contents(&modems))
    }
}

/// The resources that are new, gone or other than before.
fn differences(before: &[(Path, Content)], now: &[(Path, Content)]) -> Vec<Path> {
    let new = now.iter().filter(|content| !before.contains(content));
    let gone = before.iter().filter(|(path, _)| !now.iter().any(|(other, _)| other == path));
    let mut paths: Vec<Path> = new.chain(gone).map(|(path, _)| path.clone()).collect();
    paths.sort();
    paths
}
