//! From an object's answer to the server's.

use std::time::Duration;

use lwm2m_model::{
    Attributes, Code, Content, ContentFormat, Entry, Operation, Path, Reply, Request, RequestError,
    objects::id,
};

use crate::dispatch::{Job, Origin, Pending};
use crate::engine::{Engine, Promise};
use crate::persistence::Deed;
use crate::{
    Call, CallId, CallOperation, CallReply, CallResult, Direction, Event, MessageRecord, Output,
    binding, discover,
};

/// What a request comes to: the reply of a server's, or the entries of the
/// operator's.
type Outcome = Result<Answer, RequestError>;

/// A successful answer before it knows who gets it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Nothing but a code.
    Code(Code),
    /// The instances that a Create has made.
    Created(Vec<Path>),
    /// Values, in a format if they go to a server.
    Values { entries: Vec<Entry>, format: ContentFormat, observe: Option<u32> },
    /// Links of a Discover, and the paths they name.
    Links { text: String, paths: Vec<Path> },
}

impl Engine {
    /// An object has answered.
    pub(crate) fn reply(&mut self, call: CallId, result: CallResult) {
        if let Some(open) = self.calls.remove(&call) {
            self.complete(call, open.pending, result);
        }
    }

    /// Does with the answer what it was asked for.
    pub(crate) fn complete(&mut self, call: CallId, pending: Pending, result: CallResult) {
        match pending {
            Pending::Sample { path, observations } => self.sampled(&path, &observations, result),
            Pending::Read { job, format } => {
                if job.operation == Operation::CancelObservation {
                    self.cancel_observation(&job);
                }
                let outcome = entries(result).map(|entries| Answer::Values {
                    entries,
                    format,
                    observe: None,
                });
                self.answer(&job, outcome);
            }
            Pending::Observe { job, format, own } => {
                // What cannot be written must not be observed.
                let outcome = entries(result).and_then(|entries| {
                    self.target(&job.path)?; // It may have been deleted meanwhile.
                    encode(format, &job.path, &entries)?;
                    Ok(entries)
                });
                match outcome {
                    Ok(entries) => self.observe(job, format, own, entries),
                    Err(error) => self.answer(&job, Err(error)),
                }
            }
            Pending::Discover { job, depth } => {
                let outcome = paths(result).map(|paths| self.links(&job, depth, paths));
                self.answer(&job, outcome);
            }
            Pending::Attach { job, update } => {
                match (paths(result), job.origin.server()) {
                    (Ok(_), Some(server)) => self.promise(Deed::Attach { server, job, update }),
                    // To the operator no notifications go out that they would concern.
                    (Ok(_), None) => self.answer(&job, Ok(Answer::Code(Code::CHANGED))),
                    (Err(error), _) => self.answer(&job, Err(error)),
                }
            }
            Pending::Refuse { job, error } => {
                let exists = paths(result).map(|_| error);
                self.answer(&job, Err(exists.unwrap_or_else(|missing| missing)));
            }
            Pending::Act { job } => self.acted(call, &job, result),
            Pending::Create { job, instances } => self.created(&job, &instances, result),
            Pending::Stream { job, owner, last } => self.streamed(call, &job, owner, last, result),
        }
    }

    /// An Observe can be answered with these values: a server's once it is stored.
    fn observe(
        &mut self,
        job: Job,
        format: ContentFormat,
        own: Option<Attributes>,
        entries: Vec<Entry>,
    ) {
        if job.origin.server().is_some() {
            let (changed, is_void) = (Vec::new(), false);
            return self.promise(Deed::Observe { job, format, own, entries, changed, is_void });
        }
        let outcome = match self.begin_observation(&job, format, own, &entries) {
            None => {
                let reason = "no more observations can be held";
                Err(RequestError::new(Code::SERVICE_UNAVAILABLE, reason))
            }
            observe => Ok(Answer::Values { entries, format, observe }),
        };
        self.answer(&job, outcome);
    }

    pub(crate) fn acted(&mut self, call: CallId, job: &Job, result: CallResult) {
        let promised = matches!(result, Ok(CallReply::AfterAnswer));
        let outcome = match result {
            Err(error) => Err(error),
            Ok(_) if job.operation == Operation::Delete => Ok(Answer::Code(Code::DELETED)),
            Ok(_) => Ok(Answer::Code(Code::CHANGED)),
        };
        let is_done = outcome.is_ok();
        if is_done && let Some(server) = job.origin.server() {
            self.done(server, job, job.path.clone());
        }
        self.answer(job, outcome);
        if !is_done {
            return;
        }
        match job.path.object_id() {
            Some(id::SERVER) => self.server_object_done(job),
            // Objects say what has changed; what a server wrote it wrote for sure.
            _ if matches!(job.operation, Operation::Write(_)) => self.changed(&job.path),
            _ if job.operation == Operation::Delete => self.deleted(&job.path),
            _ => {}
        }
        if promised {
            let at = self.now.boot + ANSWER_ARRIVES;
            let server = job.origin.server();
            self.promised.push(Promise { at, call, path: job.path.clone(), server });
        }
    }

    /// Reports what an object has carried out for a server.
    pub(crate) fn done(&mut self, server: u16, job: &Job, path: Path) {
        let operation = job.operation.name();
        self.outputs.push_back(Output::Event(Event::Done { server, operation, path }));
    }

    /// Lets promised actions happen whose answers are out.
    pub(crate) fn promises_due(&mut self) {
        let now = self.now.boot;
        let due = self.promised.extract_if(.., |promise| promise.at <= now);
        let calls = due.map(|Promise { call: id, path, server, .. }| Call {
            id,
            path,
            operation: CallOperation::Proceed,
            server,
        });
        self.outputs.extend(calls.map(Output::Call));
    }

