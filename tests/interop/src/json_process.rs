//! A child process that speaks JSON lines: commands in, answers and events out.
//!
//! Answers are matched to commands by `id`; lines with an `event` are queued in the
//! order in which they came. The child is killed on drop.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{PeerError, Refusal};

pub(crate) struct JsonProcess {
    peer: &'static str,
    child: Child,
    input: Mutex<Input>,
    inbox: Arc<Inbox>,
}

struct Input {
    pipe: ChildStdin,
    last_id: u64,
}

#[derive(Default)]
struct Inbox {
    lines: Mutex<Lines>,
    arrived: Condvar,
}

#[derive(Default)]
struct Lines {
    answers: HashMap<u64, Value>,
    events: VecDeque<Value>,
    is_closed: bool,
}

impl JsonProcess {
    /// Starts `command`. Its standard error is passed on, so that a failed test shows it.
    pub(crate) fn start(peer: &'static str, command: &mut Command) -> Result<Self, PeerError> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| PeerError::system(format!("start {command:?}"), e))?;
        let pipe = child.stdin.take().expect("standard input was asked for as a pipe");
        let output = child.stdout.take().expect("standard output was asked for as a pipe");
        let inbox = Arc::new(Inbox::default());
        let reader = Arc::clone(&inbox);
        // Ends with the child, whose death closes the pipe.
        thread::spawn(move || reader.fill(output));
        Ok(Self { peer, child, input: Mutex::new(Input { pipe, last_id: 0 }), inbox })
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&self, mut command: Value, limit: Duration) -> Result<Value, PeerError> {
        let id = self.send(&mut command)?;
        let answer = self.inbox.wait(limit, |lines| lines.answers.remove(&id));
        let mut answer = answer.ok_or(PeerError::Silent { peer: self.peer, waited: limit })?;
        if let Some(message) = answer["error"].as_str() {
            let refusal = Refusal::from_kind(answer["kind"].as_str().unwrap_or_default());
            return Err(PeerError::Refused { refusal, message: message.to_owned() });
        }
        Ok(answer["result"].take())
    }

    fn send(&self, command: &mut Value) -> Result<u64, PeerError> {
        let mut input = lock(&self.input);
        input.last_id += 1;
        command["id"] = json!(input.last_id);
        writeln!(input.pipe, "{command}")
            .and_then(|()| input.pipe.flush())
            .map_err(|e| PeerError::system(format!("write to {}", self.peer), e))?;
        Ok(input.last_id)
    }

    /// Takes the first event that `is_wanted` accepts; the others stay in their order.
    pub(crate) fn wait_event(
        &self,
        limit: Duration,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, PeerError> {
        let event = self.inbox.wait(limit, |lines| {
            let place = lines.events.iter().position(&is_wanted)?;
            lines.events.remove(place)
        });
        event.ok_or_else(|| PeerError::NoEvent {
            waited: limit,
            seen: lock(&self.inbox.lines).events.iter().map(Value::to_string).collect(),
        })
    }

    /// Takes all events that have come.
    pub(crate) fn take_events(&self) -> Vec<Value> {
        lock(&self.inbox.lines).events.drain(..).collect()
    }
}

impl Drop for JsonProcess {
    fn drop(&mut self) {
        // Both fail only if the child has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Inbox {
    fn fill(&self, output: ChildStdout) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line)
                .unwrap_or_else(|_| json!({ "event": "malformed", "line": line }));
            let mut lines = lock(&self.lines);
            match value["id"].as_u64() {
                Some(id) => drop(lines.answers.insert(id, value)),
                None => lines.events.push_back(value),
            }
            self.arrived.notify_all();
        }
        lock(&self.lines).is_closed = true;
        self.arrived.notify_all();
    }

    /// Waits until `take` finds something; `None` after `limit` or when the child has ended.
    fn wait<T>(&self, limit: Duration, take: impl Fn(&mut Lines) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut lines = lock(&self.lines);
        loop {
            if let Some(found) = take(&mut lines) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.is_closed {
                return None;
            }
            let (guard, _) =
                self.arrived.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner);
            lines = guard;
        }
    }
}

/// A test that panicked elsewhere leaves the queues whole: each change is one push or remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
