//! What is kept of a server between two links: it makes the next one cheaper for
//! both sides (Transport 12.7), and lets it come from the same port (TRN-43). The
//! session and that port can outlive the process.

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
    session: Option<Secret>,
    /// Our address on the last link on which the server was heard: the one it
    /// knows us by.
    pub(crate) known_local: Option<SocketAddr>,
    /// What outlives the process is not what was written last.
    is_changed: bool,
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

impl Memory {
    /// What has changed since the last call, a blob a server, by Short Server ID.
    pub(crate) fn take_changed(&mut self) -> Vec<(u16, Secret)> {
        let changed = self.servers.iter_mut().filter(|memory| memory.is_changed);
        changed
            .map(|memory| {
                memory.is_changed = false;
                (memory.server, memory.write())
            })
            .collect()
    }

    /// Forgets a server.
    pub(crate) fn forget(&mut self, server: u16) {
        self.servers.retain(|memory| memory.server != server);
    }

    /// Takes over what an earlier process has written; what is no such blob is left out.
    pub(crate) fn restore(&mut self, server: u16, blob: &[u8]) {
        if let Some(read) = ServerMemory::read(server, blob) {
            let uri = read.uri.clone();
            *self.of(server, &uri) = read;
        }
    }
}

impl ServerMemory {
    /// The session for the next handshake.
    pub(crate) fn session(&self) -> Option<&Secret> {
        self.session.as_ref()
    }

    pub(crate) fn set_session(&mut self, session: Option<Secret>) {
        let bytes = |session: &Option<Secret>| session.as_ref().map(|it| it.expose().to_vec());
        self.is_changed |= bytes(&self.session) != bytes(&session);
        self.session = session;
    }

    /// Format, URI, our address, session; the first two behind their lengths.
    fn write(&self) -> Secret {
        let local = self.known_local.map(|local| local.to_string()).unwrap_or_default();
        let session = self.session.as_ref().map(Secret::expose).unwrap_or_default();
        let mut blob = vec![FORMAT];
        for field in [self.uri.as_str(), &local] {
            blob.extend(u16::try_from(field.len()).unwrap_or_default().to_be_bytes());
            blob.extend(field.as_bytes());
        }
        blob.extend(session);
        Secret::new(blob)
    }

    fn read(server: u16, blob: &[u8]) -> Option<Self> {
        let (format, rest) = blob.split_first()?;
        let (uri, rest) = field(rest)?;
        let (local, session) = field(rest)?;
        let session = (!session.is_empty()).then(|| Secret::new(session.to_vec()));
        let known_local = if local.is_empty() { None } else { Some(local.parse().ok()?) };
        let uri = uri.to_owned();
        (*format == FORMAT).then_some(Self { server, uri, session, known_local, ..Self::default() })
    }

    /// The server was heard at `peer`, which knows us as `local`.
    pub(crate) fn heard(&mut self, local: SocketAddr, peer: SocketAddr) {
        self.is_changed |= self.known_local != Some(local);
        self.known_local = Some(local);
        self.preferred = Some(peer);
        self.avoid = self.avoid.filter(|avoided| *avoided != peer);
    }

    /// Nothing came from `peer`.
    pub(crate) fn failed(&mut self, peer: SocketAddr) {
        self.avoid = Some(peer);
        self.preferred = self.preferred.filter(|preferred| *preferred != peer);
    }

    /// A handshake was answered and is not finished: the server may hold what there is of
    /// it, and answer with that what comes next from the same port.
    pub(crate) fn half_open(&mut self) {
        self.is_changed |= self.known_local.is_some();
        (self.known_local, self.last_port) = (None, None);
    }

    /// Local ports to come from, the best first.
    pub(crate) fn ports(&self) -> [Option<u16>; 2] {
        [self.known_local.map(|local| local.port()), self.last_port]
    }
}

/// A text behind its length, and what follows it.
fn field(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Version of the blob.
const FORMAT: u8 = 1;
/// Servers remembered. A device has one or two; one that takes its turn through
/// more makes full handshakes.
const MAX_SERVERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-43.
    #[test]
    fn session_and_address_outlive_the_process() {
        let local = SocketAddr::from(([192, 0, 2, 1], 40000));
        let mut memory = Memory::default();
        memory.of(1, "coaps://a").last_port = Some(7);
        assert!(memory.take_changed().is_empty(), "nothing that would be written");
        memory.of(1, "coaps://a").heard(local, local);
        memory.of(1, "coaps://a").set_session(Some(Secret::new(b"session".to_vec())));
        let changed = memory.take_changed();
        let [(1, blob)] = &changed[..] else { panic!("{changed:?}") };
        assert!(!format!("{changed:?}").contains("session"), "a secret");
        memory.of(1, "coaps://a").heard(local, local);
        memory.of(1, "coaps://a").set_session(Some(Secret::new(b"session".to_vec())));
        assert!(memory.take_changed().is_empty(), "the same again");

        let mut after = Memory::default();
        after.restore(1, blob.expose());
        assert!(after.take_changed().is_empty());
        let read = after.of(1, "coaps://a");
        assert_eq!(read.known_local, Some(local));
        assert_eq!(read.session().map(Secret::expose), Some(&b"session"[..]));
        assert!(after.of(1, "coaps://b").session().is_none(), "that of another server");
        for end in 0..blob.len() - b"session".len() {
            let mut after = Memory::default();
            after.restore(1, &blob.expose()[..end]);
            assert!(after.servers.is_empty(), "{end} bytes");
        }
    }

    #[test]
    fn a_server_that_is_forgotten_is_new() {
        let mut memory = Memory::default();
        for server in [1, 2] {
            memory.of(server, "coap://a").last_port = Some(server);
            memory.of(server, "coap://a").set_session(Some(Secret::new(vec![1])));
        }
        memory.forget(1);
        let changed: Vec<u16> = memory.take_changed().iter().map(|(server, _)| *server).collect();
        assert_eq!(changed, [2], "nothing of it is written");
        assert_eq!(memory.of(1, "coap://a").last_port, None);
        assert_eq!(memory.of(2, "coap://a").last_port, Some(2));
    }

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
