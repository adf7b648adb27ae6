//! Register, Update, De-register (Core 5).

use std::collections::BTreeMap;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lwm2m_model::{Code, Instant, Version};

use super::SmallServer;
use crate::server::believing::Believed;
use crate::{Address, message};

/// A request of the device as the server saw it; repetitions count once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    /// When it came.
    pub at: Instant,
    /// `Register`, `Update` or `De-register`.
    pub operation: &'static str,
    /// The path, `/rd/1`.
    pub path: String,
    /// Query parameters in their order.
    pub query: Vec<String>,
    /// Content-Format number.
    pub format: Option<u16>,
    /// The payload as text.
    pub body: String,
    /// In how many blocks it came; 0 if it came whole.
    pub blocks: u32,
    /// What it was answered.
    pub code: Code,
}

impl SmallServer {
    /// Requests of this name that were answered with success.
    pub fn accepted(&self, operation: &str) -> usize {
        let accepted =
            |seen: &&DeviceRequest| seen.operation == operation && seen.code.is_success();
        self.requests.iter().filter(accepted).count()
    }

    /// The last request of this name.
    pub fn last(&self, operation: &str) -> &DeviceRequest {
        let mut seen = self.requests.iter().rev();
        seen.find(|seen| seen.operation == operation)
            .unwrap_or_else(|| panic!("no {operation} has come"))
    }

    /// Takes a request that is here whole.
    pub(super) fn whole_request(
        &mut self,
        now: Instant,
        from: Address,
        packet: &Packet,
        blocks: u32,
    ) {
        let path = message::texts(packet, CoapOption::UriPath);
        let query = message::texts(packet, CoapOption::UriQuery);
        let method = message::code(packet).byte();
        let at_location = self.believed.as_ref().is_some_and(|believed| believed.location == path);
        let is_register = method == message::method::POST && path == ["rd"];
        let (operation, code) = match method {
            message::method::POST if is_register => {
                ("Register", self.register(now, from, &query, packet))
            }
            message::method::POST => ("Update", self.update(now, from, &path, &query, packet)),
            message::method::DELETE if at_location => {
                self.believed = None;
                ("De-register", Code::DELETED)
            }
            message::method::DELETE => ("De-register", Code::NOT_FOUND),
            _ => ("", Code::METHOD_NOT_ALLOWED),
        };
        self.requests.push(DeviceRequest {
            at: now,
            operation,
            path: format!("/{}", path.join("/")),
            query,
            format: message::format(packet).map(|format| format.0),
            body: String::from_utf8_lossy(&packet.payload).into_owned(),
            blocks,
            code,
        });
        self.answer(now, from, packet, code);
    }

    fn register(&mut self, now: Instant, from: Address, query: &[String], packet: &Packet) -> Code {
        if let Some(code) = self.manner.refuses_register {
            return code;
        }
        if self.manner.challenge.as_ref() != packet.get_first_option(message::ECHO) {
            return Code::UNAUTHORIZED;
        }
        let parameters: BTreeMap<&str, &str> =
            query.iter().map(|text| text.split_once('=').unwrap_or((text, ""))).collect();
        let Some(version) = parameters.get("lwm2m").and_then(|text| text.parse::<Version>().ok())
        else {
            return Code::BAD_REQUEST;
        };
        if !self.manner.versions.contains(&version) {
            return Code::PRECONDITION_FAILED;
        }
        let Some(lifetime) = parameters.get("lt").and_then(|text| text.parse().ok()) else {
            return Code::BAD_REQUEST;
        };
        let binding = parameters.get("b").copied().unwrap_or("U");
        let queue_mode =
            parameters.contains_key("Q") || (version == Version::V1_0 && binding.contains('Q'));
        let mut location: Vec<String> =
            self.manner.location.iter().map(|segment| (*segment).to_owned()).collect();
        location.push(self.next_location.to_string());
        self.next_location += 1;
        let body = String::from_utf8_lossy(&packet.payload);
        self.asking.observe_nothing();
        self.believed =
            Some(Believed::new(now, from, location, version, lifetime, queue_mode, &body));
        Code::CREATED
    }

    fn update(
        &mut self,
        now: Instant,
        from: Address,
        path: &[String],
        query: &[String],
        packet: &Packet,
    ) -> Code {
        if let Some(code) = self.manner.refuses_update {
            return code;
        }
        let Some(believed) = self.believed.as_mut().filter(|known| known.location == path) else {
            return Code::NOT_FOUND;
        };
        believed.peer = from;
        believed.heard(now);
        believed.refreshed = now;
        if let Some(lifetime) = query.iter().find_map(|text| text.strip_prefix("lt=")) {
            believed.lifetime = lifetime.parse().unwrap_or(believed.lifetime);
        }
        if !packet.payload.is_empty() {
            believed.objects = String::from_utf8_lossy(&packet.payload).into_owned();
        }
        Code::CHANGED
    }

    fn answer(&mut self, now: Instant, from: Address, request: &Packet, code: Code) {
        let id = request.header.message_id;
        let mut packet = Packet::new();
        packet.header.code = MessageClass::from(code.byte());
        packet.set_token(request.get_token().to_vec());
        if let Some(block) = request.get_first_option(CoapOption::Block1) {
            packet.add_option(CoapOption::Block1, block.clone());
        }
        if let (Code::UNAUTHORIZED, Some(echo)) = (code, &self.manner.challenge) {
            packet.add_option(message::ECHO, echo.clone());
        }
        if code == Code::CREATED {
            let location = self.believed.iter().flat_map(|believed| &believed.location);
            for segment in location {
                packet.add_option(CoapOption::LocationPath, segment.clone().into_bytes());
            }
        }
        match self.manner.answers_after {
            None => {
                packet.header.set_type(MessageType::Acknowledgement);
                packet.header.message_id = id;
                self.conclude(now, from, id, Some(&packet));
            }
            Some(pause) => {
                self.conclude(
                    now,
                    from,
                    id,
                    Some(&message::empty(MessageType::Acknowledgement, id)),
                );
                packet.header.set_type(MessageType::Confirmable);
                packet.header.message_id = self.id();
                self.delayed.push((now + pause, from, packet));
            }
        }
    }
}
