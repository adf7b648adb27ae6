//! What the server answers, and what follows from it (RFC 7959 2.4).
//!
//! A refusal means different things: of the first request, that Block2 is not known or the
//! package is another one; of a block whose turn has not come, that it comes only in turn
//! or lies beyond the end; of any other block, that this attempt is over.

use lwm2m_coap::{Draft, Incoming, Message, RequestId};
use lwm2m_model::{Code, Instant};

use super::{Asked, Attempts, CoapFetch, First};
use crate::fetch::Fetched;
use crate::fetch::answer::{Package, Received, damaged, lost, refused, shown};
use crate::fetch::assembly::Assembly;

impl CoapFetch {
    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let Some(endpoint) = &mut self.endpoint else { return };
        match endpoint.handle_datagram(now, bytes) {
            Some(Incoming::Response { request, message }) => {
                if let Some(asked) = self.take_asked(request) {
                    if asked.repetitions == 0 {
                        self.round_trip.measured(now - asked.sent);
                    }
                    self.answered(asked, &message);
                }
            }
            Some(Incoming::RequestReset { request }) => {
                let asked = self.take_asked(request);
                if asked.is_some_and(|asked| self.is_out_of_turn(asked)) {
                    self.window.in_order_only();
                } else if asked.is_some() {
                    self.fail(lost("the server rejects the request (Reset)"));
                }
            }
            // We serve nothing here.
            Some(Incoming::Request { exchange, .. } | Incoming::Block { exchange, .. }) => {
                endpoint.respond(now, exchange, Draft::new(Code::NOT_FOUND));
            }
            // None of these concerns a block that was asked for alone.
            Some(
                Incoming::ResponseUnusable { .. }
                | Incoming::NotificationAcknowledged { .. }
                | Incoming::NotificationReset { .. },
            )
            | None => {}
        }
    }

    fn take_asked(&mut self, request: RequestId) -> Option<Asked> {
        let at = self.asked.iter().position(|asked| asked.request == request)?;
        Some(self.asked.swap_remove(at))
    }

    /// True if a block before this one has not come.
    fn is_out_of_turn(&self, asked: Asked) -> bool {
        asked.offset > self.assembly.end()
    }

    fn answered(&mut self, asked: Asked, message: &Message<'_>) {
        self.window.answered();
        if message.code != Code::CONTENT && self.is_out_of_turn(asked) {
            // Perhaps the package ends before. It is asked for again when its turn has come.
            self.window.in_order_only();
            return;
        }
        if message.code != Code::CONTENT {
            self.refused(asked, message.code);
            return;
        }
        let received = match Received::read(message) {
            Ok(received) => received,
            Err(cause) => return self.fail(damaged(cause)),
        };
        match &self.package {
            None => self.first_block(asked, &received),
            Some(package) if !package.is_of(&received) => self.begin_again(),
            Some(_) => self.next_block(asked, &received),
        }
    }

    /// An answer that is no success.
    fn refused(&mut self, asked: Asked, code: Code) {
        let about_blocks =
            matches!(code, Code::BAD_REQUEST | Code::BAD_OPTION | Code::REQUEST_ENTITY_INCOMPLETE);
        if !about_blocks {
            self.fail(refused(code));
        } else if self.assembly.end() < self.assembly.from() && self.package.is_some() {
            // There is less of it than is stored.
            self.begin_again();
        } else if self.package.is_some() {
            // The next attempt may go on.
            let (offset, code) = (asked.offset, shown(code));
            self.fail(lost(format!("the server refuses the block at {offset}: {code}")));
        } else if asked.offset > 0 {
            // Perhaps nothing follows what is stored, which the block before it tells. Else
            // the package is shorter now, or the server gives blocks in order only.
            self.resume.take_if(|resume| resume.offset != asked.offset);
            self.start();
            if self.resume.is_some() {
                self.assembly = Assembly::new(asked.offset, self.block_of(asked.offset - 1));
            }
        } else if self.first == First::Block {
            // Block2 is critical: a server that does not know it says so.
            self.first = First::Plain;
        } else {
            self.fail(refused(code));
        }
    }

    /// The answer to the first request: step 2.
    fn first_block(&mut self, asked: Asked, received: &Received<'_>) {
        if let Some(resume) = &self.resume {
            let size = received.end().or(received.size);
            let is_same = received.etag == Some(&resume.etag)
                && size.is_none_or(|size| resume.offset <= size);
            if !is_same {
                self.resume = None;
                self.start();
                if asked.offset > 0 {
                    return;
                }
            }
        }
        if received.offset != asked.offset && received.is_block() {
            return self.other_block(asked, received);
        }
        self.szx = self.szx.min(received.szx());
        let from = self.resume.as_ref().map_or(0, |resume| resume.offset);
        // A smaller block may end before the wanted bytes begin. Those may be none.
        let begin = received.offset.max(self.block_of(from.saturating_sub(1)));
        self.assembly = Assembly::new(from, if received.is_block() { begin } else { 0 });
        let size = received.size.or_else(|| received.end());
        let etag = received.etag.map(<[u8]>::to_vec);
        self.package = Some(Package { etag: etag.clone(), size, has_last: false });
        self.begin = Some(Fetched::Begin { offset: from, size, etag });
        self.take_block(received);
    }

    fn next_block(&mut self, asked: Asked, received: &Received<'_>) {
        let is_other = received.offset != asked.offset;
        if self.is_out_of_turn(asked) && (is_other || received.payload.is_empty()) {
            self.window.in_order_only();
        } else if is_other {
            self.other_block(asked, received);
        } else if received.szx() < self.szx && received.more() {
            // What else was asked for is of another size.
            self.szx = received.szx();
            self.ask_anew();
            if !self.is_out_of_turn(asked) {
                self.take_block(received);
            }
        } else {
            self.take_block(received);
        }
    }

    /// What is behind a gap, and what was asked for, is asked for again.
    fn ask_anew(&mut self) {
        self.cancel_asked();
        self.assembly.drop_apart();
    }

    /// A block that was not asked for: if it is smaller, those of its size are asked for
    /// from now on, which cannot go on for ever.
    fn other_block(&mut self, asked: Asked, received: &Received<'_>) {
        if received.szx() >= self.szx {
            let (offset, wanted) = (received.offset, asked.offset);
            self.fail(damaged(format!("the server gives the block at {offset}, not at {wanted}")));
            return;
        }
        self.szx = received.szx();
        match self.package {
            // The offset to resume at lies in another block of this size.
            None => self.start(),
            Some(_) => self.ask_anew(),
        }
    }

    fn take_block(&mut self, received: &Received<'_>) {
        self.assembly.put(received.offset, received.payload);
        let Some(package) = &mut self.package else { return };
        let (last, furthest) = (received.end(), self.assembly.furthest());
        if let Some(end) = last {
            if let Some(size) = package.size.filter(|size| *size != end) {
                self.fail(damaged(format!("the package ends at {end} and has {size} bytes")));
                return;
            }
            package.size = Some(end);
            package.has_last = true;
        }
        let Some(size) = package.size else { return };
        let goes_on = last.is_none() && received.offset + received.payload.len() as u64 >= size;
        if package.has_last && size < self.assembly.from() {
            // It has an ETag that it should not have.
            self.begin_again();
        } else if furthest > size || goes_on {
            self.fail(damaged(format!("the package goes on after its {size} bytes")));
        } else if package.has_last && self.assembly.end() >= size {
            self.end_with(Ok(()));
        }
    }

    /// The package is another one than it was.
    fn begin_again(&mut self) {
        if self.attempts == Attempts::Second {
            self.fail(damaged("the package changed twice while it was fetched"));
            return;
        }
        self.attempts = Attempts::Second;
        self.package = None;
        self.begin = None;
        self.resume = None;
        self.start();
    }
}
