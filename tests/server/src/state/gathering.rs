//! Requests of devices that come in blocks (RFC 7959 2.5, RFC 9175 3), put together.
//!
//! 1. Block 0 begins a body, in the place of one of the same peer, options and tag.
//! 2. The block that goes on where the body ends is added to it; any other is 4.08
//!    and changes nothing. Blocks may change their size.
//! 3. The last block gives out the whole.

use std::time::Duration;

use coap_lite::{CoapOption, MessageType, Packet};
use lwm2m_model::{Code, Instant, RequestError};

use super::Peer;
use crate::block::Block;
use crate::message;
use crate::registration::bad;

/// Requests of which blocks are still to come.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    halves: Vec<Half>,
}

#[derive(Debug)]
struct Half {
    peer: Peer,
    /// What the blocks of one request have in common.
    head: Vec<u8>,
    body: Vec<u8>,
    /// Bytes of the datagrams it came in.
    bytes: usize,
    grown: Instant,
}

/// A request that is complete.
#[derive(Debug, PartialEq)]
pub(super) struct Whole {
    pub(super) request: Packet,
    /// Bytes of the datagrams it came in.
    pub(super) bytes: usize,
}

impl Gathering {
    /// Adds a block that came in a datagram of `bytes`.
    ///
    /// # Errors
    /// 4.00 for a block of a wrong length, 4.08 for one that does not go on where the
    /// body ends, 4.13 for a body of more than [`MAX_BODY`] bytes.
    pub(super) fn add(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &Packet,
        block: Block,
        bytes: usize,
    ) -> Result<Option<Whole>, RequestError> {
        if !block.fits(request.payload.len()) {
            return Err(bad("a block of another size than it says"));
        }
        let head = head(request);
        let is_this = |half: &Half| half.peer == peer && half.head == head;
        let known = self.halves.iter().position(is_this).map(|at| self.halves.swap_remove(at));
        let mut half = match known {
            Some(half) if block.number > 0 => half,
            _ => Half { peer, head, body: Vec::new(), bytes: 0, grown: now },
        };
        if half.body.len() != block.offset() {
            if !half.body.is_empty() {
                self.keep(half);
            }
            let reason = "a block before this one is missing";
            return Err(RequestError::new(Code::REQUEST_ENTITY_INCOMPLETE, reason));
        }
        let announced = message::number(request, CoapOption::Size1).unwrap_or(0);
        if half.body.len() + request.payload.len() > MAX_BODY || announced > MAX_BODY as u32 {
            let reason = format!("the body has more than {MAX_BODY} bytes");
            return Err(RequestError::new(Code::REQUEST_ENTITY_TOO_LARGE, reason));
        }
        half.body.extend_from_slice(&request.payload);
        half.bytes += bytes;
        half.grown = now;
        if block.more {
            self.keep(half);
            return Ok(None);
        }
        let mut request = request.clone();
        request.payload = half.body;
        Ok(Some(Whole { request, bytes: half.bytes }))
    }

    /// Beyond [`MAX_HALVES`] the one goes that has waited longest.
    fn keep(&mut self, half: Half) {
        if self.halves.len() >= MAX_HALVES
            && let Some((oldest, _)) =
                self.halves.iter().enumerate().min_by_key(|(_, half)| half.grown)
        {
            self.halves.swap_remove(oldest);
        }
        self.halves.push(half);
    }

    /// Drops what has not grown for so long.
    pub(super) fn forget_before(&mut self, now: Instant, lifetime: Duration) {
        self.halves.retain(|half| now - half.grown < lifetime);
    }
}

/// A request without what differs from block to block.
fn head(request: &Packet) -> Vec<u8> {
    let mut head = request.clone();
    head.header.set_type(MessageType::Confirmable);
    head.header.message_id = 0;
    head.set_token(Vec::new());
    head.payload.clear();
    head.clear_option(CoapOption::Block1);
    head.clear_option(CoapOption::Size1);
    head.to_bytes_unlimited().unwrap_or_default()
}

