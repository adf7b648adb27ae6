//! Datagrams that no client library sends, checked byte by byte (RFC 7252, RFC 7959).

use std::net::{SocketAddr, UdpSocket};

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};

use crate::support::*;

/// TRN-40.
#[test]
fn a_request_that_comes_twice_is_executed_once() {
    let (agent, ask) = accept_registration();
    let reset = ask.request(RequestType::Post, "3/0/12", 1);
    let answers = [ask.exchange(&reset), ask.exchange(&reset)];
    assert_eq!(answers[0].to_bytes().unwrap(), answers[1].to_bytes().unwrap());
    assert_eq!(answers[0].header.get_code(), "2.04");
    agent.wait_log("Execute /3/0/12 done", LIMIT).unwrap();
    let done = agent.log().iter().filter(|line| line.contains("Execute /3/0/12 done")).count();
    assert_eq!(done, 1, "{:?}", agent.log());
}

/// TRN-39.
#[test]
fn an_unknown_critical_option_is_refused_and_an_elective_one_is_skipped() {
    let (_agent, ask) = accept_registration();
    let mut critical = ask.request(RequestType::Get, "3/0/16", 1);
    critical.add_option(CoapOption::Unknown(65001), vec![1]);
    assert_eq!(ask.exchange(&critical).header.get_code(), "4.02");
    let mut elective = ask.request(RequestType::Get, "3/0/16", 2);
    elective.add_option(CoapOption::Unknown(65000), vec![1]);
    assert_eq!(ask.exchange(&elective).payload, b"U");
}

/// RFC 7959 2.4: the first request asks for the size.
#[test]
fn all_blocks_of_16_bytes_have_one_tag() {
    let (_agent, ask) = accept_registration();
    let (mut body, mut tags, mut number) = (Vec::<u8>::new(), Vec::new(), 0_u16);
    loop {
        let mut request = ask.request(RequestType::Get, "3/0", 1 + number);
        request.add_option(CoapOption::Accept, vec![112]);
        // Number, no more flag, size exponent 0.
        let bytes = (number << 4).to_be_bytes().into_iter().skip_while(|byte| *byte == 0);
        request.add_option(CoapOption::Block2, bytes.collect());
        let answer = ask.exchange(&request);
        assert_eq!(answer.header.get_code(), "2.05");
        let given = first(&answer, CoapOption::Block2).into_iter();
        let given = given.fold(0_u16, |all, byte| (all << 8) | u16::from(byte));
        assert_eq!((given >> 4, given & 7), (number, 0));
        body.extend(&answer.payload);
        tags.push(first(&answer, CoapOption::ETag));
        if given & 8 == 0 {
            break;
        }
        assert_eq!(answer.payload.len(), 16);
        number += 1;
    }
    assert!(number > 3, "{number} {body:x?}");
    tags.dedup();
    assert!(tags.len() == 1 && !tags[0].is_empty(), "{tags:?}");
    // A SenML pack whose first record begins with the base name of the instance.
    assert!(body[..12].windows(5).any(|part| part == b"/3/0/"), "{body:x?}");
}

/// An agent that is registered at a server of a few lines.
fn accept_registration() -> (lwm2m_interop::Agent, Asker) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let agent = nosec(socket.local_addr().unwrap()).start().unwrap();
    let mut buffer = [0; 2048];
    let (length, device) = socket.recv_from(&mut buffer).unwrap();
    let register = Packet::from_bytes(&buffer[..length]).unwrap();
    let mut answer = Packet::new();
    answer.header.set_type(MessageType::Acknowledgement);
    answer.header.message_id = register.header.message_id;
    answer.header.set_code("2.01");
    answer.set_token(register.get_token().to_vec());
    answer.add_option(CoapOption::LocationPath, b"rd".to_vec());
    answer.add_option(CoapOption::LocationPath, b"1".to_vec());
    socket.send_to(&answer.to_bytes().unwrap(), device).unwrap();
    // From here on what the socket gets are answers.
    (agent, Asker { socket, device })
}

/// Sends requests and takes their piggy-backed answers.
struct Asker {
    socket: UdpSocket,
    device: SocketAddr,
}

impl Asker {
    fn request(&self, method: RequestType, path: &str, id: u16) -> Packet {
        let mut packet = Packet::new();
        packet.header.set_type(MessageType::Confirmable);
        packet.header.message_id = id;
        packet.header.code = MessageClass::Request(method);
        packet.set_token(id.to_be_bytes().to_vec());
        for segment in path.split('/') {
            packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
        }
        packet
    }

    fn exchange(&self, request: &Packet) -> Packet {
        self.socket.send_to(&request.to_bytes().unwrap(), self.device).unwrap();
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).unwrap();
        let answer = Packet::from_bytes(&buffer[..length]).unwrap();
        assert_eq!(answer.header.message_id, request.header.message_id);
        assert_eq!(answer.get_token(), request.get_token());
        answer
    }
}

fn first(packet: &Packet, option: CoapOption) -> Vec<u8> {
    packet.get_option(option).and_then(|all| all.front().cloned()).unwrap_or_default()
}
