//! The least of an LwM2M server: it takes a Register, asks, and keeps what went
//! over the wire. Its CoAP is that of another crate than the agent's.

use std::net::UdpSocket;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use coap_lite::{
    CoapOption, CoapRequest, MessageClass, MessageType, Packet, RequestType, ResponseType,
};
use lwm2m_security::DtlsServerContext;

use crate::channel::Channel;

/// A server with one device.
pub(crate) struct Server {
    pub(crate) channel: Channel,
    /// When Register came.
    pub(crate) registered: Instant,
    /// The datagram of Register, without DTLS.
    pub(crate) register: Vec<u8>,
    next_id: u16,
}

/// A request and its answer as they went over the wire, without DTLS.
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

impl Server {
    /// Waits for a Register and answers it.
    pub(crate) fn accept(socket: &UdpSocket, dtls: Option<&DtlsServerContext>) -> Result<Self> {
        let mut channel = Channel::accept(socket, dtls)?;
        let register = next(&mut channel)?;
        let registered = Instant::now();
        let packet = parse(&register)?;
        if packet.header.code != MessageClass::Request(RequestType::Post) || !is_for(&packet, "rd")
        {
            bail!("the first message is no Register");
        }
        let mut answer = answer(&packet, ResponseType::Created)?;
        answer.add_option(CoapOption::LocationPath, b"rd".to_vec());
        answer.add_option(CoapOption::LocationPath, b"1".to_vec());
        channel.send(&[answer.to_bytes()?])?;
        let mut server = Self { channel, registered, register, next_id: FIRST_ID };
        // Register is answered before anything else is: what can be read now
        // shows that the agent knows.
        server.read("/3/0/0")?;
        Ok(server)
    }

    /// Reads a path; repeats the request while the agent leaves it unanswered
    /// because it has not seen the answer to its Register.
    pub(crate) fn read(&mut self, path: &str) -> Result<Exchange> {
        self.exchange(RequestType::Get, path, |_| {})
    }

    /// Reads a path in SenML CBOR.
    pub(crate) fn read_all(&mut self, path: &str) -> Result<Exchange> {
        self.exchange(RequestType::Get, path, |packet| {
            packet.add_option(CoapOption::Accept, vec![SENML_CBOR]);
        })
    }

    /// Makes the agent send an Update, and takes it.
    pub(crate) fn update(&mut self) -> Result<Vec<u8>> {
        self.exchange(RequestType::Post, "/1/0/8", |_| {})?;
        let update = next(&mut self.channel)?;
        let packet = parse(&update)?;
        if !is_for(&packet, "rd") {
            bail!("no Update came after the trigger");
        }
        let answer = answer(&packet, ResponseType::Changed)?;
        self.channel.send(&[answer.to_bytes()?])?;
        Ok(update)
    }

    /// Observes the clock of the device; gives the first notification after the
    /// answer, and cancels.
    pub(crate) fn notification(&mut self) -> Result<Vec<u8>> {
        self.exchange(RequestType::Get, "/3/0/13", |packet| {
            packet.add_option(CoapOption::Observe, Vec::new());
            packet.add_option(CoapOption::UriQuery, b"pmin=0".to_vec());
            packet.add_option(CoapOption::UriQuery, b"pmax=1".to_vec());
        })?;
        let notification = next(&mut self.channel)?;
        let packet = parse(&notification)?;
        if packet.get_option(CoapOption::Observe).is_none() {
            bail!("no notification came");
        }
        let mut reset = Packet::new();
        reset.header.set_type(MessageType::Reset);
        reset.header.message_id = packet.header.message_id;
        reset.header.code = MessageClass::Empty;
        self.channel.send(&[reset.to_bytes()?])?;
        Ok(notification)
    }

    fn exchange(
        &mut self,
        method: RequestType,
        path: &str,
        more: impl FnOnce(&mut Packet),
    ) -> Result<Exchange> {
        let mut request = CoapRequest::<()>::new();
        request.set_method(method);
        request.set_path(path);
        let mut packet = request.message;
        packet.header.message_id = self.next_id;
        packet.set_token(self.next_id.to_be_bytes().repeat(4));
        self.next_id += 1;
        more(&mut packet);
        let request = packet.to_bytes()?;
        self.channel.send(std::slice::from_ref(&request))?;
        let answer = next(&mut self.channel)?;
        let answered = parse(&answer)?;
        if answered.get_token() != packet.get_token() {
            bail!("{method:?} {path}: what came is no answer");
        }
        match answered.header.code {
            MessageClass::Response(ResponseType::Content | ResponseType::Changed) => {}
            code => bail!("{method:?} {path}: {code}"),
        }
        Ok(Exchange { request, answer })
    }
}

/// The next message of the agent.
fn next(channel: &mut Channel) -> Result<Vec<u8>> {
    let mut message = None;
    while message.is_none() {
        channel.receive(|bytes| message = Some(bytes.to_vec()))?;
    }
    message.context("no message came")
}

fn parse(datagram: &[u8]) -> Result<Packet> {
    Packet::from_bytes(datagram).context("the agent sent something that is no CoAP")
}

fn is_for(packet: &Packet, first_segment: &str) -> bool {
    let path = packet.get_option(CoapOption::UriPath);
    path.and_then(|path| path.front()).is_some_and(|first| first == first_segment.as_bytes())
}

/// A piggybacked answer without payload.
fn answer(request: &Packet, code: ResponseType) -> Result<Packet> {
    if request.header.get_type() != MessageType::Confirmable {
        bail!("the request is not confirmable");
    }
    let mut packet = Packet::new();
    packet.header.set_type(MessageType::Acknowledgement);
    packet.header.message_id = request.header.message_id;
    packet.header.code = MessageClass::Response(code);
    packet.set_token(request.get_token().to_vec());
    Ok(packet)
}

/// Message ids of these exchanges; the load begins with 1.
const FIRST_ID: u16 = 0xf000;
const SENML_CBOR: u8 = 112;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_told_from_other_requests_and_answered() {
        let mut request = CoapRequest::<()>::new();
        request.set_method(RequestType::Post);
        request.set_path("/rd");
        request.message.set_token(vec![1, 2]);
        request.message.header.message_id = 7;
        let packet = parse(&request.message.to_bytes().unwrap()).unwrap();
        assert!(is_for(&packet, "rd"));
        assert!(!is_for(&packet, "bs"));
        let answer = answer(&packet, ResponseType::Created).unwrap().to_bytes().unwrap();
        assert_eq!(answer, [0x62, 0x41, 0, 7, 1, 2]);
        assert!(parse(b"\xff").is_err());
    }
}
