//! A foreign LwM2M server with one method for each command.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use lwm2m_model::{ContentFormat, Entry, Path, Value, WriteMode};
use serde_json::{Value as Json, json};

use crate::json_process::JsonProcess;
use crate::message::type_name;
use crate::{Event, PeerError, Registration, Response};

/// A running server; it ends when this is dropped.
///
/// Requests go to the device named `endpoint` from the port at which it registered and
/// wait [`Server::set_timeout`] for the answer.
pub struct Server {
    process: JsonProcess,
    coap_port: u16,
    coaps_port: Option<u16>,
    timeout: Duration,
}

/// How a server ends an observation (Core 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelBy {
    /// A GET with Observe 1.
    Request,
    /// Forget it and answer the next notification with a Reset.
    Reset,
}

impl Server {
    /// Starts `command` and waits until it is ready.
    pub(crate) fn start(peer: &'static str, command: &mut Command) -> Result<Self, PeerError> {
        let process = JsonProcess::start(peer, command)?;
        let ready = process.wait_event(START_LIMIT, |event| event["event"] == "ready")?;
        let port = |field: &str| ready[field].as_u64().and_then(|port| u16::try_from(port).ok());
        let coap_port = port("coap").ok_or_else(|| PeerError::Malformed {
            what: "no port".to_owned(),
            line: ready.to_string(),
        })?;
        Ok(Self { process, coap_port, coaps_port: port("coaps"), timeout: DEFAULT_TIMEOUT })
    }

