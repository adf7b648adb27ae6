//! Requests of the device that come in blocks (RFC 7959 2.5): one at a time.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lwm2m_model::{Code, Instant};

use super::SmallServer;
use crate::message::{self, Block};
use crate::{Address, option};

impl SmallServer {
    pub(super) fn request(&mut self, now: Instant, from: Address, packet: &Packet) {
        let Some(block) = Block::of(packet, CoapOption::Block1) else {
            return self.whole_request(now, from, packet, 0);
        };
        let tag = packet.get_first_option(CoapOption::Unknown(option::REQUEST_TAG));
        assert!(tag.is_some_and(|tag| !tag.is_empty()), "blocks without a Request-Tag");
        let (mut body, blocks) = match self.half.take() {
            Some(half) if block.number > 0 => half,
            _ => (Vec::new(), 0),
        };
        if body.len() != block.offset() {
            return self.answer_block(now, from, packet, Code::REQUEST_ENTITY_INCOMPLETE, None);
        }
        body.extend(&packet.payload);
        if block.more {
            self.half = Some((body, blocks + 1));
            let exponent = block.exponent.min(self.manner.largest_block);
            let wanted = Block { exponent, ..block };
            return self.answer_block(now, from, packet, Code::CONTINUE, Some(wanted));
        }
        let mut whole = packet.clone();
        whole.payload = body;
        self.whole_request(now, from, &whole, blocks + 1);
    }

    fn answer_block(
        &mut self,
        now: Instant,
        from: Address,
        request: &Packet,
        code: Code,
        block: Option<Block>,
    ) {
        let mut packet = message::empty(MessageType::Acknowledgement, request.header.message_id);
        packet.header.code = MessageClass::from(code.byte());
        packet.set_token(request.get_token().to_vec());
        if let Some(block) = block {
            packet.add_option(CoapOption::Block1, block.value());
        }
        self.conclude(now, from, request.header.message_id, Some(&packet));
    }
}
