//! CoAP mapping of the operations (Core 1, Transport 2.4 to 2.6).

use std::borrow::Cow;

use lwm2m_coap::{Draft, Message, method, option};
use lwm2m_model::{
    AttributeUpdate, Code, Content, ContentFormat, Operation, Path, PathError, Reply, Request,
    RequestError, WriteMode,
};

/// A message that is no LwM2M request.
#[derive(Debug)]
pub(crate) struct NoRequest {
    /// The operation that it comes closest to.
    pub(crate) like: Operation,
    /// Its target, as far as it names one.
    pub(crate) path: Path,
    /// What has to be answered.
    pub(crate) error: RequestError,
}

/// Reads a request of a server (the dispatch table of Core 1).
///
/// # Errors
/// What is wrong if the message is no LwM2M request.
pub(crate) fn to_request(mut message: Message<'_>) -> Result<Request, Box<NoRequest>> {
    let payload = std::mem::take(&mut message.payload);
    read(&message, payload).map_err(|error| {
        let options = Options::read(&message).unwrap_or_default();
        let path = options.path().unwrap_or_default();
        Box::new(NoRequest { like: options.closest(message.code), path, error })
    })
}

fn read(message: &Message<'_>, payload: Cow<'_, [u8]>) -> Result<Request, RequestError> {
    let options = Options::read(message)?;
    let path = options.path()?;
    let content = content(payload, options.content_format);
    let operation = match message.code {
        method::GET => options.get()?,
        method::PUT if content.is_none() && !options.queries.is_empty() => {
            Operation::WriteAttributes(options.attributes()?)
        }
        method::PUT => Operation::Write(WriteMode::Replace),
        method::POST => post(&path, content.as_ref())?,
        method::DELETE => Operation::Delete,
        _ => return Err(not_allowed("no LwM2M operation has this method")),
    };
    Ok(Request { operation, path, accept: options.accept, content })
}

/// The options that mean something here, from one walk over the message.
#[derive(Default)]
struct Options<'a> {
    segments: [&'a str; MAX_SEGMENTS],
    depth: usize,
    queries: Vec<&'a str>,
    observe: Option<u32>,
    accept: Option<ContentFormat>,
    content_format: Option<ContentFormat>,
}

impl<'a> Options<'a> {
    fn read(message: &'a Message<'_>) -> Result<Self, RequestError> {
        let mut options = Self::default();
        for (number, value) in message.options() {
            match number {
                option::URI_PATH => {
                    let segment = str::from_utf8(value);
                    let segment = segment.map_err(|_| bad_request("Uri-Path is no UTF-8"))?;
                    // What does not fit is too deep as it is.
                    if let Some(place) = options.segments.get_mut(options.depth) {
                        *place = segment;
                        options.depth += 1;
                    }
                }
                option::URI_QUERY => {
                    let query = str::from_utf8(value);
                    options.queries.push(query.map_err(|_| bad_request("Uri-Query is no UTF-8"))?);
                }
                option::OBSERVE => options.observe = message.observe(),
                option::ACCEPT => options.accept = message.accept(),
                option::CONTENT_FORMAT => options.content_format = message.content_format(),
                _ => {}
            }
        }
        Ok(options)
    }

    fn path(&self) -> Result<Path, RequestError> {
        let segments = self.segments.get(..self.depth).unwrap_or_default();
        // One trailing empty segment is a trailing slash, which some servers send.
        let segments = match segments.split_last() {
            Some((&"", rest)) => rest,
            _ => segments,
        };
        Path::from_segments(segments.iter().copied()).map_err(|error| {
            let code = match error {
                PathError::TooDeep => Code::METHOD_NOT_ALLOWED,
                _ => Code::NOT_FOUND,
            };
            RequestError::new(code, error.to_string())
        })
    }

    fn get(&self) -> Result<Operation, RequestError> {
        Ok(match self.observe {
            Some(0) => Operation::Observe(self.attributes()?),
            Some(1) => Operation::CancelObservation,
            Some(_) => return Err(bad_request("Observe is neither 0 nor 1")),
            None if self.accept == Some(ContentFormat::LINK) => {
                Operation::Discover { depth: self.depth_parameter()? }
            }
            None => Operation::Read,
        })
    }

