//! CoAP (RFC 7252, 7641, 7959) over datagrams for a client that is also a server.
//!
//! Sans-IO: [`Endpoint`] holds everything that concerns one peer. Datagrams and
//! time go in, datagrams and events come out; it knows no socket and no clock.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod answer;
mod backoff;
mod block;
mod cache_key;
mod config;
mod course;
mod draft;
mod endpoint;
mod event;
mod exchange;
mod message;
mod notified;
pub mod option;
mod option_list;
mod outgoing;
mod random;
mod stream;
mod token;
mod upload;

pub use block::Block;
pub use cache_key::CacheKey;
pub use config::Config;
pub use draft::Draft;
pub use endpoint::Endpoint;
pub use event::{Counters, Event, ExchangeId, Incoming, RequestId, UploadId};
pub use message::{Kind, Message, MessageError, method};
pub use random::Random;
pub use stream::StreamTarget;
pub use token::Token;
