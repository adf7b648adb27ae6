//! What an object in memory holds at most, so that no server can make it grow
//! without end.

use lwm2m_model::{Code, RequestError, Value};

/// Bytes that a value costs.
pub(crate) fn cost(value: &Value) -> usize {
    VALUE_COST + length(value)
}

/// Checks that a value is no longer than [`MAX_VALUE`].
///
/// # Errors
/// 4.00: such a value is outside of what the resource takes.
pub(crate) fn check_length(value: &Value) -> Result<(), RequestError> {
    if length(value) <= MAX_VALUE {
        return Ok(());
    }
    let reason = format!("a value of {} bytes; {MAX_VALUE} are the limit", length(value));
    Err(RequestError::new(Code::BAD_REQUEST, reason))
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

/// Instances up to which servers may create more; a further one gets 5.00. What the
/// device itself makes is not counted.
pub const MAX_INSTANCES: usize = 1024;
/// Instances of one resource; a further one gets 4.01, as what is not allowed
/// (CORE-139).
pub const MAX_RESOURCE_INSTANCES: usize = 256;
/// Bytes of one value; a longer one gets 4.00.
pub const MAX_VALUE: usize = 64 * 1024;
/// Bytes of all values of one object, with what it takes to keep them; beyond, a
/// Write or Create gets 5.00.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a value takes besides its text or bytes: its place in the maps.
const VALUE_COST: usize = 64;
