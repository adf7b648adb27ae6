//! Answers of devices, read with the definitions that we know.

use std::time::Duration;

use coap_lite::{CoapOption, Packet};
use lwm2m_codec::{Item, Record, link_format};
use lwm2m_model::{Code, ContentFormat, Entry, Node, Path, ResourceDef, objects};

use crate::state::Answer;
use crate::{Notification, message, test_object};

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Response {
    /// Result.
    pub code: Code,
    /// Format of the payload.
    pub format: Option<ContentFormat>,
    /// The payload, all blocks of it.
    pub payload: Vec<u8>,
    /// Its values, by the types of their definitions where we know them.
    pub entries: Vec<Entry>,
    /// Its links, if it is link format.
    pub links: Vec<LinkInfo>,
    /// Why the payload could not be read as its format and definitions ask.
    pub problem: Option<String>,
    /// The instance that a Create made.
    pub created: Option<Path>,
    /// Value of the Observe option: there if the device took the observation.
    pub observe: Option<u32>,
    /// How the answer came; with several blocks, how the last one came.
    pub delivery: Delivery,
    /// The datagrams of the exchange.
    pub traffic: Traffic,
    /// From the first transmission to the last block.
    pub round_trip: Duration,
}

/// How a response came (RFC 7252 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In the acknowledgement.
    Piggybacked,
    /// In a message of its own.
    Separate {
        /// As confirmable message.
        confirmable: bool,
    },
}

/// Bytes of each datagram of an exchange, in their order; with DTLS as they were
/// on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Sent by us, retransmissions too.
    pub sent: Vec<usize>,
    /// Received.
    pub received: Vec<usize>,
}

/// A link of a Discover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    /// Where it leads.
    pub path: Path,
    /// Its parameters: `pmin` and `10`, `ver` and `1.2`.
    pub parameters: Vec<(String, Option<String>)>,
}

impl LinkInfo {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_deref())
    }
}

impl Response {
    /// Reads an answer to a request for `target`.
    pub(crate) fn new(target: &Path, answer: Answer) -> Self {
        let Answer { packet, delivery, traffic, round_trip } = answer;
        let code = message::code(&packet);
        let format = message::content_format(&packet);
        let mut response = Self {
            code,
            format,
            entries: Vec::new(),
            links: Vec::new(),
            problem: None,
            created: created(&packet),
            observe: message::number(&packet, CoapOption::Observe),
            delivery,
            traffic,
            round_trip,
            payload: packet.payload,
        };
        if code != Code::CONTENT {
            return response;
        }
        let payload = &response.payload;
        if format == Some(ContentFormat::LINK) {
            (response.links, response.problem) = read_links(payload);
        } else {
            (response.entries, response.problem) = read_entries(format, payload, target);
        }
        response
    }

    /// The text of an error answer, if it has one.
    pub fn diagnostic(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.payload).ok()?;
        (!self.code.is_success() && !text.is_empty()).then_some(text)
    }

    /// The value at a path, if the answer has one there.
    pub fn value(&self, path: &Path) -> Option<&lwm2m_model::Value> {
        self.entries.iter().find(|entry| entry.path == *path).and_then(Entry::value)
    }
}

impl Notification {
    /// Fills `entries` and `problem` from the payload.
    pub(crate) fn read_values(&mut self) {
        if self.code == Code::CONTENT && self.problem.is_none() {
            (self.entries, self.problem) = read_entries(self.format, &self.payload, &self.path);
        }
    }
}

/// The definition of a resource, if it is one that we know.
pub(crate) fn resource(path: &Path) -> Option<&'static ResourceDef> {
    let object = path.object_id()?;
    let known = objects::by_id(object).or_else(|| {
        let test = test_object();
        (test.id == object).then_some(test)
    });
    known?.resource(path.resource_id()?)
}

fn read_entries(
    format: Option<ContentFormat>,
    payload: &[u8],
    target: &Path,
) -> (Vec<Entry>, Option<String>) {
    let Some(format) = format else {
        let problem = (!payload.is_empty()).then(|| "a payload without Content-Format".to_owned());
        return (Vec::new(), problem);
    };
    let records = match lwm2m_codec::decode(format, payload, target) {
        Ok(records) => records,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut problem = None;
    let entries = records.iter().map(|record| read_record(record, &mut problem)).collect();
    (entries, problem)
}

/// One value by its definition; what does not fit is guessed, and is a problem.
fn read_record(record: &Record<'_>, problem: &mut Option<String>) -> Entry {
    let node = match (&record.item, resource(&record.path)) {
        // No answer removes anything.
        (Item::Empty | Item::Delete, _) => Node::Empty,
        (Item::Value(raw), None) => Node::Value(raw.guess()),
        (Item::Value(raw), Some(definition)) => match raw.to_value(definition.data_type) {
            Ok(value) => {
                if let Err(error) = definition.range.check(&value) {
                    problem.get_or_insert(format!("{}: {error}", record.path));
                }
                Node::Value(value)
            }
            Err(error) => {
                problem.get_or_insert(format!("{}: {error}", record.path));
                Node::Value(raw.guess())
            }
        },
    };
    Entry { path: record.path.clone(), node, time: record.time }
}

fn read_links(payload: &[u8]) -> (Vec<LinkInfo>, Option<String>) {
    let read = || {
        let text = std::str::from_utf8(payload).map_err(|_| "links are not UTF-8".to_owned())?;
        let links = link_format::parse(text).map_err(|error| error.to_string())?;
        links.iter().map(read_link).collect::<Result<Vec<_>, String>>()
    };
    match read() {
        Ok(links) => (links, None),
        Err(problem) => (Vec::new(), Some(problem)),
    }
}

fn read_link(link: &link_format::Link<'_>) -> Result<LinkInfo, String> {
    let path = link.target.parse().map_err(|error| format!("<{}>: {error}", link.target))?;
    let parameters = link
        .parameters
        .iter()
        .map(|parameter| {
            let value = parameter.value.as_ref().map(|value| value.as_str().to_owned());
            (parameter.name.to_string(), value)
        })
        .collect();
    Ok(LinkInfo { path, parameters })
}

fn created(packet: &Packet) -> Option<Path> {
    packet.get_option(CoapOption::LocationPath)?;
    let segments = message::texts(packet, CoapOption::LocationPath)?;
    Path::from_segments(segments.iter().map(String::as_str)).ok()
}
