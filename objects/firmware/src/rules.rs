//! What the machine looks up: results, codes, and the parts of a URI (Objects 7.2).

use lwm2m_model::{Code, Now, RequestError};

use crate::Protocol;
use crate::event::{Failure, Reason};
use crate::record::{Record, UpdateResult};
use crate::resource::{
    AUTOMATIC_UPGRADE, LAST_STATE_CHANGE, MAX_DEFER_PERIOD, PACKAGE_NAME, PACKAGE_URI,
    PACKAGE_VERSION, SEVERITY, STATE, UPDATE_RESULT,
};

/// The resources that two records give differently, in the order in which observers
/// are told (Objects 7.2).
pub(crate) fn differing(before: &Record, after: &Record) -> Vec<u16> {
    let name = |record: &Record| record.package.as_ref().map(|info| info.name.clone());
    let version = |record: &Record| record.package.as_ref().map(|info| info.version.clone());
    [
        (LAST_STATE_CHANGE, before.changed_at != after.changed_at),
        (UPDATE_RESULT, before.result != after.result),
        (STATE, before.state != after.state),
        (PACKAGE_URI, before.uri != after.uri),
        (PACKAGE_NAME, name(before) != name(after)),
        (PACKAGE_VERSION, version(before) != version(after)),
        (SEVERITY, before.severity != after.severity),
        (MAX_DEFER_PERIOD, before.max_defer != after.max_defer),
        (AUTOMATIC_UPGRADE, before.automatic != after.automatic),
    ]
    .into_iter()
    .filter_map(|(resource, differs)| differs.then_some(resource))
    .collect()
}

/// The Update Result of a package that could not be had.
pub(crate) fn result_of(reason: Reason) -> UpdateResult {
    match reason {
        Reason::NoSpace => UpdateResult::NoSpace,
        Reason::OutOfMemory => UpdateResult::OutOfMemory,
        Reason::Integrity | Reason::Refused => UpdateResult::Integrity,
        Reason::Unsupported => UpdateResult::UnsupportedPackage,
        Reason::Lost => UpdateResult::ConnectionLost,
        Reason::InvalidUri => UpdateResult::InvalidUri,
        Reason::Other | Reason::Unavailable | Reason::NotStreamed | Reason::Unknown => {
            UpdateResult::Failed
        }
    }
}

/// What stops the server that still sends (note below the table of Objects 7.2).
pub(crate) fn refusal_of(failure: &Failure) -> RequestError {
    let code = match failure.reason {
        Reason::NoSpace | Reason::OutOfMemory => Code::REQUEST_ENTITY_TOO_LARGE,
        Reason::Integrity | Reason::Refused | Reason::Unsupported => Code::BAD_REQUEST,
        Reason::Other
        | Reason::Unavailable
        | Reason::Lost
        | Reason::InvalidUri
        | Reason::NotStreamed
        | Reason::Unknown => Code::INTERNAL_SERVER_ERROR,
    };
    RequestError::new(code, failure.cause.clone())
}

pub(crate) fn not_allowed(reason: &'static str) -> RequestError {
    RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
}

/// The scheme of a URI that has one and a host.
pub(crate) fn scheme(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_host = !host.is_empty() && !host.starts_with(':');
    let is_plain = uri.chars().all(|c| c.is_ascii_graphic());
    (is_scheme && has_host && is_plain).then_some(scheme)
}

/// Whether a URI is one that can be fetched with one of these.
pub(crate) fn is_supported(uri: &str, protocols: &[Protocol]) -> bool {
    let scheme = scheme(uri);
    scheme.is_some_and(|it| protocols.iter().any(|known| it.eq_ignore_ascii_case(known.scheme())))
}

/// Unix time in seconds, if the clock is set.
pub(crate) fn seconds(now: &Now) -> Option<i64> {
    now.wall.map(|milliseconds| milliseconds.div_euclid(1000))
}
