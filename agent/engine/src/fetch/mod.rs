//! A package that is fetched by its URI (Objects 7): what every source of packages has
//! in common, whatever its protocol.
//!
//! One attempt is given where it may go on ([`Resume`]), says what it has found
//! ([`Fetched`]), and ends well or with a [`FetchFailure`]. Whether to try again is
//! decided by who wants the package.

mod answer;
mod assembly;
mod coap;
mod round_trip;
mod window;

pub use coap::{CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget};

/// What an earlier attempt has stored, so that only the rest need come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Bytes that are stored, more than 0.
    pub offset: u64,
    /// What told this version of the package from others: an ETag, as it came.
    /// Without one nothing is known to be the same, and the package is fetched anew.
    pub etag: Vec<u8>,
}

/// What an attempt has found, in this order: one `Begin`, then parts. A `Begin` after parts
/// says that the package has changed meanwhile: it comes anew from 0, and the parts before
/// belong to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The package is there.
    Begin {
        /// Where the first part begins: at [`Resume::offset`], or at 0 if the package is
        /// another than it was or the source cannot begin elsewhere.
        offset: u64,
        /// Bytes of the whole package, if the source says so.
        size: Option<u64>,
        /// What tells this version of the package from others, if the source says so; at
        /// most [`MAX_ETAG`] bytes are of use.
        etag: Option<Vec<u8>>,
    },
    /// The next bytes: at least one, at most [`MAX_PART`].
    Part(Vec<u8>),
}

/// Why an attempt has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct FetchFailure {
    /// For the decision what to do.
    pub kind: FetchFailureKind,
    /// For the operator, in one line, without secrets.
    pub cause: String,
}

impl FetchFailure {
    /// A failure and what to say of it.
    pub fn new(kind: FetchFailureKind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into() }
    }
}

/// Kinds of failure, as far as what follows differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchFailureKind {
    /// Another attempt may succeed: no network, no answer, a server that is busy or
    /// broken, a link that was cut, a certificate that is not valid now.
    Lost,
    /// The URI leads nowhere: it is none, its host has no address, the server knows no
    /// such package or does not let us have it, or it redirects for ever.
    InvalidUri,
    /// The URI, or where it redirects to, needs a protocol that is not there.
    UnsupportedScheme,
    /// The source gives something that cannot be a package: more or less bytes than it
    /// said, or another package in the middle of one.
    Damaged,
}

/// Longest ETag that is kept, in bytes; a longer one is as good as none.
pub const MAX_ETAG: usize = 256;
/// Bytes of a part. Two parts are in memory at most.
pub const MAX_PART: usize = 16 * 1024;