    /// Where the server takes CoAP without security.
    pub fn coap_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.coap_port).into()
    }

    /// Where the server takes CoAP over DTLS, if it does.
    pub fn coaps_address(&self) -> Option<SocketAddr> {
        self.coaps_port.map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }

    /// How long requests to a device wait for its answer from now on; 10 s at first.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Waits until `endpoint` is registered; at once if it is.
    ///
    /// # Errors
    /// [`Refusal::Timeout`](crate::Refusal::Timeout) after `limit`.
    pub fn wait_registration(
        &self,
        endpoint: &str,
        limit: Duration,
    ) -> Result<Registration, PeerError> {
        let command = json!({ "cmd": "waitRegistration", "endpoint": endpoint });
        Registration::parse(&self.call(command, limit)?)
    }

    /// All registrations.
    ///
    /// # Errors
    /// As of every command: the server is gone or not understood.
    pub fn registrations(&self) -> Result<Vec<Registration>, PeerError> {
        let all = self.call(json!({ "cmd": "registrations" }), self.timeout)?;
        all.as_array().into_iter().flatten().map(Registration::parse).collect()
    }

    /// Lets `endpoint` come over DTLS with `identity` and `key`; Leshan alone.
    ///
    /// # Errors
    /// [`Refusal::BadCommand`](crate::Refusal::BadCommand) if the identity is taken.
    pub fn add_psk(&self, endpoint: &str, identity: &str, key: &[u8]) -> Result<(), PeerError> {
        let command = json!({
            "cmd": "addPsk", "endpoint": endpoint, "identity": identity, "keyHex": hex(key),
        });
        self.call(command, self.timeout).map(drop)
    }

    /// Read (Core 6.1). Without `format` the request has no Accept.
    ///
    /// # Errors
    /// As of every request: [`PeerError::Refused`] says why there is no answer.
    pub fn read(
        &self,
        endpoint: &str,
        path: &Path,
        format: Option<ContentFormat>,
    ) -> Result<Response, PeerError> {
        self.request(json!({
            "cmd": "read", "endpoint": endpoint, "path": path.to_string(), "format": number(format),
        }))
    }

    /// Write of one value to a resource or resource instance (Core 6.3); Leshan alone.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn write(
        &self,
        endpoint: &str,
        path: &Path,
        mode: WriteMode,
        format: Option<ContentFormat>,
        value: &Value,
    ) -> Result<Response, PeerError> {
        let mut command = write_command(endpoint, path, mode, format);
        command["type"] = json!(type_name(value.data_type()));
        command["value"] = value_json(value);
        self.request(command)
    }

    /// Write of several values below an instance or a multiple resource; Leshan alone.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn write_entries(
        &self,
        endpoint: &str,
        path: &Path,
        mode: WriteMode,
        format: Option<ContentFormat>,
        entries: &[Entry],
    ) -> Result<Response, PeerError> {
        let mut command = write_command(endpoint, path, mode, format);
        command["values"] = values_json(entries);
        // A multiple resource has one type.
        if let Some(value) = entries.iter().find_map(Entry::value) {
            command["type"] = json!(type_name(value.data_type()));
        }
        self.request(command)
    }

    /// Write of bytes that the test encoded itself; aiocoap alone.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn write_payload(
        &self,
        endpoint: &str,
        path: &Path,
        mode: WriteMode,
        format: ContentFormat,
        payload: &[u8],
    ) -> Result<Response, PeerError> {
        let mut command = write_command(endpoint, path, mode, Some(format));
        command["payloadHex"] = json!(hex(payload));
        self.request(command)
    }

    /// Create (Core 6.5) of the instance at `path`, or at an object of one that the device
    /// numbers: then the paths of `entries` are in instance 0. Leshan alone.
    ///
    /// # Errors
    /// As [`Server::read`]; Leshan lets the device number in TLV alone.
    pub fn create(
        &self,
        endpoint: &str,
        path: &Path,
        format: ContentFormat,
        entries: &[Entry],
    ) -> Result<Response, PeerError> {
        self.request(json!({
            "cmd": "create", "endpoint": endpoint, "path": path.to_string(),
            "format": format.0, "values": values_json(entries),
        }))
    }

    /// Delete (Core 6.6) of an instance or of what lies below one.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn delete(&self, endpoint: &str, path: &Path) -> Result<Response, PeerError> {
        self.request(json!({
            "cmd": "delete", "endpoint": endpoint, "path": path.to_string(),
        }))
    }

    /// Write-Attributes (Core 3.4) with attributes as in a query, `pmin=1&pmax=5`.
    ///
    /// # Errors
    /// As [`Server::read`]; Leshan refuses attributes that it does not know.
    pub fn write_attributes(
        &self,
        endpoint: &str,
        path: &Path,
        attributes: &str,
    ) -> Result<Response, PeerError> {
        self.request(json!({
            "cmd": "writeAttributes", "endpoint": endpoint, "path": path.to_string(),
            "attributes": attributes,
        }))
    }

    /// Discover (Core 6.2) with further Uri-Query options, such as `depth=1`.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn discover(
        &self,
        endpoint: &str,
        path: &Path,
        query: &[&str],
    ) -> Result<Response, PeerError> {
        self.request(json!({
            "cmd": "discover", "endpoint": endpoint, "path": path.to_string(), "query": query,
        }))
    }

    /// Execute (Core 6.4) with arguments such as `0='text',1`.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn execute(
        &self,
        endpoint: &str,
        path: &Path,
        arguments: Option<&str>,
    ) -> Result<Response, PeerError> {
        self.request(json!({
            "cmd": "execute", "endpoint": endpoint, "path": path.to_string(), "args": arguments,
        }))
    }

    /// Observe (Core 8.1) with further Uri-Query options, such as `pmin=1`.
    ///
    /// Notifications come as [`Event::Notification`]; the first value is in the answer.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn observe(
        &self,
        endpoint: &str,
        path: &Path,
        format: Option<ContentFormat>,
        query: &[&str],
    ) -> Result<Response, PeerError> {
        self.request(json!({
            "cmd": "observe", "endpoint": endpoint, "path": path.to_string(),
            "format": number(format), "query": query,
        }))
    }

    /// Cancel Observation (Core 8.3). aiocoap knows [`CancelBy::Reset`] alone.
    ///
    /// # Errors
    /// As [`Server::read`]; [`Refusal::BadCommand`](crate::Refusal::BadCommand) if nothing
    /// is observed at `path`.
    pub fn cancel_observe(
        &self,
        endpoint: &str,
        path: &Path,
        by: CancelBy,
    ) -> Result<Response, PeerError> {
        let how = match by {
            CancelBy::Request => "active",
            CancelBy::Reset => "passive",
        };
        self.request(json!({
            "cmd": "cancelObserve", "endpoint": endpoint, "path": path.to_string(), "how": how,
        }))
    }

    /// Sends any command of `README.md` as it stands; for fields without a method here.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn request(&self, command: Json) -> Result<Response, PeerError> {
        Response::parse(&self.call(command, self.timeout)?)
    }

    /// Takes the first event that `is_wanted` accepts, out of those that came and will
    /// come within `limit`. Events that are not wanted stay for a later call.
    ///
    /// # Errors
    /// [`PeerError::NoEvent`] after `limit`; it shows what came instead.
    pub fn wait_event(
        &self,
        limit: Duration,
        is_wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event, PeerError> {
        let event = self
            .process
            .wait_event(limit, |json| Event::parse(json).is_ok_and(|event| is_wanted(&event)))?;
        Event::parse(&event)
    }

    /// Waits for the next notification for `path`.
    ///
    /// # Errors
    /// As [`Server::wait_event`].
    pub fn wait_notification(&self, path: &Path, limit: Duration) -> Result<Response, PeerError> {
        let event = self.wait_event(
            limit,
            |event| matches!(event, Event::Notification { path: of, .. } if of == path),
        )?;
        match event {
            Event::Notification { response, .. } => Ok(response),
            other => unreachable!("asked for a notification, got {other:?}"),
        }
    }

    /// Takes all events that have come and were not waited for.
    ///
    /// # Errors
    /// [`PeerError::Malformed`] for a line that is no event.
    pub fn take_events(&self) -> Result<Vec<Event>, PeerError> {
        self.process.take_events().iter().map(Event::parse).collect()
    }

    fn call(&self, mut command: Json, timeout: Duration) -> Result<Json, PeerError> {
        // Serialized as a number of JSON, which has no u128.
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        command["timeoutMs"] = json!(milliseconds);
        self.process.call(command, timeout + ANSWER_MARGIN)
    }
}

