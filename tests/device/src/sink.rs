//! An object that takes opaque values chunk by chunk and keeps none of them: what
//! remains is what it costs to receive them.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation, CallReply};
use lwm2m_model::{Code, DataType, Now, ObjectDef, Path, RequestError};
use lwm2m_objects::{Answer, Object};

/// An object with instance 0 and nothing in it.
pub(crate) struct Sink(Arc<ObjectDef>);

impl Sink {
    pub(crate) fn new(definition: ObjectDef) -> Self {
        Self(Arc::new(definition))
    }
}

impl Object for Sink {
    fn definition(&self) -> Arc<ObjectDef> {
        Arc::clone(&self.0)
    }

    fn instances(&self) -> Vec<u16> {
        vec![0]
    }

    /// Every opaque resource that servers write.
    fn streams(&self) -> Vec<u16> {
        let resources = self.0.resources.iter();
        resources
            .filter(|it| it.data_type == DataType::Opaque && it.operations.writable())
            .map(|resource| resource.id)
            .collect()
    }

    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        Answer::Now(match call.operation {
            CallOperation::Stream { .. } | CallOperation::StreamEnd => Ok(CallReply::Done),
            CallOperation::Read
            | CallOperation::Discover
            | CallOperation::Write { .. }
            | CallOperation::Execute(_)
            | CallOperation::Create { .. }
            | CallOperation::Delete
            | CallOperation::Proceed => {
                let reason = format!("{} takes streams alone", call.path);
                Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason))
            }
        })
    }

    fn watch(&mut self, _path: &Path, _interval: Option<Duration>) {}
}

#[cfg(test)]
mod tests {
    use lwm2m_engine::CallId;
    use lwm2m_model::Instant;

    use super::*;

    fn sink() -> Sink {
        let firmware = include_str!("../../registry/5.xml");
        Sink::new(ObjectDef::from_xml(firmware).unwrap())
    }

    #[test]
    fn opaque_resources_that_servers_write_are_streams() {
        assert_eq!(sink().streams(), [0]);
    }

    #[test]
    fn chunks_are_taken_and_nothing_else() {
        let chunk = vec![1; 1024];
        let stream = CallOperation::Stream { offset: 0, chunk, last: false, size: None };
        for (operation, taken) in [(stream, true), (CallOperation::Read, false)] {
            let path = Path::resource(5, 0, 0);
            let call = Call { id: CallId(1), path, operation, server: Some(101) };
            let now = Now::from_clocks(Instant::ZERO, 0);
            let Answer::Now(result) = sink().call(&call, &now) else { panic!("it waits") };
            assert_eq!(result.is_ok(), taken, "{:?}", call.operation);
        }
    }
}
