//! Opaque values that go to their object chunk by chunk, as they come (Objects 7.2).
//!
//! 1. A chunk at offset 0 begins a stream, in place of one of the same server. While a
//!    stream of another server is under way it is refused with 4.05, unless it is the
//!    whole value: that is for the object to judge.
//! 2. One chunk is in flight. What comes meanwhile is ignored, so its server repeats it.
//! 3. The object has stored the chunk: 2.31, or 2.04 for the last one.
//! 4. The object refuses it or does not answer, or no chunk comes for EXCHANGE_LIFETIME:
//!    the stream is over, and the object is told.

use std::collections::BTreeMap;

use lwm2m_coap::{StreamTarget, UploadId};
use lwm2m_model::{
    Code, Content, ContentFormat, DataType, Instant, ObjectDef, Operation, Path, Range, Request,
    RequestError, ResourceDef, WriteMode,
};

use crate::dispatch::{Job, Origin, Pending, busy};
use crate::engine::Engine;
use crate::reply::Answer;
use crate::{Call, CallId, CallOperation, CallResult, Event, Output};

/// Streams by the resource that they go to.
pub(crate) type Streams = BTreeMap<Path, Stream>;

/// A value of which chunks are still to come.
#[derive(Debug)]
pub(crate) struct Stream {
    owner: Owner,
    /// A chunk is in flight, perhaps that of another server.
    is_storing: bool,
    /// When it is over unless a chunk comes.
    until: Instant,
}

/// The request that a chunk is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    server: u16,
    session: u32,
    /// `None` if the request came whole.
    upload: Option<UploadId>,
}

/// A part of a request, as a binding hands it up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) upload: UploadId,
    pub(crate) offset: usize,
    pub(crate) more: bool,
    /// Bytes of the whole, if the server has said so.
    pub(crate) announced: Option<u32>,
}

/// A part of an opaque value.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    owner: Owner,
    offset: usize,
    bytes: Vec<u8>,
    last: bool,
    size: Option<u64>,
}

impl Engine {
    /// What a request of a server, or a part of one, comes to.
    ///
    /// # Errors
    /// 4.08 for a part of something that does not stream, or no longer does.
    pub(crate) fn job(
        &self,
        origin: Origin,
        request: Request,
        part: Option<Part>,
    ) -> Result<Job, Box<(Job, RequestError)>> {
        let format = request.content.as_ref().and_then(|content| content.format);
        let is_opaque = match format {
            Some(format) => format == ContentFormat::OPAQUE,
            // What comes in blocks is bytes, also if nobody says so.
            None => part.is_some(),
        };
        // POST is a Write there (Objects 7.2): bytes are no arguments.
        let is_write =
            matches!(request.operation, Operation::Write(WriteMode::Replace) | Operation::Execute);
        let Origin::Server { id: server, session, .. } = origin else {
            return Ok(Job::from_request(origin, request));
        };
        if !(is_opaque && is_write && self.streams_to(&request.path)) {
            return match part {
                Some(Part { offset, more, .. }) if more || offset > 0 => {
                    let reason = "the resource does not take its value in parts";
                    let error = RequestError::new(Code::REQUEST_ENTITY_INCOMPLETE, reason);
                    let job = Job::refused(origin, request.operation, request.path);
                    Err(Box::new((job, error)))
                }
                Some(_) | None => Ok(Job::from_request(origin, request)),
            };
        }
        let bytes = request.content.map_or_else(Vec::new, |Content { payload, .. }| payload);
        let owner = Owner { server, session, upload: part.map(|part| part.upload) };
        let (offset, last, size) = match part {
            Some(part) => (part.offset, !part.more, part.announced.map(u64::from)),
            None => (0, true, None),
        };
        let size = size.or_else(|| last.then_some((offset + bytes.len()) as u64));
        let chunk = Chunk { owner, offset, bytes, last, size };
        Ok(Job::write_chunk(origin, request.path, chunk))
    }

    /// True if opaque values of the resource go to its object chunk by chunk.
    fn streams_to(&self, path: &Path) -> bool {
        let object = path.object_id().and_then(|id| self.objects.get(&id));
        let resource = path.resource_id().filter(|_| path.depth() == 3 && path.prefix().is_none());
        object.zip(resource).is_some_and(|(object, id)| object.streams.contains(&id))
    }

    /// Tells the CoAP sessions over open links which resources stream.
    pub(crate) fn set_streams(&mut self) {
        let objects = self.objects.iter();
        let targets: Vec<StreamTarget> = objects
            .flat_map(|(object, entry)| {
                entry.streams.iter().map(|id| StreamTarget { object: *object, resource: *id })
            })
            .collect();
        for endpoint in self.servers.values_mut().filter_map(|server| server.endpoint.as_mut()) {
            endpoint.set_streams(targets.clone());
        }
    }