fn write_command(
    endpoint: &str,
    path: &Path,
    mode: WriteMode,
    format: Option<ContentFormat>,
) -> Json {
    let mode = match mode {
        WriteMode::Replace => "replace",
        WriteMode::Partial => "update",
    };
    json!({
        "cmd": "write", "endpoint": endpoint, "path": path.to_string(), "mode": mode,
        "format": number(format),
    })
}

fn values_json(entries: &[Entry]) -> Json {
    let values = entries.iter().filter_map(|entry| Some((&entry.path, entry.value()?)));
    values
        .map(|(path, value)| {
            json!({
                "path": path.to_string(),
                "type": type_name(value.data_type()),
                "value": value_json(value),
            })
        })
        .collect()
}

fn number(format: Option<ContentFormat>) -> Json {
    format.map_or(Json::Null, |format| json!(format.0))
}

/// A value as the peers read it; bytes in hexadecimal.
fn value_json(value: &Value) -> Json {
    match value {
        Value::String(text) | Value::Corelnk(text) => json!(text),
        Value::Integer(number) | Value::Time(number) => json!(number),
        Value::Unsigned(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(flag) => json!(flag),
        Value::Opaque(bytes) => json!(hex(bytes)),
        Value::Objlnk(link) => json!(link.to_string()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Generous: a Java virtual machine on a busy build machine.
const START_LIMIT: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// On top of the time the server has, so that its own time-out is what a test sees.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);