    /// What people will take a message for that is no request.
    fn closest(&self, method: Code) -> Operation {
        match method {
            method::PUT if !self.queries.is_empty() => {
                Operation::WriteAttributes(AttributeUpdate::default())
            }
            method::PUT => Operation::Write(WriteMode::Replace),
            method::POST => Operation::Execute,
            method::DELETE => Operation::Delete,
            _ if self.observe.is_some() => Operation::Observe(AttributeUpdate::default()),
            _ if self.accept == Some(ContentFormat::LINK) => Operation::Discover { depth: None },
            _ => Operation::Read,
        }
    }

    fn attributes(&self) -> Result<AttributeUpdate, RequestError> {
        AttributeUpdate::parse(self.queries.iter().copied())
            .map_err(|error| bad_request(error.to_string()))
    }

    fn depth_parameter(&self) -> Result<Option<u8>, RequestError> {
        let mut depth = None;
        for parameter in &self.queries {
            if let Some(text) = parameter.strip_prefix("depth=") {
                depth = Some(match text {
                    "0" => 0,
                    "1" => 1,
                    "2" => 2,
                    "3" => 3,
                    _ => return Err(bad_request("depth is a number from 0 to 3")),
                });
            }
        }
        Ok(depth)
    }
}

/// The response that carries a reply; `observe` numbers a notification.
pub(crate) fn to_draft(reply: Reply, observe: Option<u32>) -> Draft {
    let mut draft = Draft::new(reply.code);
    for id in reply.location.iter().flat_map(Path::ids) {
        draft = draft.option(option::LOCATION_PATH, id.to_string().as_bytes());
    }
    if let Some(number) = observe {
        draft = draft.option_uint(option::OBSERVE, number);
    }
    match reply.content {
        Some(Content { format: Some(format), payload }) => draft.content(format, payload),
        Some(Content { format: None, .. }) | None => draft,
    }
}

/// Create, Write (partial) or Execute, by the depth of the path; on a resource,
/// a structured format means values and anything else arguments.
fn post(path: &Path, content: Option<&Content>) -> Result<Operation, RequestError> {
    match path.depth() {
        1 => Ok(Operation::Create),
        2 => Ok(Operation::Write(WriteMode::Partial)),
        3 => Ok(match content.and_then(|content| content.format) {
            Some(
                ContentFormat::TLV
                | ContentFormat::SENML_JSON
                | ContentFormat::SENML_CBOR
                | ContentFormat::LWM2M_CBOR
                | ContentFormat::OMA_JSON,
            ) => Operation::Write(WriteMode::Partial),
            _ => Operation::Execute,
        }),
        _ => Err(not_allowed("POST is for objects, instances and resources")),
    }
}

fn content(payload: Cow<'_, [u8]>, format: Option<ContentFormat>) -> Option<Content> {
    (format.is_some() || !payload.is_empty())
        .then(|| Content { format, payload: payload.into_owned() })
}

fn bad_request(reason: impl Into<Cow<'static, str>>) -> RequestError {
    RequestError::new(Code::BAD_REQUEST, reason)
}

fn not_allowed(reason: &'static str) -> RequestError {
    RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
}

/// A gateway prefix, four identifiers and a trailing slash, and two more.
const MAX_SEGMENTS: usize = 8;

#[cfg(test)]
mod tests {
    use lwm2m_coap::{Kind, Token};

    use super::*;

    fn parse(draft: &Draft) -> Result<Request, Box<NoRequest>> {
        let datagram = draft.encode(Kind::Confirmable, 1, Token::default());
        to_request(Message::decode(&datagram).unwrap())
    }

    fn draft(code: Code, path: &str) -> Draft {
        path.split('/').skip(1).fold(Draft::new(code), |draft, segment| {
            draft.option(option::URI_PATH, segment.as_bytes())
        })
    }

