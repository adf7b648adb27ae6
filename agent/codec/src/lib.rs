//! The data formats of LwM2M (Core 10): bytes to records and entries to bytes.
//!
//! Decoding has two steps. [`decode`] reads the structure and gives a [`Record`]
//! per path with a value as the wire wrote it; [`Raw::to_value`] then makes it a
//! value of the type that the object definition asks for. So the codec needs no
//! definitions, and a resource that nobody knows is no error (CORE-05).

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod cbor;
mod cbor_item;
mod composite;
mod date;
mod decimal;
mod error;
mod json;
pub mod link_format;
mod lwm2m_cbor;
mod name;
mod oma_json;
mod opaque;
mod payload;
mod raw;
mod record;
mod senml;
mod text;
mod tlv;

pub use composite::{decode_fetch, decode_patch, encode_fetch, encode_patch};
pub use error::{DecodeError, EncodeError};
pub use payload::{can_decode, can_encode, decode, decode_create, encode};
pub use raw::Raw;
pub use record::{Item, Record};

/// Most bytes that [`decode`] and [`link_format::parse`] look at.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Most records in one payload.
pub const MAX_RECORDS: usize = 4096;
/// Most bytes of a String or Corelnk value.
pub const MAX_TEXT: usize = 1 << 16;
/// Most bytes of a name in SenML and JSON, base and name together: a gateway prefix and
/// four identifiers need 89.
pub const MAX_NAME: usize = 128;
/// Deepest nesting of arrays, maps and CBOR tags in a field that is skipped.
pub const MAX_DEPTH: usize = 8;
