//! Requests and replies as everything above a binding sees them.

use std::borrow::Cow;
use std::fmt;

use crate::{AttributeUpdate, Path};

/// A request of a server, whatever binding brought it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is to be done.
    pub operation: Operation,
    /// The target.
    pub path: Path,
    /// The format wanted for the answer; `None` leaves it to us (Core 10.2).
    pub accept: Option<ContentFormat>,
    /// The payload, if there is one.
    pub content: Option<Content>,
}

/// What a request wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Read (Core 6.1).
    Read,
    /// Discover (Core 6.2), to a depth of 0..=3.
    Discover {
        /// `None`: two levels below an object, one below the rest.
        depth: Option<u8>,
    },
    /// Write (Core 6.3).
    Write(WriteMode),
    /// Write-Attributes (Core 3.4).
    WriteAttributes(AttributeUpdate),
    /// Execute (Core 6.4); the arguments are the payload.
    Execute,
    /// Create (Core 6.5).
    Create,
    /// Delete (Core 6.6).
    Delete,
    /// Observe (Core 8.1), with the attributes of its query.
    Observe(AttributeUpdate),
    /// Cancel Observation (Core 8.3).
    CancelObservation,
}

impl Operation {
    /// The name of the operation in the specification.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Discover { .. } => "Discover",
            Self::Write(WriteMode::Replace) => "Write",
            Self::Write(WriteMode::Partial) => "Write (partial)",
            Self::WriteAttributes(_) => "Write-Attributes",
            Self::Execute => "Execute",
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Observe(_) => "Observe",
            Self::CancelObservation => "Cancel Observation",
        }
    }
}

/// How a Write treats what its payload does not name (Core 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// The target becomes what the payload says.
    Replace,
    /// Only what the payload names changes.
    Partial,
}

/// A payload and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// `None` if the peer did not say.
    pub format: Option<ContentFormat>,
    /// The bytes.
    pub payload: Vec<u8>,
}

impl Content {
    /// A payload of a known format.
    pub fn new(format: ContentFormat, payload: Vec<u8>) -> Self {
        Self { format: Some(format), payload }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Result.
    pub code: Code,
    /// Payload of a 2.05.
    pub content: Option<Content>,
    /// The instance that a Create has made, if it was exactly one (Core 6.5).
    pub location: Option<Path>,
}

impl Reply {
    /// A reply without payload.
    pub const fn new(code: Code) -> Self {
        Self { code, content: None, location: None }
    }

    /// 2.01, with the one instance that was made.
    pub const fn created(location: Option<Path>) -> Self {
        Self { code: Code::CREATED, content: None, location }
    }

    /// 2.05 with a payload.
    pub fn content(format: ContentFormat, payload: Vec<u8>) -> Self {
        Self { content: Some(Content::new(format, payload)), ..Self::new(Code::CONTENT) }
    }
}

/// A request that is refused: the code for the server, the reason for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct RequestError {
    /// What the server is told.
    pub code: Code,
    /// What the operator is told: lower case, no full stop, no secret.
    pub reason: Cow<'static, str>,
}

impl RequestError {
    /// A refusal with its reason.
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// A result code, `class.detail` (Core 11), as CoAP's code byte holds it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u8);

impl Code {
    /// 2.01
    pub const CREATED: Self = Self::new(2, 1);
    /// 2.02
    pub const DELETED: Self = Self::new(2, 2);
    /// 2.04
    pub const CHANGED: Self = Self::new(2, 4);
    /// 2.05
    pub const CONTENT: Self = Self::new(2, 5);
    /// 2.31
    pub const CONTINUE: Self = Self::new(2, 31);
    /// 4.00
    pub const BAD_REQUEST: Self = Self::new(4, 0);
    /// 4.01
    pub const UNAUTHORIZED: Self = Self::new(4, 1);
    /// 4.02
    pub const BAD_OPTION: Self = Self::new(4, 2);
    /// 4.03
    pub const FORBIDDEN: Self = Self::new(4, 3);
    /// 4.04
    pub const NOT_FOUND: Self = Self::new(4, 4);
    /// 4.05
    pub const METHOD_NOT_ALLOWED: Self = Self::new(4, 5);
    /// 4.06
    pub const NOT_ACCEPTABLE: Self = Self::new(4, 6);
    /// 4.08
    pub const REQUEST_ENTITY_INCOMPLETE: Self = Self::new(4, 8);
    /// 4.09
    pub const CONFLICT: Self = Self::new(4, 9);
    /// 4.12
    pub const PRECONDITION_FAILED: Self = Self::new(4, 12);
    /// 4.13
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self::new(4, 13);
    /// 4.15
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self::new(4, 15);
    /// 5.00
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(5, 0);
    /// 5.01
    pub const NOT_IMPLEMENTED: Self = Self::new(5, 1);
    /// 5.03
    pub const SERVICE_UNAVAILABLE: Self = Self::new(5, 3);

