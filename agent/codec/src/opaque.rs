//! Opaque (42): the bytes of one Opaque value, no more (Core 10.3).

use std::borrow::Cow;

use lwm2m_model::Value;

use crate::{EncodeError, Raw};

pub(crate) fn decode(payload: &[u8]) -> Raw<'_> {
    Raw::Opaque(Cow::Borrowed(payload))
}

pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Value::Opaque(bytes) = value else {
        return Err(EncodeError::NotOpaque(value.data_type()));
    };
    out.extend_from_slice(bytes);
    Ok(())
}
