//! The LwM2M data model: what every other crate speaks.
//!
//! Paths, values, object definitions, attributes, and the protocol-neutral
//! [`Request`] and [`Reply`]. No I/O, no clock, no wire format.

mod arguments;
mod attributes;
mod definition;
mod digits;
mod entry;
pub mod firmware;
pub mod objects;
mod path;
pub mod record;
mod request;
mod time;
mod value;
mod version;

pub use arguments::{Argument, Arguments, ArgumentsError};
pub use attributes::{Attribute, AttributeError, AttributeUpdate, Attributes};
pub use definition::{
    DefinitionError, DefinitionFault, MAX_DEFINITION, ObjectDef, Operations, Range, RangeError,
    ResourceDef,
};
pub use entry::{Entry, Node};
pub use path::{Path, PathError, Prefix};
pub use request::{
    Code, Content, ContentFormat, Operation, Reply, Request, RequestError, WriteMode,
};
pub use time::{Instant, Now};
pub use value::{DataType, ObjectLink, Value, ValueError};
pub use version::{ParseVersionError, Version};
