//! Objects that are there to be written, by servers and by programs on the device, and
//! that keep it: Portfolio (16) and BinaryAppDataContainer (19).
//!
//! A Write, Create or Delete is done on a copy, which is made durable, then counts, and
//! then is answered: a power cut leaves all of it or nothing.

mod app_data;
mod file;
mod portfolio;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation, CallResult};
use lwm2m_memory::MemoryObject;
use lwm2m_model::{Code, Now, ObjectDef, Path, RequestError};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::tasks::Tasks;
use crate::{Answer, Object, ObjectMessage};
pub use app_data::{AppDataConfig, Keeping, MAX_APP_DATA, app_data};
use file::KeptFile;
pub use portfolio::{MAX_IDENTITIES, portfolio};

/// An object in memory with a file behind it.
pub struct KeptObject {
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    object: Mutex<MemoryObject>,
    /// The object as it is configured.
    configured: MemoryObject,
    /// Held while a change is made: a call that the host has given up may still go on.
    changing: tokio::sync::Mutex<()>,
    /// `None`: nothing outlives the agent.
    file: Option<KeptFile>,
    out: mpsc::Sender<ObjectMessage>,
}

impl KeptObject {
    /// An object with the values of its `file`, if there is one, which is `configured`
    /// without them.
    fn new(
        object: MemoryObject,
        configured: MemoryObject,
        file: Option<KeptFile>,
        out: mpsc::Sender<ObjectMessage>,
    ) -> Self {
        let object = Mutex::new(object);
        let changing = tokio::sync::Mutex::new(());
        let shared = Arc::new(Shared { object, configured, changing, file, out: out.clone() });
        Self { shared, tasks: Tasks::new(out) }
    }
}

impl Shared {
    fn object(&self) -> MutexGuard<'_, MemoryObject> {
        // Whoever panicked with it in hand has left a whole object.
        self.object.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn change(self: &Arc<Self>, call: &Call) -> CallResult {
        let _alone = self.changing.lock().await;
        let mut object = self.object().clone();
        let reply = object.call(call)?;
        self.keep(object).await?;
        Ok(reply)
    }

    async fn forget(self: &Arc<Self>) -> Result<(), RequestError> {
        let _alone = self.changing.lock().await;
        self.keep(self.configured.clone()).await
    }

    async fn tell_instances(&self) {
        let (definition, instances) = {
            let object = self.object();
            (Arc::clone(object.definition()), object.instances())
        };
        let message = ObjectMessage::Object { definition, instances, streams: Vec::new() };
        // Without a host nobody wants to know.
        let _ = self.out.send(message).await;
    }

    /// Makes an object durable, and then what counts.
    async fn keep(self: &Arc<Self>, mut object: MemoryObject) -> Result<(), RequestError> {
        let keeping = self.clone();
        let kept = spawn_blocking(move || {
            let saved = keeping.file.as_ref().map_or(Ok(()), |file| file.save(&mut object));
            saved.map(|()| object)
        });
        match kept.await.unwrap_or_else(|error| Err(error.into())) {
            Ok(object) => {
                *self.object() = object;
                Ok(())
            }
            Err(error) => {
                tracing::error!("object {}: {error}", self.object().definition().id);
                let reason = "the state directory cannot be written";
                Err(RequestError::new(Code::INTERNAL_SERVER_ERROR, reason))
            }
        }
    }
}

impl Object for KeptObject {
    fn definition(&self) -> Arc<ObjectDef> {
        Arc::clone(self.shared.object().definition())
    }

    fn instances(&self) -> Vec<u16> {
        self.shared.object().instances()
    }

    /// # Panics
    /// Outside a tokio runtime.
    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        let changes_instances = match call.operation {
            CallOperation::Write { .. } => false,
            CallOperation::Create { .. } | CallOperation::Delete => true,
            CallOperation::Read
            | CallOperation::Discover
            | CallOperation::Execute(_)
            | CallOperation::Proceed
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd => return Answer::Now(self.shared.object().call(call)),
        };
        let (shared, call) = (self.shared.clone(), call.clone());
        self.tasks.spawn(async move {
            let result = shared.change(&call).await;
            if changes_instances && result.is_ok() {
                // The host may have given up the call; the instances are there all the same.
                shared.tell_instances().await;
            }
            // Without a host nobody waits for the answer.
            let _ = shared.out.send(ObjectMessage::Reply { call: call.id, result }).await;
        });
        Answer::Later
    }

    /// Nothing changes unless somebody asks for it.
    fn watch(&mut self, _path: &Path, _interval: Option<Duration>) {}

    /// # Panics
    /// Outside a tokio runtime.
    fn forget(&mut self) {
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            // What failed is in the log.
            if shared.forget().await.is_ok() {
                shared.tell_instances().await;
                let object = Path::object(shared.configured.definition().id);
                let _ = shared.out.send(ObjectMessage::Changed(object)).await;
            }
        });
    }
}

#[cfg(test)]
mod tests;
