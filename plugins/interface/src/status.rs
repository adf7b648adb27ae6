//! The dictionaries and structures of `org.lwm2md.Agent1`.
//!
//! Times are spans relative to the moment of the call, so that neither side needs
//! a clock that is set. A reader ignores keys that it does not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zbus::{DeserializeDict, SerializeDict, Type};

use crate::TypedValue;

/// The agent as a whole.
#[derive(Debug, Clone, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct AgentStatus {
    /// Endpoint Client Name.
    pub endpoint: String,
    /// Version of the daemon.
    pub version: String,
    /// Seconds since the daemon has started.
    pub uptime: u64,
    /// Objects served, Security and Server included.
    pub objects: u32,
    /// Why nothing can be stored now.
    pub store_error: Option<String>,
}

/// One server account.
#[derive(Debug, Clone, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct ServerStatus {
    /// Short Server ID.
    pub short_server_id: u16,
    /// Server URI.
    pub uri: String,
    /// `psk` or `nosec`.
    pub security: String,
    /// One word: `waiting`, `connecting`, `registering`, `registered`, `asleep`,
    /// `de-registering`, `disabled`, `stopped`.
    pub state: String,
    /// LwM2M version agreed on, or tried: `1.1`.
    pub version: String,
    /// Location-Path of the registration.
    pub location: Option<String>,
    /// Lifetime in seconds; 0 is for ever.
    pub lifetime: u32,
    /// Registered with queue mode.
    pub queue_mode: bool,
    /// Seconds since the registration was made.
    pub registered_for: Option<u64>,
    /// Seconds since Register or Update was last answered.
    pub last_update: Option<u64>,
    /// Seconds until the next Update, attempt or waking.
    pub next_in: Option<u64>,
    /// Why the last attempt failed, one line; absent after a success.
    pub last_error: Option<String>,
    /// Attempts since the last success.
    pub failures: u32,
    /// Observations held for this server.
    pub observations: u32,
    /// Datagrams and CoAP events of the current link, by name.
    pub counters: BTreeMap<String, u64>,
}

/// An object and its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ObjectInfo {
    /// Object ID.
    pub id: u16,
    /// Name as registered.
    pub name: String,
    /// Version of the definition, `1.2`.
    pub version: String,
    /// Instances, ascending.
    pub instances: Vec<u16>,
}

/// One message of the LwM2M conversation.
#[derive(Debug, Clone, PartialEq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct MessageRecord {
    /// Short Server ID.
    pub server: u16,
    /// `received` or `sent`.
    pub direction: String,
    /// Operation as the specification names it.
    pub operation: String,
    /// Target, if the operation has one.
    pub path: Option<String>,
    /// Parameters: the query of Register, attributes, arguments; may be empty.
    pub detail: String,
    /// Code of an answer, `2.05`.
    pub code: Option<String>,
    /// Format of the payload by name or number.
    pub format: Option<String>,
    /// The payload decoded; empty if there is nothing to decode, or it cannot be.
    pub values: Vec<TypedValue>,
    /// The payload.
    pub payload: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use lwm2m_model::{Entry, Path, Value};
    use zbus::wire::{LE, serialized::Context, to_bytes};

    use super::*;

    #[test]
    fn signatures_are_those_of_the_interface() {
        assert_eq!(AgentStatus::SIGNATURE, "a{sv}");
        assert_eq!(Vec::<ServerStatus>::SIGNATURE, "aa{sv}");
        assert_eq!(Vec::<ObjectInfo>::SIGNATURE, "a(qssaq)");
        assert_eq!(MessageRecord::SIGNATURE, "a{sv}");
        assert_eq!(Vec::<TypedValue>::SIGNATURE, "a(ssv)");
    }

    #[test]
    fn absent_fields_stay_absent_and_unknown_keys_are_ignored() {
        let status = ServerStatus {
            short_server_id: 101,
            uri: "coap://[::1]".into(),
            security: "nosec".into(),
            state: "waiting".into(),
            version: "1.2".into(),
            location: None,
            lifetime: 300,
            queue_mode: false,
            registered_for: None,
            last_update: None,
            next_in: Some(60),
            last_error: Some("no answer".into()),
            failures: 3,
            observations: 0,
            counters: BTreeMap::from([("sent".into(), 7)]),
        };
        let context = Context::new(LE, 0);
        let bytes = to_bytes(context, &status).unwrap();
        let (back, _): (ServerStatus, usize) = bytes.deserialize().unwrap();
        assert_eq!(back, status);
        // AgentStatus knows none of these keys but Version: the rest is missing.
        assert!(bytes.deserialize::<AgentStatus>().is_err());

        #[derive(SerializeDict, Type)]
        #[zbus(signature = "dict", rename_all = "PascalCase")]
        struct Newer {
            endpoint: String,
            version: String,
            uptime: u64,
            objects: u32,
            something_new: String,
        }
        let newer = Newer {
            endpoint: "e".into(),
            version: "2.0".into(),
            uptime: 1,
            objects: 2,
            something_new: "x".into(),
        };
        let bytes = to_bytes(context, &newer).unwrap();
        let (old, _): (AgentStatus, usize) = bytes.deserialize().unwrap();
        assert_eq!(old.version, "2.0");
    }

    #[test]
    fn a_message_survives_the_bus() {
        let record = MessageRecord {
            server: 101,
            direction: "sent".into(),
            operation: "Read".into(),
            path: Some("/3/0/9".into()),
            detail: String::new(),
            code: Some("2.05".into()),
            format: Some("text".into()),
            values: vec![TypedValue::from_entry(&Entry::new(
                Path::resource(3, 0, 9),
                Value::Integer(87),
            ))],
            payload: b"87".to_vec(),
        };
        let bytes = to_bytes(Context::new(LE, 0), &record).unwrap();
        let (back, _): (MessageRecord, usize) = bytes.deserialize().unwrap();
        assert_eq!(back, record);
    }
}
