//! A socket of memory: one write is one datagram, one read is one datagram.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// What the library believes to be its socket.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    /// The datagram that came in last, until it is read.
    incoming: Option<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Datagrams {
    /// Puts a datagram where the library finds it. Never an empty one: reading
    /// nothing means the end of the stream to it.
    pub(crate) fn push(&mut self, datagram: Vec<u8>) {
        if !datagram.is_empty() {
            self.incoming = Some(datagram);
        }
    }

    /// Whether the library has not read the datagram yet.
    pub(crate) const fn is_unread(&self) -> bool {
        self.incoming.is_some()
    }

    /// The next datagram to send.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.incoming.take() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        // As a socket does, cut off what does not fit.
        datagram.as_slice().read(buffer)
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        // As a socket does, lose what nobody takes.
        if self.outgoing.len() < MAX_UNSENT {
            self.outgoing.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Datagrams that may wait to be sent; a flight of a handshake is far smaller.
const MAX_UNSENT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_one_datagram_and_then_blocks() {
        let mut queue = Datagrams::default();
        queue.push(b"abc".to_vec());
        let mut buffer = [0; 2];
        assert_eq!(queue.read(&mut buffer).unwrap(), 2);
        assert_eq!(queue.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_empty_datagram_is_never_read() {
        let mut queue = Datagrams::default();
        queue.push(Vec::new());
        assert_eq!(queue.read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_nobody_sends_does_not_pile_up() {
        let mut queue = Datagrams::default();
        for _ in 0..MAX_UNSENT + 5 {
            queue.write_all(b"x").unwrap();
        }
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), MAX_UNSENT);
    }
}
