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
    /// Held while a change is made: a call that the host has given up may still go on.
    changing: tokio::sync::Mutex<()>,
    /// `None`: nothing outlives the agent.
    file: Option<KeptFile>,
    out: mpsc::Sender<ObjectMessage>,
}

impl KeptObject {
    fn new(object: MemoryObject, file: Option<KeptFile>, out: mpsc::Sender<ObjectMessage>) -> Self {
        let object = Mutex::new(object);
        let changing = tokio::sync::Mutex::new(());
        let shared = Arc::new(Shared { object, changing, file, out: out.clone() });
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
        let keeping = self.clone();
        let kept = spawn_blocking(move || {
            let saved = keeping.file.as_ref().map_or(Ok(()), |file| file.save(&mut object));
            saved.map(|()| object)
        });
        match kept.await.unwrap_or_else(|error| Err(error.into())) {
            Ok(object) => {
                *self.object() = object;
                Ok(reply)
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
                let (definition, instances) = {
                    let object = shared.object();
                    (Arc::clone(object.definition()), object.instances())
                };
                let message = ObjectMessage::Object { definition, instances, streams: Vec::new() };
                let _ = shared.out.send(message).await;
            }
            // Without a host nobody waits for the answer.
            let _ = shared.out.send(ObjectMessage::Reply { call: call.id, result }).await;
        });
        Answer::Later
    }

    /// Nothing changes unless somebody asks for it.
    fn watch(&mut self, _path: &Path, _interval: Option<Duration>) {}
}

#[cfg(test)]
mod tests;
