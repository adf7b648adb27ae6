#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod database;
mod encode;
mod error;
mod files;
mod store;

pub use database::MAX_STORE;
pub use encode::MAX_RECORD;
pub use error::StoreError;
pub use store::{Found, Opened, Store};
