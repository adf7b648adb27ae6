//! An LwM2M object of any definition whose instances and values are held in memory.
//!
//! [`MemoryObject`] is a plain function from a call to its result: no I/O, no clock,
//! so that the daemon, the demo and the test world use the same one. Object 3442, the
//! test object of the registry, does what its definition says.

mod defaults;
mod instance;
mod limits;
mod object;
mod test_object;

pub use limits::{Limits, MAX_BYTES, MAX_INSTANCES, MAX_RESOURCE_INSTANCES, MAX_VALUE};
pub use object::MemoryObject;
