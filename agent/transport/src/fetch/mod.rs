//! Sources of packages (Objects 7, `/5/0/1`): one attempt to fetch what a URI names.
//!
//! What an attempt is given and what it says is of the engine (`lwm2m_engine::Fetched`). To
//! try again, and when, is for whoever wants the package.

mod answer;
mod coap;
mod connect;
mod credentials;
mod exchange;
mod http;
mod origin;
mod reference;

use lwm2m_engine::{FetchFailure, FetchFailureKind};

pub use coap::CoapSource;
pub use connect::CONNECT_LIMIT;
pub use credentials::{CredentialsError, OriginCredentials};
pub use exchange::{BODY_SILENCE, HEADER_LIMIT, MAX_HEADER};
pub use http::{HttpFetch, MAX_REDIRECTS};
pub use origin::{MAX_PACKAGE_URI, Origin, PackageScheme, PackageUri, PackageUriError};

/// How an attempt ends when what it hands out is not taken any more.
fn unwanted() -> FetchFailure {
    FetchFailure::new(FetchFailureKind::Lost, "nobody takes the package any more")
}
