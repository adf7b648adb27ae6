//! The DTLS end of a judge: one link, which a new handshake replaces.

use std::sync::Arc;
use std::time::Instant as Clock;

use lwm2m_model::Instant;
use lwm2m_security::{DtlsServerContext, LinkInfo, Secret, SecureLink, State};

/// A DTLS server that knows one identity.
pub struct Secure {
    context: DtlsServerContext,
    link: Option<Box<dyn SecureLink>>,
    started: Clock,
}

impl Secure {
    pub(crate) fn new(identity: &[u8], key: &[u8]) -> Self {
        let (identity, key) = (identity.to_vec(), Secret::new(key.to_vec()));
        let lookup = Arc::new(move |asked: &[u8]| (asked == identity).then(|| key.clone()));
        let context = DtlsServerContext::new(lookup).expect("a DTLS library");
        Self { context, link: None, started: Clock::now() }
    }

    /// What was agreed upon in the handshake.
    pub fn info(&self) -> Option<LinkInfo> {
        self.link.as_ref().map(|link| link.info())
    }

    /// Takes a datagram: the messages in it, and the datagrams to send.
    pub(crate) fn open(&mut self, datagram: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let now = Instant::from_boot(self.started.elapsed());
        let link = self.link.get_or_insert_with(|| self.context.accept().expect("a DTLS link"));
        let state = link.handle_datagram(now, datagram);
        let messages = std::iter::from_fn(|| link.read()).collect();
        let datagrams = std::iter::from_fn(|| link.poll_datagram()).collect();
        if !matches!(state, Ok(State::Handshaking | State::Established)) {
            self.link = None;
        }
        (messages, datagrams)
    }

    pub(crate) fn seal(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        let link = self.link.as_mut().expect("the agent has spoken first");
        link.write(message).expect("an established link");
        std::iter::from_fn(|| link.poll_datagram()).collect()
    }
}
