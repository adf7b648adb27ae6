//! Looks at the way to a server without a word to it: for a diagnosis.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::{ServerUri, reason, resolve};

/// The addresses of the host of `uri`, as [`resolve`] finds them.
///
/// # Errors
/// Why there are none, one line, in the words of a link that cannot be opened.
pub async fn look_up(uri: &ServerUri) -> Result<Vec<SocketAddr>, String> {
    let found = resolve(&uri.host().bare(), uri.port(), None).await;
    found.map_err(|error| reason::unresolved(uri.host(), &error))
}

/// The address of ours from which datagrams to `peer` leave; none is sent.
///
/// # Errors
/// Why they cannot, one line.
pub fn route_to(peer: SocketAddr) -> Result<IpAddr, String> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let local = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(peer)?;
        Ok(socket.local_addr()?.ip())
    };
    local().map_err(|error| reason::unreachable(peer, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_seen_is_told_in_the_words_of_a_link() {
        let uri = ServerUri::parse("coap://127.0.0.1:7").unwrap();
        let found = look_up(&uri).await.unwrap();
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 7))]);
        assert_eq!(route_to(found[0]), Ok(found[0].ip()));
        // A label of 64 letters cannot be looked up, whatever resolver there is.
        let name = "a".repeat(64);
        let uri = ServerUri::parse(&format!("coap://{name}")).unwrap();
        let error = look_up(&uri).await.unwrap_err();
        assert!(error.starts_with(&format!("cannot resolve {name}: ")), "{error}");
        // No socket may be connected to the broadcast address without asking for it.
        let error = route_to(SocketAddr::from(([255; 4], 7))).unwrap_err();
        assert!(error.starts_with("this system lets nothing out to 255."), "{error}");
    }
}
