//! A connected socket and the DTLS link over it, if there is one.

use lwm2m_engine::{Continuity, LinkId};
use lwm2m_model::Instant;
use lwm2m_security::{LinkError, SecureLink, State};
use tracing::debug;

use crate::event::Sink;
use crate::socket::Socket;
use crate::{Counters, LinkEvent};

/// A socket and what secures it.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) socket: Socket,
    pub(crate) secure: Option<Box<dyn SecureLink>>,
    /// Whether `Up` was said.
    pub(crate) up: bool,
    /// Whether the memory knows that the server was heard here.
    pub(crate) remembered: bool,
}

impl Channel {
    /// Moves what the security layer wants sent into the queue of the socket.
    pub(crate) fn queue_records(&mut self, counters: &mut Counters) {
        while let Some(record) = self.secure.as_mut().and_then(|secure| secure.poll_datagram()) {
            self.socket.outgoing.push(record, counters);
        }
    }

    /// Takes in one datagram of a secure link.
    pub(crate) fn decrypt(
        &mut self,
        link: LinkId,
        now: Instant,
        bytes: &[u8],
        counters: &mut Counters,
        on: &mut Sink<'_>,
    ) -> Result<(), LinkError> {
        let Some(secure) = &mut self.secure else { return Ok(()) };
        let state = secure.handle_datagram(now, bytes);
        if !self.up && matches!(state, Ok(State::Established)) {
            self.up = true;
            let info = secure.info();
            debug!(link = link.0, suite = ?info.suite, resumed = info.resumed, "handshake done");
            let continuity = if info.resumed { Continuity::Kept } else { Continuity::New };
            on(LinkEvent::Up { link, continuity, max_datagram: secure.max_payload() });
        }
        // What came before the end counts.
        while let Some(message) = secure.read() {
            on(LinkEvent::Datagram { link, bytes: &message });
        }
        self.queue_records(counters);
        match state? {
            State::Closed => Err(LinkError::Closed),
            State::Handshaking | State::Established => Ok(()),
        }
    }
}
