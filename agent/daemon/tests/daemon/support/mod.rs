//! What every theme needs: a directory, a daemon, a bus, a server.

#[path = "../../../../security/tests/authority/mod.rs"]
pub(crate) mod authority;
mod bus;
mod daemon;
mod lab;
mod notify;
pub(crate) mod package_server;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_test_server::{Server, ServerConfig};

pub(crate) use bus::{Bus, next};
pub(crate) use daemon::Daemon;
pub(crate) use lab::{ENDPOINT, Lab, Link, configuration};
pub(crate) use notify::Systemd;

/// A server on a free port, without security.
pub(crate) async fn server() -> (Server, SocketAddr) {
    server_with(ServerConfig::default()).await
}

pub(crate) async fn server_with(config: ServerConfig) -> (Server, SocketAddr) {
    let server = Server::start(config).await.unwrap();
    let address = server.coap_addr().unwrap_or_else(|| server.coaps_addr().unwrap());
    (server, address)
}

/// An address at which nothing listens.
pub(crate) fn closed_port() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits for what must happen soon; panics with `what` if it does not.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {} s", LIMIT.as_secs()),
    }
}

/// Far more than anything here takes on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
