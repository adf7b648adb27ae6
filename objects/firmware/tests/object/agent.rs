//! The agent at work: the object in its host, and what a server asks of it.

use std::time::Duration;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_firmware::{
    Backend, Confirmation, Fetcher, FirmwareHandle, FirmwareUpdate, Parts, Restarter,
};
use lwm2m_model::{Arguments, Entry, Instant, Now, Path, Value, WriteMode};
use lwm2m_objects::{ObjectHost, ObjectMessage};
use tokio::sync::mpsc;

/// The object, which ends with this value as with a kill.
pub(crate) struct Agent {
    pub(crate) host: ObjectHost,
    pub(crate) confirmation: Confirmation,
    pub(crate) handle: FirmwareHandle,
    next: u64,
}

impl Agent {
    /// With parts that tell the host through this channel.
    pub(crate) fn start<B: Backend, R: Restarter, F: Fetcher>(
        parts: impl FnOnce(mpsc::Sender<ObjectMessage>) -> Parts<B, R, F>,
    ) -> Self {
        let mut host = ObjectHost::new(clock);
        let object = FirmwareUpdate::new(parts(host.sender()));
        let (confirmation, handle) = (object.confirmation(), object.handle());
        host.add(Box::new(object));
        Self { host, confirmation, handle, next: 0 }
    }

    pub(crate) async fn call(&mut self, path: Path, operation: CallOperation) -> CallResult {
        self.next += 1;
        let call = Call { id: CallId(self.next), path, operation, server: Some(101) };
        if let Some(result) = self.host.call(&call) {
            return result;
        }
        loop {
            match self.host.next().await {
                ObjectMessage::Reply { call: id, result } if id == call.id => return result,
                _ => {}
            }
        }
    }

    pub(crate) async fn write(&mut self, id: u16, value: Value) -> CallResult {
        let path = Path::resource(5, 0, id);
        let entries = vec![Entry::new(path.clone(), value)];
        self.call(path, CallOperation::Write { mode: WriteMode::Replace, entries }).await
    }

    pub(crate) async fn write_uri(&mut self, uri: &str) -> CallResult {
        self.write(1, Value::String(uri.into())).await
    }

    pub(crate) async fn execute(&mut self, id: u16) -> CallResult {
        let operation = CallOperation::Execute(Arguments::default());
        self.call(Path::resource(5, 0, id), operation).await
    }

    /// Execute Update; its answer goes out.
    pub(crate) async fn update(&mut self) {
        assert_eq!(self.execute(2).await, Ok(CallReply::AfterAnswer));
        let (id, path) = (CallId(0), Path::resource(5, 0, 2));
        self.host.call(&Call { id, path, operation: CallOperation::Proceed, server: Some(101) });
    }

    pub(crate) async fn read(&mut self, path: Path) -> Vec<Entry> {
        match self.call(path, CallOperation::Read).await {
            Ok(CallReply::Entries(entries)) => entries,
            other => panic!("{other:?}"),
        }
    }

    /// State and Update Result.
    pub(crate) async fn numbers(&mut self) -> (i64, i64) {
        let entries = self.read(Path::instance(5, 0)).await;
        let number = |id| {
            let entry = entries.iter().find(|entry| entry.path == Path::resource(5, 0, id));
            match entry.and_then(|entry| entry.value()) {
                Some(Value::Integer(number)) => *number,
                other => panic!("{other:?} at /5/0/{id}"),
            }
        };
        (number(3), number(5))
    }

    /// Its messages are taken, as the daemon does, until this holds.
    pub(crate) async fn until(&mut self, wanted: (i64, i64)) {
        let mut now = self.numbers().await;
        for _ in 0..100_000 {
            if now == wanted {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), self.host.next()).await;
            now = self.numbers().await;
        }
        panic!("never {wanted:?}, but {now:?}");
    }
}

/// Follows the time of the test, which passes when nothing else happens.
pub(crate) fn clock() -> Now {
    thread_local! {
        static START: tokio::time::Instant = tokio::time::Instant::now();
    }
    let boot = START.with(|start| start.elapsed()) + Duration::from_secs(100);
    Now { boot: Instant::from_boot(boot), wall: Some(1_800_000_000_000) }
}
