//! The peers' JSON as types: registrations, answers, events.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lwm2m_model::{Code, ContentFormat, DataType, Entry, Path, Version};
use serde_json::Value as Json;

use crate::PeerError;

/// What a server holds of a registered device (Core 6.4.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// Endpoint client name.
    pub endpoint: String,
    /// Last segment of the location.
    pub id: String,
    /// The version the device registered with.
    pub version: Version,
    /// Seconds.
    pub lifetime: u64,
    /// The binding as text, such as `U`.
    pub binding: String,
    /// True if the device asked for queue mode.
    pub is_queue_mode: bool,
    /// Where requests for the device go.
    pub address: SocketAddr,
    /// `coap` or `coaps`.
    pub scheme: String,
    /// The registered links; attributes are as they stand in the list.
    pub links: Vec<Link>,
    /// Register parameters that the server does not know.
    pub other_parameters: BTreeMap<String, Option<String>>,
}

/// A link of a Register, Update or Discover; attribute values are as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The target without angle brackets.
    pub uri: String,
    /// `None` for an attribute without a value.
    pub attributes: BTreeMap<String, Option<String>>,
}

/// The answer of a device, or a notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Response code; `None` only when nothing was sent, as in a passive cancellation.
    pub code: Option<Code>,
    /// True if it was a confirmable message of its own (RFC 7252 5.2.2), or a confirmable
    /// notification; aiocoap alone tells it.
    pub is_separate: bool,
    /// Content-Format.
    pub format: Option<ContentFormat>,
    /// The Observe option.
    pub observe: Option<u32>,
    /// The payload as it was on the wire.
    pub payload: Vec<u8>,
    /// The payload as the server decoded it; aiocoap decodes nothing.
    pub values: Vec<Entry>,
    /// The links of a Discover.
    pub links: Vec<Link>,
    /// Where an instance was created: Location-Path with slashes.
    pub location: Option<String>,
    /// The diagnostic payload of an error.
    pub message: Option<String>,
}

/// Something that a server tells without being asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A device registered.
    Registered {
        /// The new registration.
        registration: Registration,
        /// True if the device was registered before.
        is_replacement: bool,
    },
    /// A device sent an Update.
    Updated(Registration),
    /// A device de-registered, or its lifetime ran out.
    Unregistered {
        /// The device.
        endpoint: String,
        /// True if the lifetime ran out.
        is_expired: bool,
    },
    /// A device in queue mode is taken to be awake.
    Awake {
        /// The device.
        endpoint: String,
    },
    /// A device in queue mode is taken to be asleep.
    Sleeping {
        /// The device.
        endpoint: String,
    },
    /// A notification came.
    Notification {
        /// The device.
        endpoint: String,
        /// What is observed.
        path: Path,
        /// The notification.
        response: Response,
    },
    /// A notification came that the server could not take.
    NotificationError {
        /// The server's words.
        error: String,
    },
    /// The server dropped an observation.
    ObservationCancelled {
        /// What was observed.
        path: Path,
    },
    /// The server answered a request of a device, accepted or not.
    Answered {
        /// `POST`, `PUT`, `DELETE`.
        method: String,
        /// Uri-Path with slashes.
        path: String,
        /// Uri-Query options.
        query: Vec<String>,
        /// The answer.
        code: Code,
        /// Diagnostic payload.
        message: Option<String>,
    },
    /// A request of a device had a block option (RFC 7959); aiocoap alone tells it.
    Block {
        /// `POST`, `PUT`.
        method: String,
        /// Uri-Path with slashes.
        path: String,
        /// `block1` or `block2`.
        option: String,
        /// Number of the block.
        number: u32,
        /// Request-Tag (RFC 9175 3); empty without one.
        tag: Vec<u8>,
    },
}

impl Registration {
    /// The link to `uri`, if it was registered.
    pub fn link(&self, uri: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.uri == uri)
    }

    pub(crate) fn parse(json: &Json) -> Result<Self, PeerError> {
        Ok(Self {
            endpoint: text(json, "endpoint")?,
            id: text(json, "registrationId")?,
            version: parsed(json, "version")?,
            lifetime: json["lifetime"].as_u64().ok_or_else(|| wrong("lifetime", json))?,
            binding: text(json, "binding")?,
            is_queue_mode: json["queueMode"] == true,
            address: parsed(json, "address")?,
            scheme: text(json, "scheme")?,
            links: links(&json["links"])?,
            other_parameters: attributes(&json["otherParameters"]),
        })
    }
}

impl Response {
    /// The value at `path`, if the server decoded one there.
    pub fn value(&self, path: &Path) -> Option<&lwm2m_model::Value> {
        self.values.iter().find(|entry| entry.path == *path).and_then(Entry::value)
    }

