//! Requests of ours and their answers (RFC 7252 4.2, 5.3).

use std::time::Duration;

use lwm2m_model::Instant;

use super::{Endpoint, empty};
use crate::cache_key::has_unknown_critical;
use crate::course::{MAX_REQUEST, Next, Wanted};
use crate::outgoing::{Outgoing, Purpose};
use crate::{Draft, Event, Incoming, Kind, Message, RequestId};

impl Endpoint {
    /// Sends a confirmable request, at once or when NSTART allows.
    ///
    /// One that does not fit a datagram goes out in blocks, and an answer in blocks is
    /// fetched: what follows is one answer. A Block2 option of the draft asks for a
    /// block size; its number is 0.
    ///
    /// With [`Config::max_queue`](crate::Config::max_queue) messages before it, or a
    /// payload of more than 16 MiB, it is not sent and [`Event::RequestTimedOut`]
    /// follows at once.
    pub fn request(&mut self, now: Instant, draft: Draft) -> RequestId {
        self.begin(now, draft, Wanted::Whole)
    }

    /// As [`Self::request`], for a single block of the answer: the one that the Block2
    /// option of the draft names ([`Block`](crate::Block)). The answer is handed up as it
    /// comes, and it is for the caller to look at its Block2, ETag and Size2, and to ask
    /// for the other blocks; so what is larger than
    /// [`Config::max_body`](crate::Config::max_body) can be fetched too.
    pub fn request_block(&mut self, now: Instant, draft: Draft) -> RequestId {
        self.begin(now, draft, Wanted::Block)
    }

    /// Requests sent from now on are repeated first after `timeout` times 1.0 to
    /// [`Config::ack_random_factor`](crate::Config::ack_random_factor), if that is earlier
    /// than ACK_TIMEOUT says. The other repetitions follow at least twice as late each; when
    /// the last one comes and when the request is given up do not change. Forgotten by
    /// [`Self::reset`] and [`Self::resume`].
    ///
    /// It is for the caller to keep congestion in hand (RFC 7252 4.8.1): `timeout` comes
    /// from measured round trips, and grows where requests are repeated.
    pub fn set_request_timeout(&mut self, timeout: Duration) {
        self.queue.set_request_timeout(timeout);
    }

    /// How often the message of this request that is under way was repeated; 0 for a
    /// request that is not in flight.
    pub fn repetitions(&self, request: RequestId) -> u32 {
        self.queue.repetitions(request)
    }

    fn begin(&mut self, now: Instant, draft: Draft, wanted: Wanted) -> RequestId {
        self.clock = now;
        let request = RequestId(self.number());
        if draft.payload.len() > MAX_REQUEST {
            self.events.push_back(Event::RequestTimedOut { request });
            return request;
        }
        self.courses.begin(request, draft, wanted, &self.config, &mut self.source.random);
        if let Some(message) = self.next_message(request) {
            self.queue_or_give_up(now, message);
        }
        request
    }

    /// Gives a request up: its answer is no longer of interest. If another message
    /// waited for it, `next_timeout` says to send that at once.
    pub fn cancel(&mut self, request: RequestId) {
        self.queue.remove_request(request);
        self.courses.remove(request);
    }

    pub(super) fn receive_response<'a>(
        &mut self,
        now: Instant,
        message: Message<'a>,
    ) -> Option<Incoming<'a>> {
        let request = self.queue.request_of(message.token);
        let is_understood = !has_unknown_critical(&message);
        let Some(request) = request.filter(|_| is_understood) else {
            if is_understood {
                self.counters.unmatched += 1;
            } else {
                self.counters.malformed += 1;
            }
            if message.kind == Kind::Confirmable {
                self.transmit(now, empty(Kind::Reset, message.id));
            }
            return None;
        };
        // A response acknowledges, even when it overtakes its ACK (RFC 7252 5.3.2).
        self.queue.remove_request(request);
        match message.kind {
            Kind::Confirmable => {
                let acknowledgement = empty(Kind::Acknowledgement, message.id);
                self.finish(now, &message, &acknowledgement);
                self.transmit(now, acknowledgement);
            }
            Kind::NonConfirmable => self.finish(now, &message, &[]),
            Kind::Acknowledgement | Kind::Reset => {}
        }
        let random = &mut self.source.random;
        let incoming = match self.courses.answered(request, message, &self.config, random) {
            Next::Message => {
                if let Some(message) = self.next_message(request) {
                    self.queue.push_next(message);
                }
                None
            }
            Next::Answer(message) => Some(Incoming::Response { request, message }),
            Next::Failure(reason) => Some(Incoming::ResponseUnusable { request, reason }),
        };
        self.start_next(now);
        incoming
    }

    /// The next message of a request, under a token of its own: an answer to the one
    /// before cannot be taken for its answer.
    fn next_message(&mut self, request: RequestId) -> Option<Outgoing> {
        let token = self.source.token();
        let datagram = self.courses.datagram(request, token)?;
        Some(Outgoing { purpose: Purpose::Request(request), token, datagram })
    }
}
