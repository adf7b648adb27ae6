//! libcoap 4.3.1's programs (Debian package `libcoap3-bin`).
//!
//! [`start_server`] takes Register, Update and De-register; [`Client`] sends requests to
//! the device from the server's port, while the server runs: its socket is connected to
//! the device, and the kernel prefers it for what that device sends. [`start_package_server`]
//! keeps what is put there, and gives it with and without security.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use lwm2m_model::Path;

use crate::PeerError;
use crate::program::{self, Output, Running};

/// True if this machine has libcoap's programs.
pub fn available() -> bool {
    [CLIENT, SERVER, SECURE_SERVER].iter().all(|name| program::find(name).is_some())
}

/// A running `coap-server` and its address.
pub struct CoapServer {
    /// Where it listens.
    pub address: SocketAddr,
    process: Running,
}

/// Starts `coap-server` so that a POST to an unknown path makes a resource there.
///
/// A Register to `/rd` is answered 2.01 with Location-Path `rd` and its parameters as
/// Location-Query; an Update 2.04, a De-register 2.02. A second Register without
/// De-register between them is answered 2.04.
///
/// # Errors
/// [`PeerError::Silent`] if it does not answer; what starting a process can give.
pub fn start_server() -> Result<CoapServer, PeerError> {
    let address = free_address()?;
    let mut command = Command::new(SERVER);
    command.args(["-A", &address.ip().to_string(), "-p", &address.port().to_string()]);
    // Each device is one resource; 7 is the least that prints messages.
    command.args(["-d", "10", "-v", "7"]);
    let process = Running::start(&mut command)?;
    wait_pong(address)?;
    Ok(CoapServer { address, process })
}

/// Starts `coap-server` so that it keeps what is put there ([`put_file`]). The port after
/// its own is secured with `key`, for every identity.
///
/// # Errors
/// As [`start_server`].
pub fn start_package_server(key: &str) -> Result<CoapServer, PeerError> {
    let address = free_address()?;
    let mut command = Command::new(SECURE_SERVER);
    command.args(["-A", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command.args(["-d", "10", "-k", key]);
    let process = Running::start(&mut command)?;
    wait_pong(address)?;
    Ok(CoapServer { address, process })
}

/// Puts a file to a server, in blocks of 1024.
///
/// # Errors
/// [`PeerError::System`] if the client cannot be started.
pub fn put_file(
    server: SocketAddr,
    path: &str,
    file: &std::path::Path,
    limit: Duration,
) -> Result<Output, PeerError> {
    let mut command = Command::new(CLIENT);
    command.args(["-m", "put", "-b", "1024", "-v", "6", "-f"]).arg(file);
    program::run(command.arg(format!("coap://{server}{path}")), limit)
}

impl CoapServer {
    /// Stops the server and returns what it has printed.
    pub fn stop(self) -> Output {
        self.process.stop()
    }
}

/// One request of `coap-client` to a device.
#[derive(Debug, Clone)]
pub struct Client {
    device: SocketAddr,
    arguments: Vec<String>,
}

impl Client {
    /// A request `method` (`get`, `put`, `post`, `delete`) from `local` to `device`.
    ///
    /// With `local` the address of the server at which the device is registered, the
    /// request is for the device one of its server.
    pub fn new(local: SocketAddr, device: SocketAddr, method: &str) -> Self {
        let (ip, port) = (local.ip().to_string(), local.port().to_string());
        let arguments = ["-a", &ip, "-p", &port, "-m", method, "-U", "-v", "6"];
        Self { device, arguments: arguments.map(str::to_owned).to_vec() }
    }

    /// The Accept option.
    #[must_use]
    pub fn accept(self, format: u16) -> Self {
        self.option("-A", &format.to_string())
    }

    /// A text payload of a content format.
    #[must_use]
    pub fn payload(self, format: u16, text: &str) -> Self {
        self.option("-t", &format.to_string()).option("-e", text)
    }

    /// Asks for blocks of `bytes` bytes (RFC 7959 2.4).
    #[must_use]
    pub fn block_size(self, bytes: u16) -> Self {
        self.option("-b", &bytes.to_string())
    }

    /// Observes for a number of seconds.
    #[must_use]
    pub fn observe(self, seconds: u32) -> Self {
        self.option("-s", &seconds.to_string())
    }

    fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Sends the request for `path`, with Uri-Query options such as `pmin=1`, and waits for
    /// the end of the program. Its output shows every message in libcoap's notation.
    ///
    /// # Errors
    /// [`PeerError::System`] if the program cannot be started.
    pub fn send(self, path: &Path, query: &[&str], limit: Duration) -> Result<Output, PeerError> {
        let mut uri = format!("coap://{}{path}", self.device);
        for (place, option) in query.iter().enumerate() {
            uri.push(if place == 0 { '?' } else { '&' });
            uri.push_str(option);
        }
        program::run(Command::new(CLIENT).args(self.arguments).arg(uri), limit)
    }
}

/// An address that was free a moment ago: libcoap's programs do not tell what port 0 became.
pub(crate) fn free_address() -> Result<SocketAddr, PeerError> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .map_err(|e| PeerError::system("find a free port", e))
}

/// Pings (RFC 7252 4.3) until the server answers with a Reset.
pub(crate) fn wait_pong(address: SocketAddr) -> Result<(), PeerError> {
    let system = |e| PeerError::system(format!("ping {address}"), e);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(system)?;
    socket.connect(address).map_err(system)?;
    socket.set_read_timeout(Some(PING_INTERVAL)).map_err(system)?;
    let end = Instant::now() + START_LIMIT;
    let mut buffer = [0; 64];
    while Instant::now() < end {
        // Refused (ICMP) until the server has bound its port.
        let sent = socket.send(&PING).is_ok();
        if sent && socket.recv(&mut buffer).is_ok() {
            return Ok(());
        }
        std::thread::sleep(PING_INTERVAL);
    }
    Err(PeerError::Silent { peer: "the CoAP server", waited: START_LIMIT })
}

const CLIENT: &str = "coap-client-notls";
const SERVER: &str = "coap-server-notls";
const SECURE_SERVER: &str = "coap-server-openssl";
/// An empty confirmable message with message id 1.
const PING: [u8; 4] = [0x40, 0x00, 0x00, 0x01];
const PING_INTERVAL: Duration = Duration::from_millis(50);
const START_LIMIT: Duration = Duration::from_secs(10);
