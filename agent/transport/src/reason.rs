//! Why a link is down, one line each for the operator.

use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;

use crate::Host;

/// The name could not be resolved.
pub(crate) fn unresolved(host: &Host, error: &io::Error) -> String {
    let error = error.to_string();
    // The standard library says once more what this line says already.
    let cause = error.strip_prefix("failed to lookup address information: ").unwrap_or(&error);
    format!("cannot resolve {host}: {cause}")
}

/// The system cannot reach the peer.
pub(crate) fn unreachable(peer: SocketAddr, error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else {
        return format!("cannot reach {peer}: {error}");
    };
    let errno = Errno::from_raw(code);
    let cause = errno.desc().to_lowercase();
    match errno {
        Errno::ECONNREFUSED => format!("the port is closed: nothing listens at {peer}"),
        Errno::ENETUNREACH
        | Errno::EHOSTUNREACH
        | Errno::ENETDOWN
        | Errno::EADDRNOTAVAIL
        | Errno::EAFNOSUPPORT => format!("no route to {peer} ({cause})"),
        Errno::EPERM | Errno::EACCES => {
            format!("this system lets nothing out to {peer} ({cause})")
        }
        _ => format!("cannot reach {peer}: {cause}"),
    }
}

/// What became of each address tried.
pub(crate) fn all_failed(failures: Vec<(SocketAddr, String)>) -> String {
    if let [(_, only)] = failures.as_slice() {
        return only.clone();
    }
    let each: Vec<_> = failures.iter().map(|(peer, reason)| format!("{peer}: {reason}")).collect();
    format!("no address answers: {}", each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_one_clear_line() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 5683));
        for (errno, line) in [
            (Errno::ECONNREFUSED, "the port is closed: nothing listens at 192.0.2.1:5683"),
            (Errno::ENETUNREACH, "no route to 192.0.2.1:5683 (network is unreachable)"),
            (Errno::EHOSTUNREACH, "no route to 192.0.2.1:5683 (no route to host)"),
            (
                Errno::EPERM,
                "this system lets nothing out to 192.0.2.1:5683 (operation not permitted)",
            ),
            (Errno::EMFILE, "cannot reach 192.0.2.1:5683: too many open files"),
        ] {
            assert_eq!(unreachable(peer, &errno.into()), line);
        }
    }

    #[test]
    fn several_addresses_are_told_apart() {
        let failures: Vec<_> = [1, 2]
            .map(|last| (SocketAddr::from(([192, 0, 2, last], 5684)), format!("reason {last}")))
            .to_vec();
        assert_eq!(all_failed(failures[..1].to_vec()), "reason 1");
        assert_eq!(
            all_failed(failures),
            "no address answers: 192.0.2.1:5684: reason 1; 192.0.2.2:5684: reason 2"
        );
    }
}