/// Most bytes of a request: object lists of some thousand instances.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// Requests that come in blocks at once, from all devices together.
const MAX_HALVES: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(port: u16) -> Peer {
        Peer { address: (Ipv4Addr::LOCALHOST, port).into(), secure: false }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// A block of a Register under a Request-Tag.
    fn block(value: u32, payload: &[u8], tag: u8) -> (Packet, Block) {
        let mut packet = Packet::new();
        packet.header.code = message::POST.into();
        packet.header.message_id = value as u16;
        packet.set_token(vec![tag, value as u8]);
        packet.add_option(CoapOption::UriPath, b"rd".to_vec());
        packet.add_option(message::REQUEST_TAG, vec![tag]);
        message::set_number(&mut packet, CoapOption::Block1, value);
        packet.payload = payload.to_vec();
        let block = Block::of(&packet, CoapOption::Block1).unwrap().unwrap();
        (packet, block)
    }

    fn add(
        gathering: &mut Gathering,
        peer: Peer,
        (packet, block): (Packet, Block),
    ) -> Result<Option<Whole>, Code> {
        let added = gathering.add(at(0), peer, &packet, block, 30);
        added.map_err(|error| error.code)
    }

    #[test]
    fn blocks_of_changing_size_make_a_body() {
        let mut gathering = Gathering::default();
        assert_eq!(add(&mut gathering, peer(1), block(0x09, &[1; 32], 1)), Ok(None));
        assert_eq!(add(&mut gathering, peer(1), block(0x28, &[2; 16], 1)), Ok(None));
        let whole = add(&mut gathering, peer(1), block(0x30, &[3; 5], 1)).unwrap().unwrap();
        assert_eq!(whole.request.payload, [&[1; 32][..], &[2; 16], &[3; 5]].concat());
        assert_eq!((whole.bytes, gathering.halves.len()), (90, 0));
    }

    /// TRN-36, TRN-37
    #[test]
    fn bodies_of_different_peers_and_tags_do_not_mix() {
        let mut gathering = Gathering::default();
        for (from, tag) in [(1, 1), (1, 2), (2, 1)] {
            let first = block(0x08, &[from as u8 * 16 + tag; 16], tag);
            assert_eq!(add(&mut gathering, peer(from), first), Ok(None));
        }
        for (from, tag) in [(1, 1), (1, 2), (2, 1)] {
            let whole = add(&mut gathering, peer(from), block(0x10, &[], tag)).unwrap().unwrap();
            assert_eq!(whole.request.payload, [from as u8 * 16 + tag; 16]);
        }
        let stray = add(&mut gathering, peer(3), block(0x10, &[], 1));
        assert_eq!(stray, Err(Code::REQUEST_ENTITY_INCOMPLETE));
    }

    #[test]
    fn a_block_out_of_order_changes_nothing_and_block_0_begins_anew() {
        let mut gathering = Gathering::default();
        let us = peer(1);
        assert_eq!(add(&mut gathering, us, block(0x08, &[1; 16], 1)), Ok(None));
        for stray in [block(0x28, &[9; 16], 1), block(0x11, &[9; 16], 1)] {
            assert_eq!(add(&mut gathering, us, stray), Err(Code::REQUEST_ENTITY_INCOMPLETE));
        }
        assert_eq!(add(&mut gathering, us, block(0x18, &[2; 15], 1)), Err(Code::BAD_REQUEST));
        assert_eq!(add(&mut gathering, us, block(0x18, &[2; 16], 1)), Ok(None));
        assert_eq!(add(&mut gathering, us, block(0x08, &[3; 16], 1)), Ok(None));
        let whole = add(&mut gathering, us, block(0x10, &[4], 1)).unwrap().unwrap();
        assert_eq!(whole.request.payload, [&[3; 16][..], &[4]].concat());
    }

    #[test]
    fn a_body_that_is_too_large_is_refused_early_or_late() {
        let mut gathering = Gathering::default();
        let (mut packet, first) = block(0x0e, &[1; 1024], 1);
        message::set_number(&mut packet, CoapOption::Size1, MAX_BODY as u32 + 1);
        let early = add(&mut gathering, peer(1), (packet, first));
        assert_eq!(early, Err(Code::REQUEST_ENTITY_TOO_LARGE));
        for number in 0..64 {
            let next = block(number << 4 | 0x0e, &[1; 1024], 1);
            assert_eq!(add(&mut gathering, peer(1), next), Ok(None));
        }
        let late = add(&mut gathering, peer(1), block(64 << 4 | 6, &[1], 1));
        assert_eq!(late, Err(Code::REQUEST_ENTITY_TOO_LARGE));
        assert!(gathering.halves.is_empty());
    }

    #[test]
    fn what_breaks_off_is_dropped_in_time_and_beyond_the_limit() {
        let mut gathering = Gathering::default();
        for (now, port) in (0..=MAX_HALVES as u64).zip(1..) {
            let (packet, first) = block(0x08, &[1; 16], 1);
            gathering.add(at(now), peer(port), &packet, first, 30).unwrap();
        }
        assert_eq!(gathering.halves.len(), MAX_HALVES);
        assert!(gathering.halves.iter().all(|half| half.peer != peer(1)));
        gathering.forget_before(at(250), Duration::from_secs(247));
        assert!(gathering.halves.iter().all(|half| half.grown > at(3)));
    }
}
