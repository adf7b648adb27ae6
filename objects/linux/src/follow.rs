//! Objects whose instances and values are those of the modems: what they answer, and what
//! they tell when there is news.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::CallResult;
use lwm2m_model::{ObjectDef, Path};
use tokio::sync::{mpsc, watch};

use crate::ObjectMessage;
use crate::content::{self, Content};
use crate::modems::{Known, Modems};
use crate::observed::Observed;
use crate::source::Wanted;
use crate::tasks::Tasks;

/// What an object makes of the modems.
pub(crate) trait View: Clone + Send + 'static {
    /// Its instances, ascending.
    fn instances(&self, known: &Known) -> Vec<u16>;

    /// What stands in its resources, ascending.
    fn contents(&self, known: &Known) -> Vec<(Path, Content)>;
}

/// An object that shows the modems.
pub(crate) struct Followed<V> {
    pub(crate) definition: Arc<ObjectDef>,
    pub(crate) known: watch::Receiver<Known>,
    /// They end with it.
    pub(crate) tasks: Tasks,
    view: V,
    observed: Observed,
    wanted: watch::Sender<Wanted>,
    /// Who tells what is known.
    _modems: Modems,
}

impl<V: View> Followed<V> {
    /// The object; news goes to `out`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(
        definition: &ObjectDef,
        view: V,
        modems: &Modems,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let definition = Arc::new(definition.clone());
        let (wanted, observed) = watch::channel(Wanted::No);
        let mut tasks = Tasks::new(out.clone());
        let follower = Follower {
            definition: definition.clone(),
            view: view.clone(),
            known: modems.known(),
            observed,
            out,
        };
        tasks.spawn(follower.run());
        let (known, _modems) = (modems.known(), modems.clone());
        Self { definition, known, tasks, view, observed: Observed::default(), wanted, _modems }
    }

    /// Its instances now, ascending.
    pub(crate) fn instances(&self) -> Vec<u16> {
        self.view.instances(&self.known.borrow())
    }

    /// What stands in its resources now, ascending.
    pub(crate) fn contents(&self) -> Vec<(Path, Content)> {
        self.view.contents(&self.known.borrow())
    }

    /// Answers a Read.
    pub(crate) fn read(&self, path: &Path) -> CallResult {
        content::read(path, self.contents())
    }

    /// Answers a Discover.
    pub(crate) fn discover(&self, path: &Path) -> CallResult {
        let instance = |id| Path::instance(self.definition.id, id);
        content::discover(path, self.instances().into_iter().map(instance), self.contents())
    }

    /// Takes what the host tells by [`Object::watch`](crate::Object::watch).
    pub(crate) fn watch(&mut self, path: &Path, interval: Option<Duration>) {
        self.observed.set(path, interval);
        let observed = self.observed.interval(&Path::object(self.definition.id)).is_some();
        self.wanted.send_replace(if observed { Wanted::Yes } else { Wanted::No });
    }
}

/// The task that tells the news.
struct Follower<V> {
    definition: Arc<ObjectDef>,
    view: V,
    known: watch::Receiver<Known>,
    /// Whether anything of the object is observed.
    observed: watch::Receiver<Wanted>,
    out: mpsc::Sender<ObjectMessage>,
}

impl<V: View> Follower<V> {
    /// Follows until the object is gone.
    async fn run(mut self) {
        // Of what is there already there was no news either.
        let mut before = (Vec::new(), Vec::new());
        while self.known.changed().await.is_ok() {
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
        let known = self.known.borrow_and_update();
        (self.view.instances(&known), self.view.contents(&known))
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