    /// Gives a chunk to its object; the checks of any Write have been made.
    pub(crate) fn stream(
        &mut self,
        job: &Job,
        resource: Option<&ResourceDef>,
        chunk: &Chunk,
    ) -> Result<(), RequestError> {
        let (path, owner) = (&job.path, chunk.owner);
        let end = chunk.offset.saturating_add(chunk.bytes.len());
        check_length(path, resource, end, chunk.last)?;
        let known = self.streams.get(path);
        if known.is_some_and(|stream| stream.is_storing) {
            self.ignore(job);
            return Ok(());
        }
        if chunk.offset == 0 {
            let is_foreign = known.is_some_and(|stream| stream.owner.server != owner.server);
            if is_foreign && !chunk.last {
                let reason = "another server writes to the resource";
                return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
            }
            if self.is_busy(path.object_id()) {
                return Err(busy());
            }
        } else if known.is_none_or(|stream| stream.owner != owner) {
            let reason = "what came before this part is no longer here";
            return Err(RequestError::new(Code::REQUEST_ENTITY_INCOMPLETE, reason));
        }
        let until = self.stream_limit();
        let operation = CallOperation::Stream {
            offset: chunk.offset as u64,
            chunk: chunk.bytes.clone(),
            last: chunk.last,
            size: chunk.size,
        };
        let pending = Pending::Stream { job: job.clone(), owner, last: chunk.last };
        let call = self.new_call(path, operation, &pending);
        let stream = self.streams.entry(path.clone());
        let stream = stream.or_insert(Stream { owner, is_storing: true, until });
        stream.is_storing = true;
        if stream.owner.server == owner.server {
            (stream.owner, stream.until) = (owner, until);
        }
        self.open(call, pending);
        Ok(())
    }

    /// An object has answered a chunk.
    pub(crate) fn streamed(
        &mut self,
        call: CallId,
        job: &Job,
        owner: Owner,
        last: bool,
        result: CallResult,
    ) {
        let until = self.stream_limit();
        let Some(stream) = self.streams.get_mut(&job.path) else { return };
        stream.is_storing = false;
        if result.is_ok() && !last {
            stream.until = until;
            return self.answer(job, Ok(Answer::Code(Code::CONTINUE)));
        }
        // A whole value of another server that was refused leaves the stream alone.
        let is_over = result.is_ok() || stream.owner == owner;
        if is_over {
            self.streams.remove(&job.path);
        }
        // The error may be that of a rim which has waited long enough for the object.
        let breaks_off = is_over && result.is_err();
        self.acted(call, job, result);
        if breaks_off {
            self.tell_stream_end(job.path.clone(), owner.server);
        }
    }

    /// Leaves a part alone: its server sends it again.
    fn ignore(&mut self, job: &Job) {
        if let Origin::Server { id, session, exchange, .. } = job.origin
            && let Some(endpoint) = self.servers.get_mut(&id).and_then(|it| it.session(session))
        {
            endpoint.ignore(exchange);
        }
    }

    /// When a stream is over that goes on now.
    fn stream_limit(&self) -> Instant {
        self.now.boot + self.config.coap.exchange_lifetime()
    }

    /// When the next stream is over, unless a chunk comes.
    pub(crate) fn next_stream_end(&self) -> Option<Instant> {
        let waiting = self.streams.values().filter(|stream| !stream.is_storing);
        waiting.map(|stream| stream.until).min()
    }

    /// Ends the streams whose servers have fallen silent.
    pub(crate) fn streams_due(&mut self) {
        let now = self.now.boot;
        let is_over = |stream: &Stream| !stream.is_storing && stream.until <= now;
        while let Some((path, stream)) = self.streams.iter().find(|(_, it)| is_over(it)) {
            let (path, server) = (path.clone(), stream.owner.server);
            self.streams.remove(&path);
            let reason = "the server does not go on with it".into();
            let event = Event::StreamEnded { server, path: path.clone(), reason };
            self.outputs.push_back(Output::Event(event));
            self.tell_stream_end(path, server);
        }
    }

    fn tell_stream_end(&mut self, path: Path, server: u16) {
        let id = CallId(self.next_call);
        self.next_call += 1;
        let (operation, server) = (CallOperation::StreamEnd, Some(server));
        self.outputs.push_back(Output::Call(Call { id, path, operation, server }));
    }
}

/// The resources of `wanted` that can stream: single opaque ones.
pub(crate) fn streamable(definition: &ObjectDef, mut wanted: Vec<u16>) -> Vec<u16> {
    wanted.retain(|id| {
        let resource = definition.resource(*id);
        resource.is_some_and(|it| it.data_type == DataType::Opaque && !it.multiple)
    });
    wanted
}

/// A value that has `len` bytes so far must be able to become one that is allowed.
fn check_length(
    path: &Path,
    resource: Option<&ResourceDef>,
    len: usize,
    last: bool,
) -> Result<(), RequestError> {
    let fits = match resource.map(|resource| &resource.range) {
        None | Some(Range::Any | Range::Number { .. }) => true,
        Some(Range::Length { min, max }) => len <= *max && (len >= *min || !last),
        Some(Range::Lengths(lengths)) if last => lengths.contains(&len),
        Some(Range::Lengths(lengths)) => lengths.iter().any(|most| len <= *most),
    };
    if fits {
        return Ok(());
    }
    let reason = format!("write {path}: a value cannot have {len} bytes");
    Err(RequestError::new(Code::BAD_REQUEST, reason))
}
