//! The interface `org.lwm2md.Agent1` on `/org/lwm2md`: its client side, and what
//! both sides must agree on.

use std::collections::HashMap;

use zbus::OwnedVariant;

use crate::{
    AgentError, AgentStatus, Finding, MessageRecord, ObjectInfo, ServerStatus, TypedValue,
};

/// Well-known bus name of the daemon.
pub const BUS_NAME: &str = "org.lwm2md";
/// Path of the object that serves [`Agent1Proxy`].
pub const OBJECT_PATH: &str = "/org/lwm2md";

/// What an operator's program asks of the daemon.
///
/// Requests are made on the device itself and have every right of the operator;
/// keys are never shown.
#[zbus::proxy(
    interface = "org.lwm2md.Agent1",
    default_service = "org.lwm2md",
    default_path = "/org/lwm2md"
)]
pub trait Agent1 {
    /// The agent as a whole.
    fn status(&self) -> Result<AgentStatus, AgentError>;

    /// Every server account, in the order of the configuration.
    fn servers(&self) -> Result<Vec<ServerStatus>, AgentError>;

    /// Every object, ascending.
    fn objects(&self) -> Result<Vec<ObjectInfo>, AgentError>;

    /// All readable values at or below a path (Core 6.1).
    fn read(&self, path: &str) -> Result<Vec<TypedValue>, AgentError>;

    /// Writes typed values at or below a path, all or none (Core 6.3).
    fn write(&self, path: &str, values: &[TypedValue]) -> Result<(), AgentError>;

    /// Writes one value, given as text; its type comes from the definition.
    fn write_text(&self, path: &str, text: &str) -> Result<(), AgentError>;

    /// Executes a resource (Core 6.4) with arguments such as `0='U',3`, or none.
    fn execute(&self, path: &str, arguments: &str) -> Result<(), AgentError>;

    /// Makes an instance (Core 6.5) and gives its path. `path` is `/3442/7`, or `/3442`
    /// for the lowest number that is free; `values` are resources, `110` or `1110/0`,
    /// and their values as text.
    fn create(&self, path: &str, values: &[(&str, &str)]) -> Result<String, AgentError>;

    /// Deletes an instance or a resource instance (Core 6.6).
    fn delete(&self, path: &str) -> Result<(), AgentError>;

    /// The paths that exist at and below a path (Core 6.2).
    fn discover(&self, path: &str) -> Result<Vec<String>, AgentError>;

    /// Starts an observation (Core 8.1); `attributes` as [`crate::attributes_to_bus`]
    /// makes them. The first `Notified` may come before the answer, so subscribe
    /// first. The observation ends with `Cancel` or when the caller leaves the bus.
    fn observe(
        &self,
        path: &str,
        attributes: HashMap<String, OwnedVariant>,
    ) -> Result<u32, AgentError>;

    /// Ends an observation of the same caller.
    fn cancel(&self, id: u32) -> Result<(), AgentError>;

    /// Sends an Update now, or Register if there is no registration; 0 means every
    /// server.
    fn update(&self, server: u16) -> Result<(), AgentError>;

    /// Sleeps now (queue mode only); 0 means every server.
    fn sleep(&self, server: u16) -> Result<(), AgentError>;

    /// Wakes up: an Update goes out; 0 means every server.
    fn wake(&self, server: u16) -> Result<(), AgentError>;

    /// Removes what servers have written (accounts, attributes, observations,
    /// registrations, sessions) and registers anew as configured. Answered when the
    /// removal has reached the medium; if it fails nothing has changed. The firmware
    /// and its update stay as they are.
    fn factory_reset(&self) -> Result<(), AgentError>;

    /// Looks at everything that a registration needs, cause before consequence. Names are
    /// looked up and services asked, which takes up to 20 s; nothing is changed, and no
    /// server is sent anything.
    fn diagnose(&self) -> Result<Vec<Finding>, AgentError>;

    /// Asks for `Message` signals, or no more. Counted for each caller; the last
    /// `false`, or leaving the bus, ends the reports.
    fn monitor(&self, on: bool) -> Result<(), AgentError>;

    /// New values of an observation; sent to the caller that started it.
    #[zbus(signal)]
    fn notified(&self, id: u32, values: Vec<TypedValue>);

    /// One message of the LwM2M conversation; sent to those who asked for it.
    #[zbus(signal)]
    fn message(&self, record: MessageRecord);
}

/// The `server` argument of a method: 0 stands for every server.
///
/// # Errors
/// [`AgentError::BadRequest`] for 65535, which identifies nothing.
pub fn server_from_bus(server: u16) -> Result<Option<u16>, AgentError> {
    match server {
        0 => Ok(None),
        u16::MAX => Err(AgentError::BadRequest("65535 is no Short Server ID".into())),
        id => Ok(Some(id)),
    }
}

/// The `server` argument of a method: 0 stands for every server.
pub fn server_to_bus(server: Option<u16>) -> u16 {
    server.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_means_every_server_and_65535_none() {
        assert_eq!(server_from_bus(0).unwrap(), None);
        assert_eq!(server_from_bus(101).unwrap(), Some(101));
        assert!(matches!(server_from_bus(u16::MAX), Err(AgentError::BadRequest(_))));
        assert_eq!(server_to_bus(None), 0);
        assert_eq!(server_to_bus(Some(101)), 101);
    }
}
