//! What an object in memory holds at most, so that no server can make it grow
//! without end.

use lwm2m_model::{Code, RequestError, Value};

/// What an object holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instances up to which servers may create more; a further one gets 5.00. What the
    /// device itself makes is not counted.
    pub instances: usize,
    /// Instances of one resource; a further one gets 4.01, as what is not allowed
    /// (CORE-139).
    pub resource_instances: usize,
    /// Bytes of one value; a longer one gets 4.00.
    pub value: usize,
    /// Bytes of all values of the object, with what it takes to keep them; beyond, a
    /// Write or Create gets 5.00.
    pub bytes: usize,
}

impl Default for Limits {
    /// Those of an object that nobody limits further.
    fn default() -> Self {
        Self {
            instances: MAX_INSTANCES,
            resource_instances: MAX_RESOURCE_INSTANCES,
            value: MAX_VALUE,
            bytes: MAX_BYTES,
        }
    }
}

/// Bytes that a value costs.
pub(crate) fn cost(value: &Value) -> usize {
    VALUE_COST + length(value)
}

impl Limits {
    /// Checks that a value is not too long.
    ///
    /// # Errors
    /// 4.00: such a value is outside of what the resource takes.
    pub(crate) fn check_length(&self, value: &Value) -> Result<(), RequestError> {
        if length(value) <= self.value {
            return Ok(());
        }
        let limit = self.value;
        let reason = format!("a value of {} bytes; {limit} are the limit", length(value));
        Err(RequestError::new(Code::BAD_REQUEST, reason))
    }
}

/// No code of class 4 says that there is no room (Core 7).
pub(crate) fn full(what: &str) -> RequestError {
    RequestError::new(Code::INTERNAL_SERVER_ERROR, format!("no room for {what}"))
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) | Value::Corelnk(text) => text.len(),
        Value::Opaque(bytes) => bytes.len(),
        Value::Integer(_)
        | Value::Unsigned(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Time(_)
        | Value::Objlnk(_) => 0,
    }
}

/// [`Limits::instances`] unless an object says otherwise.
pub const MAX_INSTANCES: usize = 1024;
/// [`Limits::resource_instances`] unless an object says otherwise.
pub const MAX_RESOURCE_INSTANCES: usize = 256;
/// [`Limits::value`] unless an object says otherwise.
pub const MAX_VALUE: usize = 64 * 1024;
/// [`Limits::bytes`] unless an object says otherwise.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a value takes besides its text or bytes: its place in the maps.
const VALUE_COST: usize = 64;
