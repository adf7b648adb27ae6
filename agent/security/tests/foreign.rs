//! Against `openssl s_server`, the program, over real sockets. Where it is not
//! installed the tests say so and pass.

mod pair;

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use lwm2m_security::{Import, LinkConfig, LinkError, SecureLink, Silence, State, Suite};
use pair::{client, config};

/// The program, on a port that the system chose.
struct SServer {
    child: Child,
    stdin: ChildStdin,
    output: Receiver<String>,
    port: u16,
}

impl SServer {
    /// `None` if the program is not installed.
    fn start(key: &[u8], suites: &str) -> Option<Self> {
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let spawned = Command::new("openssl")
            .args(["s_server", "-dtls1_2", "-nocert", "-accept", "127.0.0.1:0", "-listen"])
            .args(["-psk", &key, "-psk_identity", pair::IDENTITY, "-cipher", suites])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("not run: the program openssl is not installed");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let stdin = child.stdin.take().unwrap();
        // A thread reads, so that a line that never comes fails the test. It
        // ends with the program.
        let (lines, output) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|l| lines.send(l)));
        let mut server = Self { child, stdin, output, port: 0 };
        let line = server.line_with("ACCEPT ");
        server.port = line.rsplit(':').next().unwrap().trim().parse().unwrap();
        Some(server)
    }

    /// The next line of output with `text` in it.
    fn line_with(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no {text:?}: {error}, but {seen:#?}"),
            }
        }
    }
}

impl Drop for SServer {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait().map(|_| ())).unwrap();
    }
}

/// A client link on a socket.
struct Device {
    link: Box<dyn SecureLink>,
    socket: UdpSocket,
    started: Instant,
}

impl Device {
    fn connect(config: &LinkConfig, import: Import, port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        Self::reconnect(config, import, socket)
    }

    /// From the same port: the program stays connected to it.
    fn reconnect(config: &LinkConfig, import: Import, socket: UdpSocket) -> Self {
        Self { link: client(config, import), socket, started: Instant::now() }
    }

    fn now(&self) -> lwm2m_model::Instant {
        lwm2m_model::Instant::from_boot(Duration::from_secs(1) + self.started.elapsed())
    }

    fn flush(&mut self) {
        while let Some(datagram) = self.link.poll_datagram() {
            // An error reported here belongs to an earlier datagram.
            let _ = self.socket.send(&datagram);
        }
    }

    /// Waits for the next datagram or time-out.
    fn step(&mut self) -> Result<State, LinkError> {
        assert!(self.started.elapsed() < PATIENCE, "no progress: {:?}", self.link);
        let due = self.link.timeout().map(|at| at - self.now());
        let result = if due == Some(Duration::ZERO) {
            let now = self.now();
            self.link.handle_timeout(now)
        } else {
            let wait = due.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(wait)).unwrap();
            let mut buffer = [0; 2048];
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    let now = self.now();
                    self.link.handle_datagram(now, &buffer[..len])
                }
                // Refused: between two clients it has no socket for a moment.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::ConnectionRefused
                    ) =>
                {
                    let now = self.now();
                    self.link.handle_datagram(now, b"")
                }
                Err(error) => panic!("{error}"),
            }
        };
        self.flush();
        result
    }

    fn establish(&mut self) {
        while self.step().unwrap() != State::Established {}
    }

    fn receive(&mut self) -> Vec<u8> {
        loop {
            if let Some(message) = self.link.read() {
                return message;
            }
            self.step().unwrap();
        }
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

const ALL: &str = "PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES128-GCM-SHA256:@SECLEVEL=0";

#[test]
fn each_suite_comes_up_and_carries_messages_both_ways() {
    for suite in Suite::ALL {
        let Some(mut server) = SServer::start(&pair::KEY, ALL) else { return };
        let config = LinkConfig { suites: vec![suite], ..config() };
        let mut device = Device::connect(&config, Import::Fresh, server.port);
        device.establish();
        assert_eq!(device.link.info().suite, Some(suite));

        device.link.write(b"hello server\n").unwrap();
        device.flush();
        server.line_with("hello server");
        server.stdin.write_all(b"hello device\n").unwrap();
        assert_eq!(device.receive(), b"hello device\n");
    }
}

#[test]
fn our_close_notify_ends_the_link_and_its_session_is_resumed() {
    let Some(server) = SServer::start(&pair::KEY, ALL) else { return };
    let mut first = Device::connect(&config(), Import::Fresh, server.port);
    first.establish();
    first.link.close();
    first.flush();
    let session = first.link.export_session().unwrap();
    server.line_with("DONE");

    let mut second = Device::reconnect(&config(), Import::Session(session), first.socket);
    second.establish();
    assert!(second.link.info().resumed);
    second.link.write(b"once more\n").unwrap();
    second.flush();
    server.line_with("once more");
}

#[test]
fn a_wrong_key_is_met_with_silence() {
    let Some(server) = SServer::start(b"another key", ALL) else { return };
    let config = LinkConfig { handshake_limit: Duration::from_millis(200), ..config() };
    let mut device = Device::connect(&config, Import::Fresh, server.port);
    let error = loop {
        if let Err(error) = device.step() {
            break error;
        }
    };
    let silence = Silence::AfterKeys;
    assert_eq!(error, LinkError::HandshakeTimeout { limit: config.handshake_limit, silence });
}

#[test]
fn no_suite_in_common_is_refused_with_its_alert() {
    let Some(server) = SServer::start(&pair::KEY, "PSK-AES256-GCM-SHA384") else { return };
    let mut device = Device::connect(&config(), Import::Fresh, server.port);
    let error = loop {
        if let Err(error) = device.step() {
            break error;
        }
    };
    assert_eq!(
        error.to_string(),
        "the server refused the handshake (alert 40 handshake_failure): \
         no cipher suite in common, or the server does not know the identity"
    );
}
