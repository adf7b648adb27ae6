//! The D-Bus interfaces of lwm2md as Rust types, shared by the daemon and
//! `lwm2mctl`.
//!
//! `org.lwm2md.Agent1` and `org.lwm2md.Firmware1`, on the same object, are what an
//! operator's program calls. The trailing digit is
//! the version: an addition goes into an option dictionary, an incompatible change
//! makes a new number, and both are served for one major release.

mod address;
mod agent;
mod attributes;
mod error;
mod finding;
mod firmware;
mod span;
mod status;
mod value;

pub use address::{BusAddress, BusAddressError};
pub use agent::{
    Agent1Proxy, BUS_NAME, Message, MessageArgs, MessageStream, Notified, NotifiedArgs,
    NotifiedStream, OBJECT_PATH, server_from_bus, server_to_bus,
};
pub use attributes::{attributes_from_bus, attributes_to_bus};
pub use error::{AgentError, Exit};
pub use finding::{Finding, Verdict, first_to_fix};
pub use firmware::{
    Changed as FirmwareChanged, ChangedArgs as FirmwareChangedArgs,
    ChangedStream as FirmwareChangedStream, Firmware1Proxy, FirmwareStatus,
};
pub use span::{in_words, lifetime_in_words};
pub use status::{AgentStatus, MessageRecord, ObjectInfo, ServerStatus};
pub use value::{TypedValue, TypedValueError, type_from_name, type_name};
