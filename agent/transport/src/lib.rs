//! What stands between the sockets and clocks of the system and the engine,
//! which knows neither.
//!
//! [`Links`] carries the engine's datagrams over UDP and DTLS, [`BootTimer`]
//! wakes it, [`clock::now`] tells it the time, [`LinkWatch`] tells it that the
//! network is another one. All of it runs in the task that owns the engine;
//! nothing here starts a task of its own. [`HttpFetch`] and [`CoapSource`] fetch
//! packages beside it, in whichever task their caller likes.

mod batch;
mod boot_timer;
mod channel;
pub mod clock;
mod descriptor;
mod event;
mod fetch;
mod link;
mod link_facts;
mod link_watch;
mod links;
mod memory;
mod outgoing;
mod probe;
mod reason;
mod resolve;
mod socket;
mod uri;

pub use boot_timer::BootTimer;
pub use event::{DownKind, LinkEvent, LinkSecurity};
pub use fetch::{
    BODY_SILENCE, CONNECT_LIMIT, CoapSource, CredentialsError, HEADER_LIMIT, HttpFetch, MAX_HEADER,
    MAX_PACKAGE_URI, MAX_REDIRECTS, Origin, OriginCredentials, PackageScheme, PackageUri,
    PackageUriError,
};
pub use link_watch::{LinkWatch, SETTLE_TIME};
pub use links::{Counters, Links, LinksConfig, MAX_LINKS};
pub use outgoing::MAX_QUEUED;
pub use probe::{look_up, route_to};
pub use resolve::{MAX_ADDRESSES, resolve};
pub use uri::{Host, MAX_URI, Scheme, ServerUri, UriError};
