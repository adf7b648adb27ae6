//! From host names to addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// The addresses of `host`, at most [`MAX_ADDRESSES`]: `preferred` first if it is
/// among them, the others as the system's resolver sorts them (RFC 6724). An
/// address as text, without brackets, is taken as it is.
///
/// A name is looked up by getaddrinfo in a thread of tokio's blocking pool, so
/// the caller's thread goes on. The thread ends by itself when it has had nothing
/// to do for the `thread_keep_alive` of the runtime, 10 s unless set; its stack
/// goes with it. Safe to cancel, but a lookup that was begun runs to its end: a
/// runtime that is dropped waits for it unless told otherwise
/// (`Runtime::shutdown_background`).
///
/// # Errors
///
/// What the resolver says; [`io::ErrorKind::NotFound`] if it knows the name and
/// no address.
pub async fn resolve(
    host: &str,
    port: u16,
    preferred: Option<SocketAddr>,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let addresses = sorted(tokio::net::lookup_host((host, port)).await?, preferred);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Whether `error` of [`resolve`] says that there is no such name, or none with an
/// address. All else may pass: a resolver that cannot be asked says so too.
///
/// The standard library keeps nothing of getaddrinfo's code but its text, which is in
/// English as long as nobody calls setlocale, as nobody does here.
pub(crate) fn is_no_such_name(error: &io::Error) -> bool {
    let text = error.to_string();
    error.kind() == io::ErrorKind::NotFound || NO_SUCH_NAME.iter().any(|end| text.ends_with(end))
}

/// Each address once, `preferred` first.
fn sorted(
    addresses: impl Iterator<Item = SocketAddr>,
    preferred: Option<SocketAddr>,
) -> Vec<SocketAddr> {
    let mut sorted = Vec::new();
    for address in addresses.take(MAX_LOOKED_AT) {
        if !sorted.contains(&address) {
            sorted.push(address);
        }
    }
    sorted.sort_by_key(|address| Some(*address) != preferred);
    sorted.truncate(MAX_ADDRESSES);
    sorted
}

/// Addresses of one name that are tried: the time for a handshake is shared
/// among them.
pub const MAX_ADDRESSES: usize = 4;

/// EAI_NONAME of glibc and musl, EAI_NODATA and EAI_ADDRFAMILY of glibc, EAI_NODATA of musl.
const NO_SUCH_NAME: [&str; 5] = [
    "Name or service not known",
    "Name does not resolve",
    "No address associated with hostname",
    "Address family for hostname not supported",
    "Name has no usable address",
];

/// Addresses among which the preferred one is looked for.
const MAX_LOOKED_AT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5684))
    }

    #[test]
    fn the_preferred_address_comes_first_and_each_once() {
        for (found, preferred, expected) in [
            (vec![1, 2, 3], None, vec![1, 2, 3]),
            (vec![1, 2, 3], Some(3), vec![3, 1, 2]),
            (vec![1, 2], Some(9), vec![1, 2]),
            (vec![1, 1, 2, 1], None, vec![1, 2]),
            (vec![1, 2, 3, 4, 5, 6], Some(6), vec![6, 1, 2, 3]),
            (vec![], Some(1), vec![]),
        ] {
            let addresses = sorted(found.iter().copied().map(address), preferred.map(address));
            let expected: Vec<_> = expected.into_iter().map(address).collect();
            assert_eq!(addresses, expected, "{found:?} {preferred:?}");
        }
    }

    /// A label of 64 letters is known to be none without asking anybody.
    #[tokio::test]
    async fn a_name_that_cannot_be_is_told_from_a_resolver_that_is_silent() {
        let error = resolve(&"a".repeat(64), 7, None).await.unwrap_err();
        assert!(is_no_such_name(&error), "{error}");
        let silent = "failed to lookup address information: Temporary failure in name resolution";
        assert!(!is_no_such_name(&io::Error::other(silent)));
        assert!(!is_no_such_name(&io::Error::from_raw_os_error(24)));
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        for (host, shown) in [("192.0.2.1", "192.0.2.1:7"), ("::1", "[::1]:7")] {
            let addresses = resolve(host, 7, Some(address(9))).await.unwrap();
            assert_eq!(addresses, [shown.parse().unwrap()]);
        }
    }
}
