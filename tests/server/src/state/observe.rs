//! Observations (RFC 7641, Core 8): whose they are, which notification is newer,
//! and what a notification in blocks is made of.

use std::time::Duration;

use coap_lite::{CoapOption, Packet};
use lwm2m_model::{Instant, Path};
use tokio::sync::mpsc;

use super::exchange::{Job, Then};
use super::{Peer, State};
use crate::block::Block;
use crate::message;
use crate::{Notification, ObservationKey, ServerEvent, Traffic};

/// An observation that a device holds.
pub(super) struct Observed {
    endpoint: String,
    path: Path,
    /// The Observe, for the rest of a notification in blocks.
    request: Packet,
    number: u32,
    at: Instant,
    stream: mpsc::Sender<Notification>,
}

impl Observed {
    /// RFC 7641 3.4: newer by number within half the range, or by time.
    fn is_outdone_by(&self, now: Instant, number: u32) -> bool {
        let ahead = number.wrapping_sub(self.number) & NUMBER_MASK;
        (1..HALF_RANGE).contains(&ahead) || now - self.at > NUMBER_LIFETIME
    }
}

impl State {
    /// Begins an observation.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        endpoint: &str,
        path: Path,
        token: Vec<u8>,
        request: Packet,
        number: u32,
    ) -> mpsc::Receiver<Notification> {
        let (stream, receiver) = mpsc::channel(MAX_UNREAD);
        let endpoint = endpoint.to_owned();
        let observed = Observed { endpoint, path, request, number, at: now, stream };
        self.observations.insert(token, observed);
        receiver
    }

    /// Takes a response that belongs to no request on its way; false if it belongs
    /// to no observation either.
    pub(super) fn notified(
        &mut self,
        now: Instant,
        peer: Peer,
        packet: &Packet,
        bytes: usize,
    ) -> bool {
        let token = packet.get_token().to_vec();
        let Some(observed) = self.observations.get_mut(&token) else { return false };
        if self.devices.get(&observed.endpoint).is_none_or(|device| device.peer != peer) {
            return false;
        }
        let number = message::number(packet, CoapOption::Observe);
        let goes_on = message::code(packet).is_success() && number.is_some();
        if let Some(number) = number.filter(|_| goes_on) {
            if !observed.is_outdone_by(now, number) {
                return true; // late: acknowledged, not delivered
            }
            observed.number = number;
            observed.at = now;
        }
        let notification = Notification {
            endpoint: observed.endpoint.clone(),
            path: observed.path.clone(),
            code: message::code(packet),
            format: message::content_format(packet),
            payload: packet.payload.clone(),
            entries: Vec::new(),
            problem: None,
            number: number.filter(|_| goes_on),
            confirmable: message::is_confirmable(packet),
            key: ObservationKey(token),
            bytes,
        };
        match Block::of(packet, CoapOption::Block2) {
            Ok(Some(block)) if block.more && goes_on => {
                self.fetch_rest(notification, packet, block);
            }
            Ok(_) => self.deliver(notification),
            Err(reason) => {
                self.deliver(Notification { problem: Some(reason.to_owned()), ..notification });
            }
        }
        true
    }

    /// Asks for the rest of a notification, without Observe (RFC 7959 2.6).
    fn fetch_rest(&mut self, notification: Notification, first: &Packet, block: Block) {
        let Some(observed) = self.observations.get(notification.key.token()) else { return };
        let mut packet = observed.request.clone();
        packet.clear_option(CoapOption::Observe);
        block.ask_next(&mut packet);
        let endpoint = observed.endpoint.clone();
        let (notification, first) = (Box::new(notification), first.clone());
        let then = Then::Notification { notification, first };
        self.request_next(&endpoint, Job { packet, token: None, then });
    }

    /// All blocks of a notification are there.
    pub(super) fn notification_complete(
        &mut self,
        notification: Notification,
        packet: &Packet,
        traffic: &Traffic,
    ) {
        let bytes = notification.bytes + traffic.received.iter().sum::<usize>();
        let payload = packet.payload.clone();
        self.deliver(Notification { payload, bytes, ..notification });
    }

    fn deliver(&mut self, mut notification: Notification) {
        notification.read_values();
        let token = notification.key.token();
        let Some(observed) = self.observations.get(token) else { return };
        // A stream that nobody reads loses the newest; the event still tells it.
        let _ = observed.stream.try_send(notification.clone());
        let ended =
            notification.number.is_none().then(|| self.observations.remove(token)).flatten();
        self.tell(ServerEvent::Notification(notification));
        if let Some(Observed { endpoint, path, .. }) = ended {
            self.tell(ServerEvent::ObservationEnded { endpoint, path });
        }
    }

    /// Ends the observations of a device that has forgotten them.
    pub(super) fn end_observations(&mut self, endpoint: &str) {
        let ended = self.observations.extract_if(|_, known| known.endpoint == endpoint);
        let ended: Vec<_> = ended.map(|(_, observed)| observed.path).collect();
        for path in ended {
            self.tell(ServerEvent::ObservationEnded { endpoint: endpoint.to_owned(), path });
        }
    }
}

/// Notifications that may wait in the stream of one observation.
const MAX_UNREAD: usize = 1024;
/// The Observe number has 24 bits (RFC 7641 4.4).
const NUMBER_MASK: u32 = (1 << 24) - 1;
const HALF_RANGE: u32 = 1 << 23;
/// After this time any number counts as newer (RFC 7641 3.4).
const NUMBER_LIFETIME: Duration = Duration::from_secs(128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_is_by_number_with_wrap_around_or_by_age() {
        let (stream, _receiver) = mpsc::channel(1);
        let mut observed = Observed {
            endpoint: String::new(),
            path: Path::root(),
            request: Packet::new(),
            number: 0,
            at: Instant::ZERO,
            stream,
        };
        let soon = Instant::ZERO + Duration::from_secs(1);
        let late = Instant::ZERO + Duration::from_secs(129);
        for (old, new, at, newer) in [
            (5, 6, soon, true),
            (5, 5, soon, false),
            (5, 4, soon, false),
            (0xff_ffff, 0, soon, true),
            (0, 0xff_ffff, soon, false),
            (0, (1 << 23) - 1, soon, true),
            (0, 1 << 23, soon, false),
            (5, 4, late, true),
        ] {
            observed.number = old;
            assert_eq!(observed.is_outdone_by(at, new), newer, "{old} then {new}");
        }
    }
}
