//! The host with objects that take their time.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Code, Now, ObjectDef, Path, objects};
use lwm2m_objects::{Answer, CALL_TIME_LIMIT, Object, ObjectHost, ObjectMessage, QUEUE_LIMIT};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Answers reads later, when told to through the channel; the rest at once.
struct Slow {
    definition: Arc<ObjectDef>,
    begun: mpsc::UnboundedSender<CallId>,
}

impl Object for Slow {
    fn definition(&self) -> Arc<ObjectDef> {
        self.definition.clone()
    }

    fn instances(&self) -> Vec<u16> {
        vec![0]
    }

    fn call(&mut self, call: &Call, _now: &Now) -> Answer {
        self.begun.send(call.id).unwrap();
        match call.operation {
            CallOperation::Read => Answer::Later,
            _ => Answer::Now(Ok(CallReply::Done)),
        }
    }

    fn watch(&mut self, path: &Path, _interval: Option<Duration>) {
        self.begun.send(CallId(1000 + path.depth() as u64)).unwrap();
    }
}

fn host() -> (ObjectHost, mpsc::UnboundedReceiver<CallId>) {
    let (begun, calls) = mpsc::unbounded_channel();
    let mut host = ObjectHost::new(Now::default);
    for definition in [objects::SERVER.clone(), objects::DEVICE.clone()] {
        host.add(Box::new(Slow { definition: Arc::new(definition), begun: begun.clone() }));
    }
    (host, calls)
}

fn read(id: u64, object: u16) -> Call {
    operation(id, object, CallOperation::Read)
}

fn operation(id: u64, object: u16, operation: CallOperation) -> Call {
    Call { id: CallId(id), path: Path::instance(object, 0), operation, server: None }
}

async fn answer(host: &ObjectHost, id: u64) {
    let message = ObjectMessage::Reply { call: CallId(id), result: Ok(CallReply::Done) };
    host.sender().send(message).await.unwrap();
}

async fn reply(host: &mut ObjectHost) -> (u64, CallResult) {
    match host.next().await {
        ObjectMessage::Reply { call, result } => (call.0, result),
        other => panic!("{other:?}"),
    }
}

fn all(calls: &mut mpsc::UnboundedReceiver<CallId>) -> Vec<u64> {
    std::iter::from_fn(|| calls.try_recv().ok()).map(|id| id.0).collect()
}

#[tokio::test]
async fn calls_of_one_object_wait_in_order_and_others_go_on() {
    let (mut host, mut calls) = host();
    for call in [read(1, 3), read(2, 3), operation(3, 3, CallOperation::Delete), read(4, 3)] {
        assert_eq!(host.call(&call), None);
    }
    assert_eq!(host.call(&operation(5, 1, CallOperation::Delete)), Some(Ok(CallReply::Done)));
    assert_eq!(all(&mut calls), [1, 5]);
    answer(&host, 1).await;
    assert_eq!(reply(&mut host).await, (1, Ok(CallReply::Done)));
    assert_eq!(all(&mut calls), [2]);
    answer(&host, 2).await;
    // The third is answered in place, so the fourth begins at once.
    assert_eq!(reply(&mut host).await.0, 2);
    assert_eq!(reply(&mut host).await.0, 3);
    assert_eq!(all(&mut calls), [3, 4]);
}

#[tokio::test]
async fn a_full_queue_refuses_with_5_03_but_what_expects_no_reply_is_told() {
    let (mut host, mut calls) = host();
    for id in 0..=QUEUE_LIMIT as u64 {
        assert_eq!(host.call(&read(id, 3)), None);
    }
    let error = host.call(&read(99, 3)).unwrap().unwrap_err();
    assert_eq!(error.code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(host.call(&operation(100, 3, CallOperation::Proceed)), None);
    assert_eq!(host.call(&operation(101, 3, CallOperation::StreamEnd)), None);
    assert_eq!(all(&mut calls), [0, 100, 101]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_answer_is_refused_in_time_and_the_next_begins() {
    let (mut host, mut calls) = host();
    let start = Instant::now();
    host.call(&read(1, 3));
    host.call(&read(2, 3));
    tokio::time::advance(Duration::from_secs(4)).await;
    host.call(&read(3, 3));
    for id in [1, 2] {
        let (answered, result) = reply(&mut host).await;
        assert_eq!((answered, result.unwrap_err().code), (id, Code::SERVICE_UNAVAILABLE));
        assert_eq!(start.elapsed(), CALL_TIME_LIMIT);
    }
    assert_eq!(all(&mut calls), [1, 3]);
    // The answer that comes too late is dropped; the third still counts.
    answer(&host, 1).await;
    answer(&host, 3).await;
    assert_eq!(reply(&mut host).await, (3, Ok(CallReply::Done)));
}

#[tokio::test]
async fn dropping_next_loses_nothing() {
    let (mut host, _calls) = host();
    host.call(&read(1, 3));
    tokio::select! {
        biased;
        message = host.next() => panic!("{message:?}"),
        () = std::future::ready(()) => {}
    }
    answer(&host, 1).await;
    assert_eq!(reply(&mut host).await.0, 1);
}

#[tokio::test]
async fn a_replaced_object_leaves_no_call_open() {
    let (mut host, mut calls) = host();
    host.call(&read(1, 3));
    host.call(&read(2, 3));
    let (begun, _) = mpsc::unbounded_channel();
    host.add(Box::new(Slow { definition: Arc::new(objects::DEVICE.clone()), begun }));
    for id in [1, 2] {
        let (answered, result) = reply(&mut host).await;
        assert_eq!((answered, result.unwrap_err().code), (id, Code::SERVICE_UNAVAILABLE));
    }
    assert_eq!(all(&mut calls), [1]);
}

#[tokio::test]
async fn a_watch_reaches_the_objects_it_covers() {
    let (mut host, mut calls) = host();
    host.watch(&Path::root(), None);
    host.watch(&Path::resource(3, 0, 9), Some(Duration::from_secs(1)));
    assert_eq!(all(&mut calls), [1000, 1000, 1003]);
    let ids: Vec<u16> = host.objects().map(|(definition, ..)| definition.id).collect();
    assert_eq!(ids, [1, 3]);
}
