//! The queue before a socket: what happens to a datagram that cannot leave.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lwm2m_model::Instant;
use nix::errno::Errno;

use crate::Counters;

/// Datagrams that wait to be sent over one link.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    queue: VecDeque<Vec<u8>>,
    retry_at: Option<Instant>,
}

/// What errors mean to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    /// Nothing came from the peer yet: they say that it is not there.
    Fatal,
    /// The peer was there: a lost datagram is the business of CoAP, and what an
    /// ICMP message claims is not authenticated.
    Counted,
}

impl Outgoing {
    /// Queues a datagram. If the queue is full the oldest is lost: its peer has
    /// had the longest time to ask again.
    pub(crate) fn push(&mut self, datagram: Vec<u8>, counters: &mut Counters) {
        if self.queue.len() >= MAX_QUEUED {
            self.queue.pop_front();
            counters.dropped += 1;
        }
        self.queue.push_back(datagram);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_QUEUED
    }

    /// When to flush again after the system had no room.
    pub(crate) const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Sends all with `send`, which takes datagrams from the front and says how
    /// many. Those for which the system has no room stay.
    ///
    /// # Errors
    ///
    /// The first error that is [`Errors::Fatal`].
    pub(crate) fn flush(
        &mut self,
        now: Instant,
        errors: Errors,
        counters: &mut Counters,
        mut send: impl FnMut(&VecDeque<Vec<u8>>) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.retry_at = None;
        let mut refused_before = false;
        while !self.queue.is_empty() {
            let error = match send(&self.queue) {
                Ok(sent) => {
                    self.queue.drain(..sent.min(self.queue.len()));
                    refused_before = false;
                    continue;
                }
                Err(error) => error,
            };
            match error.raw_os_error().map(Errno::from_raw) {
                // There is no event for ENOBUFS, so both wait for a timer.
                Some(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR) => {
                    self.retry_at = Some(now + RETRY_AFTER);
                    return Ok(());
                }
                _ if errors == Errors::Fatal => return Err(error),
                // The answer to an earlier datagram; this one was not sent.
                Some(Errno::ECONNREFUSED) if !refused_before => {
                    counters.refused += 1;
                    refused_before = true;
                }
                _ => {
                    counters.unsent += 1;
                    self.queue.pop_front();
                    refused_before = false;
                }
            }
        }
        Ok(())
    }
}

/// Datagrams that may wait on one link.
pub const MAX_QUEUED: usize = 64;

/// A full queue of a network device empties in less.
const RETRY_AFTER: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    fn queued(count: u8) -> Outgoing {
        let mut outgoing = Outgoing::default();
        for number in 0..count {
            outgoing.push(vec![number], &mut Counters::default());
        }
        outgoing
    }

    /// Flushes with `script` for the system: how many to take or which error.
    /// Gives what was sent.
    fn flush(
        outgoing: &mut Outgoing,
        errors: Errors,
        counters: &mut Counters,
        script: &[Result<usize, Errno>],
    ) -> (Vec<u8>, io::Result<()>) {
        let (mut sent, mut script) = (Vec::new(), script.iter());
        let result = outgoing.flush(NOW, errors, counters, |queue| {
            let count = script.next().expect("no more calls than in the script").to_owned()?;
            sent.extend(queue.iter().take(count).flatten());
            Ok(count)
        });
        assert_eq!(script.len(), 0, "fewer calls than in the script");
        (sent, result)
    }

    #[test]
    fn what_the_system_has_no_room_for_is_sent_later() {
        for errno in [Errno::EAGAIN, Errno::ENOBUFS] {
            let (mut outgoing, mut counters) = (queued(5), Counters::default());
            let script = [Ok(2), Err(errno)];
            let (sent, result) = flush(&mut outgoing, Errors::Fatal, &mut counters, &script);
            assert_eq!((sent, result.is_ok()), (vec![0, 1], true));
            assert_eq!(outgoing.retry_at(), Some(NOW + RETRY_AFTER));
            let (sent, _) = flush(&mut outgoing, Errors::Fatal, &mut counters, &[Ok(3)]);
            assert_eq!(sent, [2, 3, 4]);
            assert_eq!((outgoing.retry_at(), outgoing.is_empty()), (None, true));
            assert_eq!(counters, Counters::default());
        }
    }

    #[test]
    fn a_full_queue_loses_the_oldest() {
        let (mut outgoing, mut counters) = (Outgoing::default(), Counters::default());
        for number in 0..MAX_QUEUED + 3 {
            outgoing.push(vec![u8::try_from(number).unwrap()], &mut counters);
        }
        assert!(outgoing.is_full());
        assert_eq!(counters.dropped, 3);
        let (sent, _) = flush(&mut outgoing, Errors::Fatal, &mut counters, &[Ok(MAX_QUEUED)]);
        assert_eq!((sent.len(), sent[0]), (MAX_QUEUED, 3));
    }

    #[test]
    fn errors_are_fatal_before_the_peer_was_heard_and_counted_after() {
        for errno in [Errno::ECONNREFUSED, Errno::ENETUNREACH, Errno::EPERM] {
            let mut outgoing = queued(1);
            let (_, result) =
                flush(&mut outgoing, Errors::Fatal, &mut Counters::default(), &[Err(errno)]);
            assert_eq!(result.unwrap_err().raw_os_error(), Some(errno as i32));
        }
        for (script, sent, refused, unsent) in [
            (&[Err(Errno::ECONNREFUSED), Ok(3)][..], vec![0, 1, 2], 1, 0),
            (&[Err(Errno::ECONNREFUSED), Err(Errno::ECONNREFUSED), Ok(2)], vec![1, 2], 1, 1),
            (&[Ok(1), Err(Errno::EMSGSIZE), Ok(1)], vec![0, 2], 0, 1),
            (&[Err(Errno::ENETUNREACH); 3], vec![], 0, 3),
        ] {
            let (mut outgoing, mut counters) = (queued(3), Counters::default());
            let (through, result) = flush(&mut outgoing, Errors::Counted, &mut counters, script);
            assert_eq!((through, result.is_ok()), (sent, true), "{script:?}");
            assert_eq!((counters.refused, counters.unsent), (refused, unsent), "{script:?}");
            assert!(outgoing.is_empty(), "{script:?}");
        }
    }
}
