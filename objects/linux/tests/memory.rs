//! An object in memory in the host: its answers, and what it says of its own accord.

use std::sync::Arc;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply};
use lwm2m_model::{Arguments, Code, Now, ObjectDef, Path};
use lwm2m_objects::{InMemory, MemoryObject, ObjectHost, ObjectMessage};

fn call(at: &str, operation: CallOperation) -> Call {
    Call { id: CallId(7), path: at.parse().unwrap(), operation, server: None }
}

#[tokio::test]
async fn an_execute_says_that_its_instance_has_changed_and_then_answers() {
    let xml = include_str!("../../../tests/registry/3442.xml");
    let mut object = MemoryObject::new(Arc::new(ObjectDef::from_xml(xml).unwrap()));
    object.fill(2);
    let mut host = ObjectHost::new(Now::default);
    host.add(Box::new(InMemory::new(object, host.sender())));
    let objects: Vec<_> = host.objects().collect();
    assert_eq!((objects[0].0.id, &objects[0].1[..]), (3442, &[2][..]));

    let clear = || CallOperation::Execute(Arguments::default());
    assert_eq!(host.call(&call("/3442/2/2", clear())), None);
    assert_eq!(host.next().await, ObjectMessage::Changed(Path::instance(3442, 2)));
    let reply = ObjectMessage::Reply { call: CallId(7), result: Ok(CallReply::Done) };
    assert_eq!(host.next().await, reply);

    // A refusal has changed nothing, and the rest is answered in place.
    let refused = host.call(&call("/3442/9/2", clear())).unwrap().unwrap_err();
    assert_eq!(refused.code, Code::NOT_FOUND);
    let gone = host.call(&call("/3442/2", CallOperation::Delete));
    assert_eq!(gone, Some(Ok(CallReply::Done)));
}
