//! The service manager's end of sd_notify(3).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use tokio::net::UnixDatagram;

use super::soon;

/// A socket that hears what a service says.
pub(crate) struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    /// Listens at a path.
    pub(crate) fn at(path: &Path) -> Self {
        Self { socket: UnixDatagram::bind(path).unwrap() }
    }

    /// Listens at an abstract name; gives what goes into `NOTIFY_SOCKET`.
    pub(crate) fn at_abstract(name: &str) -> (Self, String) {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let socket = std::os::unix::net::UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        (Self { socket: UnixDatagram::from_std(socket).unwrap() }, format!("@{name}"))
    }

    async fn hears(&self, what: &str) -> String {
        let mut buffer = [0; 4096];
        let received = soon(what, self.socket.recv(&mut buffer)).await;
        String::from_utf8(buffer[..received.unwrap()].to_vec()).unwrap()
    }

    /// Waits for this message; gives the ones before it.
    pub(crate) async fn waits_for(&self, wanted: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let message = self.hears(&format!("{wanted} after {before:?}")).await;
            if message == wanted {
                return before;
            }
            before.push(message);
        }
    }
}
