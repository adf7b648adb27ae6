//! The tasks of an object: they answer later, and end with it.

use lwm2m_engine::{CallId, CallResult};
use lwm2m_model::{Code, RequestError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bus::WORK_TIME_LIMIT;
use crate::{Answer, ObjectMessage};

/// The tasks, and the channel of the host to which they report.
#[derive(Debug)]
pub(crate) struct Tasks {
    out: mpsc::Sender<ObjectMessage>,
    running: JoinSet<()>,
}

impl Tasks {
    /// None yet.
    pub(crate) fn new(out: mpsc::Sender<ObjectMessage>) -> Self {
        Self { out, running: JoinSet::new() }
    }

    /// The channel of the host.
    pub(crate) fn out(&self) -> mpsc::Sender<ObjectMessage> {
        self.out.clone()
    }

    /// Starts one.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        // Forget the tasks that are done, so that the set does not grow.
        while self.running.try_join_next().is_some() {}
        self.running.spawn(task);
    }

    /// Leaves the work of a call to a task, which is given up after
    /// [`WORK_TIME_LIMIT`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn answer_later(
        &mut self,
        call: CallId,
        work: impl Future<Output = CallResult> + Send + 'static,
    ) -> Answer {
        let out = self.out();
        self.spawn(async move {
            let result = timeout(WORK_TIME_LIMIT, work).await.unwrap_or_else(|_| {
                Err(RequestError::new(
                    Code::SERVICE_UNAVAILABLE,
                    "a service on the bus does not answer",
                ))
            });
            // Without a host nobody waits for the answer.
            let _ = out.send(ObjectMessage::Reply { call, result }).await;
        });
        Answer::Later
    }
}
