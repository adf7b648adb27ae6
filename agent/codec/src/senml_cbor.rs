//! SenML CBOR (112): an array of records (RFC 8428, Core 10.6 and 10.8).
//!
//! This owns the labels; [`decode`] reads packs that give values, [`encode`] writes
//! them. A record is a map; base fields hold for it and those after it.

mod decode;
mod encode;

pub(crate) use decode::decode;
pub(crate) use encode::encode;

const BASE_VERSION: i128 = -1;
const BASE_NAME: i128 = -2;
const BASE_TIME: i128 = -3;
const BASE_VALUE: i128 = -5;
const BASE_SUM: i128 = -6;
const NAME: i128 = 0;
const VALUE: i128 = 2;
const STRING: i128 = 3;
const BOOLEAN: i128 = 4;
const SUM: i128 = 5;
const TIME: i128 = 6;
const DATA: i128 = 8;
/// The object link of LwM2M has a text label.
const LINK: &str = "vlo";