    /// A code from class 0..=7 and detail 0..=31; higher bits are cut off.
    pub const fn new(class: u8, detail: u8) -> Self {
        Self((class << 5) | (detail & 0x1f))
    }

    /// A code from its byte on the wire.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// 2 success, 4 client error, 5 server error.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The part after the dot.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }

    /// True for class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// The name in RFC 7252, or empty.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CREATED => "Created",
            Self::DELETED => "Deleted",
            Self::CHANGED => "Changed",
            Self::CONTENT => "Content",
            Self::CONTINUE => "Continue",
            Self::BAD_REQUEST => "Bad Request",
            Self::UNAUTHORIZED => "Unauthorized",
            Self::BAD_OPTION => "Bad Option",
            Self::FORBIDDEN => "Forbidden",
            Self::NOT_FOUND => "Not Found",
            Self::METHOD_NOT_ALLOWED => "Method Not Allowed",
            Self::NOT_ACCEPTABLE => "Not Acceptable",
            Self::REQUEST_ENTITY_INCOMPLETE => "Request Entity Incomplete",
            Self::CONFLICT => "Conflict",
            Self::PRECONDITION_FAILED => "Precondition Failed",
            Self::REQUEST_ENTITY_TOO_LARGE => "Request Entity Too Large",
            Self::UNSUPPORTED_CONTENT_FORMAT => "Unsupported Content-Format",
            Self::INTERNAL_SERVER_ERROR => "Internal Server Error",
            Self::NOT_IMPLEMENTED => "Not Implemented",
            Self::SERVICE_UNAVAILABLE => "Service Unavailable",
            _ => "",
        }
    }
}

impl fmt::Display for Code {
    /// `2.05`, as servers and specifications write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A CoAP Content-Format number (Core 10.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentFormat(pub u16);

impl ContentFormat {
    /// text/plain
    pub const TEXT: Self = Self(0);
    /// application/link-format
    pub const LINK: Self = Self(40);
    /// application/octet-stream
    pub const OPAQUE: Self = Self(42);
    /// application/cbor
    pub const CBOR: Self = Self(60);
    /// application/senml+json
    pub const SENML_JSON: Self = Self(110);
    /// application/senml+cbor
    pub const SENML_CBOR: Self = Self(112);
    /// application/senml-etch+json
    pub const ETCH_JSON: Self = Self(320);
    /// application/senml-etch+cbor
    pub const ETCH_CBOR: Self = Self(322);
    /// application/vnd.oma.lwm2m+tlv
    pub const TLV: Self = Self(11542);
    /// application/vnd.oma.lwm2m+json, LwM2M 1.0 only
    pub const OMA_JSON: Self = Self(11543);
    /// application/vnd.oma.lwm2m+cbor
    pub const LWM2M_CBOR: Self = Self(11544);

    /// Every format that has a name, in ascending order.
    pub const NAMED: [Self; 11] = [
        Self::TEXT,
        Self::LINK,
        Self::OPAQUE,
        Self::CBOR,
        Self::SENML_JSON,
        Self::SENML_CBOR,
        Self::ETCH_JSON,
        Self::ETCH_CBOR,
        Self::TLV,
        Self::OMA_JSON,
        Self::LWM2M_CBOR,
    ];

    /// A short name for people, or `None` for a number we do not know.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::TEXT => "text",
            Self::LINK => "link-format",
            Self::OPAQUE => "opaque",
            Self::CBOR => "cbor",
            Self::SENML_JSON => "senml-json",
            Self::SENML_CBOR => "senml-cbor",
            Self::ETCH_JSON => "senml-etch-json",
            Self::ETCH_CBOR => "senml-etch-cbor",
            Self::TLV => "tlv",
            Self::OMA_JSON => "json",
            Self::LWM2M_CBOR => "lwm2m-cbor",
            _ => return None,
        })
    }
}

impl fmt::Display for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.0)
    }
}