    fn name(draft: &Draft) -> &'static str {
        parse(draft).unwrap().operation.name()
    }

    /// TRN-23.
    #[test]
    fn methods_options_and_paths_make_operations() {
        let get = || draft(method::GET, "/3/0");
        let accept = |draft: Draft, number| draft.option_uint(option::ACCEPT, number);
        assert_eq!(name(&get()), "Read");
        assert_eq!(name(&accept(get(), 112)), "Read");
        assert_eq!(name(&accept(get(), 40)), "Discover");
        assert_eq!(name(&get().option_uint(option::OBSERVE, 0)), "Observe");
        assert_eq!(name(&get().option_uint(option::OBSERVE, 1)), "Cancel Observation");
        let put = || draft(method::PUT, "/3/0/13");
        assert_eq!(name(&put().option(option::URI_QUERY, b"pmin=1")), "Write-Attributes");
        assert_eq!(name(&put().content(ContentFormat::TEXT, b"1".to_vec())), "Write");
        assert_eq!(name(&put().content(ContentFormat::TEXT, Vec::new())), "Write");
        assert_eq!(name(&draft(method::POST, "/3442")), "Create");
        assert_eq!(name(&draft(method::POST, "/1/0")), "Write (partial)");
        let post = || draft(method::POST, "/3/0/4");
        assert_eq!(name(&post()), "Execute");
        assert_eq!(name(&post().content(ContentFormat::TEXT, b"5".to_vec())), "Execute");
        assert_eq!(name(&post().content(ContentFormat::TLV, Vec::new())), "Write (partial)");
        assert_eq!(name(&draft(method::DELETE, "/3442/0")), "Delete");
    }

    #[test]
    fn what_is_no_operation_gets_its_code() {
        let code = |draft: &Draft| parse(draft).unwrap_err().error.code;
        assert_eq!(code(&draft(method::GET, "/3/0/7/1/2")), Code::METHOD_NOT_ALLOWED);
        assert_eq!(code(&draft(method::POST, "/3/0/7/1")), Code::METHOD_NOT_ALLOWED);
        assert_eq!(code(&Draft::new(method::POST)), Code::METHOD_NOT_ALLOWED);
        assert_eq!(code(&Draft::new(method::FETCH)), Code::METHOD_NOT_ALLOWED);
        assert_eq!(code(&draft(method::GET, "/3/x")), Code::NOT_FOUND);
        assert_eq!(code(&draft(method::GET, "/3/65535")), Code::NOT_FOUND);
        let discover = draft(method::GET, "/3").option_uint(option::ACCEPT, 40);
        assert_eq!(code(&discover.option(option::URI_QUERY, b"depth=4")), Code::BAD_REQUEST);
        let observe = draft(method::GET, "/3").option_uint(option::OBSERVE, 0);
        assert_eq!(code(&observe.option(option::URI_QUERY, b"lt=5&gt=3")), Code::BAD_REQUEST);
        let odd = draft(method::GET, "/3").option_uint(option::OBSERVE, 7);
        assert_eq!(code(&odd), Code::BAD_REQUEST);
    }

    #[test]
    fn people_are_told_what_a_refused_message_was_for() {
        let refused = |draft: &Draft| {
            let refused = parse(draft).unwrap_err();
            format!("{} {}", refused.like.name(), refused.path)
        };
        let put = draft(method::PUT, "/3/0/9");
        let twisted = put.option(option::URI_QUERY, b"lt=5").option(option::URI_QUERY, b"gt=3");
        assert_eq!(refused(&twisted), "Write-Attributes /3/0/9");
        let observe = draft(method::GET, "/3").option_uint(option::OBSERVE, 0);
        assert_eq!(refused(&observe.option(option::URI_QUERY, b"pmin=x")), "Observe /3");
        assert_eq!(refused(&draft(method::DELETE, "/3/x")), "Delete /");
        assert_eq!(refused(&draft(method::POST, "/3/0/7/1")), "Execute /3/0/7/1");
    }

    #[test]
    fn a_trailing_slash_is_overlooked() {
        assert_eq!(parse(&draft(method::GET, "/3/0/")).unwrap().path, Path::instance(3, 0));
    }
}
