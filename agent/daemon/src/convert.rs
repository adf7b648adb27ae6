//! The engine's state as the bus shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_bus::{AgentStatus, MessageRecord, ObjectInfo, ServerStatus, TypedValue};
use lwm2m_engine::{Direction, SecurityMode, Status};
use lwm2m_model::{Entry, Instant, Path, objects};

/// The agent as a whole.
pub(crate) fn agent(status: &Status, uptime: Duration) -> AgentStatus {
    AgentStatus {
        endpoint: status.endpoint.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        uptime: uptime.as_secs(),
        objects: u32::try_from(status.objects.len()).unwrap_or(u32::MAX),
        store_error: status.not_persisted.clone(),
    }
}

/// Every server account; times become spans.
pub(crate) fn servers(status: &Status, now: Instant) -> Vec<ServerStatus> {
    let since = |at: Option<Instant>| at.map(|at| (now - at).as_secs());
    status
        .servers
        .iter()
        .map(|server| ServerStatus {
            short_server_id: server.short_server_id,
            uri: server.uri.clone(),
            security: match server.security {
                SecurityMode::Psk => "psk".into(),
                SecurityMode::NoSec => "nosec".into(),
                other => other.number().to_string(),
            },
            state: server.state.name().into(),
            version: server.version.to_string(),
            location: server.location.clone(),
            lifetime: server.lifetime,
            queue_mode: server.queue_mode,
            registered_for: since(server.registered_at),
            last_update: since(server.last_update),
            next_in: server.next.map(|at| (at - now).as_secs()),
            last_error: server.last_error.clone(),
            failures: server.failures,
            observations: u32::try_from(server.observations).unwrap_or(u32::MAX),
            counters: BTreeMap::from([
                ("Received".into(), server.counters.received),
                ("Sent".into(), server.counters.sent),
                ("Malformed".into(), server.counters.malformed),
                ("Duplicates".into(), server.counters.duplicates),
                ("Retransmissions".into(), server.counters.retransmissions),
                ("Unmatched".into(), server.counters.unmatched),
            ]),
        })
        .collect()
}

/// Objects and their instances.
pub(crate) fn objects(status: &Status) -> Vec<ObjectInfo> {
    status
        .objects
        .iter()
        .map(|object| ObjectInfo {
            id: object.definition.id,
            name: object.definition.name.to_string(),
            version: object.definition.version.to_string(),
            instances: object.instances.clone(),
        })
        .collect()
}

/// One message, its payload decoded as far as definitions go.
pub(crate) fn message(record: &lwm2m_engine::MessageRecord) -> MessageRecord {
    MessageRecord {
        server: record.server,
        direction: match record.direction {
            Direction::Received => "received".into(),
            Direction::Sent => "sent".into(),
        },
        operation: record.operation.into(),
        path: record.path.as_ref().map(Path::to_string),
        detail: record.detail.clone(),
        code: record.code.map(|code| code.to_string()),
        format: record.format.map(|format| format.to_string()),
        values: values(record),
        payload: record.payload.clone(),
    }
}

fn values(record: &lwm2m_engine::MessageRecord) -> Vec<TypedValue> {
    let (Some(format), Some(path)) = (record.format, &record.path) else { return Vec::new() };
    let Ok(records) = lwm2m_codec::decode(format, &record.payload, path) else {
        return Vec::new();
    };
    records
        .iter()
        .filter_map(|record| {
            let lwm2m_codec::Item::Value(raw) = &record.item else { return None };
            let defined = definition(&record.path);
            let typed = defined.and_then(|data_type| raw.to_value(data_type).ok());
            let value = typed.unwrap_or_else(|| raw.guess());
            Some(TypedValue::from_entry(&Entry::new(record.path.clone(), value)))
        })
        .collect()
}

fn definition(path: &Path) -> Option<lwm2m_model::DataType> {
    let object = objects::by_id(path.object_id()?)?;
    Some(object.resource(path.resource_id()?)?.data_type)
}