    /// The link to `uri` of a Discover.
    pub fn link(&self, uri: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.uri == uri)
    }

    pub(crate) fn parse(json: &Json) -> Result<Self, PeerError> {
        let number = |field: &str| json[field].as_u64().and_then(|n| u32::try_from(n).ok());
        let format = number("format").and_then(|n| u16::try_from(n).ok()).map(ContentFormat);
        Ok(Self {
            code: json["code"].is_string().then(|| code(json)).transpose()?,
            is_separate: json["separate"] == true,
            format,
            observe: number("observe"),
            payload: bytes(json["payloadHex"].as_str().unwrap_or_default())
                .ok_or_else(|| wrong("payloadHex", json))?,
            values: list(&json["values"]).iter().map(entry).collect::<Result<_, _>>()?,
            links: links(&json["links"])?,
            location: json["location"].as_str().map(str::to_owned),
            message: json["message"].as_str().map(str::to_owned),
        })
    }
}

impl Event {
    pub(crate) fn parse(json: &Json) -> Result<Self, PeerError> {
        let endpoint = || text(json, "endpoint");
        Ok(match json["event"].as_str().unwrap_or_default() {
            "registered" => Self::Registered {
                registration: Registration::parse(&json["registration"])?,
                is_replacement: json["isReplacement"] == true,
            },
            "updated" => Self::Updated(Registration::parse(&json["registration"])?),
            "unregistered" => {
                Self::Unregistered { endpoint: endpoint()?, is_expired: json["expired"] == true }
            }
            "awake" => Self::Awake { endpoint: endpoint()? },
            "sleeping" => Self::Sleeping { endpoint: endpoint()? },
            "notification" => Self::Notification {
                endpoint: endpoint()?,
                path: parsed(json, "path")?,
                response: Response::parse(json)?,
            },
            "notificationError" => Self::NotificationError { error: text(json, "error")? },
            "observationCancelled" => Self::ObservationCancelled { path: parsed(json, "path")? },
            "answered" => Self::Answered {
                method: text(json, "method")?,
                path: text(json, "path")?,
                query: list(&json["query"])
                    .iter()
                    .filter_map(|option| option.as_str().map(str::to_owned))
                    .collect(),
                code: code(json)?,
                message: json["message"].as_str().map(str::to_owned),
            },
            "block" => Self::Block {
                method: text(json, "method")?,
                path: text(json, "path")?,
                option: text(json, "option")?,
                number: json["number"]
                    .as_u64()
                    .and_then(|number| u32::try_from(number).ok())
                    .ok_or_else(|| wrong("number", json))?,
                tag: json["tagHex"]
                    .as_str()
                    .and_then(bytes)
                    .ok_or_else(|| wrong("tagHex", json))?,
            },
            _ => return Err(wrong("event", json)),
        })
    }
}

fn entry(json: &Json) -> Result<Entry, PeerError> {
    let path: Path = parsed(json, "path")?;
    let data_type = json["type"]
        .as_str()
        .and_then(|name| TYPES.iter().find(|(_, theirs)| *theirs == name))
        .map(|(ours, _)| *ours)
        .ok_or_else(|| wrong("type", json))?;
    // Text, hexadecimal, numbers and booleans all stand as the model's parser wants them.
    let written = match &json["value"] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let value = lwm2m_model::Value::parse(data_type, &written).map_err(|_| wrong("value", json))?;
    Ok(Entry { time: json["time"].as_f64(), ..Entry::new(path, value) })
}

/// The name that the peers use for a data type.
pub(crate) fn type_name(data_type: DataType) -> &'static str {
    TYPES.iter().find(|(ours, _)| *ours == data_type).map_or("NONE", |(_, theirs)| theirs)
}

const TYPES: [(DataType, &str); 9] = [
    (DataType::String, "STRING"),
    (DataType::Integer, "INTEGER"),
    (DataType::Unsigned, "UNSIGNED_INTEGER"),
    (DataType::Float, "FLOAT"),
    (DataType::Boolean, "BOOLEAN"),
    (DataType::Opaque, "OPAQUE"),
    (DataType::Time, "TIME"),
    (DataType::Objlnk, "OBJLNK"),
    (DataType::Corelnk, "CORELINK"),
];

fn links(json: &Json) -> Result<Vec<Link>, PeerError> {
    list(json)
        .iter()
        .map(|link| {
            Ok(Link { uri: text(link, "uri")?, attributes: attributes(&link["attributes"]) })
        })
        .collect()
}

fn attributes(json: &Json) -> BTreeMap<String, Option<String>> {
    let pairs = json.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))).collect()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// `2.05` as a code.
fn code(json: &Json) -> Result<Code, PeerError> {
    json["code"]
        .as_str()
        .and_then(|text| text.split_once('.'))
        .and_then(|(class, detail)| Some(Code::new(class.parse().ok()?, detail.parse().ok()?)))
        .ok_or_else(|| wrong("code", json))
}

pub(crate) fn bytes(hex: &str) -> Option<Vec<u8>> {
    match lwm2m_model::Value::parse(DataType::Opaque, hex) {
        Ok(lwm2m_model::Value::Opaque(bytes)) => Some(bytes),
        _ => None,
    }
}

fn text(json: &Json, field: &str) -> Result<String, PeerError> {
    json[field].as_str().map(str::to_owned).ok_or_else(|| wrong(field, json))
}

fn parsed<T: std::str::FromStr>(json: &Json, field: &str) -> Result<T, PeerError> {
    json[field].as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong(field, json))
}

fn wrong(field: &str, json: &Json) -> PeerError {
    PeerError::Malformed { what: format!("field {field}"), line: json.to_string() }
}