    /// Answers a request: the server over its exchange, the operator by output.
    pub(crate) fn answer(&mut self, job: &Job, outcome: Outcome) {
        match job.origin {
            Origin::Local { id } => {
                let result = outcome.map(|answer| match answer {
                    Answer::Code(_) => Vec::new(),
                    Answer::Values { entries, .. } => entries,
                    Answer::Links { paths, .. } | Answer::Created(paths) => {
                        paths.into_iter().map(Entry::empty).collect()
                    }
                });
                self.outputs.push_back(Output::LocalReply { id, result });
            }
            Origin::Server { id, session, exchange, .. } => {
                let (reply, observe) = self.reply_of(job, id, outcome);
                let now = self.now.boot;
                // With the session the exchange is gone too.
                let server = self.servers.get_mut(&id);
                let Some(endpoint) = server.and_then(|server| server.session(session)) else {
                    return;
                };
                let record = self
                    .monitor
                    .then(|| MessageRecord::of_reply(id, job.operation.name(), &job.path, &reply));
                endpoint.respond(now, exchange, binding::coap::to_draft(reply, observe));
                if let Some(record) = record {
                    self.record(|| record);
                }
            }
        }
    }

    fn reply_of(&mut self, job: &Job, server: u16, outcome: Outcome) -> (Reply, Option<u32>) {
        let encoded = outcome.and_then(|answer| match answer {
            Answer::Code(code) => Ok((Reply::new(code), None)),
            Answer::Created(paths) => {
                let one = <[Path; 1]>::try_from(paths).ok().map(|[path]| path);
                Ok((Reply::created(one), None))
            }
            Answer::Links { text, .. } => {
                Ok((Reply::content(ContentFormat::LINK, text.into_bytes()), None))
            }
            Answer::Values { entries, format, observe } => {
                let payload = encode(format, &job.path, &entries)?;
                Ok((Reply::content(format, payload), observe))
            }
        });
        encoded.unwrap_or_else(|error| {
            let code = error.code;
            self.outputs.push_back(Output::Event(Event::Refused {
                server,
                operation: job.operation.name(),
                path: job.path.clone(),
                error,
            }));
            (Reply::new(code), None)
        })
    }

    fn links(&self, job: &Job, depth: usize, paths: Vec<Path>) -> Answer {
        let server = job.origin.server().and_then(|id| self.servers.get(&id));
        let definition = job.path.object_id().and_then(|id| self.objects.get(&id));
        let text = definition
            .map(|object| discover::write(&job.path, depth, &paths, &object.definition, server))
            .unwrap_or_default();
        Answer::Links { text, paths }
    }
}

impl MessageRecord {
    /// The record of a server's request.
    pub(crate) fn of_request(server: u16, request: &Request) -> Self {
        let (format, payload) = shown(request.content.as_ref());
        Self {
            server,
            direction: Direction::Received,
            operation: request.operation.name(),
            path: Some(request.path.clone()),
            detail: match &request.operation {
                Operation::Observe(update) | Operation::WriteAttributes(update) => {
                    update.to_string()
                }
                Operation::Discover { depth: Some(depth) } => format!("depth={depth}"),
                Operation::Discover { depth: None }
                | Operation::Read
                | Operation::CancelObservation
                | Operation::Write(_)
                | Operation::Execute
                | Operation::Create
                | Operation::Delete => {
                    request.accept.map(|format| format!("accept={format}")).unwrap_or_default()
                }
            },
            code: None,
            format,
            payload,
        }
    }

    /// The record of an answer or a notification.
    pub(crate) fn of_reply(
        server: u16,
        operation: &'static str,
        path: &Path,
        reply: &Reply,
    ) -> Self {
        let (format, payload) = shown(reply.content.as_ref());
        Self {
            server,
            direction: Direction::Sent,
            operation,
            path: Some(path.clone()),
            detail: String::new(),
            code: Some(reply.code),
            format,
            payload,
        }
    }
}

/// What a record shows of a payload.
fn shown(content: Option<&Content>) -> (Option<ContentFormat>, Vec<u8>) {
    content.map(|content| (content.format, content.payload.clone())).unwrap_or_default()
}

/// Values as a payload.
pub(crate) fn encode(
    format: ContentFormat,
    target: &Path,
    entries: &[Entry],
) -> Result<Vec<u8>, RequestError> {
    let mut payload = Vec::with_capacity(TYPICAL_PAYLOAD);
    lwm2m_codec::encode(format, target, entries, &mut payload)
        .map_err(|error| RequestError::new(Code::NOT_ACCEPTABLE, error.to_string()))?;
    Ok(payload)
}

/// The values that a Read gave.
pub(crate) fn entries(result: CallResult) -> Result<Vec<Entry>, RequestError> {
    match result? {
        CallReply::Entries(entries) => Ok(entries),
        other => Err(internal(format!("an object answered a Read with {other:?}"))),
    }
}

fn paths(result: CallResult) -> Result<Vec<Path>, RequestError> {
    match result? {
        CallReply::Paths(paths) => Ok(paths),
        other => Err(internal(format!("an object answered a Discover with {other:?}"))),
    }
}

fn internal(reason: String) -> RequestError {
    RequestError::new(Code::INTERNAL_SERVER_ERROR, reason)
}

/// Room for one value; more grows.
const TYPICAL_PAYLOAD: usize = 64;

/// An answer that ends the connection gets so long to arrive (Objects 5).
const ANSWER_ARRIVES: Duration = Duration::from_secs(2);
