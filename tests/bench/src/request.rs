//! The requests of the load: fixed bytes with another message id and token each
//! time (RFC 7252 3).

/// Something to read, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    sent: u64,
}

impl Request {
    /// A confirmable GET of `path`, such as `3/0/0`; with Accept if `accept` says
    /// so.
    pub(crate) fn get(path: &str, accept: Option<u8>) -> Self {
        let mut bytes = vec![CONFIRMABLE_WITH_TOKEN, GET, 0, 0];
        bytes.extend([0; TOKEN]);
        for (index, segment) in path.bytes().filter(|byte| *byte != b'/').enumerate() {
            // Uri-Path, one digit; the first as a step from option 0.
            let delta = if index == 0 { URI_PATH << 4 } else { 0 };
            bytes.extend([delta | 1, segment]);
        }
        if let Some(format) = accept {
            bytes.extend([((ACCEPT - URI_PATH) << 4) | 1, format]);
        }
        Self { bytes, sent: 0 }
    }

    /// The same with other numbers than those of other requests to the same agent, which
    /// would answer them as duplicates: `place` counts requests of 16384 numbers each.
    pub(crate) fn numbered(mut self, place: usize) -> Self {
        self.sent = (place as u64 + 1) << 14;
        self
    }

    /// Writes the next request into `buffer`.
    pub(crate) fn write_next(&mut self, buffer: &mut Vec<u8>) {
        self.sent += 1;
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        let number = self.sent.to_be_bytes();
        buffer[2..4].copy_from_slice(&number[6..]);
        buffer[4..HEADER].copy_from_slice(&number);
    }

    /// True if `datagram` is a 2.05 in the ACK of one of the last `outstanding`
    /// requests.
    pub(crate) fn is_answered_by(&self, datagram: &[u8], outstanding: u64) -> bool {
        let Some((head, token)) =
            datagram.first_chunk::<HEADER>().and_then(|head| head.split_first_chunk::<4>())
        else {
            return false;
        };
        let number = token.try_into().map(u64::from_be_bytes).unwrap_or_default();
        head[..2] == [ACK_WITH_TOKEN, CONTENT]
            && number <= self.sent
            && number + outstanding > self.sent
            && number.to_be_bytes()[6..] == head[2..]
    }
}

/// What the floor does for a request: puts its message id and token into the
/// fixed answer.
pub(crate) fn answer_to(request: &[u8], answer: &mut [u8]) {
    if let (Some(from), Some(to)) = (request.get(2..HEADER), answer.get_mut(2..HEADER)) {
        to.copy_from_slice(from);
    }
}

const TOKEN: usize = 8;
const HEADER: usize = 4 + TOKEN;
const CONFIRMABLE_WITH_TOKEN: u8 = 0x48;
const ACK_WITH_TOKEN: u8 = 0x68;
const GET: u8 = 0x01;
const CONTENT: u8 = 0x45;
const URI_PATH: u8 = 11;
const ACCEPT: u8 = 17;

#[cfg(test)]
mod tests {
    use coap_lite::{CoapOption, MessageType, Packet, RequestType};

    use super::*;

    #[test]
    fn requests_are_coap_with_another_id_and_token_each() {
        let mut request = Request::get("3/0", Some(112));
        let mut bytes = Vec::new();
        for number in 1..=3_u8 {
            request.write_next(&mut bytes);
            let packet = Packet::from_bytes(&bytes).unwrap();
            assert_eq!(packet.header.get_type(), MessageType::Confirmable);
            assert_eq!(packet.header.code, coap_lite::MessageClass::Request(RequestType::Get));
            assert_eq!(packet.header.message_id, u16::from(number));
            assert_eq!(packet.get_token(), [0, 0, 0, 0, 0, 0, 0, number]);
            let path: Vec<_> = packet.get_option(CoapOption::UriPath).unwrap().iter().collect();
            assert_eq!(path, [b"3", b"0"]);
            assert_eq!(packet.get_first_option(CoapOption::Accept).unwrap(), &[112]);
        }
    }

    #[test]
    fn only_the_answers_awaited_count() {
        let (mut request, mut bytes) = (Request::get("3/0/0", None), Vec::new());
        for _ in 0..5 {
            request.write_next(&mut bytes);
        }
        let answer = |code: u8, number: u8| {
            let mut answer = vec![ACK_WITH_TOKEN, code, 0, number, 0, 0, 0, 0, 0, 0, 0, number];
            answer.extend(b"\xffx");
            answer
        };
        for (datagram, outstanding, expected) in [
            (answer(CONTENT, 5), 1, true),
            (answer(CONTENT, 4), 1, false),
            (answer(CONTENT, 4), 2, true),
            (answer(CONTENT, 6), 2, false),
            (answer(0x84, 5), 1, false),
            (vec![ACK_WITH_TOKEN, CONTENT, 0, 5], 1, false),
            (Vec::new(), 1, false),
        ] {
            assert_eq!(request.is_answered_by(&datagram, outstanding), expected, "{datagram:?}");
        }
        let mut floor = answer(CONTENT, 0);
        answer_to(&bytes, &mut floor);
        assert!(request.is_answered_by(&floor, 1));
    }
}
