//! A client and a server link joined by a network that loses what a test says.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::Instant;
use lwm2m_security::{
    Backend, DtlsServerContext, DtlsServerLink, Import, LinkConfig, LinkError, OpenSsl, Psk,
    Secret, SecureLink, ServerConfig, State, Suite,
};

pub(crate) const IDENTITY: &str = "urn:dev:1";
pub(crate) const KEY: [u8; 16] = *b"0123456789abcdef";

/// Shortest that the library allows: a lost flight comes again soon.
pub(crate) const QUICK: Duration = Duration::from_millis(20);

pub(crate) fn psk(identity: &[u8], key: &[u8]) -> Psk {
    Psk::new(identity, Secret::new(key.to_vec())).unwrap()
}

pub(crate) fn config() -> LinkConfig {
    LinkConfig { initial_retransmission: QUICK, ..LinkConfig::psk(psk(IDENTITY.as_bytes(), &KEY)) }
}

pub(crate) fn client(config: &LinkConfig, import: Import) -> Box<dyn SecureLink> {
    OpenSsl::new().unwrap().client(config, import).unwrap()
}

/// A server that knows one identity.
pub(crate) fn server_for(identity: &[u8], key: &[u8]) -> DtlsServerContext {
    server_of(identity, key, &Suite::ALL)
}

fn server_of(identity: &[u8], key: &[u8], suites: &[Suite]) -> DtlsServerContext {
    let (identity, key) = (identity.to_vec(), key.to_vec());
    let lookup = move |asked: &[u8]| (asked == identity).then(|| Secret::new(key.clone()));
    let config = ServerConfig {
        suites: suites.to_vec(),
        initial_retransmission: QUICK,
        ..ServerConfig::default()
    };
    DtlsServerContext::with_config(Arc::new(lookup), config).unwrap()
}

pub(crate) fn server() -> DtlsServerContext {
    server_for(IDENTITY.as_bytes(), &KEY)
}

pub(crate) fn server_with(suites: &[Suite]) -> DtlsServerContext {
    server_of(IDENTITY.as_bytes(), &KEY, suites)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// Both ends and what became of them.
pub(crate) struct Pair {
    pub(crate) client: Box<dyn SecureLink>,
    pub(crate) server: DtlsServerLink,
    pub(crate) client_error: Option<LinkError>,
    pub(crate) server_error: Option<LinkError>,
    /// Every datagram sent, lost ones too.
    pub(crate) sent: Vec<(From, Vec<u8>)>,
    started: std::time::Instant,
    /// What a test adds to real time.
    pub(crate) skipped: Duration,
}

impl Pair {
    pub(crate) fn new(client: Box<dyn SecureLink>, server: &DtlsServerContext) -> Self {
        Self {
            client,
            server: server.accept().unwrap(),
            client_error: None,
            server_error: None,
            sent: Vec::new(),
            started: std::time::Instant::now(),
            skipped: Duration::ZERO,
        }
    }

    /// A pair with the handshake behind it.
    pub(crate) fn established() -> Self {
        let mut pair = Self::new(client(&config(), Import::Fresh), &server());
        pair.shake_hands();
        assert_eq!(pair.states(), (State::Established, State::Established));
        pair
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_boot(Duration::from_secs(1000) + self.started.elapsed() + self.skipped)
    }

    pub(crate) fn shake_hands(&mut self) {
        self.tick(From::Client);
        self.deliver(|_, _| true);
    }

    /// Lets time act on one end.
    pub(crate) fn tick(&mut self, end: From) {
        let now = self.now();
        match end {
            From::Client => keep(&mut self.client_error, self.client.handle_timeout(now)),
            From::Server => keep(&mut self.server_error, self.server.handle_timeout(now)),
        }
    }

    /// Hands a datagram to the end that is not `from`.
    pub(crate) fn inject(&mut self, from: From, datagram: &[u8]) {
        let now = self.now();
        match from {
            From::Server => {
                keep(&mut self.client_error, self.client.handle_datagram(now, datagram));
            }
            From::Client => {
                keep(&mut self.server_error, self.server.handle_datagram(now, datagram));
            }
        }
    }

    /// Delivers until neither end has more to send. `passes` is asked with the
    /// sender and the number of the datagram since the pair began.
    pub(crate) fn deliver(&mut self, mut passes: impl FnMut(From, usize) -> bool) {
        loop {
            let (from, datagram) = match self.client.poll_datagram() {
                Some(datagram) => (From::Client, datagram),
                None => match self.server.poll_datagram() {
                    Some(datagram) => (From::Server, datagram),
                    None => return,
                },
            };
            let number = self.sent.len();
            self.sent.push((from, datagram.clone()));
            if passes(from, number) {
                self.inject(from, &datagram);
            }
        }
    }

    /// Waits for the next retransmission and lets it happen.
    pub(crate) fn wait_for_timer(&mut self) {
        let end = match (self.client.timeout(), self.server.timeout()) {
            (Some(client), Some(server)) if server < client => From::Server,
            (Some(_), _) => From::Client,
            (None, Some(_)) => From::Server,
            (None, None) => panic!("nothing is due"),
        };
        let due = if end == From::Client { self.client.timeout() } else { self.server.timeout() };
        // The one wait: the library has a clock of its own.
        std::thread::sleep(due.unwrap() - self.now());
        self.tick(end);
    }

    /// Asks both for their state; an empty datagram changes nothing.
    pub(crate) fn states(&mut self) -> (State, State) {
        let now = self.now();
        (
            self.client.handle_datagram(now, b"").unwrap(),
            self.server.handle_datagram(now, b"").unwrap(),
        )
    }

    /// Sends a message each way and checks that it arrives.
    pub(crate) fn talk(&mut self) {
        self.client.write(b"ping").unwrap();
        self.deliver(|_, _| true);
        assert_eq!(self.server.read().as_deref(), Some(&b"ping"[..]));
        self.server.write(b"pong").unwrap();
        self.deliver(|_, _| true);
        assert_eq!(self.client.read().as_deref(), Some(&b"pong"[..]));
    }
}

/// Remembers the first error.
fn keep(first: &mut Option<LinkError>, result: Result<State, LinkError>) {
    if let Err(error) = result {
        first.get_or_insert(error);
    }
}
