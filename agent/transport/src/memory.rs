//! What is kept of a server between two links: it makes the next one cheaper for
//! both sides (Transport 12.7), and lets it come from the same port (TRN-43).

use std::net::SocketAddr;

use lwm2m_security::Secret;

/// What is known of the servers used last.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The one used last is at the end.
    servers: Vec<ServerMemory>,
}

/// What is known of one server.
#[derive(Debug, Default)]
pub(crate) struct ServerMemory {
    server: u16,
    uri: String,
    /// For the next handshake.
    pub(crate) session: Option<Secret>,
    /// Our address on the last link on which the server was heard: the one it
    /// knows us by.
    pub(crate) known_local: Option<SocketAddr>,
    /// Our port on the last link, heard or not.
    pub(crate) last_port: Option<u16>,
    /// The address at which the server was heard last.
    pub(crate) preferred: Option<SocketAddr>,
    /// An address that failed last: tried after the others.
    pub(crate) avoid: Option<SocketAddr>,
}

impl Memory {
    /// The memory of a server, empty if it is new or has another URI than before.
    pub(crate) fn of(&mut self, server: u16, uri: &str) -> &mut ServerMemory {
        let known = self.servers.iter().position(|memory| memory.server == server);
        let memory = known
            .map(|index| self.servers.remove(index))
            .filter(|memory| memory.uri == uri)
            .unwrap_or_else(|| ServerMemory { server, uri: uri.to_owned(), ..Default::default() });
        if self.servers.len() >= MAX_SERVERS {
            self.servers.remove(0);
        }
        self.servers.push(memory);
        self.servers.last_mut().expect("it was pushed just now")
    }
}

impl ServerMemory {
    /// The server was heard at `peer`, which knows us as `local`.
    pub(crate) fn heard(&mut self, local: SocketAddr, peer: SocketAddr) {
        self.known_local = Some(local);
        self.preferred = Some(peer);
        self.avoid = self.avoid.filter(|avoided| *avoided != peer);
    }

    /// Nothing came from `peer`.
    pub(crate) fn failed(&mut self, peer: SocketAddr) {
        self.avoid = Some(peer);
        self.preferred = self.preferred.filter(|preferred| *preferred != peer);
    }

    /// Local ports to come from, the best first.
    pub(crate) fn ports(&self) -> [Option<u16>; 2] {
        [self.known_local.map(|local| local.port()), self.last_port]
    }
}

/// Servers remembered. A device has one or two; one that takes its turn through
/// more makes full handshakes.
const MAX_SERVERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_uri_is_another_server() {
        let mut memory = Memory::default();
        memory.of(1, "coap://a").last_port = Some(7);
        memory.of(2, "coap://a").last_port = Some(8);
        assert_eq!(memory.of(1, "coap://a").last_port, Some(7));
        assert_eq!(memory.of(1, "coap://b").last_port, None);
        assert_eq!(memory.of(1, "coap://a").last_port, None);
        assert_eq!(memory.of(2, "coap://a").last_port, Some(8));
    }

    #[test]
    fn no_more_than_the_servers_used_last_are_kept() {
        let mut memory = Memory::default();
        for server in 0..40 {
            memory.of(server, "coap://a").last_port = Some(server);
            assert_eq!(memory.of(0, "coap://a").last_port, Some(0), "used all the time");
        }
        assert_eq!(memory.servers.len(), MAX_SERVERS);
        assert_eq!(memory.of(1, "coap://a").last_port, None);
        assert_eq!(memory.of(39, "coap://a").last_port, Some(39));
    }

    #[test]
    fn an_address_that_failed_is_not_preferred() {
        let [local, a, b] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut memory = ServerMemory::default();
        memory.heard(local, a);
        assert_eq!((memory.preferred, memory.avoid), (Some(a), None));
        memory.failed(b);
        assert_eq!((memory.preferred, memory.avoid), (Some(a), Some(b)));
        memory.failed(a);
        assert_eq!((memory.preferred, memory.avoid), (None, Some(a)));
        memory.heard(local, a);
        assert_eq!((memory.preferred, memory.avoid), (Some(a), None));
        assert_eq!(memory.known_local, Some(local));
    }
}
