//! An object in memory as one of the device: it says what an Execute has changed.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation};
use lwm2m_memory::MemoryObject;
use lwm2m_model::{Now, ObjectDef, Path};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{Answer, Object, ObjectMessage};

/// A [`MemoryObject`] in the host.
pub struct InMemory {
    object: MemoryObject,
    out: mpsc::Sender<ObjectMessage>,
    /// Answers that wait for room in the channel; they end with the object.
    tasks: JoinSet<()>,
}

impl InMemory {
    /// The object with the values that it has; `out` is the channel of the host.
    pub fn new(object: MemoryObject, out: mpsc::Sender<ObjectMessage>) -> Self {
        Self { object, out, tasks: JoinSet::new() }
    }
}

impl Object for InMemory {
    fn definition(&self) -> Arc<ObjectDef> {
        Arc::clone(self.object.definition())
    }

    fn instances(&self) -> Vec<u16> {
        self.object.instances()
    }

    /// # Panics
    /// Outside a tokio runtime.
    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        let result = self.object.call(call);
        if result.is_err() || !matches!(call.operation, CallOperation::Execute(_)) {
            return Answer::Now(result);
        }
        // An Execute may have changed any value of its instance.
        let changed = ObjectMessage::Changed(call.path.truncated(2));
        let reply = ObjectMessage::Reply { call: call.id, result };
        let out = self.out.clone();
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(async move {
            // Without a host nobody waits for either.
            let _ = out.send(changed).await;
            let _ = out.send(reply).await;
        });
        Answer::Later
    }

    /// Nothing changes unless somebody asks for it.
    fn watch(&mut self, _path: &Path, _interval: Option<Duration>) {}
}
